//! The state directory: whether the agent can keep there what it has to remember.

use super::finding::{Check, Finding};
use crate::command::exit::Exit;
use crate::join::state_dir;
use crate::spool;
use rustix::fs::{StatVfsMountFlags, statvfs};
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// With less than this nothing can be stored: an identity has some hundred bytes, but a file system deals in blocks.
const NEEDED: u64 = 1024 * 1024;
/// With less than this it will soon be full.
const SCARCE: u64 = 32 * 1024 * 1024;
/// For the engine: images and containers' logs grow by such steps.
const ENGINE_SCARCE: u64 = 256 * 1024 * 1024;

/// Room of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    free: u64,
    total: u64,
    no_inodes: bool,
    read_only: bool,
}

/// Of the file system that has this path; `None` if it is not known.
pub(super) fn room(path: &Path) -> Option<Room> {
    let it = statvfs(path).ok()?;
    Some(Room {
        free: it.f_bavail.saturating_mul(it.f_frsize),
        total: it.f_blocks.saturating_mul(it.f_frsize),
        // Some file systems have as many as they like, and say 0 of 0.
        no_inodes: it.f_files > 0 && it.f_favail == 0,
        read_only: it.f_flag.contains(StatVfsMountFlags::RDONLY),
    })
}

/// The state directory, and the spool if there is one.
pub(super) fn look(directory: &Path, limit: usize) -> Vec<Finding> {
    let mut findings = vec![state(directory)];
    if limit > 0 {
        findings.push(of_spool(directory, limit));
    }
    findings
}

fn state(directory: &Path) -> Finding {
    let failure = |what: String, advice: &str| Finding::failure(Check::State, Exit::Failed, what, advice);
    let shown = directory.display();
    let metadata = match fs::metadata(directory) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Finding::okay(Check::State, format!("{shown} is not there yet: joining makes it"));
        }
        Err(error) => return failure(format!("{shown}: {error}"), state_dir::BE_THE_OWNER),
    };
    if !metadata.is_dir() {
        return failure(format!("{shown} is no directory"), "remove it, or name another one with --state-dir");
    }
    if let Some(finding) = room(directory).and_then(|room| of_room(&shown.to_string(), room)) {
        return finding;
    }
    match try_to_write(directory) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return failure(format!("this user may not write in {shown}"), state_dir::BE_THE_OWNER);
        }
        Err(error) => return failure(format!("cannot write in {shown}: {error}"), "see the kernel's log (dmesg)"),
        Ok(()) => {}
    }
    if let Some(finding) = of_mode(&shown.to_string(), &metadata) {
        return finding;
    }
    let free = room(directory).map_or_else(|| "unknown".to_owned(), |room| size(room.free));
    Finding::okay(Check::State, format!("{shown} can be written, {free} free"))
}

/// Writes as the agent would, and leaves nothing.
fn try_to_write(directory: &Path) -> std::io::Result<()> {
    let name = format!("doctor.{}", std::process::id());
    state_dir::replace(directory, &name, b"may be removed\n")?;
    state_dir::remove(directory, &name)
}

fn of_room(shown: &str, room: Room) -> Option<Finding> {
    let failure = |what: String, advice: &str| Some(Finding::failure(Check::State, Exit::Failed, what, advice));
    if room.read_only {
        return failure(
            format!("{shown} is on a disk that cannot be written"),
            "mount it writable, or name another directory with --state-dir",
        );
    }
    if room.no_inodes {
        return failure(
            format!("the disk of {shown} has room for no further file"),
            "remove files there that nobody needs",
        );
    }
    if room.free < NEEDED {
        return failure(format!("the disk of {shown} is full: {} free", size(room.free)), "make room there");
    }
    (room.free < SCARCE).then(|| {
        Finding::warning(
            Check::State,
            format!("the disk of {shown} has only {} left", size(room.free)),
            "make room there",
        )
    })
}

fn of_mode(shown: &str, metadata: &Metadata) -> Option<Finding> {
    let mode = metadata.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then(|| {
        Finding::warning(
            Check::State,
            format!("others may look into {shown} (mode {mode:o})"),
            format!("chmod 700 {shown}"),
        )
    })
}

fn of_spool(directory: &Path, limit: usize) -> Finding {
    let path = directory.join(spool::FILE);
    let used = match fs::metadata(&path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == ErrorKind::NotFound => 0,
        Err(error) => {
            return Finding::failure(
                Check::Spool,
                Exit::Failed,
                format!("{}: {error}", path.display()),
                state_dir::BE_THE_OWNER,
            );
        }
    };
    let limit = limit as u64;
    if room(directory).is_some_and(|room| room.free + used < limit) {
        return Finding::warning(
            Check::Spool,
            format!("there is no room for a spool of {}", size(limit)),
            "make room there",
        );
    }
    match used {
        0 => Finding::okay(Check::Spool, format!("it is empty, and may have {}", size(limit))),
        _ => Finding::okay(Check::Spool, format!("{} of {} wait for the server", size(used), size(limit))),
    }
}

/// Where the engine keeps images and containers.
pub(super) fn of_engine(path: &str, room: Room) -> Finding {
    let left = format!("{} of {} free at {path}", size(room.free), size(room.total));
    if room.no_inodes {
        let what = format!("the disk of {path} has room for no further file: containers cannot be made");
        return Finding::warning(Check::Disk, what, "docker system prune removes what is not in use");
    }
    if room.free < ENGINE_SCARCE {
        let what = format!("only {left}: containers will not be able to write");
        return Finding::warning(Check::Disk, what, "docker system prune removes what is not in use");
    }
    Finding::okay(Check::Disk, left)
}

/// Bytes, in the largest unit of which there are some.
fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = UNITS.into_iter().find(|(unit, _)| bytes >= *unit);
    unit.map_or_else(|| format!("{bytes} bytes"), |(unit, name)| format!("{} {name}", bytes / unit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::doctor::State;
    use crate::join::state_dir::TestDir;

    const WELL: Room = Room { free: 10 << 30, total: 30 << 30, no_inodes: false, read_only: false };

    #[test]
    fn a_directory_that_can_be_written_stays_as_it_was() {
        let dir = TestDir::new();
        let finding = state(dir.path());
        assert_eq!(finding.state, State::Okay, "{finding}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(state(&dir.path().join("not/yet")).what.contains("joining makes it"));
    }

    #[test]
    fn a_directory_that_others_may_look_into_or_that_is_none() {
        let dir = TestDir::new();
        let open = dir.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
        let finding = state(&open);
        assert_eq!(finding.state, State::Warning);
        assert!(finding.advice.unwrap().starts_with("chmod 700 /"));
        fs::write(dir.path().join("file"), "").unwrap();
        assert!(state(&dir.path().join("file")).what.ends_with("is no directory"));
        assert_eq!(state(&dir.path().join("file/below")).state, State::Failure(Exit::Failed));
    }

    #[test]
    fn room_is_judged() {
        let of = |room| of_room("/x", room).map(|finding| finding.state);
        assert_eq!(of(WELL), None);
        assert_eq!(of(Room { free: 20 << 20, ..WELL }), Some(State::Warning));
        let failure = Some(State::Failure(Exit::Failed));
        assert_eq!(of(Room { free: 4096, ..WELL }), failure);
        assert_eq!(of(Room { no_inodes: true, ..WELL }), failure);
        assert_eq!(of(Room { read_only: true, ..WELL }), failure);
        assert_eq!(of_engine("/d", WELL).what, "10 GiB of 30 GiB free at /d");
        assert_eq!(of_engine("/d", Room { free: 5 << 20, ..WELL }).state, State::Warning);
        assert_eq!(of_engine("/d", Room { no_inodes: true, ..WELL }).state, State::Warning);
        assert!(room(Path::new("/")).is_some() && room(Path::new("/nowhere")).is_none());
    }

    #[test]
    fn a_spool_is_looked_at_if_it_is_on() {
        let dir = TestDir::new();
        assert_eq!(look(dir.path(), 0).len(), 1);
        assert_eq!(of_spool(dir.path(), 65_536).what, "it is empty, and may have 64 KiB");
        fs::write(dir.path().join(spool::FILE), [0; 3000]).unwrap();
        assert_eq!(of_spool(dir.path(), 65_536).what, "2 KiB of 64 KiB wait for the server");
        assert_eq!(of_spool(dir.path(), usize::MAX / 2).state, State::Warning);
    }
}
