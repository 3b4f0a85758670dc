//! `%variables` in values, checked by name only. What they become is the business of the rooms that use them.

use super::kind::Verdict;

/// The names that one setting knows, and how bad others are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Variables {
    /// One-letter names.
    pub(crate) short: &'static str,
    pub(crate) long: &'static [&'static str],
    /// Unknown names make the value unusable; otherwise they are shown as they are.
    pub(crate) strict: bool,
}

/// `login_greeting` (spec/login-proxy.md 3.4).
pub(crate) const GREETING: Variables =
    Variables { short: "lrps", long: &["lip", "rip", "pid", "service", "local_name"], strict: true };

/// `director_username_hash` (spec/director.md 1.5).
pub(crate) const USERNAME_HASH: Variables =
    Variables { short: "und", long: &["user", "username", "domain"], strict: true };

/// `director_flush_socket` (spec/director.md 4.8).
pub(crate) const FLUSH_SOCKET: Variables = Variables { short: "ih", long: &["ip", "host"], strict: true };

/// `login_log_format_elements` (spec/login-proxy.md 14.1).
pub(crate) const LOG_ELEMENTS: Variables = Variables {
    short: "undslrabpmcke",
    long: &[
        "user",
        "username",
        "domain",
        "orig_user",
        "orig_username",
        "orig_domain",
        "auth_user",
        "auth_username",
        "auth_domain",
        "service",
        "lip",
        "rip",
        "lport",
        "rport",
        "real_lip",
        "real_rip",
        "real_lport",
        "real_rport",
        "pid",
        "mechanism",
        "secured",
        "ssl_security",
        "mail_pid",
        "session",
        "listener",
        "local_name",
    ],
    strict: false,
};

/// `login_log_format`: message and elements.
pub(crate) const LOG_LINE: Variables = Variables { short: "$s", long: &[], strict: false };

/// Checks the names in a text. Modifiers, offsets and widths between `%` and the name are skipped.
pub(crate) fn check(text: &str, known: &Variables) -> Verdict {
    let mut rest = text;
    while let Some((_, tail)) = rest.split_once('%') {
        let tail = tail.trim_start_matches(|c: char| c.is_ascii_digit() || "-.LUEXRHNMDT".contains(c));
        let Some(first) = tail.chars().next() else {
            return complain("there is a lone % at the end (write %% for a percent sign)".into(), known);
        };
        rest = tail.get(first.len_utf8()..).unwrap_or_default();
        if first == '{' {
            let Some((name, behind)) = rest.split_once('}') else {
                return complain("%{ has no }".into(), known);
            };
            if !is_known_long(name, known) {
                return complain(unknown(&format!("%{{{name}}}"), known), known);
            }
            rest = behind;
        } else if first != '%' && !known.short.contains(first) {
            return complain(unknown(&format!("%{first}"), known), known);
        }
    }
    Verdict::Fine
}

/// Conditions, digests (`md5:user`), `env:X` and fields of the auth reply are left to the room that expands them.
fn is_known_long(name: &str, known: &Variables) -> bool {
    known.long.contains(&name) || name.starts_with("if;") || name.contains([':', ';'])
}

fn unknown(variable: &str, known: &Variables) -> String {
    let short = known.short.chars().map(|c| format!("%{c}"));
    let long = known.long.iter().map(|name| format!("%{{{name}}}"));
    let names: Vec<_> = short.chain(long).collect();
    format!("unknown variable {variable} (known: {})", names.join(" "))
}

fn complain(text: String, known: &Variables) -> Verdict {
    if known.strict { Verdict::Wrong(text) } else { Verdict::Doubtful(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_pass() {
        for text in [
            "",
            "%Lu",
            "%u@%d",
            "100%%",
            "%{username}",
            "%L{user}",
            "%5.3Ln",
            "%{md5:user}",
            "%{if;%d;eq;x;a;b}",
        ] {
            assert_eq!(check(text, &USERNAME_HASH), Verdict::Fine, "{text}");
        }
        let elements = "user=<%u> method=%m rip=%r lip=%l mpid=%e %c session=<%{session}> %{passdb:x}";
        assert_eq!(check(elements, &LOG_ELEMENTS), Verdict::Fine);
        assert_eq!(check("%$: %s", &LOG_LINE), Verdict::Fine);
    }

    #[test]
    fn others_are_named() {
        let wrong = |text: &str| check(text, &USERNAME_HASH);
        let known = "(known: %u %n %d %{user} %{username} %{domain})";
        assert_eq!(wrong("%Lq"), Verdict::Wrong(format!("unknown variable %q {known}")));
        assert_eq!(wrong("%{who}"), Verdict::Wrong(format!("unknown variable %{{who}} {known}")));
        assert_eq!(
            wrong("a%"),
            Verdict::Wrong("there is a lone % at the end (write %% for a percent sign)".into())
        );
        assert_eq!(wrong("%{user"), Verdict::Wrong("%{ has no }".into()));
        assert!(matches!(check("%z", &LOG_ELEMENTS), Verdict::Doubtful(_)));
    }

    #[test]
    fn any_text_terminates() {
        bolero::check!().with_type::<String>().for_each(|text| {
            check(text, &GREETING);
        });
    }
}
