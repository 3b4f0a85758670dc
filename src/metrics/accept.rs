//! The life of one socket: accepts, speaks HTTP/1 with whoever connects, one request per connection, and ends when it
//! is told to. What a client can take is bounded: places, time, bytes of the request; the answer is one page.

use std::{collections::VecDeque, convert::Infallible, io, sync::Arc, time::Duration};

use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::{CONNECTION_TIME, CONNECTIONS_MAX, HEAD_BYTES_MAX, HEADERS_MAX, answer::Answers, socket::Bound};
use crate::{
    config::settings::MetricsPlace,
    sockets::{Acceptor, Stream},
};

/// Pause after a failed accept: mostly descriptors are missing, and the connection is still there afterwards.
const PAUSE: Duration = Duration::from_millis(200);

/// Accepts until `stop` is cancelled; connections end then, too.
pub(super) async fn serve(bound: Bound, answers: Arc<Answers>, stop: CancellationToken) {
    let Bound { place, socket } = bound;
    let socket = match Acceptor::new(socket) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::error!(target: "homing::metrics", "cannot accept on {place}: {error}");
            return;
        }
    };
    let mut places = Places::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            accepted = socket.accept() => match accepted {
                Ok(arrival) => places.seat(talk(arrival.stream, Arc::clone(&answers))).await,
                Err(error) => complain(&place, &error).await,
            }
        }
    }
}

async fn complain(place: &MetricsPlace, error: &io::Error) {
    tracing::warn!(target: "homing::metrics", "{place}: cannot accept: {error}");
    tokio::time::sleep(PAUSE).await;
}

/// The connections of one socket; all end on drop.
#[derive(Default)]
pub(super) struct Places {
    tasks: JoinSet<()>,
    /// Oldest first; those that have ended are among them until the next one comes.
    handles: VecDeque<AbortHandle>,
}

impl Places {
    /// Serves one more. If all places are taken the oldest one has to go.
    pub(super) async fn seat(&mut self, connection: impl Future<Output = ()> + Send + 'static) {
        while self.tasks.try_join_next().is_some() {}
        self.handles.retain(|handle| !handle.is_finished());
        while self.tasks.len() >= CONNECTIONS_MAX {
            if let Some(oldest) = self.handles.pop_front() {
                oldest.abort();
            }
            self.tasks.join_next().await;
        }
        self.handles.push_back(self.tasks.spawn(connection));
    }
}

/// One request and its answer.
async fn talk(stream: Box<dyn Stream>, answers: Arc<Answers>) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let answers = Arc::clone(&answers);
        async move { Ok::<_, Infallible>(answers.to(&request).await) }
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        // The time of the whole connection is limited.
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(CONNECTION_TIME, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(target: "homing::metrics", "a connection broke: {error}"),
        Err(_) => tracing::debug!(target: "homing::metrics", "a connection took too long"),
    }
}
