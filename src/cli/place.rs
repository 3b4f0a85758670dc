//! Where a running program is asked: the socket named on the command line, or the one of a configuration.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use clap::Args;

use super::{exit::Fault, show::Form};
use crate::config::{
    self,
    settings::{AdminProtocol, SocketPlace},
};

/// The configuration that is looked at if none is named and it exists.
const CONFIG: &str = "/etc/homing/homing.conf";

/// The folder of the sockets if there is no configuration.
const BASE_DIR: &str = "/run/dovecot";

/// Where to ask, and what to print.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Asking")]
pub(super) struct Asking {
    /// Configuration that says where the socket is; /etc/homing/homing.conf unless told, if it exists
    #[arg(short, long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Socket to ask instead: a path, or host:port
    #[arg(short = 'a', long, value_name = "PATH|HOST:PORT", global = true)]
    socket: Option<Place>,
    /// Print one JSON document instead of a table
    #[arg(long, global = true)]
    json: bool,
}

/// A socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// A file.
    Unix(PathBuf),
    /// Host name or address, and port.
    Tcp(String),
}

impl Asking {
    /// What to print.
    pub(super) fn form(&self) -> Form {
        if self.json { Form::Json } else { Form::Text }
    }

    /// The socket for a protocol.
    pub(super) fn place(&self, protocol: AdminProtocol) -> Result<Place, Fault> {
        if let Some(place) = &self.socket {
            return Ok(place.clone());
        }
        match &self.config {
            Some(config) => configured(config, protocol),
            None if Path::new(CONFIG).exists() => configured(Path::new(CONFIG), protocol),
            None => Ok(Place::Unix(Path::new(BASE_DIR).join(match protocol {
                AdminProtocol::Director => "director-admin",
                AdminProtocol::Ipc => "ipc",
            }))),
        }
    }
}

/// A file rather than a port, since it says who may use it; one that is there, since the program makes those that it can.
fn configured(config: &Path, protocol: AdminProtocol) -> Result<Place, Fault> {
    let settings = config::admin_sockets(config).map_err(Fault::Config)?;
    let places = settings.sockets.into_iter().filter(|socket| socket.protocol == protocol);
    let best = places.map(|socket| Place::from(socket.place)).min_by_key(|place| match place {
        Place::Unix(path) if path.exists() => 0,
        Place::Unix(_) => 1,
        Place::Tcp(_) => 2,
    });
    best.ok_or_else(|| {
        Fault::Config(format!("{}: no socket to ask: no director, or no listener for it", config.display()))
    })
}

impl From<SocketPlace> for Place {
    fn from(place: SocketPlace) -> Self {
        match place {
            SocketPlace::Unix(file) => Self::Unix(file.path),
            SocketPlace::Tcp(address) => Self::Tcp(address.to_string()),
        }
    }
}

/// As doveadm: a `/` makes it a path.
impl std::str::FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains('/') {
            return Ok(Self::Unix(text.into()));
        }
        let port = text.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        port.map(|_| Self::Tcp(text.to_owned())).ok_or_else(|| "neither a path nor host:port".to_owned())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => path.display().fmt(f),
            Self::Tcp(address) => f.write_str(address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(config: Option<&Path>, socket: Option<&str>) -> Asking {
        let socket = socket.map(|socket| socket.parse().unwrap());
        Asking { config: config.map(Path::to_owned), socket, json: false }
    }

    #[test]
    fn sockets_are_paths_or_ports() {
        assert_eq!("run/x".parse(), Ok(Place::Unix("run/x".into())));
        for good in ["localhost:9091", "127.0.0.1:1", "[::1]:9091"] {
            assert_eq!(good.parse(), Ok(Place::Tcp(good.to_owned())));
        }
        for bad in ["", "director-admin", "host:", "host:x", "host:65536"] {
            assert!(bad.parse::<Place>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_configuration_says_where() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.conf");
        let place = |text: &str, protocol| {
            std::fs::write(&path, text).unwrap();
            asking(Some(&path), None).place(protocol).map(|place| place.to_string())
        };
        // What cannot be used otherwise does not matter.
        let text = "base_dir = /r\nssl_key = </nonexistent\nnot_known = 1\ndirector_mail_servers = nowhere.invalid\n";
        assert_eq!(place(text, AdminProtocol::Director), Ok("/r/director-admin".to_owned()));
        assert_eq!(place(text, AdminProtocol::Ipc), Ok("/r/ipc".to_owned()));
        let moved = format!(
            "{text}service director {{\n unix_listener director-admin {{\n mode = 0\n }}\n \
             inet_listener x-admin {{\n port = 9\n address = 127.0.0.1\n }}\n unix_listener /s/director-admin {{\n }}\n}}"
        );
        assert_eq!(place(&moved, AdminProtocol::Director), Ok("/s/director-admin".to_owned()));
        let there = folder.path().join("director-admin");
        std::fs::write(&there, "").unwrap();
        let two = format!("{text}service director {{\n unix_listener {} {{\n }}\n}}", there.display());
        assert_eq!(place(&two, AdminProtocol::Director), Ok(there.display().to_string()));
        let missing = place("base_dir = /r\n", AdminProtocol::Ipc).unwrap_err();
        assert_eq!(missing.status(), super::super::exit::EXIT_CONFIG);
        let missing = asking(Some(Path::new("/nonexistent")), None).place(AdminProtocol::Ipc);
        assert!(matches!(missing, Err(Fault::Config(text)) if text.contains("cannot read /nonexistent")));
        let told = asking(Some(Path::new("/nonexistent")), Some("/x/y")).place(AdminProtocol::Ipc);
        assert_eq!(told, Ok(Place::Unix("/x/y".into())));
    }
}
