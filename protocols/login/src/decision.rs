//! From the fields of an auth reply to what happens next (spec/auth-protocol.md 5.1, 5.2, 6).

use std::{net::IpAddr, time::Duration};

use homing_wire::{Fields, Secret, printable};

use crate::{
    FailReply, ForwardField, OkReply, Refusal, RefusalKind, Service, UserName, duration::parse_duration,
};

/// What an `OK` reply means.
#[derive(Debug, Clone)]
pub enum Decision {
    /// Log in at a backend as the user.
    Proxy(Box<ProxyTarget>),
    /// Refuse the login.
    Refuse(Refusal),
    /// The auth service wants a local login, which a proxy does not have: a configuration error.
    NoDestination,
}

/// Where and how to log in. `host` is still to be filled in by the director if it is `None`.
#[derive(Debug, Clone)]
pub struct ProxyTarget {
    /// Name for logs and lists.
    pub user: UserName,
    /// Name at the backend; also what the director hashes.
    pub destuser: UserName,
    /// Password at the backend; `None` is an error found by [`ProxyTarget::check`].
    pub password: Option<Secret>,
    /// Destination as given: IP address or name.
    pub host: Option<String>,
    /// Address to connect to, if given apart from `host`.
    pub host_ip: Option<String>,
    /// Port, or the default of the service.
    pub port: u16,
    /// Local address for the connection.
    pub source_ip: Option<IpAddr>,
    /// Authenticate as this user on behalf of `destuser`.
    pub master: Option<UserName>,
    /// SASL mechanism, upper case.
    pub mechanism: Option<String>,
    /// How TLS is used towards the backend.
    pub tls: TlsUse,
    /// Limit of one attempt; `None`: `login_proxy_timeout`. Zero: no limit.
    pub timeout: Option<Duration>,
    /// Interval of refresh notifications; zero: none.
    pub refresh: Duration,
    /// `proxy_nopipelining`.
    pub no_pipelining: bool,
    /// `proxy_not_trusted`.
    pub not_trusted: bool,
    /// `proxy_host_immediate_failure_after`.
    pub immediate_failure_after: Duration,
    /// `director_tag`.
    pub tag: Vec<u8>,
    /// Alternative names (`user_*`), full key and value.
    pub alt_names: Vec<(Vec<u8>, Vec<u8>)>,
    /// `forward_*`, prefix removed.
    pub forward: Vec<ForwardField>,
    /// Complaints about fields that were ignored, for the log.
    pub warnings: Vec<String>,
}

/// TLS towards the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsUse {
    /// None.
    #[default]
    No,
    /// From the first byte.
    Implicit {
        /// Check the certificate.
        verify: bool,
    },
    /// By the protocol's command.
    StartTls {
        /// Check the certificate.
        verify: bool,
    },
}

/// Why a target cannot be used; the texts of spec/login-proxy.md 7.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetError {
    /// No `pass`.
    NoPassword,
    /// No `host`, and the director was not asked.
    NoHost,
    /// `hostip` is not an address.
    InvalidHostIp(String),
    /// `host` is a name and no `hostip` came with it.
    HostNotResolved(String),
    /// `proxy_mech` is not one we can do.
    UnsupportedMechanism(String),
    /// CR, LF or NUL in a user name or password, which line protocols cannot carry.
    ForbiddenBytes,
}

impl std::fmt::Display for TargetError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoPassword => f.write_str("password not given"),
            Self::NoHost => f.write_str("host not given"),
            Self::InvalidHostIp(ip) => write!(f, "Invalid hostip {ip}"),
            Self::HostNotResolved(host) => {
                write!(f, "BUG: host {host} is not an IP (auth should have changed it)")
            }
            Self::UnsupportedMechanism(mech) => write!(f, "Unsupported SASL mechanism {mech}"),
            Self::ForbiddenBytes => f.write_str("user name or password has CR, LF or NUL"),
        }
    }
}

/// Turns an `OK` reply into a decision. `mechanism` is the one the client used (for referrals).
pub fn decide(service: Service, mechanism: &str, reply: &OkReply) -> Decision {
    let fields = &reply.fields;
    if service == Service::Sieve && fields.has("anonymous") {
        return Decision::Refuse(Refusal {
            reason: Some("Anonymous login denied".to_owned()),
            ..Refusal::new(RefusalKind::AnonymousDenied)
        });
    }
    if fields.has("proxy") {
        Decision::Proxy(Box::new(ProxyTarget::parse(service, fields)))
    } else if fields.has("nologin") {
        Decision::Refuse(nologin(service, mechanism, fields))
    } else {
        Decision::NoDestination
    }
}

/// Turns a `FAIL` reply into a refusal. `stamp` is shown with temporary failures.
pub fn refusal_of(reply: &FailReply, stamp: &str) -> Refusal {
    let fields = &reply.fields;
    let kind = match fields.value("code") {
        Some(b"temp_fail") => RefusalKind::TempFail { stamp: stamp.to_owned() },
        Some(b"authz_fail") => RefusalKind::AuthzFailed,
        Some(b"user_disabled") => RefusalKind::UserDisabled,
        Some(b"pass_expired") => RefusalKind::PassExpired,
        Some(b"invalid_base64") => RefusalKind::InvalidBase64,
        Some(b"auth_mech_invalid") => RefusalKind::MechInvalid,
        Some(b"auth_mech_ssl_required") => RefusalKind::MechSslRequired,
        Some(b"anonymous_denied") => RefusalKind::AnonymousDenied,
        _ => RefusalKind::AuthFailed,
    };
    let final_challenge = fields.value("resp").filter(|r| homing_wire::is_base64(r)).map(<[u8]>::to_vec);
    Refusal { kind, reason: reason(fields), final_challenge }
}

impl ProxyTarget {
    fn parse(service: Service, fields: &Fields) -> Self {
        let mut warnings = Vec::new();
        let user = UserName::from(fields.value("user").unwrap_or_default());
        let tls = tls_use(fields);
        let implicit = matches!(tls, TlsUse::Implicit { .. });
        Self {
            destuser: fields.value("destuser").map_or_else(|| user.clone(), UserName::from),
            user,
            password: fields.value("pass").map(Secret::from),
            host: fields.value("host").filter(|h| !h.is_empty()).map(printable),
            host_ip: fields.value("hostip").map(printable),
            port: port(fields, &mut warnings).unwrap_or_else(|| service.default_port(implicit)),
            source_ip: fields.text("source_ip").and_then(|ip| ip.parse().ok()),
            master: fields.value("master").filter(|m| !m.is_empty()).map(UserName::from),
            mechanism: fields.value("proxy_mech").map(|m| printable(m).to_ascii_uppercase()),
            tls,
            timeout: duration(fields, "proxy_timeout", &mut warnings),
            refresh: duration(fields, "proxy_refresh", &mut warnings).unwrap_or_default(),
            no_pipelining: fields.has("proxy_nopipelining"),
            not_trusted: fields.has("proxy_not_trusted"),
            immediate_failure_after: duration(fields, "proxy_host_immediate_failure_after", &mut warnings)
                .unwrap_or(IMMEDIATE_FAILURE_AFTER),
            tag: fields.value("director_tag").unwrap_or_default().to_vec(),
            alt_names: prefixed(fields, b"user_")
                .map(|(key, value)| ([b"user_", key].concat(), value.unwrap_or_default().to_vec()))
                .collect(),
            forward: prefixed(fields, b"forward_")
                .map(|(key, value)| ForwardField { key: key.to_vec(), value: value.map(<[u8]>::to_vec) })
                .collect(),
            warnings,
        }
    }

    /// Checks what must hold before a backend is contacted, and gives the address to connect to
    /// (spec/login-proxy.md 7.1). `mechanisms` are the SASL mechanisms we can do towards backends.
    pub fn check(&self, mechanisms: &[&str]) -> Result<IpAddr, TargetError> {
        let password = self.password.as_ref().ok_or(TargetError::NoPassword)?;
        let host = self.host.as_deref().ok_or(TargetError::NoHost)?;
        let ip = match &self.host_ip {
            Some(ip) => ip.parse().map_err(|_| TargetError::InvalidHostIp(ip.clone()))?,
            None => host.parse().map_err(|_| TargetError::HostNotResolved(host.to_owned()))?,
        };
        if let Some(mech) = self.mechanism.as_ref().filter(|m| !mechanisms.contains(&m.as_str())) {
            return Err(TargetError::UnsupportedMechanism(mech.clone()));
        }
        let names = [Some(self.destuser.as_bytes()), self.master.as_ref().map(UserName::as_bytes)];
        if names.into_iter().flatten().chain([password.expose()]).any(has_forbidden_bytes) {
            return Err(TargetError::ForbiddenBytes);
        }
        Ok(ip)
    }
}

/// Default of `proxy_host_immediate_failure_after` (spec/login-proxy.md 7.5).
const IMMEDIATE_FAILURE_AFTER: Duration = Duration::from_secs(30);

/// CR, LF and NUL would end or cut a line of the backend protocol (spec/login-proxy.md 15, row 7).
fn has_forbidden_bytes(value: &[u8]) -> bool {
    value.iter().any(|b| matches!(b, b'\r' | b'\n' | 0))
}

fn nologin(service: Service, mechanism: &str, fields: &Fields) -> Refusal {
    let kind = match fields.value("host").filter(|h| !h.is_empty()) {
        Some(host) => {
            let default = service.default_port(false);
            RefusalKind::Referral {
                user: fields.value("destuser").or(fields.value("user")).unwrap_or_default().to_vec(),
                mechanism: mechanism.to_owned(),
                host: printable(host),
                port: port(fields, &mut Vec::new()).filter(|p| *p != default),
            }
        }
        None => RefusalKind::LoginDisabled,
    };
    Refusal { kind, reason: reason(fields), final_challenge: None }
}

/// The `reason` for the client: one line of text.
fn reason(fields: &Fields) -> Option<String> {
    let text = String::from_utf8_lossy(fields.value("reason")?).into_owned();
    Some(text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect())
}

fn tls_use(fields: &Fields) -> TlsUse {
    let verify = |key| fields.value(key).map(|v| v != b"any-cert");
    match (verify("starttls"), verify("ssl")) {
        (Some(verify), _) => TlsUse::StartTls { verify },
        (None, Some(verify)) => TlsUse::Implicit { verify },
        (None, None) => TlsUse::No,
    }
}

fn port(fields: &Fields, warnings: &mut Vec<String>) -> Option<u16> {
    let text = fields.value("port")?;
    let port = std::str::from_utf8(text).ok().and_then(|t| t.parse::<u16>().ok()).filter(|p| *p != 0);
    if port.is_none() {
        warnings.push(format!("Auth service returned invalid port number: {}", printable(text)));
    }
    port
}

fn duration(fields: &Fields, key: &str, warnings: &mut Vec<String>) -> Option<Duration> {
    let text = fields.value(key)?;
    let parsed = std::str::from_utf8(text).ok().and_then(parse_duration);
    if parsed.is_none() {
        warnings.push(format!("Auth service returned invalid {key} value '{}'", printable(text)));
    }
    parsed
}

fn prefixed<'a>(
    fields: &'a Fields,
    prefix: &'static [u8],
) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> {
    fields.iter().filter_map(move |field| {
        let (head, key) = field.key.split_at_checked(prefix.len())?;
        head.eq_ignore_ascii_case(prefix).then_some((key, field.value.as_deref()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(line: &str) -> OkReply {
        OkReply { fields: Fields::parse(line.as_bytes()) }
    }

    fn target(line: &str) -> ProxyTarget {
        match decide(Service::Imap, "PLAIN", &ok(line)) {
            Decision::Proxy(target) => *target,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn proxy_wins_over_nologin() {
        let t = target("user=a\tproxy\tnologin\thost=10.0.0.1\tpass=x");
        assert_eq!(t.check(&[]), Ok("10.0.0.1".parse().unwrap()));
        assert_eq!((t.port, t.tls), (143, TlsUse::No));
    }

    #[test]
    fn ports_follow_tls() {
        assert_eq!(target("user=a\tproxy\tssl=any-cert").port, 993);
        assert_eq!(target("user=a\tproxy\tssl=yes\tport=143").port, 143);
        let t = target("user=a\tproxy\tport=99999");
        assert_eq!(t.port, 143);
        assert_eq!(t.warnings, ["Auth service returned invalid port number: 99999"]);
        assert_eq!(
            target("user=a\tproxy\tssl=yes\tstarttls=any-cert").tls,
            TlsUse::StartTls { verify: false }
        );
    }

    #[test]
    fn unusable_targets_are_named() {
        let check = |line: &str| target(line).check(&["PLAIN"]).unwrap_err().to_string();
        assert_eq!(check("user=a\tproxy\thost=10.0.0.1"), "password not given");
        assert_eq!(check("user=a\tproxy\tpass=x"), "host not given");
        assert_eq!(check("user=a\tproxy\tpass=x\thost=b\thostip=z"), "Invalid hostip z");
        assert!(check("user=a\tproxy\tpass=x\thost=b").starts_with("BUG: host b is not an IP"));
        assert_eq!(
            check("user=a\tproxy\tpass=x\thost=10.0.0.1\tproxy_mech=foo"),
            "Unsupported SASL mechanism FOO"
        );
        assert!(check("user=a\x01nb\tproxy\tpass=x\thost=10.0.0.1").contains("CR, LF or NUL"));
    }

    #[test]
    fn failures_by_code() {
        let fail = |line: &str| refusal_of(&FailReply { fields: Fields::parse(line.as_bytes()) }, "h:t");
        assert_eq!(fail("user=a").kind, RefusalKind::AuthFailed);
        assert_eq!(fail("temp").kind, RefusalKind::AuthFailed);
        assert_eq!(fail("code=temp_fail").kind, RefusalKind::TempFail { stamp: "h:t".to_owned() });
        assert_eq!(fail("code=pass_expired\treason=a\x01nb").reason.as_deref(), Some("a b"));
        assert_eq!(fail("code=user_disabled\thost=x").kind, RefusalKind::UserDisabled);
    }

    #[test]
    fn nologin_and_referrals() {
        let refuse = |line: &str| match decide(Service::Imap, "PLAIN", &ok(line)) {
            Decision::Refuse(refusal) => refusal.kind,
            other => panic!("{other:?}"),
        };
        assert_eq!(refuse("user=a\tnologin\tcode=temp_fail"), RefusalKind::LoginDisabled);
        assert!(matches!(
            refuse("user=a\tnologin\thost=h\tport=1143"),
            RefusalKind::Referral { port: Some(1143), .. }
        ));
        assert!(matches!(decide(Service::Imap, "PLAIN", &ok("user=a")), Decision::NoDestination));
    }

    #[test]
    fn prefixed_fields() {
        let t = target("user=a\tproxy\tForward_X=1\tforward_y\tuser_group=g");
        assert_eq!(t.forward.len(), 2);
        assert_eq!(t.alt_names, vec![(b"user_group".to_vec(), b"g".to_vec())]);
    }

    #[test]
    fn any_reply_is_decided_and_no_usable_one_breaks_a_line() {
        const PIECES: &[&str] = &[
            "user=",
            "proxy",
            "\t",
            "\t",
            "\t",
            "pass=",
            "host=10.0.0.1",
            "port=",
            "proxy_timeout=",
            "destuser=",
            "master=",
            "x",
            "\x01n",
            "\x01r",
            "\x010",
            "1",
            "forward_a=",
            "proxy_mech=",
            "nologin",
            "reason=",
            "source_ip=",
            "hostip=",
            "user=a\tproxy\tpass=p\thost=10.0.0.1",
        ];
        bolero::check!().with_type::<(u8, Vec<u8>)>().for_each(|(service, choices)| {
            let piece = |c: &u8| match c {
                0..240 => PIECES[usize::from(*c) % PIECES.len()].as_bytes().to_vec(),
                byte => vec![*byte],
            };
            let line: Vec<u8> = choices.iter().flat_map(piece).collect();
            let service = [Service::Imap, Service::Pop3, Service::Sieve][usize::from(*service) % 3];
            let decision = decide(service, "PLAIN", &OkReply { fields: Fields::parse(&line) });
            let Decision::Proxy(target) = decision else { return };
            if target.check(&["PLAIN"]).is_ok() {
                let master = target.master.as_ref().map_or(&b""[..], UserName::as_bytes);
                let password = target.password.as_ref().unwrap().expose();
                assert!(![target.destuser.as_bytes(), master, password].into_iter().any(has_forbidden_bytes));
            }
        });
    }
}
