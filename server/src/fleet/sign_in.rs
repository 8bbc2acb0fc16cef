//! Browsers: who may sign in, who has, and what ends that.
//!
//! A session ends in memory first and in the store then, so that whoever is shut out is so at once. That it is still
//! used is written while the sessions are locked: so no such row comes behind the one that ends it.

use super::audit::Denials;
use super::{By, Fleet, Refusal, State, locked};
use crate::access::attempts::Attempts;
use crate::access::links::Links;
use crate::access::password::Password;
use crate::access::secret::{Secret, id, random};
use crate::access::tokens::{ADMIN, ApiTokens, Role};
use crate::access::users::Users;
use crate::access::web_sessions::{Visitor, WebSessions};
use crate::api::types;
use crate::store::{SessionOrigin, StoreError, UserRow, WebSessionRow, Write};
use crate::time::{format_ms, now_ms};
use smol::lock::{MutexGuardArc, SemaphoreGuard};
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Passwords that wait to be looked at. More would wait for longer than anybody does.
const WAITING: usize = 8;
/// More of them, for names at addresses from which they have signed in: strangers cannot take these.
const WAITING_KNOWN: usize = 2;
/// Between looks for sessions whose time is over, in milliseconds.
const SWEEP_MS: u64 = 60_000;
/// How long whoever finds all places taken is told to wait, in milliseconds.
const BUSY_MS: u64 = 2_000;
/// How long a sign-in link is good for if nothing is said, in seconds.
const LINK_TTL_S: u64 = 600;

/// Users, their browsers, and whoever tries to be one of them.
#[derive(Debug)]
pub(super) struct People {
    /// Stands for the token of the data directory: sessions end when there is another.
    admin: SessionOrigin,
    pub(super) users: Mutex<Users>,
    pub(super) sessions: Mutex<WebSessions>,
    links: Mutex<Links>,
    attempts: Mutex<Attempts>,
    /// To look at a password takes much memory: one at a time.
    pub(super) looking: smol::lock::Semaphore,
    /// Places for those who wait for that.
    waiting: smol::lock::Semaphore,
    waiting_known: smol::lock::Semaphore,
    /// Failures that were told of late.
    failures: Mutex<Denials>,
    swept_ms: AtomicU64,
}

impl People {
    /// As they are stored.
    pub fn open(
        admin: &Secret,
        users: Vec<UserRow>,
        sessions: Vec<WebSessionRow>,
        tokens: &ApiTokens,
    ) -> Result<People, StoreError> {
        let key = random().map_err(|error| StoreError { message: error.message })?;
        let admin = SessionOrigin::AdminToken(id(admin.expose()));
        let users = Users::new(users);
        let holds = |origin: &SessionOrigin| match origin {
            SessionOrigin::User(name) => users.get(name).is_some(),
            SessionOrigin::ApiToken(id) => tokens.get(id).is_some(),
            SessionOrigin::AdminToken(_) => *origin == admin,
        };
        let sessions = WebSessions::new(sessions, holds);
        Ok(People {
            admin,
            users: Mutex::new(users),
            sessions: Mutex::new(sessions),
            links: Mutex::default(),
            attempts: Mutex::new(Attempts::new(key)),
            looking: smol::lock::Semaphore::new(1),
            waiting: smol::lock::Semaphore::new(WAITING),
            waiting_known: smol::lock::Semaphore::new(WAITING_KNOWN),
            failures: Mutex::default(),
            swept_ms: AtomicU64::new(0),
        })
    }

    /// A place to wait in until a password is looked at; `None` if all are taken.
    fn place(&self, from: IpAddr, name: &str) -> Option<SemaphoreGuard<'_>> {
        let is_known = locked(&self.attempts).is_known(from, name);
        let own = if is_known { self.waiting_known.try_acquire() } else { None };
        own.or_else(|| self.waiting.try_acquire())
    }
}

/// A browser has signed in.
#[derive(Debug)]
pub struct SignedIn {
    /// What its cookie holds.
    pub secret: Secret,
    /// Who it is.
    pub visitor: Visitor,
}

/// A browser has not signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotSignedIn {
    /// Name, password or token are wrong.
    Wrong,
    /// It has to wait so many milliseconds.
    Wait(u64),
    /// The store cannot keep it now, or the system has no random numbers.
    Refused(Refusal),
}

impl From<StoreError> for NotSignedIn {
    fn from(error: StoreError) -> NotSignedIn {
        NotSignedIn::Refused(error.into())
    }
}

/// By what right somebody signs in, and as whom.
struct Entry {
    origin: SessionOrigin,
    name: String,
    role: Role,
    /// `password`, `token` or `link`.
    how: &'static str,
}

impl Fleet {
    /// Signs a browser in with a user's password.
    pub async fn sign_in_by_password(
        &self,
        from: IpAddr,
        name: &str,
        password: Password,
    ) -> Result<SignedIn, NotSignedIn> {
        let people = &self.state.people;
        let Some(_place) = people.place(from, name) else { return Err(NotSignedIn::Wait(BUSY_MS)) };
        let attempt = locked(&people.attempts).password(from, name, self.now().monotonic_ms);
        let attempt = attempt.map_err(NotSignedIn::Wait)?;
        let user = locked(&people.users).get(name).cloned();
        let kept = user.as_ref().map(|user| user.password.clone());
        let is_right = {
            let _alone = people.looking.acquire().await;
            smol::unblock(move || password.is(kept.as_ref())).await
        };
        // A role of a later version gives no rights in this one.
        let known = user.as_ref().and_then(|user| Some((user, Role::parse(&user.role)?)));
        let Some((user, role)) = known.filter(|_| is_right) else {
            // What is no user's name may be a password that was typed into the wrong field.
            let who = user.as_ref().map_or("unknown user", |user| user.name.as_str());
            self.note_failure(from, who, "password");
            return Err(NotSignedIn::Wrong);
        };
        let entry =
            Entry { origin: SessionOrigin::User(user.name.clone()), name: user.name.clone(), role, how: "password" };
        // The user may have changed while the password was looked at.
        let registry = self.registry.lock_arc().await;
        if locked(&people.users).get(&user.name) != Some(user) {
            return Err(NotSignedIn::Wrong);
        }
        let signed_in = self.begin_web_session(registry, from, entry).await?;
        locked(&people.attempts).succeeded(attempt);
        Ok(signed_in)
    }

    /// Signs a browser in with the token of a sign-in link, which is used up, or with an API token.
    pub async fn sign_in_by_token(&self, from: IpAddr, token: &str) -> Result<SignedIn, NotSignedIn> {
        let people = &self.state.people;
        // Nobody without a link or a token comes to wait for the registry.
        let is_link = locked(&people.links).has(token);
        let holder = if is_link { None } else { self.authenticate(token) };
        if !is_link && holder.is_none() {
            let told = locked(&people.attempts).wrong_token(from, self.now().monotonic_ms);
            self.note_failure(from, "unknown token", "token");
            return Err(told.map_or_else(NotSignedIn::Wait, |()| NotSignedIn::Wrong));
        }
        let registry = self.registry.lock_arc().await;
        let entry = match holder {
            // Only now: whoever's right has ended meanwhile has no links any more.
            None => locked(&people.links).take(token, now_ms()).map(|link| Entry {
                origin: link.origin,
                name: link.name,
                role: link.role,
                how: "link",
            }),
            Some(holder) => {
                let origin = match holder.id.as_str() {
                    ADMIN => people.admin.clone(),
                    _ => SessionOrigin::ApiToken(holder.id.clone()),
                };
                let name = if holder.name.is_empty() { holder.id } else { holder.name };
                Some(Entry { origin, name, role: holder.role, how: "token" })
            }
        };
        match entry.filter(|entry| self.state.still_holds(&entry.origin, entry.role)) {
            Some(entry) => self.begin_web_session(registry, from, entry).await,
            None => Err(NotSignedIn::Wrong),
        }
    }

    /// That the right holds was seen with the `registry`: none ends between then and the moment when the session is there
    /// to be ended with it.
    async fn begin_web_session(
        &self,
        registry: MutexGuardArc<()>,
        from: IpAddr,
        entry: Entry,
    ) -> Result<SignedIn, NotSignedIn> {
        let made = WebSessions::make(entry.origin, &entry.name, entry.role, now_ms());
        let (secret, row) = made.map_err(|error| NotSignedIn::Refused(error.into()))?;
        let by = By { role: entry.role, token: row.id.clone(), name: entry.name.clone(), peer: from.to_string() };
        let audit = by.audit("session.begin", &entry.name, [("how", entry.how.into()), ("role", row.role.clone())]);
        let in_the_way = locked(&self.state.people.sessions).in_the_way_of(&row.origin);
        self.end_sessions(|session| in_the_way.contains(&session.id));
        let (writes, id) = (vec![Write::WebSession(row.clone()), audit], row.id.clone());
        self.keep(registry, writes, move |state| locked(&state.people.sessions).apply(row)).await?;
        let visitor = locked(&self.state.people.sessions).get(&id, now_ms()).ok_or(NotSignedIn::Wrong)?;
        Ok(SignedIn { secret, visitor })
    }

    /// Whose session this secret stands for. It counts as used.
    pub fn by_session_secret(&self, secret: &str, peer: IpAddr) -> Option<By> {
        let mut sessions = locked(&self.state.people.sessions);
        let (visitor, stored) = sessions.find(secret, now_ms())?;
        if let Some(row) = stored.filter(|_| self.committer.may_try()) {
            drop(self.committer.commit(vec![Write::WebSession(row)], |_| {}));
        }
        Some(By { role: visitor.role, token: visitor.id, name: visitor.name, peer: peer.to_string() })
    }

    /// Whose session it is that has this id.
    pub fn visitor(&self, id: &str) -> Option<Visitor> {
        locked(&self.state.people.sessions).get(id, now_ms())
    }

    /// Ends the session that somebody has, if it is by one that they ask.
    pub async fn sign_out(&self, by: &By) -> Result<(), Refusal> {
        let ended = self.end_sessions(|session| session.id == by.token);
        if !ended.is_empty() {
            self.committer.commit(vec![by.audit("session.end", &by.name, [])], |_| {}).wait().await?;
        }
        Ok(())
    }

    /// By what right somebody does what they ask for.
    fn right_of(&self, by: &By) -> SessionOrigin {
        let session = locked(&self.state.people.sessions).origin(&by.token).cloned();
        session.unwrap_or_else(|| match by.token.as_str() {
            ADMIN => self.state.people.admin.clone(),
            id => SessionOrigin::ApiToken(id.to_owned()),
        })
    }

    /// Makes a sign-in link.
    pub async fn make_sign_in_link(
        &self,
        by: &By,
        new: types::NewSignInLink,
    ) -> Result<types::MadeSignInLink, Refusal> {
        let role = read_role(&new.role)?;
        let life = new.ttl.unwrap_or(LINK_TTL_S).checked_mul(1000).and_then(|ms| i64::try_from(ms).ok());
        let life_ms = life.ok_or_else(|| Refusal::Invalid("ttl: longer than can be counted".into()))?;
        let name = match (new.name.is_empty(), by.name.is_empty()) {
            (false, _) => new.name,
            (true, false) => by.name.clone(),
            (true, true) => by.token.clone(),
        };
        let (secret, link) = {
            // A session that ends does so before links are looked through: what is made here by its right is found then,
            // or is by no right.
            let mut links = locked(&self.state.people.links);
            links.make(self.right_of(by), name, role, life_ms, now_ms())?
        };
        let expires_at = format_ms(link.expires_ms);
        let details = [("role", new.role.clone()), ("expires", expires_at.clone())];
        let stored = self.committer.commit(vec![by.audit("sign_in_link.make", &link.name, details)], |_| {}).wait();
        if let Err(error) = stored.await {
            // What is not in the audit log must not be usable.
            locked(&self.state.people.links).take(secret.expose(), now_ms());
            return Err(error.into());
        }
        let address = self.addresses().first().map(ToString::to_string).unwrap_or_default();
        Ok(types::MadeSignInLink {
            url: format!("https://{address}/sign-in#{}", secret.expose()),
            token: secret.expose().to_owned(),
            role: new.role,
            expires_at,
            certificate: self.keys.shown_to_browsers(),
        })
    }

    /// A right does not hold any more: what was begun by it ends, and links that were made by it.
    pub(super) fn end_sessions_of(&self, origin: &SessionOrigin) {
        self.end_sessions(|session| session.origin == *origin);
        self.state.end_links_of(origin);
    }

    /// Ends sessions, and what they have open; their ids.
    fn end_sessions(&self, ends: impl Fn(&WebSessionRow) -> bool) -> Vec<String> {
        let ended = {
            let mut sessions = locked(&self.state.people.sessions);
            let ended = sessions.end(ends);
            self.forget_sessions(&ended);
            ended
        };
        ended.iter().for_each(|id| self.state.feed.cut(id));
        ended
    }

    /// In the store. To be called while the sessions are locked: see the top.
    pub(super) fn forget_sessions(&self, ended: &[String]) {
        if !ended.is_empty() {
            let writes = ended.iter().cloned().map(Write::WebSessionGone).collect();
            drop(self.committer.commit(writes, |_| {}));
        }
    }

    /// Ends sessions whose time is over, once a minute.
    pub(super) fn end_old_sessions(&self) {
        let people = &self.state.people;
        let now = self.now().monotonic_ms;
        if now.saturating_sub(people.swept_ms.load(Ordering::Relaxed)) < SWEEP_MS {
            return;
        }
        people.swept_ms.store(now, Ordering::Relaxed);
        let ended = {
            let mut sessions = locked(&people.sessions);
            let ended = sessions.expire(now_ms());
            self.forget_sessions(&ended);
            ended
        };
        ended.iter().for_each(|id| self.state.feed.cut(id));
    }

    /// Somebody could not sign in. Nothing waits for this to be stored, and not all of many are told.
    fn note_failure(&self, from: IpAddr, who: &str, how: &str) {
        let told = locked(&self.state.people.failures).count(self.now().monotonic_ms);
        let Some(untold) = told.filter(|_| self.committer.may_try()) else { return };
        let by = By { role: Role::Viewer, token: String::new(), name: String::new(), peer: from.to_string() };
        let mut details = vec![("how", how.to_owned())];
        if untold > 0 {
            details.push(("untold_before", untold.to_string()));
        }
        drop(self.committer.commit(vec![by.audit("session.refused", who, details)], |_| {}));
    }
}

impl State {
    /// Links that were made by a right end: with the registry, when the right does.
    pub(super) fn end_links_of(&self, origin: &SessionOrigin) {
        locked(&self.people.links).end(|of| of == origin);
    }

    /// Whether this right allows so much.
    fn still_holds(&self, origin: &SessionOrigin, role: Role) -> bool {
        match origin {
            SessionOrigin::User(name) => {
                let now = locked(&self.people.users).get(name).and_then(|user| Role::parse(&user.role));
                now.is_some_and(|now| now == Role::Admin || now == role)
            }
            SessionOrigin::ApiToken(id) => locked(&self.api_tokens).get(id).is_some(),
            SessionOrigin::AdminToken(_) => *origin == self.people.admin,
        }
    }
}

pub(super) fn read_role(word: &str) -> Result<Role, Refusal> {
    Role::parse(word).ok_or_else(|| Refusal::Invalid(format!("{word:?} is no role; there are admin and viewer")))
}

#[cfg(test)]
mod tests {
    use crate::access::password::Password;
    use crate::agents::harness::{Bench, by};
    use crate::api::types::NewUser;
    use crate::fleet::NotSignedIn;
    use futures_lite::future::block_on;
    use std::net::{IpAddr, Ipv4Addr};

    #[test]
    fn strangers_who_wait_leave_places_to_those_who_are_known() {
        let bench = Bench::new();
        let password = || Password::new("correct horse battery".into());
        let new = NewUser { name: "ada".into(), role: "viewer".into(), password: password() };
        block_on(bench.fleet.make_user(&by(), new)).expect("a user");
        let home = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        let sign_in = |name: &str| block_on(bench.fleet.sign_in_by_password(home, name, password()));
        sign_in("ada").expect("in");
        let people = &bench.fleet.state.people;
        let strangers: Vec<_> = (0..).map_while(|n: u32| people.place(home, &n.to_string())).collect();
        assert_eq!(strangers.len(), super::WAITING);
        assert!(matches!(sign_in("bob"), Err(NotSignedIn::Wait(super::BUSY_MS))));
        sign_in("ada").expect("in, whoever waits");
        let own: Vec<_> = (0..).map_while(|_: u32| people.place(home, "ada")).collect();
        assert_eq!(own.len(), super::WAITING_KNOWN, "and they have a bound too");
    }
}
