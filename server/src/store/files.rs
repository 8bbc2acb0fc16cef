//! The store's files: opened, made whole or not at all, and kept from other eyes.

use super::StoreError;
use super::overlay::Overlay;
use super::trouble::{Fault, Trouble, line};
use redb::{Builder, Database, DatabaseError, WriteTransaction};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Held for as long as a store is open. The files' own locks come and go when they are opened again.
pub(super) const LOCK_FILE: &str = "muster.lock";

/// What a new file's name ends with until it is whole, so that a power cut in the middle leaves nothing half-made.
pub(super) const NEW: &str = ".new";

/// Files up to this size are read and verified whole whenever they are opened, which takes seconds on a slow card.
/// Larger ones only after a crash.
const VERIFIED: u64 = 64 * 1024 * 1024;

/// One of the store's files.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// Where it is.
    pub path: PathBuf,
    /// Bytes of its pages that redb keeps in memory; redb's own default is a gigabyte.
    pub cache: usize,
}

impl Place {
    fn builder(&self) -> Builder {
        let mut builder = Builder::new();
        builder.set_cache_size(self.cache);
        builder
    }

    /// What went wrong with it.
    pub(super) fn fault(&self, trouble: impl Into<Trouble>) -> Fault {
        Fault { trouble: trouble.into(), file: self.path.clone() }
    }

    fn opening(&self, error: DatabaseError) -> Fault {
        Fault { trouble: Trouble::Open(error), file: self.path.clone() }
    }

    /// Opens it for writing.
    pub(super) fn open(&self) -> Result<Database, Fault> {
        let mut builder = self.builder();
        let length = fs::metadata(&self.path).map_err(|error| self.opening(error.into()))?.len();
        builder.set_check_integrity_on_open(length <= VERIFIED);
        builder.open(&self.path).map_err(|error| self.opening(error))
    }

    /// Opens it for reading, whatever state it was left in, without a write. Nobody may write it meanwhile.
    pub(super) fn open_overlay(&self) -> Result<Database, Fault> {
        File::open(&self.path)
            .and_then(Overlay::new)
            .map_err(DatabaseError::from)
            .and_then(|overlay| self.builder().create_with_backend(overlay))
            .map_err(|error| self.opening(error))
    }

    /// Makes an empty one, marked by `mark`, that is there whole or not at all.
    pub(super) fn make(&self, mark: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>) -> Result<(), Fault> {
        let mut new = self.path.clone().into_os_string();
        new.push(NEW);
        let new = Path::new(&new);
        let system = |error: io::Error| self.fault(Trouble::System("make", error));
        remove_if_there(new).map_err(system)?;
        let result = (|| {
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(new).map_err(system)?;
            let database = self.builder().create(new).map_err(|error| self.opening(error))?;
            let transaction = database.begin_write().map_err(|error| self.fault(error))?;
            mark(&transaction).map_err(|error| self.fault(error))?;
            transaction.commit().map_err(|error| self.fault(error))?;
            database.close().map_err(|error| self.opening(error))?;
            fs::rename(new, &self.path).and_then(|()| sync_parent(&self.path)).map_err(system)
        })();
        if result.is_err() {
            // It may be what fills the disk.
            let _ = fs::remove_file(new);
        }
        result
    }

    /// Whether it is there.
    pub(super) fn exists(&self) -> Result<bool, StoreError> {
        self.path.try_exists().map_err(|error| line(format!("cannot look for {}: {error}", self.path.display())))
    }

    /// Tells this file from another one that is put in its place; `None` if there is none.
    pub(super) fn identity(&self) -> Option<(u64, u64)> {
        fs::metadata(&self.path).ok().map(|about| (about.dev(), about.ino()))
    }

    /// Bytes that it takes on the disk, which can be less than its length.
    pub(super) fn size(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |about| about.blocks() * 512)
    }

    /// The file has hashes of credentials in it, or what happened on the hosts: nobody else may read it.
    pub(super) fn keep_private(&self) -> Result<(), StoreError> {
        let failed = |error| line(format!("cannot look after the permissions of {}: {error}", self.path.display()));
        let mode = fs::metadata(&self.path).map_err(failed)?.permissions().mode();
        if mode & 0o077 != 0 {
            fs::set_permissions(&self.path, Permissions::from_mode(0o600)).map_err(failed)?;
            log::warn!("{} could be read by others (mode {:o}): now it is 600", self.path.display(), mode & 0o7777);
        }
        Ok(())
    }
}

/// Makes a directory, and those above it, for its owner only, if it is missing.
pub(super) fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Removes a file, if it is there.
pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes the name of a file as durable as what is in it.
pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

/// One program at a time uses a data directory.
pub(crate) struct DirectoryLock(File);

impl DirectoryLock {
    /// Takes it, or says who else may have it.
    pub(crate) fn take(data_dir: &Path) -> Result<DirectoryLock, StoreError> {
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
