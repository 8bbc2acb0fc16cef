//! The records of a plan, as they came: which there are, which are about to change, and whether their sum is right.
//! No I/O, and no idea of what they mean: [`plan`](super::plan) has that.

use muster_protocol::id::HostId;
use muster_protocol::limits;
use muster_protocol::network::{
    NetworkGone, NetworkGuest, NetworkName, NetworkPeer, NetworkPlan, NetworkRelay, NetworkSum, sum,
};
use muster_protocol::record::{Full, Kind, Malformed, Reader, Record, Writer};
use std::collections::BTreeMap;

/// Bytes of all records of one plan: the most peers at some 300 bytes each and the most names at some 150.
pub const PLAN_BYTES: usize = 1024 * 1024;
/// Records of one plan, or of one change of it.
const PLAN_RECORDS: usize = 1 + 2 * limits::NETWORK_PEERS + limits::NETWORK_RELAYS + limits::NETWORK_NAMES;

/// What a record is known by: its kind's number, a host, and for names the name.
type Key = (u8, HostId, Box<str>);

/// What came of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It waits for the sum.
    Waits,
    /// It is none of a plan's.
    Foreign,
    /// It was the sum: the records are what the server has, and changed.
    Changed,
    /// It was the sum: the records are what the server has, and were before.
    Same,
    /// It was the sum, and it is another, or of more than a plan may have: the server has to say everything.
    Differs,
}

/// The records of a plan.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Records {
    held: BTreeMap<Key, Box<[u8]>>,
    sum: u64,
}

/// Changes that have come and wait for their sum.
#[derive(Debug, Default)]
pub struct Pending {
    changes: BTreeMap<Key, Option<Box<[u8]>>>,
    bytes: usize,
}

impl Records {
    /// What they add up to; 0 without any.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Those of one kind, in the order of their keys.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = Record<'_>> {
        let from = (kind as u8, HostId::default(), Box::from(""));
        let held = self.held.range(from..).take_while(move |(key, _)| key.0 == kind as u8);
        held.map(move |(_, payload)| Record { kind, payload })
    }

    /// Takes one record of a message. Fails if it is none, or breaks a limit; then what waits is of no use any more.
    pub fn take(&mut self, pending: &mut Pending, record: Record<'_>) -> Result<Taken, Malformed> {
        match record.kind {
            Kind::NetworkSum => {
                let said: NetworkSum = record.decode()?;
                Ok(self.close(std::mem::take(pending), said))
            }
            Kind::NetworkGone => {
                let gone: NetworkGone<'_> = record.decode()?;
                if gone.name.len() > limits::DNS_LABEL {
                    return Err(Malformed::Payload(record.kind));
                }
                pending.put((gone.kind, gone.host, gone.name.into()), None, record)
            }
            _ => match key_of(record)? {
                Some(key) => pending.put(key, Some(record.payload.into()), record),
                None => Ok(Taken::Foreign),
            },
        }
    }

    fn close(&mut self, pending: Pending, said: NetworkSum) -> Taken {
        if pending.changes.is_empty() && !said.whole {
            return if said.sum == self.sum { Taken::Same } else { Taken::Differs };
        }
        // Worked out before anything is taken over.
        let (mut sum, mut bytes, mut count) = match said.whole {
            true => (0, 0, 0),
            false => (self.sum, self.held.values().map(|payload| payload.len()).sum::<usize>(), self.held.len()),
        };
        for (key, payload) in &pending.changes {
            if let Some(old) = self.held.get(key).filter(|_| !said.whole) {
                sum = sum.wrapping_sub(sum_of(key.0, old));
                bytes -= old.len();
                count -= 1;
            }
            if let Some(new) = payload {
                sum = sum.wrapping_add(sum_of(key.0, new));
                bytes += new.len();
                count += 1;
            }
        }
        // One change after the other could add up to any size.
        if sum != said.sum || bytes > PLAN_BYTES || count > PLAN_RECORDS {
            return Taken::Differs;
        }
        let before = std::mem::take(self);
        if !said.whole {
            self.held.clone_from(&before.held);
        }
        for (key, payload) in pending.changes {
            match payload {
                Some(payload) => drop(self.held.insert(key, payload)),
                None => drop(self.held.remove(&key)),
            }
        }
        self.sum = sum;
        if *self == before { Taken::Same } else { Taken::Changed }
    }

    /// All of them with their sum behind them, as [`Records::read`] reads them.
    pub fn write(&self) -> Result<Vec<u8>, Full> {
        let length: usize = self.held.values().map(|payload| payload.len() + 8).sum();
        let mut buffer = vec![0; length + 64];
        let mut used = Writer::message(&mut buffer)?.len();
        for ((kind, ..), payload) in &self.held {
            // A record's head, as the writer would write it; the payload is there already.
            buffer[used] = *kind;
            let size = u32::try_from(payload.len()).map_err(|_| Full)?;
            let head = buffer.get_mut(used + 1..).ok_or(Full)?;
            used += 1 + postcard::to_slice(&size, head).map_err(|_| Full)?.len();
            buffer.get_mut(used..used + payload.len()).ok_or(Full)?.copy_from_slice(payload);
            used += payload.len();
        }
        let mut writer = Writer::resume(&mut buffer, used);
        writer.record(Kind::NetworkSum, &NetworkSum { whole: true, sum: self.sum })?;
        used = writer.len();
        buffer.truncate(used);
        Ok(buffer)
    }

    /// Reads what [`Records::write`] wrote; `None` if it is anything else, or not whole.
    pub fn read(bytes: &[u8]) -> Option<Records> {
        let (mut records, mut pending) = (Records::default(), Pending::default());
        let mut reader = Reader::message(bytes).ok()?;
        let mut last = Taken::Differs;
        while let Some(record) = reader.next_record().ok()? {
            last = records.take(&mut pending, record).ok()?;
        }
        matches!(last, Taken::Changed | Taken::Same).then_some(records)
    }
}

impl Pending {
    fn put(&mut self, key: Key, payload: Option<Box<[u8]>>, record: Record<'_>) -> Result<Taken, Malformed> {
        // What is gone has no payload, but may have a name.
        self.bytes += payload.as_ref().map_or(key.2.len(), |payload| payload.len());
        self.changes.insert(key, payload);
        if self.bytes > PLAN_BYTES || self.changes.len() > PLAN_RECORDS {
            return Err(Malformed::Payload(record.kind));
        }
        Ok(Taken::Waits)
    }
}

fn sum_of(kind: u8, payload: &[u8]) -> u64 {
    sum(kind, payload)
}

/// A record's key, if it is one of a plan's; an error if it is one and does not decode, or has too long a text.
fn key_of(record: Record<'_>) -> Result<Option<Key>, Malformed> {
    let bad = Malformed::Payload(record.kind);
    let within = |fits: bool| fits.then_some(()).ok_or(bad);
    let (host, name) = match record.kind {
        Kind::NetworkPlan => {
            let plan: NetworkPlan<'_> = record.decode()?;
            within(plan.label.len() <= limits::NETWORK_LABEL)?;
            (HostId::default(), "")
        }
        Kind::NetworkPeer => {
            let peer: NetworkPeer<'_> = record.decode()?;
            within(peer.name.len() <= limits::HOST_NAME)?;
            within(peer.endpoints.iter().all(|(_, text)| text.len() <= limits::NETWORK_ENDPOINT))?;
            (peer.host, "")
        }
        Kind::NetworkRelay => {
            let relay: NetworkRelay<'_> = record.decode()?;
            within(relay.endpoint.len() <= limits::NETWORK_ENDPOINT)?;
            (relay.host, "")
        }
        Kind::NetworkGuest => (record.decode::<NetworkGuest>()?.host, ""),
        Kind::NetworkName => {
            let name: NetworkName<'_> = record.decode()?;
            within(name.name.len() <= limits::DNS_LABEL && name.host_label.len() <= limits::DNS_LABEL)?;
            (name.host, name.name)
        }
        _ => return Ok(None),
    };
    Ok(Some((record.kind as u8, host, name.into())))
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;

#[cfg(test)]
mod bounds_tests {
    use super::*;

    /// A record of any size; its payload is not looked at any more.
    fn payload(length: usize) -> Option<Box<[u8]>> {
        Some(vec![1; length].into())
    }

    fn key(number: usize) -> Key {
        (Kind::NetworkGuest as u8, HostId((number as u64).to_be_bytes()), "".into())
    }

    const RECORD: Record<'static> = Record { kind: Kind::NetworkGuest, payload: &[] };

    /// Adds these to what is held, and says the right sum.
    fn add(records: &mut Records, numbers: std::ops::Range<usize>, length: usize) -> Taken {
        let mut pending = Pending::default();
        let mut sum = records.sum;
        for number in numbers {
            let payload = payload(length);
            sum = sum.wrapping_add(sum_of(Kind::NetworkGuest as u8, payload.as_deref().unwrap_or_default()));
            pending.put(key(number), payload, RECORD).expect("within the limits of one change");
        }
        records.close(pending, NetworkSum { whole: false, sum })
    }

    #[test]
    fn changes_do_not_add_up_to_more_bytes_than_a_plan_may_have() {
        let mut records = Records::default();
        let half = PLAN_BYTES / 2;
        assert_eq!(add(&mut records, 0..1, half), Taken::Changed);
        assert_eq!(add(&mut records, 1..2, half), Taken::Changed, "as many as there may be");
        let before = records.clone();
        assert_eq!(add(&mut records, 2..3, 1), Taken::Differs);
        assert_eq!(records, before);
        // What goes makes room.
        let mut pending = Pending::default();
        pending.put(key(0), None, RECORD).expect("room");
        pending.put(key(2), payload(half), RECORD).expect("room");
        assert_eq!(records.close(pending, NetworkSum { whole: false, sum: before.sum }), Taken::Changed);
    }

    #[test]
    fn changes_do_not_add_up_to_more_records_than_a_plan_may_have() {
        let mut records = Records::default();
        assert_eq!(add(&mut records, 0..PLAN_RECORDS, 1), Taken::Changed);
        assert_eq!(add(&mut records, PLAN_RECORDS..PLAN_RECORDS + 1, 1), Taken::Differs);
        assert_eq!(records.held.len(), PLAN_RECORDS);
    }

    #[test]
    fn names_of_what_is_gone_have_limits_and_are_counted() {
        let mut records = Records::default();
        let mut say = |pending: &mut Pending, name: &str| {
            let gone = NetworkGone { kind: Kind::NetworkName as u8, host: HostId::default(), name };
            let mut buffer = [0; 256];
            let mut writer = Writer::records(&mut buffer);
            writer.record(Kind::NetworkGone, &gone).expect("room");
            let record = Reader::records(writer.as_bytes()).next_record().expect("a record").expect("one");
            records.take(pending, record)
        };
        let mut pending = Pending::default();
        let longest = "x".repeat(limits::DNS_LABEL);
        assert!(say(&mut pending, &format!("{longest}x")).is_err());
        assert_eq!(say(&mut pending, &longest), Ok(Taken::Waits));
        assert_eq!(pending.bytes, limits::DNS_LABEL);
        pending.put(key(0), payload(PLAN_BYTES - limits::DNS_LABEL), RECORD).expect("all that there may be");
        assert!(say(&mut pending, "x").is_err());
    }
}
