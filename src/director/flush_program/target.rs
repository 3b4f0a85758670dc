//! Where the flush program is, as configured and for one move.

use std::{fmt, path::PathBuf};

use thiserror::Error;

use crate::director::core::Host;

/// `director_flush_socket`, its variables not expanded yet. They are those of the new backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::director) struct FlushTarget {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Ip,
    Hostname,
}

/// The program for one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    Unix(PathBuf),
    /// Host and port.
    Tcp(String, u16),
    /// Neither: a variable has made it so.
    Unusable(String),
}

/// `director_flush_socket` cannot be used.
#[derive(Debug, Error)]
#[error("director_flush_socket: {0} is no variable (%i, %h, %{{ip}}, %{{host}})")]
pub struct TargetError(String);

impl FlushTarget {
    /// `None` for an empty text.
    pub(in crate::director) fn parse(text: &str) -> Result<Option<Self>, TargetError> {
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some((before, behind)) = rest.split_once('%') {
            pieces.push(Piece::Text(before.to_owned()));
            let known =
                [("i", Piece::Ip), ("h", Piece::Hostname), ("{ip}", Piece::Ip), ("{host}", Piece::Hostname)]
                    .into_iter()
                    .chain([("%", Piece::Text("%".to_owned()))]);
            let mut found = known.filter_map(|(name, piece)| Some((piece, behind.strip_prefix(name)?)));
            let (piece, later) = found
                .next()
                .ok_or_else(|| TargetError(format!("%{}", behind.split('/').next().unwrap_or_default())))?;
            pieces.push(piece);
            rest = later;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok((!text.is_empty()).then_some(Self { pieces }))
    }

    pub(super) fn address(&self, new: &Host) -> Address {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Ip => new.ip.to_string(),
            Piece::Hostname => new.hostname.clone().unwrap_or_default(),
        };
        Address::parse(&self.pieces.iter().map(piece).collect::<String>())
    }
}

impl Address {
    fn parse(text: &str) -> Self {
        let tcp = |rest: &str| {
            let (host, port) = rest.rsplit_once(':')?;
            let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
            Some(Self::Tcp(host.to_owned(), port.parse().ok()?)).filter(|_| !host.is_empty())
        };
        let unix = || text.strip_prefix("unix:").map(|path| Self::Unix(path.into()));
        let known = unix().or_else(|| text.strip_prefix("tcp:").and_then(tcp));
        known.unwrap_or_else(|| Self::Unusable(text.to_owned()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(host, port) => write!(f, "tcp:{host}:{port}"),
            Self::Unusable(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str, hostname: Option<&str>) -> String {
        let host = Host::new("10.0.0.9".parse().unwrap(), hostname.map(str::to_owned), Vec::new());
        format!("{:?}", FlushTarget::parse(text).unwrap().unwrap().address(&host))
    }

    #[test]
    fn variables_are_those_of_the_new_backend() {
        assert_eq!(address("unix:/run/%i/%h", Some("be1")), "Unix(\"/run/10.0.0.9/be1\")");
        assert_eq!(address("unix:/run/%{ip}-%{host}-%%", None), "Unix(\"/run/10.0.0.9--%\")");
        assert_eq!(address("tcp:%h:2000", Some("be1")), "Tcp(\"be1\", 2000)");
        assert_eq!(address("tcp:[::1]:2000", None), "Tcp(\"::1\", 2000)");
        assert_eq!(address("tcp:%h:2000", None), "Unusable(\"tcp::2000\")");
        assert_eq!(FlushTarget::parse("").unwrap(), None);
        assert_eq!(
            FlushTarget::parse("unix:/%u/x").unwrap_err().to_string(),
            "director_flush_socket: %u is no variable (%i, %h, %{ip}, %{host})"
        );
    }
}
