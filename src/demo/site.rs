//! The files of the demo's site: configuration, users, certificate; and what to tell the person who started it.

use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::backend::{BACKENDS, IMAP_PORT, POP3_PORT, SIEVE_PORT};
use crate::tls::development;

/// Users and their passwords, shown to everybody.
const USERS: &[(&str, &str)] =
    &[("alice", "wonderland"), ("bob", "builder"), ("carol", "singer"), ("dave", "diver")];

/// Files in a folder of their own, removed at the end.
pub(super) struct Site {
    /// The configuration to load.
    pub(super) config: PathBuf,
    folder: PathBuf,
}

impl Site {
    /// Writes the files.
    pub(super) fn create() -> io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("homing-demo-{}", std::process::id()));
        fs::create_dir(&folder)?;
        let site = Self { config: folder.join("homing.conf"), folder };
        let (certificate, key) =
            development::self_signed(&["localhost", "127.0.0.1"]).map_err(io::Error::other)?;
        site.write("cert.pem", &certificate)?;
        site.write("key.pem", &key)?;
        for (service, port) in [("imap", IMAP_PORT), ("pop3", POP3_PORT), ("sieve", SIEVE_PORT)] {
            site.write(&format!("users-{service}"), &users(port))?;
        }
        site.write("homing.conf", &configuration(&site.folder))?;
        Ok(site)
    }

    fn write(&self, name: &str, content: &str) -> io::Result<()> {
        let path = self.folder.join(name);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        io::Write::write_all(&mut file, content.as_bytes())
    }

    /// What listens where, and lines to paste.
    pub(super) fn instructions(&self) -> String {
        format!(
            "{INSTRUCTIONS}
Who is where and why, and a backend that is emptied for a power-off:
  {1} director status -c {0}
  {1} director explain alice -c {0}
  {1} director drain 127.0.0.12 -c {0}
With Dovecot's doveadm installed:
  doveadm -c {0} director status alice
Configuration of this demo: {0}
Ctrl-C stops: logged-in clients get their protocol's goodbye and are disconnected.
",
            self.config.display(),
            std::env::current_exe().map_or_else(|_| "homing".to_owned(), |path| path.display().to_string())
        )
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // A folder left behind in the temporary directory does no harm.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn users(port: u16) -> String {
    let line = |(user, password): &(&str, &str)| {
        format!("{user}:{{PLAIN}}{password}::::::proxy=y port={port} pass={password}\n")
    };
    USERS.iter().map(line).collect()
}

fn configuration(folder: &Path) -> String {
    let backends = BACKENDS.map(|ip| ip.to_string()).join(" ");
    let folder = folder.display();
    format!(
        "# Written by `homing demo`. Never for production: the passwords are public.
protocols = imap pop3 sieve
listen = 127.0.0.1
base_dir = {folder}
log_path = /dev/stderr
login_greeting = Homing demo ready.
auth_failure_delay = 1 secs

ssl = yes
ssl_cert = <{folder}/cert.pem
ssl_key = <{folder}/key.pem
# Lets the ready-to-paste lines work without TLS, on loopback only.
disable_plaintext_auth = no

director_mail_servers = {backends}

passdb {{
  driver = passwd-file
  args = {folder}/users-%s
}}

service imap-login {{
  inet_listener imap {{
    port = 1143
  }}
  inet_listener imaps {{
    port = 1993
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = 1110
  }}
  inet_listener pop3s {{
    port = 1995
  }}
}}
service managesieve-login {{
  inet_listener sieve {{
    port = 4190
  }}
}}
"
    )
}

const INSTRUCTIONS: &str = "Homing demo. Listening on 127.0.0.1:
  IMAP 1143 (STARTTLS)   IMAPS 1993   POP3 1110 (STLS)   POP3S 1995   ManageSieve 4190 (STARTTLS)

Users: alice/wonderland  bob/builder  carol/singer  dave/diver
Each user belongs to one of three backends inside this program, the same one in every protocol. The log appears in
this terminal; a wrong password leaves the line that fail2ban reads. Paste into another one:

IMAP, read the one message (it names the backend):
  curl -s 'imap://127.0.0.1:1143/INBOX;UID=1' -u alice:wonderland

IMAP with STARTTLS, and over TLS from the start:
  curl -sk --ssl-reqd 'imap://127.0.0.1:1143/INBOX;UID=1' -u alice:wonderland
  curl -sk 'imaps://127.0.0.1:1993/INBOX;UID=1' -u alice:wonderland

POP3, the same user, the same backend:
  curl -s 'pop3://127.0.0.1:1110/1' -u alice:wonderland

By hand, over TLS (type: a login bob builder, then: b select inbox, c fetch 1 body[], d logout):
  openssl s_client -quiet -crlf -connect 127.0.0.1:1993

A POP3 dialogue:
  printf 'USER carol\\nPASS singer\\nSTAT\\nRETR 1\\nQUIT\\n' |
    openssl s_client -quiet -crlf -connect 127.0.0.1:1995 2>/dev/null

A ManageSieve dialogue (the base64 is NUL alice NUL wonderland; the script list names the backend):
  printf 'AUTHENTICATE \"PLAIN\" \"AGFsaWNlAHdvbmRlcmxhbmQ=\"\\nLISTSCRIPTS\\nLOGOUT\\n' |
    openssl s_client -quiet -crlf -starttls sieve -connect 127.0.0.1:4190 2>/dev/null
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_has_no_problem() {
        let site = Site::create().unwrap();
        let outcome = crate::config::load(&site.config);
        assert!(outcome.settings.is_some(), "{}", outcome.report);
        let folder = site.folder.clone();
        drop(site);
        assert!(!folder.exists());
    }
}
