//! The client side: one backend connection from its greeting to the accepted login
//! (spec/login-proxy.md 8.3). Time limits and retries are the driver's.

mod grammar;
mod reader;

use std::collections::VecDeque;

use bytes::Bytes;
use homing_login::{
    BackendDialogue, BackendFailure, BackendInput, BackendLogin, BackendOutput, BackendSuccess, FailureClass,
    UserName, xclient,
};
use homing_sasl::{ClientMechanism, SaslError};
use homing_wire::{Secret, decode_base64, encode_base64, printable};

use crate::text;
use grammar::{Greeting, Response, Status};
use reader::LineReader;

/// Logs one user in at one ManageSieve backend.
pub struct SieveBackend {
    login: BackendLogin,
    state: State,
    over: bool,
    offered: Offered,
    mechanism: Option<ClientMechanism>,
    reader: LineReader,
    outputs: VecDeque<BackendOutput>,
}

/// What the capability lines of a backend say, as far as it matters here.
#[derive(Debug, Default, Clone, Copy)]
struct Offered {
    sasl: bool,
    starttls: bool,
    xclient: bool,
}

/// Named as in log lines (spec/login-proxy.md 8.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The greeting is read.
    Greeting,
    /// STARTTLS is sent.
    TlsStart,
    /// The handshake runs; nothing may arrive in the clear.
    Handshake,
    /// TLS is up; the capabilities are read again.
    TlsReady,
    /// XCLIENT is sent.
    Xclient,
    /// AUTHENTICATE is sent.
    Auth,
}

type Step = Result<(), BackendFailure>;

impl SieveBackend {
    /// Waits for the backend's greeting. A login whose hops are used up, or whose mechanism is unknown, has
    /// failed at once.
    pub fn new(login: BackendLogin) -> Self {
        let name = login.mechanism.as_deref().unwrap_or("PLAIN");
        let user = login.user.as_bytes();
        let authid = login.master.as_ref().map_or(user, UserName::as_bytes);
        let mechanism = ClientMechanism::start(name, user, authid, &login.password);
        let mut backend = Self {
            login,
            state: State::Greeting,
            over: false,
            offered: Offered::default(),
            mechanism,
            reader: LineReader::default(),
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
        if self.mechanism.is_none() {
            let name = printable(self.login.mechanism.as_deref().unwrap_or_default().as_bytes());
            return Err(failure(FailureClass::Internal, &format!("Unsupported SASL mechanism {name}")));
        }
        Ok(())
    }

    fn received(&mut self, mut rest: &[u8]) -> Step {
        while !self.over {
            if self.state == State::Handshake {
                return in_the_clear(rest);
            }
            match self.reader.next(&mut rest) {
                Err(reader::TooMuch) => return Err(failure(FailureClass::Protocol, "Too long input line")),
                Ok(None) => return Ok(()),
                Ok(Some(line)) => self.take_line(&line, rest)?,
            }
        }
        Ok(())
    }

    /// One complete line, without its line end. `rest` is what arrived behind it.
    fn take_line(&mut self, line: &[u8], rest: &[u8]) -> Step {
        match self.state {
            State::Greeting | State::TlsReady => self.take_greeting(line),
            State::TlsStart => self.take_starttls_reply(line, rest),
            State::Xclient => self.take_xclient_reply(line),
            State::Auth => self.take_auth_reply(line, rest),
            State::Handshake => Ok(()),
        }
    }

    fn take_greeting(&mut self, line: &[u8]) -> Step {
        let offered = &mut self.offered;
        match grammar::greeting_line(line) {
            Greeting::Sasl(some) => offered.sasl = some,
            Greeting::StartTls => offered.starttls = true,
            Greeting::Xclient => offered.xclient = true,
            Greeting::Other => {}
            Greeting::Done => return self.greeted(),
            Greeting::Refused => {
                let text = "Remote sent unexpected NO/BYE instead of capability response";
                return Err(failure(FailureClass::Protocol, text));
            }
            Greeting::Erroneous => {
                return Err(failure(FailureClass::Protocol, "Server returned erroneous SASL capability"));
            }
            Greeting::Unreadable => {
                let text = "Remote returned with invalid capability/greeting line: ";
                return Err(failure(FailureClass::Protocol, &[text, &printable(line)].concat()));
            }
        }
        Ok(())
    }

    fn greeted(&mut self) -> Step {
        if self.login.starttls && self.state == State::Greeting {
            if !self.offered.starttls {
                return Err(failure(FailureClass::RemoteConfig, "Remote doesn't support STARTTLS"));
            }
            self.send(Secret::from("STARTTLS\r\n"));
            self.state = State::TlsStart;
            return Ok(());
        }
        if !self.offered.xclient {
            return self.authenticate();
        }
        // `proxy_not_trusted` is not looked at (row MS-16).
        let command = xclient::command(&self.login.client, &self.login.forward);
        self.send(Secret::from(command.as_str()));
        self.state = State::Xclient;
        Ok(())
    }

    fn take_starttls_reply(&mut self, line: &[u8], rest: &[u8]) -> Step {
        if Response::status_of(line) != Some(Status::Ok) {
            return Err(failure(FailureClass::Remote, "Remote refused STARTTLS command"));
        }
        in_the_clear(rest)?;
        self.outputs.push_back(BackendOutput::StartTls);
        self.state = State::Handshake;
        Ok(())
    }

    fn take_xclient_reply(&mut self, line: &[u8]) -> Step {
        if Response::status_of(line) != Some(Status::Ok) {
            let text = format!("Remote XCLIENT failed: {}", printable(line));
            return Err(failure(FailureClass::Remote, &text));
        }
        self.authenticate()
    }

    fn authenticate(&mut self) -> Step {
        if !self.offered.sasl {
            let text = "Server has disabled authentication (TLS required?)";
            return Err(failure(FailureClass::RemoteConfig, text));
        }
        let Some(mechanism) = &mut self.mechanism else { return self.check() };
        let mut command = format!("AUTHENTICATE \"{}\"", mechanism.name()).into_bytes();
        let initial = mechanism.take_initial().map(|response| base64_line(&response));
        match &initial {
            Some(response) => {
                command.push(b' ');
                // Exactly as long as needed, so that no copy of the credentials is left behind.
                command.reserve_exact(response.len());
                command.extend_from_slice(response.expose());
            }
            None => command.extend_from_slice(b"\r\n"),
        }
        self.send(Secret::new(command));
        self.state = State::Auth;
        Ok(())
    }

    fn take_auth_reply(&mut self, line: &[u8], rest: &[u8]) -> Step {
        if line.starts_with(b"\"") {
            return self.answer(line);
        }
        let response = Response::parse(line);
        if response.status == Some(Status::Ok) {
            let unread = Bytes::copy_from_slice(rest);
            let success = BackendSuccess { reply: line.to_vec(), capabilities: None, unread };
            self.outputs.push_back(BackendOutput::LoggedIn(success));
            self.over = true;
            return Ok(());
        }
        Err(refusal(&response, line))
    }

    /// Challenges are quoted strings only (spec/login-proxy.md 8.3.4).
    fn answer(&mut self, line: &[u8]) -> Step {
        let Some(challenge) = grammar::whole_string(line) else {
            let text = format!("Server sent invalid SASL challenge line: {}", printable(line));
            return Err(failure(FailureClass::Protocol, &text));
        };
        let Some(challenge) = decode_base64(&challenge) else {
            let text = "Server sent invalid base64 data in AUTHENTICATE response";
            return Err(failure(FailureClass::Protocol, text));
        };
        let response = self
            .mechanism
            .as_mut()
            .map_or(Err(SaslError::UnexpectedChallenge), |m| m.respond(&challenge))
            .map_err(|error| {
                failure(FailureClass::Protocol, &format!("Server sent invalid authentication data: {error}"))
            })?;
        self.send(base64_line(&response));
        Ok(())
    }

    fn tls_up(&mut self) {
        if self.state == State::Handshake {
            self.state = State::TlsReady;
            self.offered = Offered::default();
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

impl BackendDialogue for SieveBackend {
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
            State::Greeting => "none",
            State::TlsStart => "tls-start",
            State::Handshake | State::TlsReady => "tls-ready",
            State::Xclient => "xclient",
            State::Auth => "auth",
        };
        name.to_owned()
    }

    fn may_let_in(&self) -> bool {
        matches!(self.state, State::Auth)
    }
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

/// Only a backend that says "try later" is quoted to the client; other words could tell whether a user exists.
fn refusal(response: &Response, line: &[u8]) -> BackendFailure {
    let text = match response.status {
        Some(Status::No) => printable(&response.text),
        _ => printable(line),
    };
    if response.status == Some(Status::No) && response.is_try_later() {
        let mut reply = text::reply("NO (TRYLATER)", &response.text);
        reply.truncate(reply.len().saturating_sub(2));
        return BackendFailure { class: FailureClass::AuthTempFail, text, reply: Some(reply) };
    }
    BackendFailure { class: FailureClass::Auth, text, reply: None }
}

/// A response in base64, quoted, with CR LF.
fn base64_line(response: &Secret) -> Secret {
    let base64 = Secret::new(encode_base64(response.expose()).into_bytes());
    Secret::new(text::string_line(base64.expose()))
}

#[cfg(test)]
mod tests;
