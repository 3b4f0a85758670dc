//! Answers nginx's `auth_http` requests: one request per connection, headers only.

use std::{io, net::IpAddr, sync::Arc};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use super::Arguments;

/// Longest request, in bytes: nginx sends a dozen short headers.
const REQUEST_BYTES_MAX: u64 = 16_384;

pub(super) async fn serve(listener: TcpListener, arguments: Arc<Arguments>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        };
        let arguments = Arc::clone(&arguments);
        // Without an answer nginx tells its client so.
        tokio::spawn(async move { talk(stream, &arguments).await.unwrap_or_default() });
    }
}

async fn talk(stream: TcpStream, arguments: &Arguments) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let (mut user, mut protocol) = (String::new(), String::new());
    let mut line = String::new();
    let mut request = (&mut stream).take(REQUEST_BYTES_MAX);
    loop {
        line.clear();
        if request.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("auth-user") => value.clone_into(&mut user),
            Some((name, value)) if name.eq_ignore_ascii_case("auth-protocol") => {
                value.clone_into(&mut protocol)
            }
            None if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    let Some(host) = host(&user, &arguments.host) else { return Ok(()) };
    let answer = format!(
        "HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: {host}\r\nAuth-Port: {}\r\n\r\n",
        arguments.port(protocol.as_bytes())
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// The same backend for the same user.
fn host(user: &str, hosts: &[IpAddr]) -> Option<IpAddr> {
    let place = crc32fast::hash(user.as_bytes()) as usize;
    hosts.get(place.checked_rem(hosts.len())?).copied()
}
