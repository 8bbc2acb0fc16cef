//! A store in one redb file.
//!
//! redb refuses all work after the first I/O error until its file has been opened again. The store does that by
//! itself: after an error it reads through an [`Overlay`], which needs no room on the disk, and tries to open the
//! file for writing again when the next commit comes.

use super::format::{self, Format};
use super::overlay::Overlay;
use super::trouble::{Trouble, cannot_open, foreign, line};
use super::{AuditRow, EventRow, Keep, Snapshot, Store, StoreError, Write, audit, history, state};
use muster_protocol::id::HostId;
use redb::{Builder, Database, DatabaseError, Durability, ReadTransaction, ReadableDatabase};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

const FILE: &str = "muster.redb";

/// What a new file is called until it is whole, so that a power cut in the middle leaves nothing half-made.
const NEW_FILE: &str = "muster.redb.new";

/// Held for as long as a store is open. The file's own lock comes and goes when it is opened again.
const LOCK_FILE: &str = "muster.lock";

/// Pages that redb keeps in memory (its default is a gigabyte). What is hot is small: the newest events and the
/// containers that change.
const CACHE: usize = 32 * 1024 * 1024;

/// Files up to this size are read and verified whole at every start, which takes seconds on a slow card. Larger
/// ones only after a crash.
const VERIFIED_AT_START: u64 = 64 * 1024 * 1024;

/// After an error the store rests this many times as long as opening takes, so that a full disk does not become a
/// busy one too: opening after an error reads the whole file.
const REST: u32 = 9;

/// The shortest rest: a small file opens in no time, and a full disk does not empty itself faster.
const SHORTEST_REST: Duration = Duration::from_secs(1);

/// The longest rest.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// A store in `DIR/muster.redb`.
pub struct RedbStore {
    file: PathBuf,
    open: RwLock<Open>,
    /// Since the last commit that succeeded, one failed: the log has said so, and need not say it again.
    troubled: AtomicBool,
    /// Behind `open`, so that it is given up last.
    _lock: DirectoryLock,
}

enum Open {
    /// All is well. The number tells one opening from the next.
    Whole(Database, u64),
    /// The disk failed.
    Failed {
        /// For reading; `Err` if not even that can be done.
        reader: Result<Database, StoreError>,
        /// Why.
        error: StoreError,
        /// Before this, writing is not tried again.
        rest_until: Instant,
        /// The last opening's.
        number: u64,
    },
    /// Between two others, while the lock is held.
    Closed,
}

impl RedbStore {
    /// Opens the store of a data directory, and makes both if they are missing, readable by their owner only.
    ///
    /// # Errors
    /// Another program uses the directory; the file is not a store, of a newer version, damaged, or cannot be
    /// read or written. The message is for the operator.
    pub fn open(data_dir: &Path) -> Result<RedbStore, StoreError> {
        let shown = data_dir.display();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(data_dir)
            .map_err(|error| line(format!("cannot make the data directory {shown}: {error}")))?;
        let lock = DirectoryLock::take(data_dir)?;
        let file = data_dir.join(FILE);
        if !exists(&file)? {
            make(data_dir, &file)?;
        }
        keep_private(&file)?;
        let database = open_file(&file)?;
        match format::of(&database) {
            Ok(Format::Ours) => {}
            Ok(Format::Foreign) => return Err(line(foreign(&file.display()))),
            Ok(Format::Newer { found, known }) => {
                return Err(line(format!(
                    "{} was written by a newer muster (format {found}; this one knows {known}): \
                     install that version, or restore a backup of this one",
                    file.display()
                )));
            }
            Err(error) => return Err(Trouble::from(error).explain("read", &file)),
        }
        Ok(RedbStore {
            file,
            open: RwLock::new(Open::Whole(database, 0)),
            troubled: AtomicBool::new(false),
            _lock: lock,
        })
    }

    fn shared(&self) -> RwLockReadGuard<'_, Open> {
        self.open.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn exclusive(&self) -> RwLockWriteGuard<'_, Open> {
        self.open.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads in one transaction.
    fn reading<T>(&self, read: impl FnOnce(&ReadTransaction) -> Result<T, Trouble>) -> Result<T, StoreError> {
        let open = self.shared();
        let (database, number) = match &*open {
            Open::Whole(database, number) => (database, *number),
            Open::Failed { reader: Ok(database), number, .. } => (database, *number),
            Open::Failed { reader: Err(error), .. } => return Err(error.clone()),
            Open::Closed => return Err(line(format!("{} is closed", self.file.display()))),
        };
        let result = database.begin_read().map_err(Trouble::from).and_then(|transaction| read(&transaction));
        drop(open);
        result.map_err(|trouble| {
            let error = trouble.explain("read", &self.file);
            if trouble.needs_reopening() {
                self.fail(number, &error);
            }
            error
        })
    }

    /// Turns to reading only, if the opening with this number is still the current one.
    fn fail(&self, failed: u64, error: &StoreError) {
        let mut open = self.exclusive();
        if !matches!(&*open, Open::Whole(_, number) if *number == failed) {
            return;
        }
        if !self.troubled.swap(true, Ordering::Relaxed) {
            log::error!("{error}");
        }
        *open = Open::Closed;
        *open = self.failed(error.clone(), failed);
    }

    /// Opens the file for reading only. No other opening of it may be alive.
    fn failed(&self, error: StoreError, number: u64) -> Open {
        let begun = Instant::now();
        let reader = open_overlay(&self.file);
        let rest = begun.elapsed().saturating_mul(REST).clamp(SHORTEST_REST, LONGEST_REST);
        Open::Failed { reader, error, rest_until: Instant::now() + rest, number }
    }

    /// Opens the file for writing again, if it failed and has rested.
    fn recover(&self) -> Result<(), StoreError> {
        if matches!(&*self.shared(), Open::Whole(..)) {
            return Ok(());
        }
        let mut open = self.exclusive();
        let number = match &*open {
            Open::Whole(..) => return Ok(()),
            Open::Failed { error, rest_until, .. } if Instant::now() < *rest_until => return Err(error.clone()),
            Open::Failed { number, .. } => *number,
            Open::Closed => 0,
        };
        // The reader must not see the file change.
        *open = Open::Closed;
        match open_file(&self.file) {
            Ok(database) => {
                *open = Open::Whole(database, number + 1);
                Ok(())
            }
            Err(error) => {
                *open = self.failed(error.clone(), number);
                Err(error)
            }
        }
    }
}

impl Store for RedbStore {
    fn load(&self) -> Result<Snapshot, StoreError> {
        let (snapshot, unreadable) = self.reading(state::load)?;
        if unreadable > 0 {
            log::warn!("{}: left out {unreadable} containers that cannot be read", self.file.display());
        }
        Ok(snapshot)
    }

    fn load_host(&self, host: HostId) -> Result<Snapshot, StoreError> {
        // What cannot be read was said at the start.
        self.reading(|transaction| state::load_host(transaction, host))
    }

    fn commit(&self, writes: &[Write]) -> Result<(), StoreError> {
        self.recover()?;
        if writes.is_empty() {
            return Ok(());
        }
        let open = self.shared();
        let (database, number) = match &*open {
            Open::Whole(database, number) => (database, *number),
            Open::Failed { error, .. } => return Err(error.clone()),
            Open::Closed => return Err(line(format!("{} is closed", self.file.display()))),
        };
        let result = write(database, writes);
        drop(open);
        match result {
            Ok(()) => {
                if self.troubled.swap(false, Ordering::Relaxed) {
                    log::info!("{} can be written again", self.file.display());
                }
                Ok(())
            }
            Err(trouble) => {
                let error = trouble.explain("write", &self.file);
                if matches!(trouble, Trouble::Database(_)) {
                    self.fail(number, &error);
                }
                Err(error)
            }
        }
    }

    fn events(
        &self,
        after: u64,
        limit: usize,
        keep: &mut dyn FnMut(&EventRow) -> Keep,
    ) -> Result<Vec<EventRow>, StoreError> {
        let (page, unreadable) = self.reading(|transaction| Ok(history::page(transaction, after, limit, keep)?))?;
        if unreadable > 0 {
            log::warn!("{}: left out {unreadable} events that cannot be read", self.file.display());
        }
        Ok(page)
    }

    fn audit(&self, before: u64, limit: usize) -> Result<Vec<AuditRow>, StoreError> {
        self.reading(|transaction| Ok(audit::page(transaction, before, limit)?))
    }

    fn newest_event(&self) -> Result<u64, StoreError> {
        self.reading(|transaction| Ok(history::newest(transaction)?))
    }
}

fn write(database: &Database, writes: &[Write]) -> Result<(), Trouble> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    let mut tables = state::Tables::open(&transaction)?;
    for write in writes {
        tables.apply(write)?;
    }
    drop(tables);
    let events = writes.iter().filter_map(|write| match write {
        Write::Event(event) => Some(event),
        _ => None,
    });
    history::append(&transaction, events)?;
    let audits = writes.iter().filter_map(|write| match write {
        Write::Audit(row) => Some(row),
        _ => None,
    });
    audit::append(&transaction, audits)?;
    Ok(transaction.commit()?)
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE);
    builder
}

fn open_file(file: &Path) -> Result<Database, StoreError> {
    let mut builder = builder();
    let length = fs::metadata(file).map_err(|error| cannot_open(error.into(), file))?.len();
    builder.set_check_integrity_on_open(length <= VERIFIED_AT_START);
    builder.open(file).map_err(|error| cannot_open(error, file))
}

fn open_overlay(file: &Path) -> Result<Database, StoreError> {
    File::open(file)
        .and_then(Overlay::new)
        .map_err(DatabaseError::from)
        .and_then(|overlay| builder().create_with_backend(overlay))
        .map_err(|error| cannot_open(error, file))
}

/// Makes an empty store that is there whole or not at all.
fn make(data_dir: &Path, file: &Path) -> Result<(), StoreError> {
    let new = data_dir.join(NEW_FILE);
    let failed = |error: &dyn std::fmt::Display| line(format!("cannot make {}: {error}", file.display()));
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(&error)),
        _ => {}
    }
    let result = (|| {
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).map_err(|error| failed(&error))?;
        let database = builder().create(&new).map_err(|error| failed(&error))?;
        let transaction = database.begin_write().map_err(|error| failed(&error))?;
        format::mark(&transaction).map_err(|error| failed(&error))?;
        transaction.commit().map_err(|error| failed(&error))?;
        database.close().map_err(|error| failed(&error))?;
        fs::rename(&new, file).map_err(|error| failed(&error))?;
        File::open(data_dir).and_then(|directory| directory.sync_all()).map_err(|error| failed(&error))
    })();
    if result.is_err() {
        // It may be what fills the disk.
        let _ = fs::remove_file(&new);
    }
    result
}

fn exists(file: &Path) -> Result<bool, StoreError> {
    file.try_exists().map_err(|error| line(format!("cannot look for {}: {error}", file.display())))
}

/// The file has hashes of credentials in it: nobody else may read them.
fn keep_private(file: &Path) -> Result<(), StoreError> {
    let failed = |error| line(format!("cannot look after the permissions of {}: {error}", file.display()));
    let mode = fs::metadata(file).map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        fs::set_permissions(file, Permissions::from_mode(0o600)).map_err(failed)?;
        log::warn!("{} could be read by others (mode {:o}): now it is 600", file.display(), mode & 0o7777);
    }
    Ok(())
}

/// One program at a time uses a data directory.
struct DirectoryLock(File);

impl DirectoryLock {
    fn take(data_dir: &Path) -> Result<DirectoryLock, StoreError> {
        let path = data_dir.join(LOCK_FILE);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| line(format!("cannot open {}: {error}", path.display())))?;
        match file.try_lock() {
            Ok(()) => Ok(DirectoryLock(file)),
            Err(TryLockError::WouldBlock) => Err(line(format!(
                "another muster uses the data directory {}: stop that one, or choose another directory",
                data_dir.display()
            ))),
            // Some network file systems have no locks; redb's own is then the only one.
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => Ok(DirectoryLock(file)),
            Err(TryLockError::Error(error)) => Err(line(format!("cannot lock {}: {error}", path.display()))),
        }
    }
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // Not left to the closing of the file, which a child process that is just being started can delay.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests;
