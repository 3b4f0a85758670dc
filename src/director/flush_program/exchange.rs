//! One run: what the program is told, and what it answers. Both as the reference's `script` service speaks; over TCP
//! what is said in between ends with a line of one dot.

use std::{io, time::Duration};

use homing_wire::printable;
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use super::target::Address;
use crate::director::core::FlushProgram;

/// As the reference. What comes afterwards is bounded by the move.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// An answer, in bytes. A program says what went wrong, not what it did.
pub(super) const REPLY_BYTES_MAX: usize = 64 * 1024;

/// Lines of an answer that are logged, each with at most [`LOG_LINE_CHARS_MAX`].
const LOG_LINES_MAX: usize = 20;
const LOG_LINE_CHARS_MAX: usize = 1000;

/// How a program ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Success,
    /// With what it says about it, fit for the log; at least one line.
    Failure {
        lines: Vec<String>,
    },
}

/// Why there is no outcome. The texts are the reference's.
#[derive(Debug, Error)]
pub(super) enum ExchangeError {
    #[error("is neither unix:PATH nor tcp:HOST:PORT")]
    Unusable,
    #[error("connect failed: {0}")]
    Connect(#[source] io::Error),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("its answer has more than {REPLY_BYTES_MAX} bytes")]
    TooLong,
    #[error("No result code received from remote")]
    NoCode,
    #[error("Received too short result code from remote")]
    ShortCode,
    #[error("Unexpected result code '{0}'")]
    UnexpectedCode(String),
    #[error("read(program stdout) failed: dot-input stream ends without '.' line")]
    NoDot,
}

/// Connects, tells and listens until the program closes.
pub(super) async fn exchange(address: &Address, program: &FlushProgram) -> Result<Outcome, ExchangeError> {
    let connected = |error| ExchangeError::Connect(error);
    match address {
        Address::Unix(path) => {
            let stream = timeout(CONNECT_TIME, UnixStream::connect(path)).await;
            let stream = stream.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(connected)?;
            outcome(&talk(stream, request(program)).await?)
        }
        Address::Tcp(host, port) => {
            let stream = timeout(CONNECT_TIME, TcpStream::connect((host.as_str(), *port))).await;
            let stream = stream.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(connected)?;
            dotted_outcome(&talk(stream, request(program) + "\r\n.\r\n").await?)
        }
        Address::Unusable(_) => Err(ExchangeError::Unusable),
    }
}

/// The old backend is told as it was when the move started.
fn request(program: &FlushProgram) -> String {
    let FlushProgram { user, old, new, .. } = program;
    let state = if old.up { "up" } else { "down" };
    let (old_ip, new_ip, vhosts) = (old.ip, new.ip, old.vhosts);
    format!("VERSION\tscript\t4\t0\n-\nFLUSH\n{user}\n{old_ip}\n{new_ip}\n{state}\n{vhosts}\n\n")
}

async fn talk(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: String,
) -> Result<Vec<u8>, ExchangeError> {
    stream.write_all(request.as_bytes()).await?;
    stream.shutdown().await?;
    let mut reply = Vec::new();
    stream.take(REPLY_BYTES_MAX as u64 + 1).read_to_end(&mut reply).await?;
    if reply.len() > REPLY_BYTES_MAX { Err(ExchangeError::TooLong) } else { Ok(reply) }
}

/// The last line is the result, the others are for people.
fn outcome(reply: &[u8]) -> Result<Outcome, ExchangeError> {
    let (text, code) = split(reply)?;
    Ok(code.with_text(text))
}

fn dotted_outcome(reply: &[u8]) -> Result<Outcome, ExchangeError> {
    let (dotted, code) = split(reply)?;
    let text = undotted(dotted).ok_or(ExchangeError::NoDot)?;
    Ok(code.with_text(&text))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Code {
    Success,
    Failure,
}

impl Code {
    fn with_text(self, text: &[u8]) -> Outcome {
        match self {
            Self::Success => Outcome::Success,
            Self::Failure => Outcome::Failure { lines: lines(text) },
        }
    }
}

fn split(reply: &[u8]) -> Result<(&[u8], Code), ExchangeError> {
    let code = match reply {
        [] => return Err(ExchangeError::NoCode),
        [_] => return Err(ExchangeError::ShortCode),
        [.., code, b'\n'] => *code,
        [.., code] => *code,
    };
    let code = match (code, reply.ends_with(b"\n")) {
        (b'+', true) => Code::Success,
        (b'-', true) => Code::Failure,
        (other, _) if other.is_ascii_graphic() => {
            return Err(ExchangeError::UnexpectedCode(char::from(other).to_string()));
        }
        (other, _) => return Err(ExchangeError::UnexpectedCode(format!("0x{other:02x}"))),
    };
    Ok((reply.get(..reply.len() - 2).unwrap_or_default(), code))
}

/// The text before the line of one dot; `None` without one.
fn undotted(dotted: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    for line in dotted.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_prefix(b".") {
            Some(b"\n" | b"\r\n") => return Some(text),
            Some(rest) => text.extend_from_slice(rest),
            None => text.extend_from_slice(line),
        }
    }
    None
}

fn lines(text: &[u8]) -> Vec<String> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let line = |line: &[u8]| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        printable(line).chars().take(LOG_LINE_CHARS_MAX).collect()
    };
    text.split(|byte| *byte == b'\n').take(LOG_LINES_MAX).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(outcome: Result<Outcome, ExchangeError>) -> String {
        match outcome {
            Ok(Outcome::Success) => "+".to_owned(),
            Ok(Outcome::Failure { lines }) => format!("-{}", lines.join("|")),
            Err(error) => error.to_string(),
        }
    }

    /// What the real director made of the same bytes.
    #[test]
    fn dr_67_answers_mean_what_they_mean_to_the_reference() {
        for (reply, expected) in [
            ("hello\n+\n", "+"),
            ("+\n", "+"),
            ("some\nmore\n-\n", "-some|more"),
            ("-\n", "-"),
            ("hello\n..x\r\n\r\n-\n", "-hello|..x|"),
            ("?\n", "Unexpected result code '?'"),
            ("x+\n+\nmore\n", "Unexpected result code 'e'"),
            ("", "No result code received from remote"),
            ("+", "Received too short result code from remote"),
            ("a\n+", "Unexpected result code '+'"),
        ] {
            assert_eq!(said(outcome(reply.as_bytes())), expected, "{reply:?}");
        }
        let no_dot = "read(program stdout) failed: dot-input stream ends without '.' line";
        for (reply, expected) in [
            (".\r\n+\n", "+"),
            ("hello\r\n..x\r\n.\r\n-\n", "-hello|.x"),
            ("+\n.\n-\n", "-+"),
            ("hello\n+\n", no_dot),
            ("hello\r\n+\n.\r\n", "Unexpected result code '0x0d'"),
        ] {
            assert_eq!(said(dotted_outcome(reply.as_bytes())), expected, "{reply:?}");
        }
    }

    #[test]
    fn any_answer_is_read_and_little_of_it_is_logged() {
        bolero::check!().for_each(|reply: &[u8]| {
            for outcome in [outcome(reply), dotted_outcome(reply)] {
                if let Ok(Outcome::Failure { lines }) = outcome {
                    assert!((1..=LOG_LINES_MAX).contains(&lines.len()));
                    assert!(lines.iter().all(|line| line.len() <= LOG_LINE_CHARS_MAX * 4));
                }
            }
        });
    }
}
