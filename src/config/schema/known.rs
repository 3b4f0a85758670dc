//! The settings that Homing uses, with their kinds and defaults. The defaults are those of Dovecot 2.3.19
//! without a distribution's changes.

use super::{
    kind::Kind,
    variables::{FLUSH_SOCKET, GREETING, LOG_ELEMENTS, LOG_LINE, USERNAME_HASH},
};

/// A setting that is used.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: &'static str,
    /// May differ in `protocol` blocks.
    pub(crate) by_protocol: bool,
}

const fn known(name: &'static str, kind: Kind, default: &'static str) -> Known {
    Known { name, kind, default, by_protocol: false }
}

const fn login(name: &'static str, kind: Kind, default: &'static str) -> Known {
    Known { name, kind, default, by_protocol: true }
}

/// Values of `ssl`.
pub(crate) const SSL_MODES: &[&str] = &["no", "yes", "required"];
/// Values of `ssl_min_protocol`.
const TLS_VERSIONS: &[&str] = &["ANY", "SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3", "LATEST"];
const HEALTH_CHECKS: &[&str] = &["off", "connect", "greeting", "login"];
const HEALTH_SSL: &[&str] = &["no", "yes", "any-cert", "starttls", "starttls-any-cert"];
const LOG_FORMATS: &[&str] = &["dovecot", "json"];
const FACILITIES: &[&str] = &[
    "auth", "authpriv", "cron", "daemon", "ftp", "kern", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7", "lpr", "mail", "news", "syslog", "user", "uucp",
];
const LOG_ELEMENTS_DEFAULT: &str = "user=<%u> method=%m rip=%r lip=%l mpid=%e %c session=<%{session}>";
/// What Pigeonhole 0.5.19 offers without plugins; a site with another engine says so.
const SIEVE_CAPABILITY: &str = "fileinto reject envelope encoded-character vacation subaddress \
    comparator-i;ascii-numeric relational regex imap4flags copy include variables body enotify environment mailbox \
    date index ihave duplicate mime foreverypart extracttext";

/// Outside all blocks, in alphabetical order.
pub(crate) const TOP: &[Known] = &[
    known("auth_debug", Kind::Flag, "no"),
    known("auth_failure_delay", Kind::Time(0), "2 secs"),
    known("auth_master_user_separator", Kind::Text, ""),
    known("auth_socket_path", Kind::Text, "auth-userdb"),
    known("auth_verbose", Kind::Flag, "no"),
    known("base_dir", Kind::Text, "/run/dovecot"),
    known("default_client_limit", Kind::Count(0), "1000"),
    known("default_login_user", Kind::Text, "dovenull"),
    known("default_process_limit", Kind::Count(0), "100"),
    known("director_admin_networks", Kind::Networks, ""),
    known("director_flush_socket", Kind::Template(&FLUSH_SOCKET), ""),
    known("director_mail_servers", Kind::MailServers, ""),
    known("director_max_parallel_kicks", Kind::Count(1), "100"),
    known("director_max_parallel_moves", Kind::Count(1), "100"),
    known("director_servers", Kind::Text, ""),
    known("director_state_dir", Kind::Text, ""),
    known("director_user_expire", Kind::Time(10_000), "15 mins"),
    known("director_user_kick_delay", Kind::Time(0), "2 secs"),
    known("director_username_hash", Kind::Template(&USERNAME_HASH), "%Lu"),
    login("disable_plaintext_auth", Kind::Flag, "yes"),
    known("haproxy_timeout", Kind::Time(0), "3 secs"),
    known("haproxy_trusted_networks", Kind::Networks, ""),
    login("health_check", Kind::Choice(HEALTH_CHECKS), "off"),
    known("health_down_users", Kind::Choice(&["move", "stay"]), "move"),
    known("health_down_when", Kind::Choice(&["any", "all"]), "any"),
    known("health_fall", Kind::Count(1), "3"),
    known("health_interval", Kind::Time(1000), "10 secs"),
    login("health_password", Kind::Secret, ""),
    login("health_port", Kind::Port, "0"),
    known("health_rise", Kind::Count(1), "2"),
    known("health_slow_start", Kind::Time(0), "0"),
    login("health_ssl", Kind::Choice(HEALTH_SSL), "no"),
    known("health_timeout", Kind::Time(1000), "5 secs"),
    login("health_user", Kind::Text, ""),
    known("hostname", Kind::Text, ""),
    login("imap_capability", Kind::Text, ""),
    login("imap_id_log", Kind::Text, ""),
    login("imap_id_retain", Kind::Flag, "no"),
    login("imap_id_send", Kind::Text, "name *"),
    login("imap_literal_minus", Kind::Flag, "no"),
    known("instance_name", Kind::Text, "dovecot"),
    known("kick_farewell", Kind::Flag, "yes"),
    known("listen", Kind::Text, "*, ::"),
    known("log_format", Kind::Choice(LOG_FORMATS), "dovecot"),
    known("log_path", Kind::Text, "syslog"),
    known("log_timestamp", Kind::Text, "%b %d %H:%M:%S "),
    known("login_auth_socket_path", Kind::Text, ""),
    login("login_greeting", Kind::Template(&GREETING), "Dovecot ready."),
    known("login_log_format", Kind::Template(&LOG_LINE), "%$: %s"),
    known("login_log_format_elements", Kind::Template(&LOG_ELEMENTS), LOG_ELEMENTS_DEFAULT),
    known("login_proxy_max_disconnect_delay", Kind::Time(0), "0"),
    known("login_proxy_max_reconnects", Kind::Count(0), "3"),
    known("login_proxy_timeout", Kind::Time(0), "30 secs"),
    known("login_source_ips", Kind::Text, ""),
    login("login_trusted_networks", Kind::Networks, ""),
    known("mail_debug", Kind::Flag, "no"),
    login("managesieve_implementation_string", Kind::Text, "Dovecot Pigeonhole"),
    login("managesieve_notify_capability", Kind::Text, "mailto"),
    login("managesieve_sieve_capability", Kind::Text, SIEVE_CAPABILITY),
    known("metrics_listen", Kind::Text, ""),
    known("protocols", Kind::Text, ""),
    known("shutdown_clients", Kind::Flag, "yes"),
    known("shutdown_farewell", Kind::Flag, "yes"),
    known("ssl", Kind::Choice(SSL_MODES), "yes"),
    known("ssl_alt_cert", Kind::Pem, ""),
    known("ssl_alt_key", Kind::Pem, ""),
    known("ssl_ca", Kind::Pem, ""),
    known("ssl_cert", Kind::Pem, ""),
    known("ssl_cert_username_field", Kind::Text, "commonName"),
    known("ssl_client_ca_file", Kind::Text, ""),
    known("ssl_client_cert", Kind::Pem, ""),
    known("ssl_client_key", Kind::Pem, ""),
    known("ssl_client_require_valid_cert", Kind::Flag, "yes"),
    known("ssl_key", Kind::Pem, ""),
    known("ssl_min_protocol", Kind::Choice(TLS_VERSIONS), "TLSv1.2"),
    known("ssl_prefer_server_ciphers", Kind::Flag, "no"),
    known("ssl_require_crl", Kind::Flag, "yes"),
    known("ssl_verify_client_cert", Kind::Flag, "no"),
    known("syslog_facility", Kind::Choice(FACILITIES), "mail"),
];

/// In `service X-login`.
pub(crate) const LOGIN_SERVICE: &[Known] = &[
    known("client_limit", Kind::Count(0), "0"),
    known("process_limit", Kind::Count(0), "0"),
    known("service_count", Kind::Count(0), "1"),
];

/// In `inet_listener` of such a service.
pub(crate) const INET_LISTENER: &[Known] = &[
    known("address", Kind::Text, ""),
    known("haproxy", Kind::Flag, "no"),
    known("port", Kind::Port, "0"),
    known("ssl", Kind::Flag, "no"),
];

/// In `unix_listener` and `fifo_listener` of `service director`.
pub(crate) const SOCKET_LISTENER: &[Known] =
    &[known("group", Kind::Text, ""), known("mode", Kind::Mode, "0600"), known("user", Kind::Text, "")];

const SKIP: &[&str] = &["never", "authenticated", "unauthenticated"];
const RESULTS: &[&str] = &["return-ok", "return", "return-fail", "continue", "continue-ok", "continue-fail"];

/// In `passdb`.
pub(crate) const PASSDB: &[Known] = &[
    known("args", Kind::Text, ""),
    known("auth_verbose", Kind::Text, "default"),
    known("default_fields", Kind::Text, ""),
    known("deny", Kind::Flag, "no"),
    known("driver", Kind::Text, ""),
    known("master", Kind::Flag, "no"),
    known("mechanisms", Kind::Text, ""),
    known("name", Kind::Text, ""),
    known("override_fields", Kind::Text, ""),
    known("pass", Kind::Flag, "no"),
    known("result_failure", Kind::Choice(RESULTS), "continue"),
    known("result_internalfail", Kind::Choice(RESULTS), "continue"),
    known("result_success", Kind::Choice(RESULTS), "return-ok"),
    known("skip", Kind::Choice(SKIP), "never"),
    known("username_filter", Kind::Text, ""),
];

/// Services that Homing replaces.
pub(crate) const LOGIN_SERVICES: &[&str] = &["imap-login", "pop3-login", "managesieve-login"];
/// Services of which Homing has some sockets.
pub(crate) const ADMIN_SERVICES: &[&str] = &["director", "ipc"];
const PROTOCOLS: &[&str] = &["imap", "pop3", "sieve"];

/// True if `protocol NAME` is about a protocol of Homing; `!NAME` is, whatever it excludes.
pub(crate) fn is_served(protocol: &str) -> bool {
    protocol.starts_with('!') || PROTOCOLS.contains(&protocol)
}

/// The setting of this name in one of the tables above.
pub(crate) fn find(table: &'static [Known], name: &str) -> Option<&'static Known> {
    table.iter().find(|known| known.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema::kind::Verdict;

    #[test]
    fn tables_are_sorted_and_their_defaults_pass_their_own_check() {
        for table in [TOP, LOGIN_SERVICE, INET_LISTENER, SOCKET_LISTENER, PASSDB] {
            assert!(table.is_sorted_by(|a, b| a.name < b.name));
            for known in table {
                assert_eq!(known.kind.check(known.default), Verdict::Fine, "{}", known.name);
            }
        }
    }
}
