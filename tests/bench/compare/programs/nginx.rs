//! nginx with the mail module: one worker, its own buffers, sessions logged.

use std::{fs, path::Path, process::Command};

use super::{Peer, Protocol, Way};
use crate::{
    machine::{files_max, said},
    site::{AUTH_HTTP, FRONT, IMAP, IMAPS, POP3, POP3S, Site},
};

/// Debian's folder of modules.
const MODULE: &str = "/usr/lib/nginx/modules/ngx_mail_module.so";

pub struct Nginx;

/// Empty without the mail module.
pub fn version() -> String {
    if Path::new(MODULE).exists() { said("nginx", &["-v"]) } else { String::new() }
}

impl Peer for Nginx {
    fn can(&self, way: Way) -> bool {
        way.protocol != Protocol::Sieve
    }

    fn command(&self, site: &Site, folder: &Path, _: Way) -> Command {
        let file = folder.join("nginx.conf");
        fs::write(&file, configuration(site, folder)).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-c").arg(file);
        command
    }
}

fn configuration(site: &Site, folder: &Path) -> String {
    let server = |port: u16, tls: &str, protocol: &str| {
        format!(
            "  server {{\n    listen {FRONT}:{port}{tls} backlog=65535;\n    protocol {protocol};\n  }}\n"
        )
    };
    format!(
        "load_module {MODULE};
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/log info;
events {{
  worker_connections {files};
}}
mail {{
  auth_http {AUTH_HTTP}/auth;
  proxy_pass_error_message on;
  ssl_certificate {cert};
  ssl_certificate_key {key};
  ssl_protocols TLSv1.2 TLSv1.3;
{servers}}}
",
        files = files_max(),
        folder = folder.display(),
        cert = site.cert().display(),
        key = site.key().display(),
        servers = [
            server(IMAP, "", "imap"),
            server(IMAPS, " ssl", "imap"),
            server(POP3, "", "pop3"),
            server(POP3S, " ssl", "pop3"),
        ]
        .concat(),
    )
}
