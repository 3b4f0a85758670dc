//! Connections, logins, sessions, and what they wait for.

use std::fmt;

use super::{
    Sources,
    sheet::{Sheet, by_one, by_two, bytes, only},
};
use crate::{
    forwarding,
    observe::tally::{Label, tally},
};
use homing_login::Service;

pub(super) fn write(sources: &Sources, sheet: &mut Sheet<'_>) -> fmt::Result {
    connections(sources, sheet)?;
    logins(sheet)?;
    auth(sources, sheet)?;
    backends(sheet)?;
    forwarded(sheet)
}

fn connections(sources: &Sources, sheet: &mut Sheet<'_>) -> fmt::Result {
    let m = tally();
    sheet.counter("connections", "Client connections taken into service.", by_one(&m.connections))?;
    let help = "Client connections that were not served, or not for long, by reason.";
    sheet.counter("connections_refused", help, by_two(&m.connections_refused))?;
    sheet.counter(
        "tls_handshakes_failed",
        "TLS handshakes with clients that failed.",
        by_one(&m.handshakes_failed),
    )?;
    sheet.gauge("sessions", "Client connections now, by where they are.", by_two(&m.sessions))?;
    let generation = sources.sessions.generation();
    let limit = |service: &Service| {
        let limit = generation.settings().login.of(*service).connections_max as u64;
        (vec![(Service::NAME, service.text().into())], limit)
    };
    sheet.gauge("connections_limit", "Most client connections at a time.", Service::ALL.iter().map(limit))?;
    sheet.counter(
        "sessions_ended",
        "Logged-in sessions that ended, by who ended them.",
        by_two(&m.sessions_ended),
    )
}

fn logins(sheet: &mut Sheet<'_>) -> fmt::Result {
    let m = tally();
    sheet.counter("logins", "Attempts to log in, by result.", by_two(&m.logins))?;
    let help = "Time of successful logins, from the client's command to the backend's OK.";
    sheet.histogram("login", help, by_one(&m.login_time))?;
    let help =
        "Time of the phases of logins, whether they ended well or not; one for each attempt at a backend.";
    sheet.histogram("login_phase", help, by_two(&m.phase_time))?;
    let help = "Time until the director had a backend or gave up, by the last reason for waiting.";
    sheet.histogram("director_wait", help, by_two(&m.director_wait))?;
    sheet.gauge(
        "director_waiting_logins",
        "Logins that wait for a backend now, by reason.",
        by_one(&m.waiting),
    )
}

fn auth(sources: &Sources, sheet: &mut Sheet<'_>) -> fmt::Result {
    let m = tally();
    let up = sources.sessions.generation().auth().availability().borrow().is_some();
    sheet.gauge("auth_up", "1 if somebody can be asked about passwords.", only(u64::from(up)))?;
    sheet.counter("auth_requests", "Requests to the auth service.", only(m.auth_requests.value()))?;
    sheet.counter("auth_replies", "Replies of the auth service, by result.", by_one(&m.auth_replies))?;
    let help = "Connections to the auth service that were made.";
    sheet.counter("auth_connects", help, only(m.auth_connects.value()))?;
    let help = "Connections to the auth service that ended or could not be made.";
    sheet.counter("auth_disconnects", help, only(m.auth_disconnects.value()))
}

fn backends(sheet: &mut Sheet<'_>) -> fmt::Result {
    let m = tally();
    let help = "Attempts to log in at a backend that failed, by cause.";
    sheet.counter("backend_failures", help, by_two(&m.backend_failures))?;
    let help = "Attempts to log in at a backend after the first one of a login.";
    sheet.counter("backend_retries", help, by_one(&m.backend_retries))
}

fn forwarded(sheet: &mut Sheet<'_>) -> fmt::Result {
    let counters = forwarding::counters();
    let way = |way: &'static str, bytes| (vec![("way", way.into())], bytes);
    let ways = [way("copied", counters.bytes_copied()), way("spliced", counters.bytes_spliced())];
    sheet.counter(bytes("forwarded"), "Bytes forwarded in both directions, by way.", ways)?;
    sheet.gauge("splice_pipes", "Pipes that splicing has.", only(forwarding::pipes() as u64))?;
    let help = "Steps that were copied since no pipe was to be had.";
    sheet.counter("splice_pipes_missing", help, only(counters.pipes_missing()))
}
