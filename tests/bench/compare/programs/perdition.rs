//! Perdition: a process for each session. It listens for one protocol at a time.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use super::{Peer, Protocol, Tls, Way};
use crate::{
    machine::said,
    site::{BACKEND_IMAP, BACKEND_POP3, BACKENDS, FRONT, Site},
};

pub struct Perdition;

/// Empty if it is not installed.
pub fn version() -> String {
    said("perdition", &["--help"])
}

impl Peer for Perdition {
    fn can(&self, way: Way) -> bool {
        way.protocol != Protocol::Sieve && way.tls != Tls::Resumed
    }

    fn ends_sessions(&self) -> bool {
        false
    }

    fn sessions_max(&self) -> usize {
        1000
    }

    fn command(&self, site: &Site, folder: &Path, way: Way) -> Command {
        let (name, port) = match way.protocol {
            Protocol::Pop3 => ("POP3", BACKEND_POP3),
            Protocol::Imap | Protocol::Sieve => ("IMAP4", BACKEND_IMAP),
        };
        // Its sessions are those of nobody, and each opens the log again.
        let log = folder.join("log");
        fs::write(&log, "").unwrap();
        fs::set_permissions(&log, fs::Permissions::from_mode(0o666)).unwrap();
        let mut command = Command::new("perdition");
        command.args(["--no_daemon", "--no_lookup", "--protocol", name, "--bind_address", FRONT]);
        command.arg("--listen_port").arg(way.port().to_string());
        command.arg("--outgoing_server").arg(BACKENDS[0]).arg("--outgoing_port").arg(port.to_string());
        command.arg("--log_facility").arg(log).arg("--pid_file").arg(folder.join("pid"));
        command.args(["--map_library", "", "--connect_relog", "0", "--quiet"]);
        if way.tls != Tls::Off {
            command.args(["--ssl_mode", "ssl_listen", "--ssl_cert_file"]).arg(site.cert());
            command.arg("--ssl_key_file").arg(site.key());
        }
        command
    }
}
