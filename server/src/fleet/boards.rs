//! Which board speaks for a host: the one that it is known by, or another one that has its credential.
//!
//! A card that was put into another board brings its credential along, and a card that was copied brings it to a second
//! board. What tells them apart is whether the old board still speaks: only if it was heard after the new one had
//! asked are there two. No clock; times are given.

use super::liveness::HostState;
use muster_protocol::id::Fingerprint;

/// Strangers that are remembered of one host: as many copies of one card are rarely started at once.
const STRANGERS: usize = 8;
/// One that has not asked for this long begins anew, in milliseconds: what it once was need not be true any more.
const FORGOTTEN_MS: u64 = 15 * 60 * 1000;

/// What a hello's board is to a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The one that it is known by, as far as can be told.
    Same,
    /// Another one, and the old one is gone: the card was moved.
    Moved,
    /// Another one, and it is open whether the old one is gone: it has to ask again.
    Undecided,
    /// Another one beside the old one; `again` if it was told so before.
    Clone {
        /// It was told before, and has not become a host of its own.
        again: bool,
    },
}

/// Boards that have asked with a host's credential, beside the one that it is known by.
#[derive(Debug, Clone, Default)]
pub struct Boards {
    strangers: Vec<Stranger>,
    /// When the known board was last heard, if it was since the server's start.
    heard_ms: Option<u64>,
}

#[derive(Debug, Clone)]
struct Stranger {
    fingerprint: Fingerprint,
    first_ms: u64,
    last_ms: u64,
    told: bool,
}

impl Boards {
    /// The board that the host is known by was heard.
    pub fn heard(&mut self, now_ms: u64) {
        self.heard_ms = Some(now_ms);
    }

    /// Judges a hello. `known` is the host's fingerprint, `said` the hello's, `state` the host's.
    pub fn judge(&mut self, known: Fingerprint, said: Fingerprint, state: HostState, now_ms: u64) -> Verdict {
        if said == known || said == Fingerprint::default() || known == Fingerprint::default() {
            return Verdict::Same;
        }
        if state == HostState::Disconnected {
            self.strangers.clear();
            return Verdict::Moved;
        }
        self.strangers.retain(|stranger| now_ms.saturating_sub(stranger.last_ms) < FORGOTTEN_MS);
        let Some(stranger) = self.strangers.iter_mut().find(|stranger| stranger.fingerprint == said) else {
            if self.strangers.len() >= STRANGERS {
                self.strangers.remove(0);
            }
            let stranger = Stranger { fingerprint: said, first_ms: now_ms, last_ms: now_ms, told: false };
            self.strangers.push(stranger);
            return Verdict::Undecided;
        };
        stranger.last_ms = now_ms;
        if self.heard_ms.is_none_or(|heard| heard <= stranger.first_ms) {
            return Verdict::Undecided;
        }
        Verdict::Clone { again: std::mem::replace(&mut stranger.told, true) }
    }
}

/// The beginning of a fingerprint, for people.
pub fn short(fingerprint: Fingerprint) -> String {
    fingerprint[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Fingerprint = [1; 16];
    const NEW: Fingerprint = [2; 16];
    const NONE: Fingerprint = [0; 16];

    fn judge(boards: &mut Boards, said: Fingerprint, state: HostState, now: u64) -> Verdict {
        boards.judge(OLD, said, state, now)
    }

    #[test]
    fn a_board_without_a_fingerprint_is_never_a_clone() {
        let mut boards = Boards::default();
        for (known, said) in [(OLD, OLD), (OLD, NONE), (NONE, NEW), (NONE, NONE)] {
            assert_eq!(boards.judge(known, said, HostState::Active, 0), Verdict::Same);
        }
    }

    #[test]
    fn two_boards_are_a_clone_only_if_the_old_one_speaks_after_the_new_one() {
        let mut boards = Boards::default();
        boards.heard(10);
        assert_eq!(judge(&mut boards, NEW, HostState::Active, 10), Verdict::Undecided);
        assert_eq!(judge(&mut boards, NEW, HostState::Active, 20), Verdict::Undecided, "the card may have moved");
        assert_eq!(judge(&mut boards, NEW, HostState::Reconnecting, 30), Verdict::Undecided);
        boards.heard(31);
        assert_eq!(judge(&mut boards, NEW, HostState::Active, 32), Verdict::Clone { again: false });
        assert_eq!(judge(&mut boards, NEW, HostState::Active, 33), Verdict::Clone { again: true });
        assert_eq!(judge(&mut boards, [3; 16], HostState::Active, 34), Verdict::Undecided, "each by itself");
    }

    #[test]
    fn a_card_whose_old_board_is_gone_has_moved() {
        let mut boards = Boards::default();
        boards.heard(1);
        assert_eq!(judge(&mut boards, NEW, HostState::Active, 2), Verdict::Undecided);
        assert_eq!(judge(&mut boards, NEW, HostState::Disconnected, 3), Verdict::Moved);
    }

    #[test]
    fn what_a_board_once_was_is_forgotten() {
        let mut boards = Boards::default();
        judge(&mut boards, NEW, HostState::Active, 1);
        boards.heard(2);
        assert_eq!(judge(&mut boards, NEW, HostState::Active, 2 + FORGOTTEN_MS), Verdict::Undecided);
        for number in 10..10 + 3 * STRANGERS as u8 {
            judge(&mut boards, [number; 16], HostState::Active, 2 + FORGOTTEN_MS);
        }
        assert!(boards.strangers.len() <= STRANGERS);
    }
}
