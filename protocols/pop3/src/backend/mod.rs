//! The client side: one backend connection from its banner to the accepted login (spec/login-proxy.md 8.2).
//! Time limits and retries are the driver's.

use std::collections::VecDeque;

use bytes::Bytes;
use homing_login::{
    BackendDialogue, BackendFailure, BackendInput, BackendLogin, BackendOutput, BackendSuccess, FailureClass,
    UserName, limits::BACKEND_LINE_BYTES_MAX, xclient,
};
use homing_sasl::{ClientMechanism, SaslError};
use homing_wire::{InputBuffer, Secret, decode_base64, encode_base64, printable};

/// Logs one user in at one POP3 backend. The number of lines it reads is bounded by its steps.
pub struct Pop3Backend {
    login: BackendLogin,
    state: State,
    over: bool,
    /// The banner offers XCLIENT; TLS does not change that (spec/login-proxy.md 8.2.2).
    xclient: bool,
    /// Set if the login is by AUTH.
    mechanism: Option<ClientMechanism>,
    input: InputBuffer,
    outputs: VecDeque<BackendOutput>,
}

/// Named as in log lines (spec/login-proxy.md 8.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The banner is read.
    Banner,
    /// STLS is sent.
    StartTls,
    /// The handshake runs; nothing may arrive in the clear.
    Handshake,
    /// XCLIENT is sent, and the login's first command behind it.
    Xclient,
    /// USER is sent.
    Login1,
    /// PASS or AUTH is sent.
    Login2,
}

type Step = Result<(), BackendFailure>;

impl Pop3Backend {
    /// Waits for the backend's banner. A login whose hops are used up, whose mechanism is unknown, or whose
    /// user name or password would end a line, has failed at once.
    pub fn new(login: BackendLogin) -> Self {
        let user = login.user.as_bytes();
        let authid = login.master.as_ref().map_or(user, UserName::as_bytes);
        let mechanism =
            sasl_name(&login).and_then(|name| ClientMechanism::start(name, user, authid, &login.password));
        let mut backend = Self {
            login,
            state: State::Banner,
            over: false,
            xclient: false,
            mechanism,
            input: InputBuffer::new(BACKEND_LINE_BYTES_MAX),
            outputs: VecDeque::new(),
        };
        let ready = backend.check();
        backend.settle(ready);
        backend
    }

    fn check(&self) -> Step {
        if self.login.client.ttl <= 1 {
            let text = "TTL reached zero - proxies appear to be looping?";
            return Err(failure(FailureClass::RemoteConfig, text));
        }
        match (sasl_name(&self.login), &self.mechanism) {
            (Some(name), None) => {
                let text = format!("Unsupported SASL mechanism {}", printable(name.as_bytes()));
                Err(failure(FailureClass::Internal, &text))
            }
            (None, _)
                if ends_lines(self.login.user.as_bytes()) || ends_lines(self.login.password.expose()) =>
            {
                Err(failure(FailureClass::Internal, "CR, LF or NUL in user name or password"))
            }
            _ => Ok(()),
        }
    }

    fn received(&mut self, mut rest: &[u8]) -> Step {
        while !self.over && !rest.is_empty() {
            if self.state == State::Handshake {
                return Err(in_the_clear());
            }
            let (piece, behind) = rest.split_at(rest.len().min(self.input.room()));
            rest = behind;
            if self.input.extend(piece).is_err() || !self.take_lines(rest)? {
                return Err(failure(FailureClass::Protocol, "Too long input line"));
            }
        }
        Ok(())
    }

    /// Takes all complete lines; false if the buffer is full without one. `rest` is what arrived behind it.
    fn take_lines(&mut self, rest: &[u8]) -> Result<bool, BackendFailure> {
        while let Some(line) = self.input.line() {
            let (content, len) = (line.content.to_vec(), line.len);
            self.input.consume(len);
            self.take_line(&content, rest)?;
            if self.over {
                break;
            }
        }
        Ok(!self.input.is_full())
    }

    fn take_line(&mut self, line: &[u8], rest: &[u8]) -> Step {
        match self.state {
            State::Banner => self.take_banner(line),
            State::StartTls => self.take_stls_reply(line, rest),
            State::Handshake => Err(in_the_clear()),
            State::Xclient => self.take_xclient_reply(line),
            State::Login1 => self.take_user_reply(line),
            State::Login2 => self.take_login_reply(line, rest),
        }
    }

    fn take_banner(&mut self, line: &[u8]) -> Step {
        if !is_ok(line) {
            let text = format!("Invalid banner: {}", printable(line));
            return Err(failure(FailureClass::Protocol, &text));
        }
        self.xclient = line.starts_with(b"+OK [XCLIENT]") && !self.login.not_trusted;
        if self.login.starttls {
            self.send(Secret::from("STLS\r\n"));
            self.state = State::StartTls;
        } else {
            self.log_in();
        }
        Ok(())
    }

    fn take_stls_reply(&mut self, line: &[u8], rest: &[u8]) -> Step {
        if !is_ok(line) {
            let text = format!("STLS failed: {}", printable(line));
            return Err(failure(FailureClass::Remote, &text));
        }
        if !self.input.is_empty() || !rest.is_empty() {
            return Err(in_the_clear());
        }
        self.outputs.push_back(BackendOutput::StartTls);
        self.state = State::Handshake;
        Ok(())
    }

    /// XCLIENT, if it may be sent, and the first command of the login in one piece.
    fn log_in(&mut self) {
        let mut commands = Vec::new();
        if self.xclient {
            let xclient = xclient::command(&self.login.client, &self.login.forward);
            commands.extend_from_slice(xclient.as_bytes());
        }
        let first = match &mut self.mechanism {
            Some(mechanism) => {
                let initial = mechanism.take_initial().filter(|response| !response.is_empty());
                let response = initial.map_or_else(|| Secret::from("="), |r| base64(&r));
                command(&["AUTH ", mechanism.name(), " "], &response)
            }
            None => command(&["USER "], &Secret::from(self.login.user.as_bytes())),
        };
        // Exactly as long as needed, so that no copy of the credentials is left behind.
        commands.reserve_exact(first.len());
        commands.extend_from_slice(first.expose());
        self.send(Secret::new(commands));
        self.state = if self.xclient { State::Xclient } else { self.first_reply() };
    }

    fn first_reply(&self) -> State {
        if self.mechanism.is_some() { State::Login2 } else { State::Login1 }
    }

    fn take_xclient_reply(&mut self, line: &[u8]) -> Step {
        if !is_ok(line) {
            let text = format!("XCLIENT failed: {}", printable(line));
            return Err(failure(FailureClass::Remote, &text));
        }
        self.state = self.first_reply();
        Ok(())
    }

    fn take_user_reply(&mut self, line: &[u8]) -> Step {
        if !is_ok(line) {
            return Err(refusal(line));
        }
        self.send(command(&["PASS "], &self.login.password));
        self.state = State::Login2;
        Ok(())
    }

    fn take_login_reply(&mut self, line: &[u8], rest: &[u8]) -> Step {
        if let (Some(challenge), Some(_)) = (line.strip_prefix(b"+ "), &self.mechanism) {
            return self.answer(challenge);
        }
        if !is_ok(line) {
            return Err(refusal(line));
        }
        let unread = Bytes::from([&self.input.take()[..], rest].concat());
        let success = BackendSuccess { reply: line.to_vec(), capabilities: None, unread };
        self.outputs.push_back(BackendOutput::LoggedIn(success));
        self.over = true;
        Ok(())
    }

    fn answer(&mut self, challenge: &[u8]) -> Step {
        let Some(challenge) = decode_base64(challenge) else {
            return Err(failure(FailureClass::Protocol, "Invalid base64 data in AUTH response"));
        };
        let response = self
            .mechanism
            .as_mut()
            .map_or(Err(SaslError::UnexpectedChallenge), |m| m.respond(&challenge))
            .map_err(|error| {
                failure(FailureClass::Protocol, &format!("Server sent invalid authentication data: {error}"))
            })?;
        self.send(command(&[], &base64(&response)));
        Ok(())
    }

    fn tls_up(&mut self) {
        if self.state == State::Handshake && !self.over {
            self.log_in();
        }
    }

    fn send(&mut self, bytes: Secret) {
        self.outputs.push_back(BackendOutput::Send(bytes));
    }

    fn settle(&mut self, step: Step) {
        if let Err(failure) = step {
            self.outputs.push_back(BackendOutput::Failed(failure));
            self.over = true;
        }
    }
}

impl BackendDialogue for Pop3Backend {
    fn handle(&mut self, input: BackendInput<'_>) {
        match input {
            BackendInput::Bytes(bytes) => {
                let step = self.received(bytes);
                self.settle(step);
            }
            BackendInput::TlsUp => self.tls_up(),
        }
    }

    fn poll_output(&mut self) -> Option<BackendOutput> {
        self.outputs.pop_front()
    }

    fn state(&self) -> String {
        let name = match self.state {
            State::Banner => "banner",
            State::StartTls | State::Handshake => "starttls",
            State::Xclient => "xclient",
            State::Login1 => "login1",
            State::Login2 => "login2",
        };
        name.to_owned()
    }

    fn may_let_in(&self) -> bool {
        self.state == State::Login2
    }
}

/// The mechanism for AUTH; `None`: USER and PASS.
fn sasl_name(login: &BackendLogin) -> Option<&str> {
    login.mechanism.as_deref().or_else(|| login.master.as_ref().map(|_| "PLAIN"))
}

/// USER and PASS carry their argument as it is.
fn ends_lines(argument: &[u8]) -> bool {
    argument.iter().any(|b| matches!(b, b'\r' | b'\n' | 0))
}

fn is_ok(line: &[u8]) -> bool {
    line.starts_with(b"+OK")
}

/// One line with a secret argument, in an allocation that never moves.
fn command(head: &[&str], argument: &Secret) -> Secret {
    let size = head.iter().map(|part| part.len()).sum::<usize>() + argument.len() + 2;
    let mut line = Vec::with_capacity(size);
    for part in head {
        line.extend_from_slice(part.as_bytes());
    }
    line.extend_from_slice(argument.expose());
    line.extend_from_slice(b"\r\n");
    Secret::new(line)
}

fn base64(response: &Secret) -> Secret {
    Secret::new(encode_base64(response.expose()).into_bytes())
}

/// Bytes behind the STLS reply could be anybody's; taken as if from inside TLS they would forge replies.
fn in_the_clear() -> BackendFailure {
    failure(FailureClass::Protocol, "Remote sent data in the clear behind STLS")
}

fn failure(class: FailureClass, text: &str) -> BackendFailure {
    BackendFailure { class, text: text.to_owned(), reply: None }
}

/// A refusal with text is the client's to see, `[IN-USE]`, `[AUTH]` and the like included; only
/// `[SYS/TEMP]` is worth another attempt. Anything else is no answer to show.
fn refusal(line: &[u8]) -> BackendFailure {
    match line.strip_prefix(b"-ERR ") {
        Some(text) => {
            let later = text.starts_with(b"[SYS/TEMP]");
            let class = if later { FailureClass::AuthTempFail } else { FailureClass::Auth };
            BackendFailure { class, text: printable(text), reply: Some(line.to_vec()) }
        }
        None => failure(FailureClass::Auth, &printable(line)),
    }
}

#[cfg(test)]
mod tests;
