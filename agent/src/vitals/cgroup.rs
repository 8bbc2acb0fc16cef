//! Where a container's control group is: version 2, version 1, or both side by side; by systemd's or the engine's own
//! names; below whatever an operator wants them to be.

use super::mounts::{Mount, unescaped};
use muster_protocol::id::EngineId;
use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

/// What measures something of a control group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controller {
    /// All of version 2.
    Unified,
    /// Processor time, in version 1.
    CpuAcct,
    /// Limits of processor time, in version 1.
    Cpu,
    /// Memory, in version 1.
    Memory,
    /// Processes, in version 1.
    Pids,
    /// Block devices, in version 1.
    Blkio,
}

/// How many there are.
const CONTROLLERS: usize = 6;

impl Controller {
    /// Those of version 1.
    pub const VERSION_1: [Controller; 5] =
        [Controller::CpuAcct, Controller::Cpu, Controller::Memory, Controller::Pids, Controller::Blkio];

    /// As the kernel calls it.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Controller::Unified => None,
            Controller::CpuAcct => Some("cpuacct"),
            Controller::Cpu => Some("cpu"),
            Controller::Memory => Some("memory"),
            Controller::Pids => Some("pids"),
            Controller::Blkio => Some("blkio"),
        }
    }
}

/// Where a hierarchy of control groups is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mounted {
    at: PathBuf,
    /// The group that is seen there; what is outside of it cannot be read.
    root: String,
}

impl Mounted {
    /// The directory of a group.
    fn directory(&self, group: &str) -> Option<PathBuf> {
        // A root that begins with `..` is that of all, seen from within a namespace.
        let root = if self.root.starts_with("/..") { "/" } else { self.root.trim_end_matches('/') };
        let below = group.strip_prefix(root.trim_end_matches('/'))?;
        (below.is_empty() || below.starts_with('/')).then(|| self.at.join(below.trim_start_matches('/')))
    }
}

/// Where the control groups of this host are mounted.
#[derive(Debug, Default)]
pub struct Hierarchy {
    mounted: [Option<Mounted>; CONTROLLERS],
}

/// Directories that are looked at to find one group: some hundred are usual on a host.
const SEARCHED: usize = 2000;
/// How deep they lie: that of a rootless engine is five below its mount.
const DEPTH: usize = 8;

impl Hierarchy {
    /// Notes a mount. The first one counts, unless it shows only a part.
    pub fn add(&mut self, controller: Controller, mount: &Mount<'_>, root: &Path) {
        let Some(point) = unescaped(mount.point) else { return };
        let fresh = Mounted { at: root.join(point.trim_start_matches('/')), root: mount.root.into() };
        let place = &mut self.mounted[controller as usize];
        let shows_all = |mounted: &Mounted| mounted.root == "/" || mounted.root.starts_with("/..");
        if place.as_ref().is_none_or(|known| !shows_all(known) && shows_all(&fresh)) {
            *place = Some(fresh);
        }
    }

    /// The directory of a group where this controller is mounted.
    pub fn directory(&self, controller: Controller, group: &str) -> Option<PathBuf> {
        self.mounted[controller as usize].as_ref()?.directory(group)
    }

    /// Whether a controller of version 1 is in use.
    pub fn has(&self, controller: Controller) -> bool {
        self.mounted[controller as usize].is_some()
    }

    /// Whether there is such a group.
    fn exists(&self, group: &str) -> bool {
        let directory = self.first().and_then(|controller| self.directory(controller, group));
        directory.is_some_and(|directory| directory.is_dir())
    }

    /// By which controller groups are looked for: every container has one there.
    fn first(&self) -> Option<Controller> {
        [Controller::CpuAcct, Controller::Memory, Controller::Unified].into_iter().find(|first| self.has(*first))
    }

    /// The group of a container: `cgroup` is what its first process says of it (`/proc/PID/cgroup`), if that can be read.
    pub fn group(&self, id: &EngineId, cgroup: Option<&str>) -> Option<String> {
        let id = id.to_string();
        let told = cgroup.and_then(|text| group_in(text, &id)).filter(|group| self.exists(group));
        told.or_else(|| usual(&id).into_iter().find(|group| self.exists(group)))
    }

    /// Looks for a container's group in all directories there are, up to a limit. Costs about as many system calls.
    pub fn search(&self, id: &EngineId) -> Option<String> {
        let id = id.to_string();
        let mounted = self.mounted[self.first()? as usize].as_ref()?;
        let mut ahead = VecDeque::from([(mounted.at.clone(), 0)]);
        let mut left = SEARCHED;
        while let Some((directory, depth)) = ahead.pop_front() {
            for entry in fs::read_dir(&directory).ok()?.flatten() {
                if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    continue;
                }
                let path = entry.path();
                if entry.file_name().to_str().is_some_and(|name| is_of(name, &id)) {
                    let below = path.strip_prefix(&mounted.at).ok()?.to_str()?;
                    let root = if mounted.root.starts_with("/..") { "" } else { mounted.root.trim_end_matches('/') };
                    return Some(format!("{root}/{below}"));
                }
                left = left.checked_sub(1)?;
                if depth + 1 < DEPTH {
                    ahead.push_back((path, depth + 1));
                }
            }
        }
        None
    }
}

/// Whether a group of this name is a container's own, and not one that watches it.
fn is_of(name: &str, id: &str) -> bool {
    name.contains(id) && !name.contains("conmon")
}

/// What `/proc/PID/cgroup` says of a container's group. A process may be in a group below it, and a process of another
/// container has another one.
fn group_in(text: &str, id: &str) -> Option<String> {
    let of = |line: &str| {
        let path = line.splitn(3, ':').nth(2)?;
        let mut end = 0;
        for part in path.split('/') {
            // From within a namespace it cannot be said where a group above is.
            if part == ".." {
                return None;
            }
            end += part.len() + 1;
            if is_of(part, id) {
                return path.get(..end - 1).map(String::from);
            }
        }
        None
    };
    text.lines().find_map(of)
}

/// Where Docker and Podman put containers by themselves, under either driver.
fn usual(id: &str) -> [String; 5] {
    [
        format!("/system.slice/docker-{id}.scope"),
        format!("/docker/{id}"),
        format!("/machine.slice/libpod-{id}.scope"),
        format!("/libpod_parent/libpod-{id}"),
        format!("/docker.slice/docker-{id}.scope"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::join::state_dir::TestDir;
    use crate::vitals::mounts;

    fn id() -> EngineId {
        EngineId([0xab; 32])
    }

    fn hex() -> String {
        "ab".repeat(32)
    }

    fn hierarchy(dir: &TestDir, lines: &[&str]) -> Hierarchy {
        let mut hierarchy = Hierarchy::default();
        for line in lines {
            let mount = mounts::parse(line).unwrap();
            let controllers = Controller::VERSION_1.into_iter();
            let options = |controller: &Controller| mount.options.split(',').any(|it| Some(it) == controller.name());
            if mount.kind == "cgroup2" {
                hierarchy.add(Controller::Unified, &mount, dir.path());
            }
            controllers.filter(options).for_each(|controller| hierarchy.add(controller, &mount, dir.path()));
        }
        hierarchy
    }

    const UNIFIED: &str = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw";

    fn made(dir: &TestDir, path: &str) {
        fs::create_dir_all(dir.path().join(path)).unwrap();
    }

    #[test]
    fn what_the_process_says_goes_first_wherever_it_is() {
        let dir = TestDir::new();
        let hierarchy = hierarchy(&dir, &[UNIFIED]);
        made(&dir, &format!("sys/fs/cgroup/mine/{}/init.scope", hex()));
        made(&dir, &format!("sys/fs/cgroup/system.slice/docker-{}.scope", hex()));
        let text = format!("0::/mine/{}/init.scope\n", hex());
        assert_eq!(hierarchy.group(&id(), Some(&text)), Some(format!("/mine/{}", hex())), "without what is below it");
        let scope = format!("/system.slice/docker-{}.scope", hex());
        assert_eq!(hierarchy.group(&id(), None), Some(scope.clone()));
        for elsewhere in ["0::/user.slice/x\n", "0::/../x\n", "", "0:\n", &format!("0::/gone/{}\n", hex())] {
            assert_eq!(hierarchy.group(&id(), Some(elsewhere)), Some(scope.clone()), "{elsewhere}");
        }
    }

    #[test]
    fn all_usual_places_are_known() {
        for path in usual(&hex()) {
            let dir = TestDir::new();
            let hierarchy = hierarchy(&dir, &[UNIFIED]);
            assert_eq!(hierarchy.group(&id(), None), None);
            made(&dir, &format!("sys/fs/cgroup{path}"));
            assert_eq!(hierarchy.group(&id(), None), Some(path));
        }
    }

    #[test]
    fn a_container_within_a_namespace_is_not_looked_for_above_it() {
        let text = format!("0::/../docker-{}.scope\n", hex());
        assert_eq!(group_in(&text, &hex()), None);
        let text = format!("0::/machine.slice/libpod-conmon-{}.scope\n", hex());
        assert_eq!(group_in(&text, &hex()), None, "who watches it");
        let text = format!("1:name=systemd:/x\n5:memory:/p/libpod-{}.scope/container\n", hex());
        assert_eq!(group_in(&text, &hex()), Some(format!("/p/libpod-{}.scope", hex())));
    }

    #[test]
    fn both_versions_may_be_side_by_side() {
        let dir = TestDir::new();
        let hierarchy = hierarchy(
            &dir,
            &[
                "38 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw",
                "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct",
                "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory",
            ],
        );
        assert!(
            hierarchy.has(Controller::CpuAcct) && hierarchy.has(Controller::Cpu) && !hierarchy.has(Controller::Pids)
        );
        made(&dir, &format!("sys/fs/cgroup/cpu,cpuacct/docker/{}", hex()));
        let group = hierarchy.group(&id(), None).unwrap();
        let memory = dir.path().join("sys/fs/cgroup/memory/docker").join(hex());
        assert_eq!(hierarchy.directory(Controller::Memory, &group), Some(memory));
        assert_eq!(hierarchy.directory(Controller::Pids, &group), None);
    }

    #[test]
    fn a_mount_that_shows_a_part_gives_way_to_one_that_shows_all() {
        let dir = TestDir::new();
        let part = "30 23 0:26 /docker/me /part rw - cgroup2 cgroup2 rw";
        let all = "31 23 0:26 /../.. /host rw - cgroup2 cgroup2 rw";
        let only = hierarchy(&dir, &[part]);
        let directory = |hierarchy: &Hierarchy, group: &str| hierarchy.directory(Controller::Unified, group);
        assert_eq!(directory(&only, "/docker/me/x"), Some(dir.path().join("part/x")));
        assert_eq!((directory(&only, "/docker/other"), directory(&only, "/docker/meow")), (None, None));
        let both = hierarchy(&dir, &[part, all]);
        assert_eq!(directory(&both, "/docker/other"), Some(dir.path().join("host/docker/other")));
    }

    #[test]
    fn a_search_finds_what_is_nowhere_usual_and_ends() {
        let dir = TestDir::new();
        let hierarchy = hierarchy(&dir, &[UNIFIED]);
        let path = format!("/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{}.scope", hex());
        assert_eq!(hierarchy.search(&id()), None, "there is no such directory");
        made(&dir, "sys/fs/cgroup");
        assert_eq!(hierarchy.search(&id()), None);
        made(&dir, &format!("sys/fs/cgroup{path}"));
        assert_eq!(hierarchy.search(&id()), Some(path));
        let dir = TestDir::new();
        let hierarchy = self::hierarchy(&dir, &[UNIFIED]);
        (0..SEARCHED + 10).for_each(|n| made(&dir, &format!("sys/fs/cgroup/{n}")));
        made(&dir, &format!("sys/fs/cgroup/1/{}", hex()));
        assert_eq!(hierarchy.search(&id()), None, "too far");
    }
}
