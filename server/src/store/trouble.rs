//! What can go wrong under a store, in the words of an operator.

use super::StoreError;
use redb::{DatabaseError, Error, StorageError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// What went wrong, and with which file.
#[derive(Debug)]
pub(super) struct Fault {
    /// What.
    pub trouble: Trouble,
    /// Where.
    pub file: PathBuf,
}

impl Fault {
    /// For an operator. `doing` is such as `read` or `write`.
    pub(super) fn explain(&self, doing: &str) -> StoreError {
        self.trouble.explain(doing, &self.file)
    }
}

/// Why a transaction did not come about.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The database is not well.
    Database(Error),
    /// A row cannot be written as bytes; the database is well.
    Row(postcard::Error),
    /// What is stored makes no sense: one line, without the file's name.
    Stored(String),
    /// The file cannot be opened.
    Open(DatabaseError),
    /// The system does not do what it should with the file, such as `make`.
    System(&'static str, io::Error),
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

    /// Whether it is only that there is no room, which may come back.
    pub(super) fn is_full(&self) -> bool {
        match self {
            Trouble::Database(Error::Io(error))
            | Trouble::Open(DatabaseError::Storage(StorageError::Io(error)))
            | Trouble::System(_, error) => is_full(error),
            _ => false,
        }
    }

    /// For an operator. `doing` is such as `read` or `write`.
    pub(super) fn explain(&self, doing: &str, shown: &Path) -> StoreError {
        let file = shown.display();
        line(match self {
            Trouble::Open(error) => return cannot_open(error, shown),
            Trouble::System(_, error) | Trouble::Database(Error::Io(error)) if is_full(error) => {
                format!("cannot {doing} {file}: {error}; free some space on its disk")
            }
            Trouble::System(doing, error) => format!("cannot {doing} {file}: {error}; look after its disk"),
            Trouble::Database(Error::Io(error)) => format!("cannot {doing} {file}: {error}; look after its disk"),
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
fn cannot_open(error: &DatabaseError, file: &Path) -> StoreError {
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

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
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
