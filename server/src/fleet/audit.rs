//! What operators did: who asked, from where, for what. A row is stored in the same commit as the change that it
//! tells of, so that neither is there without the other.

use super::{Fleet, Refusal, locked};
use crate::access::tokens::{Holder, Role};
use crate::api::types;
use crate::store::{AuditRow, Write};
use crate::time::{format_ms, now_ms};

/// Bytes of a target or of a detail.
const TEXT: usize = 256;
/// Attempts that were denied are told so often in one [`WINDOW_MS`]; the rest is counted. So whoever holds a token that
/// may only read cannot push out what was done.
const DENIALS: u32 = 10;
/// An hour, in milliseconds.
const WINDOW_MS: u64 = 3_600_000;
/// Rows that are read at once.
const CHUNK: usize = 500;

/// Who asks for something, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// What their token allows.
    pub role: Role,
    /// The token's id.
    pub token: String,
    /// What the token is for.
    pub name: String,
    /// The address that the request came from: perhaps a proxy's.
    pub peer: String,
}

impl By {
    /// Whoever holds this token.
    pub fn holder(holder: Holder, peer: impl ToString) -> By {
        By { role: holder.role, token: holder.id, name: holder.name, peer: peer.to_string() }
    }

    /// That they did something, to be stored together with it. `action` is such as `host.rename`; no detail may be a
    /// secret.
    pub fn audit<'a>(
        &self,
        action: &str,
        target: impl AsRef<str>,
        attributes: impl IntoIterator<Item = (&'a str, String)>,
    ) -> Write {
        Write::Audit(AuditRow {
            id: 0,
            time_ms: now_ms(),
            token: self.token.clone(),
            name: self.name.clone(),
            peer: self.peer.clone(),
            action: action.into(),
            target: cut(target.as_ref()),
            attributes: attributes.into_iter().map(|(key, value)| (key.to_owned(), cut(&value))).collect(),
        })
    }
}

fn cut(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain
        .scan(0, |bytes, c| {
            *bytes += c.len_utf8();
            (*bytes <= TEXT).then_some(c)
        })
        .collect()
}

/// How many attempts were denied of late.
#[derive(Debug, Default)]
pub(super) struct Denials {
    begun_ms: u64,
    told: u32,
    untold: u32,
}

impl Denials {
    /// Whether one more is to be told; then with how many that were not.
    pub(super) fn count(&mut self, now_ms: u64) -> Option<u32> {
        if now_ms.saturating_sub(self.begun_ms) >= WINDOW_MS {
            (self.begun_ms, self.told) = (now_ms, 0);
        }
        if self.told >= DENIALS {
            self.untold = self.untold.saturating_add(1);
            return None;
        }
        self.told += 1;
        Some(std::mem::take(&mut self.untold))
    }
}

/// Which rows are wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AuditSelect {
    /// Not before this time, in milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// Not after this time, in milliseconds since 1970.
    pub until_ms: Option<i64>,
}

impl Fleet {
    /// Someone tried what their token does not allow. Nothing waits for this to be stored.
    pub fn note_denied(&self, by: &By, what: &str) {
        let told = locked(&self.denials).count(self.now().monotonic_ms);
        let Some(untold) = told.filter(|_| self.committer.may_try()) else { return };
        let untold = (untold > 0).then(|| ("untold_before", untold.to_string()));
        drop(self.committer.commit(vec![by.audit("denied", what, untold)], |_| {}));
    }

    /// What operators did, newest first: at most `limit` rows with ids below `before`, and where the next page begins.
    pub async fn audit(
        &self,
        before: u64,
        limit: usize,
        wanted: AuditSelect,
    ) -> Result<(Vec<types::Audit>, Option<u64>), Refusal> {
        let history = self.history.clone();
        let is_wanted = move |row: &AuditRow| {
            wanted.since_ms.is_none_or(|since| row.time_ms >= since)
                && wanted.until_ms.is_none_or(|until| row.time_ms <= until)
        };
        let read = move || {
            let (mut found, mut before) = (Vec::new(), before);
            loop {
                let rows = history.0.audit(before, CHUNK)?;
                let is_last = rows.len() < CHUNK;
                for row in rows {
                    if is_wanted(&row) {
                        if found.len() == limit {
                            return Ok((found, Some(before)));
                        }
                        found.push(describe(&row));
                    }
                    before = row.id;
                }
                if is_last {
                    return Ok((found, None));
                }
            }
        };
        smol::unblock(read).await.map_err(Refusal::Store)
    }
}

fn describe(row: &AuditRow) -> types::Audit {
    types::Audit {
        id: row.id,
        time: format_ms(row.time_ms),
        token: row.token.clone(),
        name: row.name.clone(),
        peer: row.peer.clone(),
        action: row.action.clone(),
        target: row.target.clone(),
        attributes: row.attributes.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_denied_over_and_over_is_counted_and_not_told() {
        let mut denials = Denials::default();
        for _ in 0..DENIALS {
            assert_eq!(denials.count(1), Some(0));
        }
        assert_eq!((denials.count(2), denials.count(WINDOW_MS - 1)), (None, None));
        assert_eq!(denials.count(WINDOW_MS + 1), Some(2));
        assert_eq!(denials.count(WINDOW_MS + 2), Some(0));
    }

    #[test]
    fn texts_of_strangers_are_cut_and_plain() {
        assert_eq!(cut("a\nb"), "a b");
        assert_eq!(cut(&"é".repeat(TEXT)).len(), TEXT);
    }
}
