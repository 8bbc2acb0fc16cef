//! Tokens: whose they are, and what operators change of them.

use super::{By, Fleet, Refusal, State, locked};
use crate::access::AccessError;
use crate::access::tokens::{ADMIN, Holder, JoinRefusal, NewJoin, Role};
use crate::access::trust;
use crate::api::types;
use crate::install;
use crate::store::{ApiTokenRow, JoinTokenRow, SessionOrigin, StoreError, Write};
use crate::time::{format_ms, now_ms};
use muster_dial::{JoinString, Pin};
use smol::lock::MutexGuardArc;

/// How long a join token is good for if nothing is said: a day, in seconds.
const JOIN_TTL_S: u64 = 24 * 3600;

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        Refusal::Store(error)
    }
}

impl From<AccessError> for Refusal {
    fn from(error: AccessError) -> Refusal {
        Refusal::Invalid(error.message)
    }
}

impl Fleet {
    /// Who shows this API token; `None`: nobody who may do anything.
    pub fn authenticate(&self, token: &str) -> Option<Holder> {
        locked(&self.state.api_tokens).authenticate(token)
    }

    /// Whether this holder's token is still good.
    pub fn still_knows(&self, by: &By) -> bool {
        by.token == ADMIN
            || locked(&self.state.api_tokens).get(&by.token).is_some()
            || self.visitor(&by.token).is_some()
    }

    /// Join tokens, oldest first.
    pub fn join_tokens(&self) -> Vec<types::JoinToken> {
        locked(&self.state.join_tokens).list().into_iter().map(describe_join).collect()
    }

    /// Makes a join token.
    pub async fn make_join_token(&self, by: &By, new: types::NewJoinToken) -> Result<types::MadeJoinToken, Refusal> {
        let registry = self.registry.lock_arc().await;
        let now = now_ms();
        let life = new.ttl.unwrap_or(JOIN_TTL_S).checked_mul(1000).and_then(|ms| i64::try_from(ms).ok());
        let wanted = NewJoin {
            life_ms: life.ok_or_else(|| Refusal::Invalid("ttl: longer than can be counted".into()))?,
            uses: new.uses,
            labels: new.labels,
            name: new.name,
        };
        let (made, forgettable) = {
            let tokens = locked(&self.state.join_tokens);
            (tokens.make(wanted, now)?, tokens.forgettable(now))
        };
        let (secret, row) = made;
        let uses = row.uses_left.map_or("any".into(), |uses| uses.to_string());
        let mut details = vec![("expires", format_ms(row.expires_ms)), ("uses", uses)];
        details.extend(row.name.clone().map(|name| ("name", name)));
        let mut writes = vec![Write::JoinToken(row.clone()), by.audit("join_token.make", &row.id, details)];
        writes.extend(forgettable.iter().cloned().map(Write::JoinTokenGone));
        let made = row.clone();
        self.keep(registry, writes, move |state| {
            let mut tokens = locked(&state.join_tokens);
            for id in &forgettable {
                tokens.revoke(id);
            }
            tokens.apply(made);
        })
        .await?;
        let join = self.join_string(secret.expose());
        Ok(types::MadeJoinToken {
            token: describe_join(&row),
            command: format!("muster-agent join '{join}'"),
            install: install::command(&join, self.keys.serving_pin()),
            join: join.to_string(),
        })
    }

    /// What a host joins by that has this token.
    pub fn join_string(&self, token: &str) -> JoinString {
        let trusted = self.trust();
        let pins = trust::to_join_by(&trusted);
        // What every certificate has from the start needs no mention.
        let generation = if trusted.generation > 1 { trusted.generation } else { 0 };
        JoinString { token: token.into(), addresses: self.addresses(), pins, generation }
    }

    /// Whether this is a join token that has not ended. One that is used up is no reason to refuse what is no secret:
    /// whoever repeats a command is told by the join itself.
    pub fn knows_join_token(&self, token: &str) -> Result<(), JoinRefusal> {
        match locked(&self.state.join_tokens).judge(token, now_ms()) {
            Ok(_) | Err(JoinRefusal::UsedUp) => Ok(()),
            Err(refusal) => Err(refusal),
        }
    }

    /// What a client pins that looks at the serving certificate alone.
    pub fn serving_pin(&self) -> Option<Pin> {
        self.keys.serving_pin()
    }

    /// Ends a join token.
    pub async fn revoke_join_token(&self, by: &By, id: &str) -> Result<(), Refusal> {
        let registry = self.registry.lock_arc().await;
        if locked(&self.state.join_tokens).get(id).is_none() {
            return Err(Refusal::NotFound(format!("no join token has the id {id:?}")));
        }
        let gone = id.to_owned();
        let end = move |state: &State| {
            locked(&state.join_tokens).revoke(&gone);
        };
        let writes = vec![Write::JoinTokenGone(id.into()), by.audit("join_token.revoke", id, [])];
        Ok(self.keep(registry, writes, end).await?)
    }

    /// API tokens, oldest first.
    pub fn api_tokens(&self) -> Vec<types::ApiToken> {
        locked(&self.state.api_tokens).list().into_iter().map(describe_api).collect()
    }

    /// Makes an API token.
    pub async fn make_api_token(&self, by: &By, new: types::NewApiToken) -> Result<types::MadeApiToken, Refusal> {
        let registry = self.registry.lock_arc().await;
        let role = Role::parse(&new.role)
            .ok_or_else(|| Refusal::Invalid(format!("{:?} is no role; there are admin and viewer", new.role)))?;
        let (secret, row) = locked(&self.state.api_tokens).make(role, &new.name, now_ms())?;
        let made = row.clone();
        let apply = move |state: &State| locked(&state.api_tokens).apply(made);
        let details = [("role", row.role.clone()), ("name", row.name.clone())];
        let writes = vec![Write::ApiToken(row.clone()), by.audit("api_token.make", &row.id, details)];
        self.keep(registry, writes, apply).await?;
        Ok(types::MadeApiToken { about: describe_api(&row), token: secret.expose().into() })
    }

    /// Ends an API token, what it has open, and the sessions that were begun with it.
    pub async fn revoke_api_token(&self, by: &By, id: &str) -> Result<(), Refusal> {
        let registry = self.registry.lock_arc().await;
        if locked(&self.state.api_tokens).get(id).is_none() {
            return Err(Refusal::NotFound(format!("no API token has the id {id:?}")));
        }
        let gone = id.to_owned();
        let end = move |state: &State| {
            locked(&state.api_tokens).revoke(&gone);
            state.end_links_of(&SessionOrigin::ApiToken(gone.clone()));
            state.feed.cut(&gone);
        };
        let writes = vec![Write::ApiTokenGone(id.into()), by.audit("api_token.revoke", id, [])];
        self.keep(registry, writes, end).await?;
        self.end_sessions_of(&SessionOrigin::ApiToken(id.into()));
        Ok(())
    }

    /// Makes a change of tokens, or of what is announced, durable, then true in memory, before anybody else changes any.
    pub(super) async fn keep(
        &self,
        registry: MutexGuardArc<()>,
        writes: Vec<Write>,
        apply: impl FnOnce(&State) + Send + 'static,
    ) -> Result<(), StoreError> {
        let state = self.state.clone();
        let settled = self.committer.commit(writes, move |stored| {
            let _registry = registry;
            if stored.is_ok() {
                apply(&state);
            }
        });
        settled.wait().await
    }
}

fn describe_join(row: &JoinTokenRow) -> types::JoinToken {
    types::JoinToken {
        id: row.id.clone(),
        created_at: format_ms(row.created_ms),
        expires_at: format_ms(row.expires_ms),
        uses_left: row.uses_left,
        used: row.used,
        labels: row.labels.clone(),
        name: row.name.clone(),
    }
}

fn describe_api(row: &ApiTokenRow) -> types::ApiToken {
    types::ApiToken {
        id: row.id.clone(),
        name: row.name.clone(),
        role: row.role.clone(),
        created_at: format_ms(row.created_ms),
    }
}
