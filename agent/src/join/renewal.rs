//! A credential that is changed: which one is shown, and what is on the disk, so that a crash between any two steps
//! locks nobody out. No I/O.
//!
//! The new one lies on the disk before the server hears of it, and the old one stays there afterwards: a server that
//! was restored from a backup may know only that one.

use super::identity::Credential;

/// A second credential, beside the one that is shown first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spare {
    /// Made because the server asked for it under this number, and not known to be in use yet.
    Next(u32, Credential),
    /// The one before.
    Previous(Credential),
}

impl Spare {
    fn credential(&self) -> &Credential {
        match self {
            Spare::Next(_, credential) | Spare::Previous(credential) => credential,
        }
    }
}

/// A host's credentials. What is public is on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// Shown first.
    pub current: Credential,
    /// Shown if that one is refused, or if the server has been told of it.
    pub spare: Option<Spare>,
    shows_spare: bool,
    /// One after the other, without an answer in between.
    refusals: u8,
    /// The next one was refused, although a hello with it was welcomed: the server does not want it any more.
    unwanted: bool,
}

impl Keys {
    /// As they are on the disk.
    pub fn new(current: Credential, spare: Option<Spare>) -> Keys {
        Keys { current, spare, shows_spare: false, refusals: 0, unwanted: false }
    }

    /// The one that is shown now.
    pub fn shown(&self) -> &Credential {
        match &self.spare {
            Some(spare) if self.shows_spare => spare.credential(),
            _ => &self.current,
        }
    }

    /// The server asks for a new one under this number; `fresh` is it, unless it was made already. What is on the disk
    /// has to be this before a hello says so.
    pub fn asked(&mut self, number: u32, fresh: Credential) {
        if matches!(self.spare, Some(Spare::Next(made, _)) if made == number) {
            return;
        }
        // While the spare one is shown, it is not known yet whether the other one still counts.
        if !self.shows_spare {
            self.spare = Some(Spare::Next(number, fresh));
        }
    }

    /// What a hello has to say: the number, and the new credential. Not with the new one itself.
    pub fn offer(&self) -> Option<(u32, &Credential)> {
        match &self.spare {
            Some(Spare::Next(number, credential)) if !self.shows_spare => Some((*number, credential)),
            _ => None,
        }
    }

    /// The server has welcomed a hello that said so: both count now.
    pub fn welcomed(&mut self) {
        self.shows_spare = self.spare.is_some();
    }

    /// The server has taken what is shown. Answers whether that has to go to the disk.
    pub fn accepted(&mut self) -> bool {
        self.refusals = 0;
        let unwanted = std::mem::take(&mut self.unwanted);
        if !std::mem::take(&mut self.shows_spare) {
            let drop = unwanted && matches!(self.spare, Some(Spare::Next(..)));
            if drop {
                self.spare = None;
            }
            return drop;
        }
        let Some(spare) = self.spare.take() else { return false };
        let (Spare::Next(_, credential) | Spare::Previous(credential)) = spare;
        let before = std::mem::replace(&mut self.current, credential);
        self.spare = Some(Spare::Previous(before));
        true
    }

    /// The server does not know what is shown. Answers whether there is another one to be shown at once.
    pub fn refused(&mut self) -> bool {
        if self.spare.is_none() {
            return false;
        }
        self.unwanted |= self.shows_spare;
        self.shows_spare = !self.shows_spare;
        self.refusals += 1;
        if self.refusals < 2 {
            return true;
        }
        self.refusals = 0;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(number: u32) -> Credential {
        format!("{number:064x}").parse().expect("64 digits")
    }

    /// The server's rules, and what it has in its store.
    #[derive(Clone, Debug)]
    struct Server {
        current: Credential,
        next: Option<Credential>,
        renew: u32,
        renewed: u32,
    }

    impl Server {
        /// Whether it lets this one in. The first use of the next one ends the other.
        fn admits(&mut self, shown: &Credential) -> bool {
            if self.next.as_ref() == Some(shown) {
                (self.current, self.renewed) = (shown.clone(), self.renew);
                self.next = None;
            }
            self.current == *shown
        }

        fn hello(&mut self, offer: Option<(u32, &Credential)>) {
            let offer = offer.filter(|(number, _)| *number == self.renew && self.renew != self.renewed);
            self.next = offer.map(|(_, credential)| credential.clone());
        }

        fn asks(&self) -> Option<u32> {
            (self.renew != self.renewed && self.next.is_none()).then_some(self.renew)
        }
    }

    /// The agent's process and its disk.
    struct Agent {
        keys: Keys,
        disk: Keys,
        made: u32,
    }

    impl Agent {
        fn store(&mut self) {
            self.disk = Keys::new(self.keys.current.clone(), self.keys.spare.clone());
        }

        /// One exchange, in which `fate` decides what is lost: 0 the request, 1 the answer, 2 the agent before it writes,
        /// 3 the agent after that; else nothing. Whether the agent was let in.
        fn exchange(&mut self, server: &mut Server, is_hello: bool, fate: u32) -> bool {
            let offer = if is_hello { self.keys.offer() } else { None };
            let offered = offer.is_some();
            if fate == 0 {
                return false;
            }
            let admitted = server.admits(self.keys.shown());
            if admitted && is_hello {
                server.hello(offer);
            }
            let asks = server.asks();
            match fate {
                1 => return admitted,
                2 => {
                    self.keys = self.disk.clone();
                    return admitted;
                }
                _ if !admitted => {
                    self.keys.refused();
                }
                _ => {
                    if self.keys.accepted() {
                        self.store();
                    }
                    if offered {
                        self.keys.welcomed();
                    }
                    if let Some(number) = asks {
                        self.made += 1;
                        self.keys.asked(number, credential(1000 + self.made));
                        self.store();
                    }
                }
            }
            if fate == 3 {
                self.keys = self.disk.clone();
            }
            admitted
        }
    }

    #[test]
    fn whatever_is_lost_the_host_gets_in_again_and_in_the_end_only_the_new_one_counts() {
        for seed in 1..3000u64 {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut random = |below: u64| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state % below) as u32
            };
            let first = credential(1);
            let keys = Keys::new(first.clone(), None);
            let mut agent = Agent { disk: keys.clone(), keys, made: 0 };
            let mut server = Server { current: first, next: None, renew: 0, renewed: 0 };
            let mut backup = server.clone();
            for _ in 0..40 {
                match random(12) {
                    0 if server.renew == server.renewed => server.renew += 1,
                    1 => backup = server.clone(),
                    _ => {}
                }
                let (is_hello, fate) = (random(2) == 0, random(7));
                agent.exchange(&mut server, is_hello, fate);
            }
            // Sometimes the server is an older one again, from before the last change.
            if agent.disk.spare == Some(Spare::Previous(backup.current.clone())) && random(2) == 0 {
                server = backup;
            }
            let old = server.current.clone();
            let was_asked = server.renew != server.renewed;
            let quiet = (0..8).map(|_| agent.exchange(&mut server, true, 9)).collect::<Vec<_>>();
            assert!(quiet[2..].iter().all(|admitted| *admitted), "seed {seed}: {quiet:?}");
            assert_eq!(server.renew, server.renewed, "seed {seed}");
            assert_eq!(agent.disk.current, server.current, "seed {seed}");
            assert!(!was_asked || !server.admits(&old), "seed {seed}: the old one still counts");
        }
    }

    #[test]
    fn without_a_second_one_there_is_nothing_else_to_show() {
        let mut keys = Keys::new(credential(1), None);
        assert!(!keys.refused());
        assert_eq!(keys.shown(), &credential(1));
        keys.asked(1, credential(2));
        assert!(keys.refused());
        assert_eq!(keys.shown(), &credential(2));
        assert!(!keys.refused(), "neither is known: no third try at once");
        assert_eq!(keys.shown(), &credential(1));
    }
}
