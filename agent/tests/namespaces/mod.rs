//! Tests inside network and mount namespaces of their own: whatever they make is gone with their process.
//!
//! Needs root, and of Debian: iproute2, util-linux, mount.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Set in the process that is inside: a directory that is removed at the end. Programs in it come before others.
const INSIDE: &str = "MUSTER_TEST_INSIDE";

/// Runs the test named so again, in namespaces, and there `body`, with a directory that `prepare` has put programs into.
#[track_caller]
pub fn inside(test: &str, prepare: impl FnOnce(&Path), body: impl FnOnce(&Path)) {
    if let Some(place) = std::env::var_os(INSIDE) {
        must("mount -t sysfs sysfs /sys; mount -t tmpfs none /run; ip link set lo up");
        body(Path::new(&place));
        return;
    }
    let place = std::env::temp_dir().join(format!("inside-{test}-{}", std::process::id()));
    fs::create_dir_all(&place).unwrap();
    prepare(&place);
    let output = Command::new("unshare")
        .args(["--net", "--mount", "--propagation", "private", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--include-ignored", "--test-threads=1"])
        .env(INSIDE, &place)
        .env("PATH", format!("{}:{}:/usr/sbin:/sbin", place.display(), std::env::var("PATH").unwrap()))
        .stdin(Stdio::null())
        .output()
        .expect("unshare, of Debian's util-linux");
    fs::remove_dir_all(&place).unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    println!("{text}");
}

/// Writes a script that can be run.
#[allow(dead_code, reason = "names.rs needs none")]
pub fn script(file: &PathBuf, text: &str) {
    fs::write(file, text).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Whether a script worked, and all that it said.
pub fn shell(script: &str) -> (bool, String) {
    let output = Command::new("sh").args(["-ec", script]).stdin(Stdio::null()).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// What a script said that has to work.
#[track_caller]
pub fn must(script: &str) -> String {
    let (worked, said) = shell(script);
    assert!(worked, "{script}\n{said}");
    said
}
