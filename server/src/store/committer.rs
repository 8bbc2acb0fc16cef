//! One thread that commits for all hosts: what comes while one commit runs goes into the next.
//!
//! What follows from a commit happens on this thread too, in the order of the commits. So it happens whether or not
//! whoever asked for the commit still waits: clients leave in the middle, and what they began is finished.

use super::{Store, StoreError, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Rows in one commit, so that a burst does not make everybody wait for a minute.
const ROWS: usize = 4000;
/// After a failure nothing is tried for this long: a full disk is not emptied by asking.
const RECOVERY: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 1000 });

/// Commits, in the order in which it is asked to.
#[derive(Clone)]
pub struct Committer {
    /// Without a bound of its own: each host, and the registry of hosts and tokens, has one commit out at a time.
    jobs: async_channel::Sender<Job>,
    trouble: Arc<Mutex<Option<Trouble>>>,
}

impl std::fmt::Debug for Committer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Committer").finish_non_exhaustive()
    }
}

/// What follows from a commit: the id of the first of its events, or the store, to look what is durable.
type Then = Box<dyn FnOnce(Result<u64, &dyn Store>) + Send>;

struct Job {
    writes: Vec<Write>,
    then: Then,
    done: async_channel::Sender<Result<(), StoreError>>,
}

#[derive(Debug, Clone)]
struct Trouble {
    error: StoreError,
    tried: Instant,
}

/// A commit that was asked for. It goes on if this is dropped.
#[derive(Debug)]
#[must_use]
pub struct Pending(Option<async_channel::Receiver<Result<(), StoreError>>>);

impl Pending {
    /// Of nothing.
    pub fn over() -> Pending {
        Pending(None)
    }

    /// Waits until the commit, and what follows from it, is over.
    pub async fn wait(self) -> Result<(), StoreError> {
        let Some(done) = self.0 else { return Ok(()) };
        done.recv().await.unwrap_or_else(|_| Err(StoreError { message: "the store has stopped".into() }))
    }
}

impl Committer {
    /// Starts the thread. It ends when the last clone is gone. `recovered` is called on it when a commit has
    /// succeeded after one that failed, before what follows from it: of those that failed nobody knows for sure
    /// what came of them.
    pub fn start(store: Arc<dyn Store>, recovered: impl Fn() + Send + 'static) -> Result<Committer, StoreError> {
        let newest = store.newest_event()?;
        let (jobs, queue) = async_channel::unbounded();
        let trouble = Arc::new(Mutex::new(None));
        let committer = Committer { jobs, trouble: trouble.clone() };
        std::thread::Builder::new()
            .name("store".into())
            .spawn(move || run(&*store, &queue, &trouble, &recovered, newest))
            .map_err(|error| StoreError { message: format!("cannot start the store's thread: {error}") })?;
        Ok(committer)
    }

    /// Makes all of `writes` durable, or none, and then does what `then` says. Events among them get the next ids,
    /// in their order. The commit is under way when this returns.
    pub fn commit(&self, writes: Vec<Write>, then: impl FnOnce(Result<u64, &dyn Store>) + Send + 'static) -> Pending {
        let (done, outcome) = async_channel::bounded(1);
        // If the thread is gone, so is the other end of `outcome`, which says so.
        let _ = self.jobs.try_send(Job { writes, then: Box::new(then), done });
        Pending(Some(outcome))
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
}

fn run(
    store: &dyn Store,
    queue: &async_channel::Receiver<Job>,
    trouble: &Mutex<Option<Trouble>>,
    recovered: &dyn Fn(),
    mut newest: u64,
) {
    while let Ok(first) = queue.recv_blocking() {
        let mut rows = first.writes.len();
        let mut jobs = vec![first];
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
        match &outcome {
            // Proves nothing.
            Ok(()) if writes.is_empty() => {}
            Ok(()) => {
                newest = next - 1;
                if trouble.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
                    log::info!("the store works again");
                    recovered();
                }
            }
            Err(error) => {
                // It is open whether the commit happened: ids must not be given twice.
                newest = store.newest_event().map_or(next - 1, |stored| stored.max(newest));
                let mut trouble = trouble.lock().unwrap_or_else(PoisonError::into_inner);
                if trouble.is_none() {
                    log::error!("cannot store: {error}; agents keep their events until it can");
                }
                *trouble = Some(Trouble { error: error.clone(), tried: Instant::now() });
            }
        }
        drop(writes);
        for (job, first) in jobs.into_iter().zip(firsts) {
            (job.then)(outcome.as_ref().map(|()| first).map_err(|_| store));
            // Whoever no longer waits has no use for the answer.
            let _ = job.done.try_send(outcome.clone());
        }
    }
}
