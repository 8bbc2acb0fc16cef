//! `muster backup` and `muster restore`

use super::connection::{Server, Target};
use super::exit::{Exit, Failure};
use crate::backup::restore::{NotRestored, has_key, restore};
use crate::backup::save::{Contents, save};
use clap::Args;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Flags of `muster backup`.
#[derive(Debug, Args)]
pub struct Backup {
    /// Where to write it: a file of which only its owner can read anything
    file: PathBuf,
    /// Leave out the events
    #[arg(long)]
    no_history: bool,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
}

/// Flags of `muster restore`.
#[derive(Debug, Args)]
pub struct Restore {
    /// What `muster backup` has written
    file: PathBuf,
    /// Replace what is in the data directory
    #[arg(long)]
    force: bool,
}

/// Writes a backup of the server that runs.
pub fn run(flags: &Backup, target: &Target, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    let shown = flags.file.display();
    if !flags.force && flags.file.symlink_metadata().is_ok() {
        let what = format!("{shown} is there already: choose another name, or replace it with --force");
        return Err(Failure::new(Exit::Failure, what));
    }
    let given = server.backup(!flags.no_history)?;
    let data_dir = target.is_here().then_some(target.data_dir.as_path());
    let is_watched = io::stderr().is_terminal();
    let mut progress = |so_far: &Contents| {
        if is_watched {
            let _ = write!(io::stderr(), "\r{} hosts, {} events", so_far.hosts, so_far.events);
        }
    };
    let contents = save(&flags.file, given, data_dir, &mut progress);
    if is_watched {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
    let contents = contents.map_err(|why| Failure::new(Exit::Failure, why))?;
    writeln!(out, "{shown}: {}", describe(&contents))?;
    if contents.files.is_empty() {
        writeln!(
            out,
            "without fleet.key and admin.token, which never leave the server's machine: keep a copy of them"
        )?;
    }
    Ok(out.flush()?)
}

/// Makes a data directory from a backup.
pub fn run_restore(flags: &Restore, data_dir: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    let contents = restore(&flags.file, data_dir, flags.force).map_err(|why| match why {
        NotRestored::Backup(message) => Failure::new(Exit::Failure, message),
        NotRestored::Store(error) => Failure::new(Exit::Unavailable, error.message),
    })?;
    writeln!(out, "{}: {}, as of {}", data_dir.display(), describe(&contents), contents.made_at)?;
    if !has_key(data_dir) {
        writeln!(out, "put fleet.key there before you start the server: its hosts know it by that key")?;
    }
    Ok(out.flush()?)
}

fn describe(contents: &Contents) -> String {
    let files: String = contents.files.iter().map(|name| format!(", {name}")).collect();
    format!("{} hosts, {} events{files}", contents.hosts, contents.events)
}
