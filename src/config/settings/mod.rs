//! Typed settings, one file per room that reads them. Every value here is checked: a room never meets
//! an unparsable one. How they are read from files is the business of the parent module.

mod admin;
mod auth;
mod backend;
mod director;
mod health;
mod listener;
mod log;
mod login;
mod metrics;
mod process;
mod relay;
mod socket;
mod tls;

pub use admin::{AdminProtocol, AdminSettings, AdminSocket, SocketPlace};
pub use auth::{AuthSettings, AuthSource, PassdbSettings, PasswdFileSettings, StaticSettings};
pub use backend::{BackendSettings, ClientCertificate, SourceIps};
pub use director::DirectorSettings;
pub use health::{CheckDepth, CheckSettings, DownUsers, DownWhen, HealthSettings};
pub use listener::{ListenerSettings, ProxyHeaderSettings};
pub use log::{LogFormat, LogSettings, LogTarget};
pub use login::{ImapSettings, LoginSettings, SieveSettings};
pub use metrics::{MetricsPlace, MetricsSettings};
pub use process::ProcessSettings;
pub use relay::{RelaySettings, SocketRole, SocketSettings};
pub use socket::SocketFile;
pub use tls::{CertificateFiles, NamedCertificate, Pem, SslMode, TlsSettings, TlsVersion};

use homing_login::Service;

/// Everything one running program needs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Base directory, users, shutdown.
    pub process: ProcessSettings,
    /// Where log lines go and what is in them.
    pub log: LogSettings,
    /// What to listen on; never empty after a successful check.
    pub listeners: Vec<ListenerSettings>,
    /// PROXY headers.
    pub proxy_header: ProxyHeaderSettings,
    /// TLS towards clients.
    pub tls: TlsSettings,
    /// Login behaviour per service, `protocol` blocks applied.
    pub login: LoginByService,
    /// Who authenticates.
    pub auth: AuthSettings,
    /// Which backend a user belongs to.
    pub director: DirectorSettings,
    /// Whether backends are checked.
    pub health: HealthSettings,
    /// Sockets through which others ask the director.
    pub relay: RelaySettings,
    /// Sockets for administrators.
    pub admin: AdminSettings,
    /// Where metrics can be read.
    pub metrics: MetricsSettings,
    /// Connections to backends.
    pub backend: BackendSettings,
}

/// Login settings of the three services.
#[derive(Debug, Clone)]
pub struct LoginByService {
    /// `protocol imap`.
    pub imap: LoginSettings,
    /// `protocol pop3`.
    pub pop3: LoginSettings,
    /// `protocol sieve`.
    pub sieve: LoginSettings,
}

impl LoginByService {
    /// The settings of one service.
    pub fn of(&self, service: Service) -> &LoginSettings {
        match service {
            Service::Imap => &self.imap,
            Service::Pop3 => &self.pop3,
            Service::Sieve => &self.sieve,
        }
    }
}
