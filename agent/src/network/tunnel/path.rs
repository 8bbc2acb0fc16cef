//! Where to send a peer's packets: which of its addresses works. Knows neither clock nor socket: time is passed in, in
//! milliseconds of a clock that does not jump, and what is to be sent is asked for.
//!
//! A candidate is an address of the peer: those of the table, the best one first, and a few that the peer was heard from.
//! One is proven by the answer to a probe with a fresh token, or by a packet of a session, which cannot be replayed. A
//! datagram that can be replayed makes a candidate at most, never a path.

use muster_protocol::network::Reach;
use muster_protocol::network::relay::{Secret, canonical};
use siphasher::sip::SipHasher24;
use std::hash::Hasher;
use std::net::SocketAddr;

/// So long nothing has to come on a path with traffic before it is probed.
const SILENT_MS: u64 = 1_000;
/// Between the probes of one round.
const RETRY_MS: u64 = 750;
/// Probes of a round: behind the last one the candidate has failed. With the silence before, four seconds.
const TRIES: u8 = 4;
/// There is traffic until so long after a packet was sent.
const ACTIVE_MS: u64 = 5_000;
/// A peer heard elsewhere has moved there if it was not heard so long on the present path.
const MOVED_MS: u64 = 2_500;
/// A path on which the peer was heard so lately is taken over without another probe.
const FRESH_MS: u64 = 2_000;
/// A failed candidate rests so long at first, twice as long each time, and so long at most.
const REST_MS: u64 = 10_000;
const REST_LIMIT_MS: u64 = 60_000;
/// Of the keepalives each such one asks for an answer.
const CHECKED_KEEPALIVE: u32 = 8;
/// Addresses that are not in the table.
const LEARNED: usize = 2;

/// All paths to one peer.
pub struct Paths {
    /// Those of the table, in its order; then learned ones.
    candidates: Vec<Candidate>,
    current: Option<SocketAddr>,
    keepalive_ms: u64,
    /// When a packet was last sent to the peer, on whichever path.
    data_ms: Option<u64>,
    /// When something was last sent on the present path, or it was tried to find one.
    kept_ms: u64,
    keepalives: u32,
    tokens: (Secret, u64),
}

struct Candidate {
    address: SocketAddr,
    /// None: it is not in the table.
    listed: Option<Reach>,
    state: State,
    rest_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// To be tried from then on.
    New {
        at_ms: u64,
    },
    Trying(Round),
    /// The peer was heard there then; a round finds out whether it still is.
    Proven {
        heard_ms: u64,
        check: Option<Round>,
    },
    /// To be left alone until then.
    Failed {
        until_ms: u64,
    },
}

/// Probes with one token, any answer to which counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Round {
    token: u64,
    left: u8,
    next_ms: u64,
}

/// A datagram to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outgoing {
    /// Where to.
    pub to: SocketAddr,
    /// Whether it wants an answer.
    pub asks: bool,
    /// Comes back in the answer.
    pub token: u64,
}

/// A path that is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Direct {
    /// Where to.
    pub to: SocketAddr,
    /// What kind it is.
    pub reach: Reach,
}

impl Paths {
    /// Without candidates. `secret` makes tokens: random.
    pub fn new(secret: Secret, now_ms: u64) -> Paths {
        Paths {
            candidates: Vec::new(),
            current: None,
            keepalive_ms: 0,
            data_ms: None,
            kept_ms: now_ms,
            keepalives: 0,
            tokens: (secret, 0),
        }
    }

    /// Takes over the table's endpoints. What is known of those that stay is kept; new ones are tried from `at_ms` on.
    pub fn update(&mut self, endpoints: &[(Reach, SocketAddr)], keepalive_s: u16, at_ms: u64) {
        self.keepalive_ms = u64::from(keepalive_s) * 1000;
        let mut old = std::mem::take(&mut self.candidates);
        for (reach, address) in endpoints {
            let address = canonical(*address);
            if self.find(address).is_some() {
                continue;
            }
            let known = old.iter().position(|candidate| candidate.address == address).map(|at| old.remove(at));
            let (state, rest_ms) =
                known.map_or((State::New { at_ms }, REST_MS), |candidate| (candidate.state, candidate.rest_ms));
            self.candidates.push(Candidate { address, listed: Some(*reach), state, rest_ms });
        }
        // The path that works stays, in the table or not.
        old.sort_by_key(|candidate| Some(candidate.address) != self.current);
        old.truncate(LEARNED);
        self.candidates.extend(old.into_iter().map(|candidate| Candidate { listed: None, ..candidate }));
    }

    /// The path that is used. None: none is proven.
    pub fn current(&self) -> Option<Direct> {
        let candidate = &self.candidates[self.find(self.current?)?];
        // An address of the peer's LAN, from another port of it.
        let same_lan = |other: &&Candidate| other.address.ip() == candidate.address.ip();
        let listed = self.candidates.iter().find(same_lan).and_then(|other| other.listed);
        Some(Direct { to: candidate.address, reach: candidate.listed.or(listed).unwrap_or(Reach::Public) })
    }

    /// Where to send if no path is proven and no relay is there: the best guess.
    pub fn guess(&self) -> Option<SocketAddr> {
        let failed = |candidate: &&Candidate| matches!(candidate.state, State::Failed { .. });
        self.candidates.iter().find(|candidate| !failed(candidate)).or(self.candidates.first()).map(|c| c.address)
    }

    /// Whether there is traffic to the peer.
    pub fn is_active(&self, now_ms: u64) -> bool {
        self.data_ms.is_some_and(|data_ms| now_ms < data_ms + ACTIVE_MS)
    }

    /// A packet with content was sent to the peer.
    pub fn sent(&mut self, now_ms: u64) {
        if !self.is_active(now_ms)
            && let Some(State::Proven { heard_ms, .. }) = self.current.and_then(|at| self.state(at))
        {
            // Silence counts from now on: there was nothing to be heard before.
            *heard_ms = (*heard_ms).max(now_ms.saturating_sub(SILENT_MS / 2));
        }
        self.data_ms = Some(now_ms);
        if self.current.is_some() {
            self.kept_ms = now_ms;
        }
    }

    /// A packet that cannot be replayed came from an address.
    pub fn heard(&mut self, from: SocketAddr, now_ms: u64) {
        let from = canonical(from);
        let at = self.find_or_learn(from, now_ms);
        match &mut self.candidates[at].state {
            State::Proven { heard_ms, check } => (*heard_ms, *check) = (now_ms, None),
            // It comes through, but what was sent there was not answered: only an answer changes that.
            State::Failed { .. } => return self.try_at(at, TRIES, now_ms),
            State::New { .. } | State::Trying(_) => self.prove(at, now_ms),
        }
        let Some(present) = self.current.and_then(|current| self.find(current)).filter(|present| *present != at) else {
            self.current = Some(from);
            return;
        };
        let lost = match self.candidates[present].state {
            State::Proven { heard_ms, check } => {
                now_ms >= heard_ms + MOVED_MS || check.is_some_and(|round| round.left + 2 <= TRIES)
            }
            _ => true,
        };
        if at < present {
            self.current = Some(from);
        } else if lost {
            self.current = Some(from);
            self.try_at(present, TRIES, now_ms);
        }
    }

    /// A probe or keepalive of the peer came from an address. It may be a replay: so one probe is sent there, no more.
    pub fn probed(&mut self, from: SocketAddr, now_ms: u64) {
        let at = self.find_or_learn(canonical(from), now_ms);
        match self.candidates[at].state {
            State::New { .. } | State::Failed { .. } => self.try_at(at, 1, now_ms),
            State::Trying(_) | State::Proven { .. } => {}
        }
    }

    /// The peer asks through a relay to be tried.
    pub fn called(&mut self, now_ms: u64) {
        for at in 0..self.candidates.len() {
            if matches!(self.candidates[at].state, State::New { .. } | State::Failed { .. }) {
                self.try_at(at, TRIES, now_ms);
            }
        }
    }

    /// An answer with a token came from an address.
    pub fn answered(&mut self, from: SocketAddr, token: u64, now_ms: u64) {
        let from = canonical(from);
        let Some(at) = self.find(from) else { return };
        match self.candidates[at].state {
            State::Trying(round) | State::Proven { check: Some(round), .. } if round.token == token => {}
            _ => return,
        }
        self.prove(at, now_ms);
        let present = self.current.and_then(|current| self.find(current));
        if present.is_none_or(|present| at < present) {
            self.current = Some(from);
            self.kept_ms = now_ms;
        }
    }

    /// What is to be sent now. To be asked until there is nothing more.
    pub fn poll(&mut self, now_ms: u64) -> Option<Outgoing> {
        let active = self.is_active(now_ms);
        let keep = self.keepalive_ms > 0 && now_ms >= self.kept_ms + self.keepalive_ms;
        let used_before = self.current;
        for at in 0..self.candidates.len() {
            let used = self.current == Some(self.candidates[at].address);
            match self.candidates[at].state {
                State::New { at_ms } if now_ms >= at_ms => self.try_at(at, TRIES, now_ms),
                State::Failed { until_ms } if now_ms >= until_ms && active => self.try_at(at, TRIES, now_ms),
                State::Failed { until_ms } if now_ms >= until_ms && keep && self.current.is_none() => {
                    self.try_at(at, 1, now_ms)
                }
                State::Proven { heard_ms, check: None } if used && active && now_ms >= heard_ms + SILENT_MS => {
                    self.check(at, now_ms);
                }
                _ => {}
            }
            if let Some(outgoing) = self.go_on(at, now_ms) {
                return Some(outgoing);
            }
        }
        if self.current != used_before {
            // It has failed: what is tried instead may stand before it.
            return self.poll(now_ms);
        }
        if keep {
            self.kept_ms = now_ms;
            let at = self.current.and_then(|current| self.find(current))?;
            self.keepalives = self.keepalives.wrapping_add(1);
            if self.keepalives.is_multiple_of(CHECKED_KEEPALIVE) {
                self.check(at, now_ms);
                return self.go_on(at, now_ms);
            }
            return Some(Outgoing { to: self.candidates[at].address, asks: false, token: self.token() });
        }
        None
    }

    /// When to ask again, unless something happens before. None: not at all.
    pub fn next_ms(&self, now_ms: u64) -> Option<u64> {
        let active = self.is_active(now_ms);
        let each = self.candidates.iter().filter_map(|candidate| match candidate.state {
            State::New { at_ms } => Some(at_ms),
            State::Trying(round) | State::Proven { check: Some(round), .. } => Some(round.next_ms),
            State::Proven { heard_ms, check: None } if active && self.current == Some(candidate.address) => {
                Some(heard_ms + SILENT_MS)
            }
            State::Failed { until_ms } if active => Some(until_ms),
            State::Proven { .. } | State::Failed { .. } => None,
        });
        let keep = (self.keepalive_ms > 0).then_some(self.kept_ms + self.keepalive_ms);
        each.chain(keep).min()
    }

    /// Sends a round's next probe if it is due, or ends the round.
    fn go_on(&mut self, at: usize, now_ms: u64) -> Option<Outgoing> {
        let candidate = &mut self.candidates[at];
        let (State::Trying(round) | State::Proven { check: Some(round), .. }) = &mut candidate.state else {
            return None;
        };
        if now_ms < round.next_ms {
            return None;
        }
        if let Some(left) = round.left.checked_sub(1) {
            (round.left, round.next_ms) = (left, now_ms + RETRY_MS);
            return Some(Outgoing { to: candidate.address, asks: true, token: round.token });
        }
        candidate.state = State::Failed { until_ms: now_ms + candidate.rest_ms };
        candidate.rest_ms = (candidate.rest_ms * 2).min(REST_LIMIT_MS);
        if self.current == Some(candidate.address) {
            self.fall_back(now_ms);
        }
        None
    }

    /// The present path has failed: takes one that was heard lately, if there is one, and tries the others.
    fn fall_back(&mut self, now_ms: u64) {
        self.current = None;
        for at in 0..self.candidates.len() {
            if let State::Proven { heard_ms, .. } = self.candidates[at].state {
                if self.current.is_none() && now_ms < heard_ms + FRESH_MS {
                    self.current = Some(self.candidates[at].address);
                } else {
                    self.try_at(at, TRIES, now_ms);
                }
            }
        }
    }

    fn prove(&mut self, at: usize, now_ms: u64) {
        let candidate = &mut self.candidates[at];
        candidate.state = State::Proven { heard_ms: now_ms, check: None };
        candidate.rest_ms = REST_MS;
    }

    fn try_at(&mut self, at: usize, tries: u8, now_ms: u64) {
        let round = Round { token: self.token(), left: tries, next_ms: now_ms };
        self.candidates[at].state = State::Trying(round);
    }

    fn check(&mut self, at: usize, now_ms: u64) {
        let round = Round { token: self.token(), left: TRIES, next_ms: now_ms };
        if let State::Proven { check, .. } = &mut self.candidates[at].state {
            *check = Some(round);
        }
    }

    fn find(&self, address: SocketAddr) -> Option<usize> {
        self.candidates.iter().position(|candidate| candidate.address == address)
    }

    fn state(&mut self, address: SocketAddr) -> Option<&mut State> {
        let at = self.find(address)?;
        Some(&mut self.candidates[at].state)
    }

    /// Where a candidate is. A new one takes the place of a learned one that is not in use.
    fn find_or_learn(&mut self, address: SocketAddr, now_ms: u64) -> usize {
        if let Some(at) = self.find(address) {
            return at;
        }
        let learned = Candidate { address, listed: None, state: State::New { at_ms: now_ms }, rest_ms: REST_MS };
        if self.candidates.iter().filter(|candidate| candidate.listed.is_none()).count() >= LEARNED {
            let unused = |candidate: &Candidate| candidate.listed.is_none() && self.current != Some(candidate.address);
            if let Some(at) = self.candidates.iter().position(unused) {
                self.candidates.remove(at);
            }
        }
        self.candidates.push(learned);
        self.candidates.len() - 1
    }

    fn token(&mut self) -> u64 {
        self.tokens.1 += 1;
        let mut hasher = SipHasher24::new_with_key(&self.tokens.0);
        hasher.write_u64(self.tokens.1);
        hasher.finish()
    }
}

#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;
