//! Line or plain requests? What is tried next, from what came of what was tried. No I/O and no clock of its own.
//!
//! A line costs half as many bytes. Some proxies let none through, or end it soon. That is not held against a proxy
//! before plain requests have worked where lines have not, by turns: a server that is away fails both.

use std::time::{Duration, Instant};

/// Plain requests are used for so long before another line is tried.
const PLAIN: Duration = Duration::from_secs(3600);
/// A line that ends before this has died young.
const YOUNG: Duration = Duration::from_secs(30);
/// Lines in a row that did not open or died young, before plain requests are tried.
const TROUBLE: u8 = 3;
/// So often a plain request has to work right after a line has not, before lines are given up.
const PROOFS: u8 = 3;

/// What an operator wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wanted {
    /// A line where it works, else plain requests.
    #[default]
    Auto,
    /// A line, whatever happens.
    Line,
    /// Plain requests, always.
    Plain,
}

impl Wanted {
    /// By the word that settings have for it.
    pub fn parse(word: &str) -> Option<Wanted> {
        match word {
            "auto" => Some(Wanted::Auto),
            "stream" => Some(Wanted::Line),
            "plain" => Some(Wanted::Plain),
            _ => None,
        }
    }
}

/// How messages travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// In frames, over one connection that has changed its protocol.
    Line,
    /// Each in a request of its own.
    Plain,
}

/// Which way is taken.
#[derive(Debug)]
pub struct Ways {
    wanted: Wanted,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Lines, of which so many have failed in a row.
    Lines(u8),
    /// A plain request, to see whether it is the server that fails. So many have worked before.
    Probe(u8),
    /// One line more, after so many plain requests that have worked.
    Again(u8),
    /// Plain requests until then.
    Plain(Instant),
}

impl Ways {
    /// Nothing has been tried.
    pub fn new(wanted: Wanted) -> Ways {
        Ways { wanted, state: State::Lines(0) }
    }

    /// Whether nothing but a line is allowed.
    pub fn is_forced(&self) -> bool {
        self.wanted == Wanted::Line
    }

    /// The way for the next message.
    pub fn next(&mut self, now: Instant) -> Way {
        if matches!(self.state, State::Plain(until) if now >= until) {
            self.state = State::Again(PROOFS - 1);
        }
        match (self.wanted, self.state) {
            (Wanted::Line, _) | (Wanted::Auto, State::Lines(_) | State::Again(_)) => Way::Line,
            (Wanted::Plain, _) | (Wanted::Auto, State::Probe(_) | State::Plain(_)) => Way::Plain,
        }
    }

    /// A line was asked for, and the answer was something else.
    pub fn refused(&mut self, now: Instant) {
        self.state = State::Plain(now + PLAIN);
    }

    /// A line did not open.
    pub fn not_opened(&mut self) {
        self.line_ended(Duration::ZERO);
    }

    /// A line is at its end that was open for so long.
    pub fn line_ended(&mut self, lived: Duration) {
        self.state = match self.state {
            State::Plain(_) | State::Probe(_) => return,
            _ if lived >= YOUNG => State::Lines(0),
            State::Lines(failed) if failed + 1 < TROUBLE => State::Lines(failed + 1),
            State::Lines(_) => State::Probe(0),
            State::Again(proofs) => State::Probe(proofs),
        };
    }

    /// A plain request was answered, or not. Whether lines are given up for now because of that.
    pub fn plain_ended(&mut self, answered: bool, now: Instant) -> bool {
        let State::Probe(proofs) = self.state else { return false };
        self.state = match answered {
            false => State::Lines(0),
            true if proofs + 1 < PROOFS => State::Again(proofs + 1),
            true => State::Plain(now + PLAIN),
        };
        self.wanted == Wanted::Auto && matches!(self.state, State::Plain(_))
    }

    /// Another address has its turn, with other proxies before it perhaps.
    pub fn moved(&mut self) {
        self.state = State::Lines(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_secs(2);

    fn trouble(ways: &mut Ways, now: Instant) {
        for _ in 0..TROUBLE {
            assert_eq!(ways.next(now), Way::Line);
            ways.line_ended(SHORT);
        }
    }

    #[test]
    fn a_refused_upgrade_means_plain_requests_for_an_hour() {
        let (mut ways, now) = (Ways::new(Wanted::Auto), Instant::now());
        assert_eq!(ways.next(now), Way::Line);
        ways.refused(now);
        assert_eq!(ways.next(now + PLAIN - SHORT), Way::Plain);
        assert!(!ways.plain_ended(false, now));
        assert_eq!(ways.next(now + PLAIN - SHORT), Way::Plain, "that says nothing about lines");
        assert_eq!(ways.next(now + PLAIN), Way::Line);
        ways.not_opened();
        assert_eq!(ways.next(now + PLAIN), Way::Plain, "one try an hour");
        assert!(ways.plain_ended(true, now + PLAIN));
        assert_eq!(ways.next(now + 2 * PLAIN - SHORT), Way::Plain);
        ways.moved();
        assert_eq!(ways.next(now + PLAIN), Way::Line, "a new address, a new try");
    }

    #[test]
    fn lines_that_die_young_are_given_up_once_plain_requests_work_by_turns_with_them() {
        let (mut ways, now) = (Ways::new(Wanted::Auto), Instant::now());
        trouble(&mut ways, now);
        for proof in 1..=PROOFS {
            assert_eq!(ways.next(now), Way::Plain);
            assert_eq!(ways.plain_ended(true, now), proof == PROOFS);
            if proof < PROOFS {
                assert_eq!(ways.next(now), Way::Line, "was it the server, that is back now?");
                ways.line_ended(SHORT);
            }
        }
        assert_eq!(ways.next(now), Way::Plain);
        assert!(!ways.plain_ended(true, now), "that is known");
        assert_eq!(ways.next(now), Way::Plain);
    }

    #[test]
    fn a_server_that_is_away_is_no_reason_for_plain_requests() {
        let (mut ways, now) = (Ways::new(Wanted::Auto), Instant::now());
        for _ in 0..10 {
            trouble(&mut ways, now);
            assert_eq!(ways.next(now), Way::Plain);
            assert!(!ways.plain_ended(false, now));
            // It comes back in the very moment, and goes again.
            trouble(&mut ways, now);
            assert!(!ways.plain_ended(true, now));
            assert_eq!(ways.next(now), Way::Line);
            ways.line_ended(SHORT);
            assert!(!ways.plain_ended(false, now));
        }
        trouble(&mut ways, now);
        ways.plain_ended(true, now);
        ways.line_ended(YOUNG);
        assert_eq!(ways.state, State::Lines(0));
    }

    #[test]
    fn one_line_that_lives_clears_the_others() {
        let (mut ways, now) = (Ways::new(Wanted::Auto), Instant::now());
        for _ in 0..10 {
            ways.line_ended(SHORT);
            ways.not_opened();
            ways.line_ended(YOUNG);
            assert_eq!(ways.next(now), Way::Line);
        }
    }

    #[test]
    fn what_is_forced_stays() {
        let now = Instant::now();
        let (mut line, mut plain) = (Ways::new(Wanted::Line), Ways::new(Wanted::Plain));
        for _ in 0..10 {
            line.refused(now);
            line.line_ended(SHORT);
            assert!(!plain.plain_ended(false, now) && !plain.plain_ended(true, now));
            assert_eq!((line.next(now), plain.next(now)), (Way::Line, Way::Plain));
            assert_eq!(plain.next(now + 2 * PLAIN), Way::Plain);
        }
    }
}
