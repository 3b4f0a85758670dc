//! The configuration: `dovecot.conf` read, checked and turned into typed settings.

pub mod settings;
