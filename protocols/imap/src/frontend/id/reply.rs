//! Our own answer to ID, as `imap_id_send` describes it (spec/login-proxy.md 4.7).

use super::text;

/// The name clients know the reference by; some choose their workarounds by it.
const NAME: &str = "Dovecot";

/// The version whose behaviour this program follows.
const VERSION: &str = "2.3.19.1";

/// A list of pairs in parentheses, or `NIL` for an empty setting. A lone last key gets NIL.
pub(super) fn id_reply(setting: &str) -> String {
    let words = words(setting);
    if words.is_empty() {
        return "NIL".to_owned();
    }
    let pairs = words.chunks(2).map(|pair| match pair {
        [key, value] if value == "*" => format!("{} {}", quoted(key), text::nstring(own_value(key))),
        [key, value] => format!("{} {}", quoted(key), quoted(value)),
        _ => format!("{} NIL", quoted(pair.concat().as_str())),
    });
    format!("({})", pairs.collect::<Vec<_>>().join(" "))
}

fn quoted(word: &str) -> String {
    text::quoted(word.as_bytes())
}

/// What `*` stands for.
fn own_value(key: &str) -> Option<&'static [u8]> {
    match key.to_ascii_lowercase().as_str() {
        "name" => Some(NAME.as_bytes()),
        "version" => Some(VERSION.as_bytes()),
        "os" => Some(b"Linux"),
        _ => None,
    }
}

/// The setting's words: bare, or in quotes with `\` before `"` and `\`.
fn words(setting: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut chars = setting.chars().peekable();
    while let Some(first) = chars.next() {
        let mut word = String::new();
        match first {
            c if c.is_whitespace() => continue,
            '"' => {
                while let Some(c) = chars.next().filter(|c| *c != '"') {
                    word.extend(if c == '\\' { chars.next() } else { Some(c) });
                }
            }
            c => {
                word.push(c);
                while let Some(c) = chars.next_if(|c| !c.is_whitespace()) {
                    word.push(c);
                }
            }
        }
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn im_28_the_setting_becomes_a_list() {
        for (setting, reply) in [
            ("name *", "(\"name\" \"Dovecot\")"),
            ("", "NIL"),
            ("  ", "NIL"),
            ("lone", "(\"lone\" NIL)"),
            (
                "name * version * support-url http://example.com/ empty NIL",
                "(\"name\" \"Dovecot\" \"version\" \"2.3.19.1\" \"support-url\" \"http://example.com/\" \
                 \"empty\" \"NIL\")",
            ),
            ("other * os *", "(\"other\" NIL \"os\" \"Linux\")"),
            ("\"a b\" \"c\\\"d\\\\\" x", "(\"a b\" \"c\\\"d\\\\\" \"x\" NIL)"),
            ("\"open", "(\"open\" NIL)"),
        ] {
            assert_eq!(id_reply(setting), reply, "{setting:?}");
        }
    }

    #[test]
    fn any_setting_is_one_line() {
        bolero::check!().for_each(|input: &[u8]| {
            let reply = id_reply(&String::from_utf8_lossy(input));
            assert!(!reply.contains(['\r', '\n', '\0']));
        });
    }
}
