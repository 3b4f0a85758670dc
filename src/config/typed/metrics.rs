//! Where metrics can be read.

use std::{net::SocketAddr, os::unix::net, path::PathBuf};

use super::View;
use crate::config::{
    report::Report,
    schema::kind,
    settings::{MetricsPlace, MetricsSettings},
};

const NAME: &str = "metrics_listen";

pub(super) fn metrics(view: &View<'_>, report: &mut Report) -> MetricsSettings {
    let text = view.text(NAME);
    let mut places = Vec::new();
    for word in kind::words(&text) {
        let Some(place) = place(word) else {
            let text =
                "is no address with a port (like 127.0.0.1:9102 or [::1]:9102) and no path of a socket";
            report.error(view.position(NAME), format!("{NAME}: '{word}' {text}"));
            continue;
        };
        if places.contains(&place) {
            report.error(view.position(NAME), format!("{NAME}: '{word}' is there twice"));
            continue;
        }
        if matches!(place, MetricsPlace::Tcp(address) if !address.ip().to_canonical().is_loopback()) {
            let text = "whoever reaches this port sees names and load of the backends; there is no password";
            report.warning(view.position(NAME), format!("{NAME}: '{word}': {text}"));
        }
        places.push(place);
    }
    MetricsSettings { places }
}

fn place(word: &str) -> Option<MetricsPlace> {
    if word.starts_with('/') {
        // No longer than the system allows.
        return net::SocketAddr::from_pathname(word).ok().map(|_| MetricsPlace::Unix(PathBuf::from(word)));
    }
    word.parse().ok().filter(|address: &SocketAddr| address.port() != 0).map(MetricsPlace::Tcp)
}
