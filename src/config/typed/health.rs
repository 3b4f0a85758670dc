//! Settings of the health checks, `protocol` blocks applied.

use homing_login::{Service, TlsUse};
use homing_wire::Secret;

use super::View;
use crate::config::{
    grammar::Block,
    report::Report,
    settings::{
        AuthSource, CheckDepth, CheckSettings, DownUsers, DownWhen, HealthSettings, ListenerSettings,
        PassdbSettings,
    },
};

/// What does nothing while nothing is checked.
const REST: &[&str] = &[
    "health_interval",
    "health_timeout",
    "health_fall",
    "health_rise",
    "health_down_when",
    "health_down_users",
    "health_slow_start",
    "health_user",
    "health_password",
    "health_port",
    "health_ssl",
];

/// `listeners` tell which protocols are served: no others are checked.
pub(super) fn health(
    root: &Block,
    listeners: &[ListenerSettings],
    auth: &AuthSource,
    report: &mut Report,
) -> HealthSettings {
    let top = View::top(root);
    let served = |service: &Service| listeners.iter().any(|listener| listener.service == *service);
    let checks: Vec<_> = [Service::Imap, Service::Pop3, Service::Sieve]
        .into_iter()
        .filter(served)
        .filter_map(|service| check(root, service, report))
        .collect();
    if checks.is_empty() {
        warn_of_idle(&top, report);
    } else {
        warn_of_contradictions(&top, &checks, auth, report);
    }
    let down_when = if top.text("health_down_when") == "all" { DownWhen::All } else { DownWhen::Any };
    let down_users = if top.text("health_down_users") == "stay" { DownUsers::Stay } else { DownUsers::Move };
    HealthSettings {
        checks,
        interval: top.time("health_interval"),
        timeout: top.time("health_timeout"),
        fall: top.count("health_fall"),
        rise: top.count("health_rise"),
        down_when,
        down_users,
        slow_start: top.time("health_slow_start"),
    }
}

/// `None`: the protocol is not checked.
fn check(root: &Block, service: Service, report: &mut Report) -> Option<CheckSettings> {
    let view = View::of_protocol(root, service.auth_name());
    let depth = match view.text("health_check").as_str() {
        "connect" => CheckDepth::Connect,
        "greeting" => CheckDepth::Greeting,
        "login" => CheckDepth::Login,
        _ => return None,
    };
    let tls = match view.text("health_ssl").as_str() {
        "yes" => TlsUse::Implicit { verify: true },
        "any-cert" => TlsUse::Implicit { verify: false },
        "starttls" => TlsUse::StartTls { verify: true },
        "starttls-any-cert" => TlsUse::StartTls { verify: false },
        _ => TlsUse::No,
    };
    let implicit = matches!(tls, TlsUse::Implicit { .. });
    let port = match u16::try_from(view.count("health_port")) {
        Ok(port) if port > 0 => port,
        _ => service.default_port(implicit),
    };
    let (mut user, mut password) = (String::new(), Secret::default());
    if depth == CheckDepth::Login {
        user = view.text("health_user");
        password = Secret::new(view.text("health_password").into_bytes());
        let name = if user.is_empty() { "health_user" } else { "health_password" };
        if user.is_empty() || password.is_empty() {
            let text = format!("health_check = login needs a test user: {name} is not set");
            report.error(view.position("health_check"), text);
        }
        let breaks_lines = |bytes: &[u8]| bytes.iter().any(|b| matches!(b, b'\r' | b'\n' | 0));
        if breaks_lines(user.as_bytes()) || breaks_lines(password.expose()) {
            let text = "health_user and health_password must be one line each";
            report.error(view.position("health_password"), text);
        }
    }
    Some(CheckSettings { service, depth, port, tls, user, password })
}

fn warn_of_idle(top: &View<'_>, report: &mut Report) {
    for name in REST.iter().filter(|name| top.is_set(name)) {
        report.warning(top.position(name), format!("{name}: has no effect while health_check is off"));
    }
}

fn warn_of_contradictions(top: &View<'_>, checks: &[CheckSettings], auth: &AuthSource, report: &mut Report) {
    if top.text("director_mail_servers").is_empty() {
        let text = "health_check: has no effect without director_mail_servers: the auth service chooses the backends";
        report.warning(top.position("health_check"), text);
    }
    if top.time("health_timeout") > top.time("health_interval") {
        let text =
            "health_timeout: longer than health_interval, so backends that hang are checked less often";
        // Whichever of the two somebody has written.
        let name = if top.is_set("health_timeout") { "health_timeout" } else { "health_interval" };
        report.warning(top.position(name), text);
    }
    let logs_in = checks.iter().any(|check| check.depth == CheckDepth::Login);
    if top.is_set("health_user") && !logs_in {
        let text = "health_user: has no effect unless health_check is login";
        report.warning(top.position("health_user"), text);
    }
    let AuthSource::Embedded(databases) = auth else { return };
    let ports: Vec<u16> = databases.iter().flat_map(ports).collect();
    for check in checks.iter().filter(|check| !ports.is_empty() && !ports.contains(&check.port)) {
        let (name, port) = (check.service.auth_name(), check.port);
        let text =
            format!("health_port: {name} is checked at port {port}, but the passdb sends logins to another");
        report.warning(top.position("health_check"), text);
    }
}

/// Ports that a database has for everybody.
fn ports(database: &PassdbSettings) -> Vec<u16> {
    let (defaults, fields) = match database {
        PassdbSettings::PasswdFile(file) => (file.default_fields.as_slice(), file.override_fields.as_slice()),
        PassdbSettings::Static(fixed) => (fixed.fields.as_slice(), [].as_slice()),
    };
    let port = |field: &String| field.strip_prefix("port=").and_then(|port| port.parse().ok());
    defaults.iter().chain(fields).filter_map(port).collect()
}
