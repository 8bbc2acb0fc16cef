//! The agents that this server has for boards: files that are looked at when somebody asks.

use crate::listen::Response;
use futures_lite::{AsyncReadExt, stream};
use ring::digest::{Context, SHA256};
use smol::lock::{Semaphore, SemaphoreGuardArc};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What agents are built for: see dist.sh.
pub const TARGETS: [&str; 4] = [
    "aarch64-unknown-linux-musl",
    "armv7-unknown-linux-musleabihf",
    "arm-unknown-linux-musleabihf",
    "x86_64-unknown-linux-musl",
];

/// The folder of the data directory that has agents, unless another one is given.
pub const FOLDER: &str = "agents";
/// Where a package leaves agents.
pub const OF_THE_SYSTEM: &str = "/usr/share/muster/agents";

/// The largest agent: a static one has 1.5 MB, one that was built for debugging some dozens.
const LARGEST: u64 = 128 * 1024 * 1024;
/// The longest signature: a few lines.
const LONGEST_SIGNATURE: u64 = 4 * 1024;
/// Agents on their way at a time, at two pieces of memory each. More wait for a free place elsewhere: curl asks again.
const PLACES: usize = 16;
/// Bytes read and sent at a time.
const PIECE: usize = 64 * 1024;
/// For one agent: 1.5 MB on the worst link that anybody would install over. Then its place is free again.
const LONGEST: Duration = Duration::from_secs(30 * 60);

/// What there is for hosts.
#[derive(Debug)]
pub struct Offers {
    directories: Vec<PathBuf>,
    known: Mutex<HashMap<PathBuf, (Stamp, String)>>,
    places: Arc<Semaphore>,
}

/// What changes when a file does: device and inode, length, and the time to the nanosecond.
type Stamp = (u64, u64, u64, i64, i64);

/// A program for hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `muster-agent`.
    Agent,
    /// `muster-network`: not every host has it.
    Network,
}

impl Program {
    /// The program's file, which a path names; and whether its signature is meant.
    pub fn of_file(file: &str) -> Option<(Program, bool)> {
        let (name, signature) = file.strip_suffix(SIGNATURE).map_or((file, false), |name| (name, true));
        let program = [Program::Agent, Program::Network].into_iter().find(|program| program.name() == name)?;
        Some((program, signature))
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Program::Agent => "muster-agent",
            Program::Network => "muster-network",
        }
    }

    /// As people call it.
    fn spoken(self) -> &'static str {
        match self {
            Program::Agent => "agent",
            Program::Network => "network program",
        }
    }
}

/// Behind a program's name: what its maker says of it.
const SIGNATURE: &str = ".sig";

/// A program that can be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// One of [`TARGETS`].
    pub target: &'static str,
    /// Of the file, in lowercase hexadecimal digits.
    pub sha256: String,
}

/// Something cannot be had: a status, and one line.
#[derive(Debug, PartialEq, Eq)]
pub struct Missing {
    pub status: u16,
    pub why: String,
}

impl Offers {
    /// Those of the first directory that has one for a target. The directories need not exist.
    pub fn of(directories: Vec<PathBuf>) -> Offers {
        Offers { directories, known: Mutex::default(), places: Arc::new(Semaphore::new(PLACES)) }
    }

    /// All that there is of a program. Reads files that are new.
    pub fn all(&self, program: Program) -> Vec<Offered> {
        let offered = |target| Some(Offered { target, sha256: self.sha256(&self.find(program, target)?)? });
        TARGETS.into_iter().filter_map(offered).collect()
    }

    /// A program, or what its maker says of it: a few lines of text. The target comes from a stranger.
    pub async fn give(
        offers: &Arc<Offers>,
        target: &str,
        program: Program,
        signature: bool,
    ) -> Result<Response, Missing> {
        let Some(target) = TARGETS.into_iter().find(|known| *known == target) else {
            return Err(Missing { status: 404, why: format!("agents are built for {}", TARGETS.join(", ")) });
        };
        let place = offers.places.try_acquire_arc().ok_or_else(|| Missing {
            status: 503,
            why: format!("{PLACES} agents are being fetched right now; try again"),
        })?;
        let opened = {
            let offers = offers.clone();
            smol::unblock(move || offers.open(program, target, signature)).await
        };
        let (file, length) = opened.map_err(|error| missing(program, target, signature, &error))?;
        let kind = if signature { "text/plain; charset=utf-8" } else { "application/octet-stream" };
        let body = stream::unfold(Sending::new(file, length, place), Sending::next);
        Ok(Response::stream(200, kind, body).header("content-length", length.to_string()))
    }

    fn find(&self, program: Program, target: &str) -> Option<PathBuf> {
        let paths = self.directories.iter().map(|directory| directory.join(target).join(program.name()));
        paths.into_iter().find(|path| path.is_file())
    }

    fn open(&self, program: Program, target: &str, signature: bool) -> io::Result<(File, u64)> {
        let path = self.find(program, target).ok_or(io::ErrorKind::NotFound)?;
        if !signature {
            return open(&path, LARGEST);
        }
        let beside = format!("{}{SIGNATURE}", program.name());
        open(&path.with_file_name(beside), LONGEST_SIGNATURE)
    }

    /// Of a file's content, remembered for as long as it is the same file.
    fn sha256(&self, path: &Path) -> Option<String> {
        let said = |error: &io::Error| log::warn!("cannot offer {}: {error}", path.display());
        let stamp = stamp(path).inspect_err(said).ok()?;
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
        if let Some((_, sha256)) = known.filter(|(of, _)| *of == stamp) {
            return Some(sha256);
        }
        let sha256 = open(path, LARGEST).and_then(|(file, _)| hashed(file)).inspect_err(said).ok()?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(path.to_path_buf(), (stamp, sha256.clone()));
        Some(sha256)
    }
}

fn missing(program: Program, target: &str, signature: bool, error: &io::Error) -> Missing {
    let spoken = program.spoken();
    let short = target.split('-').next().unwrap_or(target);
    let why = match error.kind() {
        io::ErrorKind::NotFound if signature => {
            format!("this server has no signature for {target}; ./dist.sh {short} makes it along with the {spoken}")
        }
        io::ErrorKind::NotFound => format!(
            "this server has no {spoken} for {target}; build it with ./dist.sh {short}, and put dist/{target} into the \
             directory that `muster serve --agents` names"
        ),
        _ => {
            log::warn!("cannot offer the {spoken} for {target}: {error}");
            return Missing {
                status: 500,
                why: format!("the {spoken} for {target} cannot be read; see the server's log"),
            };
        }
    };
    Missing { status: 404, why }
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let data = fs::metadata(path)?;
    Ok((data.dev(), data.ino(), data.len(), data.mtime(), data.mtime_nsec()))
}

fn open(path: &Path, limit: u64) -> io::Result<(File, u64)> {
    let file = File::open(path)?;
    let data = file.metadata()?;
    if !data.is_file() || data.len() == 0 || data.len() > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it is no file of 1 to {limit} bytes")));
    }
    Ok((file, data.len()))
}

fn hashed(mut file: File) -> io::Result<String> {
    let mut context = Context::new(&SHA256);
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()),
            length => context.update(&piece[..length]),
        }
    }
}

/// A file on its way.
struct Sending {
    file: smol::fs::File,
    left: u64,
    until: Instant,
    _place: SemaphoreGuardArc,
}

impl Sending {
    fn new(file: File, length: u64, place: SemaphoreGuardArc) -> Sending {
        Sending { file: file.into(), left: length, until: Instant::now() + LONGEST, _place: place }
    }

    /// The next piece. What was shortened meanwhile, or takes too long, ends early: the client misses the rest by its
    /// announced length.
    async fn next(mut self) -> Option<(Vec<u8>, Sending)> {
        if self.left == 0 || Instant::now() >= self.until {
            return None;
        }
        let mut piece = vec![0; PIECE.min(usize::try_from(self.left).unwrap_or(PIECE))];
        let length = self.file.read(&mut piece).await.inspect_err(|error| log::warn!("sending an agent: {error}"));
        piece.truncate(length.ok().filter(|length| *length > 0)?);
        self.left -= piece.len() as u64;
        Some((piece, self))
    }
}
