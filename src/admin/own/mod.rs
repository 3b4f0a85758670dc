//! What Homing's own command line asks beyond the words of doveadm: each request becomes a look at the director and the
//! registry, or an operation, and what they say becomes rows.

mod drain;
mod explain;
mod failure;
mod hosts;
mod plan;
mod sessions;
mod state;
mod wait;

use std::io;

use homing_doveadm::{
    UserHash,
    director::{OwnRequest, Server},
    own::{Command, Failure, FailureKind, HashRow, Row, WORDS},
};

use super::{Access, director::push, wire::Wire};

/// Answers with at least one row. An unknown word and a request that cannot be done have an answer, too.
pub(super) async fn answer(
    wire: &mut Wire,
    server: &mut Server,
    access: &Access,
    request: &OwnRequest,
) -> io::Result<()> {
    let command = match Command::read(request) {
        Ok(command) => command,
        Err(unreadable) => {
            tracing::warn!(target: "homing::admin", "{unreadable}");
            let failure = Failure::new(FailureKind::Unknown, unreadable.to_string());
            return send(wire, server, vec![Row::Failure(failure)]).await;
        }
    };
    let told = match command {
        Command::Sessions(pattern) => return sessions::list(wire, server, access, &pattern).await,
        Command::Dump => return state::dump(wire, server, access).await,
        Command::Load(load) => state::load(access, &load),
        Command::Words => Ok(WORDS.iter().map(|word| Row::Word((*word).to_owned())).collect()),
        Command::Hash(users) => Ok(hashes(access, users)),
        Command::Hosts => Ok(hosts::rows(access)),
        Command::Explain { user, tag } => Ok(explain::rows(access, user, &tag).await),
        Command::Plan(planned) => plan::rows(access, planned).await,
        Command::Drain { host, pace } => drain::start(access, host, pace).map(|row| vec![row]),
        Command::DrainStatus(host) => drain::status(access, host),
        Command::DrainStop { host, restore } => drain::stop(access, host, restore).map(|row| vec![row]),
        Command::Wait { what, secs } => wait::until_ended(access, what, secs).await.map(|row| vec![row]),
    };
    let rows = told.unwrap_or_else(|failure| vec![Row::Failure(failure)]);
    send(wire, server, rows).await
}

async fn send(wire: &mut Wire, server: &mut Server, rows: Vec<Row>) -> io::Result<()> {
    push(wire, server, rows.iter().map(Row::to_row).collect()).await
}

fn hashes(access: &Access, users: Vec<Vec<u8>>) -> Vec<Row> {
    let hash = |user: Vec<u8>| {
        let hash = UserHash(access.director.hash(&user).number());
        Row::Hash(HashRow { user, hash })
    };
    users.into_iter().map(hash).chain([Row::End]).collect()
}
