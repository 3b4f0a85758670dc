//! Accepting: what failures of `accept` mean, and how not to spin or fill the log when the process has run out
//! of descriptors.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::net::{TcpListener, TcpStream};

/// How long accepting rests when the process or the machine has run out of something. Sessions end all the
/// time, and the kernel queues connections meanwhile.
const PAUSE: Duration = Duration::from_millis(100);

/// At most one line about failures in this time.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(30);

/// The connections that arrive at one socket.
#[derive(Debug)]
pub(super) struct Incoming {
    socket: TcpListener,
    /// The process name in the log.
    process: &'static str,
    complained: Option<Instant>,
}

impl Incoming {
    pub(super) fn new(socket: TcpListener, process: &'static str) -> Self {
        Self { socket, process, complained: None }
    }

    /// The next connection with its peer. Failures are dealt with here. May be dropped at any time without
    /// losing a connection.
    pub(super) async fn next(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            match self.socket.accept().await {
                Ok(taken) => return taken,
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    self.complain(&error);
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn complain(&mut self, error: &io::Error) {
        let now = Instant::now();
        if is_due(self.complained, now) {
            self.complained = Some(now);
            tracing::error!(
                target: "homing::listener",
                process = self.process,
                "accept() failed, new connections wait: {error}",
            );
        }
    }
}

fn is_due(last: Option<Instant>, now: Instant) -> bool {
    last.is_none_or(|last| now.saturating_duration_since(last) >= COMPLAINT_INTERVAL)
}

/// The connection ended in the queue, or brought an error of the network with it (accept(2), "Error handling"):
/// the next one may be well.
fn concerns_one_connection(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(
        errno,
        Some(
            Errno::CONNABORTED
                | Errno::INTR
                | Errno::PROTO
                | Errno::NETDOWN
                | Errno::NOPROTOOPT
                | Errno::HOSTDOWN
                | Errno::NONET
                | Errno::HOSTUNREACH
                | Errno::OPNOTSUPP
                | Errno::NETUNREACH
                | Errno::PERM
        )
    )
}

#[cfg(test)]
mod tests {
    use std::{fs::File, process::Command};

    use rustix::{
        io::Errno,
        process::{Resource, Rlimit, getrlimit, setrlimit},
    };

    use super::*;

    #[test]
    fn only_shortages_pause() {
        let concerns = |errno: Errno| concerns_one_connection(&errno.into());
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::BADF, Errno::INVAL] {
            assert!(!concerns(errno), "{errno}");
        }
        assert!(concerns(Errno::CONNABORTED) && concerns(Errno::HOSTUNREACH));
    }

    #[test]
    fn complaints_keep_their_distance() {
        let start = Instant::now();
        assert!(is_due(None, start));
        assert!(!is_due(Some(start), start) && !is_due(Some(start), start + COMPLAINT_INTERVAL / 2));
        assert!(is_due(Some(start), start + COMPLAINT_INTERVAL));
    }

    /// Set in the process that is to run out of descriptors; the limit holds for whole processes.
    const FEW_DESCRIPTORS: &str = "HOMING_TEST_FEW_DESCRIPTORS";

    #[test]
    fn running_out_of_descriptors_is_survived() {
        if std::env::var_os(FEW_DESCRIPTORS).is_some() {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            return runtime.block_on(run_out_of_descriptors());
        }
        let name = "listener::incoming::tests::running_out_of_descriptors_is_survived";
        let test = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name])
            .env(FEW_DESCRIPTORS, "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&test.stdout);
        assert!(test.status.success() && text.contains("1 passed"), "{text}");
    }

    async fn run_out_of_descriptors() {
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum }).unwrap();
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(socket.local_addr().unwrap()).await.unwrap();
        let mut incoming = Incoming::new(socket, "imap-login");
        let files: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        while incoming.complained.is_none() {
            assert!(tokio::time::timeout(PAUSE, incoming.next()).await.is_err());
        }
        drop(files);
        let (_, peer) = tokio::time::timeout(COMPLAINT_INTERVAL, incoming.next()).await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
    }
}
