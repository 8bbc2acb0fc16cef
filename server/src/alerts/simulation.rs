//! Random histories of containers on some hosts, while the server dies at any point, commits fail, and what happened is told
//! late. Whatever happens, each alert is told once, once more when it is over, and what nobody asked for is told.

use super::alert::{Alert, Stage};
use super::board::Now;
use super::looks::{ContainerLook, HostLook, Presence};
use super::notice::{Notice, Turn};
use super::rules::{Rule, Rules};
use super::seen::{Action, Seen, What};
use super::tests::{BEGIN_MS, Fleet, exited, id, labels, running};
use super::{Live, Position, Set, imports, key, note_import, setting};
use crate::api::types::{AlertRule, AlertSettings, NewAlertTarget};
use crate::store::{AlertRow, AlertSettingRow, NoticeRow, Write};
use muster_protocol::id::HostId;
use muster_protocol::seeded::{Random, for_seeds};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

/// Histories in an ordinary run.
const HISTORIES: u64 = 60;
/// Why a crash may be told to nobody.
const SUPERSEDED: [&str; 2] = [super::happened::LOOPS, "it ran out of memory"];
const HOSTS: u8 = 3;
const CONTAINERS: u8 = 4;

/// What a power cut leaves.
#[derive(Default, Clone)]
struct Durable {
    settings: BTreeMap<String, AlertSettingRow>,
    alerts: BTreeMap<u64, AlertRow>,
    notices: BTreeMap<u64, NoticeRow>,
}

impl Durable {
    fn commit(&mut self, writes: &[Write]) {
        for write in writes.iter().cloned() {
            match write {
                Write::AlertSetting(row) => drop(self.settings.insert(row.key.clone(), row)),
                Write::Alert(row) => drop(self.alerts.insert(row.id, row)),
                Write::AlertGone(id) => drop(self.alerts.remove(&id)),
                Write::Notice(row) => {
                    let before = self.notices.insert(row.id, row.clone());
                    assert!(before.is_none_or(|before| before == row), "two notices have one number");
                }
                other => panic!("no write of alerts: {other:?}"),
            }
        }
    }

    fn load(&self) -> (Live, Option<Position>) {
        let rows = (
            self.settings.values().cloned().collect(),
            self.alerts.values().cloned().collect(),
            self.notices.values().cloned().collect(),
        );
        Live::restored(rows, 0)
    }
}

struct World {
    random: Random,
    fleet: Fleet,
    history: Vec<Seen>,
    durable: Durable,
    live: Live,
    position: Option<Position>,
    /// True in memory, and not yet stored.
    unstored: Vec<Write>,
    wall_ms: i64,
    /// When the server was started.
    started_ms: i64,
    /// What happened to containers while their host was heard, and has to be told.
    failed: BTreeSet<(HostId, u8, Rule)>,
    /// The events that each rule may tell of: no others.
    causes: BTreeMap<Rule, BTreeSet<u64>>,
    /// Ends that nobody asked for, before a host joined, too.
    ends: BTreeSet<u64>,
    /// Ends that only the stop behind them explains: until then one may be what completes a loop.
    doubtful: BTreeSet<u64>,
    /// Hosts that were away at some time.
    away: BTreeSet<HostId>,
    /// The server neither dies nor fails any more.
    calm: bool,
    /// Alerts that were seen firing.
    fired: BTreeMap<u64, Alert>,
}

impl World {
    fn new(random: Random) -> World {
        let mut durable = Durable::default();
        let target = NewAlertTarget {
            name: "ops".into(),
            kind: "webhook".into(),
            url: Some("http://127.0.0.1:1/".into()),
            ..NewAlertTarget::default()
        };
        durable.commit(&[
            setting(format!("{}ops", key::TARGET), &target),
            setting(key::SETTINGS, &AlertSettings { group_interval_s: 7, ..AlertSettings::default() }),
        ]);
        let (live, position) = durable.load();
        let fleet = Fleet::default();
        for host in 0..HOSTS {
            let name = format!("h{host}");
            // None is wholly there yet.
            let look = HostLook { name, imported: None, ..HostLook::default() };
            fleet.hosts.borrow_mut().insert(HostId([host; 8]), look);
        }
        World {
            random,
            fleet,
            history: Vec::new(),
            durable,
            live,
            position,
            unstored: Vec::new(),
            wall_ms: BEGIN_MS,
            started_ms: BEGIN_MS - 600_000,
            failed: BTreeSet::new(),
            causes: BTreeMap::new(),
            ends: BTreeSet::new(),
            doubtful: BTreeSet::new(),
            away: BTreeSet::new(),
            calm: false,
            fired: BTreeMap::new(),
        }
    }

    fn now(&self) -> Now {
        Now { wall_ms: self.wall_ms, monotonic_ms: (self.wall_ms - self.started_ms) as u64 }
    }

    fn happens(&mut self, host: HostId, container: u8, action: Action, age_ms: i64) {
        let what = What::Container {
            id: id(container),
            name: Some(format!("c{container}")),
            labels: labels(&[]),
            action,
            derived: false,
        };
        let seen = Seen {
            id: self.history.len() as u64 + 1,
            host,
            epoch: 1,
            seq: self.history.len() as u64 + 1,
            time_ms: self.wall_ms - age_ms,
            received_ms: self.wall_ms,
            what,
        };
        self.history.push(seen);
    }

    fn shows(&self, host: HostId, container: u8, look: ContainerLook) {
        self.fleet.containers.borrow_mut().insert((host, id(container)), look);
    }

    /// Something happens to a container, as Docker would tell it.
    fn story(&mut self) {
        let host = HostId([self.random.below(usize::from(HOSTS)) as u8; 8]);
        let container = self.random.below(usize::from(CONTAINERS)) as u8;
        let whole = (host, container);
        let told: (&[Action], ContainerLook) = match self.random.below(10) {
            0 => (&[Action::Die(Some(1))], exited(1)),
            1 => (&[Action::Die(Some(1)), Action::Start], running()),
            2 => (&[Action::Oom, Action::Die(Some(137)), Action::Start], running()),
            3 => (&[Action::Kill(Some(15)), Action::Die(Some(143)), Action::Stop], exited(143)),
            4 => (
                &[Action::Kill(Some(9)), Action::Die(Some(137)), Action::Stop, Action::Start, Action::Restart],
                running(),
            ),
            5 => (&[Action::Start], running()),
            6 => (&[Action::Die(Some(0))], exited(0)),
            7 => (&[Action::Unhealthy], running()),
            8 => (&[Action::Die(Some(137)), Action::Oom, Action::Start], running()),
            _ => (&[Action::Kill(Some(28)), Action::Die(Some(1)), Action::Stop], exited(1)),
        };
        let age_ms = if self.random.one_in(10) { 3_600_000 } else { 0 };
        // What ends has been started.
        self.happens(host, container, Action::Start, age_ms);
        let is_asked = told.0.iter().any(|action| matches!(action, Action::Kill(_)));
        let ran_out = told.0.contains(&Action::Oom);
        for action in told.0 {
            self.happens(host, container, *action, age_ms);
            let event = self.history.len() as u64;
            let (rule, has_to_be_told) = match action {
                Action::Die(_) if is_asked => (None, false),
                Action::Die(Some(1)) => (Some(Rule::Crashed), true),
                Action::Die(_) => (None, false),
                Action::Oom => (Some(Rule::Oom), true),
                Action::Unhealthy => (Some(Rule::Unhealthy), true),
                _ => (None, false),
            };
            if matches!(action, Action::Die(_)) && !is_asked {
                self.ends.insert(event);
            }
            if !self.is_joined(host) {
                continue;
            }
            if let Some(rule) = rule {
                self.causes.entry(rule).or_default().insert(event);
                if has_to_be_told && age_ms == 0 {
                    self.failed.insert((whole.0, whole.1, rule));
                }
            }
            if matches!(action, Action::Die(_)) && !is_asked {
                self.causes.entry(Rule::RestartLoop).or_default().insert(event);
            }
            if matches!(action, Action::Die(_)) && told.0[0] == Action::Kill(Some(28)) {
                self.doubtful.insert(event);
            }
            // The server reads whatever there is: a story in parts, too. The kernel's word comes at once.
            if !ran_out && self.random.one_in(6) {
                self.pass();
            }
        }
        self.shows(host, container, told.1);
    }

    /// A host's first list: what was told before it is of the time before it joined.
    fn list_comes(&mut self, host: HostId) {
        let until = self.history.len() as u64;
        if let Some(look) = self.fleet.hosts.borrow_mut().get_mut(&host).filter(|look| look.imported.is_none()) {
            look.imported = Some((1, until));
            self.durable.commit(&[note_import(host, (1, until))]);
        }
    }

    fn is_joined(&self, host: HostId) -> bool {
        self.fleet.hosts.borrow().get(&host).is_some_and(|look| look.imported.is_some())
    }

    fn host_comes_or_goes(&mut self) {
        let host = HostId([self.random.below(usize::from(HOSTS)) as u8; 8]);
        let presence = [Presence::There, Presence::Silent, Presence::Away][self.random.below(3)];
        self.list_comes(host);
        if presence == Presence::Away {
            self.away.insert(host);
        }
        if let Some(look) = self.fleet.hosts.borrow_mut().get_mut(&host) {
            look.presence = presence;
        }
    }

    /// One round of the server, which may die before, in and behind it, or fail to store.
    fn pass(&mut self) {
        if !self.calm && self.random.one_in(12) {
            return self.restart();
        }
        if !self.store() {
            return;
        }
        let now = self.now();
        let cursor = self.live.board.cursor;
        let limit = 1 + self.random.below(20);
        let events: Vec<Seen> = self.history.iter().skip(cursor as usize).take(limit).cloned().collect();
        let more = events.len() == limit;
        let live = &mut self.live;
        for seen in &events {
            live.board.take(seen, &live.set.rules, &self.fleet, now);
        }
        for (host, look) in self.fleet.hosts.borrow().iter() {
            live.board.look_at_host(*host, look, &live.set.rules, now);
        }
        if !more {
            live.board.pass(&live.set.rules, &self.fleet, now);
        }
        let done = live.tell(self.position, now);
        self.position = done.position;
        self.unstored = done.writes;
        if !self.calm && self.random.one_in(12) {
            return self.restart();
        }
        self.store();
    }

    /// Whether nothing is left to be stored.
    fn store(&mut self) -> bool {
        match self.random.below(12) {
            _ if self.calm => {}
            0 => return self.unstored.is_empty(),
            // It failed, and nobody knows that it happened.
            1 => {
                self.durable.commit(&self.unstored);
                return self.unstored.is_empty();
            }
            _ => {}
        }
        self.durable.commit(&self.unstored);
        self.unstored.clear();
        let board = &self.live.board;
        for alert in board.firing().filter(|alert| alert.rule == Rule::RestartLoop) {
            let crash = board.active(Rule::Crashed, &alert.subject);
            assert!(crash.is_none_or(|crash| !crash.is_firing()), "a loop and a crash: {crash:?}");
        }
        for alert in board.alerts().values().filter(|alert| alert.stage != Stage::Pending) {
            self.fired.insert(alert.id, alert.clone());
        }
        true
    }

    fn restart(&mut self) {
        self.wall_ms += 3_000;
        self.started_ms = self.wall_ms;
        (self.live, self.position) = self.durable.load();
        self.unstored.clear();
        let imports = imports(&self.durable.settings.values().cloned().collect::<Vec<_>>());
        for (host, look) in self.fleet.hosts.borrow_mut().iter_mut() {
            look.imported = imports.get(host).copied();
        }
        let cursor = self.live.board.cursor;
        self.history.iter().take(cursor as usize).for_each(|seen| self.live.board.recall(seen));
    }

    fn run(&mut self) {
        for _ in 0..150 {
            match self.random.below(10) {
                0..=2 => self.story(),
                3 => self.host_comes_or_goes(),
                4 => self.wall_ms += 60_000,
                _ => {
                    self.wall_ms += 1_000;
                    self.pass();
                }
            }
        }
        // Everything becomes well, and nothing fails any more.
        self.calm = true;
        self.fleet.hosts.borrow_mut().values_mut().for_each(|look| look.presence = Presence::There);
        for host in 0..HOSTS {
            for container in 0..CONTAINERS {
                self.shows(HostId([host; 8]), container, running());
            }
        }
        for _ in 0..600 {
            self.wall_ms += 2_000;
            self.pass();
        }
    }

    fn check(&self) {
        let mut silent: BTreeSet<u64> = BTreeSet::new();
        let mut turns: BTreeMap<u64, Vec<Turn>> = BTreeMap::new();
        for row in self.durable.notices.values() {
            for (id, turn) in Notice::read(row).expect("a notice").turns {
                turns.entry(id).or_default().push(turn);
            }
        }
        for alert in self.fired.keys() {
            let stored = self.durable.alerts.get(alert).and_then(Alert::read).expect("stored");
            assert_eq!(stored.stage, Stage::Ended, "all is well: {stored:?}");
            let told = turns.remove(alert).unwrap_or_default();
            if told.is_empty() {
                // Another alert has taken its place before it was told: that one is.
                let why = stored.attributes.get("ended").map_or("", String::as_str);
                assert!(stored.rule == Rule::Crashed && SUPERSEDED.contains(&why), "nobody was told: {stored:?}");
                silent.insert(*alert);
                continue;
            }
            assert!(
                told == [Turn::Began, Turn::Ended] || told == [Turn::CameAndWent],
                "told once, and once that it is over: {told:?} of {stored:?}"
            );
        }
        assert!(turns.is_empty(), "told of what was never shown: {turns:?}");
        let about = |host: HostId, container: u8, rules: &[Rule]| {
            let subject = super::alert::Subject::container(host, id(container));
            let told = self.fired.values().filter(|alert| !silent.contains(&alert.id));
            told.into_iter().any(|alert| alert.subject == subject && rules.contains(&alert.rule))
        };
        for (host, container, rule) in &self.failed {
            let rules = match rule {
                // What crashes again and again is a loop.
                Rule::Crashed => &[Rule::Crashed, Rule::RestartLoop][..],
                rule => std::slice::from_ref(rule),
            };
            assert!(about(*host, *container, rules), "nobody was told of {rule:?} of {container} on {host}");
        }
        let mut told_of = BTreeSet::new();
        for alert in self.fired.values() {
            let Some(container) = alert.subject.container else {
                let is_away = alert.rule == Rule::HostAway && self.away.contains(&alert.subject.host);
                assert!(is_away, "nothing happened to the host: {alert:?}");
                continue;
            };
            let is_doubtful = alert.rule == Rule::RestartLoop && self.doubtful.contains(&alert.event);
            let is_cause = self.causes.get(&alert.rule).is_some_and(|events| events.contains(&alert.event));
            let is_cause = is_cause || is_doubtful;
            assert!(is_cause, "nothing like it happened: {alert:?}");
            assert!(told_of.insert((alert.rule, alert.event)), "two alerts of one event: {alert:?}");
            let of = |seen: &&Seen| {
                seen.host == alert.subject.host && matches!(seen.what, What::Container { id, .. } if id == container)
            };
            let seen = self.history.get(alert.event as usize - 1).filter(of);
            assert!(seen.is_some(), "it happened to another one: {alert:?}");
            if alert.rule == Rule::RestartLoop {
                let ends = self.history.iter().filter(of);
                let ends = ends.filter(|seen| seen.id <= alert.event && self.ends.contains(&seen.id));
                assert!(ends.count() + usize::from(is_doubtful) >= 5, "no loop: {alert:?}");
            }
        }
    }
}

/// A server with a rule turned off takes an end, the rule is turned on, and it starts again.
#[test]
fn what_was_no_alert_by_the_rules_of_its_time_is_none_behind_a_restart() {
    let settings = |enabled| {
        let rule = AlertRule { enabled, ..Rules::default().describe().collect::<BTreeMap<_, _>>()["crashed"].clone() };
        let rules = BTreeMap::from([("crashed".to_owned(), rule)]);
        Set::read(AlertSettings { rules, ..AlertSettings::default() }).expect("it makes sense")
    };
    let mut world = World::new(Random::of(1));
    world.list_comes(HostId([0; 8]));
    world.live.set = settings(false);
    let position = setting(key::POSITION, &world.live.position());
    world.durable.commit(&[setting(key::SETTINGS, &world.live.set.settings), position]);
    (world.live, world.position) = world.durable.load();
    world.happens(HostId([0; 8]), 0, Action::Die(Some(1)), 0);
    world.shows(HostId([0; 8]), 0, exited(1));
    world.calm = true;
    world.pass();
    world.durable.commit(&world.live.settings(&settings(true), world.unstored.is_empty()));
    world.restart();
    for _ in 0..10 {
        world.wall_ms += 2_000;
        world.pass();
    }
    assert_eq!(world.live.board.alerts().len(), 0);
    // From now on it is one.
    world.happens(HostId([0; 8]), 0, Action::Start, 0);
    world.happens(HostId([0; 8]), 0, Action::Die(Some(1)), 0);
    for _ in 0..10 {
        world.wall_ms += 2_000;
        world.pass();
    }
    assert_eq!(world.live.board.firing().count(), 1);
}

#[test]
fn whatever_happens_each_alert_is_told_once_and_once_that_it_is_over() {
    let told = Cell::new(0);
    for_seeds(HISTORIES, |random| {
        let mut world = World::new(Random::of(random.number()));
        world.run();
        world.check();
        told.set(told.get() + world.fired.len());
    });
    // One that is run alone may be quiet.
    assert!(std::env::var_os("MUSTER_SEED").is_some() || told.get() > 100, "too quiet: {}", told.get());
}
