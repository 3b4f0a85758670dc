//! Backends that do what a test needs: log in anybody and echo, be silent, talk garbage, close half-way.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use homing_login::Service;

/// What a backend does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Logs everybody in; then answers every line `LINE` with `echo LINE`, `bulk N` with N bytes, and `bye`
    /// by closing.
    Good,
    /// Accepts and says nothing.
    Silent,
    /// A greeting of another protocol.
    Garbage,
    /// Greets, then closes at the login.
    Closing,
    /// Refuses the password.
    Refusing,
    /// A line without end.
    Endless,
}

/// A running backend.
pub struct FakeBackend {
    address: SocketAddr,
    live: Arc<AtomicUsize>,
    logins: Arc<AtomicUsize>,
}

impl FakeBackend {
    /// Listens on `address` (port 0: any).
    pub fn start(address: SocketAddr, service: Service, behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let (live, logins) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (live_there, logins_there) = (Arc::clone(&live), Arc::clone(&logins));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (live, logins) = (Arc::clone(&live_there), Arc::clone(&logins_there));
                live.fetch_add(1, Ordering::SeqCst);
                let serve = move || {
                    let _ = serve(stream, service, behaviour, &logins);
                    live.fetch_sub(1, Ordering::SeqCst);
                };
                thread::Builder::new().stack_size(128 * 1024).spawn(serve).unwrap();
            }
        });
        Self { address, live, logins }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections open now.
    pub fn live(&self) -> usize {
        self.live.load(Ordering::SeqCst)
    }

    /// Logins so far.
    pub fn logins(&self) -> usize {
        self.logins.load(Ordering::SeqCst)
    }
}

fn serve(
    stream: TcpStream,
    service: Service,
    behaviour: Behaviour,
    logins: &AtomicUsize,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    let greeting: &[u8] = match (behaviour, service) {
        (Behaviour::Silent, _) => b"",
        (Behaviour::Garbage, _) => b"SSH-2.0-OpenSSH_9.2\r\n",
        (_, Service::Imap) => b"* OK [CAPABILITY IMAP4rev1 SASL-IR ID LITERAL+] ready\r\n",
        (_, Service::Pop3) => b"+OK [XCLIENT] ready\r\n",
        (_, Service::Sieve) => b"\"SASL\" \"PLAIN\"\r\n\"XCLIENT\"\r\nOK\r\n",
    };
    writer.write_all(greeting)?;
    if behaviour == Behaviour::Endless {
        while writer.write_all(&[b'x'; 4096]).is_ok() {}
        return Ok(());
    }
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        let answer = answer(service, behaviour, line.trim_end());
        let logged_in = answer.logs_in;
        if answer.closes {
            return Ok(());
        }
        writer.write_all(answer.text.as_bytes())?;
        if logged_in {
            logins.fetch_add(1, Ordering::SeqCst);
            return echo(&mut reader, &mut writer);
        }
        line.clear();
    }
    Ok(())
}

struct Answer {
    text: String,
    logs_in: bool,
    closes: bool,
}

fn answer(service: Service, behaviour: Behaviour, line: &str) -> Answer {
    let word = |n: usize| line.split(' ').nth(n).unwrap_or_default().to_ascii_uppercase();
    let is_login = match service {
        Service::Imap => word(1) == "LOGIN",
        Service::Pop3 => word(0) == "PASS",
        Service::Sieve => word(0) == "AUTHENTICATE",
    };
    let talks = !matches!(behaviour, Behaviour::Silent | Behaviour::Garbage);
    let text = match (service, is_login, behaviour) {
        _ if !talks => String::new(),
        (Service::Imap, true, Behaviour::Refusing) => "L NO [AUTHENTICATIONFAILED] no\r\n".to_owned(),
        (Service::Pop3, true, Behaviour::Refusing) => "-ERR [AUTH] no\r\n".to_owned(),
        (Service::Sieve, true, Behaviour::Refusing) => "NO \"no\"\r\n".to_owned(),
        (Service::Imap, true, _) => "L OK [CAPABILITY IMAP4rev1 IDLE] in\r\n".to_owned(),
        (Service::Imap, false, _) => format!("{} OK done\r\n", line.split(' ').next().unwrap_or_default()),
        (Service::Pop3, _, _) => "+OK\r\n".to_owned(),
        (Service::Sieve, _, _) => "OK\r\n".to_owned(),
    };
    Answer {
        text,
        logs_in: is_login && behaviour == Behaviour::Good,
        closes: is_login && behaviour == Behaviour::Closing,
    }
}

fn echo(reader: &mut BufReader<TcpStream>, writer: &mut TcpStream) -> std::io::Result<()> {
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        match line.trim_end().split_once(' ') {
            Some(("bulk", count)) => bulk(writer, count.parse().unwrap_or(0))?,
            Some(("sink", count)) => {
                let wanted: u64 = count.parse().unwrap_or(0);
                let taken = std::io::copy(&mut reader.by_ref().take(wanted), &mut std::io::sink())?;
                writer.write_all(format!("sunk {taken}\r\n").as_bytes())?;
            }
            _ if line.trim_end() == "bye" => return Ok(()),
            _ => writer.write_all(format!("echo {line}").as_bytes())?,
        }
        line.clear();
    }
    Ok(())
}

fn bulk(writer: &mut TcpStream, mut count: usize) -> std::io::Result<()> {
    let block = [b'b'; 64 * 1024];
    while count > 0 {
        let part = count.min(block.len());
        writer.write_all(&block[..part])?;
        count -= part;
    }
    Ok(())
}
