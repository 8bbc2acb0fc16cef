//! What the newest events say of containers is not stored: a server that starts reads them again, from the newest back.

use super::rules::{Rule, Rules};
use super::seen::{Seen, What};
use super::tracks::ASKED_MS;
use crate::store::EventRow;
use muster_protocol::id::HostId;
use std::collections::HashMap;

/// So many events are read again in any case, however long ago they came.
const LEAST: usize = 5_000;
/// So many at most.
const MOST: usize = 1_000_000;
/// So many of them that say something of a container: some 30 MB, until they are taken.
const TAKEN: usize = 100_000;
/// So many of those of one host: what it tells in a flood must not take the others' place.
const TAKEN_OF_ONE: usize = 10_000;
/// A loop that is counted over a longer time than this, in milliseconds, is counted anew by a server that starts.
const LONGEST_MS: i64 = 3_600_000;

/// What was read so far.
#[derive(Debug)]
pub struct Recall {
    window_ms: i64,
    /// When the newest event came.
    newest_ms: Option<i64>,
    read: usize,
    /// What says something, newest first.
    seen: Vec<Seen>,
    /// How much of that is of each host.
    of_hosts: HashMap<HostId, usize>,
}

impl Recall {
    /// Reads as far back as a signal may explain an end, or a loop is counted.
    pub fn new(rules: &Rules) -> Recall {
        let looped = i64::try_from(rules.of(Rule::RestartLoop).within_ms).unwrap_or(LONGEST_MS);
        // What an event tells may be a while older than its coming.
        Recall {
            window_ms: looped.clamp(2 * ASKED_MS, LONGEST_MS),
            newest_ms: None,
            read: 0,
            seen: Vec::new(),
            of_hosts: HashMap::new(),
        }
    }

    /// Takes the event before the last one. Answers whether one more is wanted.
    pub fn take(&mut self, row: &EventRow) -> bool {
        let newest_ms = *self.newest_ms.get_or_insert(row.received_ms);
        self.read += 1;
        if self.read > LEAST && newest_ms.saturating_sub(row.received_ms) > self.window_ms {
            return false;
        }
        let mut seen = Seen::of(row);
        if let What::Container { labels, .. } = &mut seen.what {
            labels.clear();
        }
        let of_host = self.of_hosts.entry(row.host).or_default();
        if seen.what != What::Other && *of_host < TAKEN_OF_ONE {
            *of_host += 1;
            self.seen.push(seen);
        }
        self.read < MOST && self.seen.len() < TAKEN
    }

    /// What says something, oldest first.
    pub fn seen(&self) -> impl Iterator<Item = &Seen> {
        self.seen.iter().rev()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::Board;
    use crate::alerts::board::Now;
    use crate::alerts::looks::HostLook;
    use crate::alerts::tests::{Fleet, PI, id};
    use crate::store::EventBody;
    use std::collections::BTreeMap;

    fn row(number: u64, received_ms: i64, host: HostId, action: &str, attribute: (&str, &str)) -> EventRow {
        let attributes = BTreeMap::from([(attribute.0.to_owned(), attribute.1.to_owned())]);
        let body = match action {
            "kill" | "die" => EventBody::Derived { container: id(1), action: action.into(), attributes },
            other => EventBody::Host { action: other.into(), attributes },
        };
        EventRow { id: number, received_ms, host, epoch: 1, seq: number, body }
    }

    /// A history in which `noise` events of others follow a signal, `every_ms` apart; then the server starts, and the
    /// container ends.
    fn is_a_crash_after(noise: u64, every_ms: i64) -> (bool, usize) {
        let begin = crate::alerts::tests::BEGIN_MS;
        let mut rows = vec![row(1, begin, PI, "kill", ("signal", "9"))];
        let others = (0..noise)
            .map(|n| row(n + 2, begin + (n as i64 + 1) * every_ms, HostId([9; 8]), "host_labels", ("x", "y")));
        rows.extend(others);
        let rules = Rules::default();
        let mut recall = Recall::new(&rules);
        let read = rows.iter().rev().take_while(|row| recall.take(row)).count();
        let mut board = Board::restored([], noise + 1, 0);
        recall.seen().for_each(|seen| board.recall(seen));
        let fleet = Fleet::default();
        fleet.hosts.borrow_mut().insert(PI, HostLook { name: "pi".into(), ..HostLook::default() });
        let now = Now { wall_ms: begin + 30_000, monotonic_ms: 100_000 };
        let ended = row(noise + 2, begin + 30_000, PI, "die", ("exitCode", "1"));
        board.take(&Seen::of(&ended), &rules, &fleet, now);
        (board.active(Rule::Crashed, &crate::alerts::alert::Subject::container(PI, id(1))).is_some(), read)
    }

    #[test]
    fn a_stop_before_the_start_excuses_the_end_behind_it_on_a_busy_fleet() {
        assert!(!is_a_crash_after(10, 1).0);
        // 30,000 events in half a minute.
        assert!(!is_a_crash_after(30_000, 1).0);
    }

    #[test]
    fn how_much_is_read_again_has_an_end() {
        // One each second: ten minutes are fewer than are read in any case.
        assert_eq!(is_a_crash_after(20_000, 1_000).1, LEAST);
        // Ten each second: ten minutes, and no more.
        assert!((6_000..6_010).contains(&is_a_crash_after(20_000, 100).1));
        // All at one time.
        let mut recall = Recall::new(&Rules::default());
        let kill = |n: usize| row(1, 0, HostId([(n % 10) as u8; 8]), "kill", ("signal", "9"));
        assert_eq!((0..MOST).take_while(|n| recall.take(&kill(*n))).count() + 1, TAKEN);
        let mut recall = Recall::new(&Rules::default());
        let other = row(1, 0, PI, "host_labels", ("x", "y"));
        assert_eq!((0..2 * MOST).take_while(|_| recall.take(&other)).count() + 1, MOST);
    }

    #[test]
    fn a_flood_of_one_host_takes_no_place_of_the_others() {
        let kill = |host| row(1, 0, host, "kill", ("signal", "9"));
        let mut recall = Recall::new(&Rules::default());
        assert!((0..2 * TAKEN).all(|_| recall.take(&kill(HostId([9; 8])))), "it is read on");
        recall.take(&kill(PI));
        assert_eq!(recall.seen().count(), TAKEN_OF_ONE + 1);
        assert!(recall.seen().any(|seen| seen.host == PI));
    }
}
