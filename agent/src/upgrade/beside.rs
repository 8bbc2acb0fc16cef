//! The files beside the agent's program, and the order in which one agent takes the place of the other: whenever the power
//! goes, there is a whole one to start.
//!
//! - `.new` is on its way,
//! - `.previous` is the one from before, which stays,
//! - `.trial` says that the new one has not reported yet: it names the life of the machine and the process that waits for
//!   that. If that process is gone, `packaging/install/before-start.sh` puts the one from before back at the next start,
//! - `.upgrade` keeps a second upgrade out while one is under way, in the same words.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Programs are for everybody to read and run, and for root to change.
const MODE: u32 = 0o755;
/// A machine's life and a process.
const MARK: u64 = 128;

/// The files of one program.
#[derive(Debug, Clone)]
pub struct Beside {
    program: PathBuf,
    /// This life of the machine.
    boot: String,
    /// Where `proc` is: `/`, but for tests.
    root: PathBuf,
}

impl Beside {
    /// Of the program at this path, in this life of the machine.
    pub fn of(program: PathBuf, boot: String, root: &Path) -> Beside {
        Beside { program, boot, root: root.into() }
    }

    /// The program itself.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// A file beside it.
    pub fn path(&self, what: &str) -> PathBuf {
        let mut name = OsString::from(&self.program);
        name.push(format!(".{what}"));
        name.into()
    }

    /// Keeps other upgrades out until what this returns is dropped; `None` if one is under way.
    pub fn lock(&self) -> io::Result<Option<Lock>> {
        let path = self.path("upgrade");
        for _ in 0..2 {
            match self.mark(&path) {
                Ok(()) => return Ok(Some(Lock(path))),
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                Err(_) if self.is_alive(&path) => return Ok(None),
                Err(_) => fs::remove_file(&path)?,
            }
        }
        Ok(None)
    }

    /// Whether a trial was begun that has not ended.
    pub fn on_trial(&self) -> bool {
        self.path("trial").symlink_metadata().is_ok()
    }

    /// An empty file for the new program. What an earlier upgrade has left is removed.
    pub fn make_new(&self) -> io::Result<File> {
        let path = self.path("new");
        remove(&path)?;
        OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)
    }

    /// What was written of the new program is of no use.
    pub fn drop_new(&self) {
        let _ = remove(&self.path("new"));
    }

    /// Puts the new program in place, on trial if somebody waits for it to report, and keeps the one from before.
    pub fn swap(&self, on_trial: bool) -> io::Result<()> {
        let (new, previous) = (self.path("new"), self.path("previous"));
        // Whatever the process' mask made of it.
        fs::set_permissions(&new, Permissions::from_mode(MODE))?;
        File::open(&new)?.sync_all()?;
        remove(&previous)?;
        if fs::hard_link(&self.program, &previous).is_err() {
            // No hard links there.
            fs::copy(&self.program, &previous)?;
            File::open(&previous)?.sync_all()?;
        }
        self.sync()?;
        if on_trial {
            self.mark(&self.path("trial"))?;
            self.sync()?;
        }
        fs::rename(&new, &self.program)?;
        self.sync()
    }

    /// The new program has reported.
    pub fn keep(&self) -> io::Result<()> {
        remove(&self.path("trial"))?;
        self.sync()
    }

    /// Puts the one from before back, and ends the trial.
    pub fn go_back(&self) -> io::Result<()> {
        fs::rename(self.path("previous"), &self.program)?;
        self.sync()?;
        self.keep()
    }

    /// Names this life of the machine and this process, in a file that must not be there yet.
    fn mark(&self, path: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)?;
        file.write_all(format!("{} {}\n", self.boot, std::process::id()).as_bytes())?;
        file.sync_all()
    }

    /// Whether the process that a file names is still there.
    fn is_alive(&self, path: &Path) -> bool {
        let mut text = String::new();
        let read = File::open(path).and_then(|file| file.take(MARK).read_to_string(&mut text));
        let named = text.trim().split_once(' ').filter(|_| read.is_ok());
        named.is_some_and(|(boot, process)| {
            let is_number = process.parse::<u32>().is_ok();
            boot == self.boot && is_number && self.root.join("proc").join(process).exists()
        })
    }

    fn sync(&self) -> io::Result<()> {
        File::open(self.program.parent().unwrap_or(Path::new("/")))?.sync_all()
    }
}

/// Removed when it is dropped.
#[derive(Debug)]
#[must_use = "it ends when it is dropped"]
pub struct Lock(PathBuf);

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::join::state_dir::TestDir;

    fn place(boot: &str) -> (TestDir, Beside) {
        let dir = TestDir::new();
        let program = dir.path().join("agent");
        fs::write(&program, "old").unwrap();
        (dir, Beside::of(program, boot.into(), Path::new("/")))
    }

    fn write_new(beside: &Beside, text: &str) {
        beside.make_new().unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn the_new_one_takes_the_place_and_the_old_one_can_come_back() {
        let (_dir, beside) = place("boot");
        fs::write(beside.path("new"), "a rest").unwrap();
        write_new(&beside, "new");
        beside.swap(true).unwrap();
        assert_eq!((read(beside.program()), read(&beside.path("previous"))), ("new".into(), "old".into()));
        assert_eq!(read(&beside.path("trial")), format!("boot {}\n", std::process::id()));
        assert_eq!(fs::metadata(beside.program()).unwrap().permissions().mode() & 0o777, 0o755);
        assert!(beside.on_trial());
        beside.go_back().unwrap();
        assert_eq!(read(beside.program()), "old");
        assert!(!beside.on_trial() && !beside.path("previous").exists() && !beside.path("new").exists());

        write_new(&beside, "newer");
        beside.swap(true).unwrap();
        beside.keep().unwrap();
        assert!(!beside.on_trial());
        write_new(&beside, "newest");
        beside.swap(false).unwrap();
        assert_eq!((read(beside.program()), read(&beside.path("previous"))), ("newest".into(), "newer".into()));
        assert!(!beside.on_trial());
    }

    #[test]
    fn one_upgrade_at_a_time_and_one_that_died_keeps_nobody_out() {
        let (dir, beside) = place("boot");
        let lock = beside.lock().unwrap().unwrap();
        assert!(beside.lock().unwrap().is_none());
        // The same numbers in another life of the machine are another process.
        let later = Beside::of(beside.program().into(), "later".into(), Path::new("/"));
        drop(later.lock().unwrap().unwrap());
        drop(lock);
        fs::write(beside.path("upgrade"), "boot 1").unwrap();
        let nobody = Beside::of(beside.program().into(), "boot".into(), dir.path());
        drop(nobody.lock().unwrap().unwrap());
        fs::write(beside.path("upgrade"), "").unwrap();
        drop(beside.lock().unwrap().unwrap());
        assert!(!beside.path("upgrade").exists());
    }
}
