use super::tests::{container, event, exited, from_batch, greeted, id, list, message, take};
use super::*;
use crate::batch::{Absent, Batch, Digest, sum};
use crate::container::{Container, State};
use crate::record::{Kind, Writer};
use crate::seeded::{Random, for_seeds};
use std::format;
use std::string::String;
use std::vec;

fn body(container: &Container<'_>) -> Vec<u8> {
    let mut buffer = [0; 1024];
    postcard::to_slice(container, &mut buffer).unwrap().to_vec()
}

fn digest(seq: u64, containers: &[Container<'_>]) -> Digest {
    let all = containers.iter().fold(0u64, |all, container| all.wrapping_add(sum(&body(container))));
    Digest { seq, total: containers.len() as u32, hidden: 0, sum: all.to_le_bytes() }
}

/// A message that ends with a digest; what it differs in, and what became of it.
#[track_caller]
fn prove(
    mirror: &mut Mirror,
    seq: u64,
    digest: Digest,
    write: impl FnOnce(&mut Writer<'_>),
) -> (Received, Vec<String>) {
    let message = message(seq + 1, |writer| {
        write(writer);
        writer.record(Kind::Digest, &digest).unwrap();
    });
    let mut effects = Vec::new();
    let received = mirror.receive(&message, &mut effects).expect("a good message");
    (received, effects.iter().map(|effect| format!("{effect:?}")).collect())
}

#[test]
fn a_digest_alone_is_a_whole_list_if_it_holds_and_nothing_if_not() {
    let mut mirror = greeted();
    let (mut one, two) = (container(1), container(2));
    take(&mut mirror, &message(3, |writer| list(writer, 2, &[one.clone(), two.clone()])));
    let (received, effects) = prove(&mut mirror, 4, digest(4, &[one.clone(), two.clone()]), |_| {});
    assert_eq!((received.answer.listed, received.differs), (4, None));
    assert_eq!(mirror.get(&id(1)).unwrap().touched, (1, 4));
    assert!(
        effects.contains(&"Proven(true)".into()) && effects.contains(&"Listed { hidden: 0 }".into()),
        "{effects:?}"
    );
    one.name = "renamed";
    let (received, effects) = prove(&mut mirror, 6, digest(6, &[one.clone(), two.clone()]), |_| {});
    assert_eq!((received.answer.listed, received.differs), (4, Some(Differs { seq: 6 })));
    assert!(!effects.iter().any(|effect| effect.starts_with("Listed") || effect.starts_with("Proven")), "{effects:?}");
    let changed = |writer: &mut Writer<'_>| writer.record(Kind::Listed, &(8u64, &one)).unwrap();
    let (received, _) = prove(&mut mirror, 8, digest(8, &[one.clone(), two.clone()]), changed);
    assert_eq!((received.answer.listed, received.differs), (8, None));
    let gone = |writer: &mut Writer<'_>| writer.record(Kind::Absent, &Absent { seq: 10, id: id(2) }).unwrap();
    let (received, _) = prove(&mut mirror, 10, digest(10, &[one]), gone);
    assert_eq!((received.answer.listed, received.differs, received.answer.unexplained), (10, None, 1));
}

#[test]
fn a_whole_list_that_does_not_give_its_digest_counts_and_is_not_proven() {
    let mut mirror = greeted();
    let wrong = Digest { sum: [1; 8], ..digest(2, &[container(1)]) };
    let (received, effects) = prove(&mut mirror, 2, wrong, |writer| list(writer, 2, &[container(1)]));
    assert_eq!((received.answer.listed, received.differs), (2, Some(Differs { seq: 2 })));
    assert!(effects.contains(&"Proven(false)".into()) && mirror.get(&id(1)).unwrap().exists(), "{effects:?}");
}

#[test]
fn a_digest_that_is_late_or_comes_twice_changes_nothing() {
    let mut mirror = greeted();
    let old = message(3, |writer| writer.record(Kind::Digest, &digest(2, &[])).unwrap());
    take(&mut mirror, &message(5, |writer| list(writer, 4, &[container(1)])));
    assert_eq!(take(&mut mirror, &old).1, [""; 0]);
    let (received, _) = prove(&mut mirror, 6, digest(6, &[container(1)]), |_| {});
    assert_eq!(received.answer.listed, 6);
    let (received, effects) = prove(&mut mirror, 6, Digest { total: 9, ..digest(6, &[]) }, |_| {});
    assert_eq!((received.differs, effects.len()), (None, 0));
}

/// What the host has, as a random walk.
struct Walk {
    there: Vec<Container<'static>>,
    next: u8,
}

impl Walk {
    /// A step, and the event that tells of it.
    fn step(&mut self, random: &mut Random) -> Option<(u8, &'static str)> {
        if self.there.is_empty() || self.there.len() < 6 && random.below(4) == 0 {
            self.next += 1;
            self.there.push(container(self.next));
            return Some((self.next, "create"));
        }
        let at = random.below(self.there.len());
        let it = &mut self.there[at];
        let number = it.id.0[0];
        Some((
            number,
            match random.below(5) {
                0 => {
                    self.there.remove(at);
                    "destroy"
                }
                1 => {
                    *it = Container { name: it.name, ..exited(number) };
                    "die"
                }
                2 => {
                    it.name = if it.name == "c" { "d" } else { "c" };
                    "rename"
                }
                3 => {
                    it.state = State::Running as u8;
                    it.started_ms = it.started_ms.map(|ms| ms + 1);
                    "start"
                }
                _ => return None,
            },
        ))
    }
}

#[test]
fn changes_and_a_digest_come_to_the_same_as_everything() {
    for_seeds(300, |random| {
        let (mut whole, mut part) = (greeted(), greeted());
        let mut walk = Walk { there: Vec::new(), next: 0 };
        let mut sent: Vec<Container<'static>> = Vec::new();
        let (mut seq, mut acknowledged) = (1, 0);
        for round in 0..30 {
            let mut events = Vec::new();
            for _ in 0..random.below(4) {
                let told = walk.step(random);
                seq += 1;
                // An engine may tell less than it does, or late.
                events.extend(told.filter(|_| random.below(5) > 0).map(|told| (seq, told)));
            }
            seq += 1;
            let at = seq;
            let batch = Batch { epoch: 1, seq: at + 1, base: acknowledged, through: at + 1, events_dropped: 0 };
            (seq, acknowledged) = (at + 1, at + 1);
            let one = (random.below(4) == 0 && !walk.there.is_empty())
                .then(|| walk.there[random.below(walk.there.len())].clone());
            let common = |writer: &mut Writer<'_>| {
                for (seq, (number, action)) in &events {
                    writer.record(Kind::Event, &(*seq, event(*number, action))).unwrap();
                }
            };
            let digest = digest(at, &walk.there);
            let everything = from_batch(batch, |writer| {
                common(writer);
                list(writer, at, &walk.there);
                writer.record(Kind::Digest, &digest).unwrap();
            });
            let changes = from_batch(batch, |writer| {
                common(writer);
                if round == 0 {
                    list(writer, at, &walk.there);
                } else {
                    for container in walk.there.iter().filter(|container| !sent.contains(container)) {
                        writer.record(Kind::Listed, &(at, container)).unwrap();
                    }
                    for gone in sent.iter().filter(|old| walk.there.iter().all(|new| new.id != old.id)) {
                        writer.record(Kind::Absent, &Absent { seq: at, id: gone.id }).unwrap();
                    }
                }
                writer.record(Kind::Digest, &digest).unwrap();
            });
            sent.clone_from(&walk.there);
            let mut effects = (Vec::new(), Vec::new());
            let answers = (whole.receive(&everything, &mut effects.0), part.receive(&changes, &mut effects.1));
            assert_eq!(answers.0, answers.1);
            assert_eq!(answers.0.unwrap().differs, None);
            let stored = |effects: &[Effect]| {
                let mut words: Vec<String> = effects.iter().map(|effect| format!("{effect:?}")).collect();
                words.sort();
                words.dedup();
                words
            };
            assert_eq!(stored(&effects.0), stored(&effects.1), "round {round}");
            if let Some(one) = one {
                seq += 2;
                let batch = Batch { epoch: 1, seq, base: acknowledged, through: acknowledged, events_dropped: 0 };
                let message = from_batch(batch, |writer| writer.record(Kind::Container, &(seq - 1, &one)).unwrap());
                take(&mut whole, &message);
                take(&mut part, &message);
            }
            assert_eq!(format!("{:?}", whole.held), format!("{:?}", part.held), "round {round}");
            assert_eq!(whole.place, part.place);
        }
    });
}

#[test]
fn a_container_that_has_settled_is_told_from_one_that_has_not() {
    let mut mirror = greeted();
    take(&mut mirror, &message(3, |writer| list(writer, 2, &[container(1)])));
    prove(&mut mirror, 4, digest(4, &[container(1)]), |_| {});
    assert!(mirror.get(&id(1)).unwrap().settled);
    // An event that no reading bears out is not forgotten because the readings stay the same.
    let told = |writer: &mut Writer<'_>| writer.record(Kind::Event, &(6u64, event(1, "die"))).unwrap();
    let (received, _) = prove(&mut mirror, 7, digest(7, &[container(1)]), told);
    assert_eq!(received.answer.unexplained, 1);
    let (_, effects) = prove(&mut mirror, 9, digest(9, &[container(1)]), |_| {});
    assert!(effects.iter().any(|effect| effect.starts_with("Derived") && effect.contains("start")), "{effects:?}");
    let expected: Vec<String> = vec!["Listed { hidden: 0 }".into(), "Proven(true)".into(), "Place".into()];
    prove(&mut mirror, 11, digest(11, &[container(1)]), |_| {});
    assert_eq!(prove(&mut mirror, 13, digest(13, &[container(1)]), |_| {}).1, expected, "and then there is peace");
}
