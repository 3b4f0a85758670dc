//! Addresses of the names in `director_mail_servers`, asked from the system's resolver all at once. One name that
//! does not resolve must not stop the program (spec/director.md 10, W18).

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
    time::Duration,
};

use tokio::task::JoinSet;

use super::core::{Hosts, MailServer, ServerHost};

/// Longest wait for the resolver: two rounds over two silent name servers, 5 s each, as resolv.conf(5) has it.
const RESOLVE_TIME: Duration = Duration::from_secs(20);

/// The addresses of all names. A name that cannot be resolved keeps the addresses that it has among the `known`
/// backends; if there are none it is left out. Both are warnings.
pub(super) async fn addresses(servers: &[MailServer], known: &Hosts) -> BTreeMap<String, Vec<IpAddr>> {
    let names: BTreeSet<_> = servers.iter().filter_map(name).cloned().collect();
    let mut lookups = JoinSet::new();
    for name in names {
        lookups.spawn(async move {
            let answer = look_up(&name).await;
            (name, answer)
        });
    }
    let mut answers = BTreeMap::new();
    for (name, answer) in lookups.join_all().await {
        let addresses = answer.unwrap_or_else(|error| fallback(&name, &error, known));
        answers.insert(name, addresses);
    }
    answers
}

fn name(server: &MailServer) -> Option<&String> {
    match &server.host {
        ServerHost::Name(name) => Some(name),
        ServerHost::Addresses(_) => None,
    }
}

async fn look_up(name: &str) -> io::Result<Vec<IpAddr>> {
    let answer = tokio::time::timeout(RESOLVE_TIME, tokio::net::lookup_host((name, 0))).await;
    let addresses: BTreeSet<_> = answer.map_err(io::Error::from)??.map(|address| address.ip()).collect();
    if addresses.is_empty() {
        return Err(io::Error::other("no addresses"));
    }
    Ok(addresses.into_iter().collect())
}

fn fallback(name: &str, error: &io::Error, known: &Hosts) -> Vec<IpAddr> {
    let kept: Vec<_> =
        known.iter().filter(|host| host.hostname.as_deref() == Some(name)).map(|host| host.ip).collect();
    let consequence = if kept.is_empty() { "left out" } else { "its addresses stay as they were" };
    tracing::warn!(
        "director_mail_servers: unknown mail host {name}: {error}; {consequence} until the next reload"
    );
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::director::core::Host;

    #[tokio::test]
    async fn a_lost_name_keeps_its_backends() {
        let ip: IpAddr = "127.0.3.1".parse().unwrap();
        let known: Hosts = [Host::new(ip, Some("gone.invalid".to_owned()), Vec::new())].into_iter().collect();
        let servers = ["gone.invalid", "never.invalid", "127.0.3.2"].map(|w| MailServer::parse(w).unwrap());
        let answers = addresses(&servers, &known).await;
        let expected = [("gone.invalid".to_owned(), vec![ip]), ("never.invalid".to_owned(), vec![])];
        assert_eq!(answers, BTreeMap::from(expected));
    }
}
