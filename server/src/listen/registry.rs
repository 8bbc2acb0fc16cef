//! All connections, so that one look finds those to cut: ten thousand timers would cost more than they keep out.

use super::Limits;
use super::activity::Activity;
use smol::{Executor, Task};
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// The connections that are open. Dropping an entry ends its connection.
#[derive(Debug, Default)]
pub(super) struct Registry {
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    next: u64,
    open: HashMap<u64, Entry>,
    /// How many had ended when their memory was last given back.
    given_back: u64,
}

/// So many connections that have ended leave some 512 KiB, which are worth a look at the whole heap.
const WAVE: u64 = 16;

#[derive(Debug)]
struct Entry {
    activity: Arc<Activity>,
    _task: Task<()>,
}

impl Registry {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a connection until it ends or is cut, which its handle does.
    pub fn run<F: Future<Output = ()> + Send + 'static>(
        self: &Arc<Self>,
        executor: &Executor<'static>,
        activity: Arc<Activity>,
        connection: impl FnOnce(Handle) -> F,
    ) {
        // Held while the task starts, so that one that ends at once cannot leave before it is entered.
        let mut entries = self.entries();
        let id = entries.next;
        entries.next += 1;
        let leave = Leave { registry: self.clone(), id };
        let connection = connection(Handle { registry: Arc::downgrade(self), id });
        let task = executor.spawn(async move {
            let _leave = leave;
            connection.await;
        });
        entries.open.insert(id, Entry { activity, _task: task });
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.entries().open.len()
    }

    /// Whether many have ended since this was last true.
    pub fn has_much_to_give_back(&self) -> bool {
        let mut entries = self.entries();
        let ended = entries.next - entries.open.len() as u64;
        let much = ended - entries.given_back >= WAVE;
        if much {
            entries.given_back = ended;
        }
        much
    }

    /// Cuts those that are overdue.
    pub fn sweep(&self, limits: &Limits) {
        self.cut(|activity| match activity.overdue(limits) {
            Some(why) => {
                log::debug!("cut a connection: {why}");
                true
            }
            None => false,
        });
    }

    /// Cuts those that are not answering a request.
    pub fn cut_idle(&self) {
        self.cut(|activity| !activity.is_answering());
    }

    /// Cuts all.
    pub fn cut_all(&self) {
        self.cut(|_| true);
    }

    fn cut(&self, condition: impl Fn(&Activity) -> bool) {
        let cut: Vec<Entry> = {
            let mut entries = self.entries();
            entries.open.extract_if(|_, entry| condition(&entry.activity)).map(|(_, entry)| entry).collect()
        };
        // Outside the lock, which each of them takes on its way out.
        drop(cut);
    }
}

/// Ends one connection, from wherever.
#[derive(Debug, Clone)]
pub struct Handle {
    registry: Weak<Registry>,
    id: u64,
}

impl Handle {
    /// Ends it now. What it has begun to change is finished without it.
    pub fn cut(&self) {
        let Some(registry) = self.registry.upgrade() else { return };
        let entry = registry.entries().open.remove(&self.id);
        // Outside the lock, which it takes on its way out.
        drop(entry);
    }

    /// Whether both are of the same connection.
    pub fn is(&self, other: &Handle) -> bool {
        self.id == other.id && self.registry.ptr_eq(&other.registry)
    }

    #[cfg(test)]
    pub(crate) fn of_nothing(id: u64) -> Handle {
        Handle { registry: Weak::new(), id }
    }
}

/// Takes a connection off the list when it ends in whatever way.
struct Leave {
    registry: Arc<Registry>,
    id: u64,
}

impl Drop for Leave {
    fn drop(&mut self) {
        let entry = self.registry.entries().open.remove(&self.id);
        drop(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future;
    use std::time::Duration;

    #[test]
    fn a_wave_of_ended_connections_is_noticed_once() {
        let (registry, executor) = (Arc::new(Registry::default()), Executor::new());
        let connect = || {
            let activity = Arc::new(Activity::new(Duration::from_secs(1)));
            registry.run(&executor, activity, |_| future::pending());
        };
        for _ in 0..WAVE {
            connect();
        }
        assert!(!registry.has_much_to_give_back(), "all are open");
        registry.cut_all();
        assert!(registry.has_much_to_give_back());
        assert!(!registry.has_much_to_give_back(), "nothing has ended since");
        for _ in 1..WAVE {
            connect();
        }
        registry.cut_all();
        assert!(!registry.has_much_to_give_back(), "one is missing");
        connect();
        registry.cut_all();
        assert!(registry.has_much_to_give_back());
    }
}
