//! Standard input as a gate: who measures opens it when the counters have been read.

/// Waits for a line, or for the end, of standard input.
pub(super) async fn opened() {
    let read = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
    // A broken input is an end, too.
    let _ = read.await;
}
