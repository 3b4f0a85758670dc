//! What the outside world asks of the process: signals become requests, privileges are dropped, limits raised.
//! It knows nothing of mail.

mod limits;
mod notify;
mod privileges;
mod signals;

pub use limits::raise_open_files;
pub use notify::Supervisor;
pub use privileges::{PrivilegeError, can_drop_to, drop_to};
pub use signals::{Request, Signals};
