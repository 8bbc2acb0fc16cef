//! Sessions: what stands for a credential in plain reports, so that each of them is shorter.
//!
//! A session is a secret like the credential, and of less worth: it is forgotten with the server's memory, replaced
//! at the host's next hello, and good only for as long as its credential. Only hashes are kept, so that neither a
//! look at the memory nor the time of a search tells one.

use crate::access::secret::{hash, random};
use muster_protocol::orders::Session;
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

/// All of them: one for each credential that said hello by a plain request.
#[derive(Default)]
pub(super) struct Sessions(RwLock<Known>);

#[derive(Default)]
struct Known {
    /// The credential's hash, by that of the session.
    credentials: HashMap<[u8; 32], [u8; 32]>,
    /// The other way round.
    sessions: HashMap<[u8; 32], [u8; 32]>,
}

impl Sessions {
    /// A new session for who has this credential; the old one ends. `None`: there is no randomness now.
    pub fn begin(&self, credential: [u8; 32]) -> Option<Session> {
        let session: Session = random().ok()?;
        let hashed = hash(&session);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = known.sessions.insert(credential, hashed) {
            known.credentials.remove(&old);
        }
        known.credentials.insert(hashed, credential);
        Some(session)
    }

    /// The hash of whose credential it stands for.
    pub fn find(&self, session: &Session) -> Option<[u8; 32]> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.credentials.get(&hash(session)).copied()
    }

    /// Who has this credential has no session any more.
    pub fn end(&self, credential: &[u8; 32]) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = known.sessions.remove(credential) {
            known.credentials.remove(&session);
        }
    }
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sessions")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_for_each_credential_and_it_ends() {
        let sessions = Sessions::default();
        let (one, other) = ([1; 32], [2; 32]);
        let (first, second, third) = (sessions.begin(one), sessions.begin(one), sessions.begin(other));
        assert_eq!(first.and_then(|session| sessions.find(&session)), None, "a new one ends the old one");
        assert_eq!(second.and_then(|session| sessions.find(&session)), Some(one));
        sessions.end(&one);
        sessions.end(&one);
        assert_eq!(second.and_then(|session| sessions.find(&session)), None);
        assert_eq!(third.and_then(|session| sessions.find(&session)), Some(other));
        assert_eq!(sessions.find(&[0; 12]), None);
        let known = sessions.0.read().unwrap();
        assert_eq!((known.credentials.len(), known.sessions.len()), (1, 1), "nothing is left behind");
        assert_eq!(format!("{sessions:?}"), "Sessions");
    }
}
