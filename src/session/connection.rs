//! The connection to a client before it is logged in: TLS handshakes and writes, all within the login deadline.
//! What is said is decided elsewhere.

use std::sync::Arc;

use homing_login::{ClientIdentity, CloseReason, Mechanism, Secured, TlsFacts};
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::watch, time::Instant as Deadline};

use super::{
    Generation, Shared,
    log::{End, LoginLog},
    registry::Seat,
};
use crate::transport::Transport;

/// What stays the same over a STARTTLS.
pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    pub(super) generation: Arc<Generation>,
    pub(super) availability: watch::Receiver<Option<Arc<[Mechanism]>>>,
    pub(super) seat: Seat,
    pub(super) deadline: Deadline,
    /// Bytes written to the client, the greeting included.
    pub(super) sent: u64,
}

impl Connection {
    /// The handshake that opens a connection to a TLS listener. `None`: it failed, which the log has been told.
    pub(super) async fn implicit_tls(
        &mut self,
        stream: TcpStream,
        mut client: ClientIdentity,
        log: &mut LoginLog,
    ) -> Option<(Transport, ClientIdentity, TlsFacts)> {
        log.handshaking();
        match self.handshake(stream, &client).await {
            Ok((transport, facts)) => {
                log.tls_up(&facts);
                client.secured = Secured::Tls;
                client.local_name = facts.server_name.clone().or(client.local_name);
                Some((transport, client, facts))
            }
            Err(text) => {
                log.ended(&client, End::Handshake(text));
                None
            }
        }
    }

    /// A handshake within the login deadline; the error is text for the log.
    pub(super) async fn handshake(
        &mut self,
        stream: TcpStream,
        client: &ClientIdentity,
    ) -> Result<(Transport, TlsFacts), String> {
        let Some(tls) = self.generation.tls() else { return Err("TLS is not configured".to_owned()) };
        let accept = tls.accept(stream, client.service);
        tokio::select! {
            result = tokio::time::timeout_at(self.deadline, accept) => match result {
                Ok(Ok((stream, facts))) => Ok((Transport::Server(Box::new(stream)), facts)),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err("handshake timed out".to_owned()),
            },
            _ = self.seat.stopped() => Err("stopped".to_owned()),
        }
    }

    /// Writes and flushes, but not beyond the login deadline and not when the session must end.
    pub(super) async fn write(&mut self, transport: &mut Transport, bytes: &[u8]) -> Result<(), End> {
        let write = async {
            transport.write_all(bytes).await?;
            transport.flush().await
        };
        let result = tokio::select! {
            // The last words are written when the signal is on already: try first, then look at it.
            biased;
            result = tokio::time::timeout_at(self.deadline, write) => result,
            _ = self.seat.stopped() => return Err(End::Closed(CloseReason::Shutdown)),
        };
        match result {
            Ok(Ok(())) => {
                self.sent += bytes.len() as u64;
                Ok(())
            }
            Ok(Err(error)) => Err(End::Broken(error)),
            Err(_) => Err(End::Closed(CloseReason::Inactivity)),
        }
    }
}
