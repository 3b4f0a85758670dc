//! What is answered to a request: which page, and in which of the two formats.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Bytes,
    header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use tokio::{sync::Mutex, task::JoinError};

use super::exposition::{self, Format, Sources};

const TEXT: &str = "text/plain; charset=utf-8";

/// Answers requests.
pub(super) struct Answers {
    sources: Arc<Sources>,
    stopping: AtomicBool,
    turn: Turn,
}

/// One page is made at a time: whoever asks often waits, and the director is left alone meanwhile.
#[derive(Default)]
struct Turn(Arc<Mutex<()>>);

impl Turn {
    /// Does work that blocks. It goes on when its asker has gone, and nobody else has a turn until it is done.
    async fn of<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
        let turn = Arc::clone(&self.0).lock_owned().await;
        let work = move || {
            let _turn = turn;
            work()
        };
        tokio::task::spawn_blocking(work).await
    }
}

impl Answers {
    pub(super) fn new(sources: Sources) -> Self {
        Self { sources: Arc::new(sources), stopping: AtomicBool::new(false), turn: Turn::default() }
    }

    /// See [`super::Metrics::stopping`].
    pub(super) fn stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// The answer; what the request carries beside its head is not read.
    pub(super) async fn to<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        if !matches!(path, "/metrics" | "/healthz") {
            return page(StatusCode::NOT_FOUND, TEXT, "not found; there are /metrics and /healthz\n");
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET or HEAD\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        if path == "/metrics" { self.metrics(format(request.headers())).await } else { self.health() }
    }

    async fn metrics(&self, format: Format) -> Response<Full<Bytes>> {
        let sources = Arc::clone(&self.sources);
        // Files of /proc and the director's lock are waited for.
        match self.turn.of(move || exposition::page(&sources, format)).await {
            Ok(Ok(text)) => page(StatusCode::OK, format.content_type(), text),
            _ => page(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "the page could not be made\n"),
        }
    }

    fn health(&self) -> Response<Full<Bytes>> {
        match self.stopping.load(Ordering::Relaxed) {
            false => page(StatusCode::OK, TEXT, "ok\n"),
            true => page(StatusCode::SERVICE_UNAVAILABLE, TEXT, "stopping\n"),
        }
    }
}

fn page(status: StatusCode, content_type: &'static str, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// OpenMetrics for those who name it and do not like the older format more (RFC 9110 section 12.5.1).
fn format(headers: &HeaderMap) -> Format {
    let accepts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let (mut open, mut plain) = (0, 0);
    for range in accepts.flat_map(|value| value.split(',')) {
        let mut words = range.split(';').map(str::trim);
        let name = words.next().unwrap_or_default().to_ascii_lowercase();
        let weight = words.find_map(|word| weight(word.strip_prefix("q=")?)).unwrap_or(1000);
        match name.as_str() {
            "application/openmetrics-text" => open = open.max(weight),
            "text/plain" => plain = plain.max(weight),
            _ => {}
        }
    }
    if open > 0 && open >= plain { Format::OpenMetrics } else { Format::Text }
}

/// In thousandths. What is no weight counts as none at all.
fn weight(text: &str) -> Option<u32> {
    let weight: f32 = text.trim().parse().unwrap_or(0.0);
    Some((weight.clamp(0.0, 1.0) * 1000.0) as u32)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Whoever asks and leaves at once, again and again, would else have a page made for each of them, all at a time.
    #[tokio::test]
    async fn a_turn_lasts_until_the_work_is_done_whoever_leaves() {
        let turn = Arc::new(Turn::default());
        let (begin, begun) = tokio::sync::oneshot::channel();
        let (finish, finished) = mpsc::channel();
        let asker = tokio::spawn({
            let turn = Arc::clone(&turn);
            async move {
                let work = move || {
                    begin.send(()).unwrap();
                    finished.recv().unwrap();
                };
                turn.of(work).await
            }
        });
        begun.await.unwrap();
        asker.abort();
        assert!(asker.await.unwrap_err().is_cancelled());
        assert!(turn.0.try_lock().is_err(), "the page of one who has left is still being made");
        finish.send(()).unwrap();
        assert_eq!(turn.of(|| 7).await.unwrap(), 7);
    }

    fn chosen(accept: &str) -> Format {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_str(accept).unwrap());
        format(&headers)
    }

    #[test]
    fn the_format_is_the_clients_choice() {
        for accept in [
            "application/openmetrics-text",
            "Application/OpenMetrics-Text; version=1.0.0; q=0.5, */*;q=0.1",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1",
        ] {
            assert_eq!(chosen(accept), Format::OpenMetrics, "{accept}");
        }
        for accept in [
            "*/*",
            "text/html",
            "text/plain, application/openmetrics-text;q=0.5",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=x",
            "application/openmetrics-text;q=NaN",
            "",
            ";,;q=;;,",
        ] {
            assert_eq!(chosen(accept), Format::Text, "{accept}");
        }
        assert_eq!(format(&HeaderMap::new()), Format::Text);
    }
}
