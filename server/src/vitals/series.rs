//! The files of minutes, or those of hours: the newest is appended to, and the oldest deleted.
//!
//! Files are in the order of their numbers. How many blocks there are decides what is deleted and when a file is full,
//! and never their times, so that a clock that jumps neither deletes what is good nor keeps what is old.

use super::block;
use super::file::{BlockFile, Place};
use super::row::Row;
use std::collections::VecDeque;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// How large a series may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// What its files are called, in front of their numbers.
    pub name: &'static str,
    /// Blocks of one file.
    pub in_file: usize,
    /// Blocks that are kept at least, as far as there is room.
    pub kept: usize,
    /// Bytes of all files.
    pub bytes: u64,
}

/// A file has at most this part of the bytes of all, so that the oldest part that goes at once is small.
const PARTS: u64 = 8;

const ENDING: &str = ".vitals";

/// One series of files.
#[derive(Debug)]
pub(super) struct Series {
    directory: PathBuf,
    shape: Shape,
    /// Oldest first.
    files: VecDeque<BlockFile>,
    /// The newest file was looked at for what a power cut has left.
    is_mended: bool,
}

impl Series {
    /// Finds the files of a directory.
    pub(super) fn open(directory: &Path, shape: Shape) -> io::Result<Series> {
        let mut files = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if let Some(number) = entry.file_name().to_str().and_then(|name| number(shape.name, name)) {
                files.push(BlockFile::open(entry.path(), number)?);
            }
        }
        files.sort_unstable_by_key(|file| file.number);
        let mut series = Series { directory: directory.to_owned(), shape, files: files.into(), is_mended: false };
        series.shrink(0)?;
        Ok(series)
    }

    /// Appends a block. On an error nothing that was there is lost.
    pub(super) fn append(&mut self, at_ms: i64, rows: &[Row]) -> io::Result<()> {
        let Some(block) = block::encode(at_ms, rows) else {
            return Err(io::Error::other("too many hosts for one block"));
        };
        if let Some(newest) = self.files.back_mut()
            && (!self.is_mended || newest.is_torn)
            && newest.mend().is_err()
        {
            // It is left as it is, and another one begun.
            newest.is_torn = true;
        }
        self.is_mended = true;
        self.shrink(block.len() as u64)?;
        let Shape { in_file, bytes, .. } = self.shape;
        let is_full = |file: &BlockFile| {
            file.is_torn
                || file.places.len() >= in_file
                || file.bytes + block.len() as u64 > (bytes / PARTS).max(block.len() as u64)
        };
        if self.files.back().is_none_or(is_full) {
            let next = self.files.back().map_or(1, |newest| newest.number.saturating_add(1));
            let mut file = BlockFile::new(self.directory.join(file_name(self.shape.name, next)), next);
            file.append(at_ms, &block)?;
            self.files.push_back(file);
            return Ok(());
        }
        match self.files.back_mut() {
            Some(newest) => newest.append(at_ms, &block),
            None => Ok(()),
        }
    }

    /// Deletes the oldest files that are not wanted any more, if `more` bytes are to come.
    fn shrink(&mut self, more: u64) -> io::Result<()> {
        while let Some(oldest) = self.files.front() {
            let enough = self.blocks() - oldest.places.len() >= self.shape.kept;
            if !enough && self.bytes() + more <= self.shape.bytes {
                break;
            }
            match fs::remove_file(&oldest.path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => drop(self.files.pop_front()),
            }
        }
        Ok(())
    }

    fn blocks(&self) -> usize {
        self.files.iter().map(|file| file.places.len()).sum()
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// The blocks of a time, both ends included, by file and oldest first.
    pub(super) fn places(&self, since_ms: i64, until_ms: i64) -> Vec<(PathBuf, Vec<Place>)> {
        let of = |file: &BlockFile| {
            let places = file.places.iter().filter(|place| (since_ms..=until_ms).contains(&place.at_ms));
            (file.path.clone(), places.copied().collect::<Vec<_>>())
        };
        self.files.iter().map(of).filter(|(_, places)| !places.is_empty()).collect()
    }

    /// The last blocks for as long as `wanted` says yes of their times, oldest first.
    pub(super) fn last(&self, wanted: impl Fn(i64) -> bool) -> Vec<(PathBuf, Vec<Place>)> {
        let mut found = VecDeque::new();
        for file in self.files.iter().rev() {
            let places: Vec<Place> =
                file.places.iter().rev().copied().take_while(|place| wanted(place.at_ms)).collect();
            let all = places.len() == file.places.len();
            found.push_front((file.path.clone(), places.into_iter().rev().collect()));
            if !all {
                break;
            }
        }
        found.into()
    }

    /// The time of the newest block.
    pub(super) fn newest_ms(&self) -> Option<i64> {
        self.files.iter().rev().find_map(|file| file.places.last()).map(|place| place.at_ms)
    }
}

fn file_name(name: &str, number: u64) -> String {
    format!("{name}-{number:08}{ENDING}")
}

/// The number of a file with this name, if it is one of the series.
fn number(series: &str, name: &str) -> Option<u64> {
    let digits = name.strip_prefix(series)?.strip_prefix('-')?.strip_suffix(ENDING)?;
    let number = digits.parse().ok()?;
    // Each file has one name only.
    (file_name(series, number) == name).then_some(number)
}

/// Deletes all files of a series.
pub(super) fn clear(directory: &Path, series: &str) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|name| number(series, name).is_some()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::row::{Field, Sums};
    use super::*;
    use crate::test_dir::TestDir;
    use muster_protocol::id::HostId;

    const SHAPE: Shape = Shape { name: "minutes", in_file: 4, kept: 10, bytes: 1 << 20 };

    fn rows(cpu: i64) -> Vec<Row> {
        let mut sums = Sums::default();
        sums.add(Field::Cpu, cpu);
        vec![Row::of(HostId([1; 8]), &sums).expect("a row")]
    }

    fn times(series: &Series) -> Vec<i64> {
        let mut times = Vec::new();
        for (path, places) in series.places(i64::MIN, i64::MAX) {
            let damaged = super::super::file::read(&path, &places, &mut |at_ms, _| times.push(at_ms));
            assert_eq!(damaged.expect("it is read"), 0);
        }
        times
    }

    fn names(dir: &TestDir) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(dir.path())
            .expect("a directory")
            .map(|e| e.expect("one").file_name().into_string().expect("text"))
            .collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn the_oldest_files_go_when_there_are_enough_without_them() {
        let dir = TestDir::new();
        let mut series = Series::open(dir.path(), SHAPE).expect("empty");
        for at in 0..40 {
            series.append(at, &rows(at)).expect("appended");
        }
        assert_eq!(times(&series), (28..40).collect::<Vec<i64>>());
        assert_eq!(names(&dir), ["minutes-00000008.vitals", "minutes-00000009.vitals", "minutes-00000010.vitals"]);
        let again = Series::open(dir.path(), SHAPE).expect("opened");
        assert_eq!((times(&again), again.newest_ms()), (times(&series), Some(39)));
    }

    #[test]
    fn a_clock_that_jumps_deletes_nothing_and_times_are_found_all_the_same() {
        let dir = TestDir::new();
        let mut series = Series::open(dir.path(), SHAPE).expect("empty");
        for at in [0, 1_000_000_000_000, 1, i64::MAX, i64::MIN, 2] {
            series.append(at, &rows(1)).expect("appended");
        }
        assert_eq!(times(&series).len(), 6);
        let near: usize = series.places(0, 2).iter().map(|(_, places)| places.len()).sum();
        assert_eq!(near, 3);
        let last: usize = series.last(|at_ms| at_ms != 1).iter().map(|(_, places)| places.len()).sum();
        assert_eq!(last, 3, "those behind it");
    }

    #[test]
    fn bytes_are_bounded_whatever_a_block_takes() {
        let dir = TestDir::new();
        let shape = Shape { bytes: 2000, kept: 1000, in_file: 1000, ..SHAPE };
        let mut series = Series::open(dir.path(), shape).expect("empty");
        for at in 0..500 {
            series.append(at, &rows(at)).expect("appended");
            let on_disk: u64 = fs::read_dir(dir.path())
                .expect("a directory")
                .map(|e| e.expect("one").metadata().expect("its size").len())
                .sum();
            assert!(on_disk <= 2000 && on_disk == series.bytes());
        }
        let kept = times(&series);
        assert!(kept.len() > 30 && kept.last() == Some(&499), "{}", kept.len());
        let smaller = Series::open(dir.path(), Shape { bytes: 500, ..shape }).expect("opened");
        assert!(smaller.bytes() <= 500 && times(&smaller).last() == Some(&499));
    }

    #[test]
    fn what_a_power_cut_left_is_cut_off_and_the_rest_goes_on() {
        let dir = TestDir::new();
        let mut series = Series::open(dir.path(), SHAPE).expect("empty");
        for at in 0..3 {
            series.append(at, &rows(at)).expect("appended");
        }
        let path = dir.path().join("minutes-00000001.vitals");
        let whole = fs::read(&path).expect("a file");
        for (what, left) in [
            ("the end is missing", whole[..whole.len() - 3].to_vec()),
            ("half a header", [&whole[..], &whole[..5]].concat()),
            ("it was never written", [&whole[..], &[0; 300]].concat()),
            ("only its header was", [&whole[..whole.len() - 5], &[0; 5]].concat()),
            ("nonsense", [&whole[..], &[0xff; 300]].concat()),
        ] {
            fs::write(&path, left).expect("written");
            let mut series = Series::open(dir.path(), SHAPE).expect("opened");
            series.append(9, &rows(9)).expect("appended");
            let times = times(&Series::open(dir.path(), SHAPE).expect("opened"));
            assert!(times == [0, 1, 9] || times == [0, 1, 2, 9], "{what}: {times:?}");
        }
    }

    #[test]
    fn what_is_damaged_in_the_middle_is_left_out() {
        let dir = TestDir::new();
        let mut series = Series::open(dir.path(), SHAPE).expect("empty");
        for at in 0..3 {
            series.append(at, &rows(at)).expect("appended");
        }
        let path = dir.path().join("minutes-00000001.vitals");
        let mut bytes = fs::read(&path).expect("a file");
        bytes[block::HEADER + 3] ^= 1;
        fs::write(&path, bytes).expect("written");
        let mut seen = Vec::new();
        let places = series.places(0, 2).remove(0).1;
        let damaged = super::super::file::read(&path, &places, &mut |at_ms, _| seen.push(at_ms)).expect("it is read");
        assert_eq!((damaged, seen), (1, vec![1, 2]));
    }

    #[test]
    fn a_file_that_cannot_be_written_is_left_and_another_one_begun() {
        let dir = TestDir::new();
        let path = dir.path().join("minutes-00000007.vitals");
        std::os::unix::fs::symlink("/dev/full", &path).expect("a link");
        let mut series = Series::open(dir.path(), SHAPE).expect("opened");
        let full = series.append(1, &rows(1)).expect_err("there is no room");
        assert_eq!(full.kind(), ErrorKind::StorageFull);
        series.append(2, &rows(2)).expect("in another one");
        assert_eq!(times(&Series::open(dir.path(), SHAPE).expect("opened")), [2]);
        // One that is taken away.
        fs::remove_file(dir.path().join("minutes-00000008.vitals")).expect("removed");
        assert!(series.append(3, &rows(3)).is_err());
        fs::remove_file(&path).expect("removed");
        let mut series = Series::open(dir.path(), SHAPE).expect("opened");
        series.append(4, &rows(4)).expect("appended");
        assert_eq!(times(&series), [4]);
    }

    #[test]
    fn other_files_are_left_alone() {
        let dir = TestDir::new();
        for other in
            ["minutes-1.vitals", "minutes-00000001.vitals.new", "hours-00000001.vitals", "minutes--0000001.vitals"]
        {
            fs::write(dir.path().join(other), b"x").expect("written");
        }
        let mut series = Series::open(dir.path(), Shape { kept: 0, bytes: 0, ..SHAPE }).expect("empty");
        for at in 0..9 {
            series.append(at, &rows(at)).expect("appended");
        }
        clear(dir.path(), "minutes").expect("cleared");
        assert_eq!(names(&dir).len(), 4);
    }
}
