//! `homing director drain` with live sessions: who moves where, interruption, lost connections, and what it looks like.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // tests

mod support;

use std::{
    io::{self, Read, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use homing_login::Service;
use serde_json::{Value, json};
use support::{
    client::assert_kicked,
    demo::installed,
    ledger::{Ledger, start_backend},
    site::{Run, Running, Site, homing},
};

/// The objects of all lines.
fn objects(run: &Run) -> Vec<Value> {
    run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn w41_a_drained_backend_is_safe_to_power_off() {
    let site = Site::good(20, 2);
    let sessions = site.fill(0, 5);
    let plan = site.run("director drain --dry-run IP0 --json").json();
    assert_eq!((&plan["users"], &plan["sessions"]), (&json!(5), &json!(5)));
    assert_eq!(
        plan["rows"][0],
        json!({"effect": "moved", "from": "127.44.20.11", "to": "127.44.20.12", "users": 5, "sessions": 5})
    );
    assert_eq!(site.run("director drain --status IP0").code, 68, "a plan starts nothing");

    let run = site.run("director drain --grace 0 --json IP0");
    assert_eq!((run.code, run.err.as_str()), (0, ""), "{run:?}");
    let objects = objects(&run);
    let (first, last) = (&objects[0], objects.last().unwrap());
    assert_eq!(
        (&first["users"], &first["vhosts_before"], &first["safe"]),
        (&json!(5), &json!(100), &json!(false))
    );
    assert_eq!(
        (&last["safe"], &last["moved"], &last["left"], &last["sessions"]),
        (&json!(true), &json!(5), &json!(0), &json!(0))
    );
    assert_eq!(site.backends[0].live(), 0, "safe to power off");
    let others = sessions.iter().filter(|(_, n)| *n == 1).count();
    assert_eq!(site.backends[1].live(), others);
    for (client, n) in sessions {
        if n == 0 {
            assert_kicked(client);
        }
    }
    for user in 0..10 {
        assert_eq!(site.log_in(&format!("user{user}")).1, 1, "nobody comes");
    }
    // It is found as it is, also by a script, and a second one returns at once.
    let status = site.run("director drain --status IP0").rows();
    assert!(status[0].starts_with("127.44.20.11: safe to power off; 5 users moved"), "{status:?}");
    assert_eq!(site.run("director drain IP0").code, 0);
    // Back into use.
    let stopped = site.run("director drain --stop --restore IP0 --json").json();
    assert_eq!((&stopped["state"], &stopped["note"]), (&json!("ended"), &json!("stopped by operator")));
    assert_eq!(site.run("director status --json").json()["backends"][0]["vhosts"], 100);
    assert_eq!(site.run("director drain --stop IP0").code, 68);
    let cause = site.run("director explain user0 --json").json();
    assert_eq!(cause["current"]["ip"], "127.44.20.12");
}

/// Users log in as fast as they can while their backend is drained: nobody is on two backends, and when it is safe nobody
/// is there nor comes.
#[test]
fn w41_a_drain_under_a_storm_of_logins_keeps_everybody_on_one_backend() {
    let ledger = Arc::<Ledger>::default();
    let ips: Vec<std::net::IpAddr> = (11..14).map(|last| [127, 44, 28, last].into()).collect();
    for ip in &ips {
        start_backend(*ip, Service::Imap, 2143, &ledger);
    }
    let site = Site::in_front_of(28, &ips, "director_user_kick_delay = 1 secs\n");
    let stop = AtomicBool::new(false);
    let used = |ip| ledger.used.lock().unwrap().get(&ip).copied().unwrap_or_default();
    thread::scope(|scope| {
        let visit = |user: usize| {
            let (site, stop) = (&site, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    let mut client = site.connect();
                    client.send(format!("a LOGIN user{user} pw\r\nhello\r\n"));
                    // It may be moved at any moment; half of them stay until then.
                    if user.is_multiple_of(2) {
                        client.rest();
                    } else {
                        let _ = client.stream().read(&mut [0; 64]);
                    }
                }
            })
        };
        let users: Vec<_> = (0..12).map(visit).collect();
        support::site::wait_until("every backend is used", || ips.iter().all(|ip| used(*ip) > 0));
        let run = site.run("director drain --grace 0 --json 127.44.28.11");
        let logins = used(ips[0]);
        assert_eq!(run.code, 0, "{run:?}");
        let others = used(ips[1]) + used(ips[2]);
        support::site::wait_until("users go on elsewhere", || used(ips[1]) + used(ips[2]) > others + 20);
        assert_eq!(used(ips[0]), logins, "nobody came after it was safe");
        let status = site.run("director drain --status 127.44.28.11");
        assert_eq!(status.code, 0, "still safe: {status:?}");
        stop.store(true, Ordering::SeqCst);
        // Those who stay until they are told to go.
        support::site::wait_until("all have left", || {
            site.run("director kick --wait *").rows();
            users.iter().all(|user| user.is_finished())
        });
    });
    assert_eq!(*ledger.overlaps.lock().unwrap(), Vec::<String>::new());
}

/// Ctrl-C ends the watching; the drain goes on, and the same command finds it again.
#[test]
fn w41_an_interrupted_drain_goes_on_and_can_be_watched_again() {
    let site = Site::good(21, 2);
    let sessions = site.fill(0, 4);
    let watching = site.spawn("director drain --rate 1/s --grace 0 IP0");
    watching.wait_for("out", "127.44.21.11: ");
    watching.signal("INT");
    let run = watching.wait();
    assert_eq!(run.code, 75, "{run:?}");
    assert!(run.err.contains("the drain goes on"), "{run:?}");
    assert!(
        run.err.contains("homing director drain 127.44.21.11") && run.err.contains("drain --stop"),
        "{run:?}"
    );
    let status = site.run("director drain --status --json IP0");
    let seen: Value = serde_json::from_str(&status.out).unwrap();
    assert_eq!(
        (status.code, &seen["state"], &seen["per_sec"]),
        (75, &json!("moving"), &json!(1)),
        "not empty yet"
    );
    // A limit on the time, too, ends only the watching.
    let short = site.run("director drain --timeout 0 IP0");
    assert!(short.code == 75 && short.err.contains("the drain goes on"), "{short:?}");
    let run = site.run("director drain --rate 50/s IP0 --json");
    assert_eq!(run.code, 0, "{run:?}");
    let objects = objects(&run);
    assert_eq!(
        (&objects[0]["per_sec"], &objects[0]["grace_msecs"]),
        (&json!(50), &json!(0)),
        "the grace stays"
    );
    assert_eq!(objects.last().unwrap()["moved"], 4);
    assert_eq!(site.backends[0].live(), 0);
    drop(sessions);
}

/// Somebody else stops it: whoever watches is told.
#[test]
fn w41_a_drain_that_is_stopped_is_no_success() {
    let site = Site::good(22, 2);
    let sessions = site.fill(0, 3);
    let watching = site.spawn("director drain --rate 1/s --grace 1h IP0");
    watching.wait_for("out", "127.44.22.11: ");
    let stopped = site.run("director drain --stop IP0");
    assert!(
        stopped.code == 0 && stopped.err.contains("homing director update 127.44.22.11 100"),
        "{stopped:?}"
    );
    let run = watching.wait();
    assert_eq!(run.code, 75, "{run:?}");
    assert!(run.err.contains("stopped by operator; it is not safe to power off"), "{run:?}");
    assert_eq!(
        site.run("director status --json").json()["backends"][0]["vhosts"],
        0,
        "the weight is kept at 0"
    );
    drop(sessions);
}

/// Nobody is kicked into nowhere.
#[test]
fn w41_the_last_backend_is_not_emptied() {
    let site = Site::good(23, 1);
    let (mut session, _) = site.log_in("foo");
    let plan = site.run("director drain --dry-run --json IP0").json();
    assert_eq!((&plan["users"], &plan["rows"][1]["effect"]), (&json!(0), &json!("blocked")));
    let watching = site.spawn("director drain --grace 0 IP0");
    watching.wait_for("out", "no other backend is usable");
    assert_eq!(session.ask("still"), "echo still");
    site.run("director add 127.44.23.12").rows();
    let run = watching.wait();
    assert_eq!(run.code, 0, "{run:?}");
    assert_kicked(session);
}

/// The connection breaks while the drain goes on, and again.
#[test]
fn w41_a_lost_connection_is_made_again() {
    let site = Site::good(24, 2);
    let sessions = site.fill(0, 4);
    let socket = site.homing.folder().join("director-admin");
    let between = Between::start(&site.homing.folder().join("between"), &socket);
    let mut command = homing();
    command.args(["director", "drain", "--rate", "1/s", "--grace", "0", "--json", "-a"]).arg(&between.path);
    command.arg(site.backend(0).to_string());
    let watching = Running::start(command);
    watching.wait_for("out", "\"moved\":1");
    let lost = between.cut();
    assert!(lost > 0);
    watching.wait_for("err", "trying again");
    watching.wait_for("out", "\"moved\":2");
    between.cut();
    let run = watching.wait();
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(objects(&run).last().unwrap()["safe"], true);
    assert_eq!(site.backends[0].live(), 0);
    drop(sessions);
}

/// A director that forgets, since it was started anew, is no success either.
#[test]
fn w41_a_drain_that_nobody_knows_any_more_is_no_success() {
    let site = Site::good(25, 2);
    let sessions = site.fill(0, 3);
    let (real, other) = (site.homing.folder().join("director-admin"), Site::good(26, 2));
    let between = Between::start(&site.homing.folder().join("between"), &real);
    let mut command = homing();
    command.args(["director", "drain", "--rate", "1/s", "--grace", "1h", "-a"]).arg(&between.path);
    command.arg(site.backend(0).to_string());
    let watching = Running::start(command);
    watching.wait_for("out", "127.44.25.11: ");
    between.lead_to(&other.homing.folder().join("director-admin"));
    between.cut();
    let run = watching.wait();
    assert_eq!(run.code, 75, "{run:?}");
    assert!(run.err.contains("started anew"), "{run:?}");
    drop(sessions);
}

#[test]
fn a_terminal_gets_a_bar() {
    if !installed("script") {
        return;
    }
    let site = Site::good(27, 2);
    let sessions = site.fill(0, 3);
    let words = format!(
        "{} director drain --rate 2/s --grace 0 -c {} {}",
        env!("CARGO_BIN_EXE_homing"),
        site.homing.config().display(),
        site.backend(0)
    );
    let mut command = Command::new("script");
    command.args(["-qefc", &words, "/dev/null"]).env("TERM", "xterm").env("TZ", "UTC");
    let run = Running::start(command).wait();
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.out.contains("127.44.27.11 [") && run.out.contains("/3 users"), "{:?}", run.out);
    assert!(run.out.contains("to go"), "{:?}", run.out);
    assert!(run.out.trim_end().ends_with("127.44.27.11: safe to power off; 3 users moved"), "{:?}", run.out);
    drop(sessions);
}

/// A socket in front of another one, whose connections can be cut.
struct Between {
    path: PathBuf,
    shared: Arc<Shared>,
}

struct Shared {
    real: Mutex<PathBuf>,
    streams: Mutex<Vec<UnixStream>>,
    stopped: AtomicBool,
}

impl Between {
    fn start(path: &Path, real: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let shared = Arc::new(Shared {
            real: Mutex::new(real.to_owned()),
            streams: Mutex::default(),
            stopped: AtomicBool::new(false),
        });
        let there = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if there.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let _ = there.join(stream);
            }
        });
        Self { path: path.to_owned(), shared }
    }

    /// Where new connections go.
    fn lead_to(&self, real: &Path) {
        *self.shared.real.lock().unwrap() = real.to_owned();
    }

    /// Cuts every connection; returns how many there were.
    fn cut(&self) -> usize {
        let streams = std::mem::take(&mut *self.shared.streams.lock().unwrap());
        streams.iter().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
        streams.len()
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        let _ = UnixStream::connect(&self.path);
    }
}

impl Shared {
    fn join(&self, near: UnixStream) -> io::Result<()> {
        let far = UnixStream::connect(&*self.real.lock().unwrap())?;
        self.streams.lock().unwrap().extend([near.try_clone()?, far.try_clone()?]);
        let (near_writer, far_writer) = (near.try_clone()?, far.try_clone()?);
        thread::spawn(move || copy(near, far_writer));
        thread::spawn(move || copy(far, near_writer));
        Ok(())
    }
}

fn copy(mut from: UnixStream, mut to: UnixStream) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
