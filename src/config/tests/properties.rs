//! What holds for every configuration.

use super::Site;
use crate::config::{dump, schema::known};

/// Values that somebody might get wrong, none of which is a host name.
const VALUES: &[&str] = &[
    "",
    "yes",
    "no",
    "0",
    "1",
    "-1",
    "4294967296",
    "99999999999999999999 weeks",
    "3 s",
    "%",
    "%{",
    "%{if;",
    "%-0.5Lu",
    "<",
    "</",
    "<c.conf",
    "\"",
    "\"x\"",
    "$",
    "$ssl",
    "* ::",
    "10.0.0.0/8",
    "/0",
    "1.2.3.4/",
    "[",
    "[]",
    "?",
    "@",
    "-",
    "a@b",
    "imap pop3 sieve",
    "static",
    "passwd-file",
    "password=",
    "nopassword",
    "scheme= =",
    "-----BEGIN",
    "\u{e4}\u{0}",
];
const BLOCKS: &[&str] = &[
    "protocol imap {",
    "protocol !imap {",
    "protocol {",
    "service imap-login {",
    "service {",
    "inet_listener imaps {",
    "inet_listener {",
    "passdb {",
    "local_name *.a {",
    "local_name {",
    "local x {",
    "plugin {",
    "x {",
    "}",
    "}",
];

/// Names that make the test ask for host names.
const ASKS: &[&str] = &["listen", "login_source_ips", "address"];

#[test]
fn any_configuration_is_loaded_or_refused_with_a_reason() {
    let tables = [known::TOP, known::LOGIN_SERVICE, known::INET_LISTENER, known::PASSDB];
    let names: Vec<_> =
        tables.iter().flat_map(|t| t.iter()).map(|k| k.name).filter(|name| !ASKS.contains(name)).collect();
    let site = Site::new("");
    bolero::check!().with_type::<Vec<(u8, u8)>>().for_each(|choices| {
        let line = |(name, value): &(u8, u8)| {
            let (name, value) = (usize::from(*name), usize::from(*value));
            match name % 3 {
                0 => BLOCKS[value % BLOCKS.len()].to_owned(),
                _ => format!("{} = {}", names[name % names.len()], VALUES[value % VALUES.len()]),
            }
        };
        let text: Vec<_> = choices.iter().map(line).collect();
        site.write("c.conf", &format!("listen = 127.0.0.1\n{}", text.join("\n")));
        let outcome = site.load();
        assert_eq!(outcome.settings.is_none(), outcome.report.has_errors(), "{}", outcome.report);
        for line in outcome.report.to_string().lines() {
            assert!(line.starts_with('/') && line.contains("c.conf:") || line.starts_with("and "), "{line}");
        }
        dump(&outcome.parsed, true);
        if let Some(settings) = outcome.settings {
            assert!(!settings.listeners.is_empty());
            assert!(settings.login.imap.connections_max > 0);
        }
    });
}
