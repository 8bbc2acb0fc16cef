//! Podman as an engine: its service at a socket of its own, from unpacked packages, in the namespaces of an
//! [`Engine`](crate::Engine). Without systemd, so that nobody runs health checks but a test that asks for it.

use crate::debian::Packages;
use crate::place::Place;
use crate::process::Ran;
use std::fs;
use std::process::Command;
use std::sync::Arc;

/// What Podman consists of, in Debian 12, as far as a plain machine with Docker has not got it.
const PACKAGES: [&str; 8] = [
    "podman",
    "conmon",
    "libgpgme11",
    "libassuan0",
    "libgpg-error0",
    "libsubid4",
    "libyajl2",
    "golang-github-containers-common",
];

/// Puts the packages' libraries beside the machine's, in this mount namespace only: Podman starts itself again to clean up,
/// in an environment of its own. And gives the runtime a place for its state.
const LIBRARIES: &str = r#"
set -e
for own in "$1"/usr/lib/*-linux-gnu; do
    there=/usr/lib/$(basename "$own")
    mount -t overlay overlay -o "lowerdir=$own:$there" "$there"
done
mkdir -p /run/runc
mount -t tmpfs none /run/runc
"#;

/// The packages of Podman 4.3.
pub fn packages() -> Arc<Packages> {
    Packages::of("bookworm", &PACKAGES)
}

/// Prepares a place for Podman, once, in the mount namespace that `enter` leads to.
pub(crate) fn prepare(place: &Place, packages: &Packages, enter: &str) {
    let root = packages.path("").display().to_string();
    Ran::of("nsenter", &[enter, "sh", "-c", LIBRARIES, "libraries", &root], &[], 60).ok();
    let config = place.path().join("home/.config/containers");
    fs::create_dir_all(&config).expect("making a directory");
    fs::copy(packages.path("etc/containers/policy.json"), config.join("policy.json")).expect("copying a file");
    fs::create_dir(place.path().join("tmp")).expect("making a directory");
    let text = format!(
        r#"[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
conmon_path = ["{conmon}"]
runtime = "runc"
static_dir = "{place}/static"
tmp_dir = "{place}/tmp"
volume_path = "{place}/volumes"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[network]
network_config_dir = "{place}/networks"
"#,
        conmon = packages.path("usr/bin/conmon").display(),
        place = place.path().display(),
    );
    fs::write(place.path().join("containers.conf"), text).expect("writing Podman's settings");
    let text = format!(
        "[storage]\ndriver = \"vfs\"\ngraphroot = \"{0}/data\"\nrunroot = \"{0}/run\"\n",
        place.path().display()
    );
    fs::write(place.path().join("storage.conf"), text).expect("writing Podman's settings");
}

/// Adds the service to a command that enters the namespaces.
pub(crate) fn serve(command: &mut Command, place: &Place, packages: &Packages) {
    command.arg(packages.path("usr/bin/podman"));
    command.args(["system", "service", "--time", "0", &format!("unix://{}", place.join("docker.sock"))]);
    command.env("PATH", packages.search_path()).env("HOME", place.join("home")).env("TMPDIR", place.join("tmp"));
    command.env("CONTAINERS_CONF", place.join("containers.conf"));
    command.env("CONTAINERS_STORAGE_CONF", place.join("storage.conf"));
}
