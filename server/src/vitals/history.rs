//! The history as a whole: minutes and hours, what is asked of them, and what is wrong with them.

use super::file;
use super::row::{Row, Sums};
use super::series::{self, Series, Shape};
use super::{HOUR_MS, MINUTE_MS};
use muster_protocol::id::HostId;
use std::collections::{BTreeMap, HashMap};
use std::fs::DirBuilder;
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Where the files are, within the data directory.
const DIRECTORY: &str = "vitals";

/// Blocks of minutes in one file, and those that are kept: an hour's, and a day's.
const MINUTES: (usize, usize) = (60, 24 * 60);
/// Blocks of hours in one file, and those that are kept: a day's, and thirty days'.
const HOURS: (usize, usize) = (24, 30 * 24);

/// Of eight parts of the bytes so many are for minutes. A thousand hosts take 45 MB a day by the minute, and 22 MB in
/// thirty days by the hour.
const MINUTES_OF_EIGHT: u64 = 5;

/// Minutes that an hour has at least to be kept as one. A clock that jumps to and fro makes many hours of few minutes,
/// which would push out those that are whole.
const LEAST_MINUTES: u32 = 10;

/// How much of the disk the history may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryShape {
    /// Bytes of all files; 0: there is none.
    pub bytes: u64,
}

impl HistoryShape {
    /// The least that makes sense, in bytes.
    pub const BYTES_MIN: u64 = 1024 * 1024;

    fn minutes(self) -> Shape {
        let bytes = self.bytes / 8 * MINUTES_OF_EIGHT;
        Shape { name: "minutes", in_file: MINUTES.0, kept: MINUTES.1, bytes }
    }

    fn hours(self) -> Shape {
        let bytes = self.bytes / 8 * (8 - MINUTES_OF_EIGHT);
        Shape { name: "hours", in_file: HOURS.0, kept: HOURS.1, bytes }
    }
}

impl Default for HistoryShape {
    fn default() -> HistoryShape {
        HistoryShape { bytes: 64 * 1024 * 1024 }
    }
}

/// The history of hosts' vitals. Calls block; the caller gives them a thread.
#[derive(Debug)]
pub struct History {
    directory: PathBuf,
    shape: HistoryShape,
    open: Mutex<Option<Open>>,
    trouble: Mutex<Trouble>,
}

/// What is wrong, each in one line.
#[derive(Debug, Default)]
struct Trouble {
    /// Why the last minute was not kept.
    writing: Option<String>,
    /// What could not be read when it was last asked for.
    reading: Option<String>,
    /// Minutes that were not kept, since the start.
    lost: u64,
}

#[derive(Debug)]
struct Open {
    minutes: Series,
    hours: Series,
    hour: Hour,
}

/// The hour that is not over yet.
#[derive(Debug, Default)]
struct Hour {
    /// Its beginning; `None` before the first minute.
    at_ms: Option<i64>,
    minutes: u32,
    hosts: HashMap<HostId, Sums>,
}

impl Hour {
    fn add(&mut self, rows: &[Row]) {
        self.minutes += 1;
        for row in rows {
            self.hosts.entry(row.host).or_default().add_row(row);
        }
    }

    fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = self.hosts.iter().filter_map(|(host, sums)| Row::of(*host, sums)).collect();
        rows.sort_unstable_by_key(|row| row.host);
        rows
    }
}

/// The beginning of the hour that a time is in.
fn hour_of(at_ms: i64) -> i64 {
    at_ms.div_euclid(HOUR_MS).saturating_mul(HOUR_MS)
}

impl History {
    /// That of a data directory. Nothing is touched before [`History::open`] or [`History::record`].
    pub fn new(data_dir: &Path, shape: HistoryShape) -> History {
        let directory = data_dir.join(DIRECTORY);
        History { directory, shape, open: Mutex::default(), trouble: Mutex::default() }
    }

    /// Whether anything is kept at all.
    pub fn is_on(&self) -> bool {
        self.shape.bytes > 0
    }

    /// Looks at what is there, or deletes it if nothing is to be kept. What is wrong is noted.
    pub fn open(&self) {
        if self.is_on() {
            let mut open = self.state();
            let opened = self.opened(&mut open).map(drop);
            self.note_written(opened, false);
            return;
        }
        let cleared =
            [self.shape.minutes(), self.shape.hours()].map(|shape| series::clear(&self.directory, shape.name));
        if let Some(error) = cleared.into_iter().find_map(Result::err) {
            log::warn!("cannot delete the history of vitals in {}: {error}", self.directory.display());
        }
    }

    /// Keeps what hosts were like in the minute that begins at `at_ms`. What cannot be kept is lost, and noted.
    pub fn record(&self, at_ms: i64, rows: &[Row]) {
        if !self.is_on() || rows.is_empty() {
            return;
        }
        let mut open = self.state();
        let written = self.opened(&mut open).and_then(|open| open.record(at_ms, rows));
        if written.is_err() {
            // What is on the disk is looked at anew.
            *open = None;
        }
        self.note_written(written, true);
    }

    fn state(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened<'a>(&self, open: &'a mut Option<Open>) -> io::Result<&'a mut Open> {
        if open.is_none() {
            let made = DirBuilder::new().mode(0o700).create(&self.directory);
            made.or_else(|error| if error.kind() == ErrorKind::AlreadyExists { Ok(()) } else { Err(error) })?;
            *open = Some(Open::new(&self.directory, self.shape)?);
        }
        open.as_mut().ok_or_else(|| io::Error::other("it is not open"))
    }

    fn note_written(&self, written: io::Result<()>, is_minute: bool) {
        let mut trouble = self.trouble();
        let before = trouble.writing.take();
        let Err(error) = written else {
            if before.is_some() {
                log::info!("the history of vitals is kept again");
            }
            return;
        };
        trouble.lost += u64::from(is_minute);
        let advice = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free some space on its disk",
            _ => "look after its disk",
        };
        let line = format!("the history of vitals in {} is not kept: {error}; {advice}", self.directory.display());
        let line = line.replace(['\n', '\r'], " ");
        if before.is_none() {
            log::warn!("{line}");
        }
        trouble.writing = Some(line);
    }

    /// What is wrong with it, in one line.
    pub fn warning(&self) -> Option<String> {
        let trouble = self.trouble();
        trouble.writing.clone().or_else(|| trouble.reading.clone())
    }

    /// Bytes that it takes on the disk.
    pub fn bytes(&self) -> u64 {
        self.state().as_ref().map_or(0, |open| open.minutes.bytes() + open.hours.bytes())
    }

    /// Minutes that could not be kept since the start.
    pub fn lost(&self) -> u64 {
        self.trouble().lost
    }

    /// How a host was from `since_ms` to before `until_ms`, in steps of `step_ms` that begin at multiples of it; by their
    /// beginnings. Steps of less than an hour are made from minutes, others from hours and what is newer than these.
    pub fn read(&self, host: HostId, since_ms: i64, until_ms: i64, step_ms: i64) -> BTreeMap<i64, Sums> {
        self.read_all(&[host], since_ms, until_ms, step_ms).remove(&host).unwrap_or_default()
    }

    /// The same of several hosts, in one go through the files.
    pub fn read_all(
        &self,
        hosts: &[HostId],
        since_ms: i64,
        until_ms: i64,
        step_ms: i64,
    ) -> HashMap<HostId, BTreeMap<i64, Sums>> {
        let step_ms = step_ms.max(MINUTE_MS);
        let mut steps: HashMap<HostId, BTreeMap<i64, Sums>> =
            hosts.iter().map(|host| (*host, BTreeMap::new())).collect();
        if !self.is_on() {
            return steps;
        }
        let (mut damaged, mut trouble) = (0, None);
        let places = match self.opened(&mut self.state()) {
            Ok(open) => open.places(since_ms, until_ms.saturating_sub(1), step_ms >= HOUR_MS),
            // As will be said when the next minute cannot be kept.
            Err(_) => return steps,
        };
        for (path, places) in &places {
            let taken = file::read(path, places, &mut |at_ms, rows| {
                for row in rows {
                    if let Some(steps) = steps.get_mut(&row.host) {
                        steps.entry(at_ms.div_euclid(step_ms).saturating_mul(step_ms)).or_default().add_row(&row);
                    }
                }
            });
            match taken {
                Ok(0) => {}
                Ok(count) => {
                    damaged += count;
                    trouble = Some(format!("{damaged} blocks of {} are damaged and left out", path.display()));
                }
                Err(error) => {
                    let line = format!("cannot read {}: {error}; look after its disk", path.display());
                    trouble = Some(line.replace(['\n', '\r'], " "));
                }
            }
        }
        self.trouble().reading = trouble;
        steps
    }
}

impl Open {
    fn new(directory: &Path, shape: HistoryShape) -> io::Result<Open> {
        let minutes = Series::open(directory, shape.minutes())?;
        let hours = Series::open(directory, shape.hours())?;
        let mut hour = Hour::default();
        if let Some(at_ms) = minutes.newest_ms().map(hour_of).filter(|at_ms| hours.newest_ms() != Some(*at_ms)) {
            hour.at_ms = Some(at_ms);
            for (path, places) in minutes.last(|minute_ms| hour_of(minute_ms) == at_ms) {
                file::read(&path, &places, &mut |_, rows| hour.add(&rows))?;
            }
        }
        Ok(Open { minutes, hours, hour })
    }

    fn record(&mut self, at_ms: i64, rows: &[Row]) -> io::Result<()> {
        let name = hour_of(at_ms);
        let mut hours_written = Ok(());
        if self.hour.at_ms != Some(name) {
            let over = std::mem::take(&mut self.hour);
            self.hour.at_ms = Some(name);
            if let Some(over_ms) = over.at_ms.filter(|_| over.minutes >= LEAST_MINUTES) {
                hours_written = self.hours.append(over_ms, &over.rows());
            }
        }
        self.hour.add(rows);
        self.minutes.append(at_ms, rows)?;
        hours_written
    }

    /// Where the rows of a time are, both ends included.
    fn places(&self, since_ms: i64, until_ms: i64, by_hours: bool) -> Vec<(PathBuf, Vec<file::Place>)> {
        if !by_hours {
            return self.minutes.places(since_ms, until_ms);
        }
        let mut places = self.hours.places(since_ms, until_ms);
        // The hour that is not over is in no file of hours.
        let in_hours = self.hour.at_ms;
        let newest = self.minutes.last(|at_ms| Some(hour_of(at_ms)) == in_hours);
        let wanted = |place: &file::Place| (since_ms..=until_ms).contains(&place.at_ms);
        places.extend(newest.into_iter().map(|(path, found)| (path, found.into_iter().filter(wanted).collect())));
        places
    }
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
