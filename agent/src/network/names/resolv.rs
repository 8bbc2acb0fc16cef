//! The `resolv.conf` of a container, which the engine writes and mounts into it.
//!
//! Changed in place, since another file of the same name would not be the one that is mounted; and so that whoever reads
//! it meanwhile finds whole lines.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::net::Ipv4Addr;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Stands before our line. The engine may drop it when it writes the file anew; our line is known by its address, too.
const MARK: &str = "# muster-network: the next line leads to the names of muster.internal, and is taken out with it.";
/// Bytes of a file that an engine writes: some hundred.
const LIMIT: u64 = 64 * 1024;

/// Lets a container ask the answerer first: its line stands before those of the other servers in the `resolv.conf` at
/// `path`, which the engine wrote and named. All other lines stay, in their order. Returns whether it had to be written.
///
/// Resolvers look at three servers at most: of three that were there, the last one is not asked any more.
///
/// # Errors
/// The file cannot be read or written, or is not what an engine writes.
pub fn list_first(path: &Path, gateway: Ipv4Addr) -> io::Result<bool> {
    change(path, |text| with(text, gateway)).map_err(|error| failed(path, &error))
}

/// Takes the line out again, and nothing else. Returns whether there was one.
///
/// # Errors
/// As [`list_first`]. A file that is not there is no error.
pub fn unlist(path: &Path, gateway: Ipv4Addr) -> io::Result<bool> {
    match change(path, |text| without(text, gateway)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        outcome => outcome.map_err(|error| failed(path, &error)),
    }
}

fn failed(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot change {}: {error}", path.display()))
}

fn with(text: &str, gateway: Ipv4Addr) -> String {
    let rest = without(text, gateway);
    let is_server = |line: &str| line.trim_start().starts_with("nameserver");
    let at: usize = rest.split_inclusive('\n').take_while(|line| !is_server(line)).map(str::len).sum();
    let (before, behind) = rest.split_at(at);
    let end = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
    format!("{before}{end}{MARK}\nnameserver {gateway}\n{behind}")
}

fn without(text: &str, gateway: Ipv4Addr) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut is_marked = false;
    for line in text.split_inclusive('\n') {
        let mut words = line.split_whitespace();
        let server = words.next().filter(|word| *word == "nameserver").and_then(|_| words.next());
        let is_mark = line.trim_end() == MARK;
        // Behind the mark stands ours, with whatever address this host had then.
        let is_ours = is_mark || server.is_some_and(|server| is_marked || server.parse() == Ok(gateway));
        if !is_ours {
            kept.push_str(line);
        }
        is_marked = is_mark;
    }
    kept
}

fn change(path: &Path, changed: impl FnOnce(&str) -> String) -> io::Result<bool> {
    check(path)?;
    let file = OpenOptions::new().read(true).write(true).custom_flags(flags()).open(path)?;
    let about = file.metadata()?;
    if !about.is_file() || about.nlink() != 1 || about.len() > LIMIT {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not a file as engines write it"));
    }
    let mut text = String::new();
    (&file).take(LIMIT).read_to_string(&mut text)?;
    let changed = changed(&text);
    if changed == text {
        return Ok(false);
    }
    write(&file, text.len(), changed)?;
    Ok(true)
}

/// First as long as the longer one of the two, by empty lines; so there is no moment with half a line.
fn write(file: &File, before: usize, mut text: String) -> io::Result<()> {
    let after = text.len();
    file.write_all_at("\n".repeat(after.saturating_sub(before)).as_bytes(), before as u64)?;
    text.push_str(&"\n".repeat(before.saturating_sub(after)));
    file.write_all_at(text.as_bytes(), 0)?;
    file.set_len(after as u64)
}

/// No link, no device, no pipe to wait for.
fn flags() -> i32 {
    use rustix::fs::OFlags;
    (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed()
}

/// The engine says where it is: `.../containers/ID/resolv.conf`. Whatever else it may say, this process runs as root.
fn check(path: &Path) -> io::Result<()> {
    let is_id = |name: &str| name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let folder = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
    let is_plain = path.components().all(|part| !matches!(part, std::path::Component::ParentDir));
    let is_named = path.file_name().is_some_and(|name| name == "resolv.conf");
    if path.is_absolute() && is_plain && is_named && folder.is_some_and(is_id) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not where engines have a container's resolv.conf"))
}

#[cfg(test)]
#[path = "resolv_tests.rs"]
mod tests;
