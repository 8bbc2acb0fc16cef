//! Join tokens and API tokens: who holds one may do what. No I/O and no clock.
//!
//! Nothing here changes by itself. What makes, uses or ends a token first hands out the row that is to be stored;
//! when the store has it, [`JoinTokens::apply`] and [`ApiTokens::apply`] make it true here. In between, the
//! caller lets nobody else judge, or a token for one host admits two.

use super::AccessError;
use super::secret::{LONGEST, Secret, hash, id, same};
use crate::store::{ApiTokenRow, JoinTokenRow};
use muster_protocol::limits;
use std::collections::BTreeMap;
use std::fmt;

/// Join tokens at one time. Those that ended long ago are swept, so only a runaway script gets here.
const JOIN_TOKENS: usize = 10_000;

/// API tokens at one time: people, dashboards and scripts.
const API_TOKENS: usize = 1_000;

/// The longest life of a join token: images are flashed from for years.
const LONGEST_LIFE_MS: i64 = 10 * 366 * 24 * 3_600_000;

/// How long a join token that has expired is still listed, so that people see why a host was refused.
const SHOWN_AFTER_END_MS: i64 = 7 * 24 * 3_600_000;

/// Labels that a join token gives.
const JOIN_LABELS: usize = 32;

/// Bytes of an API token's name.
const API_NAME: usize = 128;

/// What a new join token shall allow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewJoin {
    /// For how many milliseconds.
    pub life_ms: i64,
    /// For how many hosts; `None`: any number.
    pub uses: Option<u32>,
    /// For every host that joins with it.
    pub labels: BTreeMap<String, String>,
    /// For the host that joins with it.
    pub name: Option<String>,
}

/// A host may join.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinGrant {
    /// The token's.
    pub id: String,
    /// For the host.
    pub labels: BTreeMap<String, String>,
    /// For the host, if the token has one.
    pub name: Option<String>,
    /// To be stored with the host, and then applied.
    pub row: JoinTokenRow,
}

/// A host may not join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinRefusal {
    /// There is no such token, or no longer.
    Unknown,
    /// It was good once.
    Expired,
    /// As many hosts as it was made for have joined.
    UsedUp,
}

impl fmt::Display for JoinRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self {
            JoinRefusal::Unknown => "is not known here: it was revoked or belongs to another server",
            JoinRefusal::Expired => "has expired",
            JoinRefusal::UsedUp => "is used up",
        };
        write!(f, "the join token {why}; make a new one on the server with `muster join-command`")
    }
}

impl std::error::Error for JoinRefusal {}

/// All join tokens.
#[derive(Debug, Default)]
pub struct JoinTokens {
    rows: BTreeMap<String, JoinTokenRow>,
}

impl JoinTokens {
    /// As they are stored.
    pub fn new(rows: Vec<JoinTokenRow>) -> JoinTokens {
        JoinTokens { rows: rows.into_iter().map(|row| (row.id.clone(), row)).collect() }
    }

    /// Makes one, to be stored and then applied. The secret is shown this once.
    ///
    /// # Errors
    /// It asks for something that makes no sense, there are too many, or the system has no random numbers.
    pub fn make(&self, new: NewJoin, now_ms: i64) -> Result<(Secret, JoinTokenRow), AccessError> {
        check_join(&new)?;
        if self.rows.len() >= JOIN_TOKENS {
            return Err(AccessError::new(format!(
                "there are {JOIN_TOKENS} join tokens already: remove some with `muster token rm`"
            )));
        }
        let secret = Secret::join_token()?;
        let row = JoinTokenRow {
            id: id(secret.expose()),
            hash: hash(secret.expose().as_bytes()),
            created_ms: now_ms,
            expires_ms: now_ms.saturating_add(new.life_ms),
            uses_left: new.uses,
            used: 0,
            labels: new.labels,
            name: new.name,
        };
        Ok((secret, row))
    }

    /// Whether a host may join with `token` now. A host that repeats its join is not asked for here: it has its
    /// place already, and that costs no use.
    pub fn judge(&self, token: &str, now_ms: i64) -> Result<JoinGrant, JoinRefusal> {
        let row = find(&self.rows, token, |row| &row.hash).ok_or(JoinRefusal::Unknown)?;
        if now_ms >= row.expires_ms {
            return Err(JoinRefusal::Expired);
        }
        let mut row = row.clone();
        row.uses_left = match row.uses_left {
            Some(0) => return Err(JoinRefusal::UsedUp),
            left => left.map(|left| left - 1),
        };
        row.used = row.used.saturating_add(1);
        Ok(JoinGrant { id: row.id.clone(), labels: row.labels.clone(), name: row.name.clone(), row })
    }

    /// Takes over a row that has been stored. A token that was revoked meanwhile would come back: see the top.
    pub fn apply(&mut self, row: JoinTokenRow) {
        self.rows.insert(row.id.clone(), row);
    }

    /// The token with this id.
    pub fn get(&self, id: &str) -> Option<&JoinTokenRow> {
        self.rows.get(id)
    }

    /// Ends a token whose end has been stored. False if there is none.
    pub fn revoke(&mut self, id: &str) -> bool {
        self.rows.remove(id).is_some()
    }

    /// The ids of those that ended so long ago that nobody asks any more, to be removed from the store and here.
    pub fn forgettable(&self, now_ms: i64) -> Vec<String> {
        let forgettable = |row: &&JoinTokenRow| now_ms.saturating_sub(row.expires_ms) >= SHOWN_AFTER_END_MS;
        self.rows.values().filter(forgettable).map(|row| row.id.clone()).collect()
    }

    /// All, the oldest first.
    pub fn list(&self) -> Vec<&JoinTokenRow> {
        let mut rows: Vec<_> = self.rows.values().collect();
        rows.sort_by(|a, b| (a.created_ms, &a.id).cmp(&(b.created_ms, &b.id)));
        rows
    }
}

/// What the holder of an API token may do. The lesser one is first. An agent's credential is none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// See everything, and change nothing.
    Viewer,
    /// Everything.
    Admin,
}

impl Role {
    /// The API's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Admin => "admin",
            Role::Viewer => "viewer",
        }
    }

    /// Of the API's word.
    pub fn parse(word: &str) -> Option<Role> {
        [Role::Admin, Role::Viewer].into_iter().find(|role| role.as_str() == word)
    }
}

/// Whose API token it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// What it allows.
    pub role: Role,
    /// The token's id; [`ADMIN`] for the one of the data directory.
    pub id: String,
    /// What it is for.
    pub name: String,
}

/// Stands for the id of the data directory's token, which has no row.
pub const ADMIN: &str = "admin";

/// All API tokens, and the admin token.
#[derive(Debug)]
pub struct ApiTokens {
    admin: [u8; 32],
    rows: BTreeMap<String, ApiTokenRow>,
}

impl ApiTokens {
    /// As they are stored, and the token of the data directory.
    pub fn new(admin: &Secret, rows: Vec<ApiTokenRow>) -> ApiTokens {
        ApiTokens {
            admin: hash(admin.expose().as_bytes()),
            rows: rows.into_iter().map(|row| (row.id.clone(), row)).collect(),
        }
    }

    /// Who shows `token`; `None`: nobody who may do anything.
    pub fn authenticate(&self, token: &str) -> Option<Holder> {
        if token.len() > LONGEST {
            return None;
        }
        if same(&self.admin, &hash(token.as_bytes())) {
            return Some(Holder { role: Role::Admin, id: ADMIN.into(), name: String::new() });
        }
        let row = find(&self.rows, token, |row| &row.hash)?;
        // A role of a later version gives no rights in this one.
        Some(Holder { role: Role::parse(&row.role)?, id: row.id.clone(), name: row.name.clone() })
    }

    /// Makes one, to be stored and then applied. The secret is shown this once.
    ///
    /// # Errors
    /// The name is too long or has control characters, there are too many, or the system has no random numbers.
    pub fn make(&self, role: Role, name: &str, now_ms: i64) -> Result<(Secret, ApiTokenRow), AccessError> {
        if name.len() > API_NAME || name.chars().any(char::is_control) {
            return Err(AccessError::new(format!(
                "the name of an API token has at most {API_NAME} bytes and no control characters"
            )));
        }
        if self.rows.len() >= API_TOKENS {
            return Err(AccessError::new(format!(
                "there are {API_TOKENS} API tokens already: remove some with `muster token rm`"
            )));
        }
        let secret = Secret::api_token()?;
        let row = ApiTokenRow {
            id: id(secret.expose()),
            hash: hash(secret.expose().as_bytes()),
            role: role.as_str().to_owned(),
            name: name.to_owned(),
            created_ms: now_ms,
        };
        Ok((secret, row))
    }

    /// Takes over a row that has been stored.
    pub fn apply(&mut self, row: ApiTokenRow) {
        self.rows.insert(row.id.clone(), row);
    }

    /// The token with this id.
    pub fn get(&self, id: &str) -> Option<&ApiTokenRow> {
        self.rows.get(id)
    }

    /// Ends a token whose end has been stored. False if there is none.
    pub fn revoke(&mut self, id: &str) -> bool {
        self.rows.remove(id).is_some()
    }

    /// All but the admin token, the oldest first.
    pub fn list(&self) -> Vec<&ApiTokenRow> {
        let mut rows: Vec<_> = self.rows.values().collect();
        rows.sort_by(|a, b| (a.created_ms, &a.id).cmp(&(b.created_ms, &b.id)));
        rows
    }
}

/// The row of a token in the clear. The id only finds it; the hash of the whole token decides.
fn find<'a, R>(rows: &'a BTreeMap<String, R>, token: &str, hash_of: impl Fn(&R) -> &[u8; 32]) -> Option<&'a R> {
    if token.len() > LONGEST {
        return None;
    }
    rows.get(&id(token)).filter(|row| same(hash_of(row), &hash(token.as_bytes())))
}

fn check_join(new: &NewJoin) -> Result<(), AccessError> {
    let refuse = |what: String| Err(AccessError::new(what));
    if !(1..=LONGEST_LIFE_MS).contains(&new.life_ms) {
        return refuse("a join token lives for more than nothing and at most ten years".to_owned());
    }
    if new.uses == Some(0) {
        return refuse("a join token is for at least one host; leave the number out for any number".to_owned());
    }
    if new.labels.len() > JOIN_LABELS {
        return refuse(format!("a host has at most {JOIN_LABELS} labels"));
    }
    for (key, value) in &new.labels {
        let fits = !key.is_empty() && key.len() <= limits::LABEL_KEY && value.len() <= limits::LABEL_VALUE;
        let plain = !key.contains('=') && !key.chars().chain(value.chars()).any(char::is_control);
        if !fits || !plain {
            return refuse(format!(
                "a label is KEY=VALUE, with 1 to {} and at most {} bytes and no control characters",
                limits::LABEL_KEY,
                limits::LABEL_VALUE
            ));
        }
    }
    let bad = |c: char| c.is_control() || c.is_whitespace() || c == '/';
    match &new.name {
        Some(name) if name.is_empty() || name.len() > limits::HOST_NAME || name.chars().any(bad) => refuse(format!(
            "a host's name has 1 to {} bytes, without spaces, slashes and control characters",
            limits::HOST_NAME
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    fn day(uses: Option<u32>) -> NewJoin {
        NewJoin { life_ms: 86_400_000, uses, ..NewJoin::default() }
    }

    fn made(tokens: &mut JoinTokens, new: NewJoin) -> (Secret, String) {
        let (secret, row) = tokens.make(new, NOW).expect("a token");
        let id = row.id.clone();
        tokens.apply(row);
        (secret, id)
    }

    #[test]
    fn a_token_admits_as_many_hosts_as_it_was_made_for() {
        let mut tokens = JoinTokens::default();
        let (secret, id) = made(
            &mut tokens,
            NewJoin {
                labels: BTreeMap::from([("room".to_owned(), "cellar".to_owned())]),
                name: Some("pi".to_owned()),
                ..day(Some(2))
            },
        );
        let grant = tokens.judge(secret.expose(), NOW).expect("a grant");
        assert_eq!((&grant.id, grant.name.as_deref(), grant.labels["room"].as_str()), (&id, Some("pi"), "cellar"));
        assert_eq!((grant.row.uses_left, grant.row.used), (Some(1), 1));
        assert_eq!(tokens.judge(secret.expose(), NOW), Ok(grant.clone()), "judging alone uses nothing");
        tokens.apply(grant.row);
        let second = tokens.judge(secret.expose(), NOW).expect("a grant");
        tokens.apply(second.row);
        assert_eq!(tokens.judge(secret.expose(), NOW), Err(JoinRefusal::UsedUp));
        let row = tokens.get(&id).expect("there");
        assert_eq!((row.uses_left, row.used), (Some(0), 2));
        // As after a restart.
        let tokens = JoinTokens::new(tokens.list().into_iter().cloned().collect());
        assert_eq!(tokens.judge(secret.expose(), NOW), Err(JoinRefusal::UsedUp));
    }

    #[test]
    fn a_token_without_a_number_admits_any() {
        let mut tokens = JoinTokens::default();
        let (secret, id) = made(&mut tokens, day(None));
        for used in 1..100 {
            let grant = tokens.judge(secret.expose(), NOW).expect("a grant");
            assert_eq!((grant.row.uses_left, grant.row.used), (None, used));
            tokens.apply(grant.row);
        }
        let mut row = tokens.get(&id).expect("there").clone();
        row.used = u32::MAX;
        tokens.apply(row);
        assert_eq!(tokens.judge(secret.expose(), NOW).map(|grant| grant.row.used), Ok(u32::MAX));
    }

    #[test]
    fn a_token_ends() {
        let mut tokens = JoinTokens::default();
        let (secret, id) = made(&mut tokens, NewJoin { life_ms: 1_000, ..day(None) });
        assert!(tokens.judge(secret.expose(), NOW + 999).is_ok());
        assert_eq!(tokens.judge(secret.expose(), NOW + 1_000), Err(JoinRefusal::Expired));
        assert_eq!(tokens.judge(secret.expose(), i64::MAX), Err(JoinRefusal::Expired));
        assert!(tokens.forgettable(NOW + 1_000).is_empty());
        assert!(tokens.forgettable(i64::MIN).is_empty());
        assert_eq!(tokens.forgettable(NOW + 1_000 + SHOWN_AFTER_END_MS), std::slice::from_ref(&id));
        assert!(tokens.revoke(&id));
        assert!(!tokens.revoke(&id));
        assert_eq!(tokens.judge(secret.expose(), NOW), Err(JoinRefusal::Unknown));
    }

    #[test]
    fn what_only_looks_like_a_token_is_unknown() {
        let mut tokens = JoinTokens::default();
        let (secret, id) = made(&mut tokens, day(None));
        let other = Secret::join_token().expect("random");
        let long = "a".repeat(LONGEST + 1);
        for wrong in ["", &id, other.expose(), &secret.expose()[1..], &format!("{} ", secret.expose()), &long] {
            assert_eq!(tokens.judge(wrong, NOW), Err(JoinRefusal::Unknown), "{wrong:?}");
        }
        // Even if the id were the same, the hash decides.
        let mut row = tokens.get(&id).expect("there").clone();
        row.hash[31] ^= 1;
        tokens.apply(row);
        assert_eq!(tokens.judge(secret.expose(), NOW), Err(JoinRefusal::Unknown));
    }

    #[test]
    fn rows_do_not_hold_the_secret() {
        let mut tokens = JoinTokens::default();
        let (secret, id) = made(&mut tokens, day(None));
        let (api, row) = ApiTokens::new(&secret, vec![]).make(Role::Viewer, "", NOW).expect("a token");
        for (secret, shown) in [(&secret, format!("{tokens:?}")), (&api, format!("{row:?}"))] {
            assert!(!shown.contains(secret.expose()));
            assert!(!shown.contains(&secret.expose()[3..]));
        }
        assert_eq!(id.len(), 12);
    }

    #[test]
    fn nonsense_is_refused() {
        let label = |key: &str, value: &str| NewJoin {
            labels: BTreeMap::from([(key.to_owned(), value.to_owned())]),
            ..day(None)
        };
        let named = |name: &str| NewJoin { name: Some(name.to_owned()), ..day(None) };
        let many = (0..=JOIN_LABELS).map(|number| (number.to_string(), String::new())).collect();
        let tokens = JoinTokens::default();
        for bad in [
            NewJoin { life_ms: 0, ..day(None) },
            NewJoin { life_ms: -1, ..day(None) },
            NewJoin { life_ms: LONGEST_LIFE_MS + 1, ..day(None) },
            day(Some(0)),
            label("", "x"),
            label("a=b", "x"),
            label("a", "x\ny"),
            label(&"k".repeat(limits::LABEL_KEY + 1), ""),
            label("k", &"v".repeat(limits::LABEL_VALUE + 1)),
            NewJoin { labels: many, ..day(None) },
            named(""),
            named("a/b"),
            named("a b"),
            named("a\u{7}"),
            named(&"n".repeat(limits::HOST_NAME + 1)),
        ] {
            let error = tokens.make(bad.clone(), NOW).expect_err(&format!("{bad:?}"));
            assert!(!error.message.contains('\n'));
        }
        assert!(tokens.make(label("k", ""), NOW).is_ok());
        assert!(tokens.make(named("büro-1"), NOW).is_ok());
        let row = tokens.make(NewJoin { life_ms: LONGEST_LIFE_MS, ..day(None) }, i64::MAX).expect("a token").1;
        assert_eq!(row.expires_ms, i64::MAX, "a clock that is far off does not overflow");
    }

    #[test]
    fn there_is_an_end_to_tokens() {
        let admin = Secret::api_token().expect("random");
        let mut join = JoinTokens::default();
        let row = join.make(day(None), NOW).expect("a token").1;
        (0..JOIN_TOKENS).for_each(|number| join.apply(JoinTokenRow { id: number.to_string(), ..row.clone() }));
        assert!(join.make(day(None), NOW).is_err());
        let mut api = ApiTokens::new(&admin, vec![]);
        let row = api.make(Role::Viewer, "", NOW).expect("a token").1;
        (0..API_TOKENS).for_each(|number| api.apply(ApiTokenRow { id: number.to_string(), ..row.clone() }));
        assert!(api.make(Role::Viewer, "", NOW).is_err());
    }

    #[test]
    fn lists_begin_with_the_oldest() {
        let row = |id: &str, created_ms| JoinTokenRow {
            id: id.to_owned(),
            created_ms,
            ..JoinTokens::default().make(day(None), NOW).expect("a token").1
        };
        let tokens = JoinTokens::new(vec![row("b", 2), row("a", 3), row("d", 1), row("c", 1)]);
        assert_eq!(tokens.list().iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["c", "d", "b", "a"]);
    }

    #[test]
    fn an_api_token_has_its_role() {
        let admin = Secret::api_token().expect("random");
        let mut tokens = ApiTokens::new(&admin, vec![]);
        assert_eq!(tokens.authenticate(admin.expose()).map(|holder| holder.role), Some(Role::Admin));
        for role in [Role::Admin, Role::Viewer] {
            let (secret, row) = tokens.make(role, "wall display", NOW).expect("a token");
            assert_eq!(tokens.authenticate(secret.expose()), None, "not before it is stored");
            let id = row.id.clone();
            tokens.apply(row);
            assert_eq!(tokens.authenticate(secret.expose()).map(|holder| holder.role), Some(role));
            assert_eq!(tokens.get(&id).map(|row| row.role.as_str()), Some(role.as_str()));
            assert_eq!(Role::parse(role.as_str()), Some(role));
            let again = ApiTokens::new(&admin, tokens.list().into_iter().cloned().collect());
            assert_eq!(again.authenticate(secret.expose()).map(|holder| holder.role), Some(role));
            assert!(tokens.revoke(&id));
            assert!(!tokens.revoke(&id));
            assert_eq!(tokens.authenticate(secret.expose()), None);
        }
        assert_eq!(tokens.authenticate(admin.expose()).map(|holder| holder.role), Some(Role::Admin));
        for wrong in ["", "admin", &admin.expose()[1..], &"a".repeat(LONGEST + 1)] {
            assert_eq!(tokens.authenticate(wrong), None);
        }
    }

    #[test]
    fn a_join_token_opens_no_api_and_an_api_token_admits_no_host() {
        let mut join = JoinTokens::default();
        let (join_secret, _) = made(&mut join, day(None));
        let admin = Secret::api_token().expect("random");
        assert_eq!(ApiTokens::new(&admin, vec![]).authenticate(join_secret.expose()), None);
        assert_eq!(join.judge(admin.expose(), NOW), Err(JoinRefusal::Unknown));
    }

    #[test]
    fn an_unknown_role_gives_no_rights() {
        let admin = Secret::api_token().expect("random");
        let mut tokens = ApiTokens::new(&admin, vec![]);
        let (secret, row) = tokens.make(Role::Admin, "", NOW).expect("a token");
        tokens.apply(ApiTokenRow { role: "auditor".to_owned(), ..row });
        assert_eq!(tokens.authenticate(secret.expose()), None);
        for word in ["", "Admin", "admin ", "root"] {
            assert_eq!(Role::parse(word), None);
        }
    }

    #[test]
    fn a_bad_name_is_refused() {
        let tokens = ApiTokens::new(&Secret::api_token().expect("random"), vec![]);
        assert!(tokens.make(Role::Viewer, &"n".repeat(API_NAME), NOW).is_ok());
        assert!(tokens.make(Role::Viewer, &"n".repeat(API_NAME + 1), NOW).is_err());
        assert!(tokens.make(Role::Viewer, "a\nb", NOW).is_err());
    }
}
