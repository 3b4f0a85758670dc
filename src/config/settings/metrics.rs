//! Settings of the metrics.

use std::{fmt, net::SocketAddr, path::PathBuf};

/// Where metrics can be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MetricsSettings {
    /// Homing's own `metrics_listen`; empty: nowhere.
    pub places: Vec<MetricsPlace>,
}

/// Where to listen for those who read metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetricsPlace {
    /// An address. Nothing protects it.
    Tcp(SocketAddr),
    /// A socket file, absolute. Whoever may enter its folder may read.
    Unix(PathBuf),
}

impl fmt::Display for MetricsPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}
