//! What operators change: hosts' names, hosts themselves, tokens.

use super::host::Outcome;
use super::{Fleet, Refusal, State, locked};
use crate::access::AccessError;
use crate::access::tokens::{NewJoin, Role};
use crate::access::trust;
use crate::api::types;
use crate::store::{ApiTokenRow, JoinTokenRow, StoreError, Write};
use crate::time::{format_ms, now_ms};
use muster_dial::JoinString;
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
    /// Gives a host another name.
    pub async fn rename_host(&self, host: &str, name: &str) -> Result<types::Host, Refusal> {
        let registry = self.registry.lock_arc().await;
        let cell = self.find_host(host)?;
        if let Ok(other) = self.find_host(name)
            && other.id != cell.id
        {
            return Err(Refusal::Conflict(format!(
                "another host has the name {name:?} already; choose a different one"
            )));
        }
        let turn = self.turn(&cell).await?.with(registry);
        let mut outcome = Outcome::default();
        {
            let mut live = turn.live();
            if live.row.name == name {
                return Ok(live.view());
            }
            let old = std::mem::replace(&mut live.row.name, name.into());
            live.note("host_renamed", [("from", old), ("to", name.into())], self.now(), &mut outcome);
            // Containers carry their host's name.
            outcome.containers.extend(live.existing());
        }
        self.settle(turn, outcome).wait().await?;
        Ok(cell.live().view())
    }

    /// Removes a host. Its agent is told so when it next asks.
    pub async fn remove_host(&self, host: &str) -> Result<types::Host, Refusal> {
        let registry = self.registry.lock_arc().await;
        let cell = self.find_host(host)?;
        let turn = self.turn(&cell).await?.with(registry);
        let mut outcome = Outcome::default();
        turn.live().remove(self.now(), &mut outcome);
        self.settle(turn, outcome).wait().await?;
        self.shut_out(&cell);
        Ok(cell.live().view())
    }

    /// What whoever shows this API token may do; `None`: nothing.
    pub fn authenticate(&self, token: &str) -> Option<Role> {
        locked(&self.state.api_tokens).authenticate(token)
    }

    /// Join tokens, oldest first.
    pub fn join_tokens(&self) -> Vec<types::JoinToken> {
        locked(&self.state.join_tokens).list().into_iter().map(describe_join).collect()
    }

    /// Makes a join token.
    pub async fn make_join_token(&self, new: types::NewJoinToken) -> Result<types::MadeJoinToken, Refusal> {
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
        let mut writes = vec![Write::JoinToken(row.clone())];
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
        let trusted = self.trust();
        let pins = trust::to_join_by(&trusted);
        // What every certificate has from the start needs no mention.
        let generation = if trusted.generation > 1 { trusted.generation } else { 0 };
        let join = JoinString { token: secret.expose().into(), addresses: self.addresses(), pins, generation };
        Ok(types::MadeJoinToken {
            token: describe_join(&row),
            command: format!("muster-agent join '{join}'"),
            join: join.to_string(),
        })
    }

    /// Ends a join token.
    pub async fn revoke_join_token(&self, id: &str) -> Result<(), Refusal> {
        let registry = self.registry.lock_arc().await;
        if locked(&self.state.join_tokens).get(id).is_none() {
            return Err(Refusal::NotFound(format!("no join token has the id {id:?}")));
        }
        let gone = id.to_owned();
        let end = move |state: &State| {
            locked(&state.join_tokens).revoke(&gone);
        };
        Ok(self.keep(registry, vec![Write::JoinTokenGone(id.into())], end).await?)
    }

    /// API tokens, oldest first.
    pub fn api_tokens(&self) -> Vec<types::ApiToken> {
        locked(&self.state.api_tokens).list().into_iter().map(describe_api).collect()
    }

    /// Makes an API token.
    pub async fn make_api_token(&self, new: types::NewApiToken) -> Result<types::MadeApiToken, Refusal> {
        let registry = self.registry.lock_arc().await;
        let role = Role::parse(&new.role)
            .ok_or_else(|| Refusal::Invalid(format!("{:?} is no role; there are admin and viewer", new.role)))?;
        let (secret, row) = locked(&self.state.api_tokens).make(role, &new.name, now_ms())?;
        let made = row.clone();
        let apply = move |state: &State| locked(&state.api_tokens).apply(made);
        self.keep(registry, vec![Write::ApiToken(row.clone())], apply).await?;
        Ok(types::MadeApiToken { about: describe_api(&row), token: secret.expose().into() })
    }

    /// Ends an API token.
    pub async fn revoke_api_token(&self, id: &str) -> Result<(), Refusal> {
        let registry = self.registry.lock_arc().await;
        if locked(&self.state.api_tokens).get(id).is_none() {
            return Err(Refusal::NotFound(format!("no API token has the id {id:?}")));
        }
        let gone = id.to_owned();
        let end = move |state: &State| {
            locked(&state.api_tokens).revoke(&gone);
        };
        Ok(self.keep(registry, vec![Write::ApiTokenGone(id.into())], end).await?)
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
