//! One connection's protocol machine with those who wait for its replies. Sessions call it directly; the task that
//! owns the socket is woken when there is something to send.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use homing_dovecot_auth::{AuthClient, BeginError, ConnectionId, Event, ProtocolError, RequestId};
use homing_login::{AuthReply, AuthRequest, Mechanism};
use homing_wire::Secret;
use tokio::sync::{Notify, futures::Notified, mpsc};

use crate::auth::exchange::{Conversation, REPLIES_WAITING_MAX};

/// See the module.
#[derive(Default)]
pub(super) struct Link {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Default)]
struct State {
    client: AuthClient,
    waiting: HashMap<RequestId, mpsc::Sender<AuthReply>>,
}

/// What the task has to do about the bytes it has read.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The opening has just been completed.
    pub(super) ready: bool,
    /// Ids in replies that were never given out.
    pub(super) unknown_ids: Vec<u32>,
    /// The service broke the protocol; the connection must be closed.
    pub(super) broken: Option<ProtocolError>,
}

impl Link {
    /// Sends a request; the replies arrive at the receiver.
    pub(super) fn begin(
        self: &Arc<Self>,
        request: &AuthRequest,
    ) -> Result<(mpsc::Receiver<AuthReply>, Ticket), BeginError> {
        let (sender, replies) = mpsc::channel(REPLIES_WAITING_MAX);
        let mut state = self.lock();
        let id = state.client.begin(request)?;
        state.waiting.insert(id, sender);
        drop(state);
        self.wake.notify_one();
        Ok((replies, Ticket { link: Arc::clone(self), id }))
    }

    /// Open requests; `None` if nobody can be asked here.
    pub(super) fn load(&self) -> Option<usize> {
        let state = self.lock();
        state.client.mechanisms().map(|_| state.client.open_requests())
    }

    /// The mechanisms on offer; `None` if nobody can be asked here.
    pub(super) fn mechanisms(&self) -> Option<Arc<[Mechanism]>> {
        self.lock().client.mechanisms().cloned()
    }

    /// A socket is connected.
    pub(super) fn connected(&self, id: ConnectionId) {
        let mut state = self.lock();
        state.client.connected(id);
        state.deliver();
    }

    /// The socket is gone. Gives the number of requests that are lost by it. `tell` says so to the others before those
    /// who wait are told, so that nobody who tries again at once asks here.
    pub(super) fn disconnected(&self, tell: impl FnOnce()) -> usize {
        let lost = {
            let mut state = self.lock();
            state.client.disconnected();
            state.waiting.len()
        };
        tell();
        self.lock().deliver();
        lost
    }

    /// How many bytes may be read.
    pub(super) fn room(&self) -> usize {
        self.lock().client.room()
    }

    /// Bytes from the socket, at most [`Link::room`].
    pub(super) fn received(&self, bytes: &[u8]) -> Told {
        let mut state = self.lock();
        state.client.received(bytes);
        state.deliver()
    }

    /// The next bytes to write.
    pub(super) fn transmit(&self) -> Option<Secret> {
        self.lock().client.poll_transmit()
    }

    /// Waits until there may be something to write.
    pub(super) fn woken(&self) -> Notified<'_> {
        self.wake.notified()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while holding it; and if, the machine is consistent between calls.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Hands out replies.
    fn deliver(&mut self) -> Told {
        let mut told = Told::default();
        while let Some(event) = self.client.poll_event() {
            match event {
                Event::Ready(_) => told.ready = true,
                Event::UnknownId(id) => told.unknown_ids.push(id),
                Event::Close(error) => told.broken = Some(error),
                Event::Reply(id, reply) => self.reply(id, reply),
            }
        }
        told
    }

    fn reply(&mut self, id: RequestId, reply: AuthReply) {
        let goes_on = matches!(reply, AuthReply::Challenge(_));
        // A session that is gone has cancelled already.
        let delivered = self.waiting.get(&id).is_some_and(|waiting| waiting.try_send(reply).is_ok());
        if !delivered {
            self.client.cancel(id);
        }
        if !goes_on || !delivered {
            self.waiting.remove(&id);
        }
    }
}

/// The right to answer and to cancel one request.
pub(super) struct Ticket {
    link: Arc<Link>,
    id: RequestId,
}

impl Conversation for Ticket {
    fn respond(&mut self, response: Secret) {
        let mut state = self.link.lock();
        state.client.respond(self.id, &response);
        state.deliver();
        drop(state);
        self.link.wake.notify_one();
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.link.lock();
        // An ended request has nobody waiting; its id may belong to another one by now.
        if state.waiting.remove(&self.id).is_some() {
            state.client.cancel(self.id);
            drop(state);
            self.link.wake.notify_one();
        }
    }
}
