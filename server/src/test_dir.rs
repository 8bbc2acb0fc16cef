//! A directory for one test.

use std::path::{Path, PathBuf};

/// Removed with all that is in it when it is dropped.
pub(crate) struct TestDir(PathBuf);

impl TestDir {
    /// Empty, and of this test alone.
    pub(crate) fn new() -> TestDir {
        let mut number = [0; 8];
        getrandom::fill(&mut number).expect("random numbers");
        let path = std::env::temp_dir().join(format!("muster-{:016x}", u64::from_le_bytes(number)));
        std::fs::create_dir(&path).expect("a test's directory");
        TestDir(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TestDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
