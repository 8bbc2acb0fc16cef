//! What survives a restart, behind one narrow interface.
//!
//! A store keeps rows that it does not interpret beyond their keys. One commit is atomic and durable: when it
//! has returned, a power cut loses nothing of it. Calls block; the caller gives them a thread.

mod audit;
pub mod committer;
pub mod copying;
mod encoded;
mod files;
mod format;
mod history;
#[cfg(test)]
pub(crate) mod memory;
mod migrate;
mod overlay;
mod people;
mod redb_store;
mod restoring;
mod rows;
#[cfg(test)]
pub(crate) mod samples;
mod state;
mod trouble;

pub use history::Retention;
pub use people::*;
pub use redb_store::RedbStore;
pub use restoring::{Restoring, UNFINISHED};
pub use rows::*;

use copying::{Copied, Copying};
use muster_protocol::id::{EngineId, HostId};

/// What a store can do.
pub trait Store: Send + Sync + 'static {
    /// Everything but the events, once, at start.
    fn load(&self) -> Result<Snapshot, StoreError>;

    /// As [`Store::load`], of one host and without tokens: empty if there is no such host.
    fn load_host(&self, host: HostId) -> Result<Snapshot, StoreError>;

    /// Makes all of `writes` durable in their order, or none of them. After an error it is open which of the two
    /// happened (the disk may have failed after it had written): to repeat the same writes is always right.
    fn commit(&self, writes: &[Write]) -> Result<(), StoreError>;

    /// Events with `id > after`, oldest first, at most `limit` of them, for which `keep` says yes. `keep` is asked in the
    /// order of ids; it may answer [`Keep::Stop`] to end the page early. It must not call the store. Events that are not
    /// in `span` may be passed over without asking, or not.
    fn events(
        &self,
        after: u64,
        span: Span,
        limit: usize,
        keep: &mut dyn FnMut(&EventRow) -> Keep,
    ) -> Result<Vec<EventRow>, StoreError>;

    /// Asks `keep` for events with `id < before`, the newest first, until it says [`Keep::Stop`]. Otherwise as
    /// [`Store::events`].
    fn events_before(
        &self,
        _before: u64,
        _span: Span,
        _keep: &mut dyn FnMut(&EventRow) -> Keep,
    ) -> Result<(), StoreError> {
        Ok(())
    }

    /// What operators did, newest first: rows with `id < before`, at most `limit`. The newest [`AUDIT`] are kept.
    fn audit(&self, before: u64, limit: usize) -> Result<Vec<AuditRow>, StoreError>;

    /// The id of the newest event that was ever stored, so that ids are never given twice; 0 if there was none.
    fn newest_event(&self) -> Result<u64, StoreError>;

    /// Begins a copy of all rows as they are now, with or without events. It takes the place of a copy that was begun
    /// before. Somebody has to call [`Store::end_copy`]: until then the store cannot use again what it frees.
    fn begin_copy(&self, _with_events: bool) -> Result<Copying, StoreError> {
        Err(StoreError { message: "this store cannot be copied".into() })
    }

    /// The next piece of a copy, some 100 KiB; `None` at the end.
    fn copy_on(&self, _copying: &mut Copying) -> Result<Option<Copied>, StoreError> {
        Ok(None)
    }

    /// A copy is over, at its end or before.
    fn end_copy(&self, _copying: &Copying) {}

    /// When the oldest event that is still kept was received, if older ones have been deleted.
    fn history_begins_ms(&self) -> Option<i64> {
        None
    }

    /// Deletes events that are too old or too many. `now_ms` is this machine's time. To be called each hour.
    fn tidy(&self, _now_ms: i64) {}

    /// What is wrong with what is stored, in one line, if the store goes on without it.
    fn warning(&self) -> Option<String> {
        None
    }

    /// Why the store will not work again by itself, if that is so.
    fn lost(&self) -> Option<StoreError> {
        None
    }
}

/// Rows of the audit log that are kept: some 2 MB, and years of what a handful of people do.
pub const AUDIT: u64 = 10_000;

/// What becomes of an event in [`Store::events`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// It belongs to the page.
    Yes,
    /// It does not.
    No,
    /// Neither it nor any later one does.
    Stop,
}

/// One change.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a commit's writes live for as long as the commit")]
pub enum Write {
    /// A host is new or changed.
    Host(HostRow),
    /// A host is gone for good, with its streams and containers; its events stay until they are too old.
    HostGone(HostId),
    /// A stream's place is new or changed.
    Stream(StreamRow),
    /// A container is new or changed.
    Container(ContainerRow),
    /// A container is gone.
    ContainerGone(HostId, EngineId),
    /// Every container of a host is gone.
    ContainersGone(HostId),
    /// An event is new.
    Event(EventRow),
    /// A join token is new or changed.
    JoinToken(JoinTokenRow),
    /// A join token is gone.
    JoinTokenGone(String),
    /// An API token is new or changed.
    ApiToken(ApiTokenRow),
    /// An API token is gone.
    ApiTokenGone(String),
    /// A user is new or changed.
    User(UserRow),
    /// A user is gone.
    UserGone(String),
    /// A browser has signed in, or its session is still used.
    WebSession(WebSessionRow),
    /// A browser's session is over.
    WebSessionGone(String),
    /// A client of the Docker API is new.
    DockerClient(DockerClientRow),
    /// A client of the Docker API is gone.
    DockerClientGone(String),
    /// Where the server is reached, or what it is recognised by, has changed.
    Fleet(FleetRow),
    /// The managed network's settings, or what is next given in it, have changed.
    Network(NetworkRow),
    /// A host of the managed network is new or changed.
    NetworkMember(NetworkMemberRow),
    /// A host has left the managed network.
    NetworkMemberGone(HostId),
    /// All hosts have left the managed network.
    NetworkMembersGone,
    /// Something of alerts was set, or has changed.
    AlertSetting(AlertSettingRow),
    /// It is set no more.
    AlertSettingGone(String),
    /// An alert is new or changed.
    Alert(AlertRow),
    /// An alert is forgotten.
    AlertGone(u64),
    /// A notice is to be delivered.
    Notice(NoticeRow),
    /// A notice was delivered, or dropped.
    NoticeGone(u64),
    /// An operator did something. The row's id is given by the store.
    Audit(AuditRow),
}

/// Everything but the events.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// All hosts, removed ones too.
    pub hosts: Vec<HostRow>,
    /// All streams.
    pub streams: Vec<StreamRow>,
    /// All containers.
    pub containers: Vec<ContainerRow>,
    /// All join tokens.
    pub join_tokens: Vec<JoinTokenRow>,
    /// All API tokens.
    pub api_tokens: Vec<ApiTokenRow>,
    /// All users.
    pub users: Vec<UserRow>,
    /// All sessions of browsers.
    pub web_sessions: Vec<WebSessionRow>,
    /// All clients of the Docker API.
    pub docker_clients: Vec<DockerClientRow>,
    /// Where the server is reached; `None` if that was never changed.
    pub fleet: Option<FleetRow>,
    /// The managed network; `None` if there never was one.
    pub network: Option<NetworkRow>,
    /// Its hosts.
    pub network_members: Vec<NetworkMemberRow>,
    /// What is set of alerts, by key.
    pub alert_settings: Vec<AlertSettingRow>,
    /// Alerts, oldest first.
    pub alerts: Vec<AlertRow>,
    /// Notices that wait, oldest first.
    pub notices: Vec<NoticeRow>,
}

/// The store could not do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreError {
    /// What was tried, and what the system said: one line.
    pub message: String,
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StoreError {}
