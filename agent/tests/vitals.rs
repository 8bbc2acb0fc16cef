//! What is read of a host and its containers, from recorded trees of the kernel's files: version 2 of control groups,
//! and version 1 beside it.

use muster_agent::census::roster::Run;
use muster_agent::vitals::{DESCRIPTORS, Vitals};
use muster_protocol::batch::Batch;
use muster_protocol::id::EngineId;
use muster_protocol::limits;
use muster_protocol::mirror::vitals::{ContainerNow, DiskNow, HostNow, Picture, Said};
use muster_protocol::record::{Kind, Writer};
use muster_protocol::vitals::power;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const A: EngineId = EngineId([0xa1; 32]);
const B: EngineId = EngineId([0xb2; 32]);
const C: EngineId = EngineId([0xc3; 32]);
const WALL_MS: i64 = 1_700_000_000_000;

/// A directory with the files of a recording.
struct Tree {
    root: PathBuf,
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

impl Tree {
    fn of(name: &str) -> Tree {
        let mut random = [0; 8];
        getrandom::fill(&mut random).expect("randomness");
        let root = std::env::temp_dir().join(format!("muster-vitals-{:x}", u64::from_le_bytes(random)));
        let tree = Tree { root };
        let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples/vitals").join(name);
        let text = fs::read_to_string(recorded).expect("a recording");
        for part in text.split("== ").skip(1) {
            let (head, content) = part.split_once('\n').expect("a name");
            match head.split_once(" -> ") {
                Some((link, target)) => {
                    let link = tree.made(link);
                    std::os::unix::fs::symlink(target, link).expect("a link");
                }
                None => tree.write(head, content),
            }
        }
        tree
    }

    fn made(&self, path: &str) -> PathBuf {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().expect("below the root")).expect("a directory");
        path
    }

    fn write(&self, path: &str, content: &str) {
        fs::write(self.made(path), content).expect("a file");
    }

    /// Files in it that this process has open.
    fn open(&self) -> usize {
        let links = fs::read_dir("/proc/self/fd").expect("descriptors").flatten();
        links.filter(|fd| fs::read_link(fd.path()).is_ok_and(|target| target.starts_with(&self.root))).count()
    }
}

/// The host of a tree, and what a server knows of it.
struct Host {
    vitals: Vitals,
    picture: Picture,
    start: Instant,
    looks: u64,
}

impl Host {
    fn of(tree: &Tree, descriptors: usize) -> Host {
        let vitals = Vitals::new(&tree.root, descriptors);
        Host { vitals, picture: Picture::default(), start: Instant::now(), looks: 0 }
    }

    /// Looks, fifteen seconds after the last time. Answers how many bytes that says; 0 for nothing.
    fn look(&mut self, runs: &[(EngineId, u32)]) -> usize {
        self.look_at(runs.iter().map(|(id, pid)| (*id, Run::Up { pid: *pid })))
    }

    fn look_at(&mut self, runs: impl Iterator<Item = (EngineId, Run)>) -> usize {
        let now = self.start + Duration::from_secs(15 * self.looks);
        let wall_ms = WALL_MS + 15_000 * self.looks as i64;
        self.looks += 1;
        let mut said = [0; limits::VITALS];
        let mut writer = Writer::records(&mut said);
        if !self.vitals.look(runs, now, wall_ms, &mut writer) {
            return 0;
        }
        let mut message = vec![0; limits::MESSAGE];
        let mut out = Writer::message(&mut message).expect("room");
        let batch = Batch { epoch: 1, seq: self.looks, base: 0, through: 0, events_dropped: 0 };
        out.record(Kind::Batch, &batch).and_then(|()| out.raw(writer.as_bytes())).expect("room");
        let said = Said::find(out.as_bytes()).expect("good records").expect("vitals");
        assert!(self.picture.receive(&said));
        writer.len()
    }

    fn container(&self, id: EngineId) -> ContainerNow {
        self.picture.container(&id).expect("it is measured")
    }
}

#[test]
fn version_2_under_systemd_with_docker_podman_and_a_rootless_engine() {
    let tree = Tree::of("v2.tree");
    let mut host = Host::of(&tree, DESCRIPTORS);
    host.look(&[(A, 1001), (B, 1002), (C, 1003)]);
    let docker = ContainerNow {
        cpu_ms: Some(12_345),
        memory: Some(40 * 1024),
        memory_limit: Some(64 * 1024),
        received: Some(10 * 1024 + 1),
        sent: Some(2 * 1024 + 1),
        read: Some(1024),
        written: Some(512),
        pids: Some(7),
        throttled_ms: Some(250),
        ..ContainerNow::default()
    };
    assert_eq!(host.container(A), docker);
    let podman = host.container(B);
    assert_eq!((podman.cpu_ms, podman.memory, podman.memory_limit), (Some(500), Some(4096), Some(0)));
    assert_eq!((podman.received, podman.sent, podman.read), (Some(2), Some(4), Some(0)));
    let rootless = host.container(C);
    assert_eq!((rootless.memory, rootless.read, rootless.written), (Some(1024), Some(1), Some(2)));
    assert_eq!((rootless.received, rootless.sent), (None, None), "it has the host's network");
    let now = HostNow {
        cpu_ms: Some((120_345 + 310 + 40_210 + 2210) * 10),
        cpus: Some(4),
        load: Some(52),
        memory_total: Some(945_512),
        memory_available: Some(512_340),
        swap_total: Some(102_396),
        swap_used: Some(10_000),
        uptime: Some(25_012),
        temperature: Some(525),
        power: Some(power::UNDER_VOLTAGE | power::THROTTLED | power::WAS_UNDER_VOLTAGE | power::WAS_THROTTLED),
        ..HostNow::default()
    };
    assert_eq!(host.picture.host(), now);
    // What lies under these names here is this machine's own.
    let disks: Vec<(&str, DiskNow)> = host.picture.disks().collect();
    assert_eq!((disks[0].0, disks[0].1.worn), ("/", Some(30)));
    assert!(disks[0].1.total > disks[0].1.free, "{disks:?}");
}

#[test]
fn version_2_as_a_kernel_and_an_engine_made_it() {
    let id = |text| EngineId::parse(text).expect("an id");
    let limited = id("08bc756b6a785f8a29366c85e0ef06565c50352909e9159d5ed881c9b03cc29f");
    let idle = id("5fddd50b669e61ff3f2c0cd27d91ad4a0fad3426a1400788c8725ca41fc4d13e");
    let writes = id("ba069e66a7cfa456ad4e1690bdad3bf2ab54eceb5dba0edf68805e7d0aad45eb");
    let tree = Tree::of("v2-recorded.tree");
    let mut host = Host::of(&tree, DESCRIPTORS);
    host.look(&[(limited, 323), (idle, 385), (writes, 447)]);
    // What the engine said of it at that moment: 316KiB / 64MiB, 1.25kB received, one process.
    let now = ContainerNow {
        cpu_ms: Some(7051),
        memory: Some(316),
        memory_limit: Some(64 * 1024),
        received: Some(1),
        sent: Some(0),
        read: Some(0),
        written: Some(0),
        pids: Some(1),
        throttled_ms: Some(21_966),
        ..ContainerNow::default()
    };
    assert_eq!(host.container(limited), now);
    let (idle, writes) = (host.container(idle), host.container(writes));
    assert_eq!((idle.cpu_ms, idle.memory, idle.memory_limit, idle.pids), (Some(808), Some(308), Some(0), Some(1)));
    assert_eq!((writes.cpu_ms, writes.memory, writes.pids), (Some(1354), Some(960), Some(2)));
    let host = host.picture.host();
    assert_eq!((host.cpu_ms, host.cpus, host.load), (Some((3757 + 3205 + 54) * 10), Some(1), Some(173)));
    assert_eq!((host.memory_total, host.memory_available), (Some(2_915_344), Some(2_022_040)));
    assert_eq!((host.uptime, host.temperature, host.power), (Some(94), None, None));
}

#[test]
fn version_1_with_groups_that_the_engine_names() {
    let tree = Tree::of("v1.tree");
    let mut host = Host::of(&tree, DESCRIPTORS);
    host.look(&[(A, 1001), (B, 1002)]);
    let docker = ContainerNow {
        cpu_ms: Some(12_345),
        memory: Some(40 * 1024),
        memory_limit: Some(64 * 1024),
        received: Some(10 * 1024),
        sent: Some(2 * 1024),
        read: Some(1024),
        written: Some(512),
        pids: Some(7),
        throttled_ms: Some(250),
        ..ContainerNow::default()
    };
    assert_eq!(host.container(A), docker);
    let other = host.container(B);
    assert_eq!((other.cpu_ms, other.memory, other.memory_limit), (Some(500), Some(4096), Some(0)));
    assert_eq!((other.received, other.throttled_ms), (None, None), "no network, and no limit to be held back by");
    assert_eq!(host.picture.host().power, Some(power::UNDER_VOLTAGE));
}

#[test]
fn only_what_has_moved_is_said_and_rates_are_seen() {
    let tree = Tree::of("v2.tree");
    let mut host = Host::of(&tree, DESCRIPTORS);
    let runs = [(A, 1001), (B, 1002), (C, 1003)];
    let whole = host.look(&runs);
    let group = format!("sys/fs/cgroup/system.slice/docker-{A}.scope");
    tree.write(&format!("{group}/cpu.stat"), "usage_usec 19845678\nthrottled_usec 250000\n");
    tree.write("proc/uptime", "25027.80 98765.43\n");
    let busy = host.look(&runs);
    assert!(busy < 50 && busy * 4 < whole, "{busy} of {whole} bytes");
    assert_eq!((host.container(A).cpu, host.container(A).memory), (Some(500), Some(40 * 1024)));
    assert_eq!((host.container(B).cpu, host.picture.host().cpu), (Some(0), Some(0)));
    tree.write("proc/uptime", "25042.80 98765.43\n");
    let still = host.look(&runs);
    assert!(still > 0 && still < 25, "it has stopped: {still} bytes");
    assert!(host.container(A).cpu < Some(6));
    tree.write("proc/uptime", "25057.80 98765.43\n");
    assert_eq!(host.look(&runs), 0);
}

#[test]
fn everything_is_said_again_after_a_doubt() {
    let tree = Tree::of("v1.tree");
    let mut host = Host::of(&tree, DESCRIPTORS);
    let runs = [(A, 1001), (B, 1002)];
    host.look(&runs);
    host.look(&runs);
    host.picture = Picture::default();
    host.vitals.doubt();
    host.look(&runs);
    assert_eq!(host.container(A).pids, Some(7));
}

#[test]
fn files_stay_open_up_to_the_cap_and_no_longer_than_their_container_runs() {
    let tree = Tree::of("v2.tree");
    let mut host = Host::of(&tree, 7);
    let runs = [(A, 1001), (B, 1002), (C, 1003)];
    for _ in 0..3 {
        host.look(&runs);
        assert_eq!(tree.open(), 7);
        assert_eq!(host.container(C).pids, Some(2), "beyond the cap it is read all the same");
    }
    host.look(&[(C, 1003)]);
    assert_eq!(tree.open(), 5, "the one that stayed has room now");
    host.look(&[]);
    assert_eq!(tree.open(), 0);
    host.look(&runs);
    host.vitals.rest();
    assert_eq!(tree.open(), 0);
}

#[test]
fn a_container_that_was_started_again_has_another_group_and_process() {
    let tree = Tree::of("v2.tree");
    let mut host = Host::of(&tree, DESCRIPTORS);
    host.look(&[(A, 1001)]);
    let moved = format!("mine.slice/docker-{A}.scope");
    fs::remove_dir_all(tree.root.join(format!("sys/fs/cgroup/system.slice/docker-{A}.scope"))).unwrap();
    tree.write(&format!("sys/fs/cgroup/{moved}/cpu.stat"), "usage_usec 5000\nthrottled_usec 0\n");
    tree.write("proc/1009/cgroup", &format!("0::/{moved}\n"));
    host.look(&[(A, 1009)]);
    let now = host.container(A);
    assert_eq!((now.cpu_ms, now.cpu), (Some(5), None));
    assert_eq!((now.memory, now.received), (None, None), "nothing is left of what it was");
    // An event has told of a change: until that is read, what is known is what is looked at.
    tree.write(&format!("sys/fs/cgroup/{moved}/cpu.stat"), "usage_usec 1505000\nthrottled_usec 0\n");
    host.look_at([(A, Run::Unknown)].into_iter());
    assert_eq!(host.container(A).cpu, Some(100));
}

#[test]
fn without_the_hosts_processes_groups_are_found_in_usual_places_or_searched_for() {
    let tree = Tree::of("v2.tree");
    let mut host = Host::of(&tree, DESCRIPTORS);
    // In a namespace of its own the agent sees other processes under these numbers, or none; and something before the
    // engine may refuse to tell them.
    tree.write("proc/1001/cgroup", "0::/\n");
    host.look_at([(A, Run::Up { pid: 1001 }), (B, Run::Unknown), (C, Run::Up { pid: 77 })].into_iter());
    for (id, memory) in [(A, 40 * 1024), (B, 4096), (C, 1024)] {
        let now = host.container(id);
        assert_eq!((now.memory, now.received), (Some(memory), None), "{id:?}");
    }
}

#[test]
fn what_the_kernel_does_not_count_is_not_known() {
    let tree = Tree::of("v2.tree");
    let group = tree.root.join(format!("sys/fs/cgroup/system.slice/docker-{A}.scope"));
    // A Pi whose kernel was not told to count memory.
    for file in ["memory.current", "memory.stat", "memory.max", "io.stat"] {
        fs::remove_file(group.join(file)).unwrap();
    }
    let mut host = Host::of(&tree, DESCRIPTORS);
    host.look(&[(A, 1001)]);
    let now = host.container(A);
    assert_eq!((now.cpu_ms, now.pids), (Some(12_345), Some(7)));
    assert_eq!((now.memory, now.memory_limit, now.read), (None, None, None));
    // Nothing at all is there.
    let empty = Tree { root: tree.root.join("empty") };
    let mut host = Host::of(&empty, DESCRIPTORS);
    assert!(host.look(&[(A, 1001)]) > 0);
    assert_eq!((host.picture.host(), host.picture.containers().count()), (HostNow::default(), 0));
}

#[test]
fn a_disk_that_is_plugged_in_or_pulled_is_seen_in_time() {
    let tree = Tree::of("v2.tree");
    let mut host = Host::of(&tree, DESCRIPTORS);
    host.look(&[]);
    let paths = |host: &Host| host.picture.disks().map(|(path, _)| path.to_string()).collect::<Vec<_>>();
    assert_eq!(paths(&host), ["/"], "the other one is not there");
    fs::create_dir_all(tree.root.join("boot/firmware")).unwrap();
    for _ in 0..21 {
        host.look(&[]);
    }
    assert_eq!(paths(&host), ["/", "/boot/firmware"]);
    let table = fs::read_to_string(tree.root.join("proc/1/mountinfo")).unwrap();
    let table: String = table.lines().filter(|line| !line.contains("vfat")).map(|line| format!("{line}\n")).collect();
    tree.write("proc/1/mountinfo", &table);
    for _ in 0..21 {
        host.look(&[]);
    }
    assert_eq!(paths(&host), ["/"]);
}
