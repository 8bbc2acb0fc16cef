//! How the host and its containers do: read from the kernel's files when it is to be said, and never asked of the
//! engine, whose answer to one such question costs more than a hundred looks at all containers.
//!
//! Files are below a root, `/` in earnest. An agent in a container of its own sees all containers if it shares the
//! host's process and control group namespaces, and has the host's `/sys/fs/cgroup`; without them it finds those that lie
//! in the usual places, and no networks. Of the host's disks it sees those that are mounted for it.

pub mod cgroup;
pub mod container;
pub mod host;
pub mod mounts;
pub mod parse;

use crate::census::roster::Run;
use cgroup::Hierarchy;
use container::{Descriptors, FILE, Files, Settings, is_of_other_network, read_file};
use host::Board;
use log::debug;
use mounts::{DiskMount, Mounts};
use muster_protocol::id::EngineId;
use muster_protocol::limits;
use muster_protocol::record::Writer;
use muster_protocol::reporter::vitals::{Ledger, Told};
use muster_protocol::vitals::{CONTAINER_FIELDS, DISK_FIELDS, Measured};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Descriptors that are kept open: those of fifty containers. Each costs the kernel about a page; a process may have
/// 1,024 by default. What lies beyond is opened at each look.
pub const DESCRIPTORS: usize = 300;
/// How often it is looked what is mounted, and what a board has.
const SURVEY: Duration = Duration::from_secs(300);
/// Disks, and the limits of containers, are read at one look of so many.
const SELDOM: u32 = 8;
/// A container whose group was not found is searched for again after so many looks.
const SEARCH_AGAIN: u32 = 40;

/// A container that runs.
#[derive(Debug)]
struct Watched {
    id: EngineId,
    pid: u32,
    /// Whether the process of that number is really its own, and has another network than the host.
    has_network: bool,
    group: Option<Box<str>>,
    /// The look at which it was last searched for.
    searched: Option<u32>,
    /// At one look of [`SELDOM`] its settings are read, each container's at another one.
    turn: u32,
    settings: Settings,
    files: Files,
    told: Told<CONTAINER_FIELDS>,
}

/// A disk, and how it last was.
#[derive(Debug)]
struct Disk {
    mount: DiskMount,
    values: Measured<{ limits::DISK_FIELDS }>,
    told: Told<DISK_FIELDS>,
}

/// What is the same for all containers.
#[derive(Debug)]
struct Machine {
    root: PathBuf,
    hierarchy: Hierarchy,
    /// The number of the file in which the host's own network is counted.
    host_network: Option<u64>,
}

/// Looks at the host and its containers, and remembers what was said of them.
#[derive(Debug)]
pub struct Vitals {
    machine: Machine,
    /// When the agent's clock began.
    began: Instant,
    ledger: Ledger,
    surveyed: Option<Instant>,
    board: Board,
    disks: Vec<Disk>,
    /// Sorted by id.
    watched: Vec<Watched>,
    descriptors: Descriptors,
    looks: u32,
}

impl Vitals {
    /// Nothing was looked at yet. Keeps at most `descriptors` files open, see [`DESCRIPTORS`].
    pub fn new(root: &Path, descriptors: usize) -> Vitals {
        Vitals {
            machine: Machine { root: root.into(), hierarchy: Hierarchy::default(), host_network: None },
            began: Instant::now(),
            ledger: Ledger::default(),
            surveyed: None,
            board: Board::default(),
            disks: Vec::new(),
            watched: Vec::new(),
            descriptors: Descriptors::new(descriptors),
            looks: 0,
        }
    }

    /// What was said may not have arrived: the next look says everything.
    pub fn doubt(&mut self) {
        self.ledger.doubt();
    }

    /// Closes all files, and forgets the containers: nothing is to be looked at for a while.
    pub fn rest(&mut self) {
        self.watched.iter_mut().for_each(|watched| watched.files.close(&mut self.descriptors));
        self.watched = Vec::new();
        self.ledger.doubt();
    }

    /// Looks at everything and writes what has moved into `out`, which is empty and as large as vitals may be. `runs` are
    /// the containers that run. False if there is nothing to be sent: then what was written is to be thrown away.
    pub fn look(
        &mut self,
        runs: impl Iterator<Item = (EngineId, Run)>,
        now: Instant,
        wall_ms: i64,
        out: &mut Writer<'_>,
    ) -> bool {
        let mut buffer = [0; FILE];
        let buffer = &mut buffer[..];
        if self.surveyed.is_none_or(|surveyed| now.saturating_duration_since(surveyed) >= SURVEY) {
            self.surveyed = Some(now);
            self.survey(buffer);
        }
        self.follow(runs);
        self.looks = self.looks.wrapping_add(1);
        let Vitals { machine, ledger, board, disks, watched, descriptors, looks, .. } = self;
        let Machine { root, hierarchy, .. } = &*machine;
        let host = host::host(root, board, buffer);
        let at_ms = now.saturating_duration_since(self.began).as_millis();
        let Ok(mut look) = ledger.begin(out, u64::try_from(at_ms).unwrap_or(u64::MAX), wall_ms, &host) else {
            return false;
        };
        for disk in disks {
            if disk.values.is_empty() || *looks % SELDOM == 0 {
                disk.values = host::disk(root, &disk.mount, buffer);
            }
            look.disk(&disk.mount.path, &disk.values, &mut disk.told);
        }
        let mut may_search = true;
        let count = watched.len();
        let first = look.first(count);
        for place in (first..count).chain(0..first) {
            let Some(watched) = watched.get_mut(place) else { continue };
            let is_fresh = watched.group.is_none();
            if is_fresh && !watched.find(machine, *looks, &mut may_search, buffer) {
                continue;
            }
            let Some(group) = watched.group.as_deref() else { continue };
            if is_fresh || looks.wrapping_add(watched.turn) % SELDOM == 0 {
                watched.settings = Settings::read(hierarchy, group, buffer);
                watched.files.look_again();
            }
            let dev = watched.has_network.then(|| net_dev(root, watched.pid));
            let network = dev.and_then(|dev| parse::network(read_file(&dev, buffer).ok()?));
            let files = &mut watched.files;
            let values = files.read(hierarchy, group, watched.settings, network, descriptors, buffer);
            let Some(values) = values else {
                watched.lose(descriptors);
                continue;
            };
            if !look.container(place, prefix(&watched.id), &values, &mut watched.told) {
                break;
            }
        }
        look.end()
    }

    /// What is mounted, and what the board has.
    fn survey(&mut self, buffer: &mut [u8]) {
        // Another root is that of a host that is not ours: its first process knows what is mounted there.
        let table = if self.machine.root == Path::new("/") { "proc/self/mountinfo" } else { "proc/1/mountinfo" };
        match Mounts::read(&self.machine.root.join(table), &self.machine.root) {
            Ok(Mounts { hierarchy, disks }) => {
                self.machine.hierarchy = hierarchy;
                let is_same = disks.iter().eq(self.disks.iter().map(|disk| &disk.mount));
                if !is_same {
                    let fresh = |mount| Disk { mount, values: Measured::default(), told: Told::default() };
                    self.disks = disks.into_iter().map(fresh).collect();
                    // That one is gone has to be said, too.
                    self.ledger.doubt();
                }
            }
            Err(error) => debug!("cannot read what is mounted: {error}"),
        }
        self.board = Board::find(&self.machine.root, buffer);
        self.machine.host_network = net_dev(&self.machine.root, 1).metadata().ok().map(|metadata| metadata.ino());
    }

    /// Watches those that run, and no others.
    fn follow(&mut self, runs: impl Iterator<Item = (EngineId, Run)>) {
        let Vitals { watched, descriptors, .. } = self;
        let mut at = 0;
        let mut let_go = |watched: &mut Vec<Watched>, range: std::ops::Range<usize>| {
            watched.drain(range).for_each(|mut gone| gone.files.close(descriptors));
        };
        // Both are sorted.
        for (id, run) in runs {
            let gone = watched[at..].iter().take_while(|watched| watched.id < id).count();
            let_go(watched, at..at + gone);
            let is_known = watched.get(at).is_some_and(|watched| watched.id == id);
            match run {
                Run::Up { pid } if !is_known => watched.insert(at, Watched::new(id, pid)),
                Run::Up { pid } if watched[at].pid != pid => {
                    // It was started again. What was said of it stands until it is said anew.
                    let told = std::mem::take(&mut watched[at].told);
                    let_go(watched, at..at + 1);
                    watched.insert(at, Watched { told, ..Watched::new(id, pid) });
                }
                Run::Unknown if !is_known => watched.insert(at, Watched::new(id, 0)),
                Run::Up { .. } | Run::Unknown => {}
            }
            at += 1;
        }
        let_go(watched, at..watched.len());
        if watched.capacity() / 4 > watched.len().max(16) {
            watched.shrink_to(watched.len() * 2);
        }
    }
}

impl Watched {
    fn new(id: EngineId, pid: u32) -> Watched {
        Watched {
            turn: u32::from(id.0[0]),
            id,
            pid,
            has_network: false,
            group: None,
            searched: None,
            settings: Settings::default(),
            files: Files::default(),
            told: Told::default(),
        }
    }

    /// Finds its group. One search goes with a look.
    fn find(&mut self, machine: &Machine, look: u32, may_search: &mut bool, buffer: &mut [u8]) -> bool {
        let Machine { root, hierarchy, host_network } = machine;
        let told = (self.pid != 0).then(|| root.join(format!("proc/{}/cgroup", self.pid)));
        let told = told.and_then(|path| read_file(&path, buffer).ok());
        let is_its = told.is_some_and(|told| told.contains(&self.id.to_string()));
        self.has_network = is_its && is_of_other_network(&net_dev(root, self.pid), *host_network);
        let mut group = hierarchy.group(&self.id, told);
        let is_due = self.searched.is_none_or(|searched| look.wrapping_sub(searched) >= SEARCH_AGAIN);
        if group.is_none() && is_due && std::mem::take(may_search) {
            self.searched = Some(look);
            group = hierarchy.search(&self.id);
            if group.is_none() {
                debug!("container {:?} has no control group that can be found", self.id);
            }
        }
        self.group = group.map(Into::into);
        self.group.is_some()
    }

    /// Its group is gone: it has ended, or another one has it.
    fn lose(&mut self, descriptors: &mut Descriptors) {
        self.files.close(descriptors);
        self.group = None;
    }
}

fn net_dev(root: &Path, pid: u32) -> PathBuf {
    root.join(format!("proc/{pid}/net/dev"))
}

fn prefix(id: &EngineId) -> [u8; 6] {
    let mut prefix = [0; 6];
    prefix.copy_from_slice(&id.0[..6]);
    prefix
}
