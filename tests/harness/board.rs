//! Boards: root file systems with processes of their own, in which installers and service managers can do what they do as
//! root on a host.

use crate::Engine;
use crate::engine::remove_cgroups;
use crate::place::Place;
use crate::process::{Process, Ran};
use crate::wait::PATIENCE;
use std::fs;
use std::path::Path;
use std::process::Command;

/// How many seconds one command on a board may take.
const COMMAND_LIMIT: u32 = 180;

/// Where programs are looked for, as a root's shell has it.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Mounts what a started board has, and then is its first process, until its input ends. `$1` is the root, `$2` an engine's
/// socket or nothing, `$3` says whether programs are this machine's.
const BOOT: &str = r#"
set -e
if [ "$3" = borrowed ]; then
    mkdir -p "$1/own"
    mount --bind "$1/usr/local" "$1/own"
    mount --rbind -o ro /usr "$1/usr"
    mount --bind "$1/own" "$1/usr/local"
    for folder in bin sbin lib lib64; do
        [ -L "/$folder" ] || [ ! -d "/$folder" ] || mount --bind -o ro "/$folder" "$1/$folder"
    done
fi
mount -t proc proc "$1/proc"
mount --rbind /sys "$1/sys"
mount --rbind /dev "$1/dev"
mount -t tmpfs -o mode=755 run "$1/run"
if [ -n "$2" ]; then
    touch "$1/run/docker.sock"
    mount --bind "$2" "$1/run/docker.sock"
fi
cd "$1"
touch .board
# Only from there on is its root the board's, for those who come in.
exec chroot "$1" /bin/sh -c 'echo ready; cat >/dev/null'
"#;

/// Puts itself into cgroups of its own, `$1` is their name, and goes on as the rest says.
const OWN_CGROUPS: &str = r#"
name=$1
shift
for groups in /sys/fs/cgroup /sys/fs/cgroup/*; do
    case $(stat -f -c %T "$groups") in cgroup*) ;; *) continue ;; esac
    # Processors and memory nodes would have to be shared out first.
    case $groups in */cpuset*) continue ;; esac
    mkdir -p "$groups/$name" && echo $$ >"$groups/$name/cgroup.procs"
done
exec "$@"
"#;

/// As [`BOOT`], with systemd as its first process. `$1` is the root, `$2` an engine's socket or nothing, `$3` says whether it
/// has a network of its own.
const BOOT_SYSTEMD: &str = r#"
set -e
mount --bind "$1" "$1"
mount -t proc proc "$1/proc"
mount -t sysfs -o ro sysfs "$1/sys"
if [ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ]; then
    mount -t cgroup2 groups "$1/sys/fs/cgroup"
else
    mount -t tmpfs -o mode=755 groups "$1/sys/fs/cgroup"
    for groups in /sys/fs/cgroup/*; do
        here=$1$groups controllers=$(basename "$groups")
        case $(stat -f -c %T "$groups") in
            cgroup2fs) mkdir "$here" && mount -t cgroup2 groups "$here" ;;
            cgroup*)
                [ "$controllers" != systemd ] || controllers=none,name=systemd
                [ "$controllers" = cpuset ] || { mkdir "$here" && mount -t cgroup -o "$controllers" groups "$here"; }
                ;;
        esac
    done
fi
mount -t tmpfs -o mode=755 dev "$1/dev"
for device in 'null 1 3' 'zero 1 5' 'full 1 7' 'random 1 8' 'urandom 1 9' 'tty 5 0'; do
    echo "$device" | { read -r name major minor; mknod -m 666 "$1/dev/$name" c "$major" "$minor"; }
done
mkdir "$1/dev/pts" "$1/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666 pts "$1/dev/pts"
ln -s pts/ptmx "$1/dev/ptmx"
mount -t tmpfs -o mode=755 run "$1/run"
if [ -n "$2" ]; then
    touch "$1/run/docker.sock"
    mount --bind "$2" "$1/run/docker.sock"
fi
# The kernel's settings are this machine's, and its terminals.
mount --bind "$1/proc/sys" "$1/proc/sys"
mount -o remount,ro,bind "$1/proc/sys"
if [ "$3" = networked ]; then
    # Those of the network are its own, and so is what is made with this device.
    mount --bind "$1/proc/sys/net" "$1/proc/sys/net"
    mount -o remount,rw,bind "$1/proc/sys/net"
    mkdir "$1/dev/net"
    mknod -m 666 "$1/dev/net/tun" c 10 200
fi
ln -sf /dev/null "$1/etc/systemd/system/getty.target"
ln -sf /dev/null "$1/etc/systemd/system/console-getty.service"
touch "$1/.board"
exec chroot "$1" /usr/bin/env -i container=docker PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /bin/sh -c 'echo ready; exec /lib/systemd/systemd --system --unit=multi-user.target --show-status=0'
"#;

/// Stands for systemd, where there is none: it starts the one service by its unit, again whenever it ends.
const SYSTEMCTL: &str = r#"#!/bin/sh
unit=/etc/systemd/system/muster-agent.service
value() { sed -n "s/^$1=[-+]*//p" "$unit" | head -n 1; }
stop() {
    rm -f /run/service.wanted
    [ -f /run/service.id ] || return 0
    id=$(cat /run/service.id)
    kill "$id" 2>/dev/null || true
    while kill -0 "$id" 2>/dev/null; do sleep 0.1; done
    rm -f /run/service.id
}
serve() {
    while [ "$(cat /run/service.wanted 2>/dev/null)" = "$1" ]; do
        $(value ExecStartPre) 2>>/run/service.log || true
        setpriv --reuid "$(value User)" --regid "$(value Group)" --init-groups $(value ExecStart) >>/run/service.log 2>&1 &
        echo $! >/run/service.id
        wait $! || true
        sleep 0.5
    done
}
echo "$*" >>/run/systemctl.log
# Its processes are another test's matter.
case "$*" in *muster-network*) exit 0 ;; esac
case "$*" in
    *--now*|stop*)
        stop
        rm -f /etc/systemd/system/multi-user.target.wants/muster-agent.service
        ;;
    enable*)
        mkdir -p /etc/systemd/system/multi-user.target.wants
        ln -sf "$unit" /etc/systemd/system/multi-user.target.wants/muster-agent.service
        ;;
    start*|restart*)
        [ -f "$unit" ] || exit 5
        stop
        echo $$ >/run/service.wanted
        # Not of the function alone: the shell would keep what was there before, and its reader waiting.
        (exec </dev/null >/dev/null 2>&1; serve $$) &
        ;;
esac
"#;

/// Whatever goes wrong: nothing that is meant for a board is done to this machine.
const ON_BOARD: &str = r#"[ -e /.board ] || { echo "this is not the board" >&2; exit 97; }; eval "$1""#;

/// What its programs are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// This machine's, to be read only.
    Borrowed,
    /// Its own.
    Own,
    /// Its own, and systemd the first.
    Systemd,
}

/// A root file system, and its processes while it is started. Dropping it ends them and removes it.
#[derive(Debug)]
pub struct Board {
    /// Ended first: its mounts end with it.
    running: Option<Process>,
    place: Place,
    kind: Kind,
    socket: Option<String>,
    /// The network namespace that it lives in, if not the test's own.
    network: Option<String>,
}

impl Board {
    /// One with this machine's programs and settings, and nothing else of it. It is not started.
    pub fn borrowed() -> Board {
        require(&["setpriv", "chroot", "nsenter", "unshare", "curl"]);
        let board = Board::nothing(Kind::Borrowed);
        let script = r#"
set -e
mkdir -p "$1/usr/local/bin" "$1/usr/local/sbin" "$1/usr/local/lib" "$1/var/lib" "$1/proc" "$1/sys" "$1/dev" "$1/run" "$1/root" "$1/mnt"
mkdir -m 1777 "$1/tmp"
ln -s /run "$1/var/run"
for folder in bin sbin lib lib64; do
    if [ -L "/$folder" ]; then cp -a "/$folder" "$1/$folder"; elif [ -d "/$folder" ]; then mkdir "$1/$folder"; fi
done
cp -a /etc "$1/etc"
"#;
        Ran::of("sh", &["-c", script, "make", &board.root()], &[], COMMAND_LIMIT).ok();
        board
    }

    /// A clean Debian, fetched now.
    pub fn debian(packages: &str) -> Board {
        require(&["debootstrap", "setpriv", "chroot", "nsenter", "unshare"]);
        let board = Board::nothing(Kind::Own);
        let include = format!("--include={packages}");
        let arguments = ["--variant=minbase", &include, "bookworm", &board.root()];
        Ran::of("debootstrap", &arguments, &[("DEBIAN_FRONTEND", "noninteractive")], 900).ok();
        fs::create_dir_all(board.path("run")).expect("a folder");
        board
    }

    /// A clean Debian, fetched now, that systemd itself starts.
    pub fn debian_with_systemd(packages: &str) -> Board {
        let mut board = Board::debian(&format!("systemd,{packages}"));
        board.kind = Kind::Systemd;
        board
    }

    fn nothing(kind: Kind) -> Board {
        let board = Board { running: None, place: Place::new(), kind, socket: None, network: None };
        let root = board.root();
        fs::create_dir(&root).unwrap_or_else(|error| panic!("making {root}: {error}"));
        // The place is private; what is in the root is seen by users of the board alone.
        Ran::of("chmod", &["755", &root, &board.place.path().display().to_string()], &[], COMMAND_LIMIT).ok();
        board
    }

    /// One from a folder as [`Board::borrowed`] has made it, as a card from an image.
    pub fn from_folder(folder: &str) -> Board {
        let copy = Board::nothing(Kind::Borrowed);
        Ran::of("cp", &["-a", &format!("{folder}/."), &copy.root()], &[], COMMAND_LIMIT).ok();
        copy
    }

    /// With an engine, from the next start on.
    pub fn with_engine(mut self, engine: &Engine) -> Board {
        self.socket = engine.docker_host().strip_prefix("unix://").map(str::to_owned);
        self
    }

    /// In this network namespace, from the next start on.
    pub fn in_network(mut self, namespace: String) -> Board {
        self.network = Some(namespace);
        self
    }

    /// With something that does as systemd would.
    pub fn with_systemd(self) -> Board {
        self.write("usr/local/bin/systemctl", SYSTEMCTL);
        Ran::of("chmod", &["755", &self.path("usr/local/bin/systemctl")], &[], COMMAND_LIMIT).ok();
        self
    }

    /// Where its root is, seen from outside.
    pub fn root(&self) -> String {
        self.place.join("root")
    }

    /// A path of the board, seen from outside. What is mounted while it is started is not seen there.
    pub fn path(&self, path: &str) -> String {
        format!("{}/{path}", self.root())
    }

    /// Writes a file.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        if let Some(folder) = Path::new(&path).parent() {
            fs::create_dir_all(folder).unwrap_or_else(|error| panic!("{path}: {error}"));
        }
        fs::write(&path, text).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// Puts a file of this machine there.
    pub fn copy_in(&self, from: &str, path: &str) {
        self.write(path, "");
        Ran::of("cp", &["-aL", from, &self.path(path)], &[], COMMAND_LIMIT).ok();
    }

    /// Powers it on. If it has something like systemd, services that are enabled are started.
    pub fn start(&mut self) {
        assert!(self.running.is_none(), "the board runs");
        let mut command = Command::new("nsenter");
        match &self.network {
            Some(namespace) => command.arg(format!("--net={namespace}")).arg("unshare"),
            None => {
                command = Command::new("unshare");
                &mut command
            }
        };
        let separate = ["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"];
        command.args(separate);
        let kind = if self.kind == Kind::Borrowed { "borrowed" } else { "own" };
        let socket = self.socket.clone().unwrap_or_default();
        if self.kind == Kind::Systemd {
            command = Command::new("sh");
            command.args(["-c", OWN_CGROUPS, "groups", &self.cgroup()]);
            if let Some(namespace) = &self.network {
                command.args(["nsenter", &format!("--net={namespace}")]);
            }
            let networked = if self.network.is_some() { "networked" } else { "shared" };
            command.args(["unshare", "--cgroup", "--uts", "--ipc"]).args(separate);
            command.args(["sh", "-c", BOOT_SYSTEMD, "boot", &self.root(), &socket, networked]);
        } else {
            command.args(["sh", "-c", BOOT, "boot", &self.root(), &socket, kind]);
        }
        let mut running = Process::start_read("a board", &mut command, &self.place.join("board.log"));
        let ready = running.line(PATIENCE);
        assert_eq!(ready.as_deref(), Some("ready"), "the board does not start: {}", running.log());
        self.running = Some(running);
        if self.kind == Kind::Systemd {
            crate::eventually("systemd has started", || {
                let ran = self.run("systemctl is-system-running");
                if ["running", "degraded"].contains(&ran.stdout.trim()) { Ok(()) } else { Err(ran.stdout) }
            });
        }
        if Path::new(&self.path("usr/local/bin/systemctl")).exists() {
            self.run("mkdir -p /run/systemd/system").ok();
            let enabled = "etc/systemd/system/multi-user.target.wants/muster-agent.service";
            if Path::new(&self.path(enabled)).symlink_metadata().is_ok() {
                self.run("systemctl start muster-agent").ok();
            }
        }
    }

    /// Takes the power away.
    pub fn cut_power(&mut self) {
        self.running.take().expect("the board runs").kill();
        if self.kind == Kind::Systemd {
            remove_cgroups(&self.cgroup());
        }
    }

    /// What the cgroups of systemd are called.
    fn cgroup(&self) -> String {
        self.place.path().file_name().expect("a place has a name").to_string_lossy().into_owned()
    }

    /// Runs a line in the board's shell, as root.
    pub fn run(&self, line: &str) -> Ran {
        self.run_with(line, &[])
    }

    /// The same with more variables.
    pub fn run_with(&self, line: &str, variables: &[(&str, &str)]) -> Ran {
        let (program, arguments) = self.shell(line, variables);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Ran::of(program, &arguments, &[], COMMAND_LIMIT)
    }

    /// Starts a line in the board's shell, as root.
    pub fn start_line(&self, name: &str, line: &str, variables: &[(&str, &str)]) -> Process {
        let (program, arguments) = self.shell(line, variables);
        Process::start(name, Command::new(program).args(arguments), &self.place.join(&format!("{name}.log")))
    }

    /// Its first process, as this machine numbers it.
    fn first(&self) -> Option<String> {
        let holder = self.running.as_ref()?.id();
        let text = fs::read_to_string(format!("/proc/{holder}/task/{holder}/children")).ok()?;
        text.split_whitespace().next().map(str::to_owned)
    }

    fn shell(&self, line: &str, variables: &[(&str, &str)]) -> (&'static str, Vec<String>) {
        let first = self.first().unwrap_or_else(|| panic!("the board does not run"));
        let mut arguments: Vec<String> =
            ["--target", &first, "--mount", "--pid", "--net", "--cgroup", "--root", "--wd"].map(str::to_owned).into();
        arguments.extend(["env", "-i", PATH, "HOME=/root"].map(str::to_owned));
        arguments.extend(variables.iter().map(|(name, value)| format!("{name}={value}")));
        arguments.extend(["/bin/sh", "-c", ON_BOARD, "board", line].map(str::to_owned));
        ("nsenter", arguments)
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(first) = self.first()
        {
            for log in ["service.log", "systemctl.log"] {
                let text = fs::read_to_string(format!("/proc/{first}/root/run/{log}")).unwrap_or_default();
                eprintln!("--- {log} of the board:\n{text}---");
            }
            if self.kind == Kind::Systemd {
                eprintln!("{}", self.run("journalctl --no-pager -u muster-agent -u muster-network -n 60").stdout);
            }
        }
        if self.running.is_some() && self.kind == Kind::Systemd {
            self.cut_power();
        }
    }
}

/// Fails with one clear line where a tool is missing.
fn require(tools: &[&str]) {
    for tool in tools {
        let found = Ran::of("sh", &["-c", &format!("command -v {tool}")], &[], 10).code == 0;
        assert!(found, "these tests need `{tool}`: `./test.sh` installs it");
    }
}
