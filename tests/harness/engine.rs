//! Private Docker engines: real ones, several on one machine, nothing shared between them.
//!
//! Each lives in a mount namespace of its own (held open by a process that ends with the test), so that it starts its own
//! containerd even where the machine has one, and so that all of its mounts vanish with it.

use crate::debian::Packages;
use crate::node::Node;
use crate::place::Place;
use crate::process::{self, Process, Ran};
use crate::wait::{PATIENCE, eventually};
use crate::{podman, rootless};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// The image that every engine has: a static busybox with a few scripts.
pub const IMAGE: &str = "probe:latest";

/// How many seconds one docker command may take.
const COMMAND_LIMIT: u32 = 120;

/// What makes an engine's world and holds it until its input ends: its own mounts, a containerd directory that nobody else sees, cgroups that
/// stay visible, and no forwarding unless the engine asks for it.
const WORLD: &str = r#"
set -e
mkdir -p /run/containerd
mount -t tmpfs none /run/containerd
if [ "$1" = bridge ]; then
    ip link set lo up
    echo 0 > /proc/sys/net/ipv4/ip_forward
    mount --rbind /sys/fs/cgroup "$2"
    mount -t sysfs sysfs /sys
    mount --rbind "$2" /sys/fs/cgroup
fi
if [ "$3" = legacy ]; then
    # Both are one program that goes by the name that it is called by.
    mount --bind "$(readlink -f "$(command -v iptables-legacy)")" "$(readlink -f "$(command -v iptables)")"
fi
echo ready
exec cat
"#;

/// What an engine is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    /// Docker, run by root.
    #[default]
    Docker,
    /// Podman, run by root: `programs` are [`podman::packages`]. Without networks.
    Podman,
    /// The installed Docker, run by another user: `programs` are [`rootless::packages`]. Without networks and cgroups.
    Rootless,
}

/// How an engine is made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'a> {
    /// In a network namespace of its own with Docker's bridge, for networks and ports.
    pub bridge: bool,
    /// A stopped engine whose data this one starts with, as a flashed image has them: same container ids.
    pub copy_of: Option<&'a Engine>,
    /// The engine's programs, if not those that are installed.
    pub programs: Option<&'a Arc<Packages>>,
    /// What it is.
    pub kind: Kind,
    /// With [a bridge](Options::bridge): `iptables` there speaks to the older of the kernel's two firewalls.
    pub legacy_firewall: bool,
}

/// A private engine. Dropping it ends it with all of its containers and removes its files.
#[derive(Debug)]
pub struct Engine {
    name: String,
    /// Ended before the place of their logs is removed.
    daemon: Option<Process>,
    holder: Process,
    place: Place,
    cgroup: String,
    bridge: bool,
    programs: Option<Arc<Packages>>,
    kind: Kind,
}

impl Engine {
    /// Starts one without networks, with the image [`IMAGE`].
    pub fn start(name: &str) -> Engine {
        Engine::start_with(name, Options::default())
    }

    /// Starts one in a network namespace of its own, with Docker's bridge.
    pub fn start_with_bridge(name: &str) -> Engine {
        Engine::start_with(name, Options { bridge: true, ..Options::default() })
    }

    /// Starts one.
    pub fn start_with(name: &str, options: Options) -> Engine {
        require();
        let place = Place::new();
        let cgroup = place.path().file_name().expect("a place has a name").to_string_lossy().into_owned();
        fs::create_dir(place.path().join("cg")).expect("making a directory");
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private"]);
        if options.bridge {
            command.arg("--net");
        }
        let kind = if options.bridge { "bridge" } else { "plain" };
        let firewall = if options.legacy_firewall { "legacy" } else { "installed" };
        command.args(["sh", "-c", WORLD, "world", kind, &place.join("cg"), firewall]);
        let mut holder = Process::start_read("the engine's namespaces", &mut command, &place.join("holder.log"));
        let ready = holder.line(PATIENCE);
        assert_eq!(ready.as_deref(), Some("ready"), "no namespaces for an engine: {}", holder.log());
        let (programs, kind, bridge) = (options.programs.cloned(), options.kind, options.bridge);
        let mut engine = Engine { name: name.to_owned(), place, cgroup, holder, daemon: None, bridge, programs, kind };
        match (kind, &engine.programs) {
            (Kind::Podman, Some(programs)) => podman::prepare(&engine.place, programs, &engine.enter()),
            (Kind::Rootless, Some(programs)) => rootless::prepare(&engine.place, programs, &engine.enter()),
            _ => {}
        }
        if let Some(original) = options.copy_of {
            assert!(original.daemon.is_none(), "the engine to copy must be stopped");
            engine.copy_data(original);
        }
        engine.start_daemon();
        if options.copy_of.is_none() {
            engine.import_image();
        }
        engine
    }

    /// The name that the test gave it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its files are.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The machine that it runs on, if it has [a bridge](Options::bridge): for as long as it lives.
    pub fn node(&self) -> Node {
        assert!(self.bridge, "engine {} has no network of its own", self.name);
        Node::of_process(self.holder.id())
    }

    /// Where it answers: for `--docker-host`.
    pub fn docker_host(&self) -> String {
        let socket = if self.kind == Kind::Rootless { "xdg/docker.sock" } else { "docker.sock" };
        format!("unix://{}", self.place.join(socket))
    }

    /// Runs the docker command line on it; the output without the last line end. Fails the test if it fails.
    #[track_caller]
    pub fn docker(&self, arguments: &[&str]) -> String {
        self.try_docker(arguments).ok()
    }

    /// Runs the docker command line on it.
    pub fn try_docker(&self, arguments: &[&str]) -> Ran {
        Ran::of("docker", arguments, &[("DOCKER_HOST", &self.docker_host())], COMMAND_LIMIT)
    }

    /// Starts a container that lives until it is stopped, and ends at once then; its full id.
    pub fn run(&self, name: &str) -> String {
        self.run_with(name, &[], &["live"])
    }

    /// Starts a container with more options and another command; its full id.
    pub fn run_with(&self, name: &str, options: &[&str], command: &[&str]) -> String {
        let mut arguments = vec!["run", "-d", "--name", name];
        let parent = self.cgroup_parent();
        if self.kind == Kind::Podman {
            arguments.extend(["--network", "none", "--cgroup-parent", &parent]);
        }
        arguments.extend(options);
        arguments.push(IMAGE);
        arguments.extend(command);
        self.docker(&arguments)
    }

    /// Starts a container that runs out of memory, and waits until the engine knows it; its full id. The kernel kills
    /// it each time, but what tells the engine why may end before it has read the kernel's notice: then with a new
    /// container, because such an engine never says so.
    pub fn starve(&self, name: &str) -> String {
        for _ in 0..5 {
            let id = self.run_with(name, &["-m", "12m", "--memory-swap", "12m"], &["glutton"]);
            assert_eq!(self.docker(&["wait", name]), "137", "{name} was not killed");
            for _ in 0..20 {
                if self.inspect(name)["State"]["OOMKilled"] == true {
                    return id;
                }
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
            self.docker(&["rm", name]);
        }
        panic!("five containers ran out of memory, and the engine did not hear of it once");
    }

    /// What `docker inspect` says of a container.
    pub fn inspect(&self, container: &str) -> Value {
        let text = self.docker(&["inspect", "--type", "container", container]);
        let mut list: Vec<Value> = serde_json::from_str(&text).expect("docker inspect prints JSON");
        list.remove(0)
    }

    /// Full ids of all containers, those only created too, sorted.
    pub fn container_ids(&self) -> Vec<String> {
        let text = self.docker(&["ps", "-aq", "--no-trunc"]);
        let mut ids: Vec<String> = text.lines().map(str::to_owned).collect();
        ids.sort();
        ids
    }

    /// Ends the engine without a warning, as a crash or a power cut of the daemon does. Containers live on.
    pub fn stop_hard(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill();
        }
        self.end_containerd();
        let _ = fs::remove_file(self.place.join("docker.pid"));
    }

    /// Stops the engine as an operator does: its containers are stopped first.
    pub fn stop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.stop();
        }
        self.end_containerd();
    }

    /// Starts a stopped engine again.
    pub fn start_again(&mut self) {
        assert!(self.daemon.is_none(), "the engine runs");
        self.start_daemon();
    }

    /// Stops and starts it as an operator does.
    pub fn restart(&mut self) {
        self.stop();
        self.start_again();
    }

    /// Makes the daemon hang: its socket takes connections, and nothing answers.
    pub fn freeze(&self) {
        self.daemon.as_ref().expect("the engine runs").signal("STOP");
    }

    /// Ends a [`Engine::freeze`].
    pub fn thaw(&self) {
        self.daemon.as_ref().expect("the engine runs").signal("CONT");
    }

    fn start_daemon(&mut self) {
        let mut command = Command::new("nsenter");
        command.arg(self.enter());
        match (self.kind, &self.programs) {
            (Kind::Podman, Some(programs)) => podman::serve(&mut command, &self.place, programs),
            (Kind::Rootless, Some(programs)) => rootless::serve(&mut command, &self.place, programs),
            _ => self.serve(&mut command),
        }
        self.wait_for_daemon(&mut command);
    }

    /// Docker, as root.
    fn serve(&self, command: &mut Command) {
        let holder = self.holder.id();
        if self.bridge {
            command.arg(format!("--net=/proc/{holder}/ns/net"));
        }
        command.args(["dockerd", "--data-root", &self.place.join("data"), "--exec-root", &self.place.join("exec")]);
        command.args(["--pidfile", &self.place.join("docker.pid"), "--host", &self.docker_host()]);
        command.args(["--config-file", &self.place.join("daemon.json"), "--cgroup-parent", &self.cgroup_parent()]);
        command.args(["--exec-opt", "native.cgroupdriver=cgroupfs"]);
        if !self.bridge {
            command.args(["--bridge=none", "--iptables=false", "--ip-masq=false"]);
        }
        fs::write(self.place.join("daemon.json"), "{}").expect("writing the engine's settings");
        if let Some(programs) = &self.programs {
            command.env("PATH", programs.search_path());
        }
    }

    fn enter(&self) -> String {
        format!("--mount=/proc/{}/ns/mnt", self.holder.id())
    }

    fn wait_for_daemon(&mut self, command: &mut Command) {
        let log = self.place.join("docker.log");
        let mut daemon = Process::start(&format!("engine {}", self.name), process::clean(command), &log);
        eventually(&format!("engine {} answers", self.name), || {
            if let Some(code) = daemon.ended() {
                panic!("engine {} ended with {code} instead of starting", self.name);
            }
            let ran = self.try_docker(&["version", "--format", "{{.Server.Version}}"]);
            if ran.code == 0 { Ok(()) } else { Err(ran.stderr) }
        });
        self.daemon = Some(daemon);
    }

    fn cgroup_parent(&self) -> String {
        format!("/{}", self.cgroup)
    }

    fn import_image(&self) {
        let root = self.place.path().join("image");
        let script = format!(
            r#"
set -e
mkdir -p '{root}/bin' '{root}/etc' '{root}/tmp'
cp "$(command -v busybox)" '{root}/bin/busybox'
for tool in sh sleep true false cat echo touch rm test kill nc; do ln -sf busybox '{root}/bin/'$tool; done
printf '%s\n' '#!/bin/sh' 'trap "exit 0" TERM INT' 'while :; do sleep 3600 & wait $!; done' > '{root}/bin/live'
printf '%s\n' '#!/bin/sh' 'sleep "$1"; exit "$2"' > '{root}/bin/end'
printf '%s\n' '#!/bin/sh' 'x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done' > '{root}/bin/glutton'
chmod 755 '{root}/bin/live' '{root}/bin/end' '{root}/bin/glutton'
tar -C '{root}' -cf '{root}.tar' .
"#,
            root = root.display()
        );
        Ran::of("sh", &["-c", &script], &[], COMMAND_LIMIT).ok();
        self.docker(&["import", &format!("{}.tar", root.display()), IMAGE]);
    }

    fn copy_data(&self, original: &Engine) {
        let (from, to) = (original.place.join("data"), self.place.join("data"));
        Ran::of("cp", &["-a", &from, &to], &[], COMMAND_LIMIT).ok();
        let script = "grep -rlF \"$1\" \"$2/containers\" | xargs -r sed -i \"s|$1|$2|g\"";
        Ran::of("sh", &["-c", script, "paths", &from, &to], &[], COMMAND_LIMIT).ok();
    }

    fn end_containerd(&self) {
        let path = self.place.join("exec/containerd/containerd.pid");
        let Some(id) = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse::<u32>().ok()) else { return };
        eventually("containerd ends", || {
            let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            let ours = String::from_utf8_lossy(&line).contains(&self.place.join("exec"));
            if ours {
                process::send(id, "KILL");
                return Err(format!("{id} is alive"));
            }
            Ok(())
        });
        // Where the machine's first process does not collect the dead, the id still looks alive to dockerd.
        let _ = fs::remove_file(path);
    }

    /// Ends what the engine left: processes in its cgroups and in its mount namespace.
    fn end_rest(&self) {
        for groups in cgroups_named(&self.cgroup) {
            walk(&groups, &mut |directory| {
                for id in numbers(&directory.join("cgroup.procs")) {
                    process::send(id, "KILL");
                }
                // What `docker pause` froze dies only when it thaws: with cgroup v1, and with v2.
                for (file, thawed) in [("freezer.state", "THAWED"), ("cgroup.freeze", "0")] {
                    if directory.join(file).exists() {
                        let _ = fs::write(directory.join(file), thawed);
                    }
                }
            });
        }
        let Ok(own) = fs::read_link(format!("/proc/{}/ns/mnt", self.holder.id())) else { return };
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            if id != self.holder.id() && fs::read_link(entry.path().join("ns/mnt")).is_ok_and(|its| its == own) {
                process::send(id, "KILL");
            }
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            daemon.kill();
        }
        // The daemon's death ends its containerd; shims and containers must be looked for.
        self.end_rest();
        self.holder.kill();
        remove_cgroups(&self.cgroup);
    }
}

/// Fails with one clear line where a test cannot run at all.
pub fn require() {
    let root = fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    assert!(root, "these tests start Docker engines and need root: run `sudo ./test.sh`");
    for tool in
        ["dockerd", "docker", "busybox", "unshare", "nsenter", "ip", "iptables", "tar", "curl", "python3", "timeout"]
    {
        let found = Ran::of("sh", &["-c", &format!("command -v {tool}")], &[], 10).code == 0;
        assert!(found, "these tests need `{tool}`: `./test.sh` installs it");
    }
}

/// The cgroup of that name in every hierarchy: one per controller with v1, one in all with v2.
fn cgroups_named(name: &str) -> Vec<std::path::PathBuf> {
    let top = Path::new("/sys/fs/cgroup");
    let mut found = vec![top.join(name)];
    found.extend(fs::read_dir(top).into_iter().flatten().flatten().map(|entry| entry.path().join(name)));
    found.retain(|path| path.is_dir());
    found
}

/// Removes the cgroups of that name, whose processes have ended.
pub(crate) fn remove_cgroups(name: &str) {
    for groups in cgroups_named(name) {
        // A process that was just killed leaves its cgroup a moment later.
        for _ in 0..100 {
            if !groups.exists() {
                break;
            }
            let mut directories = Vec::new();
            walk(&groups, &mut |directory| directories.push(directory.to_path_buf()));
            for directory in directories.iter().rev() {
                let _ = fs::remove_dir(directory);
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

fn walk(directory: &Path, each: &mut dyn FnMut(&Path)) {
    each(directory);
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), each);
        }
    }
}

fn numbers(file: &Path) -> Vec<u32> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().filter_map(|line| line.trim().parse().ok()).collect()
}
