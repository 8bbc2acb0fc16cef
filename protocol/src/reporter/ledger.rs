//! What the server has of the containers, as far as this end knows: so that a report sends what has changed, and a
//! sum over everything by which the server proves that its copy is the host's.
//!
//! What was sent counts as arrived until there is a reason to doubt it. That may be wrong without harm: then the
//! sum does not hold, the server says so, and the next report has everything. After two of those that did not help,
//! something is wrong that sending more will not mend, and everything goes at most once in a while.

use crate::batch::{Answer, Differs, Digest, ListEnd, sum};

/// Whole reports that may differ before they become rare.
const FAILURES: u8 = 2;

/// What the server has of one container: a sum over its body; 0 for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Known(u64);

impl Known {
    /// Whether the server has anything of it.
    pub fn is_something(self) -> bool {
        self != Known::default()
    }
}

/// What the server has, and whether that is certain.
#[derive(Debug)]
pub struct Ledger {
    /// The next report is to have everything.
    everything: bool,
    /// Changes have been sent, or were to be, since an answer last confirmed all.
    unconfirmed: bool,
    /// Whole reports in a row that the server could not prove.
    failures: u8,
    /// The number of the last report that had everything; 0 if its answer has come.
    whole: u64,
    /// The number of the last report.
    last: u64,
}

/// One report that is being made.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    /// Whether it has everything, and not only changes.
    pub everything: bool,
    seq: u64,
    /// Whether the server can do with a digest.
    digest: bool,
    total: u32,
    sum: u64,
}

impl Default for Ledger {
    fn default() -> Ledger {
        Ledger { everything: true, unconfirmed: false, failures: 0, whole: 0, last: 0 }
    }
}

impl Ledger {
    /// A report begins. `digest` tells whether the server understands a [`Digest`]: without, every report has
    /// everything. `rested` tells whether the last whole report is a minute ago or more.
    pub fn begin(&mut self, seq: u64, digest: bool, rested: bool) -> Report {
        let may = !self.is_failing() || rested;
        let everything = !digest || self.everything && may;
        Report { everything, seq, digest, total: 0, sum: 0 }
    }

    /// A container is read: `body` is what a record of it would say, `known` what the server has of it. Answers
    /// whether it is to be sent; then it counts as sent.
    pub fn changes(&mut self, body: &[u8], known: &mut Known) -> bool {
        let now = Known(sum(body));
        let changed = *known != now;
        *known = now;
        self.unconfirmed |= changed;
        changed
    }

    /// The server has a container that the host has not. Answers whether it is to be told; then it counts as told.
    pub fn is_gone(&mut self, known: &mut Known) -> bool {
        let was = core::mem::take(known).is_something();
        self.unconfirmed |= was;
        was
    }

    /// All of the report is on its way.
    pub fn finish(&mut self, report: &Report) {
        self.last = report.seq;
        if report.everything {
            self.whole = report.seq;
        }
    }

    /// Something that was sent, or was to be, may not arrive.
    pub fn doubt(&mut self) {
        self.everything |= self.unconfirmed || self.whole != 0;
        self.whole = 0;
    }

    /// The server has answered, and nothing that has changed is still on its way.
    pub fn answered(&mut self, answer: &Answer) {
        if answer.listed >= self.last {
            self.unconfirmed = false;
            self.everything = false;
            self.failures = 0;
            self.whole = 0;
        }
    }

    /// The server's copy is not what a report's digest is of. It may come when the next report is under way.
    pub fn differs(&mut self, differs: &Differs) {
        if differs.seq < self.whole {
            return; // Everything is on its way.
        }
        if differs.seq == self.whole {
            self.failures = self.failures.saturating_add(1);
        }
        self.everything = true;
        self.whole = 0;
    }

    /// Whether sending everything has not helped: then it is not worth hurrying.
    pub fn is_failing(&self) -> bool {
        self.failures >= FAILURES
    }
}

impl Report {
    /// A container of the list that is not hidden. Answers whether it is to be sent.
    pub fn see(&mut self, ledger: &mut Ledger, body: &[u8], known: &mut Known) -> bool {
        self.total += 1;
        self.sum = self.sum.wrapping_add(sum(body));
        ledger.changes(body, known) || self.everything
    }

    /// What the report ends with.
    pub fn end(&self, hidden: u32) -> (Option<ListEnd>, Option<Digest>) {
        let (seq, total) = (self.seq, self.total);
        let end = ListEnd { seq, total, hidden };
        let digest = Digest { seq, total, hidden, sum: self.sum.to_le_bytes() };
        (self.everything.then_some(end), self.digest.then_some(digest))
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
