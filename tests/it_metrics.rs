//! Metrics of a running Homing, read as a scraper reads them: every way a login can end is counted once, pages are well
//! formed in both formats, and clients that misbehave keep nobody from reading. Also: what kicked clients are told, and
//! the fields of events.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // tests

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use homing_login::Service;
use support::{
    certificate,
    client::{Client, KICKED, PATIENCE},
    fake_auth::FakeAuth,
    fake_backend::{Behaviour, FakeBackend},
    homing::Homing,
};

const KICK_SIEVE: &str = "BYE (TRYLATER) \"Disconnected by the server, please log in again\"\r\n";

/// Ports of backends of one address, by what they do; nobody listens on the last one.
const GOOD: u16 = 2143;
const SILENT: u16 = 2144;
const REFUSING: u16 = 2145;
const CLOSED: u16 = 2149;

struct Site {
    homing: Homing,
    auth: FakeAuth,
    /// What the auth service says about everybody now.
    fields: Arc<Mutex<String>>,
    ip: String,
}

impl Site {
    /// Two addresses of backends under `127.45.N`, of which the first one is in the director's table.
    fn start(n: u8, more: &str) -> Self {
        let ip = format!("127.45.{n}.1");
        for ip in [&ip, &format!("127.45.{n}.2")] {
            let at = |port| SocketAddr::new(ip.parse().unwrap(), port);
            FakeBackend::start(at(GOOD), Service::Imap, Behaviour::Good);
            FakeBackend::start(at(SILENT), Service::Imap, Behaviour::Silent);
            FakeBackend::start(at(REFUSING), Service::Imap, Behaviour::Refusing);
            FakeBackend::start(at(2110), Service::Pop3, Behaviour::Good);
            FakeBackend::start(at(2190), Service::Sieve, Behaviour::Good);
        }
        let folder = tempfile::tempdir().unwrap();
        certificate::write(folder.path(), &["a.example"]);
        let fields = Arc::new(Mutex::new(String::new()));
        let said = Arc::clone(&fields);
        let auth = FakeAuth::start(&folder.path().join("auth"), move |service| {
            let said = said.lock().unwrap().clone();
            let port = match service {
                "imap" => GOOD,
                "pop3" => 2110,
                _ => 2190,
            };
            if said.is_empty() { format!("proxy\tport={port}") } else { said }
        });
        let configure = |path: &Path| configuration(path, &ip, more);
        let homing = Homing::start_in(folder, configure, format!("{ip}:1190").parse().unwrap());
        Self { homing, auth, fields, ip }
    }

    fn says(&self, fields: impl Into<String>) {
        *self.fields.lock().unwrap() = fields.into();
    }

    fn client(&self, port: u16) -> Client {
        Client::greeted(format!("{}:{port}", self.ip).parse().unwrap())
    }

    fn logged_in(&self, user: &str) -> Client {
        let mut client = self.client(1143);
        let answer = client.ask(&format!("a LOGIN {user} pw"));
        assert!(answer.starts_with("a OK"), "{answer}");
        client
    }

    /// Logs in at a backend that does not answer, and waits until it is being talked to.
    fn pending(&self, user: &str) -> Client {
        self.says(format!("proxy\tport={SILENT}"));
        let mut client = self.client(1143);
        client.send(format!("a LOGIN {user} pw\r\n"));
        self.until("homing_sessions{protocol=\"imap\",phase=\"backend\"}", 1);
        client
    }

    /// Some request of an administrator; the answer.
    fn administer(&self, request: &str) -> String {
        let mut socket = UnixStream::connect(self.homing.folder().join("director-admin")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(socket, "VERSION\tdirector-doveadm\t1\t0\n{request}\n").unwrap();
        let (mut answer, mut buffer) = (String::new(), [0; 1000]);
        while answer.lines().count() < 2 {
            let count = socket.read(&mut buffer).unwrap();
            answer.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        }
        answer.lines().nth(1).unwrap().to_owned()
    }

    fn address(&self) -> String {
        format!("{}:9102", self.ip)
    }

    /// Status, head and body.
    fn curl(&self, arguments: &[&str]) -> Answer {
        let output =
            Command::new("curl").args(["-s", "-i", "--max-time", "30"]).args(arguments).output().unwrap();
        Answer::of(&String::from_utf8(output.stdout).unwrap())
    }

    fn get(&self, path: &str) -> Answer {
        self.curl(&[&format!("http://{}{path}", self.address())])
    }

    fn page(&self) -> Page {
        Page::parse(&self.get("/metrics").body)
    }

    /// Waits until a number is what it must be.
    fn until(&self, row: &str, value: u64) {
        wait_until(row, || self.page().value(row) == value as f64);
    }

    fn reload(&self, more: &str) {
        let folder = self.homing.folder();
        let own = format!("base_dir = {0}\nlog_path = {0}/log\n", folder.display());
        fs::write(self.homing.config(), own + &configuration(folder, &self.ip, more)).unwrap();
        self.homing.signal("HUP");
    }
}

fn configuration(folder: &Path, ip: &str, more: &str) -> String {
    let folder = folder.display();
    let metrics =
        if more.contains("metrics_listen") { String::new() } else { format!("metrics_listen = {ip}:9102\n") };
    format!(
        "protocols = imap pop3 sieve\nlisten = {ip}\nssl = yes\nssl_cert = <{folder}/cert.pem\nssl_key = <{folder}/key.pem\n\
         disable_plaintext_auth = no\nlogin_auth_socket_path = {folder}/auth\ndirector_mail_servers = {ip}\n\
         director_user_kick_delay = 0\nlogin_proxy_max_reconnects = 0\nshutdown_clients = no\n\
         service imap-login {{\n inet_listener imap {{\n  port = 1143\n }}\n inet_listener imaps {{\n  port = 1993\n }}\n}}\n\
         service pop3-login {{\n inet_listener pop3 {{\n  port = 1110\n }}\n inet_listener pop3s {{\n  port = 0\n }}\n}}\n\
         service managesieve-login {{\n inet_listener sieve {{\n  port = 1190\n }}\n}}\n{metrics}{more}\n"
    )
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn of(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
        Self { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }
}

/// A page, parsed as strictly as the format allows.
struct Page(BTreeMap<String, f64>);

impl Page {
    fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n') && !text.contains('\r'), "{text}");
        let (mut rows, mut families, mut kind) = (BTreeMap::new(), BTreeSet::new(), ("", ""));
        for line in text.lines() {
            if let Some(type_line) = line.strip_prefix("# TYPE ") {
                kind = type_line.split_once(' ').unwrap();
                assert!(families.insert(kind.0.to_owned()), "a family is there twice: {line}");
                assert!(["counter", "gauge", "histogram"].contains(&kind.1), "{line}");
                assert_eq!(kind.0.ends_with("_total"), kind.1 == "counter", "{line}");
            } else if let Some(help) = line.strip_prefix("# HELP ") {
                assert!(help.split_once(' ').is_some_and(|(_, help)| !help.is_empty()), "{line}");
            } else {
                let (row, value) = line.rsplit_once(' ').unwrap();
                let name = row.split('{').next().unwrap();
                let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
                assert!(
                    name == kind.0 || kind.1 == "histogram" && base == Some(kind.0),
                    "{line} in {kind:?}"
                );
                assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{line}");
                check_labels(&row[name.len()..]);
                assert!(rows.insert(row.to_owned(), value.parse().unwrap()).is_none(), "twice: {line}");
            }
        }
        let page = Self(rows);
        page.check_histograms(text);
        page
    }

    /// Buckets grow, and the last one holds everything.
    fn check_histograms(&self, text: &str) {
        let mut last = 0.0;
        for line in text.lines().filter(|line| line.contains("_bucket{")) {
            let (row, value) = line.rsplit_once(' ').unwrap();
            let value: f64 = value.parse().unwrap();
            assert!(value >= last, "{line}");
            last = value;
            if let Some((labels, _)) = row.split_once("le=\"+Inf\"") {
                let count = labels.replace("_bucket{", "_count{");
                let count = count.trim_end_matches(',').to_owned() + "}";
                assert_eq!(self.value(&count), value, "{line}");
                last = 0.0;
            }
        }
    }

    fn value(&self, row: &str) -> f64 {
        *self.0.get(row).unwrap_or_else(|| panic!("no row {row}"))
    }

    /// The values of one family that are not 0, by their labels.
    fn of(&self, family: &str) -> BTreeMap<String, f64> {
        let rows =
            self.0.iter().filter(|(row, value)| row.split('{').next() == Some(family) && **value != 0.0);
        rows.map(|(row, value)| (row[family.len()..].to_owned(), *value)).collect()
    }
}

fn check_labels(labels: &str) {
    if labels.is_empty() {
        return;
    }
    let inside = labels.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap();
    for pair in inside.split("\",") {
        let (name, value) = pair.split_once("=\"").unwrap();
        assert!(!name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{labels}");
        assert!(!value.trim_end_matches('"').contains('"'), "{labels}");
    }
}

#[test]
fn every_login_is_counted_once_by_how_it_ended() {
    let site = Site::start(1, "");
    // Well.
    let mut session = site.logged_in("alice");
    assert_eq!(session.ask("hello"), "echo hello");
    // Each other way.
    assert!(site.client(1143).ask("a LOGIN alice wrong").starts_with("a NO"));
    assert!(site.client(1143).ask("a AUTHENTICATE NONSENSE").starts_with("a NO"));
    site.says("nothing");
    assert!(site.client(1143).ask("a LOGIN alice pw").starts_with("a NO"));
    site.says(format!("proxy\tport={CLOSED}"));
    assert!(site.client(1143).ask("a LOGIN alice pw").starts_with("a NO"));
    site.says(format!("proxy\tport={REFUSING}"));
    assert!(site.client(1143).ask("a LOGIN alice pw").starts_with("a NO"));
    let mut leaving = site.client(1143);
    assert_eq!(leaving.ask("a AUTHENTICATE PLAIN"), "+");
    drop(leaving);
    site.until("homing_logins_total{protocol=\"imap\",result=\"aborted\"}", 1);
    let mut kicked = site.pending("bob");
    assert_eq!(site.administer("USER-KICK\tbob"), "OK");
    kicked.rest();
    site.auth.mute(true);
    let mut client = site.client(1143);
    client.send("a LOGIN alice pw\r\n");
    site.until("homing_sessions{protocol=\"imap\",phase=\"auth\"}", 1);
    site.auth.stop();
    assert!(client.line().starts_with("a NO [UNAVAILABLE]"));
    let page = site.page();
    let logins = page.of("homing_logins_total");
    let row = |result: &str| (format!("{{protocol=\"imap\",result=\"{result}\"}}"), 1.0);
    let results = [
        "aborted",
        "auth_failed",
        "backend_failed",
        "backend_refused",
        "disallowed",
        "kicked",
        "ok",
        "refused",
        "temp_fail",
    ];
    assert_eq!(logins, results.into_iter().map(row).collect());
    // Times: of the one that ended well, and of every phase that was reached.
    let count = |row: &str| page.value(row);
    assert_eq!(count("homing_login_seconds_count{protocol=\"imap\"}"), 1.0);
    assert_eq!(count("homing_login_phase_seconds_count{protocol=\"imap\",phase=\"auth\"}"), 7.0);
    assert_eq!(count("homing_login_phase_seconds_count{protocol=\"imap\",phase=\"connect\"}"), 4.0);
    assert_eq!(count("homing_login_phase_seconds_count{protocol=\"imap\",phase=\"backend_login\"}"), 2.0);
    assert_eq!(count("homing_director_wait_seconds_count{protocol=\"imap\",reason=\"none\"}"), 4.0);
    let failures = page.of("homing_backend_failures_total");
    let row = |cause: &str| (format!("{{protocol=\"imap\",cause=\"{cause}\"}}"), 1.0);
    assert_eq!(failures, ["connect", "refused"].into_iter().map(row).collect());
    let replies = page.of("homing_auth_replies_total");
    let row = |result: &str, count| (format!("{{result=\"{result}\"}}"), count);
    assert_eq!(replies, BTreeMap::from([row("ok", 5.0), row("fail", 1.0), row("lost", 1.0)]));
    assert_eq!(count("homing_auth_requests_total"), 8.0, "one was given up");
    assert_eq!(count("homing_auth_up"), 0.0);
    assert!(count("homing_auth_disconnects_total") >= 1.0);
    for (name, absent) in [("users", "alice"), ("users", "bob"), ("clients", "127.0.0.1")] {
        assert!(!site.get("/metrics").body.contains(absent), "no {name}");
    }
}

#[test]
fn what_there_is_is_shown() {
    let site = Site::start(2, "");
    let row = |name: &str| format!("{name}{{backend=\"{}\",tag=\"\"}}", site.ip);
    let (one, two) = (site.logged_in("alice"), site.logged_in("bob"));
    let mut pop3 = site.client(1110);
    pop3.ask("USER carol");
    assert!(pop3.ask("PASS pw").starts_with("+OK"));
    let page = site.page();
    assert_eq!(page.value("homing_sessions{protocol=\"imap\",phase=\"forwarding\"}"), 2.0);
    assert_eq!(page.value("homing_sessions{protocol=\"pop3\",phase=\"forwarding\"}"), 1.0);
    assert_eq!(page.value("homing_connections_total{protocol=\"imap\"}"), 2.0);
    assert_eq!(
        (page.value(&row("homing_backend_users")), page.value(&row("homing_backend_sessions"))),
        (3.0, 3.0)
    );
    assert_eq!(
        (page.value(&row("homing_backend_up")), page.value(&row("homing_backend_vhosts"))),
        (1.0, 100.0)
    );
    assert_eq!((page.value("homing_director_users"), page.value("homing_director_sessions")), (3.0, 3.0));
    // 4096-01-01 is the end that the test's certificates have.
    let end = page.of("homing_certificate_expiry_timestamp_seconds");
    assert_eq!(end.len(), 1);
    assert!(
        end.iter().all(|(labels, end)| labels.ends_with("/cert.pem\"}") && *end > 60_000_000_000.0),
        "{end:?}"
    );
    assert_eq!(page.value(&format!("homing_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))), 1.0);
    for name in [
        "process_start_time_seconds",
        "process_open_fds",
        "process_max_fds",
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
    ] {
        assert!(page.value(name) > 0.0, "{name}");
    }
    assert!(page.value("homing_forwarded_bytes_total{way=\"copied\"}") >= 0.0);
    drop((one, pop3));
    site.until("homing_sessions_ended_total{protocol=\"imap\",reason=\"client\"}", 1);
    site.until(&row("homing_backend_sessions"), 1);
    drop(two);
    site.until("homing_sessions{protocol=\"imap\",phase=\"forwarding\"}", 0);
}

#[test]
fn handshakes_are_counted() {
    let site = Site::start(3, "");
    let imaps: SocketAddr = format!("{}:1993", site.ip).parse().unwrap();
    let mut client = Command::new("openssl")
        .args(["s_client", "-quiet", "-connect", &imaps.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    site.until("homing_login_phase_seconds_count{protocol=\"imap\",phase=\"tls\"}", 1);
    site.until("homing_sessions{protocol=\"imap\",phase=\"connected\"}", 1);
    drop(client.stdin.take());
    client.kill().unwrap();
    client.wait().unwrap();
    TcpStream::connect(imaps).unwrap().write_all(b"a LOGIN alice pw\r\n").unwrap();
    site.until("homing_tls_handshakes_failed_total{protocol=\"imap\"}", 1);
}

#[test]
fn waiting_and_moving_are_shown_by_reason() {
    let site = Site::start(4, "");
    let other = format!("127.45.{}.2", 4);
    // No backend has this tag.
    site.says(format!("proxy\tport={GOOD}\tdirector_tag=new"));
    let mut client = site.client(1143);
    client.send("a LOGIN alice pw\r\n");
    site.until("homing_director_waiting_logins{reason=\"no_host\"}", 1);
    site.until("homing_sessions{protocol=\"imap\",phase=\"director\"}", 1);
    assert_eq!(site.administer(&format!("HOST-SET\t{other}@new")), "OK");
    assert!(client.line().starts_with("a OK"));
    site.until("homing_director_waiting_logins{reason=\"no_host\"}", 0);
    let page = site.page();
    assert_eq!(page.value("homing_director_wait_seconds_count{protocol=\"imap\",reason=\"no_host\"}"), 1.0);
    assert_eq!(
        page.value("homing_director_backend_changes_total{change=\"added\",origin=\"operator\"}"),
        1.0
    );
    assert_eq!(page.value(&format!("homing_backend_sessions{{backend=\"{other}\",tag=\"new\"}}")), 1.0);
    assert_eq!(page.value("homing_backends{state=\"up\"}"), 2.0);
    // Down, and a flush without a backend left: users are kicked.
    assert_eq!(site.administer(&format!("HOST-DOWN\t{other}")), "OK");
    assert_eq!(site.administer(&format!("HOST-RESET-USERS\t{other}")), "OK");
    site.until("homing_director_flushes_started_total{origin=\"operator\"}", 1);
    site.until("homing_sessions_ended_total{protocol=\"imap\",reason=\"kicked_by_director\"}", 1);
    site.until("homing_director_moves_started_total{cause=\"flush\",origin=\"operator\"}", 1);
    site.until("homing_director_moves", 0);
    site.until(&format!("homing_backend_up{{backend=\"{other}\",tag=\"new\"}}"), 0);
    assert_eq!(site.page().value("homing_backends{state=\"down\"}"), 1.0);
}

#[test]
fn without_a_director_a_login_that_needs_one_has_no_host() {
    let site = Site::start(5, "director_mail_servers =");
    assert!(site.client(1143).ask("a LOGIN alice pw").starts_with("a NO [UNAVAILABLE]"));
    site.until("homing_logins_total{protocol=\"imap\",result=\"no_host\"}", 1);
}

#[test]
fn requests_get_what_they_ask_for() {
    let site = Site::start(6, "");
    let url = |path: &str| format!("http://{}{path}", site.address());
    let health = site.get("/healthz");
    assert_eq!((health.status, health.body.as_str()), (200, "ok\n"));
    let page = site.get("/metrics");
    assert_eq!(page.status, 200);
    assert!(page.head.contains("content-type: text/plain; version=0.0.4"), "{page:?}");
    assert!(page.head.contains("connection: close"), "{}", page.head);
    // As Prometheus asks.
    let accept =
        "Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1";
    let open = site.curl(&["-H", accept, &url("/metrics?name[]=x")]);
    assert!(open.head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{}", open.head);
    assert!(open.body.ends_with("# EOF\n") && open.body.contains("# UNIT homing_login_seconds seconds\n"));
    let head = site.curl(&["-I", &url("/metrics")]);
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert!(head.head.contains("content-length: "), "{}", head.head);
    for path in ["/", "/metrics/", "/metrics/../metrics", "/debug/pprof", "/healthz/x", "/%6detrics"] {
        assert_eq!(site.curl(&["--path-as-is", &url(path)]).status, 404, "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let refused = site.curl(&["-X", method, "-d", "x", &url("/metrics")]);
        assert_eq!(refused.status, 405, "{method}");
        assert!(refused.head.contains("allow: get, head"), "{}", refused.head);
    }
}

#[test]
fn promtool_finds_nothing_to_complain_about() {
    let site = Site::start(7, "");
    let Ok(mut promtool) = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
    else {
        return eprintln!(
            "SKIPPED: promtool is not installed; the pages are checked by this test's own parser only"
        );
    };
    let _session = site.logged_in("alice");
    promtool.stdin.take().unwrap().write_all(site.get("/metrics").body.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[test]
fn verdicts_are_shown() {
    let more = format!(
        "health_check = greeting\nhealth_interval = 1 s\nhealth_port = {GOOD}\nprotocol pop3 {{\n health_port = {CLOSED}\n}}"
    );
    let site = Site::start(14, &more);
    let row = |name: &str, protocol: &str| {
        format!("homing_health_{name}{{backend=\"{}\",protocol=\"{protocol}\"}}", site.ip)
    };
    wait_until("a verdict", || site.page().0.get(&row("up", "pop3")) == Some(&0.0));
    let page = site.page();
    assert_eq!(page.value(&row("up", "imap")), 1.0);
    assert!(page.value(&row("failures_in_a_row", "pop3")) >= 3.0);
    assert!(page.value(&row("since_timestamp_seconds", "pop3")) > 1e9);
    assert!(page.value(&row("check_duration_seconds", "imap")) < 10.0);
    assert_eq!(
        page.value(&format!("homing_backend_up{{backend=\"{}\",tag=\"\"}}", site.ip)),
        1.0,
        "the last one stays"
    );
}

/// Connects and sends, and keeps the connection.
fn held(site: &Site, bytes: &[u8]) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(site.address()).ok()?;
    // Homing may have closed it already.
    let _ = stream.write_all(bytes);
    Some(stream)
}

#[test]
fn nobody_is_kept_from_reading_by_others() {
    let site = Site::start(8, "");
    let memory = |site: &Site| site.page().value("process_resident_memory_bytes");
    let before = memory(&site);
    // Slow requests, answers that nobody reads, heads without end, and no HTTP at all.
    let endless = [b"GET /metrics HTTP/1.1\r\nX: ".to_vec(), vec![b'x'; 1_000_000]].concat();
    let many = [b"GET /metrics HTTP/1.1\r\n".to_vec(), b"A: b\r\n".repeat(100_000)].concat();
    let body = [b"GET /metrics HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n".to_vec(), vec![b'x'; 1_000_000]]
        .concat();
    for bytes in [
        &b""[..],
        b"G",
        b"GET /metrics HTTP/1.1\r\n\r\n",
        &endless,
        &many,
        &body,
        &b"\x16\x03\x01".repeat(10_000),
        &[0; 100_000],
    ] {
        let streams: Vec<_> = (0..100).filter_map(|_| held(&site, bytes)).collect();
        assert_eq!(site.get("/healthz").status, 200);
        assert!(
            site.page().value("process_open_fds") < 150.0,
            "connections of {:?}",
            &bytes[..bytes.len().min(8)]
        );
        drop(streams);
    }
    let grown = memory(&site) - before;
    assert!(grown < 30e6, "{grown} bytes more");
}

#[test]
fn a_long_head_is_refused() {
    let site = Site::start(9, "");
    let url = format!("http://{}/metrics", site.address());
    assert_eq!(site.curl(&["-H", &format!("X: {}", "x".repeat(4000)), &url]).status, 200);
    assert_eq!(site.curl(&["-H", &format!("X: {}", "x".repeat(9000)), &url]).status, 431);
    let many: Vec<_> = (0..100).map(|n| format!("-HX{n}: y")).collect();
    let mut arguments: Vec<_> = many.iter().map(String::as_str).collect();
    arguments.push(&url);
    assert_eq!(site.curl(&arguments).status, 431);
}

#[test]
fn places_follow_the_configuration() {
    let socket = |site: &Site| site.homing.folder().join("metrics");
    let mut site = Site::start(10, "");
    let path = socket(&site).display().to_string();
    let over_socket = |site: &Site| site.curl(&["--unix-socket", &path, "http://localhost/metrics"]);
    let ip = site.ip.clone();
    // A socket beside the address, then alone.
    site.reload(&format!("metrics_listen = {ip}:9102 {path}"));
    wait_until("the socket", || over_socket(&site).status == 200);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666);
    assert_eq!(site.page().value("homing_reloads_total{result=\"ok\"}"), 1.0);
    site.reload("no_such_setting = 1");
    site.until("homing_reloads_total{result=\"refused\"}", 1);
    site.reload(&format!("metrics_listen = {path}"));
    wait_until("the address is given up", || TcpStream::connect(site.address()).is_err());
    let page = Page::parse(&over_socket(&site).body);
    assert_eq!(page.value("homing_reloads_total{result=\"ok\"}"), 2.0);
    // One that cannot be had is a warning.
    site.reload(&format!("metrics_listen = {path} {ip}:1143"));
    site.homing.wait_for_log(&format!("cannot listen on {ip}:1143 for metrics"));
    assert_eq!(over_socket(&site).status, 200);
    // With sessions that live on after the request to stop, health says so.
    let session = site.logged_in("alice");
    site.homing.signal("TERM");
    let health = |site: &Site| site.curl(&["--unix-socket", &path, "http://localhost/healthz"]).status;
    wait_until("health tells", || health(&site) == 503);
    drop(session);
    assert!(site.homing.wait());
    assert!(!Path::new(&path).exists(), "removed at the end");
}

#[test]
fn w37_kicked_clients_are_told() {
    let site = Site::start(11, "");
    let sieve_in = |user: &str| {
        let mut sieve = site.client(1190);
        let plain = homing_wire::encode_base64(format!("\0{user}\0pw").as_bytes());
        sieve.send(format!("AUTHENTICATE \"PLAIN\" \"{plain}\"\r\n"));
        while !sieve.line().starts_with("OK") {}
        sieve
    };
    let (mut imap, mut sieve, mut pop3) = (site.logged_in("alice"), sieve_in("alice"), site.client(1110));
    assert_eq!(imap.ask("hello"), "echo hello");
    pop3.ask("USER alice");
    pop3.ask("PASS pw");
    assert_eq!(site.administer("USER-KICK\talice"), "OK");
    assert_eq!(imap.rest(), KICKED);
    assert!(sieve.rest().ends_with(KICK_SIEVE));
    assert_eq!(pop3.rest(), "", "POP3 has no unasked responses");
    // A move.
    let other = format!("127.45.{}.2", 11);
    let mut imap = site.logged_in("alice");
    assert_eq!(site.administer(&format!("HOST-SET\t{other}")), "OK");
    assert_eq!(site.administer(&format!("USER-MOVE\talice\t{other}")), "OK");
    assert_eq!(imap.rest(), KICKED);
    // In the middle of a line there is no moment for it.
    let mut imap = site.logged_in("alice");
    imap.send("bulk 3\r\n");
    let mut three = [0; 3];
    imap.stream().read_exact(&mut three).unwrap();
    assert_eq!(site.administer("USER-KICK\talice"), "OK");
    assert_eq!(imap.rest(), "");
    // A login in progress is answered.
    let mut imap = site.pending("alice");
    assert_eq!(site.administer("USER-KICK\talice"), "OK");
    let told = imap.rest();
    assert!(told.contains("a NO [UNAVAILABLE] ") && told.ends_with(KICKED), "{told}");
}

#[test]
fn w37_kicked_clients_are_told_nothing_if_so_configured() {
    let site = Site::start(12, "kick_farewell = no");
    let mut imap = site.logged_in("alice");
    assert_eq!(imap.ask("hello"), "echo hello");
    assert_eq!(site.administer("USER-KICK\talice"), "OK");
    assert_eq!(imap.rest(), "");
    let mut imap = site.pending("alice");
    assert_eq!(site.administer("USER-KICK\talice"), "OK");
    assert!(!imap.rest().contains("NO"));
}

#[test]
fn events_have_fields() {
    let site = Site::start(13, "log_format = json");
    let (ip, other) = (site.ip.clone(), format!("127.45.{}.2", 13));
    let event = |name: &str| -> serde_json::Value {
        serde_json::from_str(&site.homing.wait_for_log(&format!("\"event\":\"{name}\""))).unwrap()
    };
    let mut session = site.logged_in("alice");
    let login = event("login");
    let hash = login["user_hash"].as_str().unwrap().to_owned();
    assert_eq!((login["to"].as_str(), login["reason"].as_str()), (Some(ip.as_str()), Some("by hash")));
    assert_eq!(login["user"], "alice");
    assert_eq!(site.administer(&format!("HOST-SET\t{other}")), "OK");
    let added = event("backend_added");
    assert_eq!(
        (added["backend"].as_str(), added["origin"].as_str()),
        (Some(other.as_str()), Some("operator"))
    );
    assert_eq!(site.administer(&format!("USER-MOVE\talice\t{other}")), "OK");
    session.rest();
    for name in ["move_started", "move_ended"] {
        let moved = event(name);
        assert_eq!(moved["user_hash"], hash.as_str());
        assert_eq!((moved["from"].as_str(), moved["to"].as_str()), (Some(ip.as_str()), Some(other.as_str())));
        assert_eq!((&moved["origin"], &moved["reason"]), (&"operator".into(), &"moved by operator".into()));
    }
    let ended = event("session_ended");
    assert_eq!((&ended["from"], &ended["reason"]), (&ip.as_str().into(), &"Kicked via director".into()));
    let mut session = site.logged_in("bob");
    assert_eq!(site.administer("USER-KICK\tbob"), "OK");
    session.rest();
    let kicked = event("kicked");
    assert_eq!((&kicked["sessions"], &kicked["origin"]), (&"1".into(), &"operator".into()));
    assert_eq!(site.administer(&format!("HOST-DOWN\t{ip}")), "OK");
    let changed = event("backend_changed");
    assert!(
        changed["from"].as_str().unwrap().starts_with("up,")
            && changed["to"].as_str().unwrap().starts_with("down,")
    );
}
