//! Whether this copy is what the host has: held against the sum that comes with every report.

use super::{Effect, Held, Mirror, apply::container};
use crate::batch::{Digest, ListEnd, sum};
use crate::id::EngineId;
use alloc::vec::Vec;

impl Mirror {
    /// A report ends with this. If the list was sent whole, it has taken effect, and this proves the copy. If only
    /// its changes were sent, it takes effect now, as if everything had been sent, if what is held gives the sum.
    pub(super) fn digest(&mut self, digest: &Digest, effects: &mut Vec<Effect>) {
        if digest.seq < self.listed || digest.seq <= self.proven {
            return; // A late or repeated message: a newer list has said more.
        }
        let whole = digest.seq == self.listed;
        if !self.equals(digest) {
            self.differs = Some(digest.seq);
            if whole {
                effects.push(Effect::Proven(false));
            }
            return;
        }
        self.proven = digest.seq;
        if !whole {
            self.confirm(digest, effects);
        }
        effects.push(Effect::Proven(true));
    }

    fn equals(&self, digest: &Digest) -> bool {
        let existing = self.held.values().filter(|held| held.exists());
        let (count, all) =
            existing.fold((0u32, 0u64), |(count, all), held| (count + 1, all.wrapping_add(sum(&held.body))));
        count == digest.total && all == u64::from_le_bytes(digest.sum)
    }

    /// Everything that is held was listed, too.
    fn confirm(&mut self, digest: &Digest, effects: &mut Vec<Effect>) {
        let at = (self.place.epoch, digest.seq);
        for (id, held) in self.held.iter_mut().filter(|(_, held)| held.exists()) {
            held.listed = digest.seq;
            if held.touched < at {
                held.touched = at;
                held.show_unchanged(*id, held.heard.max(self.gap_at) < digest.seq, effects);
            }
        }
        self.listing = (digest.seq, digest.total);
        self.list_end(&ListEnd { seq: digest.seq, total: digest.total, hidden: digest.hidden }, effects);
    }
}

impl Held {
    /// A reading shows what the last one showed; `after` tells whether it was numbered after all events about it.
    pub(super) fn show_unchanged(&mut self, id: EngineId, after: bool, effects: &mut Vec<Effect>) {
        if self.settled {
            return;
        }
        let before = self.story;
        if let Some(shown) = container(&self.body) {
            self.story.show_unchanged(&shown, after);
        }
        if self.story != before {
            effects.push(Effect::Container { id, visible: false });
        }
    }
}
