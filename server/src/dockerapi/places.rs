//! Places for streams: so many for all, and of those so many for one client with a certificate.

use smol::lock::{Semaphore, SemaphoreGuardArc};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// How many places each client has.
type Taken = Mutex<HashMap<String, usize>>;

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// All together have as many as there are.
    All,
    /// This client has its share.
    Own,
}

/// Places of one kind.
#[derive(Debug)]
pub struct Places {
    all: Arc<Semaphore>,
    of_one: usize,
    taken: Arc<Taken>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub struct Place {
    _all: SemaphoreGuardArc,
    own: Option<(String, Arc<Taken>)>,
}

impl Places {
    /// So many for all, so many for one.
    pub fn new(all: usize, of_one: usize) -> Places {
        Places { all: Arc::new(Semaphore::new(all)), of_one, taken: Arc::default() }
    }

    /// Takes a place for a client; `None`: clients cannot be told apart, and all places may be theirs.
    ///
    /// # Errors
    /// There is none.
    pub fn take(&self, client: Option<&str>) -> Result<Place, Full> {
        let all = self.all.try_acquire_arc().ok_or(Full::All)?;
        let own = match client {
            None => None,
            Some(client) => {
                let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
                let count = taken.entry(client.to_owned()).or_default();
                if *count >= self.of_one {
                    return Err(Full::Own);
                }
                *count += 1;
                Some((client.to_owned(), self.taken.clone()))
            }
        };
        Ok(Place { _all: all, own })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((client, taken)) = self.own.take() else { return };
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_cannot_take_all_places() {
        let places = Places::new(4, 2);
        let mut own: Vec<Place> = (0..2).map(|_| places.take(Some("a")).expect("room")).collect();
        assert_eq!(places.take(Some("a")).err(), Some(Full::Own));
        let other = places.take(Some("b")).expect("room for others");
        let local = places.take(None).expect("room for others");
        assert_eq!(places.take(None).err(), Some(Full::All));
        own.pop();
        assert!(places.take(Some("a")).is_ok(), "what is over is free again");
        drop((own, other, local));
        assert!(places.taken.lock().expect("whole").is_empty());
        assert!((0..4).map(|_| places.take(None)).collect::<Result<Vec<_>, _>>().is_ok());
    }
}
