//! Addresses from words of a setting: literals, or host names asked once.

use std::net::{IpAddr, ToSocketAddrs};

use crate::config::schema::kind;

/// All addresses of a literal or a host name.
pub(super) fn addresses(word: &str) -> Result<Vec<IpAddr>, String> {
    if let Some(ip) = kind::address(word) {
        return Ok(vec![ip]);
    }
    if word.contains(['/', ':']) {
        return Err(format!("'{word}' is neither an IP address nor a host name"));
    }
    let found = (word, 0).to_socket_addrs().map_err(|_| format!("host name '{word}' is not known"))?;
    let mut ips: Vec<IpAddr> = Vec::new();
    for ip in found.map(|address| address.ip()) {
        if !ips.contains(&ip) {
            ips.push(ip);
        }
    }
    Ok(ips)
}
