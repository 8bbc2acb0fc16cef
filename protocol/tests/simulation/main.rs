//! Deterministic histories of one host and its server, with everything that goes wrong between them.
//!
//! Each history is made from a seed: an engine whose containers come and go, an agent that crashes, a network
//! that loses, duplicates, delays and reorders, a server that crashes, fails to store and comes back from a
//! backup, clocks that jump, and in some an agent that keeps what waits on a disk, which may be torn, old or wrong. After every step, and at the end, the rules are checked:
//!
//! 1. After a delivered report the server's view of the host equals the engine's at that report.
//! 2. Older never overwrites newer.
//! 3. Nothing is stored twice.
//! 4. What was lost is visible.
//!
//! A failure prints its seed; `MUSTER_SEED=n cargo test -p muster-protocol --test simulation` replays it.
//! `MUSTER_HISTORIES=n` runs more of them, from the seed `MUSTER_FIRST` on; `MUSTER_TRACE=1` prints what happens.

mod agent;
mod engine;
mod random;
mod rules;
mod server;
mod trace;
mod world;

use world::{Break, World};

/// After so many histories that failed the others are not looked at.
const FAILURES: usize = 12;

fn histories(default: u64) -> std::ops::Range<u64> {
    if let Some(seed) = std::env::var("MUSTER_SEED").ok().and_then(|seed| seed.parse().ok()) {
        return seed..seed + 1;
    }
    let number = |name| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    let first = number("MUSTER_FIRST").unwrap_or(0);
    first..first + number("MUSTER_HISTORIES").unwrap_or(default)
}

#[test]
fn the_rules_hold_in_every_history() {
    let mut totals = world::Seen::default();
    let mut failed = Vec::new();
    for seed in histories(2500) {
        match std::panic::catch_unwind(|| World::new(seed, None).live()) {
            Ok(Ok(seen)) => totals.add(&seen),
            Ok(Err(broken)) => failed.push(format!("seed {seed}: {broken}")),
            Err(_) => failed.push(format!("seed {seed}: panicked (see above)")),
        }
        if failed.len() >= FAILURES {
            break;
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    println!("{totals:?}");
    if std::env::var_os("MUSTER_SEED").is_none() {
        // A simulation in which nothing happens proves nothing.
        assert!(totals.stored > 10_000 && totals.derived > 100 && totals.gaps > 100, "{totals:?}");
        assert!(totals.agent_crashes > 100 && totals.server_crashes > 100 && totals.engine_crashes > 100, "{totals:?}");
        assert!(totals.outages > 100 && totals.dropped > 100 && totals.returns > 100, "{totals:?}");
        assert!(totals.lists_of_changes > 5_000, "{totals:?}");
        assert!(totals.forgotten_epochs > 50 && totals.with_hidden > 50, "{totals:?}");
        assert!(totals.restored_events > 1000, "{totals:?}");
        assert!(totals.lost > 1000 && totals.duplicated > 1000 && totals.reordered > 200 && totals.restores > 50);
    }
}

/// Breaks one thing on purpose, and wants to see the simulation notice.
fn is_noticed(broken: Break, rule: &str) {
    let mut found = Vec::new();
    for seed in 0..3000 {
        if let Err(message) = World::new(seed, Some(broken)).live() {
            if message.starts_with(rule) {
                return;
            }
            found.push(message);
        }
    }
    panic!("{broken:?} was not noticed as {rule}; noticed instead: {:?}", found.first());
}

#[test]
fn notices_a_reading_that_is_numbered_after_it_was_made() {
    is_noticed(Break::NumberAfterReading, "rule 2");
}

#[test]
fn notices_an_older_reading_that_overwrites_a_newer_one() {
    is_noticed(Break::ForgetOrder, "rule 2");
}

#[test]
fn notices_an_event_that_is_stored_twice() {
    is_noticed(Break::ForgetStored, "rule 3");
}

#[test]
fn notices_a_loss_that_is_not_shown() {
    is_noticed(Break::HideGaps, "rule 4");
}

#[test]
fn notices_an_acknowledgement_before_the_commit() {
    is_noticed(Break::AnswerBeforeCommit, "rule 4");
}

#[test]
fn notices_an_absence_that_hidden_containers_do_not_allow() {
    is_noticed(Break::ForgetHidden, "rule 3");
}

#[test]
fn notices_a_difference_that_is_believed_at_first_sight() {
    is_noticed(Break::BelieveAtOnce, "rule 3");
}

#[test]
fn notices_a_digest_that_is_believed_and_not_held_against_the_copy() {
    is_noticed(Break::BelieveDigests, "rule 1");
}
