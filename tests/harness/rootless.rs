//! A rootless Docker: the installed engine, run by a user of its own through RootlessKit.

use crate::debian::Packages;
use crate::place::Place;
use crate::process::Ran;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Command;
use std::sync::Arc;

/// The user, who exists in the engine's mount namespace only, and the first of the ids that are lent to it.
pub const USER: u32 = 4242;
const LENT: u32 = 2_000_000;

const PACKAGES: [&str; 3] = ["rootlesskit", "uidmap", "libsubid4"];

/// Adds the user to the machine's, and the packages' libraries to the machine's, in this mount namespace only.
const USERS: &str = r#"
set -e
mount -t overlay overlay -o "lowerdir=$2:/etc" /etc
for own in "$1"/usr/lib/*-linux-gnu; do
    there=/usr/lib/$(basename "$own")
    mount -t overlay overlay -o "lowerdir=$own:$there" "$there"
done
"#;

/// What makes an engine rootless.
pub fn packages() -> Arc<Packages> {
    Packages::of("bookworm", &PACKAGES)
}

/// The user's environment.
pub fn environment(place: &Place) -> [(&'static str, String); 2] {
    [("HOME", place.join("home")), ("XDG_RUNTIME_DIR", place.join("xdg"))]
}

/// What stands before a program to run it as the user.
pub const AS_USER: [&str; 6] = ["setpriv", "--reuid", "4242", "--regid", "4242", "--clear-groups"];

/// Prepares a place, once, in the mount namespace that `enter` leads to.
pub(crate) fn prepare(place: &Place, packages: &Packages, enter: &str) {
    let etc = place.path().join("etc");
    fs::create_dir(&etc).expect("making a directory");
    let add = |name: &str, line: String| {
        let mut text = fs::read_to_string(format!("/etc/{name}")).unwrap_or_default();
        let _ = writeln!(text, "{line}");
        fs::write(etc.join(name), text).expect("writing a file");
    };
    add("passwd", format!("rootless:x:{USER}:{USER}::{}:/bin/sh", place.join("home")));
    add("group", format!("rootless:x:{USER}:"));
    for name in ["subuid", "subgid"] {
        add(name, format!("rootless:{LENT}:65536"));
    }
    for directory in ["home", "xdg"] {
        let path = place.path().join(directory);
        fs::create_dir(&path).expect("making a directory");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("closing a directory");
        chown(&path, Some(USER), Some(USER)).expect("giving a directory away");
    }
    fs::write(place.path().join("daemon.json"), "{}").expect("writing the engine's settings");
    let root = packages.path("").display().to_string();
    let arguments = [enter, "sh", "-c", USERS, "users", &root, &etc.display().to_string()];
    Ran::of("nsenter", &arguments, &[], 60).ok();
}

/// Adds the engine to a command that enters the mount namespace. With it all that it has started ends.
pub(crate) fn serve(command: &mut Command, place: &Place, packages: &Packages) {
    let xdg = place.join("xdg");
    command.args(AS_USER).arg("rootlesskit");
    command.args([&format!("--state-dir={xdg}/kit"), "--net=host", "--pidns", "--copy-up=/etc", "--copy-up=/run"]);
    let engine = format!(
        "rm -rf /run/docker /run/containerd /run/xtables.lock; exec dockerd --rootless --data-root {home}/data \
         --exec-root {xdg}/exec --pidfile {xdg}/docker.pid --host unix://{xdg}/docker.sock --config-file {settings} \
         --bridge=none --iptables=false --ip-masq=false --storage-driver vfs",
        home = place.join("home"),
        settings = place.join("daemon.json"),
    );
    command.args(["sh", "-c", &engine]).envs(environment(place));
    command.env("PATH", packages.search_path()).current_dir(place.path());
}
