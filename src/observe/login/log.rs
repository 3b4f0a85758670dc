//! Where a session writes its lines.

use std::time::Duration;

use homing_login::{CloseReason, Note, UserName};
use homing_wire::printable;
use tracing::Level;

use super::{
    Extra, FailedAttempt, LoginContext, ProxyDestination, ProxyEnd, ProxyFailure,
    disconnect::reason_words,
    proxy::in_prefix,
    template::Template,
    variable::{Variable, mechanism},
};
use crate::config::settings::LogSettings;

/// Fields of a line that is an event for programs (README, "Events").
#[derive(Debug, Clone, Copy, Default)]
struct Event<'a> {
    name: Option<&'static str>,
    user_hash: Option<&'a str>,
    from: Option<&'a str>,
    to: Option<&'a str>,
    reason: Option<&'a str>,
}

/// What the director says about a session's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceFacts {
    /// As the director's own lines and commands show it.
    pub user_hash: String,
    /// Why the user is on this backend.
    pub reason: String,
}

/// Writes login lines with the configured elements. Share one.
#[derive(Debug, Clone)]
pub struct LoginLog {
    template: Template,
    verbose: bool,
}

impl LoginLog {
    /// Parses the templates.
    pub fn new(settings: &LogSettings) -> Self {
        Self { template: Template::new(&settings.elements, &settings.line), verbose: settings.auth_verbose }
    }

    /// One failed attempt, at once, in the form that fail2ban and CrowdSec count. Failures of trusted clients are
    /// written in words they do not: they would ban a webmail server for its users' typing.
    pub fn failed_attempt(&self, context: &LoginContext, attempt: FailedAttempt) {
        if context.trusted {
            self.write(Level::INFO, context, "Login failed for a client in login_trusted_networks");
        } else {
            self.write(Level::INFO, context, &format!("Disconnected ({attempt})"));
        }
    }

    /// The end of a connection that did not get to a backend. `error` is the cause behind `Connection closed`.
    pub fn disconnected(
        &self,
        context: &LoginContext,
        reason: CloseReason,
        error: Option<&str>,
        extra: Extra,
    ) {
        let mut reason = reason_words(reason).to_owned();
        if let Some(error) = error.filter(|error| *error != reason) {
            // Filters look for EXTRA behind the first " (", so that there is only one.
            let error = printable(error.as_bytes()).replace(" (", " [");
            reason = format!("{reason}: {error}");
        }
        self.write(Level::INFO, context, &format!("Disconnected: {reason} ({extra})"));
    }

    /// What a frontend noticed; refusals only with `auth_verbose` (14.4).
    pub fn note(&self, context: &LoginContext, note: &Note) {
        let text = match note {
            Note::ClientId(id) => {
                return self.write(Level::INFO, context, &format!("ID sent: {}", printable(id.as_bytes())));
            }
            Note::PlaintextRefused => "Login failed: Plaintext authentication disabled".to_owned(),
            Note::TlsRequired => "Login failed: SSL required for authentication".to_owned(),
            Note::UnsupportedMechanism(name) => {
                format!("Authenticate {} failed: Unsupported authentication mechanism.", mechanism(name))
            }
            Note::AuthAborted => {
                let name = mechanism(&context.mechanism);
                format!("Authenticate {name} failed: Authentication aborted by client.")
            }
        };
        if self.verbose {
            self.write(Level::INFO, context, &text);
        }
    }

    /// The auth service is slow: the greeting waits.
    pub fn greeting_delayed(&self, context: &LoginContext) {
        let text = "Auth process not responding, delayed sending initial response (greeting)";
        self.write(Level::WARN, context, text);
    }

    /// A field of the auth service's reply cannot be used; the login goes on with the default.
    pub fn reply_invalid(&self, context: &LoginContext, problem: &str) {
        self.write(Level::ERROR, context, &printable(problem.as_bytes()));
    }

    /// A precondition of 7.1 does not hold; no backend was contacted.
    pub fn proxy_impossible(&self, context: &LoginContext, user: &UserName, problem: &str) {
        let text = format!("proxy({}): {}", in_prefix(user), printable(problem.as_bytes()));
        self.write(Level::ERROR, context, &text);
    }

    /// The backend login succeeded. `place` if it was the director who chose the backend.
    pub fn proxy_started(
        &self,
        context: &LoginContext,
        to: &ProxyDestination,
        took: Duration,
        reconnects: u32,
        place: Option<&PlaceFacts>,
    ) {
        let ip = to.address.ip().to_string();
        let event = Event {
            name: Some("login"),
            user_hash: place.map(|place| place.user_hash.as_str()),
            to: Some(&ip),
            reason: Some(place.map_or("auth service", |place| place.reason.as_str())),
            from: None,
        };
        let text = format!("{}{}", to.prefix(), to.started(took, reconnects));
        self.write_event(Level::INFO, context, &text, event);
    }

    /// With `auth_verbose`: the backend refused, in these words.
    pub fn proxy_login_failed(&self, context: &LoginContext, to: &ProxyDestination, backend_text: &str) {
        if self.verbose {
            self.proxy(Level::INFO, context, to, &to.login_failed(backend_text));
        }
    }

    /// A backend said something that nobody had asked for.
    pub fn proxy_warning(&self, context: &LoginContext, to: &ProxyDestination, text: &str) {
        self.proxy(Level::ERROR, context, to, &printable(text.as_bytes()));
    }

    /// The last attempt failed.
    pub fn proxy_failed(&self, context: &LoginContext, to: &ProxyDestination, failure: &ProxyFailure<'_>) {
        self.proxy(Level::ERROR, context, to, &failure.text(to));
    }

    /// A session ended.
    pub fn proxy_ended(&self, context: &LoginContext, to: &ProxyDestination, end: &ProxyEnd<'_>) {
        let (ip, reason) = (to.address.ip().to_string(), end.reason_word());
        let event =
            Event { name: Some("session_ended"), from: Some(&ip), reason: Some(reason), ..Event::default() };
        self.write_event(Level::INFO, context, &format!("{}{end}", to.prefix()), event);
    }

    fn proxy(&self, level: Level, context: &LoginContext, to: &ProxyDestination, text: &str) {
        self.write(level, context, &format!("{}{text}", to.prefix()));
    }

    fn write(&self, level: Level, context: &LoginContext, message: &str) {
        self.write_event(level, context, message, Event::default());
    }

    fn write_event(&self, level: Level, context: &LoginContext, message: &str, event: Event<'_>) {
        let line = self.template.render(message, context);
        let value = |variable: Variable| variable.value(context);
        let (user, method) = (value(Variable::short('u')), value(Variable::Mechanism));
        let (rip, lip, session) = (value(Variable::Rip), value(Variable::Lip), value(Variable::Session));
        let process = context.service.login_name();
        let Event { name: event, user_hash, from, to, reason } = event;
        // The level of an event is part of its static description.
        macro_rules! write {
            ($level:expr) => {
                tracing::event!(
                    target: "homing", $level,
                    process, user, method, rip, lip, session, event, user_hash, from, to, reason,
                    "{line}"
                )
            };
        }
        match level {
            Level::ERROR => write!(Level::ERROR),
            Level::WARN => write!(Level::WARN),
            _ => write!(Level::INFO),
        }
    }
}
