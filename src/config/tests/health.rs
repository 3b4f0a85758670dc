//! Settings of the health checks.

use std::time::Duration;

use homing_login::{Service, TlsUse};

use super::site;
use crate::config::settings::{CheckDepth, DownUsers, DownWhen, HealthSettings};

const ALL: &str = "protocols = imap pop3 sieve\ndirector_mail_servers = 10.0.0.1\n";

fn health(text: &str) -> HealthSettings {
    let outcome = site(&format!("{ALL}{text}")).load();
    assert_eq!(outcome.report.warnings().next(), None);
    outcome.settings.unwrap_or_else(|| panic!("{}", outcome.report)).health
}

#[test]
fn nothing_is_checked_unless_asked_for() {
    let health = health("");
    assert!(health.checks.is_empty());
    assert_eq!((health.interval, health.timeout), (Duration::from_secs(10), Duration::from_secs(5)));
    assert_eq!((health.fall, health.rise, health.slow_start), (3, 2, Duration::ZERO));
    assert_eq!((health.down_when, health.down_users), (DownWhen::Any, DownUsers::Move));
}

#[test]
fn protocols_are_checked_each_in_its_own_way() {
    let health = health(
        "health_check = login\nhealth_user = probe\nhealth_password = x\nhealth_down_users = stay\n\
         health_down_when = all\n\
         protocol pop3 {\n health_check = greeting\n health_ssl = any-cert\n}\n\
         protocol sieve {\n health_check = off\n}\n\
         protocol imap {\n health_port = 10143\n health_ssl = starttls\n}\n",
    );
    let checks: Vec<_> =
        health.checks.iter().map(|check| (check.service, check.depth, check.port, check.tls)).collect();
    assert_eq!(
        checks,
        [
            (Service::Imap, CheckDepth::Login, 10143, TlsUse::StartTls { verify: true }),
            (Service::Pop3, CheckDepth::Greeting, 995, TlsUse::Implicit { verify: false }),
        ]
    );
    assert_eq!((health.checks[0].user.as_str(), health.checks[0].password.expose()), ("probe", &b"x"[..]));
    assert!(health.checks[1].password.is_empty(), "nobody logs in there");
    assert_eq!((health.down_when, health.down_users), (DownWhen::All, DownUsers::Stay));
}

#[test]
fn the_password_may_be_in_a_file() {
    let site = site(&format!("{ALL}health_check = login\nhealth_user = probe\nhealth_password = <secret\n"));
    site.write("secret", "hunter2\n");
    let settings = site.load().settings.unwrap();
    assert_eq!(settings.health.checks[0].password.expose(), b"hunter2");
}

#[test]
fn what_is_wrong_is_told() {
    for (text, problem) in [
        ("health_check = yes", "c.conf:2: health_check: 'yes' is not one of: off, connect, greeting, login"),
        ("health_interval = 500 ms", "c.conf:2: health_interval: 500 ms is too low, it must be at least 1 s"),
        ("health_fall = 0", "c.conf:2: health_fall: 0 is too low, it must be at least 1"),
        ("health_check = login", "c.conf:2: health_check = login needs a test user: health_user is not set"),
        (
            "health_check = login\nhealth_user = probe",
            "c.conf:2: health_check = login needs a test user: health_password is not set",
        ),
        ("health_rise = 3", "c.conf:2: warning: health_rise: has no effect while health_check is off"),
        (
            "health_check = connect",
            "c.conf:2: warning: health_check: has no effect without director_mail_servers",
        ),
        (
            "health_check = connect\nhealth_user = probe",
            "c.conf:3: warning: health_user: has no effect unless health_check is login",
        ),
        (
            "health_check = connect\nhealth_timeout = 20 secs",
            "c.conf:3: warning: health_timeout: longer than health_interval",
        ),
        (
            "health_check = connect\nhealth_interval = 1 secs",
            "c.conf:3: warning: health_timeout: longer than health_interval",
        ),
        (
            "health_check = connect\npassdb {\n driver = static\n args = password=x proxy=y port=10143\n}",
            "c.conf:2: warning: health_port: imap is checked at port 143, but the passdb sends logins to another",
        ),
    ] {
        let report = site(text).report();
        assert!(report.contains(problem), "{text}: {report}");
    }
}
