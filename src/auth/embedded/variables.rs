//! `%` variables in settings and in fields of password files. Knows only those that make sense here.

use std::net::SocketAddr;

use super::subject::Subject;

/// A text with variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable { name: Name, case: Case },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Kept,
    Lower,
    Upper,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    User,
    UserPart,
    Domain,
    Service,
    RemoteIp,
    LocalIp,
    RemotePort,
    LocalPort,
    Password,
    OriginalUser,
    Session,
}

impl Template {
    /// `None` if there is a variable or modifier that is not known.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((head, tail)) = rest.split_once('%') {
            push_text(&mut parts, head);
            if let Some(tail) = tail.strip_prefix('%') {
                push_text(&mut parts, "%");
                rest = tail;
            } else {
                let (part, tail) = variable(tail)?;
                parts.push(part);
                rest = tail;
            }
        }
        push_text(&mut parts, rest);
        Some(Self(parts))
    }

    /// Fills in the variables.
    pub(super) fn expand(&self, subject: &Subject) -> Vec<u8> {
        self.0.iter().flat_map(|part| part.expand(subject)).collect()
    }
}

impl Part {
    fn expand(&self, subject: &Subject) -> Vec<u8> {
        match self {
            Self::Text(text) => text.clone().into_bytes(),
            Self::Variable { name, case } => {
                let mut value = name.value(subject);
                match case {
                    Case::Kept => {}
                    Case::Lower => value.make_ascii_lowercase(),
                    Case::Upper => value.make_ascii_uppercase(),
                }
                value
            }
        }
    }
}

impl Name {
    fn short(letter: char) -> Option<Self> {
        Some(match letter {
            'u' => Self::User,
            'n' => Self::UserPart,
            'd' => Self::Domain,
            's' => Self::Service,
            'r' => Self::RemoteIp,
            'l' => Self::LocalIp,
            'b' => Self::RemotePort,
            'a' => Self::LocalPort,
            'w' => Self::Password,
            _ => return None,
        })
    }

    fn long(name: &str) -> Option<Self> {
        Some(match name {
            "user" => Self::User,
            "username" => Self::UserPart,
            "domain" => Self::Domain,
            "service" => Self::Service,
            "rip" => Self::RemoteIp,
            "lip" => Self::LocalIp,
            "rport" => Self::RemotePort,
            "lport" => Self::LocalPort,
            "password" => Self::Password,
            "orig_user" => Self::OriginalUser,
            "session" => Self::Session,
            _ => return None,
        })
    }

    fn value(self, subject: &Subject) -> Vec<u8> {
        let user = subject.user.as_str();
        let (local, remote): (SocketAddr, SocketAddr) = (subject.client.local, subject.client.remote);
        match self {
            Self::User => user.into(),
            Self::UserPart => user.split_once('@').map_or(user, |(name, _)| name).into(),
            Self::Domain => user.split_once('@').map_or("", |(_, domain)| domain).into(),
            Self::Service => subject.client.service.auth_name().into(),
            Self::RemoteIp => remote.ip().to_string().into_bytes(),
            Self::LocalIp => local.ip().to_string().into_bytes(),
            Self::RemotePort => remote.port().to_string().into_bytes(),
            Self::LocalPort => local.port().to_string().into_bytes(),
            Self::Password => subject.password.expose().to_vec(),
            Self::OriginalUser => subject.original_user.as_str().into(),
            Self::Session => subject.client.session.as_str().into(),
        }
    }
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    if !text.is_empty() {
        parts.push(Part::Text(text.to_owned()));
    }
}

/// What follows a `%`: modifiers and a letter or `{name}`; and what is behind it.
fn variable(text: &str) -> Option<(Part, &str)> {
    let (case, text) = match text.chars().next()? {
        'L' => (Case::Lower, text.get(1..)?),
        'U' => (Case::Upper, text.get(1..)?),
        _ => (Case::Kept, text),
    };
    let (name, rest) = match text.strip_prefix('{') {
        Some(long) => {
            let (name, rest) = long.split_once('}')?;
            (Name::long(name)?, rest)
        }
        None => {
            let mut chars = text.chars();
            (Name::short(chars.next()?)?, chars.as_str())
        }
    };
    Some((Part::Variable { name, case }, rest))
}
