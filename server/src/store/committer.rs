//! One thread that commits for all hosts: what comes while one commit runs goes into the next.

use super::{Snapshot, Store, StoreError, Write};
use muster_protocol::id::HostId;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Rows in one commit, so that a burst does not make everybody wait for a minute.
const ROWS: usize = 4000;
/// Commits that may wait; who comes then waits before it is queued.
const WAITING: usize = 1024;
/// After a failure nothing is tried for this long: a full disk is not emptied by asking.
const RECOVERY: Duration = Duration::from_secs(1);

/// Commits, in the order in which it is asked to.
#[derive(Clone)]
pub struct Committer {
    store: Arc<dyn Store>,
    jobs: async_channel::Sender<Job>,
    trouble: Arc<Mutex<Option<Trouble>>>,
}

impl std::fmt::Debug for Committer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Committer").finish_non_exhaustive()
    }
}

struct Job {
    writes: Vec<Write>,
    done: async_channel::Sender<Result<u64, StoreError>>,
}

#[derive(Debug, Clone)]
struct Trouble {
    error: StoreError,
    tried: Instant,
}

impl Committer {
    /// Starts the thread. It ends when the last clone is gone.
    pub fn start(store: Arc<dyn Store>) -> Result<Committer, StoreError> {
        let newest = store.newest_event()?;
        let (jobs, queue) = async_channel::bounded(WAITING);
        let trouble = Arc::new(Mutex::new(None));
        let committer = Committer { store: store.clone(), jobs, trouble: trouble.clone() };
        std::thread::Builder::new()
            .name("store".into())
            .spawn(move || run(&*store, &queue, &trouble, newest))
            .map_err(|error| StoreError { message: format!("cannot start the store's thread: {error}") })?;
        Ok(committer)
    }

    /// Makes all of `writes` durable, or none. Events among them get the next ids, in their order; the first of
    /// these ids is the answer.
    pub async fn commit(&self, writes: Vec<Write>) -> Result<u64, StoreError> {
        let stopped = || StoreError { message: "the store has stopped".into() };
        let (done, outcome) = async_channel::bounded(1);
        self.jobs.send(Job { writes, done }).await.map_err(|_| stopped())?;
        outcome.recv().await.map_err(|_| stopped())?
    }

    /// What keeps the store from working, if its last commit failed.
    pub fn problem(&self) -> Option<StoreError> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|trouble| trouble.error.clone())
    }

    /// Whether it makes sense to try now: not right after a failure.
    pub fn may_try(&self) -> bool {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.as_ref().is_none_or(|trouble| trouble.tried.elapsed() >= RECOVERY)
    }

    /// What is durable of one host; for when memory has run ahead of a commit that failed.
    pub async fn reload(&self, host: HostId) -> Result<Snapshot, StoreError> {
        let store = self.store.clone();
        let mut all = smol::unblock(move || store.load()).await?;
        all.hosts.retain(|row| row.id == host);
        all.streams.retain(|row| row.host == host);
        all.containers.retain(|row| row.host == host);
        Ok(all)
    }
}

fn run(store: &dyn Store, queue: &async_channel::Receiver<Job>, trouble: &Mutex<Option<Trouble>>, mut newest: u64) {
    while let Ok(first) = queue.recv_blocking() {
        let mut jobs = vec![first];
        let mut rows = jobs[0].writes.len();
        while rows < ROWS {
            let Ok(job) = queue.try_recv() else { break };
            rows += job.writes.len();
            jobs.push(job);
        }
        let mut next = newest + 1;
        let mut firsts = Vec::with_capacity(jobs.len());
        let mut writes = Vec::with_capacity(rows);
        for job in &mut jobs {
            firsts.push(next);
            for mut write in job.writes.drain(..) {
                if let Write::Event(row) = &mut write {
                    row.id = next;
                    next += 1;
                }
                writes.push(write);
            }
        }
        let outcome = if writes.is_empty() { Ok(()) } else { store.commit(&writes) };
        let mut trouble = trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match &outcome {
            Ok(()) => {
                newest = next - 1;
                if trouble.take().is_some() {
                    log::info!("the store works again");
                }
            }
            Err(error) => {
                if trouble.is_none() {
                    log::error!("cannot store: {error}; agents keep their events until it can");
                }
                // It is open whether the commit happened: ids must not be given twice.
                newest = store.newest_event().map_or(next - 1, |stored| stored.max(newest));
                *trouble = Some(Trouble { error: error.clone(), tried: Instant::now() });
            }
        }
        drop(trouble);
        for (job, first) in jobs.into_iter().zip(firsts) {
            // Whoever no longer waits has no use for the answer.
            let _ = job.done.try_send(outcome.clone().map(|()| first));
        }
    }
}
