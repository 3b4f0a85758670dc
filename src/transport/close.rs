//! Closing without losing what was said last.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::Transport;

/// How long a peer may take to close after us. One second is several round trips; a peer that needs longer loses
/// nothing but, on some systems, the last words if it was still sending.
pub const CLOSING_TIME_MAX: Duration = Duration::from_secs(1);

/// The same where many leave at once: at a stop, and when places are needed for newcomers. One round trip even
/// between continents, so that thousands of sessions are gone within a second.
pub const CLOSING_TIME_HURRIED: Duration = Duration::from_millis(250);

/// How much a peer may still send while we close. A few full windows of pipelined commands; one that goes on writing
/// after that gets a reset, rather than our time.
pub const CLOSING_BYTES_MAX: usize = 256 * 1024;

impl Transport {
    /// Closes: hands over what is queued, `close_notify`, FIN, and then throws away what the peer still sends until
    /// it closes, too. Without the latter the kernel would answer unread bytes with a reset, and a reset makes some
    /// systems drop what they have received but not read yet. Returns when the peer has closed, when the time is
    /// over, or after [`CLOSING_BYTES_MAX`].
    pub async fn close_within(mut self, limit: Duration) {
        let closing = async {
            self.shutdown().await?;
            let (mut buffer, mut left) = ([0; 512], CLOSING_BYTES_MAX);
            loop {
                match self.read(&mut buffer).await? {
                    0 => return std::io::Result::Ok(()),
                    count if count >= left => return Ok(()),
                    count => left -= count,
                }
            }
        };
        // A peer that is gone has closed; one that takes too long is left alone.
        let _ = timeout(limit, closing).await;
    }
}
