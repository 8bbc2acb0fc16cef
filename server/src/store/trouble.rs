//! What can go wrong under a store, in the words of an operator.

use super::StoreError;
use redb::{DatabaseError, Error, StorageError};
use std::io::ErrorKind;
use std::path::Path;

/// Why a transaction did not come about.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The database is not well.
    Database(Error),
    /// A row cannot be written as bytes; the database is well.
    Row(postcard::Error),
    /// A row cannot be read: one line, without the file's name.
    Stored(String),
}

impl<E: Into<Error>> From<E> for Trouble {
    fn from(error: E) -> Trouble {
        Trouble::Database(error.into())
    }
}

impl Trouble {
    /// Whether the database refuses all work until it is opened again.
    pub(super) fn needs_reopening(&self) -> bool {
        matches!(self, Trouble::Database(Error::Io(_) | Error::PreviousIo))
    }

    /// For an operator. `doing` is such as `read` or `write`.
    pub(super) fn explain(&self, doing: &str, file: &Path) -> StoreError {
        let file = file.display();
        line(match self {
            Trouble::Database(Error::Io(error)) => match error.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                    format!("cannot {doing} {file}: {error}; free some space on its disk")
                }
                _ => format!("cannot {doing} {file}: {error}; look after its disk"),
            },
            Trouble::Database(Error::PreviousIo) => format!("cannot {doing} {file}: its disk failed a moment ago"),
            Trouble::Database(error) => {
                format!("cannot {doing} {file}: {error}; if this stays, stop the server and restore a backup")
            }
            Trouble::Row(error) => format!("cannot {doing} {file}: a row has no bytes ({error}); please report this"),
            Trouble::Stored(what) => format!("cannot {doing} {file}: {what}"),
        })
    }
}

/// Why `file` cannot be opened, for an operator.
pub(super) fn cannot_open(error: DatabaseError, file: &Path) -> StoreError {
    let file = file.display();
    line(match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            format!("another program has {file} open: end it first")
        }
        DatabaseError::Storage(StorageError::Io(error)) => match error.kind() {
            ErrorKind::InvalidData => foreign(&file),
            ErrorKind::UnexpectedEof => damaged(&file, "its end is missing"),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                format!("cannot open {file}: {error}; free some space on its disk")
            }
            _ => format!("cannot open {file}: {error}"),
        },
        DatabaseError::UpgradeRequired(version) => {
            format!("{file} has the old database format {version}, which this muster cannot read: restore a backup")
        }
        error => damaged(&file, &error.to_string()),
    })
}

/// The file is not ours.
pub(super) fn foreign(file: &dyn std::fmt::Display) -> String {
    format!("{file} is not a Muster store: move it away, or choose another data directory")
}

fn damaged(file: &dyn std::fmt::Display, how: &str) -> String {
    format!("{file} is damaged ({how}): restore a backup, or move the file away to begin with an empty fleet")
}

/// Whatever the system said, it stays one line.
pub(super) fn line(message: String) -> StoreError {
    StoreError { message: message.replace(['\n', '\r'], " ") }
}
