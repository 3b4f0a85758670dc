//! The file against itself, against damage, and the folder with a running director.

use std::{fs, net::IpAddr, os::unix::fs::PermissionsExt, path::Path, sync::Arc, time::Duration};

use bolero::TypeGenerator;

use super::{
    file::{ReadError, measure, read},
    record::{Record, VERSION},
    seal::Seal,
    store::{FILE, REFUSED_MAX},
    *,
};
use crate::{
    config::settings::DirectorSettings,
    director::{
        Director,
        core::{
            Cause, Change, Draining, ForeignUse, Host, Moment, Naming, Operation, Origin, Saved,
            SavedBackend, SavedDrain, SavedForeign, SavedHosts, SavedMove, SavedUser, UserHash,
            UsernameFormat,
        },
    },
};

fn file_of(records: &[Record]) -> Vec<u8> {
    let (mut seal, mut text) = (Seal::default(), Vec::new());
    records.iter().for_each(|record| seal.write(&record.to_body(), &mut text));
    text
}

fn load(file: &[u8]) -> Result<(Saved, u64), ReadError> {
    let extent = measure(file)?;
    Ok((read(file, extent)?, extent.lines_left_out))
}

fn records_of(saved: &Saved) -> Vec<Record> {
    let hosts = &saved.hosts;
    let mut records = vec![Record::Header(VERSION), Record::Table(hosts.naming.clone(), hosts.expire)];
    records.extend(hosts.configured.iter().cloned().map(Record::Configured));
    records.extend(hosts.backends.iter().cloned().map(Record::Backend));
    records.extend(hosts.drains.iter().copied().map(Record::Drain));
    records.extend(saved.users.iter().cloned().map(|user| Record::User(Change::Is(user))));
    records.push(Record::Commit);
    records
}

fn naming() -> Naming {
    Naming { format: UsernameFormat::parse("%L{user}\t%%").unwrap(), master_user_separator: Some('*') }
}

/// What a generator makes, as it may stand in a file.
#[derive(Debug, TypeGenerator)]
#[allow(clippy::type_complexity)] // made by a generator, looked at once
struct Table {
    expire_millis: u32,
    hosts: Vec<([u8; 4], u32, bool, Vec<u8>, Option<u8>)>,
    changes: Vec<(bool, u64, u8)>,
    drains: Vec<([u8; 4], u64, (Option<u32>, Option<u32>, Option<u32>), Option<u32>, [u64; 2])>,
    users:
        Vec<(u32, u32, Option<u64>, u32, u8, Option<(Option<[u8; 16]>, u8, Option<u64>)>, [Option<u64>; 3])>,
}

fn origin(number: u8) -> Origin {
    [Origin::Configuration, Origin::Operator, Origin::Health, Origin::Restored][usize::from(number) % 4]
}

fn cause(number: u8) -> Cause {
    match number % 5 {
        0 => Cause::Hashed,
        1 => Cause::Moved(origin(number / 4)),
        2 => Cause::Flushed(origin(number / 4)),
        3 => Cause::Drained(origin(number / 4)),
        _ => Cause::Mapped(origin(number / 4)),
    }
}

impl Table {
    fn saved(&self) -> Saved {
        let host = |(ip, vhosts, up, tag, name): &([u8; 4], u32, bool, Vec<u8>, Option<u8>)| {
            let name = name.map(|name| format!("mail{name}.test"));
            Arc::new(Host { vhosts: *vhosts, up: *up, ..Host::new(IpAddr::from(*ip), name, tag.clone()) })
        };
        let configured: Vec<_> = self.hosts.iter().map(host).collect();
        let backend = |(number, host): (usize, &Arc<Host>)| {
            let change = self.changes.get(number);
            let changed = change.map(|(_, when, who)| (Moment::from_millis(*when), origin(*who)));
            let is_gone = change.is_some_and(|change| change.0);
            SavedBackend { number: number as u32, host: Arc::clone(host), changed, is_gone }
        };
        let backends = configured.iter().enumerate().map(backend).collect();
        let mut users: Vec<_> = self
            .users
            .iter()
            .map(|user| {
                let (hash, backend, seen, mapped_secs, why, moving, foreign) = user;
                let moving = moving.map(|(to, why, until)| SavedMove {
                    from: IpAddr::from([10, 0, 0, 1]),
                    to: to.map(IpAddr::from),
                    cause: cause(why),
                    until: until.map(Moment::from_millis),
                });
                let tag = if why % 3 == 0 { b"a\tb\n".to_vec() } else { Vec::new() };
                let (hash, seen) = (UserHash::from_number(*hash), seen.map(Moment::from_millis));
                let uses = [ForeignUse::Session, ForeignUse::Unreachable, ForeignUse::Lookup];
                let foreign = uses.into_iter().zip(foreign).filter_map(|(purpose, placed)| {
                    Some(SavedForeign { purpose, placed: Moment::from_millis((*placed)?) })
                });
                SavedUser {
                    tag,
                    hash,
                    backend: *backend,
                    seen,
                    mapped_secs: *mapped_secs,
                    cause: cause(*why),
                    moving,
                    foreign: foreign.collect(),
                }
            })
            .collect();
        users.sort_by(|a, b| (&a.tag, a.hash).cmp(&(&b.tag, b.hash)));
        users.dedup_by(|a, b| (&a.tag, a.hash) == (&b.tag, b.hash));
        let expire = Duration::from_millis(self.expire_millis.into());
        let drains = self.drains.iter().map(|(ip, started, limits, before, counts)| {
            let (parallel, per_sec, grace) = *limits;
            SavedDrain {
                ip: IpAddr::from(*ip),
                origin: origin(ip[0]),
                started: Moment::from_millis(*started),
                limits: Draining {
                    parallel,
                    per_sec,
                    grace: grace.map(|millis| Duration::from_millis(millis.into())),
                },
                vhosts_before: *before,
                users_at_start: counts[0],
                moved: counts[1],
            }
        });
        let drains = drains.collect();
        Saved { hosts: SavedHosts { naming: naming(), expire, configured, backends, drains }, users }
    }
}

#[test]
fn w07_what_is_written_is_read_again() {
    bolero::check!().with_type().for_each(|table: &Table| {
        let saved = table.saved();
        assert_eq!(load(&file_of(&records_of(&saved))).unwrap(), (saved, 0));
    });
}

/// Any bytes, and real files with bytes in the middle.
#[test]
fn w07_nothing_is_half_loaded() {
    let whole = file_of(&[
        Record::Header(VERSION),
        Record::Table(naming(), Duration::from_secs(9)),
        Record::Backend(SavedBackend { number: 3, host: Arc::new(host()), changed: None, is_gone: false }),
        Record::User(Change::Is(user(1))),
        Record::Commit,
        Record::User(Change::Is(user(2))),
        Record::Commit,
    ]);
    let (both, _) = load(&whole).unwrap();
    let first = Saved { users: vec![user(1)], ..both.clone() };
    bolero::check!().with_type().for_each(|(at, bytes): &(u8, Vec<u8>)| {
        let _ = load(bytes).map(|(saved, _)| panic!("{saved:?} of nothing"));
        let at = usize::from(*at).min(whole.len());
        let mut other = whole.clone();
        other.splice(at..(at + bytes.len()).min(whole.len()), bytes.iter().copied());
        if let Ok((saved, _)) = load(&other) {
            assert!(saved == both || saved == first, "{saved:?}");
        }
    });
}

fn host() -> Host {
    Host::new(IpAddr::from([10, 0, 0, 7]), None, b"blue".to_vec())
}

fn user(hash: u32) -> SavedUser {
    let (seen, cause) = (Some(Moment::from_millis(5)), Cause::Moved(Origin::Operator));
    let (tag, hash) = (b"blue".to_vec(), UserHash::from_number(hash));
    SavedUser { tag, hash, backend: 3, seen, mapped_secs: 4, cause, moving: None, foreign: Vec::new() }
}

#[test]
fn w07_the_words_of_the_file_stay() {
    let moving = SavedMove {
        from: IpAddr::from([10, 0, 0, 1]),
        to: None,
        cause: Cause::Flushed(Origin::Health),
        until: Some(Moment::from_millis(9)),
    };
    let limits = Draining { parallel: None, per_sec: Some(50), grace: Some(Duration::from_secs(60)) };
    let drain = SavedDrain {
        ip: IpAddr::from([10, 0, 0, 7]),
        origin: Origin::Operator,
        started: Moment::from_millis(18),
        limits,
        vhosts_before: Some(100),
        users_at_start: 20,
        moved: 3,
    };
    let placed = Moment::from_millis(6);
    let uses = [ForeignUse::Session, ForeignUse::Unreachable, ForeignUse::Lookup];
    let foreign: Vec<_> = uses.into_iter().map(|purpose| SavedForeign { purpose, placed }).collect();
    let changed = Some((Moment::from_millis(17), Origin::Operator));
    let records = [
        Record::Header(1),
        Record::Table(naming(), Duration::from_secs(900)),
        Record::Configured(Arc::new(Host { hostname: Some("a.test".to_owned()), ..host() })),
        Record::Backend(SavedBackend { number: 3, host: Arc::new(host()), changed, is_gone: false }),
        Record::Drain(drain),
        Record::User(Change::Is(SavedUser { seen: None, moving: Some(moving), ..user(12) })),
        Record::User(Change::Is(SavedUser { foreign: foreign.clone(), ..user(14) })),
        Record::User(Change::Is(SavedUser { moving: Some(moving), foreign, ..user(15) })),
        Record::User(Change::Gone { tag: b"blue".to_vec(), hash: UserHash::from_number(13) }),
        Record::Commit,
    ];
    let text = records.map(|record| String::from_utf8(record.to_body()).unwrap()).join("\n");
    assert_eq!(
        text,
        "homing-director-state\t1\ntable\t900000\t%L{user}\u{1}t%%\t*\nconfigured\t10.0.0.7\t100\tup\tblue\ta.test\n\
         backend\t3\there\t10.0.0.7\t100\tup\tblue\t\t17\toperator\n\
         drain\t10.0.0.7\toperator\t18\t-\t50\t60000\t100\t20\t3\n\
         user\t12\tblue\t3\t-\t4\tmoved-operator\t10.0.0.1\t-\tflushed-health\t9\n\
         user\t14\tblue\t3\t5\t4\tmoved-operator\tsession@6\tunreachable@6\tlookup@6\n\
         user\t15\tblue\t3\t5\t4\tmoved-operator\t10.0.0.1\t-\tflushed-health\t9\tsession@6\tunreachable@6\t\
         lookup@6\nforget\t13\tblue\ncommit"
    );
}

#[test]
fn w07_each_refusal_says_why() {
    let table = || Record::Table(naming(), Duration::from_secs(9));
    let said = |file: &[u8]| load(file).unwrap_err().to_string();
    assert_eq!(said(b""), "it is no state of Homing's director");
    assert_eq!(said(b"protocols = imap\n"), "it is no state of Homing's director");
    assert_eq!(
        said(&file_of(&[Record::Header(7)])),
        "it was written by a newer Homing: its format is 7, known is 1"
    );
    assert_eq!(said(&file_of(&[Record::Header(1), table()])), "it is cut off at line 3");
    let mut strange = Seal::default();
    let mut file = Vec::new();
    for body in [&Record::Header(1).to_body()[..], b"weather\tfine", &Record::Commit.to_body()] {
        strange.write(body, &mut file);
    }
    assert_eq!(said(&file), "line 2 cannot be understood");
    let records =
        [Record::Header(1), table(), Record::Commit, Record::User(Change::Is(user(1))), Record::Commit];
    let mut file = file_of(&records);
    let torn = &file[..file.len() - 3];
    assert_eq!(load(torn).unwrap().1, 2, "the end of a write");
    let at = file.windows(5).position(|window| window == b"user\t").unwrap();
    file[at] = b'U';
    assert_eq!(said(&file), "it is damaged at line 4");
}

fn settings(folder: &Path, mail_servers: &str) -> DirectorSettings {
    DirectorSettings {
        state_dir: Some(folder.to_owned()),
        mail_servers: mail_servers.split_whitespace().map(str::to_owned).collect(),
        servers: Vec::new(),
        username_hash: "%Lu".to_owned(),
        user_expire: Duration::from_secs(900),
        user_kick_delay: Duration::from_secs(2),
        parallel_moves_max: 100,
        flush_socket: String::new(),
        master_user_separator: None,
    }
}

const TWO: &str = "10.1.0.1 10.1.0.2";

fn move_to(director: &Director, user: u32, last: u8) {
    let (user, ip) = (UserHash::from_number(user), IpAddr::from([10, 1, 0, last]));
    director.apply(Origin::Operator, Operation::MoveUser { user, ip }).unwrap();
}

fn where_is(director: &Director, user: u32) -> Option<IpAddr> {
    director.lookup(b"", UserHash::from_number(user)).current.map(|row| row.ip)
}

/// Waits for what only the disk shows.
async fn until(what: impl Fn() -> bool) {
    let waiting = async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap();
}

fn content(folder: &Path) -> String {
    fs::read_to_string(folder.join(FILE)).unwrap_or_default()
}

#[tokio::test]
async fn w07_a_restart_goes_on_where_the_last_run_ended() {
    let folder = tempfile::tempdir().unwrap();
    let first = Director::start(&settings(folder.path(), TWO)).await.unwrap();
    for user in 1..=100 {
        move_to(&first, user, (user % 2 + 1) as u8);
    }
    first.apply(Origin::Health, Operation::Down { ip: IpAddr::from([10, 1, 0, 1]) }).unwrap();
    first.finish().await;
    let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    drop(first);
    let second = Director::start(&settings(folder.path(), TWO)).await.unwrap();
    for user in 1..=100 {
        assert_eq!(where_is(&second, user), Some(IpAddr::from([10, 1, 0, (user % 2 + 1) as u8])), "{user}");
    }
    let down: Vec<_> =
        second.backends().iter().map(|row| (row.host.up, row.changed.map(|(_, who)| who))).collect();
    assert_eq!(down, [(false, Some(Origin::Health)), (true, None)]);
    second.finish().await;
}

/// As by SIGKILL: what is on the disk at some moment.
#[tokio::test]
async fn w07_changes_are_written_without_being_asked() {
    let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let director = Director::start(&settings(folder.path(), TWO)).await.unwrap();
    until(|| content(folder.path()).contains("commit")).await;
    let before = content(folder.path());
    move_to(&director, 7, 2);
    until(|| content(folder.path()).contains("moved-operator")).await;
    let after = content(folder.path());
    assert!(after.starts_with(&before), "changes are added to what is there");
    fs::write(copy.path().join(FILE), after).unwrap();
    let other = Director::start(&settings(copy.path(), TWO)).await.unwrap();
    assert_eq!(where_is(&other, 7), Some(IpAddr::from([10, 1, 0, 2])));
}

#[tokio::test]
async fn w07_a_folder_is_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let first = Director::start(&settings(folder.path(), TWO)).await.unwrap();
    let error = Director::start(&settings(folder.path(), TWO)).await.err().unwrap().to_string();
    assert!(error.ends_with("another Homing uses this folder; each needs its own"), "{error}");
    let error = Director::start(&settings(&folder.path().join("none"), TWO)).await.err().unwrap().to_string();
    assert!(error.starts_with("director_state_dir: /"), "{error}");
    first.finish().await;
    drop(first);
    Director::start(&settings(folder.path(), TWO)).await.unwrap();
}

#[tokio::test]
async fn w07_refused_files_are_kept_and_not_without_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    for n in 0..=REFUSED_MAX {
        fs::write(&path, format!("mine {n}\n")).unwrap();
        let director = Director::start(&settings(folder.path(), TWO)).await.unwrap();
        assert_eq!(director.backends().len(), 2, "it starts all the same");
        director.finish().await;
        assert!(content(folder.path()).contains("homing-director-state"));
    }
    let kept = fs::read_dir(folder.path()).unwrap().flatten().map(|entry| entry.path());
    let mut kept: Vec<_> = kept
        .filter(|path| path.to_string_lossy().contains("refused"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    kept.sort();
    assert_eq!(kept, ["mine 1\n", "mine 2\n", "mine 3\n", "mine 4\n", "mine 5\n"]);
}

/// The folder is gone for a while, which is what a disk in trouble looks like.
#[tokio::test]
async fn w07_writing_is_tried_again() {
    let around = tempfile::tempdir().unwrap();
    let folder = around.path().join("state");
    fs::create_dir(&folder).unwrap();
    let (store, saved) = Store::open(&folder).unwrap();
    assert!(saved.is_none());
    let director = Director::new(&settings(&folder, TWO)).await.unwrap();
    let mut store = store;
    fs::rename(&folder, around.path().join("elsewhere")).unwrap();
    store.save(&director.tables).unwrap_err();
    fs::rename(around.path().join("elsewhere"), &folder).unwrap();
    move_to(&director, 7, 2);
    store.save(&director.tables).unwrap();
    assert!(content(&folder).contains("moved-operator"));
    assert!(!director.tables.has_unsaved());
}

#[test]
fn a_check_looks_and_touches_nothing() {
    let folder = tempfile::tempdir().unwrap();
    check(folder.path(), None).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let missing = check(&folder.path().join("none"), None).unwrap_err();
    assert!(matches!(missing, StateError::Folder { .. }));
    if nix::unistd::Uid::effective().is_root() {
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let error = check(folder.path(), Some("nobody")).unwrap_err().to_string();
        assert!(error.ends_with("user nobody (default_login_user) cannot write there"), "{error}");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        check(folder.path(), Some("nobody")).unwrap();
    }
}
