//! One thread that commits for all hosts: what comes while one commit runs goes into the next.
//!
//! What follows from a commit happens on this thread too, in the order of the commits. So it happens whether or not
//! whoever asked for the commit still waits: clients leave in the middle, and what they began is finished.

use super::{Store, StoreError, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Rows in one commit, so that a burst does not make everybody wait for a minute.
const ROWS: usize = 4000;
/// While many hosts have something to store, commits begin at most so often. Each costs some milliseconds of a processor
/// and writes to the disk whatever it carries, and an event may take ten times as long to be seen.
const SHARED: Duration = Duration::from_millis(10);
/// After a failure nothing is tried for this long: a full disk is not emptied by asking.
const RECOVERY: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 1000 });

/// So long after a commit with events has failed, only one with events shows that the store works again. Agents wait
/// less than half of it between two tries.
const DOUBT: Duration = Duration::from_secs(60);

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
    /// When a commit last failed.
    tried: Instant,
    /// There were events in a commit that failed, and none in those that have succeeded since.
    with_events: bool,
    /// A commit has succeeded since.
    passed: bool,
}

impl Trouble {
    /// Whether a commit that has succeeded shows that all is well. Events go to a file of their own: that rows beside
    /// it can be stored does not show that events can. But hosts that have events try again within [`DOUBT`]. If
    /// nobody has, nobody is waiting, and what is not tried cannot be called failing for ever.
    fn is_over(&self, with_events: bool) -> bool {
        with_events || !self.with_events || self.tried.elapsed() >= DOUBT
    }
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

    /// What keeps the store from working, if its last commit failed; or the last one with events, not long ago.
    pub fn problem(&self) -> Option<StoreError> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|trouble| trouble.error.clone())
    }

    /// Whether it makes sense to try now: not right after a failure.
    pub fn may_try(&self) -> bool {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.as_ref().is_none_or(|trouble| trouble.passed || trouble.tried.elapsed() >= RECOVERY)
    }
}

/// How commits follow each other.
#[derive(Debug, Default)]
struct Pace {
    /// When the last one began.
    began: Option<Instant>,
    /// How many were waiting for it.
    jobs: usize,
}

impl Pace {
    /// How long the next commit waits for company. One that comes alone does not, however fast they follow each other:
    /// whoever made it may be waiting before it makes the next. Where several come at once, many are under way.
    fn pause(&self, now: Instant) -> Duration {
        match self.began {
            Some(began) if self.jobs > 1 => SHARED.saturating_sub(now.saturating_duration_since(began)),
            _ => Duration::ZERO,
        }
    }
}

fn run(
    store: &dyn Store,
    queue: &async_channel::Receiver<Job>,
    trouble: &Mutex<Option<Trouble>>,
    recovered: &dyn Fn(),
    mut newest: u64,
) {
    let mut pace = Pace::default();
    while let Ok(first) = queue.recv_blocking() {
        std::thread::sleep(pace.pause(Instant::now()));
        pace.began = Some(Instant::now());
        let mut rows = first.writes.len();
        let mut jobs = vec![first];
        while rows < ROWS {
            let Ok(job) = queue.try_recv() else { break };
            rows += job.writes.len();
            jobs.push(job);
        }
        // When it is full, there is no time to leave.
        pace.jobs = if rows < ROWS { jobs.len() } else { 0 };
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
        let with_events = next > newest + 1;
        let outcome = if writes.is_empty() { Ok(()) } else { store.commit(&writes) };
        match &outcome {
            // Proves nothing.
            Ok(()) if writes.is_empty() => {}
            Ok(()) => {
                newest = next - 1;
                if passed(trouble, with_events) {
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
                let with_events = with_events || trouble.as_ref().is_some_and(|before| before.with_events);
                *trouble = Some(Trouble { error: error.clone(), tried: Instant::now(), with_events, passed: false });
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

/// A commit has succeeded. Whether it is the first after one that failed.
fn passed(trouble: &Mutex<Option<Trouble>>, with_events: bool) -> bool {
    let mut trouble = trouble.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(before) = trouble.as_mut() else { return false };
    let is_first = !std::mem::replace(&mut before.passed, true);
    if before.is_over(with_events) {
        *trouble = None;
        log::info!("the store works again");
    }
    is_first
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::MemoryStore;
    use crate::store::samples;
    use futures_lite::future::block_on;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn events(count: usize) -> Vec<Write> {
        vec![Write::Event(samples::event(0)); count]
    }

    /// The first id, or 0 if it failed.
    fn commit(committer: &Committer, writes: Vec<Write>) -> (u64, Result<(), StoreError>) {
        let (tell, told) = async_channel::bounded(1);
        let pending = committer.commit(writes, move |stored| tell.try_send(stored.unwrap_or(0)).expect("room"));
        let outcome = block_on(pending.wait());
        (told.try_recv().expect("what follows comes before the answer"), outcome)
    }

    #[test]
    fn ids_have_no_gaps_and_are_never_given_twice() {
        let store = Arc::new(MemoryStore::new());
        let recoveries = Arc::new(AtomicU32::new(0));
        let counted = recoveries.clone();
        let count = move || {
            counted.fetch_add(1, Ordering::Relaxed);
        };
        let committer = Committer::start(store.clone(), count);
        let committer = committer.expect("a thread");
        assert_eq!(commit(&committer, events(3)), (1, Ok(())));
        assert_eq!(commit(&committer, Vec::new()), (4, Ok(())));
        store.fail_commits(1);
        assert!(commit(&committer, events(2)).1.is_err());
        assert!(!committer.may_try() || committer.problem().is_some());
        assert_eq!(commit(&committer, Vec::new()).1, Ok(()), "nothing is always stored");
        assert!(committer.problem().is_some(), "and proves nothing");
        assert_eq!(recoveries.load(Ordering::Relaxed), 0);
        assert_eq!(commit(&committer, events(2)), (4, Ok(())));
        assert_eq!((committer.problem(), recoveries.load(Ordering::Relaxed)), (None, 1));
        let after = Committer::start(Arc::new(store.restarted()), || {}).expect("a thread");
        assert_eq!(commit(&after, events(1)), (6, Ok(())));
    }

    #[test]
    fn rows_that_are_stored_beside_it_do_not_clear_the_problem_of_the_history() {
        let store = Arc::new(MemoryStore::new());
        let recoveries = Arc::new(AtomicU32::new(0));
        let counted = recoveries.clone();
        let count = move || {
            counted.fetch_add(1, Ordering::Relaxed);
        };
        let committer = Committer::start(store.clone(), count).expect("a thread");
        let rows = || vec![Write::Host(samples::host(1))];
        store.fail_commits(2);
        assert!(commit(&committer, events(2)).1.is_err());
        assert!(commit(&committer, rows()).1.is_err());
        for _ in 0..3 {
            assert_eq!(commit(&committer, rows()).1, Ok(()));
            assert!(committer.problem().is_some(), "nothing shows that events can be stored");
            assert!(committer.may_try(), "what can be stored is");
        }
        assert_eq!(recoveries.load(Ordering::Relaxed), 1, "what failed is looked up before anything is built on it");
        store.fail_commits(1);
        assert!(commit(&committer, events(1)).1.is_err());
        assert_eq!(commit(&committer, rows()).1, Ok(()));
        assert_eq!(recoveries.load(Ordering::Relaxed), 2);
        assert_eq!(commit(&committer, events(1)).1, Ok(()));
        assert_eq!((committer.problem(), recoveries.load(Ordering::Relaxed)), (None, 2));
        store.fail_commits(1);
        assert!(commit(&committer, rows()).1.is_err());
        assert_eq!(commit(&committer, rows()).1, Ok(()));
        assert_eq!(committer.problem(), None, "the history was never in doubt");
    }

    #[test]
    fn a_history_that_nobody_writes_to_is_not_failing_for_ever() {
        let now = Instant::now();
        let Some(before) = now.checked_sub(DOUBT) else { return };
        let error = StoreError { message: "full".into() };
        let trouble = |tried| Trouble { error: error.clone(), tried, with_events: true, passed: false };
        assert!(!trouble(now).is_over(false) && trouble(now).is_over(true));
        assert!(trouble(before).is_over(false));
    }

    #[test]
    fn commits_that_are_shared_leave_time_to_others_and_lone_ones_do_not() {
        let began = Instant::now();
        let pause = |jobs: usize, after: Duration| Pace { began: Some(began), jobs }.pause(began + after);
        assert_eq!(Pace::default().pause(began), Duration::ZERO);
        assert_eq!(pause(1, Duration::ZERO), Duration::ZERO);
        assert_eq!(pause(2, Duration::ZERO), SHARED);
        assert_eq!(pause(9, SHARED / 4), SHARED * 3 / 4);
        assert_eq!(pause(9, SHARED * 2), Duration::ZERO);
    }

    #[test]
    fn what_follows_comes_in_order_even_if_nobody_waits() {
        let store = Arc::new(MemoryStore::new());
        let committer = Committer::start(store, || {}).expect("a thread");
        let (tell, told) = async_channel::unbounded();
        for _ in 0..200 {
            let tell = tell.clone();
            drop(committer.commit(events(2), move |stored| tell.try_send(stored.unwrap_or(0)).expect("room")));
        }
        assert_eq!(commit(&committer, events(1)).0, 401);
        let firsts: Vec<u64> = std::iter::from_fn(|| told.try_recv().ok()).collect();
        assert_eq!(firsts, (0..200).map(|n| n * 2 + 1).collect::<Vec<_>>());
    }
}
