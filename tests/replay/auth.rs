//! The auth server of a replay: sends the recorded opening to every connection, collects the requests of all
//! of them, and answers with the recorded lines, ids adjusted.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::{Arc, Mutex, mpsc},
    thread,
};

use super::{script::Step, wire::PATIENCE};

struct Request {
    line: Vec<u8>,
    connection: UnixStream,
}

/// The server's end that the player uses.
pub struct AuthServer {
    requests: mpsc::Receiver<Request>,
    connections: Arc<Mutex<Vec<UnixStream>>>,
    /// Recorded id -> actual id and where it came from.
    known: HashMap<Vec<u8>, (Vec<u8>, UnixStream)>,
}

impl AuthServer {
    pub fn start(socket: &Path, steps: &[Step]) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let opening = opening(steps);
        let (sender, requests) = mpsc::channel();
        let connections = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&connections);
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                all.lock().unwrap().push(connection.try_clone().unwrap());
                let (sender, opening) = (sender.clone(), opening.clone());
                thread::spawn(move || serve(connection, &opening, &sender));
            }
        });
        Self { requests, connections, known: HashMap::new() }
    }

    /// The next request, compared with a recorded one.
    pub fn expect(&mut self, recorded: &[u8]) -> Result<Vec<u8>, String> {
        let request =
            self.requests.recv_timeout(PATIENCE).map_err(|_| "no auth request in time".to_owned())?;
        self.known.insert(id_of(recorded), (id_of(&request.line), request.connection));
        Ok(request.line)
    }

    /// Answers with a recorded line.
    pub fn answer(&mut self, recorded: &[u8]) -> Result<(), String> {
        let Some((id, connection)) = self.known.get_mut(&id_of(recorded)) else {
            let first = self.connections.lock().unwrap().first().map(|c| c.try_clone().unwrap());
            let line = [recorded, b"\n"].concat();
            return first.map_or(Ok(()), |mut c| c.write_all(&line).map_err(|e| e.to_string()));
        };
        let mut fields: Vec<&[u8]> = recorded.split(|b| *b == b'\t').collect();
        if let Some(field) = fields.get_mut(1) {
            *field = id;
        }
        let line = [&fields.join(&b'\t')[..], b"\n"].concat();
        connection.write_all(&line).map_err(|e| e.to_string())
    }

    /// Drops all connections.
    pub fn close(&mut self) {
        for connection in self.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
    }

    /// A request that nobody expected.
    pub fn surplus(&self) -> Option<String> {
        self.requests.try_recv().ok().map(|r| String::from_utf8_lossy(&r.line).into_owned())
    }
}

fn serve(connection: UnixStream, opening: &[u8], sender: &mpsc::Sender<Request>) {
    let mut writer = connection.try_clone().unwrap();
    let _ = writer.write_all(opening);
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

fn id_of(line: &[u8]) -> Vec<u8> {
    line.split(|b| *b == b'\t').nth(1).unwrap_or_default().to_vec()
}

/// The recorded opening, or one made from the mechanisms that the proxy advertised in the recording.
fn opening(steps: &[Step]) -> Vec<u8> {
    let mut mechanisms: Vec<Vec<u8>> = Vec::new();
    for step in steps {
        if let Step::FromAuth { line } = step
            && line.starts_with(b"MECH\t")
            && !mechanisms.contains(line)
        {
            mechanisms.push(line.clone());
        }
    }
    if mechanisms.is_empty() {
        mechanisms = advertised(steps).iter().map(|name| mechanism_line(name)).collect();
    }
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

/// The longest list of mechanisms in any greeting or capability line.
fn advertised(steps: &[Step]) -> Vec<String> {
    let lines = steps.iter().filter_map(|s| match s {
        Step::Proxy { line, .. } => Some(String::from_utf8_lossy(line).into_owned()),
        _ => None,
    });
    let names = |line: String| -> Vec<String> {
        let sasl = line.strip_prefix("\"SASL\" \"").or(line.strip_prefix("SASL "));
        if let Some(list) = sasl {
            return list
                .trim_end_matches('"')
                .split(' ')
                .filter(|w| !w.is_empty())
                .map(str::to_owned)
                .collect();
        }
        line.split([' ', ']']).filter_map(|w| w.strip_prefix("AUTH=")).map(str::to_owned).collect()
    };
    let longest = lines.map(names).max_by_key(Vec::len).unwrap_or_default();
    if longest.is_empty() { vec!["PLAIN".to_owned(), "LOGIN".to_owned()] } else { longest }
}
