//! The files of the state directory: read within limits, replaced as a whole, gone again if the work failed.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What to do if a file of it cannot be read.
pub(crate) const BE_THE_OWNER: &str =
    "run this as root or as the state directory's owner, or name another directory with --state-dir";

/// Only the agent's user may look in.
const DIRECTORY_MODE: u32 = 0o700;
/// Directories above it that have to be made belong to others, too.
const PARENT_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o600;

/// The text of a file, or `None` if it does not exist.
///
/// What is no plain file, has more than `limit` bytes or is no UTF-8 is an error of kind `InvalidData`.
pub fn read(path: &Path, limit: usize) -> io::Result<Option<String>> {
    let text = |bytes| String::from_utf8(bytes).map_err(|_| unfit("it is no UTF-8 text"));
    read_bytes(path, limit)?.map(text).transpose()
}

/// As [`read`], for what is no text.
pub fn read_bytes(path: &Path, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let is_missing = |error: &io::Error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
    // Looked at before it is opened: opening a named pipe would wait.
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => return Err(unfit("it is no plain file")),
        Err(error) if is_missing(&error) => return Ok(None),
        other => other?,
    };
    let mut bytes = Vec::new();
    let file = match File::open(path) {
        Err(error) if is_missing(&error) => return Ok(None),
        other => other?,
    };
    file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(unfit(&format!("it is larger than {limit} bytes")));
    }
    Ok(Some(bytes))
}

/// As [`read`], for a file of somebody else's directory who is not to be trusted: what is read is the file of this name
/// itself, never what a link leads to, and it is left as it is.
///
/// What is no plain file, has a second name, or belongs neither to root nor to the directory's owner is an error of kind
/// `InvalidData`, too.
#[cfg(feature = "network")]
pub fn read_of_another(directory: &Path, name: &str, limit: usize) -> io::Result<Option<String>> {
    use rustix::fs::{Mode, OFlags, open, openat};
    use rustix::io::Errno;
    use std::os::unix::fs::MetadataExt;

    let directory = match open(directory, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        other => File::from(other?),
    };
    // Opening a named pipe would wait without the third one.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match openat(&directory, name, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP) => return Err(unfit("it is a symbolic link")),
        // A socket.
        Err(Errno::NXIO) => return Err(unfit("it is no plain file")),
        other => File::from(other?),
    };
    // Of what was opened: under its name there may be something else by now.
    let there = file.metadata()?;
    if !there.is_file() {
        return Err(unfit("it is no plain file"));
    }
    if there.nlink() != 1 {
        return Err(unfit("it has a second name, a hard link"));
    }
    if there.uid() != 0 && there.uid() != directory.metadata()?.uid() {
        return Err(unfit("it belongs neither to root nor to the owner of its directory"));
    }
    let mut bytes = Vec::new();
    if there.len() <= limit as u64 {
        file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    }
    if there.len().max(bytes.len() as u64) > limit as u64 {
        return Err(unfit(&format!("it is larger than {limit} bytes")));
    }
    String::from_utf8(bytes).map(Some).map_err(|_| unfit("it is no UTF-8 text"))
}

fn unfit(why: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}

/// Puts these bytes where a file's old content was, if there was any. After a power cut it has either the old or the
/// new content; after this returns, the new.
pub fn replace(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = write_aside(directory, name, bytes)?;
    let renamed = fs::rename(&temporary, directory.join(name));
    if renamed.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    renamed.and_then(|()| sync(directory))
}

/// As [`replace`], but only if there is no such file. Returns whether it was made.
///
/// Of two processes that do this at the same time one wins, wherever the file system has hard links.
pub fn create(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<bool> {
    let target = directory.join(name);
    let temporary = write_aside(directory, name, bytes)?;
    let linked = match fs::hard_link(&temporary, &target) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        // No hard links there (FAT, some network mounts).
        Err(_) if target.symlink_metadata().is_ok() => Ok(false),
        Err(_) => fs::rename(&temporary, &target).map(|()| true),
    };
    let _ = fs::remove_file(&temporary);
    let made = linked?;
    sync(directory)?;
    Ok(made)
}

/// Writes a file beside the one that is meant, down to the disk.
fn write_aside(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    let temporary = directory.join(format!(".{name}.{}", std::process::id()));
    // Process ids come again, in containers always the same.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    if let Err(error) = written {
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    Ok(temporary)
}

/// Removes a file for good. One that is not there is no error.
pub fn remove(directory: &Path, name: &str) -> io::Result<()> {
    match fs::remove_file(directory.join(name)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other.and_then(|()| sync(directory)),
    }
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Directories that were made, outermost first.
#[derive(Debug, Default)]
#[must_use = "needed to leave nothing behind"]
pub struct Made(Vec<PathBuf>);

impl Made {
    /// Removes them, as far as they are empty.
    pub fn undo(self) {
        for directory in self.0.iter().rev() {
            if fs::remove_dir(directory).is_err() {
                break;
            }
        }
    }
}

/// Makes the state directory and what is missing above it. If that fails, what was made is gone again.
pub fn make(directory: &Path) -> io::Result<Made> {
    let missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
    let mut wanted: Vec<&Path> = directory.ancestors().take_while(missing).collect();
    wanted.reverse();
    let mut made = Made::default();
    for path in wanted {
        let mode = if path == directory { DIRECTORY_MODE } else { PARENT_MODE };
        match DirBuilder::new().mode(mode).create(path) {
            Ok(()) => made.0.push(path.to_owned()),
            // Someone else was faster.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
            Err(error) => {
                made.undo();
                return Err(error);
            }
        }
        // Else a power cut could take the directory away, and with it the host's identity.
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if let Err(error) = sync(parent) {
            log::debug!("cannot sync {}: {error}", parent.display());
        }
    }
    Ok(made)
}

/// A directory for a test, removed when dropped.
#[cfg(test)]
pub(crate) struct TestDir(PathBuf);

#[cfg(test)]
impl TestDir {
    pub(crate) fn new() -> TestDir {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("muster-agent-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        DirBuilder::new().mode(DIRECTORY_MODE).create(&path).unwrap();
        TestDir(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

#[cfg(test)]
impl Drop for TestDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn names(path: &Path) -> Vec<String> {
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn what_is_read_has_limits() {
        let dir = TestDir::new();
        let file = dir.path().join("f");
        assert_eq!(read(&file, 4).unwrap(), None);
        assert_eq!(read(&dir.path().join("f/below"), 4).unwrap(), None);
        fs::write(&file, "four").unwrap();
        assert_eq!(read(&file, 4).unwrap().as_deref(), Some("four"));
        assert_eq!(read(&file, 3).unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!(read(dir.path(), 3).unwrap_err().kind(), ErrorKind::InvalidData);
        fs::write(&file, b"\xff").unwrap();
        assert_eq!(read(&file, 4).unwrap_err().kind(), ErrorKind::InvalidData);
    }

    #[test]
    fn files_are_private_and_nothing_stays_beside_them() {
        let dir = TestDir::new();
        let leftover = dir.path().join(format!(".f.{}", std::process::id()));
        fs::write(&leftover, "of a crash").unwrap();
        assert!(create(dir.path(), "f", b"first").unwrap());
        assert!(!create(dir.path(), "f", b"second").unwrap());
        assert_eq!(fs::read(dir.path().join("f")).unwrap(), b"first");
        replace(dir.path(), "f", b"third").unwrap();
        assert_eq!(fs::read(dir.path().join("f")).unwrap(), b"third");
        assert_eq!(mode(&dir.path().join("f")), 0o600);
        assert_eq!(names(dir.path()), ["f"]);
        remove(dir.path(), "f").unwrap();
        remove(dir.path(), "f").unwrap();
        assert!(names(dir.path()).is_empty());
        fs::create_dir(dir.path().join("d")).unwrap();
        assert!(replace(dir.path(), "d", b"x").is_err());
        assert_eq!(names(dir.path()), ["d"]);
    }

    #[test]
    fn only_what_was_made_is_undone_and_only_if_empty() {
        let dir = TestDir::new();
        let deep = dir.path().join("a/b/c");
        let made = make(&deep).unwrap();
        assert_eq!(mode(&deep), 0o700);
        made.undo();
        assert!(names(dir.path()).is_empty());
        let made = make(&deep).unwrap();
        fs::write(dir.path().join("a/other"), "").unwrap();
        made.undo();
        assert_eq!(names(&dir.path().join("a")), ["other"]);
        make(&dir.path().join("a")).unwrap().undo();
        assert!(dir.path().join("a").exists());
        assert!(make(&dir.path().join("a/other/below")).is_err());
    }
}
