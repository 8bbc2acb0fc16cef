//! How often somebody may try to sign in. No I/O and no clock; times are given, in milliseconds of any clock that only
//! goes forward.
//!
//! Attempts are counted by the address that they come from and by the name that they are for. After a few that failed,
//! each one more makes the next wait, twice as long as the one before, up to a bound. So guessing is slow whether it
//! comes from one place or from many. Whoever knocks for ever keeps a name, or all who share their address, waiting for
//! ever: therefore a name at an address from which it has signed in before is counted by itself and waits for nothing
//! that is tried elsewhere or for other names, and sign-in links and tokens, which nobody can guess, wait for nobody.
//!
//! Counters are few, and chosen by a keyed hash of the address or name: memory is bounded whatever is tried, nobody
//! can tell from an answer whether a name exists, unless it has signed in from their own address, and who shares a
//! counter by chance waits a little at worst.

use super::secret::hash;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};

/// Counters of each kind.
const COUNTERS: u16 = 4096;
/// One failure is forgotten in so long, in milliseconds.
const FORGOTTEN_MS: u64 = 600_000;
/// Names and the addresses from which they have signed in, that are remembered.
const KNOWN: usize = 256;
/// Bits of an IPv6 address that one customer is given: the rest is theirs to vary.
const IPV6_SITE: u32 = 64;

/// Of one kind of counter.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Failures that cost nothing.
    free: u32,
    /// The first wait, in milliseconds.
    first_ms: u64,
    /// The longest.
    most_ms: u64,
}

/// From one address.
const ADDRESS: Pace = Pace { free: 5, first_ms: 10_000, most_ms: 300_000 };
/// For one name, from anywhere. The bound is lower, for it also keeps out whoever the name belongs to.
const NAME: Pace = Pace { free: 10, first_ms: 5_000, most_ms: 60_000 };
/// Of tokens, from one address. They are not guessed: this is for the log's sake.
const TOKEN: Pace = Pace { free: 20, first_ms: 1_000, most_ms: 60_000 };

/// All counters.
#[derive(Debug)]
pub struct Attempts {
    /// So that nobody can choose an address or a name by its counter.
    key: [u8; 16],
    counters: HashMap<(Kind, u16), Counter>,
    /// Names with addresses from which they have signed in, the latest last.
    known: VecDeque<Known>,
}

/// A name has signed in from an address.
#[derive(Debug)]
struct Known {
    /// Hash of both.
    place: [u8; 32],
    /// What was tried for that name from there.
    counter: Counter,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Address,
    Name,
    Token,
}

/// What is counted.
#[derive(Debug, Clone, Copy)]
enum Of {
    /// By a counter that others may share.
    Many(Kind, u16),
    /// A known name at its address.
    Known([u8; 32]),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counter {
    failures: u32,
    /// Until when the next has to wait.
    until_ms: u64,
    /// Up to when failures have been forgotten.
    forgot_ms: u64,
}

/// An attempt that may be made. It counts as failed until it is said to have succeeded.
#[derive(Debug)]
#[must_use]
pub struct Attempt {
    /// Which counters it has moved, and what they were before.
    counted: Vec<(Of, Counter)>,
    place: [u8; 32],
}

impl Attempts {
    /// None yet. `key` is random.
    pub fn new(key: [u8; 16]) -> Attempts {
        Attempts { key, counters: HashMap::new(), known: VecDeque::new() }
    }

    /// Whether this name has signed in from this address.
    pub fn is_known(&self, from: IpAddr, name: &str) -> bool {
        let place = self.place(from, name);
        self.known.iter().any(|known| known.place == place)
    }

    /// Whether an attempt with a password may be made now.
    ///
    /// # Errors
    /// It has to wait so many milliseconds. That it was tried is not counted.
    pub fn password(&mut self, from: IpAddr, name: &str, now_ms: u64) -> Result<Attempt, u64> {
        let place = self.place(from, name);
        let counted = match self.known.iter().any(|known| known.place == place) {
            true => vec![Of::Known(place)],
            false => vec![
                Of::Many(Kind::Address, self.counter(&site(from).to_string())),
                Of::Many(Kind::Name, self.counter(name)),
            ],
        };
        self.begin(&counted, place, now_ms)
    }

    /// Counts a token that is not known, or a link that has ended.
    ///
    /// # Errors
    /// The next has to wait so many milliseconds.
    pub fn wrong_token(&mut self, from: IpAddr, now_ms: u64) -> Result<(), u64> {
        let counted = [Of::Many(Kind::Token, self.counter(&site(from).to_string()))];
        self.begin(&counted, [0; 32], now_ms).map(|_| ())
    }

    fn begin(&mut self, counted: &[Of], place: [u8; 32], now_ms: u64) -> Result<Attempt, u64> {
        let wait = |of: &Of| self.find(*of).map_or(0, |counter| counter.wait(now_ms));
        let longest = counted.iter().map(wait).max().unwrap_or(0);
        if longest > 0 {
            return Err(longest);
        }
        let mut attempt = Attempt { counted: Vec::new(), place };
        for of in counted {
            if let Of::Many(kind, number) = *of {
                self.counters.entry((kind, number)).or_default();
            }
            let Some(counter) = self.find_mut(*of) else { continue };
            counter.forget(now_ms);
            attempt.counted.push((*of, *counter));
            counter.count(of.pace(), now_ms);
        }
        Ok(attempt)
    }

    /// The attempt was one of those that it may be.
    pub fn succeeded(&mut self, attempt: Attempt) {
        for (of, before) in attempt.counted {
            let Some(counter) = self.find_mut(of) else { continue };
            // What others have tried stays counted, or a wrong guess were free for whoever has an account.
            counter.failures = counter.failures.saturating_sub(1);
            if counter.failures == before.failures {
                counter.until_ms = before.until_ms;
            }
        }
        let at = self.known.iter().position(|known| known.place == attempt.place);
        let known = at.and_then(|at| self.known.remove(at));
        self.known.push_back(known.unwrap_or(Known { place: attempt.place, counter: Counter::default() }));
        if self.known.len() > KNOWN {
            self.known.pop_front();
        }
    }

    fn find(&self, of: Of) -> Option<&Counter> {
        match of {
            Of::Many(kind, number) => self.counters.get(&(kind, number)),
            Of::Known(place) => self.known.iter().find(|known| known.place == place).map(|known| &known.counter),
        }
    }

    fn find_mut(&mut self, of: Of) -> Option<&mut Counter> {
        match of {
            Of::Many(kind, number) => self.counters.get_mut(&(kind, number)),
            Of::Known(place) => {
                self.known.iter_mut().find(|known| known.place == place).map(|known| &mut known.counter)
            }
        }
    }

    fn place(&self, from: IpAddr, name: &str) -> [u8; 32] {
        self.hash(&[&site(from).to_string(), name])
    }

    fn counter(&self, of: &str) -> u16 {
        let hash = self.hash(&[of]);
        u16::from_le_bytes([hash[0], hash[1]]) % COUNTERS
    }

    fn hash(&self, parts: &[&str]) -> [u8; 32] {
        let mut bytes = self.key.to_vec();
        for part in parts {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        hash(&bytes)
    }
}

impl Of {
    fn pace(self) -> Pace {
        match self {
            Of::Many(Kind::Address, _) | Of::Known(_) => ADDRESS,
            Of::Many(Kind::Name, _) => NAME,
            Of::Many(Kind::Token, _) => TOKEN,
        }
    }
}

impl Counter {
    fn wait(&self, now_ms: u64) -> u64 {
        self.until_ms.saturating_sub(now_ms)
    }

    fn forget(&mut self, now_ms: u64) {
        let over = now_ms.saturating_sub(self.forgot_ms) / FORGOTTEN_MS;
        self.failures = self.failures.saturating_sub(u32::try_from(over).unwrap_or(u32::MAX));
        self.forgot_ms = if self.failures == 0 { now_ms } else { self.forgot_ms + over * FORGOTTEN_MS };
    }

    fn count(&mut self, pace: Pace, now_ms: u64) {
        self.failures = self.failures.saturating_add(1);
        if let Some(beyond) = self.failures.checked_sub(pace.free) {
            let wait = pace.first_ms.saturating_mul(1 << beyond.min(16));
            self.until_ms = now_ms.saturating_add(wait.min(pace.most_ms));
        }
    }
}

/// What counts as one address.
fn site(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << (128 - IPV6_SITE)))),
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempts() -> Attempts {
        Attempts::new([7; 16])
    }

    fn ip(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(0xc000_0200 + number).into()
    }

    /// Fails as often as that is possible at once; how often that was, and how long the next has to wait.
    fn fail(attempts: &mut Attempts, from: IpAddr, name: &str, now_ms: u64) -> (u32, u64) {
        let mut failed = 0;
        loop {
            match attempts.password(from, name, now_ms) {
                Ok(_) => failed += 1,
                Err(wait) => return (failed, wait),
            }
        }
    }

    #[test]
    fn an_address_waits_longer_each_time_and_never_longer_than_that() {
        let mut attempts = attempts();
        assert_eq!(fail(&mut attempts, ip(1), "ada", 0), (5, 10_000));
        let mut now = 10_000;
        for wait in [20_000, 40_000, 80_000, 160_000, 300_000, 300_000, 300_000] {
            assert_eq!(attempts.password(ip(1), "ada", now - 1).map(|_| ()), Err(1));
            assert_eq!(fail(&mut attempts, ip(1), "ada", now), (1, wait));
            now += wait;
        }
        assert_eq!(fail(&mut attempts, ip(2), "bob", now).0, 5, "another address waits for nobody");
        let day = 24 * 3_600_000;
        assert_eq!(fail(&mut attempts, ip(1), "bob", now + day).0, 5, "in the end it is forgotten");
        let tried = (0..day / 1000).filter(|n| attempts.password(ip(3), &n.to_string(), n * 1000).is_ok()).count();
        assert!(tried < 24 * 12 + 10, "{tried} in a day");
    }

    #[test]
    fn guessing_one_name_from_many_addresses_is_slow_too() {
        let mut attempts = attempts();
        let tried = (0..10_000).filter(|from| attempts.password(ip(*from), "ada", 0).is_ok()).count();
        assert_eq!(tried, 10);
        let day = 24 * 3_600_000;
        let tried = (0..day / 1000).filter(|n| attempts.password(ip(*n as u32), "ada", n * 1000).is_ok()).count();
        assert!(tried < 24 * 60 + 10, "{tried} in a day");
    }

    #[test]
    fn nobody_can_lock_out_for_good_who_comes_from_where_they_came_before() {
        let mut attempts = attempts();
        let home = ip(99);
        let attempt = attempts.password(home, "ada", 0).expect("the first");
        attempts.succeeded(attempt);
        for n in 0..100_000 {
            let _ = attempts.password(ip(1000 + n % 500), "ada", u64::from(n) * 100);
            if n % 1000 == 0 {
                let attempt = attempts.password(home, "ada", u64::from(n) * 100);
                attempts.succeeded(attempt.expect("others do not count"));
            }
        }
        assert!(attempts.password(ip(98), "ada", 100_000 * 100).is_err(), "elsewhere they count");
    }

    #[test]
    fn nobody_at_the_same_address_holds_up_a_name_that_is_known_there() {
        let mut attempts = attempts();
        let attempt = attempts.password(ip(1), "ada", 0).expect("the first");
        attempts.succeeded(attempt);
        assert!(attempts.is_known(ip(1), "ada") && !attempts.is_known(ip(2), "ada"));
        assert_eq!(fail(&mut attempts, ip(1), "bob", 0), (5, 10_000));
        for _ in 0..100 {
            let attempt = attempts.password(ip(1), "ada", 0).expect("others do not count");
            attempts.succeeded(attempt);
        }
        assert_eq!(fail(&mut attempts, ip(1), "ada", 0), (5, 10_000), "its own failures do");
        assert!(attempts.password(ip(1), "ada", 9_999).is_err());
        let attempt = attempts.password(ip(1), "ada", 10_000).expect("after the wait");
        attempts.succeeded(attempt);
        assert_eq!(fail(&mut attempts, ip(1), "ada", 10_000), (1, 20_000), "a success forgives no guesses");
    }

    #[test]
    fn who_has_an_account_gets_no_more_guesses_for_it() {
        let mut attempts = attempts();
        let mut guesses = 0;
        for _ in 0..100 {
            guesses += u32::from(attempts.password(ip(1), "ada", 0).is_ok());
            let own = attempts.password(ip(1), "mallory", 0);
            own.into_iter().for_each(|own| attempts.succeeded(own));
        }
        assert_eq!(guesses, 5);
    }

    #[test]
    fn one_who_errs_now_and_then_never_waits() {
        let mut attempts = attempts();
        for n in 0..1000 {
            let _wrong = attempts.password(ip(1), "ada", n * FORGOTTEN_MS).expect("a while later");
            let right = attempts.password(ip(1), "ada", n * FORGOTTEN_MS + 1).expect("right after it");
            attempts.succeeded(right);
        }
    }

    #[test]
    fn wrong_tokens_are_counted_apart() {
        let mut attempts = attempts();
        let told = (0..100).filter(|_| attempts.wrong_token(ip(1), 0).is_ok()).count();
        assert_eq!(told, 20);
        assert!(attempts.password(ip(1), "ada", 0).is_ok());
    }

    #[test]
    fn memory_is_bounded_whatever_is_tried() {
        let mut attempts = attempts();
        for n in 0..50_000 {
            if let Ok(attempt) = attempts.password(ip(n), &format!("user-{n}"), 0) {
                attempts.succeeded(attempt);
            }
            let _ = attempts.wrong_token(ip(n), 0);
        }
        assert!(attempts.counters.len() <= 3 * usize::from(COUNTERS) && attempts.known.len() <= KNOWN);
    }

    #[test]
    fn one_site_of_ipv6_is_one_address() {
        let mut attempts = attempts();
        let tried =
            |attempts: &mut Attempts, text: &str| attempts.password(text.parse().expect("one"), "ada", 0).is_ok();
        let tried = (0..100).filter(|n| tried(&mut attempts, &format!("2001:db8:0:1::{n}"))).count();
        assert_eq!(tried, 5);
    }
}
