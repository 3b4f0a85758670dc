//! The line service for those who have answers of their own: each line comes back, with a host if it needs one
//! (spec/director.md 0.2).

use std::sync::Arc;

use homing_wire::tab;
use tokio::net::UnixStream;

use super::{
    answers::Answers,
    desk::{Asker, Desk},
    ended::{Ended, Side},
};

const GREETING: &[u8] = b"VERSION\tdirector-authreply-server\t1\t0";
const CLIENT: [&[u8]; 3] = [b"VERSION", b"director-authreply-client", b"1"];

pub(super) async fn serve(client: UnixStream, desk: Arc<Desk>) -> Ended {
    let (from, to) = client.into_split();
    let mut answers = Answers::new((Side::Client, from), to, Asker::Other, desk);
    answers.say(GREETING);
    match answers.first_line().await {
        Ok(line) if is_compatible(line.expose()) => answers.run().await,
        Ok(_) => Ended::Incompatible,
        Err(ended) => ended,
    }
}

fn is_compatible(line: &[u8]) -> bool {
    let words: Vec<_> = tab::split(line).collect();
    words.len() > CLIENT.len() && words.iter().zip(CLIENT).all(|(word, expected)| **word == *expected)
}
