//! The auth server of a replay: sends the recorded opening to every connection, collects the requests of all
//! of them, and answers with the recorded lines, ids adjusted.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::{Arc, Condvar, Mutex, mpsc},
    thread,
};

use super::{script::Step, wire::PATIENCE};

struct Request {
    line: Vec<u8>,
    connection: UnixStream,
}

/// What the threads of all connections share.
struct Shared {
    connections: Mutex<Vec<UnixStream>>,
    arrived: Condvar,
    /// Connections get no opening: the service is down.
    held: Mutex<bool>,
    released: Condvar,
    opening: Vec<u8>,
}

/// The server's end that the player uses.
pub struct AuthServer {
    requests: mpsc::Receiver<Request>,
    shared: Arc<Shared>,
    /// Recorded id -> actual id and where it came from.
    known: HashMap<Vec<u8>, (Vec<u8>, UnixStream)>,
    latest: Option<UnixStream>,
}

impl AuthServer {
    pub fn start(socket: &Path, steps: &[Step]) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let shared = Arc::new(Shared {
            connections: Mutex::new(Vec::new()),
            arrived: Condvar::new(),
            held: Mutex::new(opens_before_the_greeting(steps)),
            released: Condvar::new(),
            opening: opening(steps),
        });
        let (sender, requests) = mpsc::channel();
        let all = Arc::clone(&shared);
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                all.connections.lock().unwrap().push(connection.try_clone().unwrap());
                all.arrived.notify_all();
                let (sender, shared) = (sender.clone(), Arc::clone(&all));
                thread::spawn(move || serve(connection, &shared, &sender));
            }
        });
        Self { requests, shared, known: HashMap::new(), latest: None }
    }

    /// The next request, compared with a recorded one.
    pub fn expect(&mut self, recorded: &[u8]) -> Result<Vec<u8>, String> {
        loop {
            let request =
                self.requests.recv_timeout(PATIENCE).map_err(|_| "no auth request in time".to_owned())?;
            if is_cancel(&request.line) && !is_cancel(recorded) {
                continue;
            }
            self.latest = Some(request.connection.try_clone().unwrap());
            self.known.insert(id_of(recorded), (id_of(&request.line), request.connection));
            return Ok(request.line);
        }
    }

    /// Says a recorded line. The opening was prepared; its end means that the service is up.
    pub fn say(&mut self, recorded: &[u8]) {
        if recorded == b"DONE" {
            *self.shared.held.lock().unwrap() = false;
            self.shared.released.notify_all();
        }
        let opening: [&[u8]; 6] = [b"VERSION\t", b"MECH\t", b"SPID\t", b"CUID\t", b"COOKIE\t", b"DONE"];
        if opening.iter().any(|word| recorded.starts_with(word)) {
            return;
        }
        let mut fields: Vec<&[u8]> = recorded.split(|b| *b == b'\t').collect();
        let known = self.known.get(&id_of(recorded));
        if let (Some((id, _)), Some(field)) = (known, fields.get_mut(1)) {
            *field = id;
        }
        let connection = known.map(|(_, connection)| connection).or(self.latest.as_ref());
        let line = [&fields.join(&b'\t')[..], b"\n"].concat();
        // The proxy may have given up on it. Some recordings begin with the end of an earlier request.
        if let Some(connection) = connection {
            let _ = connection.try_clone().unwrap().write_all(&line);
        }
    }

    /// Drops all connections. New ones get no opening before it is recorded.
    pub fn close(&mut self) {
        *self.shared.held.lock().unwrap() = true;
        for connection in self.shared.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
    }

    /// Waits until the proxy is back after a [`AuthServer::close`].
    pub fn opened(&self) -> Result<(), String> {
        let none = |connections: &mut Vec<UnixStream>| connections.is_empty();
        let connections = self.shared.connections.lock().unwrap();
        let waited = self.shared.arrived.wait_timeout_while(connections, PATIENCE, none).unwrap().1;
        if waited.timed_out() { Err("the proxy does not come".to_owned()) } else { Ok(()) }
    }

    /// A request that nobody expected.
    pub fn surplus(&self) -> Option<String> {
        let line = self.requests.try_iter().map(|r| r.line).find(|line| !is_cancel(line));
        line.map(|line| String::from_utf8_lossy(&line).into_owned())
    }
}

/// The reference does not see a client leave while the service works on its request (spec/auth-protocol.md
/// 10.8), so the recordings have no `CANCEL` then.
fn is_cancel(line: &[u8]) -> bool {
    line.starts_with(b"CANCEL\t")
}

fn serve(connection: UnixStream, shared: &Shared, sender: &mpsc::Sender<Request>) {
    let mut writer = connection.try_clone().unwrap();
    drop(shared.released.wait_while(shared.held.lock().unwrap(), |held| *held).unwrap());
    let _ = writer.write_all(&shared.opening);
    for line in BufReader::new(connection).split(b'\n').map_while(Result::ok) {
        if line.starts_with(b"VERSION\t") || line.starts_with(b"CPID\t") {
            continue;
        }
        let request = Request { line, connection: writer.try_clone().unwrap() };
        if sender.send(request).is_err() {
            return;
        }
    }
}

/// The recording has an opening, and clients were greeted after it.
fn opens_before_the_greeting(steps: &[Step]) -> bool {
    let is_done = |s: &Step| matches!(s, Step::FromAuth { line } if line == b"DONE");
    let greets = |s: &Step| matches!(s, Step::Proxy { line, .. } if !line.starts_with(b"* OK Waiting"));
    let (done, greeted) = (steps.iter().position(is_done), steps.iter().position(greets));
    done.is_some_and(|done| greeted.is_none_or(|greeted| done < greeted))
}

fn id_of(line: &[u8]) -> Vec<u8> {
    line.split(|b| *b == b'\t').nth(1).unwrap_or_default().to_vec()
}

/// The recorded opening, or one made from the mechanisms that the proxy advertised in the recording.
fn opening(steps: &[Step]) -> Vec<u8> {
    let recorded = steps.iter().filter_map(|s| match s {
        Step::FromAuth { line } => Some(line),
        _ => None,
    });
    let recorded = recorded.take_while(|line| *line != b"DONE").filter(|line| line.starts_with(b"MECH\t"));
    let mechanisms: Vec<Vec<u8>> = if opens_before_the_greeting(steps) {
        recorded.cloned().collect()
    } else {
        advertised(steps).iter().map(|name| mechanism_line(name)).collect()
    };
    let mut opening = b"VERSION\t1\t2\n".to_vec();
    for line in mechanisms {
        opening.extend_from_slice(&line);
        opening.push(b'\n');
    }
    opening.extend_from_slice(b"SPID\t4242\nCUID\t1\nCOOKIE\t00112233445566778899aabbccddeeff\nDONE\n");
    opening
}

fn mechanism_line(name: &str) -> Vec<u8> {
    let flags = match name {
        "PLAIN" | "LOGIN" | "XOAUTH2" | "OAUTHBEARER" => "\tplaintext",
        "ANONYMOUS" => "\tanonymous",
        _ => "",
    };
    format!("MECH\t{name}{flags}").into_bytes()
}

/// The longest list of mechanisms in any greeting or capability line. PLAIN was always there, if not advertised to
/// everybody.
fn advertised(steps: &[Step]) -> Vec<String> {
    let lines = steps.iter().filter_map(|s| match s {
        Step::Proxy { line, .. } => Some(String::from_utf8_lossy(line).into_owned()),
        _ => None,
    });
    let mut names = lines.map(|line| mechanisms_in(&line)).max_by_key(Vec::len).unwrap_or_default();
    if !names.iter().any(|name| name == "PLAIN") {
        names.splice(0..0, ["PLAIN", "LOGIN"].map(str::to_owned));
    }
    names
}

fn mechanisms_in(line: &str) -> Vec<String> {
    let owned =
        |words: &mut dyn Iterator<Item = &str>| words.filter(|w| !w.is_empty()).map(str::to_owned).collect();
    match line.strip_prefix("\"SASL\" \"").or(line.strip_prefix("SASL ")) {
        Some(list) => owned(&mut list.trim_end_matches('"').split(' ')),
        None => owned(&mut line.split([' ', ']']).filter_map(|w| w.strip_prefix("AUTH="))),
    }
}
