//! What is told when: grouping, quiet hours and silences. Without I/O and without a clock.

use super::alert::{Alert, Told};
use super::board::{Board, Now};
use super::notice::{Notice, Turn};
use super::quiet::Quiet;
use super::silence::Silence;

/// After a notice of so many alerts, the next ones are gathered for longer: where so much happens at once, more follows.
const MANY: usize = 5;

/// How things are told.
#[derive(Debug, Clone, PartialEq)]
pub struct Manner {
    /// When nothing is sent.
    pub quiet: Option<Quiet>,
    /// What else happens in this time goes along, in milliseconds.
    pub wait_ms: u64,
    /// After a notice of many alerts, so long at least to the next one, in milliseconds.
    pub interval_ms: u64,
}

/// Since when something waits to be told, and when that last happened.
#[derive(Debug, Clone, Default)]
pub struct Telling {
    armed: Option<u64>,
    last: Option<(u64, usize)>,
}

/// What one round of telling needs.
pub struct Round<'a> {
    /// How things are told.
    pub manner: &'a Manner,
    /// What is not.
    pub silences: &'a [Silence],
    /// To whom: names of targets.
    pub targets: &'a [String],
    /// The id of the newest notice: raised by those that are made.
    pub newest: &'a mut u64,
    /// A new key for each notice.
    pub key: &'a mut dyn FnMut() -> String,
}

impl Telling {
    /// Notices that are due now.
    pub fn pass(&mut self, board: &mut Board, round: Round<'_>, now: Now) -> Vec<Notice> {
        let silenced =
            |alert: &Alert| round.silences.iter().any(|silence| !silence.is_over(now.wall_ms) && silence.covers(alert));
        let changed: Vec<(u64, bool)> = board
            .firing()
            .chain(board.untold())
            .map(|alert| (alert, alert.is_firing() && silenced(alert)))
            .filter(|(alert, is_silenced)| alert.is_firing() && alert.silenced != *is_silenced)
            .map(|(alert, is_silenced)| (alert.id, is_silenced))
            .collect();
        for (id, is_silenced) in changed {
            board.change(id, |alert| alert.silenced = is_silenced);
        }
        // What nobody is to hear of any more.
        let drops = round.manner.quiet.is_some_and(|quiet| quiet.drops);
        let unsaid: Vec<u64> = board
            .untold()
            .filter(|alert| alert.untold_begin && alert.untold_end && (alert.silenced || alert.held && drops))
            .map(|alert| alert.id)
            .collect();
        unsaid.into_iter().for_each(|id| board.change(id, Alert::said));

        let due: Vec<(u64, Turn)> = board.untold().filter_map(|alert| Some((alert.id, turn(alert)?))).collect();
        if due.is_empty() {
            self.armed = None;
            return Vec::new();
        }
        if round.manner.quiet.is_some_and(|quiet| quiet.is_now(now.wall_ms)) {
            for (id, _) in due {
                if board.alerts().get(&id).is_some_and(|alert| !alert.held) {
                    board.change(id, |alert| alert.held = true);
                }
            }
            return Vec::new();
        }
        let armed = *self.armed.get_or_insert(now.monotonic_ms);
        let waited = now.monotonic_ms.saturating_sub(armed) >= round.manner.wait_ms;
        let rested = self
            .last
            .is_none_or(|(at, count)| count < MANY || now.monotonic_ms.saturating_sub(at) >= round.manner.interval_ms);
        if !(waited && rested) {
            return Vec::new();
        }
        self.armed = None;
        self.last = Some((now.monotonic_ms, due.len()));
        let mut notices = Vec::new();
        for target in round.targets {
            let knows = |alert: &Alert| alert.told.iter().any(|told| told.to == *target);
            let told: Vec<(&Alert, Turn)> = due
                .iter()
                .filter_map(|(id, turn)| Some((board.alerts().get(id)?, *turn)))
                .filter(|(alert, turn)| *turn != Turn::Ended || knows(alert))
                .collect();
            if !told.is_empty() {
                *round.newest += 1;
                notices.push(Notice::new(*round.newest, &(round.key)(), target, now.wall_ms, &told));
            }
        }
        for notice in &notices {
            for (id, _) in &notice.turns {
                board.change(*id, |alert| {
                    alert.told.retain(|told| told.to != notice.to);
                    alert.told.push(Told { to: notice.to.clone(), notice: notice.id, lost: false });
                });
            }
        }
        due.into_iter().for_each(|(id, _)| board.change(id, Alert::said));
        notices
    }
}

/// What is to be told of it now, if anything.
fn turn(alert: &Alert) -> Option<Turn> {
    match (alert.untold_begin, alert.untold_end) {
        (true, true) => Some(Turn::CameAndWent),
        (true, false) => (!alert.silenced).then_some(Turn::Began),
        // Who was told that it began wants to know.
        (false, true) => Some(Turn::Ended),
        (false, false) => None,
    }
}
