//! What the network process keeps: a directory of its own beside the agent's state directory. Its key never leaves it.

use super::peers::{self, Peers};
use super::records::{PLAN_BYTES, Records};
use crate::command::exit::{Exit, Trouble};
use crate::join::state_dir;
use boringtun::x25519::{PublicKey, StaticSecret};
use muster_protocol::id::{EngineId, HostId};
use muster_protocol::limits;
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Stands behind the name of the agent's state directory. In that itself the reporting process, which is no root, could put
/// something else in the place of what root reads and writes.
const BEHIND: &str = "-network";
const KEY: &str = "key";
const PLAN: &str = "plan";
const PEERS: &str = "peers";
const FREED: &str = "freed";
const SERVER: &str = "server";
const LOCK: &str = "lock";
const PEERS_LOCK: &str = "peers.lock";
const LABEL: &str = "label";
/// A key's digits, and what people put around them.
const KEY_LIMIT: usize = 256;
/// Peers whose keys are remembered, of all that were ever seen.
pub const PEERS_KEPT: usize = 4 * limits::NETWORK_PEERS;
/// Between two tries to get a lock.
const LOCK_PAUSE: Duration = Duration::from_millis(20);
const FREED_LIMIT: usize = 64 * 1024;
const SERVER_LIMIT: usize = 256;
const LABEL_LIMIT: usize = limits::NETWORK_LABEL + 1;
const PLAN_LIMIT: usize = 2 * PLAN_BYTES;

/// The directory.
#[derive(Debug, Clone)]
pub struct Store {
    directory: PathBuf,
}

/// The private key and the public one. `Debug` hides it.
#[derive(Clone)]
pub struct KeyPair {
    /// Secret.
    pub private: [u8; 32],
    /// Peers know this host by it.
    pub public: [u8; 32],
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(hidden)")
    }
}

impl Store {
    /// Beside this state directory of the agent.
    pub fn new(state_dir: &Path) -> Store {
        let mut directory = state_dir.components().as_path().as_os_str().to_os_string();
        directory.push(BEHIND);
        Store { directory: directory.into() }
    }

    /// Makes the directory if it is not there, and sees that it belongs to this user alone.
    pub fn open(&self) -> Result<(), Trouble> {
        let wrong = |why: &dyn std::fmt::Display, advice: &str| {
            Trouble::new(Exit::Failed, format!("cannot use {}", self.directory.display()), why, advice)
        };
        state_dir::make(&self.directory)
            .map(drop)
            .map_err(|error| wrong(&error, "run this as root; it keeps its key there"))?;
        let look = |path: &Path| std::fs::symlink_metadata(path);
        let (there, own) = look(&self.directory)
            .and_then(|there| Ok((there, look(Path::new("/proc/self"))?)))
            .map_err(|error| wrong(&error, "run this as root"))?;
        if !there.is_dir() || there.uid() != own.uid() {
            return Err(wrong(&"it is not this user's own directory", "move it away; a new one is made"));
        }
        if there.mode() & 0o077 != 0 {
            let closed = std::fs::set_permissions(&self.directory, std::fs::Permissions::from_mode(0o700));
            closed.map_err(|error| wrong(&error, "close it to others"))?;
        }
        Ok(())
    }

    /// Whether there is such a directory.
    pub fn exists(&self) -> bool {
        self.directory.is_dir()
    }

    /// Holds it for this process; `None` if another one does. Ends when what is returned is dropped.
    pub fn lock(&self) -> io::Result<Option<File>> {
        let file = File::options().create(true).truncate(false).write(true).open(self.directory.join(LOCK))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps others from changing the peers' file; waits for them so long at most. Ends when what is returned is dropped.
    ///
    /// # Errors
    /// Of kind `WouldBlock` if another one holds it all the time.
    pub fn lock_peers(&self, patience: Duration) -> io::Result<File> {
        let file = File::options().create(true).truncate(false).write(true).open(self.directory.join(PEERS_LOCK))?;
        let began = Instant::now();
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(file),
                Err(rustix::io::Errno::WOULDBLOCK) if began.elapsed() < patience => std::thread::sleep(LOCK_PAUSE),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// This host's key; made if there is none.
    pub fn key(&self) -> Result<KeyPair, Trouble> {
        let path = self.directory.join(KEY);
        let trouble = |why: &dyn std::fmt::Display| {
            let advice = "put it back from a copy, or remove it: then a new key is made, and has to be accepted";
            Trouble::new(Exit::Failed, format!("cannot use {}", path.display()), why, advice)
        };
        let text = state_dir::read(&path, KEY_LIMIT).map_err(|error| trouble(&error))?;
        let private = match text {
            Some(text) => EngineId::parse(text.trim()).ok_or_else(|| trouble(&"it is not 64 hexadecimal digits"))?.0,
            None => {
                let mut fresh = [0; 32];
                getrandom::fill(&mut fresh).map_err(|error| trouble(&error))?;
                let text = format!("{}\n", EngineId(fresh));
                state_dir::replace(&self.directory, KEY, text.as_bytes()).map_err(|error| trouble(&error))?;
                fresh
            }
        };
        let public = PublicKey::from(&StaticSecret::from(private)).to_bytes();
        Ok(KeyPair { private, public })
    }

    /// The plan as it was saved; none if there is none that can be read.
    pub fn plan(&self) -> Records {
        let bytes = state_dir::read_bytes(&self.directory.join(PLAN), PLAN_LIMIT);
        match bytes {
            Ok(Some(bytes)) => Records::read(&bytes).unwrap_or_else(|| {
                log::warn!("{} is damaged: the server will say everything again", self.directory.join(PLAN).display());
                Records::default()
            }),
            Ok(None) => Records::default(),
            Err(error) => {
                log::warn!("cannot read {}: {error}", self.directory.join(PLAN).display());
                Records::default()
            }
        }
    }

    /// Saves it.
    pub fn keep_plan(&self, records: &Records) -> io::Result<()> {
        if records.is_empty() {
            return state_dir::remove(&self.directory, PLAN);
        }
        let bytes = records.write().map_err(|_| io::Error::other("the plan cannot be written"))?;
        state_dir::replace(&self.directory, PLAN, &bytes)
    }

    /// What peers were first seen with.
    pub fn peers(&self) -> io::Result<Peers> {
        let text = state_dir::read(&self.directory.join(PEERS), peers::TEXT)?.unwrap_or_default();
        Ok(Peers::from_text(&text))
    }

    /// As [`Store::peers`], for the start: without them every key would be taken as new, and what is there be lost.
    pub fn remembered(&self) -> Result<Peers, Trouble> {
        self.peers().map_err(|error| {
            let what = format!("cannot read which keys peers had, in {}", self.directory.join(PEERS).display());
            let advice = "put it back from a copy, or remove it: then the keys that are seen next are taken";
            Trouble::new(Exit::Failed, what, error, advice)
        })
    }

    /// Saves them. Only for who holds [`Store::lock_peers`] and has read what is there since.
    pub fn keep_peers(&self, peers: &Peers) -> io::Result<()> {
        state_dir::replace(&self.directory, PEERS, peers.to_text().as_bytes())
    }

    /// An operator accepts what a peer comes with next, or `None`: what all do; waits so long at most for others that change the file. False: it was
    /// never seen.
    pub fn accept(&self, host: Option<HostId>, patience: Duration) -> io::Result<bool> {
        let _lock = self.lock_peers(patience)?;
        let mut peers = self.peers()?;
        let is_known = match host {
            Some(host) => peers.accept(host),
            None => {
                peers.accept_all();
                true
            }
        };
        if is_known {
            self.keep_peers(&peers)?;
        }
        Ok(is_known)
    }

    /// Changes when the peers' file does.
    pub fn peers_stamp(&self) -> Option<(i64, i64, u64)> {
        let there = std::fs::metadata(self.directory.join(PEERS)).ok()?;
        Some((there.mtime(), there.mtime_nsec(), there.ino()))
    }

    /// Freed addresses, as [`super::addresses::Freed`] writes them.
    pub fn freed(&self) -> String {
        state_dir::read(&self.directory.join(FREED), FREED_LIMIT).ok().flatten().unwrap_or_default()
    }

    /// Saves them.
    pub fn keep_freed(&self, text: &str) -> io::Result<()> {
        state_dir::replace(&self.directory, FREED, text.as_bytes())
    }

    /// The label that an operator has pinned, `KEY=VALUE`: `network down` is not told of it.
    pub fn label(&self) -> Option<String> {
        state_dir::read(&self.directory.join(LABEL), LABEL_LIMIT).ok().flatten().map(|text| text.trim().to_owned())
    }

    /// Saves it, or that there is none.
    pub fn keep_label(&self, label: Option<&str>) -> io::Result<()> {
        match label {
            _ if self.label().as_deref() == label => Ok(()),
            Some(label) => state_dir::replace(&self.directory, LABEL, format!("{label}\n").as_bytes()),
            None => state_dir::remove(&self.directory, LABEL),
        }
    }

    /// Where the server was reached last.
    pub fn server(&self) -> Option<IpAddr> {
        state_dir::read(&self.directory.join(SERVER), SERVER_LIMIT).ok().flatten()?.trim().parse().ok()
    }

    /// Saves it.
    pub fn keep_server(&self, server: IpAddr) -> io::Result<()> {
        state_dir::replace(&self.directory, SERVER, format!("{server}\n").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::join::state_dir::TestDir;
    use crate::network::peers::Known;

    #[test]
    fn what_is_kept_is_read_again() {
        let directory = TestDir::new();
        let store = Store::new(&directory.path().join("agent/"));
        store.open().expect("a directory");
        assert!(directory.path().join("agent-network").is_dir(), "beside it");
        let key = store.key().expect("a key");
        assert_eq!(store.key().expect("the same").public, key.public);
        let mode = |name| std::fs::metadata(store.directory.join(name)).expect("a file").mode();
        assert_eq!(mode("key") & 0o777, 0o600);
        let mut peers = Peers::default();
        *peers.entry(HostId([1; 8])) = Known::with_key([2; 32]);
        store.keep_peers(&peers).expect("saved");
        assert_eq!(store.peers().expect("read"), peers);
        store.keep_server("10.0.0.1".parse().expect("an address")).expect("saved");
        assert_eq!(store.server(), "10.0.0.1".parse().ok());
        assert_eq!(store.plan(), Records::default());
        std::fs::write(store.directory.join("plan"), b"rubbish").expect("written");
        assert_eq!(store.plan(), Records::default(), "a damaged plan is none");
    }

    #[test]
    fn keys_that_cannot_be_read_are_trouble_and_not_forgotten() {
        let directory = TestDir::new();
        let store = Store::new(&directory.path().join("agent"));
        store.open().expect("a directory");
        assert_eq!(store.remembered(), Ok(Peers::default()));
        let path = store.directory.join(PEERS);
        for bytes in [vec![0xff], vec![b'x'; peers::TEXT + 1]] {
            std::fs::write(&path, &bytes).expect("written");
            let trouble = store.remembered().expect_err("unreadable");
            assert!(trouble.what.contains("agent-network/peers") && trouble.advice.contains("a copy"), "{trouble}");
            assert_eq!(std::fs::read(&path).expect("still there"), bytes);
        }
    }

    #[test]
    fn as_many_keys_as_are_kept_are_read_again() {
        let directory = TestDir::new();
        let store = Store::new(&directory.path().join("agent"));
        store.open().expect("a directory");
        let host = |number: usize| HostId((number as u64).to_be_bytes());
        let mut peers = Peers::default();
        (0..PEERS_KEPT).for_each(|number| *peers.entry(host(number)) = Known::with_key([0xff; 32]));
        store.keep_peers(&peers).expect("saved");
        assert_eq!(store.remembered(), Ok(peers));
    }

    #[test]
    fn what_is_accepted_while_others_write_is_not_lost() {
        let directory = TestDir::new();
        let store = Store::new(&directory.path().join("agent"));
        store.open().expect("a directory");
        let host = |number: u8| HostId([number; 8]);
        let mut peers = Peers::default();
        (0..20).for_each(|number| *peers.entry(host(number)) = Known::with_key([number; 32]));
        store.keep_peers(&peers).expect("saved");
        let patience = Duration::from_secs(30);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                (0..20).for_each(|number| assert!(store.accept(Some(host(number)), patience).expect("accepted")))
            });
            for number in 20..40 {
                let _lock = store.lock_peers(patience).expect("a lock");
                let mut peers = store.peers().expect("read");
                *peers.entry(host(number)) = Known::with_key([number; 32]);
                store.keep_peers(&peers).expect("saved");
            }
        });
        let peers = store.peers().expect("read");
        let keys: Vec<_> = (0..40).map(|number| peers.get(host(number)).expect("not lost").key).collect();
        assert!(keys[..20].iter().all(Option::is_none) && keys[20..].iter().all(Option::is_some));
        let _lock = store.lock_peers(patience).expect("a lock");
        let error = store.accept(Some(host(0)), Duration::ZERO).expect_err("another one holds it");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn two_processes_do_not_hold_it_at_once() {
        let directory = TestDir::new();
        let store = Store::new(&directory.path().join("agent"));
        store.open().expect("a directory");
        let first = store.lock().expect("no error").expect("it is free");
        assert!(store.lock().expect("no error").is_none());
        drop(first);
        assert!(store.lock().expect("no error").is_some());
    }

    #[test]
    fn a_link_in_its_place_is_refused() {
        let directory = TestDir::new();
        std::os::unix::fs::symlink("/tmp", directory.path().join("agent-network")).expect("a link");
        assert!(Store::new(&directory.path().join("agent")).open().is_err());
    }
}
