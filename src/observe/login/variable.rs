//! The variables of `login_log_format_elements` (spec/login-proxy.md 14.1).

use homing_login::UserName;
use homing_wire::printable;

use super::LoginContext;

/// One variable of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Variable {
    User(Whose, Part),
    Service,
    Lip,
    Rip,
    LocalPort,
    RemotePort,
    RealLip,
    RealRip,
    RealLocalPort,
    RealRemotePort,
    Pid,
    Mechanism,
    Secured,
    Cipher,
    /// A proxy has no mail process: always empty.
    MailPid,
    Session,
    Listener,
    LocalName,
    Passdb(String),
    /// Shown as the reference shows it, so that a typing error is seen.
    Unsupported(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Login,
    Original,
    Auth,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    Name,
    Domain,
}

impl Variable {
    /// `%x`.
    pub(super) fn short(letter: char) -> Self {
        Self::long(match letter {
            'u' => "user",
            'n' => "username",
            'd' => "domain",
            's' => "service",
            'l' => "lip",
            'r' => "rip",
            'a' => "lport",
            'b' => "rport",
            'p' => "pid",
            'm' => "mechanism",
            'c' => "secured",
            'k' => "ssl_security",
            'e' => "mail_pid",
            other => return Self::Unsupported(other.to_string()),
        })
    }

    /// `%{name}`.
    pub(super) fn long(name: &str) -> Self {
        match name {
            "user" => Self::User(Whose::Login, Part::Whole),
            "username" => Self::User(Whose::Login, Part::Name),
            "domain" => Self::User(Whose::Login, Part::Domain),
            "orig_user" => Self::User(Whose::Original, Part::Whole),
            "orig_username" => Self::User(Whose::Original, Part::Name),
            "orig_domain" => Self::User(Whose::Original, Part::Domain),
            "auth_user" => Self::User(Whose::Auth, Part::Whole),
            "auth_username" => Self::User(Whose::Auth, Part::Name),
            "auth_domain" => Self::User(Whose::Auth, Part::Domain),
            "service" => Self::Service,
            "lip" => Self::Lip,
            "rip" => Self::Rip,
            "lport" => Self::LocalPort,
            "rport" => Self::RemotePort,
            "real_lip" => Self::RealLip,
            "real_rip" => Self::RealRip,
            "real_lport" => Self::RealLocalPort,
            "real_rport" => Self::RealRemotePort,
            "pid" => Self::Pid,
            "mechanism" => Self::Mechanism,
            "secured" => Self::Secured,
            "ssl_security" => Self::Cipher,
            "mail_pid" => Self::MailPid,
            "session" => Self::Session,
            "listener" => Self::Listener,
            "local_name" => Self::LocalName,
            other => match other.strip_prefix("passdb:") {
                Some(field) => Self::Passdb(field.to_owned()),
                None => Self::Unsupported(other.to_owned()),
            },
        }
    }

    /// True for those that keep their element even if they are empty.
    pub(super) fn keeps_element(&self) -> bool {
        matches!(self, Self::User(Whose::Login, Part::Whole | Part::Name) | Self::Passdb(_))
    }

    /// The value, fit for a log line.
    pub(super) fn value(&self, context: &LoginContext) -> String {
        let c = context;
        match self {
            Self::User(whose, part) => user(c, *whose, *part),
            Self::Service => c.service.auth_name().to_owned(),
            Self::Lip => c.local.ip().to_canonical().to_string(),
            Self::Rip => c.remote.ip().to_canonical().to_string(),
            Self::LocalPort => c.local.port().to_string(),
            Self::RemotePort => c.remote.port().to_string(),
            Self::RealLip => c.real_local.ip().to_canonical().to_string(),
            Self::RealRip => c.real_remote.ip().to_canonical().to_string(),
            Self::RealLocalPort => c.real_local.port().to_string(),
            Self::RealRemotePort => c.real_remote.port().to_string(),
            Self::Pid => std::process::id().to_string(),
            Self::Mechanism => mechanism(&c.mechanism),
            Self::Secured => c.tls.text(),
            Self::Cipher => printable(c.cipher.as_bytes()),
            Self::MailPid => String::new(),
            Self::Session => c.session.to_string(),
            Self::Listener => printable(c.listener.as_bytes()),
            Self::LocalName => printable(c.local_name.as_bytes()),
            // Whatever a template asks for: passwords stay out of the log.
            Self::Passdb(field) if field == "pass" => String::new(),
            Self::Passdb(field) => printable(c.passdb.value(field).unwrap_or_default()),
            Self::Unsupported(name) => format!("UNSUPPORTED_VARIABLE_{name}"),
        }
    }
}

/// Upper case, and one word: fail2ban reads `method=\S+,`.
pub(super) fn mechanism(name: &str) -> String {
    printable(name.to_ascii_uppercase().as_bytes()).replace(char::is_whitespace, "_")
}

fn user(context: &LoginContext, whose: Whose, part: Part) -> String {
    let name: &UserName = match whose {
        Whose::Login => &context.user,
        Whose::Original => &context.orig_user,
        Whose::Auth => &context.auth_user,
    };
    let bytes = name.as_bytes();
    let at = bytes.iter().position(|b| *b == b'@');
    printable(match (part, at) {
        (Part::Whole, _) | (Part::Name, None) => bytes,
        (Part::Name, Some(at)) => bytes.get(..at).unwrap_or_default(),
        (Part::Domain, None) => b"",
        (Part::Domain, Some(at)) => bytes.get(at + 1..).unwrap_or_default(),
    })
}
