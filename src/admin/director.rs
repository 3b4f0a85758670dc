//! One connection of the director's admin protocol: requests in, answers out, one at a time and in order, so that
//! pipelined lines wait where they are (spec/director.md 10, W21).

use std::io;

use homing_doveadm::director::{Request, Row, Server, ServerEvent};

use super::{Access, change, own, rows, wire::Wire};
use crate::director::core::UserCursor;

/// Until the client closes, asks something that is no request, or is idle for too long.
pub(super) async fn talk(mut wire: Wire, access: &Access) -> io::Result<()> {
    let mut server = Server::default();
    loop {
        wire.send(server.poll_transmit()).await?;
        match server.poll_event() {
            Some(ServerEvent::Request(request)) => answer(&mut wire, &mut server, access, request).await?,
            Some(ServerEvent::Close(error)) => {
                tracing::error!(target: "homing::admin", "{error}; the connection is closed");
                return wire.send(server.poll_transmit()).await;
            }
            None => {
                // A line that is refused has an answer, but no event.
                wire.send(server.poll_transmit()).await?;
                match wire.receive(server.room()).await? {
                    [] => return Ok(()),
                    bytes => server.received(bytes),
                }
            }
        }
    }
}

async fn answer(wire: &mut Wire, server: &mut Server, access: &Access, request: Request) -> io::Result<()> {
    match request {
        Request::HostList => push(wire, server, rows::hosts(&access.director)).await?,
        Request::HostListRemoved => push(wire, server, rows::removed_hosts(&access.director)).await?,
        Request::DirectorList => push(wire, server, rows::directors(access.own)).await?,
        Request::UserList(host) => {
            let mut from = Some(UserCursor::default());
            while let Some(cursor) = from {
                let (users, next) = access.director.users(cursor).await;
                push(wire, server, rows::users(users, host)).await?;
                // A long list with few rows to send must not keep others from running.
                tokio::task::yield_now().await;
                from = next;
            }
        }
        Request::Own(request) => own::answer(wire, server, access, &request).await?,
        request => {
            server.answer(&change::perform(access, request).await);
            return Ok(());
        }
    }
    server.end_rows();
    Ok(())
}

pub(super) async fn push(wire: &mut Wire, server: &mut Server, rows: Vec<Row>) -> io::Result<()> {
    let mut rows = rows.into_iter();
    while !server.push_rows(&mut rows) {
        wire.send(server.poll_transmit()).await?;
    }
    Ok(())
}
