//! Events that wait, on disk: so that a power cut while the server is away does not take them. Off by default,
//! because flash wears; what the server acknowledges within seconds never touches it.
//!
//! What belongs into the file is said by [`muster_protocol::spool`]. Here is when it is written: while something waits
//! and nothing has been heard from the server for `LOOK`, at most every `BATCH`, down to the disk each time. So
//! a power cut takes at most the first ten seconds of an outage, and later those of the last ten seconds.

use crate::hub::Hub;
use crate::join::state_dir;
use async_io::Timer;
use log::{debug, info, warn};
use muster_protocol::id::HostId;
use muster_protocol::reporter::Reporter;
use muster_protocol::spool::{Change, LARGEST, Spool};
use smol::lock::Mutex;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The file's name in the state directory.
pub const FILE: &str = "spool";
/// How often it is looked whether the server is away.
const LOOK: Duration = Duration::from_secs(5);
/// Between two writes.
const BATCH: Duration = Duration::from_secs(10);

/// The file and what it has.
#[derive(Debug)]
pub struct Keeper {
    state_dir: PathBuf,
    spool: Spool,
    /// What went wrong last, so that it is logged once.
    trouble: Option<String>,
}

impl Keeper {
    /// Gives the reporter what an earlier run of this host's agent has left. `limit` is in bytes, 0 for no spool: then
    /// what may be there is removed.
    pub fn open(state_dir: &Path, host: HostId, limit: usize, reporter: &mut Reporter) -> Option<Keeper> {
        if limit == 0 {
            // Else it would be found, years too late, when it is turned on again.
            let removed = state_dir::remove(state_dir, FILE);
            removed.unwrap_or_else(|error| warn!("cannot remove {}: {error}", state_dir.join(FILE).display()));
            return None;
        }
        let mut spool = Spool::new(host, limit);
        match state_dir::read_bytes(&state_dir.join(FILE), LARGEST) {
            Ok(Some(bytes)) => {
                let events = spool.restore(&bytes, reporter);
                info!("{events} events of an earlier run wait, or may be stored already");
            }
            Ok(None) => {}
            Err(error) => warn!("cannot read {}: {error}; what it had is lost", state_dir.join(FILE).display()),
        }
        Some(Keeper { state_dir: state_dir.into(), spool, trouble: None })
    }

    /// Puts what waits into the file.
    pub async fn keep(&mut self, hub: &Hub) {
        let mut bytes = Vec::new();
        let change = self.spool.keep(&hub.reporter.borrow(), |piece| bytes.extend_from_slice(piece));
        self.change(change, bytes).await;
    }

    async fn tidy(&mut self, hub: &Hub) {
        let change = self.spool.acknowledged(&hub.reporter.borrow());
        self.change(change, Vec::new()).await;
    }

    async fn change(&mut self, change: Option<Change>, bytes: Vec<u8>) {
        let Some(change) = change else { return };
        debug!("spool: {change:?}, {} bytes", bytes.len());
        let directory = self.state_dir.clone();
        // A card may take seconds, and the engine's events must be drained meanwhile.
        let done = smol::unblock(move || {
            write(&directory, change, &bytes).inspect_err(|_| {
                // Half of it is there, perhaps: nothing may be appended to that.
                let _ = state_dir::remove(&directory, FILE);
            })
        });
        match done.await {
            Ok(()) => self.trouble = None,
            Err(error) => {
                let _ = self.spool.remove();
                let trouble = error.to_string();
                if self.trouble.as_ref() != Some(&trouble) {
                    warn!("cannot keep waiting events on disk: {trouble}; a power cut would take them");
                    self.trouble = Some(trouble);
                }
            }
        }
    }
}

fn write(directory: &Path, change: Change, bytes: &[u8]) -> io::Result<()> {
    match change {
        Change::Remove => state_dir::remove(directory, FILE),
        Change::Replace => state_dir::replace(directory, FILE, bytes),
        Change::Append => {
            // Not made if it is gone: its head would be missing.
            let mut file = OpenOptions::new().append(true).open(directory.join(FILE))?;
            file.write_all(bytes).and_then(|()| file.sync_data())
        }
    }
}

/// Keeps the file as it should be, for ever.
pub async fn keep(hub: &Hub, keeper: &Mutex<Keeper>) {
    let mut away = Away::default();
    let mut written: Option<Instant> = None;
    loop {
        Timer::after(LOOK).await;
        let waits = hub.reporter.borrow().waiting() > 0;
        if !away.look(waits, hub.answers.get()) {
            keeper.lock().await.tidy(hub).await;
        } else if written.is_none_or(|then| then.elapsed() >= BATCH) {
            keeper.lock().await.keep(hub).await;
            written = Some(Instant::now());
        }
    }
}

/// Whether the server is away: something waits, and there was no answer between two looks.
#[derive(Debug, Default)]
struct Away {
    /// What the last look saw, if something waited.
    answers: Option<u64>,
}

impl Away {
    fn look(&mut self, waits: bool, answers: u64) -> bool {
        let answers = waits.then_some(answers);
        let is_away = waits && answers == self.answers;
        self.answers = answers;
        is_away
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::engine::Engine;
    use crate::join::state_dir::TestDir;
    use muster_protocol::event::Cause;
    use muster_protocol::hello::Welcome;
    use muster_protocol::id::EventIdentity;
    use std::os::unix::fs::PermissionsExt;

    const HOST: HostId = HostId([1; 8]);

    fn hub(dir: &TestDir, limit: usize) -> (Hub, Option<Keeper>) {
        let hub = Hub::new(Engine::new("/nowhere"), Reporter::new([1; 16], 0), Duration::from_secs(5));
        let keeper = Keeper::open(dir.path(), HOST, limit, &mut hub.reporter.borrow_mut());
        (hub, keeper)
    }

    fn welcome(hub: &Hub, last: Option<&[u8]>) {
        let last_event = last.map(EventIdentity::of);
        let welcome = Welcome { epoch: 1, acknowledged: 0, last_event, kinds: heapless::Vec::new() };
        hub.reporter.borrow_mut().welcomed(&welcome);
    }

    #[test]
    fn what_waits_is_on_the_disk_until_it_is_acknowledged() {
        smol::block_on(async {
            let dir = TestDir::new();
            let file = dir.path().join(FILE);
            let (first, keeper) = hub(&dir, LARGEST);
            let mut keeper = keeper.unwrap();
            keeper.keep(&first).await;
            assert!(!file.exists(), "nothing waits");
            welcome(&first, None);
            first.reporter.borrow_mut().stream_opened(Cause::AgentDown);
            first.reporter.borrow_mut().replay_ended();
            for n in 0..3_u8 {
                first.reporter.borrow_mut().event(i64::from(n), &[n]);
                keeper.keep(&first).await;
            }
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            let (second, keeper) = hub(&dir, LARGEST);
            let mut keeper = keeper.unwrap();
            assert_eq!(second.reporter.borrow().waiting(), 3);
            keeper.tidy(&second).await;
            assert!(file.exists());
            welcome(&second, Some(&[2]));
            keeper.tidy(&second).await;
            assert!(!file.exists());
        });
    }

    #[test]
    fn a_file_that_vanished_or_a_disk_that_fails_ends_nothing() {
        smol::block_on(async {
            let dir = TestDir::new();
            let (hub, keeper) = hub(&dir, LARGEST);
            let mut keeper = keeper.unwrap();
            welcome(&hub, None);
            hub.reporter.borrow_mut().stream_opened(Cause::AgentDown);
            hub.reporter.borrow_mut().replay_ended();
            hub.reporter.borrow_mut().event(1, b"1");
            keeper.keep(&hub).await;
            std::fs::remove_file(dir.path().join(FILE)).unwrap();
            hub.reporter.borrow_mut().event(2, b"2");
            keeper.keep(&hub).await;
            assert!(keeper.trouble.is_some() && !dir.path().join(FILE).exists());
            keeper.keep(&hub).await;
            assert!(keeper.trouble.is_none() && dir.path().join(FILE).exists());
        });
    }

    #[test]
    fn without_a_spool_what_an_earlier_one_left_is_gone() {
        let dir = TestDir::new();
        std::fs::write(dir.path().join(FILE), "something").unwrap();
        assert!(hub(&dir, LARGEST).1.is_some(), "nonsense is no error");
        assert!(hub(&dir, 0).1.is_none());
        assert!(!dir.path().join(FILE).exists());
    }

    #[test]
    fn away_is_a_server_that_lets_things_wait() {
        let mut away = Away::default();
        assert!(!away.look(true, 7), "at first sight");
        assert!(away.look(true, 7));
        assert!(!away.look(true, 8), "it answered");
        assert!(!away.look(false, 8));
        assert!(!away.look(true, 8), "what waits is new");
        assert!(away.look(true, 8));
    }
}
