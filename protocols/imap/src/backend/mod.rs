//! The client side: one backend connection from its banner to the accepted login
//! (spec/login-proxy.md 8.1). Time limits and retries are the driver's.

mod command;
mod progress;
mod reader;
mod response;
mod withheld;

use std::collections::VecDeque;

use bytes::Bytes;
use homing_login::{
    BackendDialogue, BackendFailure, BackendInput, BackendLogin, BackendOutput, BackendSuccess, FailureClass,
    UserName,
};
use homing_sasl::{ClientMechanism, SaslError};
use homing_wire::{Secret, decode_base64, printable};

use progress::{Command, Progress, Received};
use reader::{LineReader, TooMuch};
use response::{Line, Offered, Refused};
use withheld::Withheld;

/// Logs one user in at one IMAP backend.
pub struct ImapBackend {
    login: BackendLogin,
    /// `None`: the LOGIN command.
    mechanism: Option<ClientMechanism>,
    progress: Progress,
    offered: Offered,
    capabilities: Option<String>,
    capabilities_asked: bool,
    /// What the backend said before TLS, or anybody on the way: good enough for how to log in, but not shown to the
    /// client (RFC 3501 section 6.2.1).
    capabilities_in_clear: bool,
    security: Security,
    over: bool,
    reader: LineReader,
    withheld: Withheld,
    /// Commands that go out together.
    unsent: Vec<Secret>,
    outputs: VecDeque<BackendOutput>,
}

/// Whether the connection is as secure as the login asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Security {
    /// STARTTLS comes first.
    Wanted,
    /// The handshake runs; nothing may arrive in the clear.
    Handshake,
    /// TLS is up, or not asked for.
    Settled,
}

type Step = Result<(), BackendFailure>;

impl ImapBackend {
    /// Waits for the backend's banner. A login that cannot be sent has failed at once: no hop left, a mechanism
    /// that this side does not have, a NUL in a name or password.
    pub fn new(login: BackendLogin) -> Self {
        let user = login.user.as_bytes();
        let authid = login.master.as_ref().map_or(user, UserName::as_bytes);
        let mechanism =
            mechanism_name(&login).and_then(|m| ClientMechanism::start(m, user, authid, &login.password));
        let mut backend = Self {
            mechanism,
            progress: Progress::default(),
            offered: Offered::default(),
            capabilities: login.known_capabilities.clone(),
            capabilities_asked: false,
            capabilities_in_clear: false,
            security: if login.starttls { Security::Wanted } else { Security::Settled },
            over: false,
            reader: LineReader::default(),
            withheld: Withheld::new(&login.password),
            unsent: Vec::new(),
            outputs: VecDeque::new(),
            login,
        };
        let ready = backend.check();
        backend.settle(ready);
        backend
    }

    fn check(&self) -> Step {
        let login = &self.login;
        if login.client.ttl <= 1 {
            let text = "TTL reached zero - proxies appear to be looping?";
            return Err(failure(FailureClass::RemoteConfig, text));
        }
        if let Some(name) = mechanism_name(login)
            && self.mechanism.is_none()
        {
            let text = format!("Unsupported SASL mechanism {}", printable(name.as_bytes()));
            return Err(failure(FailureClass::Internal, &text));
        }
        let master = login.master.as_ref().map_or(&b""[..], UserName::as_bytes);
        if [login.user.as_bytes(), master, login.password.expose()].iter().any(|part| part.contains(&0)) {
            return Err(failure(FailureClass::Internal, "NUL in user name or password"));
        }
        Ok(())
    }

    fn received(&mut self, mut rest: &[u8]) -> Step {
        while !self.over {
            if self.security == Security::Handshake {
                return in_the_clear(rest);
            }
            match self.reader.next(&mut rest) {
                Err(TooMuch::Line) => return Err(failure(FailureClass::Protocol, "Too long input line")),
                Err(TooMuch::Lines) => return Err(failure(FailureClass::Protocol, "Too many input lines")),
                Ok(None) => return Ok(()),
                Ok(Some(line)) if self.progress.is_silent() => self.take_banner(&line)?,
                Ok(Some(line)) => self.take_line(&line, rest)?,
            }
            self.flush();
        }
        Ok(())
    }

    fn take_banner(&mut self, line: &[u8]) -> Step {
        self.progress.greeted();
        let (capabilities, offered) = response::banner(line).map_err(|()| {
            failure(FailureClass::Protocol, &format!("Invalid banner: {}", self.withheld.shown(line)))
        })?;
        self.offered = offered;
        if let Some(capabilities) = capabilities {
            self.learn(capabilities);
        }
        if self.offered.id && !self.login.not_trusted {
            let id = command::id(&self.login.client, &self.login.forward);
            self.send(Command::Id, Secret::new(id));
            if self.login.no_pipelining {
                return Ok(());
            }
        }
        self.secure()
    }

    /// STARTTLS if it is wanted, else the login.
    fn secure(&mut self) -> Step {
        if self.security != Security::Wanted {
            return self.identify();
        }
        if self.offered.listed && !self.offered.starttls {
            return Err(failure(FailureClass::RemoteConfig, "STARTTLS not supported"));
        }
        self.send(Command::StartTls, Secret::from("S STARTTLS\r\n"));
        Ok(())
    }

    /// Asks for capabilities if needed, and logs in.
    fn identify(&mut self) -> Step {
        let wanted = self.capabilities.is_none() || self.login.ask_capabilities;
        if wanted && !self.capabilities_asked {
            self.capabilities_asked = true;
            self.send(Command::Capability, Secret::from("C CAPABILITY\r\n"));
            if self.login.no_pipelining {
                return Ok(());
            }
        }
        self.authenticate()
    }

    fn authenticate(&mut self) -> Step {
        let Some(mechanism) = &mut self.mechanism else { return self.log_in() };
        let initial = self.offered.sasl_ir.then(|| mechanism.take_initial().unwrap_or_default());
        let line = command::authenticate(mechanism.name(), initial.as_ref());
        if initial.is_some() {
            self.withheld.add(&command::base64_part(&line));
        }
        self.send(Command::Authenticate, line);
        Ok(())
    }

    fn log_in(&mut self) -> Step {
        if self.offered.login_disabled && !self.login.tls && !self.login.starttls {
            let text = "LOGINDISABLED advertised, but SSL/TLS not enabled";
            return Err(failure(FailureClass::RemoteConfig, text));
        }
        let line = command::login(self.login.user.as_bytes(), &self.login.password);
        self.send(Command::Login, line);
        Ok(())
    }

    /// One complete line behind the banner. `rest` is what arrived behind it.
    fn take_line(&mut self, line: &[u8], rest: &[u8]) -> Step {
        match Line::read(line) {
            Line::Continue(challenge) => self.answer(challenge),
            Line::StartTls if self.progress.waits_for(Command::StartTls) => self.start_tls(rest),
            Line::StartTlsRefused(reply) if self.progress.waits_for(Command::StartTls) => {
                let text = format!("STARTTLS failed: {}", self.withheld.shown(response::words(reply)));
                Err(failure(FailureClass::Remote, &text))
            }
            Line::LoggedIn(text) if self.login_sent() => {
                self.logged_in(text, rest);
                Ok(())
            }
            Line::Refused(reply) if self.login_sent() => Err(self.refusal(reply)),
            Line::Capability(ok) => {
                let waited = self.progress.received(Received::Capability, Command::Capability);
                if waited && ok && self.login.no_pipelining { self.identify() } else { Ok(()) }
            }
            Line::Id => {
                let waited = self.progress.received(Received::Id, Command::Id);
                if waited && self.login.no_pipelining { self.secure() } else { Ok(()) }
            }
            Line::Capabilities(list) => {
                self.learn(String::from_utf8_lossy(list).into_owned());
                Ok(())
            }
            Line::Swallowed => Ok(()),
            Line::Untagged => {
                self.pass_on(line);
                Ok(())
            }
            _ => {
                self.warn_about(line);
                Ok(())
            }
        }
    }

    fn login_sent(&self) -> bool {
        [Command::Login, Command::Authenticate, Command::AuthContinue]
            .iter()
            .any(|command| self.progress.waits_for(*command))
    }

    /// What is sent inside TLS is ready when the handshake ends.
    fn start_tls(&mut self, rest: &[u8]) -> Step {
        in_the_clear(rest)?;
        self.progress.received(Received::StartTls, Command::StartTls);
        self.outputs.push_back(BackendOutput::StartTls);
        self.security = Security::Handshake;
        self.identify()
    }

    /// A challenge, or else the consent to a literal, which was not waited for.
    fn answer(&mut self, challenge: &[u8]) -> Step {
        let waits = [Command::Authenticate, Command::AuthContinue];
        if !waits.iter().any(|command| self.progress.waits_for(*command)) {
            return Ok(());
        }
        for command in waits {
            self.progress.received(Received::AuthContinue, command);
        }
        let challenge = challenge
            .strip_prefix(b" ")
            .and_then(|base64| decode_base64(base64.trim_ascii()))
            .ok_or_else(|| failure(FailureClass::Protocol, "Invalid base64 data in AUTHENTICATE response"))?;
        let response = self
            .mechanism
            .as_mut()
            .map_or(Err(SaslError::UnexpectedChallenge), |m| m.respond(&challenge))
            .map_err(|error| {
                failure(FailureClass::Protocol, &format!("Invalid authentication data: {error}"))
            })?;
        let line = command::response(&response);
        self.withheld.add(&command::base64_part(&line));
        self.send(Command::AuthContinue, line);
        Ok(())
    }

    fn learn(&mut self, capabilities: String) {
        self.capabilities = Some(capabilities);
        self.capabilities_in_clear = self.security != Security::Settled;
    }

    fn shown_capabilities(&self) -> Option<&str> {
        self.capabilities.as_deref().filter(|_| !self.capabilities_in_clear)
    }

    fn logged_in(&mut self, text: &[u8], rest: &[u8]) {
        self.progress.received(Received::Login, Command::Login);
        let success = BackendSuccess {
            reply: text.to_vec(),
            capabilities: self.shown_capabilities().map(ToOwned::to_owned),
            unread: Bytes::copy_from_slice(rest),
        };
        self.outputs.push_back(BackendOutput::LoggedIn(success));
        self.over = true;
    }

    fn refusal(&mut self, reply: &[u8]) -> BackendFailure {
        self.progress.received(Received::Login, Command::Login);
        let text = self.withheld.shown(response::words(reply));
        let (class, shown) = match response::refusal(reply) {
            Refused::Hidden => (FailureClass::Auth, false),
            Refused::Shown => (FailureClass::Auth, true),
            Refused::TryLater => (FailureClass::AuthTempFail, true),
        };
        BackendFailure { class, text, reply: shown.then(|| reply.to_vec()) }
    }

    /// An untagged line for the client. In the clear, before TLS, it could be anybody's.
    fn pass_on(&mut self, line: &[u8]) {
        if self.security == Security::Settled {
            self.outputs.push_back(BackendOutput::ClientLine([line, b"\r\n"].concat().into()));
        }
    }

    /// A backend that does not take literals has read their content as commands, and repeats parts of it.
    fn warn_about(&mut self, line: &[u8]) {
        let forward = self.login.forward.iter().filter_map(|field| field.value.as_deref());
        let mut strings = forward.chain([self.login.password.expose()]);
        let with_literal = strings.any(command::needs_literal);
        let shown = if with_literal { withheld::NOT_SHOWN.to_owned() } else { self.withheld.shown(line) };
        self.outputs.push_back(BackendOutput::Warning(format!("Unexpected input, ignoring: {shown}")));
    }

    fn send(&mut self, command: Command, line: Secret) {
        self.progress.sent(command);
        self.unsent.push(line);
    }

    /// What one line of the backend calls for goes out in one piece, unless the handshake comes first.
    fn flush(&mut self) {
        if self.unsent.is_empty() || self.security == Security::Handshake {
            return;
        }
        let lines: Vec<&[u8]> = self.unsent.iter().map(Secret::expose).collect();
        let all = Secret::new(lines.concat());
        self.unsent.clear();
        self.outputs.push_back(BackendOutput::Send(all));
    }

    fn settle(&mut self, step: Step) {
        if let Err(failure) = step {
            self.unsent.clear();
            self.outputs.push_back(BackendOutput::Failed(failure));
            self.over = true;
        }
    }
}

impl BackendDialogue for ImapBackend {
    fn handle(&mut self, input: BackendInput<'_>) {
        if self.over {
            return;
        }
        match input {
            BackendInput::Bytes(bytes) => {
                let step = self.received(bytes);
                self.settle(step);
            }
            BackendInput::TlsUp if self.security == Security::Handshake => {
                self.security = Security::Settled;
                self.flush();
            }
            BackendInput::TlsUp => {}
        }
    }

    fn poll_output(&mut self) -> Option<BackendOutput> {
        self.outputs.pop_front()
    }

    fn state(&self) -> String {
        self.progress.name()
    }

    fn may_let_in(&self) -> bool {
        let carriers = [Command::Authenticate, Command::AuthContinue, Command::Login];
        carriers.iter().any(|command| self.progress.waits_for(*command))
    }

    fn capabilities(&self) -> Option<&str> {
        self.shown_capabilities()
    }
}

/// PLAIN for a master user; `None`: the LOGIN command.
fn mechanism_name(login: &BackendLogin) -> Option<&str> {
    login.mechanism.as_deref().or_else(|| login.master.as_ref().map(|_| "PLAIN"))
}

/// Bytes behind the STARTTLS reply could be anybody's; taken as if from inside TLS they would forge replies.
fn in_the_clear(rest: &[u8]) -> Step {
    if rest.is_empty() {
        return Ok(());
    }
    Err(failure(FailureClass::Protocol, "Remote sent data in the clear behind STARTTLS"))
}

fn failure(class: FailureClass, text: &str) -> BackendFailure {
    BackendFailure { class, text: text.to_owned(), reply: None }
}

#[cfg(test)]
mod tests;
