//! One file: blocks, appended, and never changed.

use super::block::{HEADER, Header};
use super::row::Row;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Where a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The beginning of its minute or hour.
    pub at_ms: i64,
    offset: u64,
}

/// A file and its blocks.
#[derive(Debug, Clone)]
pub(super) struct BlockFile {
    /// Where it is.
    pub path: PathBuf,
    /// Grows by one with each file of a series.
    pub number: u64,
    /// In the order in which they were written, which is that of time unless the clock was set.
    pub places: Vec<Place>,
    /// Its size as far as it is good, in bytes.
    pub bytes: u64,
    /// Something else than blocks stands behind them: nothing may be appended before it is cut off.
    pub is_torn: bool,
}

impl BlockFile {
    /// One that is not there yet.
    pub(super) fn new(path: PathBuf, number: u64) -> BlockFile {
        BlockFile { path, number, places: Vec::new(), bytes: 0, is_torn: false }
    }

    /// Looks through one that is there. Only headers are read, which say where the next one is.
    pub(super) fn open(path: PathBuf, number: u64) -> io::Result<BlockFile> {
        let file = File::open(&path)?;
        let size = file.metadata()?.len();
        let mut found = BlockFile::new(path, number);
        while let Some(header) = header_at(&file, found.bytes)? {
            let end = found.bytes + (HEADER + header.length) as u64;
            if end > size {
                break;
            }
            found.places.push(Place { at_ms: header.at_ms, offset: found.bytes });
            found.bytes = end;
        }
        found.is_torn = found.bytes < size;
        Ok(found)
    }

    /// Lets go of what a power cut has left at the end: what is no whole block with the right sum. To be called before
    /// something is appended.
    pub(super) fn mend(&mut self) -> io::Result<()> {
        let file = File::open(&self.path)?;
        // What was written last may not have reached the disk, whatever its header says.
        while let Some(last) = self.places.last() {
            if read_block(&file, last.offset)?.is_some() {
                break;
            }
            self.bytes = last.offset;
            self.is_torn = true;
            self.places.pop();
        }
        if self.is_torn {
            OpenOptions::new().write(true).open(&self.path)?.set_len(self.bytes)?;
            self.is_torn = false;
        }
        Ok(())
    }

    /// Appends a block. If that fails, the file is as before, or [torn](BlockFile::is_torn).
    pub(super) fn append(&mut self, at_ms: i64, block: &[u8]) -> io::Result<()> {
        // One that somebody has taken away is not made anew with nothing where its blocks were.
        let is_new = self.places.is_empty();
        let mut file = OpenOptions::new().write(true).create(is_new).truncate(is_new).mode(0o600).open(&self.path)?;
        let written = file.seek(SeekFrom::Start(self.bytes)).and_then(|_| file.write_all(block));
        if let Err(error) = written {
            self.is_torn = file.set_len(self.bytes).is_err();
            return Err(error);
        }
        self.places.push(Place { at_ms, offset: self.bytes });
        self.bytes += block.len() as u64;
        Ok(())
    }
}

/// Reads those blocks of a file. What is damaged is left out: how many blocks that was. A file that is gone has none.
pub(super) fn read(path: &Path, places: &[Place], take: &mut dyn FnMut(i64, Vec<Row>)) -> io::Result<u64> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        file => file?,
    };
    let mut damaged = 0;
    for place in places {
        match read_block(&file, place.offset)? {
            Some((at_ms, rows)) => take(at_ms, rows),
            None => damaged += 1,
        }
    }
    Ok(damaged)
}

/// The header at a place; `None` if there is none.
fn header_at(file: &File, offset: u64) -> io::Result<Option<Header>> {
    let mut bytes = [0; HEADER];
    match file.read_exact_at(&mut bytes, offset) {
        Ok(()) => Ok(Header::read(&bytes)),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// The block at a place; `None` if it is damaged.
fn read_block(file: &File, offset: u64) -> io::Result<Option<(i64, Vec<Row>)>> {
    let Some(header) = header_at(file, offset)? else { return Ok(None) };
    let mut body = Vec::new();
    let mut reader = file;
    reader.seek(SeekFrom::Start(offset + HEADER as u64))?;
    reader.take(header.length as u64).read_to_end(&mut body)?;
    if body.len() < header.length {
        return Ok(None);
    }
    Ok(header.rows(&body).map(|rows| (header.at_ms, rows)))
}
