//! Sign-in links: each lets one browser in, once and soon. They are kept in memory only, and end with it.

use super::AccessError;
use super::secret::{LONGEST, Secret, hash, id, same};
use super::tokens::Role;
use crate::store::SessionOrigin;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Links at one time.
const LINKS: usize = 100;

/// For how long a link may be good, in milliseconds: a day at most.
const LIVES_MS: RangeInclusive<i64> = 1_000..=24 * 3_600_000;

/// What a link lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// By whose right.
    pub origin: SessionOrigin,
    /// Who it is for, or who made it.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// When it ends.
    pub expires_ms: i64,
}

/// Links that nobody has used yet.
#[derive(Debug, Default)]
pub struct Links {
    by_id: BTreeMap<String, ([u8; 32], Link)>,
}

impl Links {
    /// Makes one, good for so long. The secret is shown this once.
    ///
    /// # Errors
    /// The time makes no sense, there are too many, or the system has no random numbers.
    pub fn make(
        &mut self,
        origin: SessionOrigin,
        name: String,
        role: Role,
        life_ms: i64,
        now_ms: i64,
    ) -> Result<(Secret, Link), AccessError> {
        if !LIVES_MS.contains(&life_ms) {
            return Err(AccessError::new("a sign-in link is good for 1 second to 24 hours".to_owned()));
        }
        self.by_id.retain(|_, (_, link)| now_ms < link.expires_ms);
        if self.by_id.len() >= LINKS {
            return Err(AccessError::new(format!("there are {LINKS} unused sign-in links: wait until they end")));
        }
        let secret = Secret::link_token()?;
        let link = Link { origin, name, role, expires_ms: now_ms.saturating_add(life_ms) };
        self.by_id.insert(id(secret.expose()), (hash(secret.expose().as_bytes()), link.clone()));
        Ok((secret, link))
    }

    /// Whether there is one with this token.
    pub fn has(&self, token: &str) -> bool {
        token.len() <= LONGEST
            && self.by_id.get(&id(token)).is_some_and(|(hashed, _)| same(hashed, &hash(token.as_bytes())))
    }

    /// Uses up the link with this token, if there is one that has not ended.
    pub fn take(&mut self, token: &str, now_ms: i64) -> Option<Link> {
        if token.len() > LONGEST {
            return None;
        }
        let id = id(token);
        let (hashed, _) = self.by_id.get(&id)?;
        if !same(hashed, &hash(token.as_bytes())) {
            return None;
        }
        let (_, link) = self.by_id.remove(&id)?;
        (now_ms < link.expires_ms).then_some(link)
    }

    /// By whose right they were made does not hold any more.
    pub fn end(&mut self, ended: impl Fn(&SessionOrigin) -> bool) {
        self.by_id.retain(|_, (_, link)| !ended(&link.origin));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(links: &mut Links, by: &str, now_ms: i64) -> Result<Secret, AccessError> {
        let origin = SessionOrigin::ApiToken(by.to_owned());
        links.make(origin, String::new(), Role::Viewer, 600_000, now_ms).map(|(secret, _)| secret)
    }

    #[test]
    fn a_link_lets_in_once() {
        let mut links = Links::default();
        let secret = make(&mut links, "t", 0).expect("a link");
        assert!(links.has(secret.expose()) && !links.has(&format!("{}0", secret.expose())));
        assert_eq!(links.take(&format!("{}0", secret.expose()), 1), None);
        assert_eq!(links.take(secret.expose(), 599_999).map(|link| link.role), Some(Role::Viewer));
        assert_eq!(links.take(secret.expose(), 1), None);
    }

    #[test]
    fn a_link_ends_with_its_time_and_with_whose_right_it_is() {
        let mut links = Links::default();
        let late = make(&mut links, "t", 0).expect("a link");
        assert_eq!(links.take(late.expose(), 600_000), None);
        let (gone, stays) = (make(&mut links, "t", 0).expect("a link"), make(&mut links, "u", 0).expect("a link"));
        links.end(|origin| *origin == SessionOrigin::ApiToken("t".to_owned()));
        assert_eq!(links.take(gone.expose(), 1), None);
        assert!(links.take(stays.expose(), 1).is_some());
    }

    #[test]
    fn there_are_not_endlessly_many_and_old_ones_make_room() {
        let mut links = Links::default();
        for _ in 0..LINKS {
            make(&mut links, "t", 0).expect("a link");
        }
        assert!(make(&mut links, "t", 1).is_err());
        assert!(make(&mut links, "t", 600_000).is_ok());
        let origin = SessionOrigin::User("ada".to_owned());
        for life in [0, 999, 24 * 3_600_000 + 1, i64::MAX] {
            assert!(links.make(origin.clone(), String::new(), Role::Admin, life, 0).is_err());
        }
    }
}
