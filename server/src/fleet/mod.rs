//! The fleet as the server knows it: hosts, their mirrors, their liveness, and every change of them.

pub mod feed;

use crate::api::types;
use crate::store::StoreError;

/// Which containers are wanted. Empty lists want all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerSelect {
    /// Those that never started, too.
    pub all: bool,
    /// Names or ids of hosts.
    pub hosts: Vec<String>,
    /// States, by the engine's words.
    pub states: Vec<String>,
    /// `key` or `key=value`; all of them must match.
    pub labels: Vec<String>,
    /// Parts of names.
    pub names: Vec<String>,
}

/// Which events are wanted. Empty lists want all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventSelect {
    /// Not before this time by the host's clock, in milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// Not after this time by the host's clock, in milliseconds since 1970.
    pub until_ms: Option<i64>,
    /// Names or ids of hosts.
    pub hosts: Vec<String>,
    /// Names or ids (or their beginnings) of containers.
    pub containers: Vec<String>,
    /// Actions. `health_status` also means `health_status: healthy`.
    pub actions: Vec<String>,
    /// `container`, `network`, `host`, `gap`.
    pub subjects: Vec<String>,
    /// `key` or `key=value` among the attributes; all of them must match.
    pub labels: Vec<String>,
}

/// What an operator asked for cannot be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// No such host, container or token: one line.
    NotFound(String),
    /// It means several: one line, and which.
    Ambiguous(String, Vec<String>),
    /// The request does not make sense: one line.
    Invalid(String),
    /// The store cannot keep it now.
    Store(StoreError),
}

/// All hosts, and what is known of them.
#[derive(Debug)]
pub struct Fleet {}

#[allow(unused_variables, clippy::unused_async, missing_docs)]
impl Fleet {
    /// By name. Removed ones only with `removed`.
    pub fn hosts(&self, removed: bool) -> Vec<types::Host> {
        todo!()
    }
    /// By id or name.
    pub fn host(&self, host: &str) -> Result<types::Host, Refusal> {
        todo!()
    }
    /// By host's name, then container's name, then id.
    pub fn containers(&self, select: &ContainerSelect) -> Vec<types::Container> {
        todo!()
    }
    /// One container by (host's id or name, container's id, unique beginning of an id, or name).
    pub fn container(&self, host: &str, container: &str) -> Result<types::Container, Refusal> {
        todo!()
    }
    /// One container by its id (or unique beginning) or name on any host; `Ambiguous` if several hosts have it.
    pub fn container_anywhere(&self, container: &str) -> Result<types::Container, Refusal> {
        todo!()
    }
    /// A page of events with id > `after`, oldest first.
    pub async fn events(&self, after: u64, limit: usize, select: EventSelect) -> Result<Vec<types::Event>, Refusal> {
        todo!()
    }
    pub async fn rename_host(&self, host: &str, name: &str) -> Result<types::Host, Refusal> {
        todo!()
    }
    pub async fn remove_host(&self, host: &str) -> Result<types::Host, Refusal> {
        todo!()
    }
    /// What keeps the store from working now, if anything.
    pub fn problem(&self) -> Option<String> {
        todo!()
    }
    /// Join tokens that have not ended, oldest first.
    pub fn join_tokens(&self) -> Vec<types::JoinToken> {
        todo!()
    }
    pub async fn make_join_token(&self, new: types::NewJoinToken) -> Result<types::MadeJoinToken, Refusal> {
        todo!()
    }
    pub async fn revoke_join_token(&self, id: &str) -> Result<(), Refusal> {
        todo!()
    }
    /// API tokens, oldest first.
    pub fn api_tokens(&self) -> Vec<types::ApiToken> {
        todo!()
    }
    pub async fn make_api_token(&self, new: types::NewApiToken) -> Result<types::MadeApiToken, Refusal> {
        todo!()
    }
    pub async fn revoke_api_token(&self, id: &str) -> Result<(), Refusal> {
        todo!()
    }
    /// Every change, for those who watch.
    pub fn feed(&self) -> &feed::Feed {
        todo!()
    }
}
