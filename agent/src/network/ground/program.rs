//! Starts the programs that change the kernel: found where they usually are, with limits of time and size.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A program has this long. `iptables` waits five seconds for others that change the firewall.
const TIME: Duration = Duration::from_secs(15);
/// What a program says at most, in bytes: the firewall of a host with a thousand containers is a tenth of it.
const SAID: usize = 4 * 1024 * 1024;
/// What is given to a program at most, in bytes: what a pipe holds, so that nobody waits for the other.
pub const GIVEN: usize = 4096;
/// Of a complaint, so that it stays one line.
const COMPLAINT: usize = 300;
/// Where root's programs are, if `PATH` does not say so.
const USUAL: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// A program that is there.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
    name: &'static str,
}

impl Program {
    /// Looks for it in `PATH`, then where root's programs usually are. `package` is where it comes from.
    ///
    /// # Errors
    /// It is nowhere.
    pub fn find(name: &'static str, package: &str) -> io::Result<Program> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = find_in(&path, name).ok_or_else(|| {
            let why = format!("there is no program `{name}` here: install the package {package}");
            io::Error::new(io::ErrorKind::NotFound, why)
        })?;
        Ok(Program { path, name })
    }

    /// Runs it to its end, with nothing of this process' environment but `PATH`. Returns what it printed.
    ///
    /// # Errors
    /// It cannot be started, takes or says too much, or fails: then with its own last word.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: &[S], given: &str) -> io::Result<String> {
        let path = std::env::var_os("PATH").unwrap_or_else(|| USUAL.join(":").into());
        let mut child = Command::new(&self.path)
            .args(arguments)
            .env_clear()
            .env("PATH", path)
            .env("LC_ALL", "C")
            .current_dir("/")
            .stdin(if given.is_empty() { Stdio::null() } else { Stdio::piped() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| self.failed(arguments, &error.to_string()))?;
        let until = Instant::now() + TIME;
        let outcome = talk(&mut child, given, until).and_then(|said| Ok((wait(&mut child, until)?, said)));
        match outcome {
            Ok((status, (printed, _))) if status.success() => Ok(printed),
            Ok((status, (_, complaint))) => Err(self.failed(arguments, &last_word(&complaint, status))),
            Err(error) => {
                // It may have ended by itself meanwhile.
                drop(child.kill());
                drop(child.wait());
                Err(self.failed(arguments, &error.to_string()))
            }
        }
    }

    fn failed<S: AsRef<OsStr>>(&self, arguments: &[S], why: &str) -> io::Error {
        let mut line = self.name.to_string();
        for argument in arguments {
            line.push(' ');
            line.push_str(&argument.as_ref().to_string_lossy());
        }
        io::Error::other(format!("`{line}`: {why}"))
    }
}

fn find_in(path: &OsStr, name: &str) -> Option<PathBuf> {
    let listed = std::env::split_paths(path).filter(|folder| folder.is_absolute());
    let found = |folder: PathBuf| Some(folder.join(name)).filter(|file| is_program(file));
    listed.chain(USUAL.iter().map(PathBuf::from)).find_map(found)
}

fn is_program(file: &Path) -> bool {
    file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
}

/// Gives it what it is to have, and takes what it says on both of its ways until it has closed them.
fn talk(child: &mut Child, given: &str, until: Instant) -> io::Result<(String, String)> {
    if let Some(mut stdin) = child.stdin.take() {
        debug_assert!(given.len() <= GIVEN);
        stdin.write_all(given.as_bytes())?;
    }
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let (mut printed, mut complaint) = (Vec::new(), Vec::new());
    while out.is_some() || err.is_some() {
        let [from_out, from_err] = readable(out.as_ref().map(AsFd::as_fd), err.as_ref().map(AsFd::as_fd), until)?;
        if from_out {
            read_some(&mut out, &mut printed)?;
        }
        if from_err {
            read_some(&mut err, &mut complaint)?;
        }
    }
    Ok((String::from_utf8_lossy(&printed).into_owned(), String::from_utf8_lossy(&complaint).into_owned()))
}

/// Waits until one of the two can be read.
fn readable(
    out: Option<std::os::fd::BorrowedFd<'_>>,
    err: Option<std::os::fd::BorrowedFd<'_>>,
    until: Instant,
) -> io::Result<[bool; 2]> {
    let rest = until.saturating_duration_since(Instant::now());
    let rest = Timespec::try_from(rest).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut places = Vec::with_capacity(2);
    places.extend(out.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
    places.extend(err.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
    match poll(&mut places, Some(&rest)) {
        Ok(0) => return Err(took_too_long()),
        Ok(_) => {}
        Err(rustix::io::Errno::INTR) => return Ok([false; 2]),
        Err(error) => return Err(error.into()),
    }
    let mut places = places.iter().map(|place| !place.revents().is_empty());
    Ok([out.is_some() && places.next() == Some(true), err.is_some() && places.next() == Some(true)])
}

fn read_some(from: &mut Option<impl Read>, to: &mut Vec<u8>) -> io::Result<()> {
    let mut piece = [0; 4096];
    let count = match from.as_mut().map(|from| from.read(&mut piece)) {
        Some(Ok(count)) => count,
        Some(Err(error)) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
        Some(Err(error)) => return Err(error),
        None => 0,
    };
    if count == 0 {
        *from = None;
    } else if to.len() + count > SAID {
        return Err(io::Error::other("it says more than can be taken"));
    }
    to.extend_from_slice(&piece[..count]);
    Ok(())
}

/// It has said all: that it ends is a matter of moments.
fn wait(child: &mut Child, until: Instant) -> io::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() >= until {
            return Err(took_too_long());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn took_too_long() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("it did not end within {} s", TIME.as_secs()))
}

/// Why it failed, by the last line that is no remark.
fn last_word(complaint: &str, status: ExitStatus) -> String {
    let lines = complaint.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let helpful = |line: &&str| !line.starts_with("Try `") && !line.starts_with("Perhaps ");
    let line = lines.clone().rfind(helpful).or_else(|| lines.clone().next_back());
    line.map_or_else(|| status.to_string(), |line| line.chars().take(COMPLAINT).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell() -> Program {
        Program::find("sh", "dash").unwrap()
    }

    #[test]
    fn what_it_prints_is_returned_whole() {
        assert_eq!(shell().run(&["-c", "cat; echo two"], "one\n").unwrap(), "one\ntwo\n");
        let long = shell().run(&["-c", "i=0; while [ $i -lt 2000 ]; do echo 0123456789012345678901234567890123456789; echo x >&2; i=$((i+1)); done"], "").unwrap();
        assert_eq!(long.len(), 2000 * 41);
    }

    #[test]
    fn its_own_complaint_is_told_in_one_line() {
        let error = shell().run(&["-c", "echo '# a remark' >&2; echo 'it is so' >&2; exit 4"], "").unwrap_err();
        let text = error.to_string();
        assert!(text.ends_with(": it is so") && text.starts_with("`sh -c ") && !text.contains('\n'), "{text}");
        assert!(shell().run(&["-c", "exit 4"], "").unwrap_err().to_string().contains("exit status: 4"));
    }

    #[test]
    fn the_environment_stays_here() {
        let seen = shell().run(&["-c", "env | grep -c '^CARGO' || true"], "").unwrap();
        assert_eq!(seen.trim(), "0");
    }

    #[test]
    fn a_missing_program_names_its_package() {
        let error = Program::find("no-such-program", "iproute2").unwrap_err();
        assert_eq!(error.to_string(), "there is no program `no-such-program` here: install the package iproute2");
    }

    #[test]
    fn only_whole_paths_are_searched() {
        assert_eq!(find_in(OsStr::new("."), "Cargo.toml"), None);
        assert!(find_in(OsStr::new(""), "sh").is_some());
    }
}
