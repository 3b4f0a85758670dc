//! The page of `/metrics`, one file per subject.

mod director;
mod health;
mod logins;
mod process;
mod program;
mod sheet;
mod tls;

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, prometheus_text, text},
    registry::Registry,
};

use crate::{director::Director, health::Health, session::Sessions};
use sheet::Sheet;

/// Where numbers are read.
#[derive(Clone)]
pub(super) struct Sources {
    pub(super) sessions: Sessions,
    pub(super) director: Director,
    pub(super) health: Arc<Health>,
}

/// The two formats that Prometheus and others read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Version 0.0.4 of Prometheus' own.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Text => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Everything, as it is now. May block for some milliseconds.
pub(super) fn page(sources: &Sources, format: Format) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Part("process", process::write, sources.clone())));
    let ours = registry.sub_registry_with_prefix("homing");
    let parts: [Part; 5] = [
        Part("program", program::write, sources.clone()),
        Part("logins", logins::write, sources.clone()),
        Part("director", director::write, sources.clone()),
        Part("health", health::write, sources.clone()),
        Part("tls", tls::write, sources.clone()),
    ];
    parts.into_iter().for_each(|part| ours.register_collector(Box::new(part)));
    let mut page = String::new();
    match format {
        Format::Text => prometheus_text::encode(&mut page, &registry)?,
        Format::OpenMetrics => text::encode(&mut page, &registry)?,
    }
    Ok(page)
}

/// Writes one subject.
type Write = fn(&Sources, &mut Sheet<'_>) -> fmt::Result;

/// One subject, as the library wants it.
struct Part(&'static str, Write, Sources);

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Part").field(&self.0).finish_non_exhaustive()
    }
}

impl Collector for Part {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self(_, write, sources) = self;
        write(sources, &mut Sheet::new(encoder))
    }
}
