//! Fields that passdbs give for one login, with the meaning Dovecot gives to some of them. Knows no password.

use std::net::IpAddr;

use homing_wire::{Field, printable};
use ipnet::IpNet;

use super::{subject::Subject, variables::Template};

/// `key` or `key=value` with variables.
#[derive(Debug, Clone)]
pub(super) struct FieldTemplate {
    key: String,
    value: Option<Template>,
}

impl FieldTemplate {
    /// `None` if there is a variable that is not known.
    pub(super) fn parse(word: &str) -> Option<Self> {
        match word.split_once('=') {
            Some((key, value)) => Some(Self { key: key.to_owned(), value: Some(Template::parse(value)?) }),
            None => Some(Self { key: word.to_owned(), value: None }),
        }
    }
}

/// What the passdbs have said so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Gathered {
    /// For the reply, each key once.
    pub(super) fields: Vec<Field>,
    /// Another name than the one asked for.
    pub(super) user: Option<String>,
    /// Any password will do.
    pub(super) nopassword: bool,
    /// The login is not allowed, whatever the password.
    pub(super) refused: bool,
}

impl Gathered {
    /// Adds fields; a later value replaces an earlier one in its place.
    pub(super) fn set_all(&mut self, fields: &[FieldTemplate], subject: &Subject) {
        for field in fields {
            let value = field.value.as_ref().map(|template| template.expand(subject));
            self.set(&field.key, value, subject);
        }
    }

    fn set(&mut self, key: &str, value: Option<Vec<u8>>, subject: &Subject) {
        let given = value.as_deref().unwrap_or_default();
        match key {
            "nopassword" => self.nopassword = true,
            "password" => {
                let who = subject.label();
                tracing::error!(target: "homing::auth", "({who}): multiple password values not supported");
            }
            "user" | "username" | "domain" => self.rename(key, given, subject),
            "allow_nets" => self.allow(given, subject.client.remote.ip(), subject),
            "allow_real_nets" => self.allow(given, subject.client.real_remote.ip(), subject),
            "fail" => self.refused = true,
            // Whatever value they have, the reply has the bare word (spec/auth-protocol.md 4.2).
            "proxy" | "proxy_maybe" | "nologin" => self.put(key, None),
            key if key.starts_with("userdb_") => {}
            key => self.put(key, value),
        }
    }

    /// The name by now.
    pub(super) fn user_or<'a>(&'a self, subject: &'a Subject) -> &'a str {
        self.user.as_deref().unwrap_or(&subject.user)
    }

    /// Variables keep the name asked for. `username` and `domain` change their part of the name; a `username` with a
    /// domain, and `user`, all of it.
    fn rename(&mut self, key: &str, given: &[u8], subject: &Subject) {
        let Some(given) = std::str::from_utf8(given).ok().filter(|given| !given.is_empty()) else {
            let who = subject.label();
            tracing::error!(target: "homing::auth", "({who}): username attempted to be changed to empty");
            self.refused = true;
            return;
        };
        let user = self.user_or(subject);
        let (name, domain) = user.split_once('@').map_or((user, None), |(n, d)| (n, Some(d)));
        self.user = Some(match (key, domain) {
            ("username", Some(domain)) if !given.contains('@') => format!("{given}@{domain}"),
            ("domain", _) => format!("{name}@{given}"),
            _ => given.to_owned(),
        });
    }

    fn allow(&mut self, networks: &[u8], ip: IpAddr, subject: &Subject) {
        if !contains(networks, ip) {
            self.refused = true;
            let who = subject.label();
            tracing::info!(
                target: "homing::auth",
                "({who}): allow_nets check failed: IP {ip} not in allowed networks"
            );
        }
    }

    fn put(&mut self, key: &str, value: Option<Vec<u8>>) {
        match self.fields.iter_mut().find(|field| field.key == key.as_bytes()) {
            Some(field) => field.value = value,
            None => self.fields.push(Field { key: key.into(), value }),
        }
    }

    /// The value; empty for a bare word.
    pub(super) fn value(&self, key: &str) -> Option<&[u8]> {
        let field = self.fields.iter().find(|field| field.key == key.as_bytes())?;
        Some(field.value.as_deref().unwrap_or_default())
    }

    /// Takes fields away.
    pub(super) fn remove(&mut self, keys: &[&str]) {
        self.fields.retain(|field| !keys.iter().any(|key| field.key == key.as_bytes()));
    }

    /// Adds a bare word at the end.
    pub(super) fn flag(&mut self, key: &str) {
        self.put(key, None);
    }
}

/// True if the comma-separated list has a network with `ip`. What cannot be read allows nobody.
fn contains(networks: &[u8], ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    let Ok(networks) = std::str::from_utf8(networks) else { return false };
    networks.split(',').map(str::trim).filter(|item| !item.is_empty() && *item != "local").any(|item| {
        let network = item.parse::<IpNet>().or_else(|_| item.parse::<IpAddr>().map(IpNet::from));
        if network.is_err() {
            let item = printable(item.as_bytes());
            tracing::error!(target: "homing::auth", "allow_nets: invalid network {item}");
        }
        network.is_ok_and(|network| network.contains(&ip))
    })
}
