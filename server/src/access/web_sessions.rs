//! Sessions of browsers: what a cookie stands for. No I/O and no clock.
//!
//! A session is found by its secret's hash, and ends [when it was not used for long](IDLE_MS), or [in any
//! case](LONGEST_MS). What was used is written down seldom: after a restart a session may end some hours earlier.

use super::secret::{LONGEST, Secret, hash, id, same};
use super::tokens::Role;
use super::{AccessError, secret};
use crate::store::{SessionOrigin, WebSessionRow};
use std::collections::HashMap;

/// A session that was not used for so long is over, in milliseconds: a week.
pub const IDLE_MS: i64 = 7 * DAY_MS;
/// However much it is used, a session is over after so long, in milliseconds.
pub const LONGEST_MS: i64 = 30 * DAY_MS;
const DAY_MS: i64 = 24 * 3_600_000;

/// That a session is used is stored at most so often, in milliseconds.
const STORED_EVERY_MS: i64 = 6 * 3_600_000;

/// Sessions at one time.
const SESSIONS: usize = 4096;
/// Of one user or token: each of somebody's browsers, and some that were forgotten.
const OF_ONE: usize = 32;

/// All sessions.
#[derive(Debug, Default)]
pub struct WebSessions {
    by_id: HashMap<String, Session>,
}

#[derive(Debug)]
struct Session {
    row: WebSessionRow,
    /// When it was last used, which may be later than what is stored.
    seen_ms: i64,
}

impl Session {
    fn ends_ms(&self) -> i64 {
        self.seen_ms.saturating_add(IDLE_MS).min(self.row.created_ms.saturating_add(LONGEST_MS))
    }
}

/// Whose session it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visitor {
    /// The session's id.
    pub id: String,
    /// Who it is, for people.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// When the session ends unless it is used.
    pub ends_ms: i64,
}

impl WebSessions {
    /// As they are stored. `holds` says whether the right by which one was begun still holds.
    pub fn new(rows: Vec<WebSessionRow>, holds: impl Fn(&SessionOrigin) -> bool) -> WebSessions {
        let by_id = rows
            .into_iter()
            .filter(|row| holds(&row.origin))
            .map(|row| (row.id.clone(), Session { seen_ms: row.seen_ms, row }))
            .collect();
        WebSessions { by_id }
    }

    /// A new session, to be stored and then applied; and the secret that stands for it.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn make(
        origin: SessionOrigin,
        name: &str,
        role: Role,
        now_ms: i64,
    ) -> Result<(Secret, WebSessionRow), AccessError> {
        let secret = Secret::session()?;
        let row = WebSessionRow {
            id: id(secret.expose()),
            hash: hash(secret.expose().as_bytes()),
            origin,
            name: name.to_owned(),
            role: role.as_str().to_owned(),
            created_ms: now_ms,
            seen_ms: now_ms,
        };
        Ok((secret, row))
    }

    /// Takes over a row that has been stored.
    pub fn apply(&mut self, row: WebSessionRow) {
        self.by_id.insert(row.id.clone(), Session { seen_ms: row.seen_ms, row });
    }

    /// The ids of those that have to make room for another one by this right: the ones that were not used for longest.
    pub fn in_the_way_of(&self, origin: &SessionOrigin) -> Vec<String> {
        let own: Vec<&Session> = self.by_id.values().filter(|session| session.row.origin == *origin).collect();
        let (mut all, most) = match own.len() >= OF_ONE {
            true => (own, OF_ONE),
            false => (self.by_id.values().collect(), SESSIONS),
        };
        let over = (all.len() + 1).saturating_sub(most);
        if over == 0 {
            return Vec::new();
        }
        all.sort_by_key(|session| session.seen_ms);
        all.into_iter().take(over).map(|session| session.row.id.clone()).collect()
    }

    /// Who shows this secret: it counts as used now. The row is there if that is to be stored.
    pub fn find(&mut self, secret: &str, now_ms: i64) -> Option<(Visitor, Option<WebSessionRow>)> {
        if secret.len() > LONGEST || !secret.starts_with(secret::SESSION_PREFIX) {
            return None;
        }
        let session = self.by_id.get_mut(&id(secret))?;
        if !same(&session.row.hash, &hash(secret.as_bytes())) || now_ms >= session.ends_ms() {
            return None;
        }
        // A clock that was set back makes nothing older.
        session.seen_ms = session.seen_ms.max(now_ms);
        let stored = (session.seen_ms.saturating_sub(session.row.seen_ms) >= STORED_EVERY_MS).then(|| {
            session.row.seen_ms = session.seen_ms;
            session.row.clone()
        });
        Some((visitor(session)?, stored))
    }

    /// The session with this id, if it is not over.
    pub fn get(&self, id: &str, now_ms: i64) -> Option<Visitor> {
        visitor(self.by_id.get(id).filter(|session| now_ms < session.ends_ms())?)
    }

    /// By what right the session with this id was begun.
    pub fn origin(&self, id: &str) -> Option<&SessionOrigin> {
        self.by_id.get(id).map(|session| &session.row.origin)
    }

    /// How many somebody has by this right.
    pub fn count(&self, origin: &SessionOrigin) -> usize {
        self.by_id.values().filter(|session| session.row.origin == *origin).count()
    }

    /// Ends those for which `ends` says so; their ids.
    pub fn end(&mut self, ends: impl Fn(&WebSessionRow) -> bool) -> Vec<String> {
        let gone: Vec<String> =
            self.by_id.values().filter(|session| ends(&session.row)).map(|session| session.row.id.clone()).collect();
        for id in &gone {
            self.by_id.remove(id);
        }
        gone
    }

    /// Ends those whose time is over; their ids.
    pub fn expire(&mut self, now_ms: i64) -> Vec<String> {
        let is_over = |session: &&Session| now_ms >= session.ends_ms();
        let gone: Vec<String> = self.by_id.values().filter(is_over).map(|session| session.row.id.clone()).collect();
        for id in &gone {
            self.by_id.remove(id);
        }
        gone
    }
}

/// A role of a later version gives no rights in this one.
fn visitor(session: &Session) -> Option<Visitor> {
    let role = Role::parse(&session.row.role)?;
    Some(Visitor { id: session.row.id.clone(), name: session.row.name.clone(), role, ends_ms: session.ends_ms() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    fn user(name: &str) -> SessionOrigin {
        SessionOrigin::User(name.to_owned())
    }

    fn begun(sessions: &mut WebSessions, name: &str, now_ms: i64) -> (Secret, String) {
        for id in sessions.in_the_way_of(&user(name)) {
            sessions.end(|row| row.id == id);
        }
        let (secret, row) = WebSessions::make(user(name), name, Role::Viewer, now_ms).expect("a session");
        let id = row.id.clone();
        sessions.apply(row);
        (secret, id)
    }

    #[test]
    fn a_session_lives_as_long_as_it_is_used_but_not_for_ever() {
        let mut sessions = WebSessions::default();
        let (secret, id) = begun(&mut sessions, "ada", NOW);
        let mut now = NOW;
        let mut stored = 0;
        while now < NOW + LONGEST_MS {
            let (visitor, row) = sessions.find(secret.expose(), now).expect("in use");
            assert_eq!((visitor.id.as_str(), visitor.role), (id.as_str(), Role::Viewer));
            assert!(visitor.ends_ms <= NOW + LONGEST_MS);
            stored += usize::from(row.is_some());
            now += 60_000;
        }
        assert!(stored <= 4 * 30, "stored {stored} times");
        assert_eq!(sessions.find(secret.expose(), NOW + LONGEST_MS), None);
        let (secret, id) = begun(&mut sessions, "ada", NOW);
        assert!(sessions.get(&id, NOW + IDLE_MS - 1).is_some() && sessions.get(&id, NOW + IDLE_MS).is_none());
        assert_eq!(sessions.find(secret.expose(), NOW + IDLE_MS), None);
        assert_eq!(sessions.expire(NOW + LONGEST_MS).len(), 2);
        assert!(sessions.by_id.is_empty());
    }

    #[test]
    fn only_the_whole_secret_is_one() {
        let mut sessions = WebSessions::default();
        let (secret, id) = begun(&mut sessions, "ada", NOW);
        for wrong in ["", "mw_", &id, &secret.expose()[..40], &format!("{}0", secret.expose()), &"mw_a".repeat(100)] {
            assert_eq!(sessions.find(wrong, NOW), None, "{wrong}");
        }
        assert!(sessions.find(secret.expose(), NOW).is_some());
    }

    #[test]
    fn a_restart_keeps_those_whose_right_still_holds() {
        let mut before = WebSessions::default();
        let ((ada, _), (bob, _)) = (begun(&mut before, "ada", NOW), begun(&mut before, "bob", NOW));
        let rows = before.by_id.into_values().map(|session| session.row).collect();
        let mut after = WebSessions::new(rows, |origin| *origin == user("ada"));
        assert!(after.find(ada.expose(), NOW).is_some() && after.find(bob.expose(), NOW).is_none());
    }

    #[test]
    fn those_that_were_not_used_for_longest_make_room() {
        let mut sessions = WebSessions::default();
        let (first, _) = begun(&mut sessions, "ada", NOW);
        let (second, _) = begun(&mut sessions, "ada", NOW + 1);
        sessions.find(first.expose(), NOW + 2);
        for n in 0..OF_ONE as i64 - 1 {
            begun(&mut sessions, "ada", NOW + 3 + n);
        }
        assert_eq!(sessions.count(&user("ada")), OF_ONE);
        assert!(
            sessions.find(second.expose(), NOW + 100).is_none() && sessions.find(first.expose(), NOW + 100).is_some()
        );
        for n in 0..SESSIONS {
            begun(&mut sessions, &n.to_string(), NOW + 200);
        }
        assert_eq!(sessions.by_id.len(), SESSIONS);
    }

    #[test]
    fn they_end_with_what_they_were_begun_by() {
        let mut sessions = WebSessions::default();
        let ((ada, id), (bob, _)) = (begun(&mut sessions, "ada", NOW), begun(&mut sessions, "bob", NOW));
        assert_eq!(sessions.end(|row| row.origin == user("ada")), [id]);
        assert!(sessions.find(ada.expose(), NOW).is_none() && sessions.find(bob.expose(), NOW).is_some());
    }
}
