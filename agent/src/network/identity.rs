//! Who this host is in the fleet: the reporting process has it, and this one, which is root, reads it.

use crate::command::exit::{Exit, Trouble};
use crate::join::identity::{self, Identity};
use crate::join::state_dir;
use std::io;
use std::path::Path;

/// Reads the agent's identity as [`Identity::load`] does. But this process is root and the agent is not: what the agent
/// puts there in its place is not followed, not waited for, and not changed.
pub fn load(directory: &Path) -> Result<Option<Identity>, Trouble> {
    let text = state_dir::read_of_another(directory, identity::FILE, identity::FILE_LIMIT).map_err(|error| {
        let what = format!("cannot read {}", directory.join(identity::FILE).display());
        let advice = match error.kind() {
            io::ErrorKind::InvalidData => "put the file itself back from a copy, as the agent's user, or join again",
            _ => state_dir::BE_THE_OWNER,
        };
        Trouble::new(Exit::Failed, what, error, advice)
    })?;
    text.map(|text| Identity::of_file(directory, identity::FILE, &text)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::join::state_dir::TestDir;
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::PathBuf;
    use std::sync::mpsc;
    use std::time::Duration;

    fn text() -> String {
        let (secret, pin) = ("01".repeat(32), "a".repeat(64));
        let head = "version = 1\nhost = 0123456789abcdef\nname = pi-7\n";
        format!("{head}credential = {secret}\naddress = fleet.example:7443\npin = sha256:{pin}\n")
    }

    /// Somebody else's file, which others may read.
    fn other(directory: &TestDir) -> PathBuf {
        let path = directory.path().join("other");
        fs::write(&path, text()).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("opened");
        path
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("a file").mode() & 0o777
    }

    #[test]
    fn an_identity_is_read_and_left_as_it_is() {
        let directory = TestDir::new();
        assert_eq!(load(directory.path()), Ok(None));
        assert_eq!(load(&directory.path().join("nowhere")), Ok(None));
        let path = other(&directory);
        fs::rename(&path, directory.path().join(identity::FILE)).expect("renamed");
        let read = load(directory.path()).expect("no trouble").expect("an identity");
        assert_eq!(read.name, "pi-7");
        assert_eq!(mode(&directory.path().join(identity::FILE)), 0o644);
        fs::write(directory.path().join(identity::FILE), "version = x\n").expect("written");
        assert!(load(directory.path()).expect_err("rubbish").what.ends_with("/identity:1"));
        fs::write(directory.path().join(identity::FILE), vec![b'#'; identity::FILE_LIMIT + 1]).expect("written");
        assert!(load(directory.path()).expect_err("too long").why.contains("larger than"));
    }

    #[test]
    fn a_link_to_another_file_is_not_followed_and_that_file_keeps_its_mode() {
        let directory = TestDir::new();
        let path = other(&directory);
        symlink(&path, directory.path().join(identity::FILE)).expect("a link");
        let trouble = load(directory.path()).expect_err("refused");
        assert!(trouble.why.contains("symbolic link") && !trouble.to_string().contains('\n'), "{trouble}");
        assert_eq!(mode(&path), 0o644);
    }

    #[test]
    fn a_second_name_of_another_file_is_refused() {
        let directory = TestDir::new();
        let path = other(&directory);
        fs::hard_link(&path, directory.path().join(identity::FILE)).expect("a link");
        assert!(load(directory.path()).expect_err("refused").why.contains("hard link"));
        assert_eq!(mode(&path), 0o644);
    }

    #[test]
    fn a_named_pipe_in_place_of_the_identity_is_refused_and_not_waited_for() {
        let directory = TestDir::new();
        let path = directory.path().join(identity::FILE);
        mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("a pipe");
        let (to, loaded) = mpsc::channel();
        let place = directory.path().to_owned();
        std::thread::spawn(move || drop(to.send(load(&place))));
        let loaded = loaded.recv_timeout(Duration::from_secs(10)).expect("it does not hang");
        assert!(loaded.expect_err("refused").why.contains("no plain file"));
        std::fs::remove_file(&path).expect("removed");
        fs::create_dir(&path).expect("a directory");
        assert!(load(directory.path()).expect_err("refused").why.contains("no plain file"));
    }
}
