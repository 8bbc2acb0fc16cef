//! A store made from the rows of another one, in a data directory of its own or in the place of what is there.
//!
//! Everything is built in a directory of its own inside, and moved when it is whole. As long as that directory is
//! there, nobody can open the store: so a restore that was cut in the middle is seen.

use super::files::{DirectoryLock, LOCK_FILE, make_directory, sync_parent};
use super::history::{DIRECTORY, Retention};
use super::trouble::line;
use super::{RedbStore, StoreError, StreamRow, Write};
use crate::access::trust;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Where a restore is built, in the data directory.
pub const UNFINISHED: &str = "restore.unfinished";

/// Rows in one commit.
const ROWS: usize = 4000;

/// By how much the next epoch of each host is raised: the server that the backup is of went on after it, and an agent
/// that has lost its own note of the epoch must not get one again that was given then.
const EPOCHS_AHEAD: u64 = 1000;

/// Ids of events go on at the next multiple of this, for the same reason: who follows by id sees them grow.
const EVENTS_AHEAD: u64 = 1_000_000_000;

/// A restore that is being built.
pub struct Restoring {
    data_dir: PathBuf,
    unfinished: PathBuf,
    store: RedbStore,
    writes: Vec<Write>,
    files: Vec<&'static str>,
    _lock: DirectoryLock,
}

impl Restoring {
    /// Begins, with nothing changed yet of what is in the directory. `may_replace`: it need not be empty.
    ///
    /// # Errors
    /// The directory is in use or not empty, or cannot be written.
    pub fn begin(data_dir: &Path, may_replace: bool) -> Result<Restoring, StoreError> {
        let shown = data_dir.display();
        let failed = |what: &str, error: io::Error| line(format!("cannot {what} {shown}: {error}"));
        make_directory(data_dir).map_err(|error| failed("make the data directory", error))?;
        let mut entries = fs::read_dir(data_dir).map_err(|error| failed("look into", error))?;
        let other = entries.find_map(|entry| entry.ok().map(|entry| entry.file_name()).filter(|it| it != LOCK_FILE));
        if let Some(other) = other.filter(|_| !may_replace) {
            let other = other.to_string_lossy().into_owned();
            return Err(line(format!(
                "{shown} is not empty (it has {other}): choose another directory, or replace what is there with --force"
            )));
        }
        let lock = DirectoryLock::take(data_dir)?;
        let unfinished = data_dir.join(UNFINISHED);
        match fs::remove_dir_all(&unfinished) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed("write into", error)),
            _ => {}
        }
        // Nothing is too old or too much here: the server will judge.
        let store = RedbStore::open(&unfinished, Retention { days: Retention::DAYS_MAX, bytes: u64::MAX })?;
        let (writes, files) = (Vec::new(), Vec::new());
        Ok(Restoring { data_dir: data_dir.into(), unfinished, store, writes, files, _lock: lock })
    }

    /// Adds a row: as it is, but for what must go on ahead of the server that the backup is of. That is the epochs of
    /// hosts, and what they are told of keys and addresses.
    pub fn add(&mut self, write: Write) -> Result<(), StoreError> {
        // The server that the backup is of has delivered what waited then.
        if matches!(write, Write::Notice(_)) {
            return Ok(());
        }
        self.writes.push(match write {
            Write::Stream(row) => Write::Stream(ahead(row)),
            Write::Fleet(row) => Write::Fleet(trust::restored(&row)),
            other => other,
        });
        if self.writes.len() >= ROWS { self.write() } else { Ok(()) }
    }

    /// Adds a file, readable by its owner only. `name` is one that the caller chose, and not the backup.
    pub fn add_file(&mut self, name: &'static str, content: &[u8]) -> Result<(), StoreError> {
        let path = self.unfinished.join(name);
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()));
        self.files.push(name);
        written.map_err(|error| line(format!("cannot write {}: {error}", path.display())))
    }

    fn write(&mut self) -> Result<(), StoreError> {
        let writes = std::mem::take(&mut self.writes);
        // An event brings its day's file with it.
        let day = |write: &Write| match write {
            Write::Event(event) => Some(event.received_ms / 86_400_000),
            _ => None,
        };
        writes.chunk_by(|a, b| day(a) == day(b)).try_for_each(|writes| self.store.commit_as_it_was(writes))
    }

    /// Puts everything in its place. `newest_event` is that of the backup, which may be without its events.
    pub fn finish(mut self, newest_event: u64) -> Result<(), StoreError> {
        self.write()?;
        let next = (newest_event / EVENTS_AHEAD + 1) * EVENTS_AHEAD;
        self.store.skip_events(next)?;
        let Restoring { data_dir, unfinished, store, files, .. } = &self;
        store.close();
        let failed =
            |error: io::Error| line(format!("cannot put the restored files into {}: {error}", data_dir.display()));
        let names = [&[DIRECTORY][..], files, &[super::redb_store::FILE]].concat();
        sync(unfinished).and_then(|()| sync_parent(unfinished)).map_err(failed)?;
        for name in &names {
            let (from, to) = (unfinished.join(name), data_dir.join(name));
            remove(&to).and_then(|()| fs::rename(from, to)).map_err(failed)?;
        }
        sync(data_dir).and_then(|()| remove(unfinished)).and_then(|()| sync(data_dir)).map_err(failed)
    }
}

/// A stream as it goes on after a restore: in a new epoch, whoever says hello.
fn ahead(row: StreamRow) -> StreamRow {
    StreamRow { epoch: row.epoch.saturating_add(EPOCHS_AHEAD), acknowledged: 0, runs: Vec::new(), ..row }
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
