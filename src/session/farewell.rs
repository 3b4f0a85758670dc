//! Last words for logged-in clients, where the stream is between responses. POP3 has no unasked responses (RFC 1939
//! section 3).

use bytes::Bytes;
use homing_login::Service;

/// The program stops.
pub(super) fn of_shutdown(service: Service) -> Option<Bytes> {
    match service {
        Service::Imap => Some(Bytes::from_static(b"* BYE Shutting down\r\n")),
        Service::Pop3 => None,
        Service::Sieve => Some(Bytes::from_static(b"BYE (TRYLATER) \"Shutting down\"\r\n")),
    }
}

/// The user is kicked or moved: a new login is welcome. BYE without being asked is the way to end an idle session
/// (RFC 3501 section 7.1.5, RFC 5804 section 1.2), so clients just connect again.
pub(super) fn of_kick(service: Service) -> Option<Bytes> {
    match service {
        Service::Imap => {
            Some(Bytes::from_static(b"* BYE Disconnected by the server, please log in again\r\n"))
        }
        Service::Pop3 => None,
        Service::Sieve => Some(Bytes::from_static(
            b"BYE (TRYLATER) \"Disconnected by the server, please log in again\"\r\n",
        )),
    }
}
