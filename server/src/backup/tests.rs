use super::reader::Reader;
use super::restore::{NotRestored, restore};
use super::save::save;
use super::writer::Writer;
use super::*;
use crate::access::trust;
use crate::store::{EventRow, HostRow, Keep, RedbStore, Retention, Span, Store, StreamRow, Write, samples};
use crate::test_dir::TestDir;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

fn open(directory: &Path) -> RedbStore {
    RedbStore::open(directory, Retention::default()).expect("a store")
}

fn rows(store: &dyn Store) -> Vec<EventRow> {
    store.events(0, Span::default(), usize::MAX, &mut |_| Keep::Yes).expect("events")
}

/// A store with many rows in every table, and a data directory's files.
fn full(directory: &Path) -> Arc<RedbStore> {
    let store = open(directory);
    let mut writes = vec![
        Write::Stream(samples::stream(1)),
        Write::JoinToken(samples::join_token(1)),
        Write::ApiToken(samples::api_token(1)),
        Write::User(samples::user("ada")),
        Write::WebSession(samples::web_sessions()[0].clone()),
        Write::DockerClient(samples::docker_client(1)),
        Write::Fleet(samples::fleet()),
        Write::Network(samples::network()),
        Write::NetworkMember(samples::network_member(1)),
        Write::NetworkMember(samples::network_member(2)),
        Write::AlertSetting(samples::alert_setting()),
        Write::Alert(samples::alert(1)),
        Write::Alert(samples::alert(300)),
        Write::Notice(samples::notice(5)),
        Write::Audit(samples::audit(0)),
        Write::Audit(samples::audit(0)),
    ];
    writes.extend((1..=200).map(|number| Write::Host(samples::host(number))));
    for host in 1..=20 {
        writes.extend((0..=255).map(|number| Write::Container(samples::container(host, number))));
    }
    let day = |id: u64| 1_700_000_000_000 + id as i64 / 2_000 * 86_400_000;
    for id in 1..=5_000 {
        writes.push(Write::Event(EventRow { received_ms: day(id), ..samples::event(id) }));
        if writes.len() > 1_500 {
            store.commit(&std::mem::take(&mut writes)).expect("commit");
        }
    }
    store.commit(&writes).expect("commit");
    for name in FILES {
        fs::write(directory.join(name), format!("the {name}")).expect("written");
    }
    fs::write(directory.join(fleet_key::BACKUP_FILE), "the backup key").expect("written");
    Arc::new(store)
}

/// All that the server gives, while something happens to the store.
fn given(store: &Arc<RedbStore>, with_history: bool, meanwhile: impl Fn()) -> Vec<u8> {
    let receiver = give(store.clone(), with_history).expect("a copy");
    let mut bytes = Vec::new();
    while let Ok(piece) = receiver.recv_blocking() {
        meanwhile();
        bytes.extend(piece);
    }
    bytes
}

fn saved(directory: &Path, store: &Arc<RedbStore>, with_history: bool) -> std::path::PathBuf {
    let path = directory.join("backup");
    save(&path, &given(store, with_history, || {})[..], Some(directory), &mut |_| {}).expect("saved");
    path
}

#[test]
fn what_is_restored_is_what_there_was() {
    let (there, here) = (TestDir::new(), TestDir::new());
    let store = full(there.path());
    let newer = std::cell::Cell::new(5_000);
    let bytes = given(&store, true, || {
        newer.set(newer.get() + 1);
        let host = HostRow { name: "later".into(), ..samples::host(201) };
        store.commit(&[Write::Event(samples::event(newer.get())), Write::Host(host)]).expect("commit");
    });
    assert!(newer.get() > 5_003, "nothing happened meanwhile");
    let path = there.path().join("backup");
    let contents = save(&path, &bytes[..], Some(there.path()), &mut |_| {}).expect("saved");
    assert_eq!((contents.hosts, contents.events, contents.newest_event), (200, 5_000, 5_000), "as it was at the start");
    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    let text = fs::read(&path).expect("there");
    assert!(!text.windows(14).any(|window| window == b"the backup key"), "it is kept apart");

    let target = here.path().join("new/data");
    assert_eq!(restore(&path, &target, false), Ok(contents));
    let mut names: Vec<_> = fs::read_dir(&target).expect("made").map(|it| it.expect("an entry").file_name()).collect();
    names.sort();
    assert_eq!(names, ["admin.token", "docker-ca.key", "fleet.key", "history", "muster.lock", "muster.redb"]);
    for name in FILES {
        assert_eq!(fs::read_to_string(target.join(name)).expect("there"), format!("the {name}"));
        assert_eq!(fs::metadata(target.join(name)).expect("there").permissions().mode() & 0o777, 0o600);
    }
    let restored = open(&target);
    let (mut before, after) = (store.load().expect("rows"), restored.load().expect("rows"));
    before.hosts.retain(|host| host.id != samples::host(201).id);
    let raised = StreamRow { epoch: 1_009, acknowledged: 0, runs: Vec::new(), ..samples::stream(1) };
    assert_eq!(after.streams, [raised], "nobody gets an epoch that was given before");
    before.streams = after.streams.clone();
    let (told, tells) = (before.fleet.take().expect("stored"), after.fleet.clone().expect("restored"));
    assert!(tells.revision >= told.revision + trust::AHEAD, "agents pass over what they have been told");
    assert!(tells.generation >= told.generation + trust::AHEAD, "a server of before could still be believed");
    assert_eq!((&tells.pins, &tells.addresses), (&told.pins, &told.addresses));
    before.fleet = Some(tells);
    assert_eq!((before.web_sessions.len(), after.web_sessions.len()), (1, 0), "who has signed in does so again");
    before.web_sessions.clear();
    before.notices.clear(); // Their server has sent them.
    assert_eq!(before, after);
    assert_eq!(rows(&restored), rows(&*store)[..5_000]);
    assert_eq!(fs::read_dir(target.join("history")).expect("there").count(), 3, "a file for each day");
    assert_eq!(restored.audit(u64::MAX, 10), store.audit(u64::MAX, 10));
    assert_eq!(restored.newest_event(), Ok(1_000_000_000), "nobody gets an id that was given before");
    assert_eq!(restored.history_begins_ms(), None, "nothing is missing at its beginning");
    restored.commit(&[Write::Event(samples::event(1_000_000_001))]).expect("commit");
    drop(restored);
    assert_eq!(rows(&open(&target)).len(), 5_001);
}

#[test]
fn without_the_history_it_says_that_it_begins_later() {
    let (there, here) = (TestDir::new(), TestDir::new());
    let store = full(there.path());
    let path = saved(there.path(), &store, false);
    let contents = restore(&path, here.path(), false).expect("restored");
    assert_eq!((contents.events, contents.newest_event), (0, 5_000));
    let restored = open(here.path());
    assert_eq!(restored.newest_event(), Ok(1_000_000_000));
    restored.commit(&[Write::Event(samples::event(1_000_000_001))]).expect("commit");
    assert_eq!(restored.history_begins_ms(), Some(samples::event(1).received_ms));
}

#[test]
fn what_is_there_is_replaced_only_if_asked_for() {
    let (there, here) = (TestDir::new(), TestDir::new());
    let store = full(there.path());
    let path = saved(there.path(), &store, true);
    let refused = |force: bool| match restore(&path, here.path(), force) {
        Err(NotRestored::Store(error)) => error.message,
        other => panic!("{other:?}"),
    };
    let old = open(here.path());
    assert!(refused(false).contains("is not empty"));
    assert!(refused(true).contains("another muster uses"), "a server that runs is left alone");
    old.commit(&[Write::Event(samples::event(7))]).expect("commit");
    drop(old);
    fs::write(here.path().join(fleet_key::BACKUP_FILE), "its own backup key").expect("written");
    assert!(refused(false).contains("is not empty"));
    restore(&path, here.path(), true).expect("restored");
    assert_eq!(rows(&open(here.path())).len(), 5_000);
    let kept = fs::read_to_string(here.path().join(fleet_key::BACKUP_FILE)).expect("there");
    assert_eq!(kept, "its own backup key", "what the backup does not have stays");
}

#[test]
fn a_restore_that_was_cut_is_seen_and_can_be_done_again() {
    let (there, here) = (TestDir::new(), TestDir::new());
    let store = full(there.path());
    let path = saved(there.path(), &store, true);
    fs::create_dir(here.path().join(crate::store::UNFINISHED)).expect("made");
    let message = RedbStore::open(here.path(), Retention::default()).err().expect("a refusal").message;
    assert!(message.contains("run `muster restore` again, with --force"), "{message}");
    restore(&path, here.path(), true).expect("restored");
    assert_eq!(rows(&open(here.path())).len(), 5_000);
}

#[test]
fn a_backup_that_is_not_whole_touches_nothing() {
    let (there, here) = (TestDir::new(), TestDir::new());
    let store = Arc::new(open(there.path()));
    store.commit(&[Write::Host(samples::host(1)), Write::Event(samples::event(1))]).expect("commit");
    for name in FILES {
        fs::write(there.path().join(name), "x").expect("written");
    }
    let path = saved(there.path(), &store, true);
    let whole = fs::read(&path).expect("there");
    let target = here.path().join("data");
    let refused = |bytes: &[u8], force: bool| {
        fs::write(&path, bytes).expect("written");
        match restore(&path, &target, force) {
            Err(NotRestored::Backup(message)) => message,
            other => panic!("{other:?}"),
        }
    };
    // Every byte counts: one that is changed, and one that is missing.
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0x40;
        for message in [refused(&changed, false), refused(&whole[..at], true)] {
            assert!(message.contains("cannot be restored") && !message.contains('\n'), "{message}");
        }
    }
    assert!(refused(&[&whole[..], b"x"].concat(), false).contains("something follows"));
    assert!(refused(b"PK\x03\x04 something else", false).contains("it is no backup"));
    assert!(refused(&[b"muster backup 2\n", &whole[16..]].concat(), false).contains("a newer muster"));
    assert!(refused(b"", false).contains("it is no backup"));
    assert!(!target.exists());
    fs::remove_file(&path).expect("removed");
    assert!(matches!(restore(&path, &target, false), Err(NotRestored::Backup(_))));
    fs::write(&path, &whole).expect("written");
    restore(&path, &target, false).expect("restored");
}

#[test]
fn a_server_that_fails_meanwhile_leaves_no_backup() {
    let there = TestDir::new();
    let store = full(there.path());
    let mut bytes = given(&store, true, || {});
    bytes.truncate(bytes.len() - 37);
    let mut failed = Writer::new();
    failed.take();
    failed.fail("the disk\nis on fire");
    bytes.extend(failed.take());
    let path = there.path().join("backup");
    fs::write(&path, "an older one").expect("written");
    let message = save(&path, &bytes[..], Some(there.path()), &mut |_| {}).expect_err("a failure");
    assert!(message.contains("the disk is on fire"), "{message}");
    assert_eq!(fs::read_to_string(&path).expect("there"), "an older one");
    assert!(!there.path().join("backup.new").exists());
}

#[test]
fn a_newer_backup_ends_an_older_one() {
    let there = TestDir::new();
    let store = full(there.path());
    let first = give(store.clone(), true).expect("a copy");
    let second = given(&store, true, || {});
    let mut bytes = Vec::new();
    while let Ok(piece) = first.recv_blocking() {
        bytes.extend(piece);
    }
    let mut reader = Reader::new(&bytes[..]).expect("a backup");
    let failure = loop {
        match reader.next() {
            Ok(Some(_)) => {}
            other => break other,
        }
    };
    assert_eq!(failure, Err("another backup was begun meanwhile".into()));
    let mut reader = Reader::new(&second[..]).expect("a backup");
    while reader.next().expect("whole").is_some() {}
}
