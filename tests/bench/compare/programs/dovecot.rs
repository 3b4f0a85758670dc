//! Dovecot 2.3: login proxies in shared-process mode, with the director. The auth service is the one of the bench, so
//! that neither Dovecot nor Homing pays for checking passwords.

use std::{fs, path::Path, process::Command};

use super::{Peer, Way, homing};
use crate::{
    machine::files_max,
    site::{DOVECOT_BASE, Site},
};

pub struct Dovecot;

impl Peer for Dovecot {
    fn can(&self, _: Way) -> bool {
        true
    }

    fn command(&self, site: &Site, folder: &Path, _: Way) -> Command {
        let file = folder.join("dovecot.conf");
        fs::write(&file, homing::common(site, folder) + &more(folder)).unwrap();
        let mut command = Command::new("dovecot");
        command.arg("-F").arg("-c").arg(file);
        command
    }
}

/// Every service may have as many clients, and as much memory, as the largest measurement needs.
fn more(folder: &Path) -> String {
    let limit = files_max().saturating_sub(100);
    let login = |service: &str| {
        format!(
            "service {service} {{\n  executable = {service} director\n  service_count = 0\n  process_min_avail = 1\n\
             \x20 process_limit = 1\n  client_limit = {limit}\n  vsz_limit = 8G\n}}\n"
        )
    };
    format!(
        "base_dir = {folder}/{DOVECOT_BASE}
state_dir = {folder}/state
ssl_min_protocol = TLSv1.2
default_client_limit = {limit}
default_vsz_limit = 4G
director_servers = 127.0.0.1
service director {{
  chroot =
  process_min_avail = 1
  unix_listener login/director {{
    mode = 0666
  }}
  fifo_listener login/proxy-notify {{
    mode = 0666
  }}
  inet_listener {{
    address = 127.0.0.1
    port = 9090
  }}
}}
service ipc {{
  unix_listener ipc {{
    user = dovecot
  }}
}}
service auth {{
  unix_listener auth-login {{
    mode = 0
  }}
}}
passdb {{
  driver = static
  args = nopassword=y proxy=y
}}
{}{}{}",
        login("imap-login"),
        login("pop3-login"),
        login("managesieve-login"),
        folder = folder.display(),
    )
}
