//! The `OK` reply of an accepted login: Dovecot's fields in Dovecot's order (spec/auth-protocol.md 4.2).

use std::{net::IpAddr, time::Duration};

use homing_login::OkReply;
use homing_wire::{Fields, printable};

use super::{fields::Gathered, subject::Subject};

/// For the address of a `host=` that is a name.
const RESOLVE_TIME: Duration = Duration::from_secs(10);

/// Puts the reply together; `None` if the host cannot be found.
pub(super) async fn accepted(subject: &Subject, mut gathered: Gathered) -> Option<OkReply> {
    let user = gathered.user_or(subject).to_owned();
    settle_maybe(subject, &user, &mut gathered);
    let mut reply = Fields::new().with("user", &user);
    for field in &subject.client.forward {
        reply.push([b"forward_", &field.key[..]].concat(), field.value.clone());
    }
    for field in &gathered.fields {
        reply.push(field.key.clone(), field.value.clone());
    }
    let proxied = gathered.value("proxy").is_some();
    if proxied {
        destination(subject, &gathered, &mut reply).await?;
    }
    if user != subject.original_user && !reply.has("original_user") {
        reply = reply.with("original_user", &subject.original_user);
    }
    if proxied && !reply.has("pass") {
        reply = reply.with("pass", subject.password.expose());
    }
    Some(OkReply { fields: reply })
}

/// `hostip` for a name; without any host, what a director needs to recognize this machine.
async fn destination(subject: &Subject, gathered: &Gathered, reply: &mut Fields) -> Option<()> {
    let Some(host) = gathered.value("host").filter(|host| !host.is_empty()) else {
        reply.push("lip", Some(subject.client.local.ip().to_string().into_bytes()));
        reply.push("lport", Some(subject.client.local.port().to_string().into_bytes()));
        return Some(());
    };
    let host = std::str::from_utf8(host).ok()?;
    if gathered.value("hostip").is_none() && host.parse::<IpAddr>().is_err() {
        let ip = resolve(subject, host).await?;
        reply.push("hostip", Some(ip.to_string().into_bytes()));
    }
    Some(())
}

async fn resolve(subject: &Subject, host: &str) -> Option<IpAddr> {
    let (who, shown) = (subject.label(), printable(host.as_bytes()));
    let trouble = match tokio::time::timeout(RESOLVE_TIME, tokio::net::lookup_host((host, 0))).await {
        Ok(Ok(mut found)) => match found.next() {
            Some(address) => return Some(address.ip()),
            None => "no address".to_owned(),
        },
        Ok(Err(error)) => error.to_string(),
        Err(_) => "timed out".to_owned(),
    };
    tracing::error!(target: "homing::auth", "({who}): DNS lookup for {shown} failed: {trouble}");
    None
}

/// `proxy_maybe`: to this machine itself it means no proxying, else `proxy`.
fn settle_maybe(subject: &Subject, user: &str, gathered: &mut Gathered) {
    if gathered.value("proxy_maybe").is_none() {
        return;
    }
    let local = subject.client.local;
    let text = |key| gathered.value(key).and_then(|value| std::str::from_utf8(value).ok());
    let address = text("hostip").or(text("host")).and_then(|ip| ip.parse::<IpAddr>().ok());
    let itself = address == Some(local.ip())
        && text("port").is_none_or(|port| port.parse() == Ok(local.port()))
        && text("destuser").is_none_or(|destuser| destuser == user);
    if itself {
        gathered.remove(&["proxy", "proxy_maybe", "proxy_always", "host", "hostip", "port", "destuser"]);
    } else {
        gathered.remove(&["proxy_maybe"]);
        gathered.flag("proxy");
    }
}
