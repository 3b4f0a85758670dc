//! What a restart costs: the tables written down, read again and built anew. Logins wait for all of it but the writing.

use std::{fs, time::Duration};

use homing::director::{
    Director,
    core::{Core, Moment, Operation, Origin, Saved, Table, UserCursor},
};
use serde_json::{Value, json};

use super::{flush::settings, numbers::of_process, tables};

/// Writing and reading with so many users, and the building alone. Times are those on a processor, of all threads.
pub fn measure(users: u32) -> Value {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let secs_build = build(users);
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings();
    settings.state_dir = Some(folder.path().to_owned());
    let secs_write = runtime.block_on(async {
        let director = Director::start(&settings).await.unwrap();
        for n in 0..users {
            let ip = super::flush::FIRST;
            director.apply(Origin::Operator, Operation::MapUser { user: tables::user(n), ip }).unwrap();
        }
        let start = of_process();
        director.finish().await;
        of_process() - start
    });
    let bytes = fs::metadata(folder.path().join("director.state")).unwrap().len();
    shown("writing what is left at the end", secs_write);
    eprintln!("{:<58} {:>7.1} bytes", "a user in the file", bytes as f64 / f64::from(users));
    let before = reset_peak();
    let secs_start = runtime.block_on(async {
        let start = of_process();
        let director = Director::start(&settings).await.unwrap();
        let time = of_process() - start;
        assert_eq!(director.backends().first().unwrap().users, users as usize);
        time
    });
    let memory = peak().saturating_sub(before);
    shown("the start, until logins are served", secs_start);
    eprintln!("{:<58} {memory:>7} MiB", "the start, peak of memory above what there was before");
    json!({
        "bytes_per_user": bytes as f64 / f64::from(users),
        "seconds_write": secs_write.as_secs_f64(),
        "seconds_start": secs_start.as_secs_f64(),
        "seconds_build_alone": secs_build.as_secs_f64(),
        "peak_mib_of_start": memory,
    })
}

/// The tables built anew from what was written down, without reading it.
fn build(users: u32) -> Duration {
    let now = Moment::from_millis(1_700_000_000_000);
    let table: Table = tables::table();
    let mut core = Core::new(now, table.clone());
    for n in 0..users {
        let session = core.place(now, b"", tables::user(n)).unwrap().session;
        core.release(now, session);
    }
    let hosts = core.begin_saving();
    let start = of_process();
    let (saved, _) = core.saved_users(UserCursor::default(), usize::MAX);
    shown("everything taken out of the tables", of_process() - start);
    let saved = Saved { hosts, users: saved };
    drop(core);
    let start = of_process();
    let (core, restored, _) = Core::restored(now, table, saved);
    let time = of_process() - start;
    assert_eq!((restored.users, core.user_count()), (users as usize, users as usize));
    shown("the tables built anew", time);
    time
}

fn shown(name: &str, time: Duration) {
    eprintln!("{name:<58} {:>7.2} s", time.as_secs_f64());
}

/// Forgets the most memory that this process has had; what it has now, in MiB.
fn reset_peak() -> u64 {
    fs::write("/proc/self/clear_refs", "5").unwrap();
    peak()
}

/// The most memory that this process has had since then, in MiB.
fn peak() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}
