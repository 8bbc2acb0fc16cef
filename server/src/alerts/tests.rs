//! What is an alert and what is none.

use super::alert::{Alert, Stage, Subject};
use super::board::{Board, Now};
use super::looks::{Container, ContainerLook, HostLook, Presence, VitalsLook, World};
use super::rules::{Rule, Rules};
use super::seen::{Action, Seen, What};
use muster_protocol::id::{EngineId, HostId};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// When tests begin: 2026.
pub(super) const BEGIN_MS: i64 = 1_795_000_000_000;
pub(super) const PI: HostId = HostId([1; 8]);

/// A fleet to look at.
#[derive(Default)]
pub(super) struct Fleet {
    pub hosts: RefCell<BTreeMap<HostId, HostLook>>,
    pub containers: RefCell<BTreeMap<(HostId, EngineId), ContainerLook>>,
}

impl World for Fleet {
    fn host(&self, id: HostId) -> Option<HostLook> {
        self.hosts.borrow().get(&id).cloned()
    }

    fn container(&self, host: HostId, id: &EngineId) -> ContainerLook {
        self.containers.borrow().get(&(host, *id)).cloned().unwrap_or(ContainerLook::Gone)
    }
}

pub(super) fn id(number: u8) -> EngineId {
    EngineId([number; 32])
}

/// A board, a host called `pi`, and the time.
struct Bench {
    board: Board,
    rules: Rules,
    fleet: Fleet,
    now_ms: u64,
    /// By how much the host's clock is ahead.
    clock_ms: i64,
    next: u64,
}

impl Bench {
    fn new() -> Bench {
        let fleet = Fleet::default();
        let look = HostLook { name: "pi".into(), labels: labels(&[("site", "attic")]), ..HostLook::default() };
        fleet.hosts.borrow_mut().insert(PI, look);
        // Long after the server's start: nothing is late by itself.
        Bench { board: Board::default(), rules: Rules::default(), fleet, now_ms: 600_000, clock_ms: 0, next: 1 }
    }

    fn now(&self) -> Now {
        Now { wall_ms: BEGIN_MS + self.now_ms as i64, monotonic_ms: self.now_ms }
    }

    fn happens(&mut self, what: What, age_ms: i64, epoch: u64) {
        let now = self.now();
        let seen = Seen {
            id: self.next,
            host: PI,
            epoch,
            seq: self.next,
            time_ms: now.wall_ms + self.clock_ms - age_ms,
            received_ms: now.wall_ms,
            what,
        };
        self.next += 1;
        self.board.take(&seen, &self.rules, &self.fleet, now);
    }

    /// An event of the container with this number, which is called `web`.
    fn event(&mut self, number: u8, action: Action) {
        self.old_event(number, action, 0);
    }

    fn old_event(&mut self, number: u8, action: Action, age_ms: i64) {
        let what = What::Container {
            id: id(number),
            name: Some("web".into()),
            labels: labels(&[("app", "shop")]),
            action,
            derived: false,
        };
        self.happens(what, age_ms, 1);
    }

    fn derived(&mut self, number: u8, action: Action) {
        let (name, labels) = (Some("web".into()), BTreeMap::new());
        self.happens(What::Container { id: id(number), name, labels, action, derived: true }, 0, 1);
    }

    fn shows(&self, number: u8, look: ContainerLook) {
        self.fleet.containers.borrow_mut().insert((PI, id(number)), look);
    }

    /// One rule is set, the others are as they were.
    fn set(&mut self, rule: &str, wanted: crate::api::types::AlertRule) {
        let mut rules: BTreeMap<_, _> = self.rules.describe().collect();
        rules.insert(rule.to_owned(), wanted);
        let settings = crate::api::types::AlertSettings { rules, ..Default::default() };
        self.rules = Rules::read(&settings).expect("it makes sense");
    }

    fn host(&self, change: impl FnOnce(&mut HostLook)) {
        if let Some(look) = self.fleet.hosts.borrow_mut().get_mut(&PI) {
            change(look);
        }
    }

    /// Time passes second by second.
    fn wait(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now_ms += 1_000;
            let now = self.now();
            if let Some(look) = self.fleet.host(PI) {
                self.board.look_at_host(PI, &look, &self.rules, now);
            }
            self.board.pass(&self.rules, &self.fleet, now);
        }
    }

    /// What people see, in the order in which it began.
    fn alerts(&self) -> Vec<String> {
        let shown = self.board.alerts().values().filter(|alert| alert.stage != Stage::Pending);
        shown
            .map(|alert| match alert.attributes.get("ended") {
                Some(why) => format!("{}: {why}", alert.rule.word()),
                None => alert.rule.word().to_owned(),
            })
            .collect()
    }

    fn only(&self) -> &Alert {
        assert_eq!(self.board.alerts().len(), 1);
        self.board.alerts().values().next().expect("one")
    }
}

pub(super) fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

pub(super) fn running() -> ContainerLook {
    ContainerLook::There(Container { name: "web".into(), runs: true, ..Container::default() })
}

pub(super) fn exited(code: i32) -> ContainerLook {
    ContainerLook::There(Container { name: "web".into(), exit_code: Some(code), ..Container::default() })
}

fn unhealthy() -> ContainerLook {
    ContainerLook::There(Container { name: "web".into(), runs: true, unhealthy: true, ..Container::default() })
}

use Action::{Create, Destroy, Die, Kill, Oom, Restart, Start, Stop, Unhealthy};

const TERM: Action = Kill(Some(15));
const KILL: Action = Kill(Some(9));
const HUP: Action = Kill(Some(1));
/// The signal that stops Apache, and others do not end by.
const WINCH: Action = Kill(Some(28));

/// Events of one container, what a look at it shows then, and what is an alert after ten seconds.
type Story = (&'static str, &'static [Action], fn() -> ContainerLook, &'static [&'static str]);

fn gone() -> ContainerLook {
    ContainerLook::Gone
}

#[test]
fn the_truth_about_ends() {
    let stories: &[Story] = &[
        ("it ends well", &[Start, Die(Some(0))], || exited(0), &[]),
        ("it crashes", &[Start, Die(Some(1))], || exited(1), &["crashed"]),
        ("it crashes, and its restart policy starts it", &[Start, Die(Some(1)), Start], running, &["crashed"]),
        ("docker stop, and it obeys", &[TERM, Die(Some(143)), Stop], || exited(143), &[]),
        ("docker stop, and it ends well", &[TERM, Die(Some(0)), Stop], || exited(0), &[]),
        ("docker stop, and it fails over it", &[TERM, Die(Some(1)), Stop], || exited(1), &[]),
        ("docker stop, and it does not obey", &[TERM, KILL, Die(Some(137)), Stop], || exited(137), &[]),
        ("docker stop by a signal of its own", &[WINCH, Die(Some(1)), Stop], || exited(1), &[]),
        ("Podman tells the stop first", &[Stop, Die(Some(137))], || exited(137), &[]),
        ("docker kill", &[KILL, Die(Some(137))], || exited(137), &[]),
        ("docker kill -s TERM", &[TERM, Die(Some(143))], || exited(143), &[]),
        ("docker restart", &[TERM, Die(Some(143)), Stop, Start, Restart], running, &[]),
        ("docker restart by force", &[TERM, KILL, Die(Some(137)), Stop, Start, Restart], running, &[]),
        ("docker rm -f", &[KILL, Die(Some(137)), Destroy], gone, &[]),
        ("137 and nobody killed it", &[Start, Die(Some(137))], || exited(137), &["crashed"]),
        ("143 and nobody stopped it", &[Start, Die(Some(143))], || exited(143), &["crashed"]),
        ("told to read its settings again, it crashes", &[HUP, Die(Some(1))], || exited(1), &["crashed"]),
        ("a kill that was for the run before", &[TERM, Start, Die(Some(1))], || exited(1), &["crashed"]),
        (
            "a stop of the next run",
            &[Die(Some(1)), Start, TERM, Die(Some(0)), Stop],
            || exited(0),
            &["crashed: stopped on request"],
        ),
        (
            "docker kill of the next run, behind which no stop is told",
            &[Die(Some(1)), Start, KILL, Die(Some(137))],
            || exited(137),
            &["crashed: stopped on request"],
        ),
        (
            "a stop while it waits to be started again",
            &[Start, Die(Some(1)), Stop],
            || exited(1),
            &["crashed: stopped on request"],
        ),
        ("Podman restarts it by its policy", &[Start, Die(Some(1)), Restart, Start], running, &["crashed"]),
        ("podman restart", &[Start, Die(Some(143)), Restart, Start], running, &[]),
        ("docker run --rm fails", &[Start, Die(Some(1)), Destroy], gone, &["crashed: the container was removed"]),
        ("it runs out of memory", &[Oom, Die(Some(137))], || exited(137), &["oom"]),
        ("the kernel's word comes behind the end", &[Die(Some(137)), Oom], || exited(137), &["oom"]),
        ("it comes even behind the next start", &[Die(Some(137)), Start, Oom], running, &["oom"]),
        (
            "and the next run crashes for another reason",
            &[Die(Some(137)), Start, Oom, Die(Some(1))],
            || exited(1),
            &["oom", "crashed"],
        ),
        (
            "twice, the kernel late each time",
            &[Die(Some(137)), Oom, Start, Die(Some(137)), Oom],
            || exited(137),
            &["oom"],
        ),
        (
            "twice within seconds, the kernel late the first time",
            &[Die(Some(137)), Start, Oom, Die(Some(137))],
            || exited(137),
            &["oom"],
        ),
        (
            "told twice, late, and the next run crashes for another reason",
            &[Die(Some(137)), Oom, Start, Oom, Die(Some(1))],
            || exited(1),
            &["oom", "crashed"],
        ),
        ("a crash, and the next run is short of memory", &[Die(Some(1)), Start, Oom], running, &["crashed", "oom"]),
        ("a process of it runs out of memory", &[Oom], running, &["oom"]),
        (
            "stopped after it ran out of memory",
            &[Oom, TERM, Die(Some(0)), Stop],
            || exited(0),
            &["oom: stopped on request"],
        ),
        (
            "out of memory in the run before",
            &[Oom, Die(Some(137)), Start, Die(Some(1))],
            || exited(1),
            &["oom", "crashed"],
        ),
        ("its check fails", &[Unhealthy], unhealthy, &["unhealthy"]),
        ("no code is known", &[Die(None)], || exited(1), &[]),
    ];
    for (what, actions, look, expected) in stories {
        let mut bench = Bench::new();
        for action in *actions {
            bench.event(1, *action);
        }
        bench.shows(1, look());
        bench.wait(11);
        assert_eq!(bench.alerts(), *expected, "{what}");
    }
}

#[test]
fn the_kernels_word_ends_a_crash_that_was_told_before_it() {
    let mut bench = Bench::new();
    bench.shows(1, exited(137));
    bench.event(1, Die(Some(137)));
    bench.wait(7);
    assert_eq!(bench.alerts(), ["crashed"]);
    bench.event(1, Oom);
    bench.wait(1);
    assert_eq!(bench.alerts(), ["crashed: it ran out of memory", "oom"]);
    // Nobody was told of it yet, and nobody will.
    assert_eq!(bench.board.untold().map(|alert| alert.rule).collect::<Vec<_>>(), [Rule::Oom]);
}

#[test]
fn whoever_was_told_of_a_crash_hears_that_it_is_over_when_it_was_something_else() {
    let mut bench = Bench::new();
    bench.shows(1, exited(137));
    bench.event(1, Die(Some(137)));
    bench.wait(7);
    let id = bench.only().id;
    bench.board.change(id, |alert| alert.untold_begin = false);
    bench.event(1, Oom);
    let untold: Vec<_> = bench.board.untold().map(|alert| (alert.rule, alert.untold_end)).collect();
    assert_eq!(untold, [(Rule::Crashed, true), (Rule::Oom, false)]);
}

#[test]
fn a_crash_long_after_a_process_ran_out_of_memory_is_one() {
    let mut bench = Bench::new();
    bench.shows(1, running());
    bench.event(1, Start);
    bench.event(1, Oom);
    bench.wait(600);
    assert_eq!(bench.alerts(), ["oom: it runs again"]);
    bench.event(1, Die(Some(1)));
    bench.wait(10);
    assert_eq!(bench.alerts(), ["oom: it runs again", "crashed"]);
}

#[test]
fn memory_that_ran_out_is_a_crash_where_nobody_wants_to_hear_of_memory() {
    for actions in [[Oom, Die(Some(137))], [Die(Some(137)), Oom]] {
        let mut bench = Bench::new();
        let rule = crate::api::types::AlertRule { enabled: false, ..Default::default() };
        bench.set("oom", rule);
        bench.shows(1, exited(137));
        for action in actions {
            bench.event(1, action);
        }
        bench.wait(10);
        assert_eq!(bench.alerts(), ["crashed"], "{actions:?}");
    }
}

#[test]
fn an_oom_alerts_whoever_tells_it() {
    let what = |derived| What::Container { id: id(1), name: None, labels: BTreeMap::new(), action: Oom, derived };
    for (derived, epoch) in [(false, 1), (true, 1), (true, 0)] {
        let mut bench = Bench::new();
        bench.shows(1, running());
        bench.happens(what(derived), 0, epoch);
        assert_eq!(bench.alerts(), ["oom"], "{derived} {epoch}");
    }
}

#[test]
fn a_crash_that_becomes_a_loop_is_one_alert() {
    // Fast: nobody was told of the crash.
    let mut bench = Bench::new();
    bench.shows(1, ContainerLook::There(Container { restarts: true, exit_code: Some(3), ..Container::default() }));
    for code in [1, 1, 1, 1, 3, 3, 3] {
        bench.event(1, Die(Some(code)));
        bench.event(1, Start);
        bench.wait(1);
    }
    bench.wait(20);
    assert_eq!(bench.alerts(), ["restart_loop"]);
    let sentence = super::text::sentence(bench.only());
    assert!(sentence.ends_with("it ended 5 times within 10 minutes, with exit code 3 in the end"), "{sentence}");
    // Slow: the crash was told, and is over with what takes its place.
    let mut bench = Bench::new();
    bench.shows(1, ContainerLook::There(Container { restarts: true, exit_code: Some(1), ..Container::default() }));
    for _ in 0..8 {
        bench.event(1, Die(Some(1)));
        bench.event(1, Start);
        bench.wait(30);
    }
    assert_eq!(bench.alerts(), ["crashed: it restarts again and again", "restart_loop"]);
}

#[test]
fn a_loop_that_has_to_last_leaves_the_crash_until_then() {
    let mut bench = Bench::new();
    bench.set("restart_loop", crate::api::types::AlertRule { for_s: Some(60), ..Default::default() });
    bench.shows(1, ContainerLook::There(Container { restarts: true, exit_code: Some(1), ..Container::default() }));
    for _ in 0..5 {
        bench.event(1, Die(Some(1)));
        bench.event(1, Start);
    }
    bench.wait(30);
    assert_eq!(bench.alerts(), ["crashed"]);
    bench.wait(40);
    assert_eq!(bench.alerts(), ["crashed: it restarts again and again", "restart_loop"]);
}

#[test]
fn a_loop_that_its_restart_policy_gives_up_is_not_over() {
    let mut bench = Bench::new();
    bench.shows(1, ContainerLook::There(Container { restarts: true, exit_code: Some(1), ..Container::default() }));
    for _ in 0..6 {
        bench.event(1, Die(Some(1)));
        bench.event(1, Start);
        bench.wait(1);
    }
    bench.event(1, Die(Some(1)));
    bench.shows(1, exited(1));
    bench.wait(1_000);
    assert_eq!(bench.alerts(), ["restart_loop"]);
    // Stopped while it waits for the next start, no end is told.
    bench.event(1, Stop);
    assert_eq!(bench.alerts(), ["restart_loop: stopped on request"]);
}

#[test]
fn a_level_is_judged_again_when_its_limit_is_another() {
    let at = |at: f64| crate::api::types::AlertRule { at: Some(at), ..Default::default() };
    let mut bench = Bench::new();
    let vitals = VitalsLook { disks: vec![("/".into(), 93.0)], temperature: Some(70.0), undervoltage: None };
    bench.host(|host| host.vitals = Some(vitals));
    bench.wait(62);
    assert_eq!(bench.alerts(), ["disk"]);
    // Within what it has to be better by, under the new limit: that was another alert's.
    bench.set("disk", at(95.0));
    bench.wait(1);
    assert_eq!(bench.alerts(), ["disk: its limit was raised"]);
    // What is above a lowered limit already is bad from then on.
    bench.set("hot", at(65.0));
    bench.wait(58);
    assert_eq!(bench.alerts().len(), 1);
    bench.wait(4);
    assert_eq!(bench.alerts(), ["disk: its limit was raised", "hot"]);
    // A limit that is lowered, and raised to where it was, is not what the alert began under.
    bench.set("hot", at(60.0));
    bench.wait(1);
    bench.set("hot", at(65.0));
    bench.host(|host| host.vitals.as_mut().expect("some").temperature = Some(64.0));
    bench.wait(1);
    assert_eq!(bench.alerts()[1], "hot: its limit was raised");
}

#[test]
fn an_update_is_no_crash() {
    // Watchtower and others remove the old one and make a new one; what was killed is known anyway.
    let mut bench = Bench::new();
    bench.event(1, Die(Some(1)));
    bench.wait(2);
    bench.event(1, Destroy);
    bench.event(2, Create);
    bench.event(2, Start);
    bench.shows(2, running());
    bench.wait(60);
    assert_eq!(bench.alerts(), [""; 0]);
    // Compose makes the new one beside it, and gives it the name in the end.
    bench.event(2, Die(Some(1)));
    bench.event(3, Action::Rename);
    bench.wait(60);
    assert_eq!(bench.alerts(), [""; 0]);
}

#[test]
fn a_crash_is_over_when_the_container_is_replaced() {
    let mut bench = Bench::new();
    bench.shows(1, exited(1));
    bench.event(1, Die(Some(1)));
    bench.wait(30);
    assert_eq!(bench.alerts(), ["crashed"]);
    bench.event(2, Create);
    assert_eq!(bench.alerts(), ["crashed: replaced by a new container"]);
}

#[test]
fn a_crash_is_told_once_and_is_over_when_it_has_run_for_a_minute() {
    let mut bench = Bench::new();
    bench.shows(1, running());
    for _ in 0..3 {
        bench.event(1, Die(Some(7)));
        bench.event(1, Start);
        bench.wait(50);
        assert_eq!(bench.alerts(), ["crashed"]);
    }
    assert_eq!(bench.only().attributes["times"], "3");
    assert_eq!(bench.only().labels, labels(&[("app", "shop"), ("site", "attic")]));
    assert!(super::text::sentence(bench.only()).starts_with("web on pi crashed: exit code 7 (3 times)"));
    bench.wait(20);
    assert_eq!(bench.alerts(), ["crashed: it runs again"]);
}

#[test]
fn a_loop_is_one_alert_and_over_when_it_has_calmed_down() {
    let mut bench = Bench::new();
    bench.shows(1, ContainerLook::There(Container { restarts: true, exit_code: Some(0), ..Container::default() }));
    for _ in 0..20 {
        // Ends with 0 make a loop, too.
        bench.event(1, Die(Some(0)));
        bench.event(1, Start);
        bench.wait(2);
    }
    assert_eq!(bench.alerts(), ["restart_loop"]);
    bench.wait(400);
    assert_eq!(bench.alerts(), ["restart_loop"], "it waits for its restart policy");
    bench.shows(1, running());
    bench.wait(299);
    assert_eq!(bench.alerts(), ["restart_loop"]);
    bench.wait(2);
    assert_eq!(bench.alerts(), ["restart_loop: it has not ended again"]);
}

#[test]
fn seldom_ends_are_no_loop_whatever_the_clock_says() {
    for (step_ms, every_s, expected) in [
        (0, 200, 0),
        (0, 60, 1),
        // A clock that is set back and back: the server's counts.
        (-3_600_000, 200, 0),
        (-3_600_000, 60, 1),
    ] {
        let mut bench = Bench::new();
        bench.shows(1, running());
        for _ in 0..8 {
            bench.event(1, Die(Some(0)));
            bench.wait(every_s);
            bench.clock_ms += step_ms;
        }
        assert_eq!(bench.alerts().len(), expected, "{step_ms} {every_s}");
    }
}

#[test]
fn ends_on_request_are_no_loop() {
    let mut bench = Bench::new();
    bench.shows(1, running());
    for _ in 0..20 {
        for action in [TERM, Die(Some(143)), Stop, Start, Restart] {
            bench.event(1, action);
        }
        bench.wait(1);
    }
    assert_eq!(bench.alerts(), [""; 0]);
    // By a signal that others do not end by: only the stop behind the end tells.
    for _ in 0..20 {
        for action in [WINCH, Die(Some(0)), Stop, Start, Restart] {
            bench.event(1, action);
        }
        bench.wait(1);
    }
    assert_eq!(bench.alerts(), [""; 0]);
}

#[test]
fn what_was_over_before_it_could_be_told_is_no_alert_but_memory_that_ran_out_is() {
    let mut bench = Bench::new();
    bench.shows(1, running());
    bench.happens(What::Back, 0, 0);
    let begun = bench.now().wall_ms;
    bench.old_event(1, Oom, 3_600_000);
    bench.old_event(1, Die(Some(137)), 3_600_000);
    bench.old_event(1, Start, 3_599_000);
    bench.old_event(1, Unhealthy, 3_000_000);
    for age in 0..8 {
        bench.old_event(1, Die(Some(1)), 2_000_000 - age * 1_000);
        bench.old_event(1, Start, 2_000_000 - age * 1_000);
    }
    bench.wait(10);
    assert_eq!(bench.alerts(), ["oom"]);
    assert_eq!(bench.only().since_ms, begun - 3_600_000, "with its time");
}

#[test]
fn what_still_is_so_when_it_is_told_late_is_an_alert() {
    let mut bench = Bench::new();
    bench.happens(What::Back, 0, 0);
    bench.old_event(1, Die(Some(3)), 3_600_000);
    bench.shows(1, ContainerLook::Unknown);
    bench.wait(60);
    assert_eq!(bench.alerts(), [""; 0], "nobody knows yet");
    bench.shows(1, exited(3));
    bench.wait(1);
    assert_eq!(bench.alerts(), ["crashed"]);
}

#[test]
fn a_clock_that_is_wrong_makes_nothing_late() {
    for clock_ms in [-BEGIN_MS, -3_600_000, 3_600_000] {
        let mut bench = Bench::new();
        bench.clock_ms = clock_ms;
        bench.shows(1, running());
        bench.event(1, Die(Some(1)));
        bench.wait(10);
        assert_eq!(bench.alerts(), ["crashed"], "{clock_ms}");
        if clock_ms == -BEGIN_MS {
            assert_eq!(bench.only().since_ms, bench.now().wall_ms - 10_000, "a clock that was never set is not told");
        }
    }
    // Just back, with a clock that is known to be wrong.
    let mut bench = Bench::new();
    bench.clock_ms = -3_600_000;
    bench.host(|host| host.ahead_ms = -3_600_000);
    bench.shows(1, running());
    bench.happens(What::Back, 0, 0);
    bench.event(1, Die(Some(1)));
    bench.wait(10);
    assert_eq!(bench.alerts(), ["crashed"]);
}

#[test]
fn what_was_concluded_is_an_alert_only_if_it_still_is_so_and_nobody_may_have_asked() {
    for (code, look, expected) in [
        (1, exited(1), 1),
        (1, running(), 0),
        (1, ContainerLook::Gone, 0),
        (137, exited(137), 0),
        (143, exited(143), 0),
    ] {
        let mut bench = Bench::new();
        bench.happens(What::Gap, 0, 1);
        bench.derived(1, Die(Some(code)));
        bench.shows(1, look.clone());
        bench.wait(10);
        assert_eq!(bench.alerts().len(), expected, "{code} {look:?}");
    }
    // The kill may be among what is missing.
    let mut bench = Bench::new();
    bench.event(1, Start);
    bench.happens(What::Gap, 0, 1);
    bench.event(1, Die(Some(137)));
    bench.shows(1, exited(137));
    bench.wait(10);
    assert_eq!(bench.alerts(), [""; 0]);
    // Behind a start nothing is missing any more.
    bench.event(1, Start);
    bench.event(1, Die(Some(137)));
    bench.wait(10);
    assert_eq!(bench.alerts(), ["crashed"]);
}

#[test]
fn what_the_engine_remembers_from_before_its_host_joined_is_no_alert() {
    let mut bench = Bench::new();
    bench.host(|host| host.imported = None);
    bench.event(1, Die(Some(1)));
    bench.event(1, Oom);
    let last = bench.next;
    bench.host(|host| host.imported = Some((1, last)));
    bench.event(2, Die(Some(1)));
    bench.shows(1, exited(1));
    bench.shows(2, exited(1));
    bench.wait(10);
    assert_eq!(bench.alerts(), [""; 0]);
    bench.event(2, Die(Some(1)));
    bench.wait(10);
    assert_eq!(bench.alerts(), ["crashed"]);
}

#[test]
fn containers_that_have_been_there_are_no_crashes() {
    let mut bench = Bench::new();
    bench.happens(What::Back, 0, 0);
    for number in 1..=20 {
        bench.shows(number, exited(1));
        let ContainerLook::There(it) = exited(1) else { panic!("there") };
        let (rules, now) = (bench.rules.clone(), bench.now());
        let look = bench.fleet.host(PI).expect("there");
        bench.board.look_at_container((PI, &look), &id(number), &it, &rules, now);
    }
    bench.wait(100);
    assert_eq!(bench.alerts(), [""; 0]);
}

#[test]
fn a_check_that_flaps_is_one_alert_until_it_succeeds_for_a_while() {
    let mut bench = Bench::new();
    for _ in 0..5 {
        bench.shows(1, unhealthy());
        bench.event(1, Unhealthy);
        bench.wait(5);
        bench.shows(1, running());
        bench.wait(20);
    }
    assert_eq!(bench.alerts(), ["unhealthy"]);
    bench.wait(15);
    assert_eq!(bench.alerts(), ["unhealthy: its check succeeds again"]);
    // No event told it: the look is enough.
    let (rules, now) = (bench.rules.clone(), bench.now());
    let look = bench.fleet.host(PI).expect("there");
    let ContainerLook::There(it) = unhealthy() else { panic!("there") };
    bench.board.look_at_container((PI, &look), &id(1), &it, &rules, now);
    assert_eq!(bench.alerts().len(), 2);
}

#[test]
fn a_host_is_away_after_the_grace_and_what_is_known_of_its_containers_stays() {
    let mut bench = Bench::new();
    bench.shows(1, exited(1));
    bench.event(1, Die(Some(1)));
    bench.wait(10);
    bench.host(|host| host.presence = Presence::Silent);
    bench.shows(1, ContainerLook::Unknown);
    bench.wait(50);
    assert_eq!(bench.alerts(), ["crashed"]);
    bench.host(|host| host.presence = Presence::Away);
    bench.wait(1000);
    assert_eq!(bench.alerts(), ["crashed", "host_away"]);
    bench.host(|host| host.presence = Presence::There);
    bench.wait(5);
    bench.host(|host| host.presence = Presence::Silent);
    bench.wait(60);
    assert_eq!(bench.alerts(), ["crashed", "host_away"], "it was not back for long");
    bench.host(|host| host.presence = Presence::There);
    bench.wait(12);
    assert_eq!(bench.alerts(), ["crashed", "host_away: the host is back"]);
}

#[test]
fn a_host_that_was_removed_takes_its_alerts_with_it() {
    let mut bench = Bench::new();
    bench.shows(1, exited(1));
    bench.event(1, Die(Some(1)));
    bench.host(|host| {
        host.presence = Presence::Away;
        host.conflict = true;
    });
    bench.wait(10);
    assert_eq!(bench.alerts().len(), 3);
    bench.fleet.hosts.borrow_mut().clear();
    bench.wait(1);
    assert!(bench.alerts().iter().all(|alert| alert.ends_with("the host was removed")), "{:?}", bench.alerts());
    bench.event(1, Die(Some(1)));
    bench.wait(10);
    assert_eq!(bench.alerts().len(), 3);
}

#[test]
fn values_have_to_be_bad_for_a_while_and_much_better_to_be_well() {
    let mut bench = Bench::new();
    let vitals = |percent: f64, celsius: f64| {
        let disks = vec![("/".to_owned(), percent), ("/data".to_owned(), 10.0)];
        Some(VitalsLook { disks, temperature: Some(celsius), undervoltage: Some(false) })
    };
    bench.host(|host| host.vitals = vitals(91.0, 85.0));
    bench.wait(30);
    bench.host(|host| host.vitals = vitals(80.0, 60.0));
    bench.wait(30);
    assert_eq!(bench.alerts(), [""; 0], "not for long enough");
    bench.host(|host| host.vitals = vitals(91.4, 85.0));
    bench.wait(70);
    assert_eq!(bench.alerts(), ["disk", "hot"]);
    assert!(super::text::sentence(bench.board.alerts().values().next().expect("one")).contains("91 % of /"));
    bench.host(|host| host.vitals = vitals(88.0, 76.0));
    bench.wait(600);
    assert_eq!(bench.alerts(), ["disk", "hot"], "hardly better");
    bench.host(|host| host.vitals = vitals(50.0, 50.0));
    bench.wait(30);
    bench.host(|host| host.vitals = None);
    bench.wait(600);
    assert_eq!(bench.alerts(), ["disk", "hot"], "nobody knows");
    bench.host(|host| host.vitals = vitals(50.0, 50.0));
    bench.wait(62);
    assert_eq!(bench.alerts(), ["disk: it has room again", "hot: it has cooled down"]);
}

#[test]
fn too_little_voltage_and_conflicts() {
    let mut bench = Bench::new();
    let vitals = |low: bool| Some(VitalsLook { undervoltage: Some(low), ..VitalsLook::default() });
    for _ in 0..10 {
        bench.host(|host| host.vitals = vitals(true));
        bench.wait(3);
        bench.host(|host| host.vitals = vitals(false));
        bench.wait(100);
    }
    assert_eq!(bench.alerts(), ["undervoltage"]);
    bench.wait(300);
    assert_eq!(bench.alerts(), ["undervoltage: the voltage has been right for a while"]);
    bench.host(|host| host.conflict = true);
    bench.wait(1);
    bench.host(|host| host.conflict = false);
    bench.wait(1);
    assert_eq!(bench.alerts()[1], "conflict: no other agent was seen any more");
}

#[test]
fn a_rule_that_is_turned_off_ends_what_fires() {
    let mut bench = Bench::new();
    bench.shows(1, exited(1));
    bench.event(1, Die(Some(1)));
    bench.wait(10);
    let rule = crate::api::types::AlertRule { enabled: false, ..Default::default() };
    let rules = BTreeMap::from([("crashed".to_owned(), rule)]);
    bench.rules = Rules::read(&crate::api::types::AlertSettings { rules, ..Default::default() }).expect("sense");
    bench.wait(1);
    assert_eq!(bench.alerts(), ["crashed: its rule was turned off"]);
    bench.event(1, Die(Some(1)));
    bench.wait(10);
    assert_eq!(bench.alerts().len(), 1);
}

#[test]
fn the_newest_that_are_over_are_kept() {
    let mut bench = Bench::new();
    bench.rules = Rules::default();
    for _ in 0..2_010 {
        bench.board.bad(Rule::Conflict, super::alert::Subject::host(PI), &bench.rules, bench.now(), Default::default());
        bench.board.end(Rule::Conflict, &super::alert::Subject::host(PI), bench.now(), "x");
        let newest = bench.board.newest;
        bench.board.change(newest, |alert| (alert.untold_begin, alert.untold_end) = (false, false));
    }
    assert_eq!(bench.board.alerts().len(), 2_000);
    assert_eq!(bench.board.alerts().keys().next(), Some(&11));
}

#[test]
fn one_host_cannot_use_up_the_alerts_of_all() {
    let mut bench = Bench::new();
    let now = bench.now();
    let other = HostId([2; 8]);
    let container = |host, number: u32| {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&number.to_be_bytes());
        Subject::container(host, EngineId(id))
    };
    let mut begins = |rule, subject| bench.board.bad(rule, subject, &bench.rules, now, Default::default()).is_some();
    let begun = (0..1_100).filter(|number| begins(Rule::Unhealthy, container(PI, *number))).count();
    assert_eq!(begun, 1_000);
    for rule in [Rule::HostAway, Rule::Conflict, Rule::Hot, Rule::Undervoltage] {
        assert!(begins(rule, Subject::host(PI)), "{rule:?}");
    }
    assert!(begins(Rule::Unhealthy, container(other, 1)) && begins(Rule::Disk, Subject::disk(other, "/")));
}
