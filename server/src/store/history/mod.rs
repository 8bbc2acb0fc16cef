//! The history of events: a file for each day, named for the day and for its first event.
//!
//! Only the newest file is ever written. A new one is begun when the day, by the time at which events were received,
//! is later than that of the newest, or more than one day earlier (the clock was ahead and has been set), or when the
//! newest is large. What orders the files are the ids of their events, so no clock can change the order.
//!
//! An append is durable before the state knows of it. So after a crash between the two the last append may be there
//! and not be true: [`History::take_back`] removes it, and until then readers are not shown it.

mod file;
mod name;
mod retention;

pub(super) use file::{drop_old_events, old_events};
pub use retention::Retention;

use super::files::{self, NEW, sync_parent};
use super::trouble::{Fault, Trouble, line};
use super::{EventRow, Keep, Span, StoreError};
use file::HistoryFile;
use name::{Name, day};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

/// The directory of the files, in the data directory.
pub(super) const DIRECTORY: &str = "history";

/// All files. Whoever appends, takes back, or closes does so alone; reading and deleting may happen meanwhile.
#[derive(Debug)]
pub(super) struct History {
    directory: PathBuf,
    retention: Retention,
    /// Oldest first.
    files: RwLock<Vec<Arc<HistoryFile>>>,
    /// Today, when it was last asked what is too old.
    last_look: Mutex<Option<i64>>,
}

impl History {
    /// The history of a data directory, with nothing open yet.
    pub(super) fn find(data_dir: &Path, retention: Retention) -> Result<History, StoreError> {
        let directory = data_dir.join(DIRECTORY);
        let failed = |error| line(format!("cannot look into {}: {error}", directory.display()));
        files::make_directory(&directory).map_err(failed)?;
        let mut found = Vec::new();
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            match Name::parse(&name) {
                Some(name) => found.push(Arc::new(HistoryFile::new(&directory, name))),
                None if name.ends_with(NEW) => fs::remove_file(entry.path()).map_err(failed)?,
                None => log::warn!("{} is no part of the history, and left alone", entry.path().display()),
            }
        }
        found.sort_unstable_by_key(|file| file.name.first);
        if let Some(newest) = found.last() {
            newest.place.keep_private()?;
        }
        Ok(History { directory, retention, files: RwLock::new(found), last_look: Mutex::default() })
    }

    fn files(&self) -> RwLockReadGuard<'_, Vec<Arc<HistoryFile>>> {
        self.files.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn newest(&self) -> Option<Arc<HistoryFile>> {
        self.files().last().cloned()
    }

    fn change<T>(&self, change: impl FnOnce(&mut Vec<Arc<HistoryFile>>) -> T) -> T {
        change(&mut self.files.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Opens the newest file for writing, and takes back what was appended to it above `valid`, the newest event of
    /// which the state knows.
    pub(super) fn take_back(&self, valid: u64) -> Result<(), Fault> {
        let mut explained = true;
        while let Some(newest) = self.newest() {
            newest.open_for_writing()?;
            if !newest.take_back(valid, explained)? {
                return Ok(());
            }
            // It was begun by what never happened, or made and not written. What lies before it is true.
            self.remove_newest(&newest)?;
            explained = false;
        }
        Ok(())
    }

    fn remove_newest(&self, newest: &HistoryFile) -> Result<(), Fault> {
        newest.close();
        files::remove_if_there(&newest.place.path)
            .and_then(|()| sync_parent(&newest.place.path))
            .map_err(|error| newest.place.fault(Trouble::System("remove", error)))?;
        self.change(|files| files.pop());
        Ok(())
    }

    /// Closes all files. Nobody may be reading.
    pub(super) fn close(&self) {
        for file in self.files().iter() {
            file.close();
        }
    }

    /// Makes events durable. Their ids are above all that there are.
    pub(super) fn append(&self, events: &[&EventRow]) -> Result<(), Fault> {
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(()) };
        let today = day(last.received_ms);
        let newest = match self.newest() {
            Some(newest) if !self.is_over(&newest, today) => newest,
            older => self.begin(older.as_deref(), Name { day: today, first: first.id })?,
        };
        newest.append(events)
    }

    /// Whether a file is not to be written any more.
    fn is_over(&self, newest: &HistoryFile, today: i64) -> bool {
        if newest.place.identity().is_none() {
            log::error!("{} was removed while it was in use", newest.place.path.display());
            return true;
        }
        today > newest.name.day || today < newest.name.day - 1 || newest.place.size() >= self.retention.part()
    }

    fn begin(&self, older: Option<&HistoryFile>, name: Name) -> Result<Arc<HistoryFile>, Fault> {
        let file = Arc::new(HistoryFile::new(&self.directory, name));
        file.make()?;
        self.change(|files| files.push(file.clone()));
        file.open_for_writing()?;
        if let Some(older) = older {
            // Closed well it need not be repaired when it is read.
            older.close_if_idle();
        }
        Ok(file)
    }

    /// Deletes the oldest files if there are more bytes than there may be. Not before what was appended is true: if it
    /// is taken back, those files are the history.
    pub(super) fn make_room(&self) {
        self.delete_expired(None);
    }

    /// Deletes what is too old or too much. `now_ms` is this machine's time: a day counts only if it was reached at
    /// the look before, too, so that a clock that is wrong for a moment deletes nothing. As [`History::make_room`].
    pub(super) fn tidy(&self, now_ms: i64) {
        let today = day(now_ms);
        let before = self.last_look.lock().unwrap_or_else(PoisonError::into_inner).replace(today);
        self.delete_expired(before.map(|before| before.min(today)));
    }

    fn delete_expired(&self, today: Option<i64>) {
        let sizes: Vec<(i64, u64)> = self.files().iter().map(|file| (file.name.day, file.place.size())).collect();
        let expired = self.retention.expired(&sizes, today);
        if expired == 0 {
            return;
        }
        let gone: Vec<_> = self.change(|files| files.drain(..expired.min(files.len().saturating_sub(1))).collect());
        for file in gone {
            let path = file.place.path.display();
            match files::remove_if_there(&file.place.path) {
                Ok(()) => {
                    let Retention { days, bytes } = self.retention;
                    let mib = bytes / 1024 / 1024;
                    log::info!("deleted {path}: the history is kept for {days} days, and up to {mib} MB of it");
                }
                Err(error) => log::warn!("cannot delete {path}, which is too old or too much: {error}"),
            }
        }
    }

    /// Events with `after < id <= through`, oldest first, at most `limit` for which `keep` says yes, and how many
    /// could not be read. Files without any event in `span` may be passed over.
    pub(super) fn page(
        &self,
        (after, through): (u64, u64),
        span: Span,
        limit: usize,
        keep: &mut dyn FnMut(&EventRow) -> Keep,
    ) -> Result<(Vec<EventRow>, u64), Fault> {
        let (mut page, mut unreadable) = (Vec::new(), 0);
        if limit == 0 || after >= through {
            return Ok((page, 0));
        }
        let files = self.files().clone();
        // The last file that begins at or before the first event that is wanted.
        let first = files.partition_point(|file| file.name.first <= after + 1).saturating_sub(1);
        for (index, file) in files.iter().enumerate().skip(first) {
            let is_closed = index + 1 < files.len();
            let mut take = |event: EventRow| match keep(&event) {
                Keep::Yes => {
                    page.push(event);
                    if page.len() == limit { Keep::Stop } else { Keep::Yes }
                }
                other => other,
            };
            let walked = file.walk((after, through), span, is_closed, &mut take);
            if is_closed {
                file.close_if_idle();
            }
            match walked {
                Ok(walked) => {
                    unreadable += walked.unreadable;
                    if walked.over {
                        break;
                    }
                }
                // One old file that cannot be read does not hide all others.
                Err(fault) if is_closed => complain(file, &fault),
                Err(fault) => return Err(fault),
            }
        }
        Ok((page, unreadable))
    }

    /// Asks `keep` for events with `id <= through`, the newest first, until it has enough; how many could not be read.
    /// Files without any event in `span` may be passed over.
    pub(super) fn walk_back(
        &self,
        through: u64,
        span: Span,
        keep: &mut dyn FnMut(&EventRow) -> Keep,
    ) -> Result<u64, Fault> {
        let mut unreadable = 0;
        let files = self.files().clone();
        let end = files.partition_point(|file| file.name.first <= through);
        for (index, file) in files.iter().enumerate().take(end).rev() {
            let is_closed = index + 1 < files.len();
            let walked = file.walk_back(through, span, is_closed, &mut |event| keep(&event));
            if is_closed {
                file.close_if_idle();
            }
            match walked {
                Ok(walked) => {
                    unreadable += walked.unreadable;
                    if walked.over {
                        break;
                    }
                }
                // As in `page`.
                Err(fault) if is_closed => complain(file, &fault),
                Err(fault) => return Err(fault),
            }
        }
        Ok(unreadable)
    }

    /// What is missing in what is shown because files cannot be read, as far as that was noticed: one line.
    pub(super) fn warning(&self) -> Option<String> {
        let damages: Vec<String> = self.files().iter().filter_map(|file| file.damage()).collect();
        let more = match damages.len() {
            0 | 1 => String::new(),
            count => format!("; and {} more files", count - 1),
        };
        damages.first().map(|why| format!("events are missing in what is shown: {why}{more}"))
    }

    /// When the first event that is still there was received; `None` if there is none, or if the first of all is.
    pub(super) fn begins_ms(&self, through: u64) -> Option<i64> {
        let oldest = self.files().first().cloned()?;
        if oldest.name.first <= 1 {
            return None;
        }
        if let Some(ms) = oldest.begins_ms.get() {
            return Some(*ms);
        }
        let mut first = None;
        let mut take = |event: EventRow| {
            first = Some(event.received_ms);
            Keep::Stop
        };
        match oldest.walk((0, through), Span::default(), false, &mut take) {
            Ok(_) => first.inspect(|ms| {
                let _ = oldest.begins_ms.set(*ms);
            }),
            Err(fault) => {
                complain(&oldest, &fault);
                None
            }
        }
    }
}

/// Tells the log of it, once.
fn complain(file: &HistoryFile, fault: &Fault) {
    // Deleted just now, because it was too old, it is not missed.
    let is_gone = matches!(&fault.trouble, Trouble::Open(redb::DatabaseError::Storage(redb::StorageError::Io(error)))
        if error.kind() == ErrorKind::NotFound);
    if is_gone {
        return;
    }
    let why = fault.explain("read").message;
    let said = format!("events are missing in what is shown: {why}");
    if file.note_damage(Some(why)).is_none() {
        log::error!("{said}");
    }
}
