//! What must never be shown.

use super::site;
use crate::config::dump;

const SECRET: &str = "hunter2";

#[test]
fn secrets_are_neither_dumped_nor_debugged_nor_reported() {
    let site = site(
        "doveadm_password = hunter2
ssl_key = \"-----BEGIN PRIVATE KEY-----hunter2\"
ssl_cert = \"-----BEGIN CERTIFICATE-----\"
ssl_key_password = hunter2
health_check = login
health_user = probe
health_password = hunter2
wrong = hunter2
passdb { args = hunter2 }
passdb {
  driver = static
  args = password=hunter2 proxy=y pass=hunter2 master_pass=hunter2 PASS=hunter2
  default_fields = pass=hunter2
}
userdb {
  args = hunter2
}
",
    );
    let outcome = site.load();
    for all in [false, true] {
        let text = dump(&outcome.parsed, all);
        assert!(!text.contains(SECRET), "{text}");
        assert!(
            text.contains("args = password=(hidden) proxy=y pass=(hidden) master_pass=(hidden)"),
            "{text}"
        );
        assert!(text.contains("ssl_key = (hidden)\n"), "{text}");
        assert!(text.contains("health_password = (hidden)\n"), "{text}");
    }
    assert!(!format!("{outcome:?}").contains(SECRET));
    let report = outcome.report.to_string();
    assert!(report.contains("unknown setting wrong\n") && !report.contains(SECRET), "{report}");
}

#[test]
fn settings_do_not_debug_passwords() {
    let outcome = site("health_check = login\nhealth_user = probe\nhealth_password = hunter2\npassdb {\n driver = static\n args = password=hunter2\n}").load();
    let settings = outcome.settings.expect("no errors");
    assert!(!format!("{settings:?}").contains(SECRET));
}
