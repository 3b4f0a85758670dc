//! `%` variables in settings and in fields of password files. Knows only those that make sense here.

use std::net::SocketAddr;

use nom::{
    IResult, Parser,
    branch::alt,
    bytes::complete::{is_not, tag},
    character::complete::anychar,
    combinator::{all_consuming, map, map_opt, value},
    multi::many0,
    sequence::{delimited, preceded},
};

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
        let plain = map(alt((is_not("%"), preceded(tag("%"), tag("%")))), Part::text);
        all_consuming(many0(alt((plain, variable)))).parse(text).ok().map(|(_, parts)| Self(parts))
    }

    /// Fills in the variables.
    pub(super) fn expand(&self, subject: &Subject) -> Vec<u8> {
        self.0.iter().flat_map(|part| part.expand(subject)).collect()
    }
}

impl Part {
    fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

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

/// `%`, perhaps a modifier, and a letter or `{name}`.
fn variable(text: &str) -> IResult<&str, Part> {
    let case = alt((value(Case::Lower, tag("L")), value(Case::Upper, tag("U")), value(Case::Kept, tag(""))));
    let long = map_opt(delimited(tag("{"), is_not("}"), tag("}")), Name::long);
    let name = alt((long, map_opt(anychar, Name::short)));
    map(preceded(tag("%"), (case, name)), |(case, name)| Part::Variable { name, case }).parse(text)
}
