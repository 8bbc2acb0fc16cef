//! A file that is read and never written: what would be written stays in memory.
//!
//! A database that was not closed well must be repaired before it can be read, and a repair writes. On a disk that
//! is full, or that takes no writes at all, this is how the history can be read nevertheless.

use redb::StorageBackend;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The unit in which changes are kept; redb writes in pages of this size.
const BLOCK: usize = 4096;

/// Bytes that may be changed. A repair notes one bit for each page of the file: this is enough for terabytes.
const CHANGED_MAX: usize = 64 * 1024 * 1024;

/// A file, and changes to it that will be forgotten.
#[derive(Debug)]
pub(super) struct Overlay {
    file: File,
    changes: Mutex<Changes>,
}

#[derive(Debug)]
struct Changes {
    length: u64,
    /// By their number; each [`BLOCK`] bytes long.
    blocks: BTreeMap<u64, Vec<u8>>,
}

impl Overlay {
    /// The file as it is. Nobody may change it from now on.
    pub(super) fn new(file: File) -> io::Result<Overlay> {
        let length = file.metadata()?.len();
        Ok(Overlay { file, changes: Mutex::new(Changes { length, blocks: BTreeMap::new() }) })
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of the file; zeros behind its end.
    fn read_file(&self, mut offset: u64, mut out: &mut [u8]) -> io::Result<()> {
        while !out.is_empty() {
            match self.file.read_at(out, offset) {
                Ok(0) => {
                    out.fill(0);
                    return Ok(());
                }
                Ok(count) => {
                    out = &mut out[count..];
                    offset += count as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Cuts `length` bytes from `offset` on at the borders of blocks: block, offset in it, bytes.
fn pieces(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, usize)> {
    let end = offset + length as u64;
    let mut at = offset;
    std::iter::from_fn(move || {
        if at == end {
            return None;
        }
        let inside = (at % BLOCK as u64) as usize;
        let count = (BLOCK - inside).min((end - at) as usize);
        let piece = (at / BLOCK as u64, inside, count);
        at += count as u64;
        Some(piece)
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.changes().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let changes = self.changes();
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > changes.length) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let mut rest = out;
        for (block, inside, count) in pieces(offset, rest.len()) {
            let (piece, after) = rest.split_at_mut(count);
            match changes.blocks.get(&block) {
                Some(changed) => piece.copy_from_slice(&changed[inside..inside + count]),
                None => self.read_file(block * BLOCK as u64 + inside as u64, piece)?,
            }
            rest = after;
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut changes = self.changes();
        if length < changes.length {
            // What comes back after a shrink has to be zero, and the file still has the old bytes there.
            return Err(ErrorKind::Unsupported.into());
        }
        changes.length = length;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut changes = self.changes();
        let mut rest = data;
        for (block, inside, count) in pieces(offset, data.len()) {
            if !changes.blocks.contains_key(&block) {
                if (changes.blocks.len() + 1) * BLOCK > CHANGED_MAX {
                    return Err(ErrorKind::OutOfMemory.into());
                }
                let mut before = vec![0; BLOCK];
                self.read_file(block * BLOCK as u64, &mut before)?;
                changes.blocks.insert(block, before);
            }
            let (piece, after) = rest.split_at(count);
            if let Some(changed) = changes.blocks.get_mut(&block) {
                changed[inside..inside + count].copy_from_slice(piece);
            }
            rest = after;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_dir::TestDir;
    use std::fs;

    #[test]
    fn changes_stay_in_memory() {
        let directory = TestDir::new();
        let path = directory.path().join("file");
        let bytes: Vec<u8> = (0..10_000_u32).map(|number| number as u8).collect();
        fs::write(&path, &bytes).expect("written");
        let overlay = Overlay::new(File::open(&path).expect("opened")).expect("overlay");
        let mut expected = bytes.clone();
        // Across borders of blocks, inside one, and over what was changed before.
        for (offset, length) in [(4_000, 200), (8_191, 2), (100, 1), (4_100, 4_200), (0, 10_000)] {
            let data = vec![offset as u8 | 1; length];
            overlay.write(offset as u64, &data).expect("write");
            expected[offset..offset + length].copy_from_slice(&data);
            let mut read = vec![0; bytes.len()];
            overlay.read(0, &mut read).expect("read");
            assert_eq!(read, expected);
        }
        assert_eq!(fs::read(&path).expect("there"), bytes);
    }

    #[test]
    fn it_grows_with_zeros_and_ends_where_it_says() {
        let directory = TestDir::new();
        let path = directory.path().join("file");
        fs::write(&path, [7; 5_000]).expect("written");
        let overlay = Overlay::new(File::open(&path).expect("opened")).expect("overlay");
        let mut read = vec![1; 10];
        assert_eq!(overlay.read(4_991, &mut read).map_err(|error| error.kind()), Err(ErrorKind::UnexpectedEof));
        assert_eq!(overlay.read(u64::MAX, &mut read).map_err(|error| error.kind()), Err(ErrorKind::UnexpectedEof));
        overlay.set_len(20_000).expect("grown");
        overlay.read(4_995, &mut read).expect("read");
        assert_eq!(read, [7, 7, 7, 7, 7, 0, 0, 0, 0, 0]);
        overlay.write(19_995, &[3; 5]).expect("write");
        overlay.read(19_990, &mut read).expect("read");
        assert_eq!(read, [0, 0, 0, 0, 0, 3, 3, 3, 3, 3]);
        assert_eq!(overlay.len().expect("length"), 20_000);
    }
}
