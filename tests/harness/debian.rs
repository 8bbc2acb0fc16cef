//! Programs of other Debian releases, and ones that are not installed: their packages, unpacked and not installed.
//!
//! apt works here with a state of its own, so that the machine's is not touched. What was unpacked is shared by all who hold
//! it, and removed with the last of them.

use crate::place::Place;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// How many seconds apt may take.
const LIMIT: &str = "500";
/// Where packages come from if the machine does not say.
const ARCHIVE: &str = "http://deb.debian.org/debian";

/// Fetches and unpacks: the suite, the directory, the archive, then the packages. Retries, because networks fail.
const FETCH: &str = r#"
set -e
suite=$1 dir=$2 archive=$3
shift 3
mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial" "$dir/debs" "$dir/root"
: > "$dir/status"
keys=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keys] $archive $suite main" > "$dir/sources.list"
own() {
    apt-get -q -o Dir::State::lists="$dir/lists" -o Dir::State::status="$dir/status" -o Dir::Cache="$dir/cache" \
        -o Dir::Etc::sourcelist="$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::Etc::preferencesparts=/dev/null -o APT::Sandbox::User=root -o Acquire::Retries=5 \
        -o Acquire::Languages=none "$@"
}
retry() { for try in 1 2 3; do "$@" && return 0; sleep $((try * 3)); done; return 1; }
retry own update
cd "$dir/debs"
retry own download "$@"
for deb in *.deb; do dpkg-deb -x "$deb" "$dir/root"; rm "$deb"; done
rm -rf "$dir/lists" "$dir/cache"
"#;

/// Unpacked packages.
#[derive(Debug)]
pub struct Packages {
    place: Place,
}

impl Packages {
    /// These packages of a suite (`bookworm`, `trixie`, `forky`), without what they depend on. Fetched once for all tests of
    /// a file that run at the same time.
    pub fn of(suite: &str, packages: &[&str]) -> Arc<Packages> {
        static THERE: Mutex<Option<HashMap<String, Weak<Packages>>>> = Mutex::new(None);
        let key = format!("{suite} {}", packages.join(" "));
        // Held while they are fetched: whoever wants the same waits for it.
        let mut there = THERE.lock().unwrap_or_else(PoisonError::into_inner);
        let there = there.get_or_insert_default();
        if let Some(found) = there.get(&key).and_then(Weak::upgrade) {
            return found;
        }
        let fetched = Arc::new(Packages::fetch(suite, packages));
        there.insert(key, Arc::downgrade(&fetched));
        fetched
    }

    fn fetch(suite: &str, packages: &[&str]) -> Packages {
        let place = Place::new();
        // With the environment as it is: a proxy may lead to the archive.
        let mut command = Command::new("timeout");
        command
            .args(["-k", "5", LIMIT, "sh", "-c", FETCH, "fetch", suite, &place.join("d"), &archive()])
            .args(packages);
        let ran = command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("cannot start apt-get: {e}"));
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "cannot fetch {packages:?} of {suite} (is there a network?):\n{said}");
        Packages { place }
    }

    /// A path below the root that they were unpacked in.
    pub fn path(&self, path: &str) -> PathBuf {
        self.place.path().join("d/root").join(path)
    }

    /// Where their libraries are, for `LD_LIBRARY_PATH`.
    pub fn libraries(&self) -> String {
        let kinds = std::fs::read_dir(self.path("usr/lib")).into_iter().flatten().flatten();
        let is_kind = |name: &str| name.ends_with("-linux-gnu") || name.ends_with("-linux-gnueabihf");
        let found = kinds.filter(|entry| entry.file_name().to_str().is_some_and(is_kind));
        found.map(|entry| entry.path().display().to_string()).collect::<Vec<_>>().join(":")
    }

    /// What `PATH` is with their programs first.
    pub fn search_path(&self) -> String {
        let own = ["usr/sbin", "usr/bin", "sbin", "bin"].map(|part| self.path(part));
        let all: Vec<String> = own.iter().filter(|path| path.is_dir()).map(|path| path.display().to_string()).collect();
        format!("{}:{}", all.join(":"), std::env::var("PATH").unwrap_or_default())
    }

    /// Removes a program that does not run on this machine, so that the machine's own is found instead.
    pub fn without(&self, program: &str) {
        for part in ["usr/sbin", "usr/bin", "sbin", "bin"] {
            let _ = std::fs::remove_file(self.path(part).join(program));
        }
    }
}

/// Where this machine gets its packages.
fn archive() -> String {
    let mut texts = vec![std::fs::read_to_string("/etc/apt/sources.list").unwrap_or_default()];
    let parts = std::fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten();
    let is_used = |path: &Path| path.extension().is_some_and(|kind| kind == "list" || kind == "sources");
    texts.extend(
        parts.filter(|part| is_used(&part.path())).filter_map(|part| std::fs::read_to_string(part.path()).ok()),
    );
    let words = texts.iter().flat_map(|text| text.lines()).filter(|line| !line.trim_start().starts_with('#'));
    let mut words = words.flat_map(str::split_whitespace);
    let found = words.find(|word| word.starts_with("http") && word.trim_end_matches('/').ends_with("/debian"));
    found.map_or_else(|| ARCHIVE.to_owned(), |found| found.trim_end_matches('/').to_owned())
}
