//! Recorded runs of doveadm against the reference (spec/director.md, `doveadm_director_transcripts.tsv`): what was
//! sent must be understood, and both sides must write the same bytes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test program: it stops at the first surprise"
)]

use homing_doveadm::{director, ipc};

const TABLE: &str = include_str!("../../../tests/vectors/doveadm_director_transcripts.tsv");

/// One recorded run.
struct Run {
    command: &'static str,
    asked: Vec<u8>,
    answered: Vec<u8>,
}

fn runs() -> Vec<Run> {
    let rows = TABLE.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>());
    rows.map(|row| Run { command: row[0], asked: unescape(row[2]), answered: unescape(row[3]) }).collect()
}

fn unescape(cell: &str) -> Vec<u8> {
    cell.replace("\\t", "\t").replace("\\n", "\n").replace("\\x01", "\x01").into_bytes()
}

/// Bytes in pieces of `size`.
fn feed(bytes: &[u8], size: usize, mut receive: impl FnMut(&[u8])) {
    bytes.chunks(size).for_each(&mut receive);
}

fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\n").unwrap()).collect()
}

#[test]
fn every_run_with_a_director() {
    let (mut count, mut requests) = (0, 0);
    for run in runs().iter().filter(|run| run.asked.starts_with(b"VERSION")) {
        for size in [1, 7, 4096] {
            requests += director_run(run, size);
        }
        count += 1;
    }
    assert_eq!((count, requests), (72, 3 * 65));
}

/// Plays one run through both machines; the number of requests in it.
fn director_run(run: &Run, size: usize) -> usize {
    let asked: Vec<_> = lines(&run.asked)[1..].iter().map(|l| director::Request::parse(l).unwrap()).collect();
    let mut client = director::Client::default();
    asked.iter().for_each(|request| client.ask(request).unwrap());
    assert_eq!(client.poll_transmit().unwrap(), run.asked, "{}", run.command);
    let mut heard = Vec::new();
    feed(&run.answered, size, |bytes| {
        client.received(bytes);
        heard.extend(std::iter::from_fn(|| client.poll_event()));
    });
    assert_eq!(client.open_requests(), 0, "{}: {heard:?}", run.command);

    let mut server = director::Server::default();
    let mut said = server.poll_transmit().unwrap();
    let mut heard = heard.into_iter();
    let mut understood = Vec::new();
    feed(&run.asked, size, |bytes| {
        server.received(bytes);
        while let Some(event) = server.poll_event() {
            let director::ServerEvent::Request(request) = event else { panic!("{}: {event:?}", run.command) };
            understood.push(request);
            director_answer(&mut server, &mut heard);
            said.extend(server.poll_transmit().unwrap());
        }
    });
    assert_eq!(understood, asked, "{}", run.command);
    assert_eq!(said, run.answered, "{}", run.command);
    asked.len()
}

/// Says what the client heard as its next whole answer.
fn director_answer(server: &mut director::Server, heard: &mut impl Iterator<Item = director::ClientEvent>) {
    for event in heard {
        match event {
            director::ClientEvent::Reply(reply) => return server.answer(&reply),
            director::ClientEvent::Row(row) => assert!(server.push_rows(&mut std::iter::once(row))),
            director::ClientEvent::RowsEnd => return server.end_rows(),
            director::ClientEvent::Close(error) => panic!("{error}"),
        }
    }
}

#[test]
fn every_run_with_login_processes() {
    let runs = runs();
    let of_ipc: Vec<_> = runs.iter().filter(|run| run.asked.starts_with(b"proxy\t")).collect();
    assert_eq!(of_ipc.len(), 5);
    for run in of_ipc {
        for size in [1, 7, 4096] {
            ipc_run(run, size);
        }
    }
}

fn ipc_run(run: &Run, size: usize) {
    let mut server = ipc::Server::default();
    feed(&run.asked, size, |bytes| server.received(bytes));
    let Some(ipc::ServerEvent::Command(ipc::Target::All, command)) = server.poll_event() else {
        panic!("{}", run.command)
    };
    let mut client = ipc::Client::default();
    client.ask(&command).unwrap();
    assert_eq!(client.poll_transmit().unwrap(), run.asked);
    let mut heard = Vec::new();
    feed(&run.answered, size, |bytes| {
        client.received(bytes);
        heard.extend(std::iter::from_fn(|| client.poll_event()));
    });
    assert_eq!(client.open_commands(), 0, "{}: {heard:?}", run.command);
    if command == ipc::Command::ListFull {
        return three_lists(&heard);
    }
    let [ipc::ClientEvent::Answer(answer)] = heard.as_slice() else { panic!("{heard:?}") };
    server.answer(answer);
    assert_eq!(server.poll_transmit().unwrap(), run.answered);
}

/// W25: the reference's hub sends the header of every login process, and doveadm aborts.
fn three_lists(heard: &[ipc::ClientEvent]) {
    let told: Vec<_> = heard
        .iter()
        .map(|event| match event {
            ipc::ClientEvent::Header(names) => format!("header {}", names.len()),
            ipc::ClientEvent::Session(row) => {
                format!("{} {}", String::from_utf8_lossy(&row.user), row.alternatives.len())
            }
            other => format!("{other:?}"),
        })
        .collect();
    let expected =
        ["header 0", "foo 0", "header 0", "alice@example.com 0", "header 2", "alt 2", "Answer(Done)"];
    assert_eq!(told, expected);
}

#[test]
fn the_other_runs_talk_to_nobody() {
    let runs = runs();
    assert_eq!(runs.len(), 79);
    let silent: Vec<_> = runs.iter().filter(|run| run.asked.is_empty()).map(|run| run.command).collect();
    assert_eq!(
        silent,
        ["doveadm director map -a SOCKET -u Alice@Example.com", "doveadm proxy kick -a SOCKET"]
    );
}
