//! Requests against embedded passdbs. Expected replies were measured with Dovecot 2.3.19.1 on the same file, but
//! where a comment says otherwise.

use std::{path::Path, time::Duration};

use homing_login::{AuthReply, AuthRequest, ClientIdentity, ForwardField, Service};
use homing_wire::{Fields, Secret, SessionId, encode_base64};
use tokio::time::timeout;

use super::Embedded;
use crate::{
    auth::{Auth, AuthError, Source},
    config::settings::{AuthSettings, AuthSource, PassdbSettings, PasswdFileSettings, StaticSettings},
};

pub(in crate::auth) const USERS: &str = "# comment
alice:{PLAIN}pw::::::proxy=y host=127.0.0.1 destuser=%n@x pass=%w
nop:::::::nopassword=y proxy=y host=10.0.0.1
nop2:{PLAIN}x::::::nopassword=y proxy=y host=10.0.0.1
bad:{NOSUCH}pw::::::
nets:{PLAIN}pw::::::allow_nets=10.0.0.0/8,2001:db8::/32 proxy=y
inside:{PLAIN}pw::::::allow_nets=192.0.2.0/24 proxy=y host=10.0.0.1
nolog:{PLAIN}pw::::::nologin=anything reason=no_way
empty:::::::proxy=y
userdb:{PLAIN}pw::::::userdb_x=1 proxy host=1.2.3.4 password=foo user=changed@d
colon:{PLAIN}pw::::::proxy host=[::1] hostip=::1 x
nohost:{PLAIN}pw::::::proxy=yes
named:{PLAIN}pw::::::proxy=yes host=localhost
maybe:{PLAIN}pw::::::proxy_maybe=y host=192.0.2.9 port=143
maybe2:{PLAIN}pw::::::host=192.0.2.8 proxy_maybe
foo:{PLAIN}pw::::::proxy=y username=foo2 destuser=%u host=1.2.3.4
bob:{PLAIN}pw::::::proxy=y domain=foo host=1.2.3.4
carl:{PLAIN}pw::::::proxy=y fail=yes
dan:{PLAIN}pw::::::user= nologin
eve:{PLAIN}pw::::::proxy=y host=1.2.3.4 original_user=zz allow_nets=192.0.2.7
hash:{SHA256}nonsense::::::
var:{PLAIN}pw::::::host=%Q
:ignored
nomore
alice:{PLAIN}second::::::
";

fn settings(passdbs: Vec<PassdbSettings>) -> AuthSettings {
    AuthSettings {
        source: AuthSource::Embedded(passdbs),
        master_user_separator: Some('*'),
        failure_delay_millis: 0,
    }
}

pub(in crate::auth) fn file(path: &Path) -> PasswdFileSettings {
    PasswdFileSettings {
        path: path.to_owned(),
        default_scheme: "plain".to_owned(),
        username_format: "%u".to_owned(),
        default_fields: Vec::new(),
        override_fields: Vec::new(),
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

/// An authenticator with one password file.
struct Stage {
    folder: tempfile::TempDir,
    auth: Auth,
}

impl Stage {
    fn new(change: impl FnOnce(&mut PasswdFileSettings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        std::fs::write(&path, USERS).unwrap();
        let mut file = file(&path);
        change(&mut file);
        let auth = Auth::start(&settings(vec![PassdbSettings::PasswdFile(file)])).unwrap();
        Self { folder, auth }
    }

    async fn plain(&self, user: &str, password: &str) -> String {
        plain(&self.auth, user, password).await
    }
}

fn request(mechanism: &str, initial: Option<&[u8]>) -> AuthRequest {
    let session = SessionId::received(b"S1").unwrap();
    let (remote, local) = ("192.0.2.7:1".parse().unwrap(), "192.0.2.9:143".parse().unwrap());
    AuthRequest {
        mechanism: mechanism.to_owned(),
        initial_response: initial.map(base64),
        client: ClientIdentity::new(Service::Imap, remote, local, session),
        tls: None,
    }
}

fn base64(bytes: &[u8]) -> Secret {
    Secret::new(encode_base64(bytes).into_bytes())
}

async fn told(auth: &Auth, request: AuthRequest, responses: &[&[u8]]) -> String {
    let (mut exchange, mut responses) = (auth.begin(request), responses.iter());
    let mut said = String::new();
    loop {
        let reply = timeout(Duration::from_secs(60), exchange.reply()).await.unwrap();
        said += &match reply {
            AuthReply::Challenge(data) => {
                exchange.respond(base64(responses.next().unwrap()));
                format!("CONT {} ", String::from_utf8(data).unwrap())
            }
            AuthReply::Ok(ok) => return format!("{said}OK{}", line(&ok.fields)),
            AuthReply::Fail(fail) => return format!("{said}FAIL{}", line(&fail.fields)),
            AuthReply::Lost => return format!("{said}lost"),
        };
    }
}

fn line(fields: &Fields) -> String {
    let mut line = Vec::new();
    fields.write_to(&mut line);
    String::from_utf8(line).unwrap().replace('\t', " ")
}

pub(in crate::auth) async fn plain(auth: &Auth, user: &str, password: &str) -> String {
    told(auth, request("PLAIN", Some(format!("\0{user}\0{password}").as_bytes())), &[]).await
}

#[tokio::test]
async fn replies_are_those_of_the_reference() {
    let stage = Stage::new(|file| {
        file.default_fields = words("proxy=y host=9.9.9.9");
        file.override_fields = words("proxy_mech=PLAIN port=99");
    });
    let tail = "proxy_mech=PLAIN port=99";
    let cases = [
        ("alice", format!("OK user=alice proxy host=127.0.0.1 destuser=alice@x pass=pw {tail}")),
        (
            "Alice",
            format!("OK user=alice proxy host=127.0.0.1 destuser=alice@x pass=pw {tail} original_user=Alice"),
        ),
        ("nop", format!("OK user=nop proxy host=10.0.0.1 {tail} pass=pw")),
        ("nop2", "FAIL user=nop2".to_owned()),
        ("nets", "FAIL user=nets".to_owned()),
        ("inside", format!("OK user=inside proxy host=10.0.0.1 {tail} pass=pw")),
        ("nolog", format!("OK user=nolog proxy host=9.9.9.9 nologin reason=no_way {tail} pass=pw")),
        ("empty", "FAIL user=empty".to_owned()),
        ("userdb", format!("OK user=changed@d proxy host=1.2.3.4 {tail} original_user=userdb pass=pw")),
        ("colon", format!("OK user=colon proxy host=[::1] hostip=::1 x {tail} pass=pw")),
        ("nomore", "FAIL user=nomore".to_owned()),
        ("nosuch", "FAIL user=nosuch".to_owned()),
        ("alice@x", "FAIL user=alice@x".to_owned()),
        // The reference refuses as if the password were wrong; clients would ask for a new one.
        ("bad", "FAIL user=bad code=temp_fail".to_owned()),
        ("hash", "FAIL user=hash code=temp_fail".to_owned()),
        ("var", "FAIL user=var code=temp_fail".to_owned()),
        ("ali ce", "FAIL user=ali ce original_user=ali ce".to_owned()),
        ("alice*adm", "FAIL user=adm".to_owned()),
    ];
    for (user, expected) in cases {
        assert_eq!(stage.plain(user, "pw").await, expected, "{user}");
    }
    assert_eq!(stage.plain("alice", "second").await, "FAIL user=alice", "the first line counts");
    assert_eq!(stage.plain("alice", "").await, "FAIL user=alice");
    assert_eq!(stage.plain("nosuch", "").await, "FAIL user=nosuch");
}

#[tokio::test]
async fn destinations_are_completed() {
    let stage = Stage::new(|_| {});
    assert_eq!(stage.plain("nohost", "pw").await, "OK user=nohost proxy lip=192.0.2.9 lport=143 pass=pw");
    assert_eq!(stage.plain("maybe", "pw").await, "OK user=maybe");
    assert_eq!(stage.plain("maybe2", "pw").await, "OK user=maybe2 host=192.0.2.8 proxy pass=pw");
    let named = stage.plain("named", "pw").await;
    assert!(named.starts_with("OK user=named proxy host=localhost hostip="), "{named}");
    assert_eq!(stage.plain("nolog", "pw").await, "OK user=nolog nologin reason=no_way");
}

#[tokio::test]
async fn names_can_be_changed() {
    let stage = Stage::new(|file| file.username_format = "%n".to_owned());
    let cases = [
        ("foo", "OK user=foo2 proxy destuser=foo host=1.2.3.4 original_user=foo pass=pw"),
        ("foo@q", "OK user=foo2@q proxy destuser=foo@q host=1.2.3.4 original_user=foo@q pass=pw"),
        ("bob", "OK user=bob@foo proxy host=1.2.3.4 original_user=bob pass=pw"),
        ("bob@q", "OK user=bob@foo proxy host=1.2.3.4 original_user=bob@q pass=pw"),
        ("carl", "FAIL user=carl"),
        ("dan", "FAIL user=dan"),
        ("eve", "OK user=eve proxy host=1.2.3.4 original_user=zz pass=pw"),
    ];
    for (user, expected) in cases {
        assert_eq!(stage.plain(user, "pw").await, expected, "{user}");
    }
}

#[tokio::test]
async fn plain_messages() {
    let stage = Stage::new(|_| {});
    let ok = "OK user=alice proxy host=127.0.0.1 destuser=alice@x pass=pw";
    let ask = async |message: &[u8]| told(&stage.auth, request("PLAIN", Some(message)), &[]).await;
    assert_eq!(ask(b"alice\0alice\0pw").await, ok);
    assert_eq!(ask(b"bob\0alice\0pw").await, "FAIL user=alice", "no master passdb");
    assert_eq!(ask(b"\0alice\0p\0w").await, "FAIL");
    assert_eq!(ask(b"").await, "FAIL");
    let late = told(&stage.auth, request("plain", None), &[b"\0alice\0pw"]).await;
    assert_eq!(late, format!("CONT  {ok}"));
    let equals = AuthRequest { initial_response: Some(Secret::from("=")), ..request("PLAIN", None) };
    assert_eq!(told(&stage.auth, equals, &[]).await, "FAIL");
}

#[tokio::test]
async fn login_messages() {
    let stage = Stage::new(|_| {});
    let ok = "OK user=alice proxy host=127.0.0.1 destuser=alice@x pass=pw";
    let all = told(&stage.auth, request("LOGIN", None), &[b"alice", b"pw"]).await;
    assert_eq!(all, format!("CONT VXNlcm5hbWU6 CONT UGFzc3dvcmQ6 {ok}"));
    let named = told(&stage.auth, request("LOGIN", Some(b"alice")), &[b"pw"]).await;
    assert_eq!(named, format!("CONT UGFzc3dvcmQ6 {ok}"));
    let cut = told(&stage.auth, request("LOGIN", Some(b"alice")), &[b"pw\0x"]).await;
    assert_eq!(cut, "CONT UGFzc3dvcmQ6 FAIL");
}

#[tokio::test]
async fn broken_base64_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let slow = AuthSettings { failure_delay_millis: 3_600_000, ..settings(Vec::new()) };
    let passdb = PassdbSettings::PasswdFile(file(&folder.path().join("users")));
    let auth = Auth(std::sync::Arc::new(Source::Embedded(Embedded::new(&[passdb], &slow).unwrap())));
    let broken =
        |mechanism| AuthRequest { initial_response: Some(Secret::from("!!!")), ..request(mechanism, None) };
    let text = "FAIL code=invalid_base64 reason=Invalid base64 data in initial response";
    assert_eq!(told(&auth, broken("PLAIN"), &[]).await, text);
    assert_eq!(told(&auth, broken("LOGIN"), &[]).await, text);
    let mut exchange = auth.begin(request("PLAIN", None));
    assert!(matches!(exchange.reply().await, AuthReply::Challenge(_)));
    exchange.respond(Secret::from("!!!"));
    let AuthReply::Fail(fail) = exchange.reply().await else { panic!("refused") };
    assert_eq!(fail.fields.text("reason"), Some("Invalid base64 data in continued response"));
    let other = told(&auth, request("SCRAM-SHA-256", None), &[]).await;
    assert_eq!(other, "FAIL code=auth_mech_invalid reason=Unsupported authentication mechanism.");
}

#[tokio::test]
async fn forward_fields_come_back() {
    let stage = Stage::new(|_| {});
    let mut request = request("PLAIN", Some(b"\0nohost\0pw"));
    request.client.forward = vec![ForwardField { key: b"a".to_vec(), value: Some(b"1".to_vec()) }];
    let reply = told(&stage.auth, request, &[]).await;
    assert_eq!(reply, "OK user=nohost forward_a=1 proxy lip=192.0.2.9 lport=143 pass=pw");
}

#[tokio::test]
async fn files_are_read_again_when_they_change() {
    let stage = Stage::new(|_| {});
    let path = stage.folder.path().join("users");
    assert_eq!(stage.plain("nohost2", "pw").await, "FAIL user=nohost2");
    let new = stage.folder.path().join("new");
    std::fs::write(&new, "nohost2:{PLAIN}pw::::::nologin\n").unwrap();
    std::fs::rename(&new, &path).unwrap();
    assert_eq!(stage.plain("nohost2", "pw").await, "OK user=nohost2 nologin");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(stage.plain("nohost2", "pw").await, "FAIL user=nohost2 code=temp_fail");
    std::fs::write(&path, USERS).unwrap();
    assert_eq!(stage.plain("nohost2", "pw").await, "FAIL user=nohost2");
}

#[tokio::test]
async fn a_path_with_variables_is_a_file_for_each_of_their_values() {
    let stage = Stage::new(|file| {
        let folder = file.path.parent().unwrap().to_owned();
        std::fs::write(folder.join("a.example"), "alice@a.example:{PLAIN}one\n").unwrap();
        std::fs::write(folder.join("b.example"), "alice@b.example:{PLAIN}two\n").unwrap();
        file.path = folder.join("%d");
    });
    assert!(stage.plain("alice@a.example", "one").await.starts_with("OK"));
    assert!(stage.plain("alice@b.example", "two").await.starts_with("OK"));
    assert_eq!(stage.plain("alice@b.example", "one").await, "FAIL user=alice@b.example");
    assert_eq!(stage.plain("alice@c.example", "one").await, "FAIL user=alice@c.example", "no such file");
    assert_eq!(stage.plain("alice@..", "one").await, "FAIL user=alice@..");
    assert_eq!(stage.plain("alice", "one").await, "FAIL user=alice");
}

#[tokio::test]
async fn names_are_looked_up_by_format() {
    let stage = Stage::new(|file| file.username_format = "%n".to_owned());
    assert_eq!(stage.plain("maybe@example.com", "pw").await, "OK user=maybe@example.com");
}

#[tokio::test]
async fn passdbs_are_asked_in_order() {
    let stage = Stage::new(|_| {});
    let missing = PassdbSettings::PasswdFile(file(&stage.folder.path().join("missing")));
    let users = PassdbSettings::PasswdFile(file(&stage.folder.path().join("users")));
    let fixed = |password: Option<&str>| {
        PassdbSettings::Static(StaticSettings {
            password: password.map(str::to_owned),
            fields: words("proxy=y host=10.0.0.1 destuser=%u-%s"),
        })
    };
    let auth = Auth::start(&settings(vec![missing, users, fixed(Some("{PLAIN}static"))])).unwrap();
    assert_eq!(plain(&auth, "nolog", "pw").await, "OK user=nolog nologin reason=no_way");
    let fixed_reply = "OK user=nolog proxy host=10.0.0.1 destuser=nolog-imap pass=";
    assert_eq!(plain(&auth, "nolog", "static").await, format!("{fixed_reply}static"));
    assert_eq!(plain(&auth, "nolog", "wrong").await, "FAIL user=nolog code=temp_fail", "one was not asked");
    let own = Auth::start(&settings(vec![fixed(Some("%u-secret"))])).unwrap();
    assert!(plain(&own, "bob", "bob-secret").await.starts_with("OK user=bob proxy "));
    assert_eq!(plain(&own, "bob", "%u-secret").await, "FAIL user=bob");
    let any = Auth::start(&settings(vec![fixed(None)])).unwrap();
    assert_eq!(plain(&any, "nolog", "whatever").await, format!("{fixed_reply}whatever"));
}

#[tokio::test]
async fn dropping_the_exchange_ends_the_request() {
    let stage = Stage::new(|_| {});
    let mut exchange = stage.auth.begin(request("PLAIN", None));
    assert!(matches!(exchange.reply().await, AuthReply::Challenge(_)));
    drop(exchange);
    assert!(stage.auth.availability().borrow().is_some());
    assert!(stage.plain("nohost", "pw").await.starts_with("OK"));
}

#[tokio::test]
async fn impossible_settings_are_refused() {
    let path = Path::new("/nonexistent");
    let start = |passdb| Auth::start(&settings(vec![PassdbSettings::PasswdFile(passdb)])).err();
    assert!(matches!(Auth::start(&settings(Vec::new())).err(), Some(AuthError::NoPassdb)));
    let with = |change: fn(&mut PasswdFileSettings)| {
        let mut file = file(path);
        change(&mut file);
        start(file)
    };
    assert!(with(|_| {}).is_none());
    for password in ["{ROT13}x", "%Qx"] {
        let passdb = StaticSettings { password: Some(password.to_owned()), fields: Vec::new() };
        let error = Auth::start(&settings(vec![PassdbSettings::Static(passdb)])).err().unwrap();
        assert!(!error.to_string().contains(password), "{error}");
    }
    assert!(matches!(with(|f| f.path = "/etc/%Q/users".into()), Some(AuthError::UnknownVariable(_))));
    assert!(matches!(with(|f| f.default_scheme = "ROT13".into()), Some(AuthError::UnknownScheme(_))));
    assert!(matches!(with(|f| f.username_format = "%Q".into()), Some(AuthError::UnknownVariable(_))));
    assert!(matches!(with(|f| f.default_fields = words("a=%{no}")), Some(AuthError::UnknownVariable(_))));
}
