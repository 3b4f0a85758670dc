//! The bare relay: what is left when everything that makes a mail proxy is left out. See `floor`.

use std::{path::Path, process::Command};

use super::{Peer, Protocol, Way, homing::copied};
use crate::site::{BACKEND_IMAP, BACKENDS, FRONT, IMAP, IMAPS, Site};

pub struct Relay;

impl Peer for Relay {
    fn can(&self, way: Way) -> bool {
        way.protocol == Protocol::Imap
    }

    fn command(&self, site: &Site, folder: &Path, _: Way) -> Command {
        let mut command = Command::new(copied(&std::env::current_exe().unwrap(), folder));
        command.arg("floor").arg("--imap").arg(format!("{FRONT}:{IMAP}"));
        command.arg("--imaps").arg(format!("{FRONT}:{IMAPS}"));
        command.arg("--cert").arg(site.cert()).arg("--key").arg(site.key());
        for host in BACKENDS {
            command.arg("--backend").arg(format!("{host}:{BACKEND_IMAP}"));
        }
        command
    }
}
