//! A backup into a file, as `muster backup` does it.

use super::reader::Reader;
use super::writer::Writer;
use super::{FILES, Part};
use crate::access::docker_ca;
use crate::store::copying::Table;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Bytes of a file that a backup takes along.
const FILE_LIMIT: u64 = 64 * 1024;

/// What a backup has in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// When it was made, in RFC 3339.
    pub made_at: String,
    /// The id of the newest event that the server had stored then.
    pub newest_event: u64,
    /// Hosts, those that were removed too.
    pub hosts: u64,
    /// Events.
    pub events: u64,
    /// Files, by their names in the data directory.
    pub files: Vec<&'static str>,
}

impl Contents {
    pub(super) fn count(&mut self, part: &Part) {
        match part {
            Part::About(about) => {
                self.made_at = about.made_at.clone();
                self.newest_event = about.newest_event;
            }
            Part::File(name, _) => self.files.push(name),
            Part::Row(Table::Hosts, _) => self.hosts += 1,
            Part::Row(Table::Events, _) => self.events += 1,
            Part::Row(..) => {}
        }
    }
}

/// Writes what the server gives, and files of its data directory if that is on this machine, to `path`: whole or not
/// at all, readable by its owner only. `progress` is told now and then how far it is.
///
/// # Errors
/// What could not be done, in one line.
pub fn save(
    path: &Path,
    from: impl Read,
    data_dir: Option<&Path>,
    progress: &mut dyn FnMut(&Contents),
) -> Result<Contents, String> {
    let new = PathBuf::from(format!("{}.new", path.display()));
    let cannot = |error: io::Error| format!("cannot write {}: {error}", path.display());
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(cannot(error)),
        _ => {}
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).map_err(cannot)?;
    let result = copy(file, from, data_dir, progress, &cannot).and_then(|contents| {
        fs::rename(&new, path).and_then(|()| sync_directory(path)).map_err(cannot)?;
        Ok(contents)
    });
    if result.is_err() {
        let _ = fs::remove_file(&new);
    }
    result
}

fn copy(
    file: File,
    from: impl Read,
    data_dir: Option<&Path>,
    progress: &mut dyn FnMut(&Contents),
    cannot: &dyn Fn(io::Error) -> String,
) -> Result<Contents, String> {
    let mut output = BufWriter::new(file);
    let mut reader = Reader::new(BufReader::new(from)).map_err(|why| format!("what the server gave: {why}"))?;
    let mut writer = Writer::new();
    let mut contents = Contents::default();
    let files = data_dir.map(read_files).transpose()?;
    let mut parts: u64 = 0;
    while let Some(part) = reader.next().map_err(|why| format!("what the server gave: {why}"))? {
        let is_about = matches!(part, Part::About(_));
        let more = if is_about { files.as_deref().unwrap_or_default() } else { &[] };
        for part in std::iter::once(&part).chain(more) {
            contents.count(part);
            writer.add(part);
        }
        output.write_all(&writer.take()).map_err(cannot)?;
        parts += 1;
        if parts.is_multiple_of(10_000) {
            progress(&contents);
        }
    }
    writer.end();
    output.write_all(&writer.take()).map_err(cannot)?;
    // Keys that change meanwhile would not be those of the rows.
    if files != data_dir.map(read_files).transpose()? {
        return Err("the server's keys have changed meanwhile: try again".into());
    }
    let file = output.into_inner().map_err(|error| cannot(error.into_error()))?;
    file.sync_all().map_err(cannot)?;
    Ok(contents)
}

fn read_files(data_dir: &Path) -> Result<Vec<Part>, String> {
    let read = |name: &'static str| {
        let path = data_dir.join(name);
        let mut content = Vec::new();
        let result = File::open(&path).and_then(|file| file.take(FILE_LIMIT + 1).read_to_end(&mut content));
        match result {
            Ok(_) if content.len() as u64 > FILE_LIMIT => Err(format!("{} is too large", path.display())),
            Ok(_) => Ok(Some(Part::File(name, content))),
            // There is none before the Docker API is served to other machines.
            Err(error) if name == docker_ca::FILE && error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("cannot read {}: {error}; run this as the server's user", path.display())),
        }
    };
    FILES.into_iter().filter_map(|name| read(name).transpose()).collect()
}

fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}
