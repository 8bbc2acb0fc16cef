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

/// Podman of Debian 13 with all that it needs: it does not run with the libraries of an older machine.
const PACKAGES_OF_13: [&str; 38] = [
    "podman",
    "conmon",
    "crun",
    "netavark",
    "golang-github-containers-common",
    "libc6",
    "libgcc-s1",
    "libacl1",
    "libassuan9",
    "libatomic1",
    "libattr1",
    "libaudit1",
    "libbsd0",
    "libbz2-1.0",
    "libcap-ng0",
    "libcap2",
    "libcrypt1",
    "libdevmapper1.02.1",
    "libffi8",
    "libgcrypt20",
    "libglib2.0-0t64",
    "libgpg-error0",
    "libgpgme11t64",
    "liblz4-1",
    "liblzma5",
    "libmd0",
    "libpam0g",
    "libpcre2-8-0",
    "libseccomp2",
    "libselinux1",
    "libsemanage2",
    "libsepol2",
    "libsqlite3-0",
    "libsubid5",
    "libsystemd0",
    "libudev1",
    "libyajl2",
    "libzstd1",
];

/// Makes a root of these packages, in this mount namespace only. Their runtime refuses machines with both versions of cgroups.
const WORLD: &str = r#"
set -e
root=${1%/}
mount --bind "$root" "$root"
cd "$root"
for link in bin sbin lib lib64; do [ -e "$link" ] || ln -s "usr/$link" "$link" || true; done
mkdir -p proc sys dev tmp run var/tmp ".$2"
for tree in proc sys dev; do mount --rbind "/$tree" "$root/$tree"; done
umount --lazy "$root/sys/fs/cgroup/unified" 2>/dev/null || true
mount -t tmpfs none "$root/run"
mount -t tmpfs none "$root/dev/shm"
mount --bind "$2" "$root$2"
"#;

/// Puts the packages' libraries beside the machine's, in this mount namespace only: Podman starts itself again to clean up,
/// in an environment of its own. And gives the runtime a place for its state, and Podman one for its locks: with those that all
/// Podmans of a machine share, a killed one can make others wait for ever.
const LIBRARIES: &str = r#"
set -e
for own in "$1"/usr/lib/*-linux-gnu; do
    there=/usr/lib/$(basename "$own")
    mount -t overlay overlay -o "lowerdir=$own:$there" "$there"
done
mkdir -p /run/runc
mount -t tmpfs none /run/runc
mount -t tmpfs none /dev/shm
"#;

/// The packages of Podman 4.3.
pub fn packages() -> Arc<Packages> {
    Packages::of("bookworm", &PACKAGES)
}

/// The packages of Podman 5.4.
pub fn packages_of_13() -> Arc<Packages> {
    Packages::of("trixie", &PACKAGES_OF_13)
}

/// Whether these packages have everything down to the C library, and are a root of their own.
fn is_world(packages: &Packages) -> bool {
    packages.path("usr/share/doc/libc6").is_dir()
}

/// Prepares a place for Podman, once, in the mount namespace that `enter` leads to.
pub(crate) fn prepare(place: &Place, packages: &Packages, enter: &str) {
    let root = packages.path("").display().to_string();
    let script = if is_world(packages) { WORLD } else { LIBRARIES };
    let own = place.path().display().to_string();
    Ran::of("nsenter", &[enter, "sh", "-c", script, "prepare", &root, &own], &[], 60).ok();
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
runtime = "{runtime}"
static_dir = "{place}/static"
tmp_dir = "{place}/tmp"
volume_path = "{place}/volumes"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[network]
network_config_dir = "{place}/networks"
"#,
        conmon = if is_world(packages) { "/usr/bin/conmon".into() } else { packages.path("usr/bin/conmon") }.display(),
        runtime = if is_world(packages) { "crun" } else { "runc" },
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
    if is_world(packages) {
        command.arg("chroot").arg(packages.path("")).arg("/usr/bin/podman");
    } else {
        command.arg(packages.path("usr/bin/podman"));
    }
    command.args(["system", "service", "--time", "0", &format!("unix://{}", place.join("docker.sock"))]);
    let path = if is_world(packages) { "/usr/sbin:/usr/bin:/sbin:/bin".into() } else { packages.search_path() };
    command.env("PATH", path).env("HOME", place.join("home")).env("TMPDIR", place.join("tmp"));
    command.env("CONTAINERS_CONF", place.join("containers.conf"));
    command.env("CONTAINERS_STORAGE_CONF", place.join("storage.conf"));
}
