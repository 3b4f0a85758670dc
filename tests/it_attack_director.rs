//! One user, one backend: two hundred clients of twenty users log in and leave in all three protocols while reloads
//! change the backends. The backends write down who is with them, and no user may be with two.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // tests

mod support;

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use homing_login::Service;
use support::{
    client::Client,
    fake_auth::FakeAuth,
    homing::Homing,
    ledger::{Ledger, start_backend},
};

const IP: &str = "127.41.1.1";
const BACKENDS: [&str; 3] = ["127.41.1.11", "127.41.1.12", "127.41.1.13"];
/// Backends of one reload after the other.
const TABLES: [&[usize]; 6] = [&[0, 1, 2], &[0, 1], &[2], &[1, 2], &[0], &[0, 2]];
const CLIENTS: usize = 200;
const USERS: usize = 20;
/// These clients have a user for themselves each: nobody else keeps the user where it is.
const LONE_CLIENTS: usize = 40;
const ROUNDS: usize = 8;
const SERVICES: [(Service, &str, u16); 3] =
    [(Service::Imap, "imap", 1143), (Service::Pop3, "pop3", 1110), (Service::Sieve, "sieve", 1190)];

fn configuration(folder: &Path, backends: &[usize]) -> String {
    let folder = folder.display();
    let backends: Vec<_> = backends.iter().map(|n| BACKENDS[*n]).collect();
    format!(
        "base_dir = {folder}\nlog_path = {folder}/log\nprotocols = imap pop3 sieve\nlisten = {IP}\nssl = no\n\
         disable_plaintext_auth = no\nshutdown_clients = no\nlogin_auth_socket_path = {folder}/auth\n\
         director_mail_servers = {}\n\
         service imap-login {{\n inet_listener imap {{\n  port = 1143\n }}\n}}\n\
         service pop3-login {{\n inet_listener pop3 {{\n  port = 1110\n }}\n}}\n\
         service managesieve-login {{\n inet_listener sieve {{\n  port = 1190\n }}\n}}\n",
        backends.join(" ")
    )
}

/// One session after the other.
fn visit(number: usize) {
    let user =
        if number < LONE_CLIENTS { format!("lone{number}") } else { format!("user{}", number % USERS) };
    for round in 0..ROUNDS {
        let (service, _, port) = SERVICES[(number / USERS + round) % SERVICES.len()];
        let mut client = Client::greeted(SocketAddr::new(IP.parse().unwrap(), port));
        let answer = match service {
            Service::Imap => client.ask(&format!("a LOGIN {user} pw")),
            Service::Pop3 => {
                assert_eq!(client.ask(&format!("USER {user}")), "+OK");
                client.ask("PASS pw")
            }
            Service::Sieve => {
                let message = homing_wire::encode_base64(format!("\0{user}\0pw").as_bytes());
                client.ask(&format!("AUTHENTICATE \"PLAIN\" \"{message}\""))
            }
        };
        assert!(answer.contains("OK"), "{service:?} {user}: {answer}");
        assert_eq!(client.ask("hello"), "echo hello");
        // Some stay for a moment, so that users with and without sessions meet every reload.
        thread::sleep(Duration::from_millis((number * 7 + round * 13) as u64 % 40));
        if round % 2 == 0 {
            // Dropping it resets the connection: the way of clients that crash or lose their network.
            socket2::SockRef::from(client.stream()).set_linger(Some(Duration::ZERO)).unwrap();
        }
    }
}

#[test]
fn no_user_is_on_two_backends_whatever_reloads_do() {
    let ledger = Arc::<Ledger>::default();
    for ip in BACKENDS {
        for (service, _, port) in SERVICES {
            start_backend(ip.parse().unwrap(), service, port + 1000, &ledger);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let auth = FakeAuth::start(&folder.path().join("auth"), |service| {
        let port = SERVICES.iter().find(|(_, name, _)| *name == service).unwrap().2;
        format!("proxy\tport={}", port + 1000)
    });
    let homing =
        Homing::start_in(folder, |f| configuration(f, TABLES[0]), format!("{IP}:1190").parse().unwrap());
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|n| scope.spawn(move || visit(n))).collect();
        scope.spawn(|| reload_until(&over, &homing));
        let ended: Vec<_> = clients.into_iter().map(thread::ScopedJoinHandle::join).collect();
        over.store(true, Ordering::SeqCst);
        assert!(ended.iter().all(Result::is_ok), "every login must succeed");
    });
    let overlaps = ledger.overlaps.lock().unwrap();
    assert!(overlaps.is_empty(), "{} overlaps, e.g. {:?}", overlaps.len(), overlaps.first());
    let used = ledger.used.lock().unwrap();
    assert_eq!(used.values().sum::<usize>(), CLIENTS * ROUNDS);
    assert_eq!(used.len(), BACKENDS.len(), "the reloads moved nobody: {used:?}");
    assert!(!homing.log().contains("panicked"));
    drop(auth);
}

fn reload_until(over: &AtomicBool, homing: &Homing) {
    for table in TABLES.iter().cycle() {
        if over.load(Ordering::SeqCst) {
            return;
        }
        // Written aside: a reload that is under way must not read half a file.
        let (path, new) = (homing.config(), homing.folder().join("new.conf"));
        fs::write(&new, configuration(homing.folder(), table)).unwrap();
        fs::rename(&new, &path).unwrap();
        homing.signal("HUP");
        thread::sleep(Duration::from_millis(20));
    }
}
