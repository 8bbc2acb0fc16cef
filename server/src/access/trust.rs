//! What agents are told to recognise and reach this server by, and how that changes over the years. Pure: what is
//! stored goes in, what is to be stored comes out.
//!
//! The pins of a [`FleetRow`] have an order: the key that the server serves by, the backup key, then keys before.

use crate::store::FleetRow;
use muster_dial::join_string::{ADDRESSES, PINS};
use muster_dial::{Address, Pin};

/// The place of the backup key's pin.
const BACKUP: usize = 1;

/// How far a restored server goes ahead, in revisions and generations, of what its backup knew: further than any
/// fleet gets between a backup and its restoring.
pub const AHEAD: u64 = 1 << 20;

/// The highest generation that an operator can ask for: beyond any that a fleet gets to, and far from the last.
pub const GENERATIONS: u64 = 1 << 62;

/// The row of a fleet whose server serves by `current`: as it was, if that is so already.
///
/// A server can have gone over to a key without having stored so: it was killed in between.
pub fn of_current(row: Option<FleetRow>, current: Pin, backup: Option<Pin>) -> FleetRow {
    match row {
        None => {
            let pins = [Some(current), backup].into_iter().flatten().map(|pin| pin.0).collect();
            FleetRow { revision: 1, generation: 1, addresses: Vec::new(), pins }
        }
        Some(row) if row.pins.first() == Some(&current.0) => row,
        Some(row) => rotated(&row, current, false),
    }
}

/// The backup key's pin, if there is one.
pub fn backup(row: &FleetRow) -> Option<Pin> {
    row.pins.get(BACKUP).copied().map(Pin)
}

/// Pins of keys before the current one that agents still hold.
pub fn former(row: &FleetRow) -> Vec<Pin> {
    row.pins.iter().skip(BACKUP + 1).copied().map(Pin).collect()
}

/// What join strings carry: the current pin and the backup key's.
pub fn to_join_by(row: &FleetRow) -> Vec<Pin> {
    row.pins.iter().take(BACKUP + 1).copied().map(Pin).collect()
}

/// The server goes over to the key `new`. With `compromised` all keys before are dropped at once, but for the backup.
pub fn rotated(row: &FleetRow, new: Pin, compromised: bool) -> FleetRow {
    let mut pins = vec![new.0];
    pins.extend(row.pins.get(BACKUP));
    if !compromised {
        let old = row.pins.first().into_iter().chain(row.pins.iter().skip(BACKUP + 1));
        pins.extend(old.filter(|pin| **pin != new.0));
        pins.truncate(PINS);
    }
    FleetRow { pins, generation: row.generation.saturating_add(1), ..next(row) }
}

/// Keys before the current one are dropped; `None` if there are none.
pub fn finished(row: &FleetRow) -> Option<FleetRow> {
    let pins: Vec<_> = row.pins.iter().take(BACKUP + 1).copied().collect();
    (pins.len() < row.pins.len()).then(|| FleetRow { pins, ..next(row) })
}

/// Another backup key takes the place of the one before.
pub fn with_backup(row: &FleetRow, backup: Pin) -> FleetRow {
    let mut pins = row.pins.clone();
    match pins.get_mut(BACKUP) {
        Some(pin) => *pin = backup.0,
        None => pins.push(backup.0),
    }
    FleetRow { pins, ..next(row) }
}

/// The addresses that agents are told: those that operators have set, else the one that the server was started with.
pub fn addresses(row: &FleetRow, started_with: &Address) -> Vec<Address> {
    let set: Vec<Address> = row.addresses.iter().filter_map(|address| address.parse().ok()).collect();
    if set.is_empty() { vec![started_with.clone()] } else { set }
}

/// Adds an address behind the others. One that is there stays; four are the most.
///
/// # Errors
/// One line.
pub fn with_address(row: &FleetRow, started_with: &Address, address: &Address) -> Result<FleetRow, String> {
    let mut all = addresses(row, started_with);
    if all.contains(address) {
        return Err(format!("{address} is among the addresses already"));
    }
    if all.len() >= ADDRESSES {
        return Err(format!("agents hold at most {ADDRESSES} addresses; remove one first"));
    }
    all.push(address.clone());
    Ok(FleetRow { addresses: all.iter().map(Address::to_string).collect(), ..next(row) })
}

/// Takes an address away; `None` if it is not there.
///
/// # Errors
/// It is the last. One line.
pub fn without_address(row: &FleetRow, started_with: &Address, address: &Address) -> Result<Option<FleetRow>, String> {
    let mut all = addresses(row, started_with);
    if !all.contains(address) {
        return Ok(None);
    }
    if all.len() == 1 {
        return Err(format!("{address} is the only address; add another one first"));
    }
    all.retain(|one| one != address);
    Ok(Some(FleetRow { addresses: all.iter().map(Address::to_string).collect(), ..next(row) }))
}

/// Of a store that was restored from a backup: ahead of all that agents may have been told since the backup was made,
/// so that they follow it, and so that a server that still runs from before is refused.
pub fn restored(row: &FleetRow) -> FleetRow {
    FleetRow {
        revision: row.revision.saturating_add(AHEAD),
        generation: row.generation.saturating_add(AHEAD),
        ..row.clone()
    }
}

/// Ahead of an agent that accepts no generation below `least`.
pub fn at_least(row: &FleetRow, least: u64) -> FleetRow {
    if row.generation >= least {
        return row.clone();
    }
    // Which revision its agents hold is not known here; there is one for each generation and a few more.
    let revision = row.revision.max(least).saturating_add(AHEAD);
    FleetRow { revision, generation: least, ..row.clone() }
}

fn next(row: &FleetRow) -> FleetRow {
    FleetRow { revision: row.revision.saturating_add(1), ..row.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(number: u8) -> Pin {
        Pin([number; 32])
    }

    fn pins(row: &FleetRow) -> Vec<u8> {
        row.pins.iter().map(|pin| pin[0]).collect()
    }

    #[test]
    fn keys_come_and_go_and_the_backup_stays_in_its_place() {
        let row = of_current(None, pin(1), Some(pin(100)));
        assert_eq!((row.revision, row.generation, pins(&row)), (1, 1, vec![1, 100]));
        assert_eq!(of_current(Some(row.clone()), pin(1), None), row);
        assert_eq!(finished(&row), None);
        let second = rotated(&row, pin(2), false);
        assert_eq!((second.revision, second.generation, pins(&second)), (2, 2, vec![2, 100, 1]));
        assert_eq!(of_current(Some(row.clone()), pin(2), None), second, "as after a kill in between");
        let fourth = rotated(&rotated(&second, pin(3), false), pin(4), false);
        assert_eq!(pins(&fourth), [4, 100, 3, 2]);
        assert_eq!(former(&fourth), [pin(3), pin(2)]);
        let done = finished(&fourth).expect("keys before");
        assert_eq!((done.revision, done.generation, pins(&done)), (5, 4, vec![4, 100]));
        assert_eq!(pins(&rotated(&fourth, pin(5), true)), [5, 100]);
        assert_eq!(pins(&rotated(&fourth, pin(3), false)), [3, 100, 4, 2], "back to one before");
        let other = with_backup(&fourth, pin(101));
        assert_eq!((other.revision, pins(&other), backup(&other)), (5, vec![4, 101, 3, 2], Some(pin(101))));
        assert_eq!(to_join_by(&other), [pin(4), pin(101)]);
    }

    #[test]
    fn addresses_are_those_that_were_set_or_the_one_of_the_start() {
        let (start, other): (Address, Address) = ("a:1".parse().expect("a"), "b:1".parse().expect("b"));
        let row = of_current(None, pin(1), None);
        assert_eq!(addresses(&row, &start), std::slice::from_ref(&start));
        assert!(without_address(&row, &start, &start).is_err(), "the last");
        assert_eq!(without_address(&row, &start, &other), Ok(None));
        let two = with_address(&row, &start, &other).expect("room");
        assert_eq!((two.revision, addresses(&two, &start)), (2, vec![start.clone(), other.clone()]));
        assert!(with_address(&two, &start, &other).is_err(), "twice");
        let moved = without_address(&two, &start, &start).expect("not the last").expect("there");
        assert_eq!(addresses(&moved, &start), [other], "what it was started with is not put back");
        let full = ["c:1", "d:1"]
            .iter()
            .fold(two, |row, text| with_address(&row, &start, &text.parse().expect("an address")).expect("room"));
        assert!(with_address(&full, &start, &"e:1".parse().expect("e")).is_err());
    }

    #[test]
    fn a_restored_server_is_ahead() {
        let row = of_current(None, pin(1), None);
        let ahead = restored(&row);
        assert!(ahead.revision > AHEAD && ahead.generation > AHEAD && ahead.pins == row.pins);
        let least = at_least(&row, 77);
        assert!(least.generation == 77 && least.revision > 77);
        assert_eq!(at_least(&least, 5), least);
    }
}
