//! Directories that end with the test.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A fresh directory, removed when dropped. Its path is short, because a Unix socket's has at most 108 bytes.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
}

impl Place {
    /// Makes one below `MUSTER_TEST_DIR`, or below `/tmp` if that is not set.
    pub fn new() -> Place {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let base = std::env::var_os("MUSTER_TEST_DIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = base.join(format!("mt{}-{number}", std::process::id()));
        std::fs::create_dir(&path).unwrap_or_else(|e| panic!("cannot make {}: {e}", path.display()));
        Place { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path in it, as text.
    pub fn join(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }
}

impl Default for Place {
    fn default() -> Place {
        Place::new()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(e) = std::fs::remove_dir_all(&self.path) {
            eprintln!("left behind: {}: {e}", self.path.display());
        }
    }
}

/// Whether a directory is missing or empty.
pub fn is_bare(directory: &str) -> bool {
    std::fs::read_dir(directory).map_or(true, |mut entries| entries.next().is_none())
}
