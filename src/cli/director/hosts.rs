//! Backends as people name them: addresses, or names with all their addresses (spec/director.md 6.3).

use std::net::IpAddr;

use crate::cli::exit::Fault;

/// The addresses of a backend, each once. A bare number is no backend, although it could be read as an address.
pub(super) async fn addresses(host: &str) -> Result<Vec<IpAddr>, Fault> {
    if host.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::Usage(format!("{host:?} is no host")));
    }
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(ip) = inner.parse() {
        return Ok(vec![ip]);
    }
    let found = tokio::net::lookup_host((host, 0)).await;
    let found = found.map_err(|error| Fault::NotFound(format!("{host}: {error}")))?;
    let mut ips = Vec::new();
    for ip in found.map(|address| address.ip()) {
        if !ips.contains(&ip) {
            ips.push(ip);
        }
    }
    if ips.is_empty() { Err(Fault::NotFound(format!("{host}: no address"))) } else { Ok(ips) }
}

/// One address of a backend; several are too many.
pub(super) async fn address(host: &str) -> Result<IpAddr, Fault> {
    match addresses(host).await?.as_slice() {
        [ip] => Ok(*ip),
        ips => {
            let ips: Vec<_> = ips.iter().map(ToString::to_string).collect();
            Err(Fault::Usage(format!("{host} has several addresses, name one of {}", ips.join(", "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hosts_are_addresses_or_names() {
        let told = async |host: &str| addresses(host).await.map(|ips| ips[0].to_string());
        assert_eq!(told("10.0.0.1").await, Ok("10.0.0.1".to_owned()));
        assert_eq!(told("[2001:DB8::1]").await, Ok("2001:db8::1".to_owned()));
        for bad in ["", "12345"] {
            assert!(matches!(told(bad).await, Err(Fault::Usage(_))), "{bad}");
        }
    }
}
