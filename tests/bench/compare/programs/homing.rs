//! Homing as a director node.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Peer, Way};
use crate::site::{BACKENDS, FRONT, IMAP, IMAPS, POP3, POP3S, SIEVE, Site};

pub struct Homing(pub PathBuf);

impl Peer for Homing {
    fn can(&self, _: Way) -> bool {
        true
    }

    fn command(&self, site: &Site, folder: &Path, _: Way) -> Command {
        let file = folder.join("homing.conf");
        fs::write(&file, configuration(site, folder)).unwrap();
        let mut command = Command::new(copied(&self.0, folder));
        command.args(["run", "-c"]).arg(file);
        command
    }
}

/// A copy of a program: the tools run the same file, and would share its pages.
pub fn copied(program: &Path, folder: &Path) -> PathBuf {
    let copy = folder.join("program");
    if !copy.exists() {
        fs::copy(program, &copy).unwrap();
    }
    copy
}

fn configuration(site: &Site, folder: &Path) -> String {
    format!(
        "{}base_dir = {}\nlogin_auth_socket_path = {}\n",
        common(site, folder),
        folder.display(),
        site.auth().display()
    )
}

/// What Homing and Dovecot are told with the same words.
pub fn common(site: &Site, folder: &Path) -> String {
    format!(
        "protocols = imap pop3 sieve
listen = {FRONT}
log_path = {log}
ssl = yes
ssl_cert = <{cert}
ssl_key = <{key}
disable_plaintext_auth = no
director_mail_servers = {backends}
service imap-login {{
  inet_listener imap {{
    port = {IMAP}
  }}
  inet_listener imaps {{
    port = {IMAPS}
    ssl = yes
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {POP3}
  }}
  inet_listener pop3s {{
    port = {POP3S}
    ssl = yes
  }}
}}
service managesieve-login {{
  inet_listener sieve {{
    port = {SIEVE}
  }}
}}
",
        log = folder.join("log").display(),
        cert = site.cert().display(),
        key = site.key().display(),
        backends = BACKENDS.join(" "),
    )
}
