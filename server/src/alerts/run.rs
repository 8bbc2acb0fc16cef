//! Alerts at work: reads what happened, looks at the fleet, stores what that means, and delivers.

use super::notice::Notice;
use super::outbox::{Attempts, pause_ms};
use super::recall::Recall;
use super::targets::{Failure, TIMEOUT};
use super::telling::Round;
use super::{Alerts, Live, Position, Unstored, key, random_hex, setting};
use crate::alerts::seen::Seen;
use crate::api::types::Change;
use crate::fleet::Fleet;
use crate::store::{StoreError, Write};
use futures_lite::future;
use smol::{Executor, Task, Timer};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// At least so often time passes for alerts.
const TICK: Duration = Duration::from_secs(1);
/// At most so often.
const PAUSE: Duration = Duration::from_millis(100);
/// Events that are taken at once.
const EVENTS: usize = 1_000;
/// How often the whole fleet is looked at, in milliseconds.
const LOOK_MS: u64 = 5_000;
/// How often what fires is looked at, in milliseconds.
const PASS_MS: u64 = 500;
/// So many events may pass of which nothing came before how far they were read is stored.
const PASSED: u64 = 1_000;

/// Keeps alerts at work until it is dropped.
pub async fn keep(fleet: Arc<Fleet>, executor: Arc<Executor<'static>>) {
    let mut deliverers: BTreeMap<String, (u64, Task<()>)> = BTreeMap::new();
    loop {
        let began = Instant::now();
        let more = match pass(&fleet).await {
            Ok(more) => more,
            Err(error) => {
                log::debug!("alerts wait for the store: {error}");
                false
            }
        };
        let targets: Vec<(String, u64)> = {
            let live = fleet.alerts().live();
            live.targets.iter().map(|(name, in_use)| (name.clone(), in_use.number)).collect()
        };
        deliverers.retain(|name, (number, _)| targets.iter().any(|it| it == &(name.clone(), *number)));
        for (name, number) in targets {
            deliverers.entry(name.clone()).or_insert_with(|| {
                let delivering = deliver(fleet.clone(), name, number);
                (number, executor.spawn(delivering))
            });
        }
        Timer::at(began + PAUSE).await;
        if !more {
            let tick = async {
                Timer::after(TICK).await;
            };
            future::or(fleet.alerts().touched.wait(), tick).await;
        }
    }
}

/// One round. Answers whether there is more to do at once.
pub(super) async fn pass(fleet: &Arc<Fleet>) -> Result<bool, StoreError> {
    let alerts = fleet.alerts();
    let mut turn = alerts.turn.lock().await;
    // What could not be stored before comes first: to repeat it is always right.
    alerts.store(fleet, &mut turn).await?;
    if !turn.recalled {
        let cursor = alerts.live().board.cursor;
        let recall = Recall::new(&alerts.live().set.rules);
        let recall = fleet.recall_events(cursor, recall).await?;
        let mut live = alerts.live();
        recall.seen().for_each(|seen| live.board.recall(seen));
        turn.recalled = true;
    }
    let cursor = alerts.live().board.cursor;
    let events = fleet.read_events(cursor, EVENTS).await?;
    let more = events.len() == EVENTS;
    let parts = alerts.touched.take();
    let now = fleet.now();
    let all = turn.looked_ms.is_none_or(|at| now.monotonic_ms.saturating_sub(at) >= LOOK_MS);
    if all {
        turn.looked_ms = Some(now.monotonic_ms);
    }
    let passes = turn.passed_ms.is_none_or(|at| now.monotonic_ms.saturating_sub(at) >= PASS_MS);
    if passes && !more {
        turn.passed_ms = Some(now.monotonic_ms);
    }
    let work = {
        let fleet = fleet.clone();
        let position = turn.position;
        move || {
            let mut live = fleet.alerts().live();
            let live = &mut *live;
            let rules = &live.set.rules;
            for row in &events {
                live.board.take(&Seen::of(row), rules, &fleet.as_seen(), now);
            }
            fleet.look_for_alerts(&mut live.board, rules, &parts, all, now);
            // While more events are known, how things look now is not yet what they lead to.
            if !more && passes {
                live.board.pass(rules, &fleet.as_seen(), now);
            }
            live.tell(position, now)
        }
    };
    let done = smol::unblock(work).await;
    turn.writes = done.writes;
    turn.shown = done.shown;
    turn.notices = done.notices;
    turn.position = done.position;
    alerts.store(fleet, &mut turn).await?;
    Ok(more)
}

impl Live {
    /// How far it has come.
    pub(super) fn position(&self) -> Position {
        Position { cursor: self.board.cursor, alert: self.board.newest, notice: self.notice }
    }

    /// What has become of it all: to be stored, shown and sent.
    pub(super) fn tell(&mut self, position: Option<Position>, now: crate::fleet::host::Now) -> Unstored {
        let targets: Vec<String> = self.targets.keys().cloned().collect();
        let round = Round {
            manner: &self.set.manner,
            silences: &self.silences,
            targets: &targets,
            newest: &mut self.notice,
            key: &mut random_hex::<16>,
        };
        let notices = self.telling.pass(&mut self.board, round, now);
        let (mut writes, shown) = self.board.drain();
        writes.extend(notices.iter().map(Notice::write));
        let reached = self.position();
        let passed = position.is_none_or(|stored| reached.cursor - stored.cursor.min(reached.cursor) >= PASSED);
        let position = if !writes.is_empty() || passed {
            writes.push(setting(key::POSITION, &reached));
            Some(reached)
        } else {
            position
        };
        Unstored { writes, shown, notices, position, ..Unstored::default() }
    }
}

impl Alerts {
    /// Makes durable what is true in memory; then shows and sends it.
    async fn store(&self, fleet: &Fleet, turn: &mut Unstored) -> Result<(), StoreError> {
        if !turn.writes.is_empty() {
            if !self.committer.may_try() {
                return Err(StoreError { message: "it has just failed".into() });
            }
            self.committer.commit(turn.writes.clone(), |_| {}).wait().await?;
            turn.writes.clear();
        }
        let mut live = self.live();
        for notice in turn.notices.drain(..) {
            let to = notice.to.clone();
            live.outbox.push(notice, fleet.now().monotonic_ms);
            live.wake(&to);
        }
        for id in turn.shown.drain(..) {
            if let Some(alert) = live.board.alerts().get(&id) {
                fleet.feed().publish_with(0, || Change::Alert(live.view(alert)));
            }
        }
        Ok(())
    }

    /// Notices wait no more: they were delivered, or are given up.
    async fn finish(&self, fleet: &Fleet, done: &[Arc<Notice>], delivered: bool) -> Result<(), StoreError> {
        let mut turn = self.turn.lock().await;
        let turn = &mut *turn;
        let mut writes: Vec<Write> = done.iter().map(|notice| Write::NoticeGone(notice.id)).collect();
        {
            let mut live = self.live();
            for notice in done {
                // Removed with its target, it counts no more.
                if !live.outbox.is_waiting(&notice.to, notice.id) {
                    continue;
                }
                live.outbox.remove(&notice.to, notice.id);
                let queue = live.outbox.of(&notice.to);
                if delivered {
                    queue.counts.delivered += 1;
                    queue.last_delivered_ms = Some(fleet.now().wall_ms);
                    queue.problem = None;
                } else {
                    queue.counts.dropped += 1;
                }
                writes.push(setting(format!("{}{}", key::COUNTS, notice.to), &queue.counts));
                for (id, _) in &notice.turns {
                    live.board.change(*id, |alert| {
                        for told in &mut alert.told {
                            told.lost |= !delivered && told.to == notice.to && told.notice == notice.id;
                        }
                    });
                }
            }
            let (changed, shown) = live.board.drain();
            // That an alert was delivered changes only how it is shown.
            writes.extend(if delivered { Vec::new() } else { changed });
            turn.writes.extend(writes);
            turn.shown.extend(shown);
        }
        self.store(fleet, turn).await
    }
}

/// Delivers to one target until that is another one.
async fn deliver(fleet: Arc<Fleet>, name: String, number: u64) {
    let alerts = fleet.alerts();
    let mut attempts = Attempts::default();
    loop {
        let next = {
            let live = alerts.live();
            let Some(in_use) = live.targets.get(&name).filter(|in_use| in_use.number == number) else { return };
            (live.outbox.next(&name), in_use.clone())
        };
        let (Some(notice), in_use) = next else {
            let wake = {
                let live = alerts.live();
                live.targets.get(&name).map(|in_use| in_use.wake.1.clone())
            };
            match wake {
                Some(wake) => drop(wake.recv().await),
                None => return,
            }
            continue;
        };
        let body = notice.body.clone();
        let sending = smol::unblock(move || in_use.target.send(&body));
        let late = async {
            Timer::after(TIMEOUT * 2).await;
            Err(Failure { message: "it did not answer in time".into(), refused: false })
        };
        let (finished, delivered) = match future::or(sending, late).await {
            Ok(()) => {
                attempts = Attempts::default();
                (vec![notice], true)
            }
            Err(failure) => {
                let is_refused = attempts.fail(notice.id, failure.refused);
                note(alerts, &name, &failure, attempts.failed, is_refused);
                if is_refused {
                    attempts = Attempts::default();
                    (vec![notice], false)
                } else {
                    let random = crate::access::secret::random::<1>().map_or(128, |[byte]| byte);
                    Timer::after(Duration::from_millis(pause_ms(attempts.failed, random))).await;
                    let expired = alerts.live().outbox.expired(fleet.now().monotonic_ms);
                    (expired.into_iter().filter(|it| it.to == name).collect(), false)
                }
            }
        };
        if finished.is_empty() {
            continue;
        }
        // Until it is noted, it would be sent again after a restart: nothing else is sent meanwhile.
        while let Err(error) = alerts.finish(&fleet, &finished, delivered).await {
            log::debug!("alerts: cannot store what was delivered: {error}");
            Timer::after(TICK).await;
        }
    }
}

fn note(alerts: &Alerts, name: &str, failure: &Failure, failed: u32, is_refused: bool) {
    if is_refused {
        log::warn!("alerts: {name} does not take a notice, which is given up: {}", failure.message);
    } else if failed == 1 {
        log::warn!("alerts: cannot deliver to {name}, and try again: {}", failure.message);
    }
    alerts.live().outbox.of(name).problem = Some(failure.message.clone());
}
