//! After the login: bytes flow until one side ends, the director kicks the user, or the program stops. The
//! guards (placement, seat, pacing) live exactly as long.

use std::time::{Duration, Instant};

use bytes::Bytes;
use homing_login::Service;
use tokio::io::AsyncReadExt;

use super::{
    log::{self, Forwarded},
    login::{ClientSide, Handover},
    registry::Stop,
};
use crate::{
    director::Placement,
    forwarding::{self, Beat, EndedBy, Ends},
    observe::ProxyReason,
    transport::{CLOSING_TIME_HURRIED, CLOSING_TIME_MAX, Transport},
};

/// Forwards until the session is over.
pub(super) async fn run(handover: Handover) {
    let Handover { client, target, placement, address, backend, backend_unread, backend_sent } = handover;
    let ClientSide { transport, unread, client, sent, mut seat, shared, generation, log } = client;
    super::lift_limits(transport.socket());
    let mut live = shared.pacing.enter(address);
    let farewell =
        generation.settings().process.shutdown_farewell.then(|| farewell(client.service)).flatten();
    let ends = Ends { client: transport, to_backend: unread, backend, to_client: backend_unread };
    let mut stopped = None;
    let stop = async {
        let (reason, farewell) = tokio::select! {
            stop = seat.stopped() => match stop {
                Stop::Kicked => {
                    placement.iter().for_each(Placement::note_kicked);
                    (ProxyReason::KickedByAdmin, None)
                }
                _ => (ProxyReason::ShuttingDown, farewell),
            },
            () = kicked(placement.as_ref()) => (ProxyReason::KickedViaDirector, None),
        };
        stopped = Some(reason);
        forwarding::Stop { farewell }
    };
    let on_beat = |beat: Beat| {
        placement.iter().for_each(|placement| placement.note_traffic(beat.at, beat.client_waits));
    };
    let mut end = forwarding::forward(ends, stop, &on_beat, forwarding::counters()).await;
    if let Some((placement, backend)) = placement.zip(end.backend.take()) {
        let limit = generation.settings().director.user_kick_delay;
        tokio::spawn(leave(placement, backend, limit));
    }
    let by_server = end.by != EndedBy::Client && stopped != Some(ProxyReason::ShuttingDown);
    let spread = generation.settings().backend.disconnect_delay_max;
    let jitter = getrandom::u32().map_or(0, |r| (r % 100) as u8);
    let delay = if by_server { live.lost(spread, Instant::now(), jitter) } else { Duration::ZERO };
    let forwarded = Forwarded {
        end: &end,
        reason: stopped,
        sent_to_client: sent,
        sent_to_backend: backend_sent,
        client_in: delay,
    };
    log.forwarded(&log::destination(&target, address), &forwarded);
    let Some(mut client) = end.client else { return };
    // Boxed, so that the session does not carry its end along.
    Box::pin(async {
        if !delay.is_zero() {
            tokio::select! {
                () = hold(&mut client, delay) => {}
                _ = seat.stopped() => {}
            }
        }
        let hurried = stopped == Some(ProxyReason::ShuttingDown);
        client.close_within(if hurried { CLOSING_TIME_HURRIED } else { CLOSING_TIME_MAX }).await;
    })
    .await;
}

/// Returns when the director wants the session to end. Sessions without placement wait for ever.
async fn kicked(placement: Option<&Placement>) {
    match placement {
        Some(placement) => placement.kicked().cancelled().await,
        None => std::future::pending().await,
    }
}

/// The user is at the backend until the backend has closed, too: only then may a login come to another one. A backend
/// that takes longer than the limit is taken for dead (`director_user_kick_delay`, spec/director.md 3.3).
async fn leave(placement: Placement, backend: Transport, limit: Duration) {
    backend.close_within(limit).await;
    drop(placement);
}

/// Keeps a client whose backend is gone for a while; what it sends is thrown away.
async fn hold(client: &mut Transport, delay: Duration) {
    let discard = async {
        let mut buffer = [0; 512];
        while client.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
    };
    // Either the time is over or the client left: both end the session.
    let _ = tokio::time::timeout(delay, discard).await;
}

/// What a logged-in client is told at shutdown, where the stream is between responses. POP3 has no unasked
/// responses (RFC 1939 section 3).
fn farewell(service: Service) -> Option<Bytes> {
    match service {
        Service::Imap => Some(Bytes::from_static(b"* BYE Shutting down\r\n")),
        Service::Pop3 => None,
        Service::Sieve => Some(Bytes::from_static(b"BYE (TRYLATER) \"Shutting down\"\r\n")),
    }
}
