//! Both sources against a real Dovecot auth process: the pool as its client, the embedded passdbs in comparison.
//! Skipped where there is none, or without the right to start it.

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::Duration,
};

use homing_login::{AuthReply, AuthRequest};
use homing_wire::{Secret, encode_base64};

use super::{
    Auth,
    embedded::tests::{USERS, file, plain as ask_plain},
    socket::tests::{available, request},
};
use crate::config::settings::{AuthSettings, AuthSource, PassdbSettings};

/// Requests open at one time.
const MANY: usize = 200;

struct Dovecot {
    child: Child,
    folder: tempfile::TempDir,
}

impl Dovecot {
    /// A pool connected to its login socket.
    fn auth(&self) -> Auth {
        settled(AuthSource::Socket(self.folder.path().join("run/login/login")))
    }

    /// The embedded source with the same file.
    fn embedded(&self) -> Auth {
        let mut file = file(&self.folder.path().join("users"));
        file.username_format = "%n".to_owned();
        settled(AuthSource::Embedded(vec![PassdbSettings::PasswdFile(file)]))
    }
}

fn settled(source: AuthSource) -> Auth {
    let settings = AuthSettings { source, master_user_separator: None, failure_delay_millis: 0 };
    Auth::start(&settings).unwrap()
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").arg(pid).status();
        let _ = self.child.wait();
    }
}

/// With a password file of these lines, users looked up by `%n`.
fn start(users: &str) -> Option<Dovecot> {
    let folder = tempfile::Builder::new().prefix("auth").tempdir_in("/tmp").unwrap();
    let path = folder.path().display();
    if !std::path::Path::new("/usr/sbin/dovecot").exists() || !rustix::process::geteuid().is_root() {
        eprintln!("skipped: no Dovecot, or not root");
        return None;
    }
    let config = format!(
        "base_dir={path}/run\nstate_dir={path}/run\nlog_path={path}/log\nprotocols=\nssl=no\nlisten=127.0.0.1
auth_mechanisms=plain login\nauth_failure_delay=0\n
passdb {{\n driver=passwd-file\n args=scheme=plain username_format=%n {path}/users\n}}
service auth {{\n unix_listener login/login {{\n mode=0666\n }}\n}}
service anvil {{\n chroot=\n unix_listener anvil-auth-penalty {{\n mode=0\n }}\n}}
service stats {{\n chroot=\n}}\n"
    );
    fs::write(folder.path().join("users"), users).unwrap();
    fs::write(folder.path().join("dovecot.conf"), config).unwrap();
    let child = Command::new("/usr/sbin/dovecot")
        .args(["-F", "-c"])
        .arg(folder.path().join("dovecot.conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Some(Dovecot { child, folder })
}

fn plain(user: &str, password: &str) -> Secret {
    Secret::from(encode_base64(format!("\0{user}\0{password}").as_bytes()).as_str())
}

#[tokio::test]
async fn a_real_auth_process_answers() {
    let alice = "alice:{PLAIN}pw::::::proxy=y host=127.0.0.1 forward_x=1\n".to_owned();
    let many: String =
        (0..MANY).map(|n| format!("user{n}:{{PLAIN}}pw::::::proxy destuser=at{n}\n")).collect();
    let Some(dovecot) = start(&(alice + &many)) else { return };
    let auth = dovecot.auth();
    available(&auth, true).await;
    let ask = async |password: &str| {
        let mut exchange =
            auth.begin(AuthRequest { initial_response: Some(plain("alice", password)), ..request() });
        tokio::time::timeout(Duration::from_secs(30), exchange.reply()).await.unwrap()
    };
    let AuthReply::Ok(ok) = ask("pw").await else { panic!("accepted") };
    assert_eq!(ok.fields.text("user"), Some("alice"));
    assert_eq!(ok.fields.text("host"), Some("127.0.0.1"));
    assert_eq!(ok.fields.text("forward_x"), Some("1"));
    let AuthReply::Fail(fail) = ask("wrong").await else { panic!("refused") };
    assert_eq!(fail.fields.text("user"), Some("alice"));
    let begin = |n| {
        let initial_response = Some(plain(&format!("user{n}"), "pw"));
        auth.begin(AuthRequest { initial_response, ..request() })
    };
    let exchanges: Vec<_> = (0..MANY).map(begin).collect();
    for (n, mut exchange) in exchanges.into_iter().enumerate() {
        let AuthReply::Ok(ok) = exchange.reply().await else { panic!("accepted") };
        assert_eq!(
            ok.fields.text("destuser"),
            Some(format!("at{n}").as_str()),
            "replies find their requests"
        );
    }
    let mut exchange = auth.begin(AuthRequest { initial_response: None, ..request() });
    assert!(matches!(exchange.reply().await, AuthReply::Challenge(data) if data.is_empty()));
    exchange.respond(plain("alice", "pw"));
    assert!(matches!(exchange.reply().await, AuthReply::Ok(_)));
}

/// Where the stored password cannot be verified, ours is a temporary failure.
const UNVERIFIABLE: &[&str] = &["bad", "hash"];
/// Without any stored password nobody gets in here; there, everybody who gives none.
const WITHOUT_PASSWORD: &[&str] = &["empty", "nomore"];

#[tokio::test]
async fn embedded_passdbs_answer_like_a_real_auth_process() {
    let Some(dovecot) = start(USERS) else { return };
    let (real, ours) = (dovecot.auth(), dovecot.embedded());
    available(&real, true).await;
    let names = USERS.lines().filter_map(|line| line.split(':').next()).filter(|name| !name.is_empty());
    let others = ["Alice", "alice@X.example", "bob@q", "foo@q", "nosuch", "ali ce", "@x", "a%b"];
    // All at once: refusals are slow there.
    let mut asked = tokio::task::JoinSet::new();
    for name in names.chain(others).filter(|name| !UNVERIFIABLE.contains(name) && !name.starts_with('#')) {
        for password in ["pw", "wrong", ""] {
            if !password.is_empty() || !WITHOUT_PASSWORD.contains(&name) {
                let (real, ours) = (real.clone(), ours.clone());
                asked.spawn(async move {
                    let theirs = ask_plain(&real, name, password).await;
                    assert_eq!(ask_plain(&ours, name, password).await, theirs, "{name} {password}");
                });
            }
        }
    }
    assert!(asked.len() > 60, "{}", asked.len());
    asked.join_all().await;
}
