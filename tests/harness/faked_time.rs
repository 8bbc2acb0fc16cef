//! A clock of their own for programs: they see the time that a test sets, while they run, and all else as it is.

use crate::debian::Packages;
use crate::place::Place;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// What a board without a battery shows shortly after its start.
const POWER_ON: &str = "@1970-01-01 00:10:00";

/// The library is in a directory of the machine's kind.
const LIBRARIES: [&str; 3] = ["x86_64-linux-gnu", "aarch64-linux-gnu", "arm-linux-gnueabihf"];

/// A clock, and the library that shows it to programs (which must be linked dynamically).
#[derive(Debug)]
pub struct FakedTime {
    packages: Arc<Packages>,
    place: Place,
}

impl FakedTime {
    /// At first it shows what a board without a battery does when it is switched on, and it goes on from there.
    pub fn as_at_power_on() -> FakedTime {
        let faked = FakedTime { packages: Packages::of("bookworm", &["libfaketime"]), place: Place::new() };
        faked.write(POWER_ON);
        faked
    }

    /// Sets it right, for programs that run as well.
    pub fn set_right(&self) {
        self.write("+0");
    }

    /// Sets it to what a board shows when it is switched on.
    pub fn set_as_at_power_on(&self) {
        self.write(POWER_ON);
    }

    /// What a program needs in its environment to see this clock. Only times of day are changed, as on a board whose clock
    /// is set: what measures spans goes on.
    pub fn environment(&self) -> Vec<(String, String)> {
        let found =
            LIBRARIES.iter().map(|kind| self.packages.path(&format!("usr/lib/{kind}/faketime/libfaketimeMT.so.1")));
        let library = found.into_iter().find(|path| path.is_file()).expect("the package libfaketime has the library");
        [
            ("LD_PRELOAD", library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file()),
            ("FAKETIME_NO_CACHE", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// The year that a program under this clock sees.
    pub fn year(&self) -> String {
        let mut command = std::process::Command::new("date");
        let output = command.args(["-u", "+%Y"]).envs(self.environment()).output().expect("date runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn file(&self) -> String {
        self.place.join("time")
    }

    fn write(&self, text: &str) {
        // At once as a whole: programs read it at any time.
        let (file, new) = (self.file(), self.place.join("time.new"));
        fs::write(&new, format!("{text}\n")).expect("writing the time");
        fs::rename(&new, Path::new(&file)).expect("renaming the time");
    }
}

/// The library shares memory between the processes of a program, and leaves it behind when they end by a signal.
impl Drop for FakedTime {
    fn drop(&mut self) {
        for entry in fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_str().unwrap_or_default();
            let process = name.strip_prefix("faketime_shm_").or_else(|| name.strip_prefix("sem.faketime_sem_"));
            if process.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}
