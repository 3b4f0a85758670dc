//! An auth service that accepts every password `pw` and answers with fixed fields; a request without a response is
//! asked for one. For cases that the real one
//! cannot be brought to.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

const OPENING: &[u8] =
    b"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t00112233445566778899aabbccddeeff\nDONE\n";

/// A running service.
pub struct FakeAuth {
    path: PathBuf,
    shared: Arc<Shared>,
}

struct Shared {
    /// Fields behind `user=`, by service name.
    fields: Box<dyn Fn(&str) -> String + Send + Sync>,
    connections: Mutex<Vec<UnixStream>>,
    requests: AtomicUsize,
    mute: AtomicBool,
    stopped: AtomicBool,
}

impl FakeAuth {
    /// Answers `OK` with `user=NAME` and `fields(service)`.
    pub fn start(path: &Path, fields: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let shared = Arc::new(Shared {
            fields: Box::new(fields),
            connections: Mutex::default(),
            requests: AtomicUsize::new(0),
            mute: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        });
        let auth = Self { path: path.to_owned(), shared };
        auth.listen();
        auth
    }

    fn listen(&self) {
        let listener = UnixListener::bind(&self.path).unwrap();
        let shared = Arc::clone(&self.shared);
        shared.stopped.store(false, Ordering::SeqCst);
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                if shared.stopped.load(Ordering::SeqCst) {
                    return;
                }
                shared.connections.lock().unwrap().push(connection.try_clone().unwrap());
                let shared = Arc::clone(&shared);
                thread::spawn(move || serve(connection, &shared));
            }
        });
    }

    /// Stops: connections end, the socket disappears.
    pub fn stop(&self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        let _ = UnixStream::connect(&self.path);
        std::fs::remove_file(&self.path).unwrap();
        for connection in self.shared.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
    }

    /// Starts again after [`FakeAuth::stop`].
    pub fn restart(&self) {
        self.listen();
    }

    /// Leaves requests unanswered.
    pub fn mute(&self, mute: bool) {
        self.shared.mute.store(mute, Ordering::SeqCst);
    }

    /// Requests received.
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }
}

fn serve(connection: UnixStream, shared: &Shared) {
    let mut writer = connection.try_clone().unwrap();
    if writer.write_all(OPENING).is_err() {
        return;
    }
    for line in BufReader::new(connection).lines().map_while(Result::ok) {
        let words: Vec<_> = line.split('\t').collect();
        if words[0] != "AUTH" {
            continue;
        }
        shared.requests.fetch_add(1, Ordering::SeqCst);
        if shared.mute.load(Ordering::SeqCst) {
            continue;
        }
        let service = words.iter().find_map(|w| w.strip_prefix("service=")).unwrap_or_default();
        if writer.write_all(answer(&words, &(shared.fields)(service)).as_bytes()).is_err() {
            return;
        }
    }
}

fn answer(words: &[&str], fields: &str) -> String {
    let Some(response) = words.iter().find_map(|w| w.strip_prefix("resp=")) else {
        return format!("CONT\t{}\t\n", words[1]);
    };
    let plain = homing_wire::decode_base64(response.as_bytes()).unwrap_or_default();
    let parts: Vec<_> = plain.split(|b| *b == 0).map(|p| String::from_utf8_lossy(p).into_owned()).collect();
    match parts.as_slice() {
        [_, user, password] if password == "pw" => {
            format!("OK\t{}\tuser={user}\t{fields}\tpass=backendpw\n", words[1])
        }
        [_, user, _] => format!("FAIL\t{}\tuser={user}\n", words[1]),
        _ => format!("FAIL\t{}\n", words[1]),
    }
}
