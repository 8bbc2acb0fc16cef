//! A data directory from a backup, as `muster restore` does it.

use super::Part;
use super::reader::Reader;
use super::save::Contents;
use crate::access::fleet_key::FleetKey;
use crate::store::{Restoring, StoreError, Write};
use std::fs::File;
use std::io::{BufReader, Seek, SeekFrom};
use std::path::Path;

/// Why there was no restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotRestored {
    /// The backup is not good: one line.
    Backup(String),
    /// The data directory is in use or not empty, or cannot be written.
    Store(StoreError),
}

impl From<StoreError> for NotRestored {
    fn from(error: StoreError) -> NotRestored {
        NotRestored::Store(error)
    }
}

/// Makes a data directory from a backup. All of the backup is checked before anything is touched. With `force` the
/// directory need not be empty: what is of the server in it is replaced, but for files that the backup does not have.
pub fn restore(backup: &Path, data_dir: &Path, force: bool) -> Result<Contents, NotRestored> {
    let shown = backup.display();
    let unreadable = |why: String| NotRestored::Backup(format!("{shown} cannot be restored: {why}"));
    let mut file = File::open(backup).map_err(|error| NotRestored::Backup(format!("cannot read {shown}: {error}")))?;
    let mut contents = Contents::default();
    each(&file, &mut |part, _| {
        contents.count(&part);
        Ok::<(), String>(())
    })
    .map_err(unreadable)?;
    file.seek(SeekFrom::Start(0)).map_err(|error| unreadable(error.to_string()))?;

    let mut restoring = Restoring::begin(data_dir, force)?;
    let mut failed = None;
    let again = each(&file, &mut |part, write| {
        let done = match (part, write) {
            (Part::File(name, content), _) => restoring.add_file(name, &content),
            (_, Some(write)) => restoring.add(write),
            _ => Ok(()),
        };
        done.map_err(|error| {
            let message = error.message.clone();
            failed = Some(error);
            message
        })
    });
    if let Some(error) = failed {
        return Err(error.into());
    }
    again.map_err(unreadable)?;
    restoring.finish(contents.newest_event)?;
    Ok(contents)
}

/// Whether the server could start there: its hosts know it by its key.
pub fn has_key(data_dir: &Path) -> bool {
    FleetKey::exists(data_dir)
}

/// Reads all of a backup, with the rows decoded.
fn each(file: &File, take: &mut dyn FnMut(Part, Option<Write>) -> Result<(), String>) -> Result<(), String> {
    let mut reader = Reader::new(BufReader::with_capacity(64 * 1024, file))?;
    let mut is_first = true;
    while let Some(part) = reader.next()? {
        let write = match &part {
            Part::About(_) if !is_first => return Err("it was damaged or changed".into()),
            Part::Row(table, row) => Some(table.read(row).map_err(|why| format!("a row of it {why}"))?),
            _ => None,
        };
        if is_first && !matches!(part, Part::About(_)) {
            return Err("it was damaged or changed".into());
        }
        is_first = false;
        take(part, write)?;
    }
    Ok(())
}
