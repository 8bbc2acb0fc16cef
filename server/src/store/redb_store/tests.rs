use super::opening::LONGEST_REST;
use super::*;
use crate::store::memory::MemoryStore;
use crate::store::{EventBody, HostRow, samples};
use crate::test_dir::TestDir;
use muster_protocol::id::{EngineId, HostId};
use redb::{Builder, DatabaseError, ReadableTable, TableDefinition};
use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Where a child process finds its directory.
const CHILD_DIR: &str = "MUSTER_TEST_CHILD_DIR";

const EVENTS: TableDefinition<u64, &[u8]> = TableDefinition::new("events");

/// What a new file is called until it is whole.
const NEW_FILE: &str = "muster.redb.new";

pub(super) fn open(directory: &TestDir) -> RedbStore {
    open_at(directory.path()).expect("a store")
}

pub(super) fn open_at(directory: &Path) -> Result<RedbStore, StoreError> {
    RedbStore::open(directory, Retention::default())
}

/// The files of the history, oldest first.
pub(super) fn history_files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory.join("history")).expect("a history");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

/// Changes a closed file, as no store would.
pub(super) fn tamper(file: &Path, change: impl FnOnce(&redb::WriteTransaction)) {
    let database = Database::open(file).expect("database");
    let transaction = database.begin_write().expect("transaction");
    change(&transaction);
    transaction.commit().expect("commit");
}

fn refusal(directory: &Path) -> String {
    let message = open_at(directory).err().expect("a refusal").message;
    assert!(!message.contains('\n'), "more than one line: {message}");
    message
}

fn events(ids: std::ops::RangeInclusive<u64>) -> Vec<Write> {
    ids.map(|id| Write::Event(samples::event(id))).collect()
}

pub(super) fn ids(store: &dyn Store, after: u64, limit: usize) -> Vec<u64> {
    let page = store.events(after, Span::default(), limit, &mut |_| Keep::Yes).expect("events");
    page.iter().map(|event| event.id).collect()
}

/// One of everything.
fn full() -> Vec<Write> {
    let mut writes = vec![
        Write::Host(samples::host(2)),
        Write::Host(samples::host(1)),
        Write::Stream(samples::stream(1)),
        Write::Container(samples::container(1, 1)),
        Write::Container(samples::container(1, 0xff)),
        Write::Container(samples::container(2, 1)),
        Write::JoinToken(samples::join_token(1)),
        Write::ApiToken(samples::api_token(1)),
        Write::User(samples::user("ada")),
        Write::Event(samples::event(1)),
    ];
    writes.extend(samples::web_sessions().map(Write::WebSession));
    writes.extend(samples::other_events().map(Write::Event));
    writes
}

/// What both stores must do.
fn keeps_what_it_is_told(store: &dyn Store) {
    assert_eq!(store.load().expect("empty"), Snapshot::default());
    assert_eq!(store.newest_event().expect("none"), 0);
    assert!(ids(store, 0, 10).is_empty());
    store.commit(&[]).expect("nothing");
    store.commit(&full()).expect("commit");
    let snapshot = store.load().expect("snapshot");
    assert_eq!(snapshot.hosts, [samples::host(1), samples::host(2)]);
    assert_eq!(snapshot.streams, [samples::stream(1)]);
    assert_eq!(snapshot.containers, [samples::container(1, 1), samples::container(1, 0xff), samples::container(2, 1)]);
    let one = store.load_host(HostId([1; 8])).expect("one host");
    assert_eq!((&one.hosts[..], &one.streams[..]), (&[samples::host(1)][..], &[samples::stream(1)][..]));
    assert_eq!(one.containers, [samples::container(1, 1), samples::container(1, 0xff)]);
    assert!(one.join_tokens.is_empty() && one.api_tokens.is_empty());
    assert_eq!(store.load_host(HostId([3; 8])).expect("no such host"), Snapshot::default());
    assert_eq!(snapshot.join_tokens, [samples::join_token(1)]);
    assert_eq!(snapshot.api_tokens, [samples::api_token(1)]);
    assert_eq!(
        (&snapshot.users[..], &snapshot.web_sessions[..]),
        (&[samples::user("ada")][..], &samples::web_sessions()[..])
    );
    let all = store.events(0, Span::default(), 10, &mut |_| Keep::Yes).expect("events");
    assert_eq!(all[0], samples::event(1));
    assert_eq!(all[1..], samples::other_events());

    let renamed = HostRow { name: "attic".to_owned(), ..samples::host(1) };
    let writes = [
        Write::Host(samples::host(1)),
        Write::Host(renamed.clone()),
        Write::ContainerGone(HostId([2; 8]), EngineId([1; 32])),
        Write::ContainersGone(HostId([1; 8])),
        Write::Container(samples::container(1, 3)),
        Write::JoinTokenGone(samples::join_token(1).id),
        Write::ApiTokenGone(samples::api_token(1).id),
        Write::ApiTokenGone("never there".to_owned()),
        Write::UserGone("ada".to_owned()),
        Write::WebSessionGone(samples::web_sessions()[0].id.clone()),
    ];
    store.commit(&writes).expect("commit");
    let snapshot = store.load().expect("snapshot");
    assert_eq!(snapshot.hosts, [renamed, samples::host(2)], "the later write wins");
    assert_eq!(snapshot.containers, [samples::container(1, 3)], "in the order of the writes");
    assert_eq!((snapshot.join_tokens.len(), snapshot.api_tokens.len()), (0, 0));
    assert_eq!((snapshot.users.len(), snapshot.web_sessions), (0, samples::web_sessions()[1..].to_vec()));
}

fn walks_events_in_order(store: &dyn Store) {
    // Across the places where an id becomes one byte longer.
    store.commit(&events(100..=300)).expect("commit");
    store.commit(&events(65_530..=65_540)).expect("commit");
    assert_eq!(store.newest_event().expect("newest"), 65_540);
    assert_eq!(ids(store, 0, 3), [100, 101, 102]);
    assert_eq!(ids(store, 254, 3), [255, 256, 257]);
    assert_eq!(ids(store, 299, 3), [300, 65_530, 65_531]);
    assert_eq!(ids(store, 65_537, 100), [65_538, 65_539, 65_540]);
    assert!(ids(store, 65_540, 100).is_empty());
    assert!(ids(store, u64::MAX, 100).is_empty());
    assert_eq!(ids(store, 0, usize::MAX).len(), 212);

    let mut asked = Vec::new();
    let page = store.events(100, Span::default(), 0, &mut |event| {
        asked.push(event.id);
        Keep::Yes
    });
    assert_eq!((page, asked.len()), (Ok(vec![]), 0), "a limit of 0 asks for nothing");
    let page = store
        .events(100, Span::default(), 2, &mut |event| {
            asked.push(event.id);
            match event.id {
                104 => Keep::Stop,
                id if id % 2 == 0 => Keep::Yes,
                _ => Keep::No,
            }
        })
        .expect("events");
    assert_eq!(page.iter().map(|event| event.id).collect::<Vec<_>>(), [102]);
    assert_eq!(asked, [101, 102, 103, 104]);
}

#[test]
fn both_stores_keep_what_they_are_told() {
    keeps_what_it_is_told(&MemoryStore::new());
    keeps_what_it_is_told(&open(&TestDir::new()));
}

#[test]
fn both_stores_walk_events_in_order() {
    walks_events_in_order(&MemoryStore::new());
    walks_events_in_order(&open(&TestDir::new()));
}

#[test]
fn the_memory_store_fails_when_told_to() {
    let store = MemoryStore::new();
    store.fail_commits(1);
    assert!(store.commit(&full()).is_err());
    assert_eq!(store.restarted().load(), Ok(Snapshot::default()));
    assert_eq!(store.commit(&full()), Ok(()));
    assert_eq!((store.commits(), store.restarted().load()), (1, store.load()));
}

#[test]
fn everything_is_there_after_a_reopen() {
    let directory = TestDir::new();
    let store = open(&directory);
    store.commit(&full()).expect("commit");
    let (before, history) = (store.load(), store.events(0, Span::default(), 100, &mut |_| Keep::Yes));
    drop(store);
    let store = open(&directory);
    assert_eq!(store.load(), before);
    assert_eq!(store.events(0, Span::default(), 100, &mut |_| Keep::Yes), history);
    assert_eq!(store.newest_event(), Ok(4));
}

#[test]
fn ids_go_on_growing_when_events_are_deleted() {
    let directory = TestDir::new();
    let store = open(&directory);
    store.commit(&events(1..=9)).expect("commit");
    drop(store);
    fs::remove_dir_all(directory.path().join("history")).expect("removed");
    let store = open(&directory);
    assert!(ids(&store, 0, 10).is_empty());
    assert_eq!((store.newest_event(), store.history_begins_ms()), (Ok(9), None));
    store.commit(&events(10..=10)).expect("commit");
    assert_eq!(ids(&store, 0, 10), [10]);
    assert_eq!(store.history_begins_ms(), Some(samples::event(10).received_ms), "those before it are gone");
}

#[test]
fn only_the_owner_can_read_it() {
    let parent = TestDir::new();
    let directory = parent.path().join("a/b");
    let store = open_at(&directory).expect("a store");
    store.commit(&events(1..=1)).expect("commit");
    drop(store);
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    assert_eq!(mode(&directory.join(FILE)), 0o600);
    assert_eq!(mode(&directory.join("history")), 0o700);
    assert_eq!(mode(&history_files(&directory)[0]), 0o600);
    fs::set_permissions(directory.join(FILE), Permissions::from_mode(0o644)).expect("chmod");
    drop(open_at(&directory).expect("a store"));
    assert_eq!(mode(&directory.join(FILE)), 0o600);
}

#[test]
fn a_second_one_is_refused() {
    let directory = TestDir::new();
    let first = open(&directory);
    assert!(refusal(directory.path()).contains("another muster uses the data directory"));
    drop(first);
    drop(open(&directory));
    // A tool that opens the file itself.
    let tool = Database::open(directory.path().join(FILE)).expect("database");
    assert!(refusal(directory.path()).contains("another program has"));
    drop(tool);
    open(&directory);
}

#[test]
fn a_file_that_is_not_ours_is_refused_and_left_alone() {
    let directory = TestDir::new();
    let file = directory.path().join(FILE);
    for foreign in [&b""[..], b"x", &[0; 8192], &[b'x'; 100_000]] {
        fs::write(&file, foreign).expect("written");
        assert!(refusal(directory.path()).contains("is not a Muster store"));
        assert_eq!(fs::read(&file).expect("there"), foreign);
    }
    fs::remove_file(&file).expect("removed");
    let other = Database::create(&file).expect("database");
    let transaction = other.begin_write().expect("transaction");
    transaction.open_table(TableDefinition::<u64, u64>::new("theirs")).expect("table");
    transaction.commit().expect("commit");
    drop(other);
    assert!(refusal(directory.path()).contains("is not a Muster store"));
}

#[test]
fn a_newer_format_is_refused() {
    let directory = TestDir::new();
    drop(open(&directory));
    let database = Database::open(directory.path().join(FILE)).expect("database");
    let transaction = database.begin_write().expect("transaction");
    transaction.open_table(format::META).expect("table").insert("format", 3).expect("written");
    transaction.commit().expect("commit");
    drop(database);
    assert!(refusal(directory.path()).contains("written by a newer muster (format 3; this one knows 2)"));
}

#[test]
fn a_damaged_file_is_refused() {
    let directory = TestDir::new();
    let file = directory.path().join(FILE);
    let store = open(&directory);
    store.commit(&full()).expect("commit");
    drop(store);
    let whole = fs::read(&file).expect("there");
    fs::write(&file, &whole[..100]).expect("written");
    assert!(refusal(directory.path()).contains("is damaged"));
    // Every page but the header: whatever the trees need is gone.
    let mut bytes = whole.clone();
    bytes[4096..].fill(0x5a);
    fs::write(&file, &bytes).expect("written");
    assert!(refusal(directory.path()).contains("is damaged"));
    fs::write(&file, &whole).expect("written");
    open(&directory);
}

#[test]
fn a_power_cut_while_it_is_made_leaves_nothing_behind() {
    let directory = TestDir::new();
    fs::write(directory.path().join(NEW_FILE), [0; 5_000]).expect("written");
    let store = open(&directory);
    assert!(!directory.path().join(NEW_FILE).exists());
    store.commit(&full()).expect("commit");
}

#[test]
fn a_damaged_event_is_left_out() {
    let directory = TestDir::new();
    let store = open(&directory);
    store.commit(&events(1..=5)).expect("commit");
    drop(store);
    tamper(&history_files(directory.path())[0], |transaction| {
        let mut table = transaction.open_table(EVENTS).expect("table");
        let fifth = table.get(5).expect("read").expect("there").value().to_vec();
        table.insert(2, &[1, 0xff, 0xff][..]).expect("written");
        table.insert(3, &[][..]).expect("written");
        // Well-formed, but another event's.
        table.insert(4, fifth.as_slice()).expect("written");
    });
    let store = open(&directory);
    assert_eq!(ids(&store, 0, 10), [1, 5]);
    let page = store.looking(|_, history| history.page((0, 5), Span::default(), 10, &mut |_| Keep::Yes));
    assert_eq!(page.expect("page").1, 3, "counted");
}

#[test]
fn a_damaged_container_is_left_out_and_a_damaged_host_is_an_error() {
    const CONTAINERS: TableDefinition<&[u8; 40], &[u8]> = TableDefinition::new("containers");
    const HOSTS: TableDefinition<&[u8; 8], &[u8]> = TableDefinition::new("hosts");
    let directory = TestDir::new();
    let store = open(&directory);
    store.commit(&full()).expect("commit");
    drop(store);
    let change = |change: &dyn Fn(&redb::WriteTransaction)| {
        let database = Database::open(directory.path().join(FILE)).expect("database");
        let transaction = database.begin_write().expect("transaction");
        change(&transaction);
        transaction.commit().expect("commit");
    };
    change(&|transaction| {
        transaction.open_table(CONTAINERS).expect("table").insert(&[1; 40], &[1, 2][..]).expect("written");
    });
    let store = open(&directory);
    assert_eq!(store.load().expect("snapshot").containers.len(), 2);
    drop(store);
    change(&|transaction| {
        transaction.open_table(HOSTS).expect("table").insert(&[1; 8], &[9, 2][..]).expect("written");
    });
    let message = open(&directory).load().expect_err("an error").message;
    assert!(message.contains("the row of a host was written by a newer muster (row version 9)"), "{message}");
}

/// Commits until the store has rested and is whole again.
fn commit_when_rested(store: &RedbStore, writes: &[Write]) {
    let begun = Instant::now();
    while let Err(error) = store.commit(writes) {
        assert!(begun.elapsed() < LONGEST_REST * 2, "it does not come back: {error}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn after_an_error_it_reads_on_and_then_writes_again() {
    let directory = TestDir::new();
    let store = open(&directory);
    store.commit(&full()).expect("commit");
    let state = store.load();
    let error = line("the disk is on fire".to_owned());
    store.fail(7, &error);
    assert!(matches!(&*store.shared(), Open::Whole { number: 0, .. }), "another opening's error is none of this one");
    store.fail(0, &error);
    assert_eq!(store.commit(&full()), Err(error), "it rests");
    assert_eq!((store.load(), store.newest_event()), (state.clone(), Ok(4)));
    assert_eq!(ids(&store, 0, 10), [1, 2, 3, 4]);
    assert!(refusal(directory.path()).contains("another muster"), "the directory stays locked");
    // Closing it well is allowed to write; reading is not.
    let closed = fs::read(directory.path().join(FILE)).expect("there");
    assert_eq!((store.load(), ids(&store, 3, 1)), (state, vec![4]));
    assert_eq!(fs::read(directory.path().join(FILE)).expect("there"), closed);
    commit_when_rested(&store, &events(5..=6));
    assert!(matches!(&*store.shared(), Open::Whole { number: 1, .. }));
    assert_eq!(ids(&store, 0, 10), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_file_that_needs_repair_is_read_without_a_write() {
    let directory = TestDir::new();
    let store = open(&directory);
    store.commit(&full()).expect("commit");
    // As a crash would leave it: nobody closed it.
    let crashed = directory.path().join("crashed");
    fs::copy(directory.path().join(FILE), &crashed).expect("copied");
    fs::set_permissions(&crashed, Permissions::from_mode(0o400)).expect("chmod");
    let before = fs::read(&crashed).expect("there");
    let refused = Builder::new().open_read_only(&crashed).err();
    assert!(matches!(refused, Some(DatabaseError::RepairAborted)), "redb alone would have to write: {refused:?}");
    let reader = Place { path: crashed.clone(), cache: CACHE }.open_overlay().expect("a reader");
    let transaction = reader.begin_read().expect("a transaction");
    let (snapshot, unreadable) = state::load(&transaction).expect("a snapshot");
    assert_eq!((Ok(snapshot), unreadable), (store.load(), 0));
    assert_eq!(format::newest_event(&transaction).expect("newest"), 4);
    drop((transaction, reader));
    assert_eq!(fs::read(&crashed).expect("there"), before);
}

#[test]
fn a_file_that_has_gone_is_an_error_until_it_is_back() {
    let directory = TestDir::new();
    let (file, away) = (directory.path().join(FILE), directory.path().join("away"));
    let store = open(&directory);
    store.commit(&full()).expect("commit");
    fs::rename(&file, &away).expect("moved");
    store.fail(0, &line("the card was pulled".to_owned()));
    let message = store.load().expect_err("an error").message;
    assert!(message.contains("cannot open"), "{message}");
    fs::rename(&away, &file).expect("moved");
    commit_when_rested(&store, &events(5..=5));
    assert_eq!(ids(&store, 3, 10), [4, 5]);
}

/// Runs one of the tests below in a process of its own, with `before` in front of it.
fn child(before: &[&str], test: &str, directory: &Path) -> Command {
    let program = std::env::current_exe().expect("this test's file");
    let mut line = before.iter().map(Into::into).chain([program.into_os_string()]);
    let mut command = Command::new(line.next().expect("a program"));
    let test = format!("{}::{test}", module_path!().split_once("::").expect("a crate").1);
    command.args(line).args(["--exact", &test, "--ignored", "--nocapture", "--quiet"]).env(CHILD_DIR, directory);
    command
}

#[test]
fn what_was_committed_survives_a_kill() {
    let directory = TestDir::new();
    let mut after = 0;
    for lines in [1, 10, 25] {
        let mut child =
            child(&[], "child_commits_until_killed", directory.path()).stdout(Stdio::piped()).spawn().expect("a child");
        let said = BufReader::new(child.stdout.take().expect("its output"));
        let mut said = said.lines().map(|line| line.expect("a line"));
        let mut committed = said.by_ref().filter_map(|line| line.strip_prefix("committed ")?.parse::<u64>().ok());
        after = committed.nth(lines - 1).expect("a commit");
        child.kill().expect("killed");
        child.wait().expect("gone");
        // What it said between the last line that was read and its end counts, too.
        after = committed.last().unwrap_or(after);
        let store = open(&directory);
        let newest = store.newest_event().expect("newest");
        assert!(newest >= after, "{after} was committed, {newest} is there");
        assert_eq!(newest % BATCH, 0, "a commit is there whole or not at all");
        assert_eq!(ids(&store, 0, usize::MAX), (1..=newest).collect::<Vec<_>>());
        let host = &store.load().expect("snapshot").hosts[0];
        assert_eq!(host.events_dropped, newest, "the state is that of the same commit");
    }
    assert!(after > 0);
}

const BATCH: u64 = 20;

#[test]
#[ignore = "runs as a child of another test"]
fn child_commits_until_killed() {
    let Some(directory) = std::env::var_os(CHILD_DIR) else { return };
    let store = open_at(Path::new(&directory)).expect("a store");
    let mut out = std::io::stdout();
    loop {
        let newest = store.newest_event().expect("newest") + BATCH;
        let mut writes = events(newest - BATCH + 1..=newest);
        writes.push(Write::Host(HostRow { events_dropped: newest, ..samples::host(1) }));
        store.commit(&writes).expect("commit");
        writeln!(out, "\ncommitted {newest}").and_then(|()| out.flush()).expect("said");
    }
}

#[test]
fn a_full_disk_is_survived() {
    let directory = TestDir::new();
    // The mount is seen by the child alone, and ends with it.
    let unshare = ["unshare", "--mount", "--propagation", "private"];
    let mut works = Command::new(unshare[0]);
    works.args(&unshare[1..]).args(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs"]);
    match works.arg(directory.path()).output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            eprintln!("skipped: no mounts here: {}", String::from_utf8_lossy(&output.stderr).trim());
            return;
        }
        Err(error) => {
            eprintln!("skipped: no unshare(1) here: {error}");
            return;
        }
    }
    let output = child(&unshare, "child_fills_its_disk", directory.path()).output().expect("a child");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success() && said[0].contains("survived the full disk"), "{}{}", said[0], said[1]);
}

#[test]
#[ignore = "runs as a child of another test, in a mount namespace of its own"]
fn child_fills_its_disk() {
    let Some(directory) = std::env::var_os(CHILD_DIR) else { return };
    let directory = Path::new(&directory);
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=12m", "tmpfs"]).arg(directory).status();
    assert!(mount.expect("mount(8)").success());
    let store = open_at(directory).expect("a store");
    store.commit(&full()).expect("commit");
    let state = store.load();
    let ballast = directory.join("ballast");
    let mut stored = 4;
    for round in 0..2 {
        let mut file = File::create(&ballast).expect("ballast");
        while file.write_all(&[1; 4096]).is_ok() {}
        // However much room the file still has inside, this ends it.
        let refused = loop {
            let body = EventBody::Engine(vec![round; 4_000]);
            let batch = (stored + 1..=stored + 50).map(|id| EventRow { body: body.clone(), ..samples::event(id) });
            match store.commit(&batch.map(Write::Event).collect::<Vec<_>>()) {
                Ok(()) => stored += 50,
                Err(error) => break error,
            }
        };
        assert!(refused.message.contains("No space left"), "{refused}");
        assert!(refused.message.contains("free some space"), "{refused}");
        assert!(!refused.message.contains('\n'), "{refused}");
        assert_eq!(ids(&store, 0, usize::MAX), (1..=stored).collect::<Vec<_>>(), "the history can be read");
        assert_eq!(store.newest_event(), Ok(stored));
        assert_eq!(store.load(), state);
        let big =
            vec![Write::Event(EventRow { body: EventBody::Engine(vec![9; 4 << 20]), ..samples::event(stored + 1) })];
        for _ in 0..3 {
            assert!(store.commit(&big).is_err(), "the disk is still full");
            assert_eq!(store.newest_event(), Ok(stored));
        }
        drop(file);
        fs::remove_file(&ballast).expect("removed");
        // It rests after each failure, and then comes back by itself.
        let next = [Write::Event(samples::event(stored + 1))];
        commit_when_rested(&store, &next);
        stored += 1;
        assert_eq!(ids(&store, 0, usize::MAX), (1..=stored).collect::<Vec<_>>());
    }
    drop(store);
    let store = open_at(directory).expect("a store");
    assert_eq!(ids(&store, 0, usize::MAX), (1..=stored).collect::<Vec<_>>());
    assert_eq!(store.load(), state);
    println!("survived the full disk");
}
