//! HAProxy in TCP mode, forced to splice. It knows no mail protocol: clients log in at the backend, so its logins are
//! those of a relay.

use std::{fs, path::Path, process::Command};

use super::{Peer, Protocol, Tls, Way};
use crate::machine::sessions_max;
use crate::site::{
    BACKEND_IMAP, BACKEND_POP3, BACKEND_SIEVE, BACKENDS, FRONT, IMAP, IMAPS, POP3, POP3S, SIEVE, Site,
};

pub struct Haproxy;

impl Peer for Haproxy {
    fn can(&self, way: Way) -> bool {
        way.protocol != Protocol::Sieve || way.tls == Tls::Off
    }

    fn command(&self, site: &Site, folder: &Path, _: Way) -> Command {
        let file = folder.join("haproxy.cfg");
        fs::write(&file, configuration(site)).unwrap();
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(file);
        command
    }
}

fn configuration(site: &Site) -> String {
    let both = site.cert_and_key();
    let section = |name: &str, plain: u16, tls: Option<u16>, port: u16| {
        let mut text = format!("listen {name}\n  bind {FRONT}:{plain}\n");
        if let Some(tls) = tls {
            text += &format!("  bind {FRONT}:{tls} ssl crt {}\n", both.display());
        }
        for (n, host) in BACKENDS.iter().enumerate() {
            text += &format!("  server s{n} {host}:{port}\n");
        }
        text
    };
    format!(
        "global
  nbthread 1
  maxconn {sessions}
  maxpipes 20
  log stdout format raw daemon
defaults
  mode tcp
  log global
  option tcplog
  option splice-request
  option splice-response
  balance source
  timeout connect 30s
  timeout client 30m
  timeout server 30m
{}{}{}",
        section("imap", IMAP, Some(IMAPS), BACKEND_IMAP),
        section("pop3", POP3, Some(POP3S), BACKEND_POP3),
        section("sieve", SIEVE, None, BACKEND_SIEVE),
        sessions = sessions_max(),
    )
}
