//! The basis as rows, and back.

use super::basis::Basis;
use super::member::{Container, Member, Offer};
use super::secrets::Secrets;
use super::settings::Settings;
use crate::store::{NetworkMemberRow, NetworkRow, Write};
use muster_protocol::id::HostId;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// What is to be written so that the store has `after`, if it has `before`.
pub(super) fn changes(before: &Basis, after: &Basis) -> Vec<Write> {
    let mut writes = Vec::new();
    let row = network(after);
    if row != network(before) {
        writes.push(Write::Network(row));
    }
    for member in before.members().filter(|member| after.member(member.host).is_none()) {
        writes.push(Write::NetworkMemberGone(member.host));
    }
    for member in after.members() {
        let old = before.member(member.host);
        let is_same = old.is_some_and(|old| Arc::ptr_eq(old, member) || self::member(old) == self::member(member));
        if !is_same {
            writes.push(Write::NetworkMember(self::member(member)));
        }
    }
    writes
}

/// What is to be written if nobody knows what the store has.
pub(super) fn all(basis: &Basis) -> Vec<Write> {
    let members = basis.members().map(|it| Write::NetworkMember(member(it)));
    [Write::Network(network(basis)), Write::NetworkMembersGone].into_iter().chain(members).collect()
}

/// What is to be written of these hosts, as far as they are members.
pub(super) fn some(basis: &Basis, hosts: &[HostId]) -> Vec<Write> {
    hosts.iter().filter_map(|host| Some(Write::NetworkMember(member(basis.member(*host)?)))).collect()
}

/// Where hosts are seen, as far as these writes tell it to the store.
pub(super) fn seen(writes: &[Write]) -> Vec<(HostId, Option<IpAddr>)> {
    let row = |write: &Write| match write {
        Write::NetworkMember(row) => Some((row.host, row.observed)),
        _ => None,
    };
    writes.iter().filter_map(row).collect()
}

/// The basis that was stored. Rows of hosts that have no name here are of such that are gone.
pub(super) fn restored(
    secrets: Secrets,
    row: Option<NetworkRow>,
    members: Vec<NetworkMemberRow>,
    names: &HashMap<HostId, String>,
) -> Basis {
    let Some(row) = row else { return Basis::new(secrets) };
    let settings = Settings {
        range: row.range,
        block_length: row.block_length,
        label: row.label,
        names: row.names,
        mtu: row.mtu,
        relay_port: row.relay_port,
    };
    let named = members.into_iter().filter_map(|row| Some(of_row(names.get(&row.host)?.clone(), row))).collect();
    Basis::restored(secrets, (row.enabled, settings), (row.next_slot, row.next_block, &row.freed), named)
}

fn network(basis: &Basis) -> NetworkRow {
    let settings = &basis.settings;
    let (next_block, freed) = basis.pool.parts();
    NetworkRow {
        enabled: basis.enabled,
        range: settings.range,
        block_length: settings.block_length,
        label: settings.label.clone(),
        names: settings.names,
        mtu: settings.mtu,
        relay_port: settings.relay_port,
        next_slot: basis.next_slot,
        next_block,
        freed,
    }
}

fn member(member: &Member) -> NetworkMemberRow {
    let joined = member.containers.iter().filter_map(|it| Some((it.id, it.name.clone(), *it.joined.as_ref().ok()?)));
    NetworkMemberRow {
        host: member.host,
        slot: member.slot,
        key: member.key,
        other_key: member.other_key,
        port: member.offer.port,
        accepted: member.offer.accepted,
        endpoint: member.offer.endpoint,
        relays: member.offer.relays,
        addresses: member.offer.addresses.clone(),
        wanted: member.offer.blocks,
        observed: member.observed,
        blocks: member.blocks.clone(),
        containers: joined.collect(),
    }
}

fn of_row(name: String, row: NetworkMemberRow) -> Member {
    let joined = row.containers.into_iter();
    Member {
        host: row.host,
        name,
        slot: row.slot,
        key: row.key,
        other_key: row.other_key,
        offer: Offer {
            port: row.port,
            accepted: row.accepted,
            endpoint: row.endpoint,
            relays: row.relays,
            addresses: row.addresses,
            blocks: row.wanted,
        },
        observed: row.observed,
        blocks: row.blocks,
        containers: joined.map(|(id, name, address)| Container { id, name, joined: Ok(address) }).collect(),
    }
}
