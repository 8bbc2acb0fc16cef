//! All that is kept but the events: small tables that are read once, at start, and then only written.

use super::encoded::{Row, Unreadable, decode, encode};
use super::trouble::Trouble;
use super::{Snapshot, Write, audit, copying};
use muster_protocol::id::{EngineId, HostId};
use redb::{
    Key, Range, ReadOnlyTable, ReadTransaction, ReadableTable, Table, TableDefinition, TableError, WriteTransaction,
};
use std::ops::Bound;

const HOSTS: TableDefinition<&[u8; 8], &[u8]> = TableDefinition::new("hosts");
const STREAMS: TableDefinition<&[u8; 9], &[u8]> = TableDefinition::new("streams");
const CONTAINERS: TableDefinition<&[u8; 40], &[u8]> = TableDefinition::new("containers");
const JOIN_TOKENS: TableDefinition<&str, &[u8]> = TableDefinition::new("join_tokens");
/// One row, if any.
const FLEET: TableDefinition<&str, &[u8]> = TableDefinition::new("fleet");
const FLEET_KEY: &str = "fleet";
/// One row, if any.
const NETWORK: TableDefinition<&str, &[u8]> = TableDefinition::new("network");
const NETWORK_KEY: &str = "network";
const NETWORK_MEMBERS: TableDefinition<&[u8; 8], &[u8]> = TableDefinition::new("network_members");
const DOCKER_CLIENTS: TableDefinition<&str, &[u8]> = TableDefinition::new("docker_clients");
const ALERT_SETTINGS: TableDefinition<&str, &[u8]> = TableDefinition::new("alert_settings");
const ALERTS: TableDefinition<u64, &[u8]> = TableDefinition::new("alerts");
const NOTICES: TableDefinition<u64, &[u8]> = TableDefinition::new("notices");
const API_TOKENS: TableDefinition<&str, &[u8]> = TableDefinition::new("api_tokens");
const USERS: TableDefinition<&str, &[u8]> = TableDefinition::new("users");
const WEB_SESSIONS: TableDefinition<&str, &[u8]> = TableDefinition::new("web_sessions");

/// The tables, open for writing.
pub(super) struct Tables<'txn> {
    hosts: Table<'txn, &'static [u8; 8], &'static [u8]>,
    streams: Table<'txn, &'static [u8; 9], &'static [u8]>,
    containers: Table<'txn, &'static [u8; 40], &'static [u8]>,
    join_tokens: Table<'txn, &'static str, &'static [u8]>,
    api_tokens: Table<'txn, &'static str, &'static [u8]>,
    users: Table<'txn, &'static str, &'static [u8]>,
    web_sessions: Table<'txn, &'static str, &'static [u8]>,
    docker_clients: Table<'txn, &'static str, &'static [u8]>,
    fleet: Table<'txn, &'static str, &'static [u8]>,
    network: Table<'txn, &'static str, &'static [u8]>,
    network_members: Table<'txn, &'static [u8; 8], &'static [u8]>,
    alert_settings: Table<'txn, &'static str, &'static [u8]>,
    alerts: Table<'txn, u64, &'static [u8]>,
    notices: Table<'txn, u64, &'static [u8]>,
}

impl<'txn> Tables<'txn> {
    /// Opens them, and makes those that are missing.
    pub(super) fn open(transaction: &'txn WriteTransaction) -> Result<Tables<'txn>, Trouble> {
        Ok(Tables {
            hosts: transaction.open_table(HOSTS)?,
            streams: transaction.open_table(STREAMS)?,
            containers: transaction.open_table(CONTAINERS)?,
            join_tokens: transaction.open_table(JOIN_TOKENS)?,
            api_tokens: transaction.open_table(API_TOKENS)?,
            users: transaction.open_table(USERS)?,
            web_sessions: transaction.open_table(WEB_SESSIONS)?,
            docker_clients: transaction.open_table(DOCKER_CLIENTS)?,
            fleet: transaction.open_table(FLEET)?,
            network: transaction.open_table(NETWORK)?,
            network_members: transaction.open_table(NETWORK_MEMBERS)?,
            alert_settings: transaction.open_table(ALERT_SETTINGS)?,
            alerts: transaction.open_table(ALERTS)?,
            notices: transaction.open_table(NOTICES)?,
        })
    }

    /// Does what `write` says; events and audits are none of its business.
    pub(super) fn apply(&mut self, write: &Write) -> Result<(), Trouble> {
        match write {
            Write::Host(row) => {
                self.hosts.insert(&row.id.0, encode(row)?.as_slice())?;
            }
            Write::HostGone(id) => {
                self.hosts.remove(&id.0)?;
                let (first, last) = (stream_key(*id, 0), stream_key(*id, u8::MAX));
                self.streams.retain_in::<&[u8; 9], _>(&first..=&last, |_, _| false)?;
                let (first, last) = containers_of(*id);
                self.containers.retain_in::<&[u8; 40], _>(&first..=&last, |_, _| false)?;
            }
            Write::Stream(row) => {
                self.streams.insert(&stream_key(row.host, row.stream), encode(row)?.as_slice())?;
            }
            Write::Container(row) => {
                self.containers.insert(&container_key(row.host, row.id), encode(row)?.as_slice())?;
            }
            Write::ContainerGone(host, id) => {
                self.containers.remove(&container_key(*host, *id))?;
            }
            Write::ContainersGone(host) => {
                let (first, last) = containers_of(*host);
                self.containers.retain_in::<&[u8; 40], _>(&first..=&last, |_, _| false)?;
            }
            Write::JoinToken(row) => {
                self.join_tokens.insert(row.id.as_str(), encode(row)?.as_slice())?;
            }
            Write::JoinTokenGone(id) => {
                self.join_tokens.remove(id.as_str())?;
            }
            Write::ApiToken(row) => {
                self.api_tokens.insert(row.id.as_str(), encode(row)?.as_slice())?;
            }
            Write::ApiTokenGone(id) => {
                self.api_tokens.remove(id.as_str())?;
            }
            Write::User(row) => {
                self.users.insert(row.name.as_str(), encode(row)?.as_slice())?;
            }
            Write::UserGone(name) => {
                self.users.remove(name.as_str())?;
            }
            Write::WebSession(row) => {
                self.web_sessions.insert(row.id.as_str(), encode(row)?.as_slice())?;
            }
            Write::WebSessionGone(id) => {
                self.web_sessions.remove(id.as_str())?;
            }
            Write::DockerClient(row) => {
                self.docker_clients.insert(row.id.as_str(), encode(row)?.as_slice())?;
            }
            Write::DockerClientGone(id) => {
                self.docker_clients.remove(id.as_str())?;
            }
            Write::Fleet(row) => {
                self.fleet.insert(FLEET_KEY, encode(row)?.as_slice())?;
            }
            Write::Network(row) => {
                self.network.insert(NETWORK_KEY, encode(row)?.as_slice())?;
            }
            Write::NetworkMember(row) => {
                self.network_members.insert(&row.host.0, encode(row)?.as_slice())?;
            }
            Write::NetworkMemberGone(host) => {
                self.network_members.remove(&host.0)?;
            }
            Write::NetworkMembersGone => {
                self.network_members.retain(|_, _| false)?;
            }
            Write::AlertSetting(row) => {
                self.alert_settings.insert(row.key.as_str(), encode(row)?.as_slice())?;
            }
            Write::AlertSettingGone(key) => {
                self.alert_settings.remove(key.as_str())?;
            }
            Write::Alert(row) => {
                self.alerts.insert(row.id, encode(row)?.as_slice())?;
            }
            Write::AlertGone(id) => {
                self.alerts.remove(id)?;
            }
            Write::Notice(row) => {
                self.notices.insert(row.id, encode(row)?.as_slice())?;
            }
            Write::NoticeGone(id) => {
                self.notices.remove(id)?;
            }
            Write::Event(_) | Write::Audit(_) => {}
        }
        Ok(())
    }
}

/// Reads all of it. A container that cannot be read is left out and counted, for its host reports it again;
/// without a host or a token the fleet would be another one, so there it is an error.
pub(super) fn load(transaction: &ReadTransaction) -> Result<(Snapshot, u64), Trouble> {
    let mut unreadable = 0;
    let snapshot = Snapshot {
        hosts: all(transaction, HOSTS, &mut missed("host"))?,
        streams: all(transaction, STREAMS, &mut missed("stream"))?,
        containers: all(transaction, CONTAINERS, &mut |_| {
            unreadable += 1;
            Ok(())
        })?,
        join_tokens: all(transaction, JOIN_TOKENS, &mut missed("join token"))?,
        api_tokens: all(transaction, API_TOKENS, &mut missed("API token"))?,
        users: all(transaction, USERS, &mut missed("user"))?,
        // Who cannot be read signs in again.
        web_sessions: all(transaction, WEB_SESSIONS, &mut |_| Ok(()))?,
        docker_clients: all(transaction, DOCKER_CLIENTS, &mut missed("client of the Docker API"))?,
        fleet: all(transaction, FLEET, &mut missed("fleet"))?.pop(),
        network: all(transaction, NETWORK, &mut missed("network"))?.pop(),
        network_members: all(transaction, NETWORK_MEMBERS, &mut missed("network's host"))?,
        alert_settings: all(transaction, ALERT_SETTINGS, &mut missed("setting of alerts"))?,
        alerts: all(transaction, ALERTS, &mut |_| Ok(()))?,
        notices: all(transaction, NOTICES, &mut |_| Ok(()))?,
    };
    Ok((snapshot, unreadable))
}

/// Rows of a table behind the one with the key `last`, as they are stored, until they have some `bytes`; and the key
/// of the last of them. None are left, if there are none.
pub(super) fn copy(
    transaction: &ReadTransaction,
    table: copying::Table,
    last: Option<&[u8]>,
    bytes: usize,
) -> Result<copying::Rows, Trouble> {
    use copying::Table;
    match table {
        Table::Hosts => copy_table(transaction, HOSTS, last, bytes),
        Table::Streams => copy_table(transaction, STREAMS, last, bytes),
        Table::Containers => copy_table(transaction, CONTAINERS, last, bytes),
        Table::JoinTokens => copy_table(transaction, JOIN_TOKENS, last, bytes),
        Table::ApiTokens => copy_table(transaction, API_TOKENS, last, bytes),
        Table::Users => copy_table(transaction, USERS, last, bytes),
        Table::Fleet => copy_table(transaction, FLEET, last, bytes),
        Table::Audit => copy_table(transaction, audit::TABLE, last, bytes),
        Table::Network => copy_table(transaction, NETWORK, last, bytes),
        Table::NetworkMembers => copy_table(transaction, NETWORK_MEMBERS, last, bytes),
        Table::DockerClients => copy_table(transaction, DOCKER_CLIENTS, last, bytes),
        Table::AlertSettings => copy_table(transaction, ALERT_SETTINGS, last, bytes),
        Table::Alerts => copy_table(transaction, ALERTS, last, bytes),
        Table::Notices => copy_table(transaction, NOTICES, last, bytes),
        // They are in the history.
        Table::Events => Ok((Vec::new(), None)),
    }
}

fn copy_table<K: Key + 'static>(
    transaction: &ReadTransaction,
    definition: TableDefinition<K, &'static [u8]>,
    last: Option<&[u8]>,
    bytes: usize,
) -> Result<copying::Rows, Trouble> {
    let (mut rows, mut end, mut size) = (Vec::new(), None, 0);
    let Some(table) = open(transaction, definition)? else { return Ok((rows, None)) };
    let begin = last.map_or(Bound::Unbounded, |key| Bound::Excluded(K::from_bytes(key)));
    for entry in table.range::<K::SelfType<'_>>((begin, Bound::Unbounded))? {
        let (key, value) = entry?;
        size += value.value().len();
        rows.push(value.value().to_vec());
        end = Some(K::as_bytes(&key.value()).as_ref().to_vec());
        if size >= bytes {
            break;
        }
    }
    Ok((rows, end))
}

/// Reads what belongs to one host, in the same way.
pub(super) fn load_host(transaction: &ReadTransaction, host: HostId) -> Result<Snapshot, Trouble> {
    let mut snapshot = Snapshot::default();
    if let Some(table) = open(transaction, HOSTS)? {
        rows(table.range::<&[u8; 8]>(&host.0..=&host.0)?, &mut missed("host"), &mut snapshot.hosts)?;
    }
    if let Some(table) = open(transaction, STREAMS)? {
        let (first, last) = (stream_key(host, 0), stream_key(host, u8::MAX));
        rows(table.range::<&[u8; 9]>(&first..=&last)?, &mut missed("stream"), &mut snapshot.streams)?;
    }
    if let Some(table) = open(transaction, CONTAINERS)? {
        let (first, last) = containers_of(host);
        rows(table.range::<&[u8; 40]>(&first..=&last)?, &mut |_| Ok(()), &mut snapshot.containers)?;
    }
    Ok(snapshot)
}

fn missed(what: &'static str) -> impl FnMut(Unreadable) -> Result<(), Trouble> {
    move |why| Err(Trouble::Stored(format!("the row of a {what} {why}")))
}

/// A table; `None` if nothing was ever written to it.
fn open<K: Key + 'static>(
    transaction: &ReadTransaction,
    definition: TableDefinition<K, &'static [u8]>,
) -> Result<Option<ReadOnlyTable<K, &'static [u8]>>, Trouble> {
    match transaction.open_table(definition) {
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        table => Ok(Some(table?)),
    }
}

fn all<K: Key + 'static, R: Row>(
    transaction: &ReadTransaction,
    definition: TableDefinition<K, &'static [u8]>,
    unreadable: &mut dyn FnMut(Unreadable) -> Result<(), Trouble>,
) -> Result<Vec<R>, Trouble> {
    let mut found = Vec::new();
    if let Some(table) = open(transaction, definition)? {
        rows(table.iter()?, unreadable, &mut found)?;
    }
    Ok(found)
}

fn rows<K: Key + 'static, R: Row>(
    range: Range<'_, K, &'static [u8]>,
    unreadable: &mut dyn FnMut(Unreadable) -> Result<(), Trouble>,
    found: &mut Vec<R>,
) -> Result<(), Trouble> {
    for entry in range {
        match decode(entry?.1.value()) {
            Ok(row) => found.push(row),
            Err(why) => unreadable(why)?,
        }
    }
    Ok(())
}

fn stream_key(host: HostId, stream: u8) -> [u8; 9] {
    let mut key = [0; 9];
    key[..8].copy_from_slice(&host.0);
    key[8] = stream;
    key
}

/// The first and last key that a host's containers can have.
fn containers_of(host: HostId) -> ([u8; 40], [u8; 40]) {
    (container_key(host, EngineId([0; 32])), container_key(host, EngineId([0xff; 32])))
}

fn container_key(host: HostId, id: EngineId) -> [u8; 40] {
    let mut key = [0; 40];
    key[..8].copy_from_slice(&host.0);
    key[8..].copy_from_slice(&id.0);
    key
}
