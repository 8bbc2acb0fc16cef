//! The admin token: made at the first start, and kept in a file that only the server's owner can read. Whoever can
//! read it is an administrator, so that the command line on the server's machine needs no login.

use super::AccessError;
use super::secret::{LONGEST, SHORTEST, Secret};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What its file is called.
pub const FILE: &str = "admin.token";

/// What the file is called until it is whole.
const NEW_FILE: &str = "admin.token.new";

/// Where the admin token of a data directory is.
pub fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE)
}

/// The admin token of a data directory, made if there is none. For the server, which is alone in the directory.
///
/// # Errors
/// The file cannot be read or made, or what is in it is no token.
pub fn open_or_make(data_dir: &Path) -> Result<Secret, AccessError> {
    let path = path(data_dir);
    match File::open(&path) {
        Ok(file) => {
            keep_private(&file, &path)?;
            read_from(file, &path)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let secret = Secret::api_token()?;
            make(data_dir, &path, &secret)
                .map_err(|error| AccessError::new(format!("cannot make {}: {error}", path.display())))?;
            Ok(secret)
        }
        Err(error) => Err(AccessError::new(format!("cannot read {}: {error}", path.display()))),
    }
}

/// The admin token of a data directory. For the command line on the server's machine.
///
/// # Errors
/// There is none, it cannot be read, or what is in it is no token.
pub fn read(data_dir: &Path) -> Result<Secret, AccessError> {
    let path = path(data_dir);
    match File::open(&path) {
        Ok(file) => read_from(file, &path),
        Err(error) => {
            let hint = match error.kind() {
                ErrorKind::NotFound => "; is this the data directory of a server that was ever started?",
                ErrorKind::PermissionDenied => "; run this as the server's user, or set MUSTER_TOKEN",
                _ => "",
            };
            Err(AccessError::new(format!("cannot read {}: {error}{hint}", path.display())))
        }
    }
}

fn read_from(file: File, path: &Path) -> Result<Secret, AccessError> {
    let mut text = String::new();
    // One line of text, and enough of what is too long to see that it is.
    let read = file.take(LONGEST as u64 + 3).read_to_string(&mut text);
    let path = path.display();
    let again = "remove it and start the server again, which makes a new one";
    match read {
        Err(error) if error.kind() != ErrorKind::InvalidData => {
            return Err(AccessError::new(format!("cannot read {path}: {error}")));
        }
        Ok(_) if text.trim_ascii_end().is_empty() => return Err(AccessError::new(format!("{path} is empty: {again}"))),
        Ok(_) | Err(_) => {}
    }
    Secret::parse(text.trim_ascii_end()).ok_or_else(|| {
        AccessError::new(format!(
            "{path} holds no token ({SHORTEST} to {LONGEST} letters, digits and -._~ on one line): {again}"
        ))
    })
}

/// Makes the file whole or not at all, whenever the power goes.
fn make(data_dir: &Path, path: &Path, secret: &Secret) -> io::Result<()> {
    let new = data_dir.join(NEW_FILE);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    let result = writeln!(file, "{}", secret.expose())
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&new, path))
        .and_then(|()| File::open(data_dir)?.sync_all());
    if result.is_err() {
        let _ = fs::remove_file(&new);
    }
    result
}

fn keep_private(file: &File, path: &Path) -> Result<(), AccessError> {
    let failed = |error| AccessError::new(format!("cannot look after the permissions of {}: {error}", path.display()));
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(AccessError::new(format!("cannot read {}: it is not a file", path.display())));
    }
    let mode = metadata.permissions().mode();
    if mode & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600)).map_err(failed)?;
        log::warn!(
            "{} could be read by others (mode {:o}): now it is 600; if somebody may have seen it, remove it and restart",
            path.display(),
            mode & 0o7777
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_dir::TestDir;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("there").permissions().mode() & 0o7777
    }

    #[test]
    fn it_is_made_once() {
        let directory = TestDir::new();
        assert!(read(directory.path()).is_err());
        let made = open_or_make(directory.path()).expect("a token");
        let file = path(directory.path());
        assert_eq!(mode(&file), 0o600);
        assert_eq!(fs::read_to_string(&file).expect("there"), format!("{}\n", made.expose()));
        assert_eq!(open_or_make(directory.path()), Ok(made.clone()));
        assert_eq!(read(directory.path()), Ok(made));
        assert_eq!(fs::read_dir(directory.path()).expect("there").count(), 1, "nothing else is left");
    }

    #[test]
    fn a_power_cut_while_it_is_made_is_no_harm() {
        let directory = TestDir::new();
        fs::write(directory.path().join(NEW_FILE), "ma_12").expect("written");
        open_or_make(directory.path()).expect("a token");
        assert!(!directory.path().join(NEW_FILE).exists());
    }

    #[test]
    fn a_file_that_others_can_read_is_tightened() {
        let directory = TestDir::new();
        let made = open_or_make(directory.path()).expect("a token");
        let file = path(directory.path());
        for loose in [0o644, 0o640, 0o666, 0o604] {
            fs::set_permissions(&file, Permissions::from_mode(loose)).expect("chmod");
            assert_eq!(open_or_make(directory.path()), Ok(made.clone()));
            assert_eq!(mode(&file), 0o600);
        }
    }

    #[test]
    fn one_that_somebody_chose_is_taken() {
        let directory = TestDir::new();
        let chosen = "a-token.of_our~own-choosing-0123456789";
        for end in ["", "\n", "\r\n"] {
            fs::write(path(directory.path()), format!("{chosen}{end}")).expect("written");
            assert_eq!(open_or_make(directory.path()).expect("a token").expose(), chosen);
        }
    }

    #[test]
    fn what_is_no_token_is_an_error_of_one_line() {
        let directory = TestDir::new();
        let good = Secret::api_token().expect("random");
        let long = "a".repeat(100_000);
        let two = format!("{0}\n{0}\n", good.expose());
        for (bad, word) in [
            (&b""[..], "is empty"),
            (b" \n\n", "is empty"),
            (b"short\n", "holds no token"),
            (two.as_bytes(), "holds no token"),
            (long.as_bytes(), "holds no token"),
            (&[0xff; 64], "holds no token"),
        ] {
            fs::write(path(directory.path()), bad).expect("written");
            for result in [open_or_make(directory.path()), read(directory.path())] {
                let message = result.expect_err("an error").message;
                assert!(message.contains(word) && message.contains("remove it"), "{message}");
                assert!(!message.contains('\n') && !message.contains("short"), "{message}");
            }
        }
        fs::remove_file(path(directory.path())).expect("removed");
        fs::create_dir(path(directory.path())).expect("made");
        assert!(open_or_make(directory.path()).expect_err("an error").message.contains("cannot read"));
    }
}
