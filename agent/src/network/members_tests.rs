use super::*;
use crate::network::container::{Endpoint, Seen};

/// A container with the label.
fn seen(number: usize, address: Option<u32>) -> Seen {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&(number as u64).to_be_bytes());
    Seen {
        id: EngineId(id),
        name: format!("c{number}"),
        runs: true,
        is_labelled: true,
        mode: "bridge".into(),
        in_none: false,
        endpoint: address.map(|address| Endpoint { fixed: Some(address), live: Some(address), network: None }),
    }
}

fn join(members: &mut Members, seen: &Seen) {
    let address = seen.holds().expect("an address");
    let member = Member { name: seen.name.clone(), state: MemberState::Joined, address, reason: String::new() };
    members.told.insert(seen.id, member);
}

#[test]
fn containers_beyond_the_limit_are_not_gone_and_keep_their_addresses() {
    let most = limits::CONTAINERS;
    // As the engine lists them, the newest first: those that have joined come last.
    let joined = |number: usize| seen(number, Some(number as u32 + 1));
    let all = || (most..2 * most + 500).map(|number| seen(number, None)).chain((0..most - 1).map(joined));
    let mut members = Members::default();
    (0..most - 1).map(joined).for_each(|seen| join(&mut members, &seen));
    let listing = Listing::of(all());
    assert_eq!(listing.containers.len(), most - 1);
    assert!(listing.containers.iter().all(|seen| seen.endpoint.is_some()), "those that have joined stay");
    assert_eq!(members.take_all(&listing), []);
    assert_eq!(members.taken().len(), most - 1);
    assert_eq!((members.beyond(), members.told.len()), (most + 500, most));
    let refused: Vec<&Member> = members.told.values().filter(|it| it.state == MemberState::Refused).collect();
    assert!(refused.len() == 1 && refused[0].reason.contains(&format!("{} more", most + 499)), "{refused:?}");
    assert!(refused[0].reason.len() <= limits::NETWORK_REASON);

    // More than there is room for are in the network: nobody gets their addresses.
    let listing = Listing::of((0..2 * most + 7).map(joined));
    assert_eq!(members.take_all(&listing), []);
    assert_eq!((members.taken().len(), members.told.len()), (2 * most + 7, most));
}

#[test]
fn who_is_gone_makes_room() {
    let most = limits::CONTAINERS;
    let mut members = Members::default();
    let all: Vec<Seen> = (0..most + 1).map(|number| seen(number, Some(number as u32 + 1))).collect();
    members.take_all(&Listing::of(all.clone()));
    all[..most - 1].iter().for_each(|seen| join(&mut members, seen));
    assert!(members.has_room(all[0].id) && !members.has_room(seen(5_000, None).id));
    assert_eq!(members.gone(all[0].id), (Some(1), true));
    assert_eq!(members.take_all(&Listing::of(all[1..].to_vec())), []);
    // The one of which it was told that there is no room is looked at again, as all are.
    assert_eq!((members.beyond(), members.told.len()), (0, most - 1));
    // Where nobody waits nobody is looked for.
    assert_eq!(members.gone(all[1].id), (Some(2), false));
    assert_eq!(members.take_all(&Listing::of(all[3..].to_vec())), [all[2].id]);
}
