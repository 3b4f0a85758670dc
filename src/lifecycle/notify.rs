//! Tells systemd what the process is doing (`Type=notify-reload`). Silent when not started by systemd.

use sd_notify::NotifyState;

/// The service manager.
#[derive(Debug, Clone, Copy, Default)]
pub struct Supervisor;

impl Supervisor {
    /// Listening; logins are served.
    pub fn ready(self) {
        self.send(&[NotifyState::Ready]);
    }

    /// Reading the configuration again; followed by [`Supervisor::ready`].
    pub fn reloading(self) {
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            self.send(&[NotifyState::Reloading, now]);
        }
    }

    /// Ending sessions.
    pub fn stopping(self) {
        self.send(&[NotifyState::Stopping]);
    }

    fn send(self, states: &[NotifyState<'_>]) {
        // Without a service manager there is nobody to tell.
        let _ = sd_notify::notify(states);
    }
}
