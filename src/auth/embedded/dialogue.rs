//! The server side of PLAIN (RFC 4616) and LOGIN: from base64 responses to a name and a password.

use homing_login::{AuthReply, AuthRequest};
use homing_sasl::parse_plain;
use homing_wire::{Secret, decode_base64};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::{failure, subject::Refused};

/// What a client gave.
#[derive(Debug)]
pub(super) struct Credentials {
    /// Whom to act as, if given and not the name itself.
    pub(super) authzid: Option<Vec<u8>>,
    /// Who authenticates.
    pub(super) name: Vec<u8>,
    pub(super) password: Secret,
}

/// Asks the client through the session.
pub(super) struct Dialogue {
    challenges: mpsc::Sender<AuthReply>,
    responses: mpsc::Receiver<Secret>,
}

impl Dialogue {
    pub(super) fn new(challenges: mpsc::Sender<AuthReply>, responses: mpsc::Receiver<Secret>) -> Self {
        Self { challenges, responses }
    }

    /// Runs the mechanism of the request.
    pub(super) async fn credentials(&mut self, request: &AuthRequest) -> Result<Credentials, Refused> {
        let initial = request.initial_response.as_ref();
        match request.mechanism.to_ascii_uppercase().as_str() {
            "PLAIN" => self.plain(initial).await,
            "LOGIN" => self.login(initial).await,
            _ => {
                let reason = "Unsupported authentication mechanism.";
                Err(Refused::at_once(failure("auth_mech_invalid", reason)))
            }
        }
    }

    async fn plain(&mut self, initial: Option<&Secret>) -> Result<Credentials, Refused> {
        let message = match initial {
            Some(response) => decode(response, "initial")?,
            None => self.ask(b"").await?,
        };
        let message = parse_plain(&message).ok_or_else(Refused::invalid_input)?;
        let other = !message.authzid.is_empty() && message.authzid != message.authcid;
        Ok(Credentials {
            authzid: other.then_some(message.authzid),
            name: message.authcid,
            password: message.password,
        })
    }

    /// Base64 of `Username:` and `Password:`. An initial response is the name.
    async fn login(&mut self, initial: Option<&Secret>) -> Result<Credentials, Refused> {
        let name = match initial.filter(|response| !matches!(response.expose(), b"" | b"=")) {
            Some(response) => decode(response, "initial")?,
            None => self.ask(b"VXNlcm5hbWU6").await?,
        };
        let mut password = self.ask(b"UGFzc3dvcmQ6").await?;
        // Dovecot would cut the name there and refuse the password.
        if name.contains(&0) || password.contains(&0) {
            return Err(Refused::invalid_input());
        }
        let password = Secret::new(std::mem::take(&mut *password));
        Ok(Credentials { authzid: None, name: name.to_vec(), password })
    }

    async fn ask(&mut self, challenge: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refused> {
        // If the session is gone, this task is about to be stopped.
        let _ = self.challenges.send(AuthReply::Challenge(challenge.to_vec())).await;
        let response = self.responses.recv().await.ok_or_else(Refused::invalid_input)?;
        decode(&response, "continued")
    }
}

/// `=` stands for the empty response (spec/auth-protocol.md 3.1).
fn decode(response: &Secret, which: &str) -> Result<Zeroizing<Vec<u8>>, Refused> {
    if response.expose() == b"=" {
        return Ok(Zeroizing::default());
    }
    decode_base64(response.expose()).map(Zeroizing::new).ok_or_else(|| {
        let reason = format!("Invalid base64 data in {which} response");
        Refused::at_once(failure("invalid_base64", &reason))
    })
}
