//! What a director does to the answers between an auth service and a login process (spec/director.md 5.2,
//! spec/auth-protocol.md 9): which of them need a backend, and how it is added. It knows neither users' places nor
//! sockets; whoever has both asks here first and comes back with the place.

use std::net::IpAddr;

use homing_login::UserName;
use homing_wire::{Field, Fields, Secret};

/// Which socket the answers come from. It decides the one word that may need a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswersOf {
    /// A login socket: `OK`.
    Logins,
    /// A userdb socket: `PASS`.
    Lookups,
}

impl AnswersOf {
    fn word(self) -> &'static [u8] {
        match self {
            Self::Logins => b"OK",
            Self::Lookups => b"PASS",
        }
    }
}

/// An answer that needs a backend. It may hold a password.
#[derive(Debug)]
pub struct HostQuestion {
    line: Secret,
    id: Vec<u8>,
    user: UserName,
    login_name: UserName,
    timeout: Option<Vec<u8>>,
    tag: Vec<u8>,
    /// `director_proxy_maybe`: nothing is added if the backend is here.
    unless_here: Option<Here>,
}

/// The address that a client connected to, as far as the answer tells it.
#[derive(Debug)]
struct Here {
    ip: Option<Vec<u8>>,
    /// `port` and `lport`, if both are told.
    ports: Option<(Vec<u8>, Vec<u8>)>,
}

/// A user's backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Address.
    pub ip: IpAddr,
    /// Name it was configured by; login processes check certificates against it.
    pub hostname: Option<String>,
    /// How often a login process tells that a session lives, in seconds.
    pub refresh_secs: u64,
}

impl HostQuestion {
    /// Reads one line without its line end. `None`: it goes on unchanged.
    ///
    /// Asked about are answers with `proxy` or `director_proxy_maybe` that name a user but no host.
    pub fn of(answers: AnswersOf, line: &[u8]) -> Option<Self> {
        let mut parts = line.splitn(3, |b| *b == b'\t');
        let (word, id, rest) = (parts.next()?, parts.next()?, parts.next()?);
        if word != answers.word() {
            return None;
        }
        let fields = Fields::parse(rest);
        let maybe = fields.has("director_proxy_maybe");
        if !(maybe || fields.has("proxy")) || with_value(&fields, "host").next().is_some() {
            return None;
        }
        let user = user(&fields)?;
        Some(Self {
            id: id.to_vec(),
            login_name: last(&fields, "user").map_or_else(|| user.clone(), |name| name.as_slice().into()),
            user,
            timeout: last(&fields, "proxy_timeout"),
            tag: last(&fields, "director_tag").unwrap_or_default(),
            unless_here: maybe.then(|| Here::of(&fields)),
            line: line.into(),
        })
    }

    /// Whose backend is asked for; not yet cut at a master-user separator.
    pub fn user(&self) -> &UserName {
        &self.user
    }

    /// Under which name the login process knows the session: kicks by hash mean this one (spec/director.md 10, W2).
    pub fn login_name(&self) -> &UserName {
        &self.login_name
    }

    /// `proxy_timeout` as the auth service writes it: how long the login at the backend may take.
    pub fn timeout(&self) -> Option<&[u8]> {
        self.timeout.as_deref()
    }

    /// `director_tag`; empty for none.
    pub fn tag(&self) -> &[u8] {
        &self.tag
    }

    /// Memory that it takes, about.
    pub fn bytes(&self) -> usize {
        self.line.len()
    }

    /// The line with the backend, without line end. Fields are added behind all others, since the last one of a name
    /// counts.
    pub fn placed(&self, place: &Place) -> Secret {
        if self.unless_here.as_ref().is_some_and(|here| here.is(place.ip)) {
            return self.line.clone();
        }
        let (ip, refresh) = (place.ip, place.refresh_secs);
        let added = match &place.hostname {
            Some(name) => format!("\tproxy_refresh={refresh}\thost={name}\thostip={ip}"),
            None => format!("\tproxy_refresh={refresh}\thost={ip}"),
        };
        [self.line.expose(), added.as_bytes()].concat().into()
    }

    /// What is said instead if there is no backend, without line end. On userdb sockets it is the same.
    pub fn failed(&self) -> Secret {
        [b"FAIL\t", self.id.as_slice(), b"\tcode=temp_fail"].concat().into()
    }
}

impl Here {
    fn of(fields: &Fields) -> Self {
        Self { ip: last(fields, "lip"), ports: last(fields, "port").zip(last(fields, "lport")) }
    }

    fn is(&self, ip: IpAddr) -> bool {
        let here = self.ip.as_deref().and_then(|ip| std::str::from_utf8(ip).ok()?.parse().ok());
        here == Some(ip) && self.ports.as_ref().is_none_or(|(port, here)| port == here)
    }
}

/// The last `destuser=`, else the first `user=`.
fn user(fields: &Fields) -> Option<UserName> {
    let destuser = with_value(fields, "destuser").last();
    destuser.or_else(|| with_value(fields, "user").next()).map(UserName::from)
}

fn last(fields: &Fields, key: &'static str) -> Option<Vec<u8>> {
    with_value(fields, key).last().map(<[u8]>::to_vec)
}

/// Values of all fields of this name; bare words do not count.
fn with_value<'a>(fields: &'a Fields, key: &'static str) -> impl Iterator<Item = &'a [u8]> {
    let of_key = move |field: &&Field| field.key == key.as_bytes();
    fields.iter().filter(of_key).filter_map(|field| field.value.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of the recorded lines: separator, what came from the auth service, what went to the login process.
    fn recorded() -> Vec<[String; 3]> {
        let table = include_str!("../../../tests/vectors/director_login_lines.tsv");
        let cell = |cell: &str| cell.replace("\\t", "\t").replace("\\x01", "\x01");
        let rows = table.lines().skip(1).map(|line| line.split('\t').map(cell).collect::<Vec<_>>());
        rows.map(|row| row.try_into().unwrap()).collect()
    }

    /// The place that a recorded line tells.
    fn place_in(added: &str) -> Place {
        let fields = Fields::parse(added.as_bytes());
        let host = fields.text("host").unwrap();
        let hostip = fields.text("hostip");
        Place {
            ip: hostip.unwrap_or(host).parse().unwrap(),
            hostname: hostip.map(|_| host.to_owned()),
            refresh_secs: fields.text("proxy_refresh").unwrap().parse().unwrap(),
        }
    }

    /// Where user foo is in the recording.
    fn place_of_foo() -> Place {
        place_in("\tproxy_refresh=450\thost=bepool.test\thostip=127.0.0.62")
    }

    #[test]
    fn the_login_process_may_know_another_name() {
        let of = |fields: &str| {
            HostQuestion::of(AnswersOf::Logins, format!("OK\t1\t{fields}").as_bytes()).unwrap()
        };
        for (fields, user, login_name) in [
            ("user=foo\tproxy", "foo", "foo"),
            ("user=foo\tproxy\tdestuser=bar", "bar", "foo"),
            ("destuser=bar\tproxy", "bar", "bar"),
        ] {
            let question = of(fields);
            assert_eq!(question.user().as_bytes(), user.as_bytes(), "{fields}");
            assert_eq!(question.login_name().as_bytes(), login_name.as_bytes(), "{fields}");
        }
        assert_eq!(of("user=foo\tproxy\tproxy_timeout=2500ms").timeout(), Some("2500ms".as_bytes()));
        assert_eq!(of("user=foo\tproxy").timeout(), None);
    }

    #[test]
    fn di_01_di_08_recorded_lines_get_their_host_as_recorded() {
        let (mut placed, mut here, mut untouched) = (0, 0, 0);
        for [_, asked, told] in recorded() {
            let question = HostQuestion::of(AnswersOf::Logins, asked.as_bytes());
            match (question, told.strip_prefix(&asked).unwrap()) {
                (Some(question), "") => {
                    assert!(question.placed(&place_of_foo()).same_as(told.as_bytes()), "{asked}");
                    here += 1;
                }
                (Some(question), added) => {
                    assert!(question.placed(&place_in(added)).same_as(told.as_bytes()), "{asked}");
                    placed += 1;
                }
                (None, added) => {
                    assert_eq!(added, "", "{asked}");
                    untouched += 1;
                }
            }
        }
        assert_eq!((placed, here, untouched), (46, 6, 20));
    }

    #[test]
    fn di_06_lookups_are_answered_with_the_word_pass() {
        let line = b"PASS\t1\tuser=foo\tproxy=y\tforward_x=1\tlip=127.0.77.1\tlport=24";
        let question = HostQuestion::of(AnswersOf::Lookups, line).unwrap();
        let place = Place { ip: "127.0.77.2".parse().unwrap(), hostname: None, refresh_secs: 30 };
        let expected = b"PASS\t1\tuser=foo\tproxy=y\tforward_x=1\tlip=127.0.77.1\tlport=24\tproxy_refresh=30\thost=127.0.77.2";
        assert!(question.placed(&place).same_as(expected));
        for other in
            ["OK\t1\tuser=foo\tproxy", "USER\t7\tfoo\tproxy", "NOTFOUND\t2", "PASS\t1\tuser=foo\tnologin"]
        {
            assert!(HostQuestion::of(AnswersOf::Lookups, other.as_bytes()).is_none(), "{other}");
        }
    }

    #[test]
    fn di_04_names_and_tags() {
        for (fields, user, tag) in [
            ("user=a\tuser=b\tproxy", "a", ""),
            ("destuser=a\tuser=b\tdestuser=c\tproxy", "c", ""),
            ("proxy\tuser=a\x01tb\tdirector_tag=x\tdirector_tag=y\x01n", "a\tb", "y\n"),
            ("user=\tproxy=n", "", ""),
        ] {
            let question =
                HostQuestion::of(AnswersOf::Logins, format!("OK\t1\t{fields}").as_bytes()).unwrap();
            assert_eq!(question.user().as_bytes(), user.as_bytes(), "{fields}");
            assert_eq!(question.tag(), tag.as_bytes(), "{fields}");
        }
    }

    #[test]
    fn a_failure_keeps_the_id_only() {
        let question =
            HostQuestion::of(AnswersOf::Logins, b"OK\t4294967295\tuser=foo\tproxy\tpass=secret").unwrap();
        assert!(question.failed().same_as(b"FAIL\t4294967295\tcode=temp_fail"));
        assert!(!format!("{question:?}").contains("secret"));
    }

    #[test]
    fn any_line_goes_on_whole() {
        let place = place_of_foo();
        bolero::check!().for_each(|line: &[u8]| {
            for (answers, word) in [(AnswersOf::Logins, "OK\t"), (AnswersOf::Lookups, "PASS\t")] {
                let line = [word.as_bytes(), line].concat();
                let Some(question) = HostQuestion::of(answers, &line) else { continue };
                assert!(question.placed(&place).expose().starts_with(&line));
                assert!(question.failed().len() <= line.len() + 20);
            }
        });
    }
}
