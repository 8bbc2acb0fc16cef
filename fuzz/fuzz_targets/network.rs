//! Whatever hosts say of the managed network: no block has two hosts, plans stay within what an agent holds, and what is
//! told of a change makes one plan the other.
//!
//! The first byte of a step says which host, the second what: a message as it came, or something that makes one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster::network::basis::Basis;
use muster::network::plan::{Outline, Plan, guests, plan};
use muster::network::said::Said;
use muster::network::secrets::Secrets;
use muster::network::settings::Settings;
use muster_protocol::id::{EngineId, HostId};
use muster_protocol::limits;
use muster_protocol::network::{NetworkHello, NetworkMember, NetworkPlan, NetworkSum, Prefix};
use muster_protocol::record::{Kind, Reader, Writer};
use std::collections::{BTreeMap, BTreeSet};

/// Hosts that speak.
const HOSTS: u8 = 6;

/// Bytes that become small choices; zeros at the end.
struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()) + 256 * usize::from(self.byte() % 4);
        let (head, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        head
    }
}

fn message(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut buffer = [0; 8 * 1024];
    let Ok(mut writer) = Writer::message(&mut buffer) else { return Vec::new() };
    if choices.byte() % 2 == 0 {
        let texts =
            ["10.0.0.1", "192.0.2.7", "2001:db8::1", "fe80::1", "nonsense", "10.42.0.1", "198.51.100.1:4000", ""];
        let text = |choices: &mut Choices<'_>| texts[usize::from(choices.byte()) % texts.len()];
        let (endpoint, first, second) = (text(choices), text(choices), text(choices));
        let hello = NetworkHello {
            key: [choices.byte() % 8; 32],
            port: u16::from(choices.byte()),
            accepted: Prefix { first: u32::from(choices.byte() % 16) << 24, length: choices.byte() % 17 },
            endpoint,
            relays: choices.byte() % 2 == 0,
            addresses: [first, second].into_iter().collect(),
            blocks: choices.byte(),
            sum: u64::from(choices.byte()),
        };
        let _ = writer.record(Kind::NetworkHello, &hello);
    }
    for _ in 0..choices.byte() % 8 {
        let names = ["web", "WEB", "a_b", "", "x\ny", "-"];
        let member = NetworkMember {
            container: EngineId([choices.byte() % 16; 32]),
            name: names[usize::from(choices.byte()) % names.len()],
            state: choices.byte() % 4,
            address: 0x0a2a_0000 | u32::from(choices.byte()),
            reason: names[usize::from(choices.byte()) % names.len()],
        };
        let _ = writer.record(Kind::NetworkMember, &member);
    }
    writer.as_bytes().to_vec()
}

/// What a host has that was told all of this.
fn end_of(messages: &[Vec<u8>]) -> Option<NetworkSum> {
    let mut end = None;
    for message in messages {
        assert!(message.len() <= limits::NETWORK_MESSAGE, "an agent's buffer is smaller");
        let mut records = Reader::message(message).expect("a message");
        while let Some(record) = records.next_record().expect("well formed") {
            assert!(end.is_none(), "something follows the sum");
            if record.kind == Kind::NetworkSum {
                end = Some(record.decode().expect("it decodes"));
            }
        }
    }
    end
}

fn check(basis: &Basis, told: &mut BTreeMap<HostId, Outline>) {
    let mut held = BTreeSet::new();
    for member in basis.members() {
        assert!(member.blocks.len() <= limits::NETWORK_BLOCKS && member.containers.len() <= limits::CONTAINERS);
        assert!(member.blocks.iter().all(|block| held.insert(*block)), "a block has two hosts");
    }
    assert!(held.len() == basis.pool.held() as usize && held.iter().all(|block| *block < basis.pool.total()));
    let slots: BTreeSet<u32> = guests(basis).into_iter().map(|(slot, _)| slot).collect();
    assert_eq!(slots.len(), guests(basis).len(), "two guests with one number");
    for number in 0..HOSTS {
        let host = HostId([number; 8]);
        let plan: Plan = plan(basis, host);
        let own = plan.records().find(|(key, _)| key.kind == Kind::NetworkPlan as u8).expect("its place");
        let own: NetworkPlan<'_> = postcard::from_bytes(own.1).expect("it decodes");
        assert!(own.refused == 0 || plan.records().count() == 1, "who has no place learns nothing");
        let of = |kind: Kind| plan.records().filter(|(key, _)| key.kind == kind as u8).count();
        assert!(of(Kind::NetworkPeer) <= limits::NETWORK_PEERS && of(Kind::NetworkRelay) <= limits::NETWORK_RELAYS);
        assert!(of(Kind::NetworkName) <= limits::NETWORK_NAMES);
        assert!(end_of(&plan.whole()).is_some_and(|end| end.whole && end.sum == plan.sum()));
        let before = told.insert(host, plan.outline()).unwrap_or_default();
        match end_of(&plan.changes(&before)) {
            Some(end) => assert!(!end.whole && end.sum == plan.sum()),
            None => assert_eq!(before.sum(), plan.sum()),
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let mut choices = Choices(data);
    let mut basis = Basis::new(Secrets::of(&[7; 32]));
    let mut told = BTreeMap::new();
    basis.enabled = true;
    basis.set(Settings { range: Prefix { first: 0x0a2a_0000, length: 22 }, names: true, ..Settings::default() });
    while !choices.0.is_empty() {
        let host = HostId([choices.byte() % HOSTS; 8]);
        match choices.byte() % 13 {
            0 => basis.remove(host),
            1 => basis.observe(u32::from(choices.byte() % 12), [192, 0, 2, choices.byte() % 8].into()),
            2 => {
                let shown = basis.member(host).and_then(|member| member.other_key);
                let _ = basis.accept(host, &shown.unwrap_or([choices.byte(); 32]));
            }
            3 => basis.enabled = choices.byte() % 8 != 0,
            4 => basis.relay = Some(u16::from(choices.byte())),
            5 => basis.rename(host, ["one", "Two", "__"][usize::from(choices.byte() % 3)]),
            6 => basis.keep(host, &(0..choices.byte() % 4).map(|number| EngineId([number; 32])).collect()),
            kind => {
                let message = if kind == 7 { choices.bytes().to_vec() } else { message(&mut choices) };
                if let Ok(said) = Said::read(&message) {
                    if let Some(hello) = &said.hello {
                        basis.hear(host, "board", hello);
                    }
                    basis.tell(host, &said.told);
                }
            }
        }
        basis.settle();
        check(&basis, &mut told);
    }
});
