//! A host's clock is set, forward and back, while things happen: nothing is lost, nothing changes its place, no state
//! is wrong, and no gap is seen where none is.

use muster_tests::truth::{Said, assert_same_events, docker_events, muster_events, nanoseconds, wait_for_truth};
use muster_tests::{Agent, Engine, FakedTime, Server, SteppedClock, text};
use std::collections::BTreeMap;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);

struct Fleet {
    engine: Engine,
    clock: SteppedClock,
    server: Server,
    agent: Agent,
}

fn fleet() -> Fleet {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let clock = SteppedClock::before(&engine.docker_host());
    let mut agent = Agent::new(&clock.docker_host());
    agent.join_with(&server.join_string(&["--name", "alpha"])).ok();
    agent.start();
    agent.wait_until_heard(&server, "alpha");
    engine.run("web");
    server.wait_for_state("alpha", "web", "running");
    Fleet { engine, clock, server, agent }
}

impl Fleet {
    /// Things happen, and the server follows.
    fn live(&self, name: &str) {
        let id = self.engine.run(name);
        self.engine.docker(&["pause", "web"]);
        self.server.wait_for_state("alpha", "web", "paused");
        self.engine.docker(&["unpause", "web"]);
        self.engine.docker(&["restart", "web"]);
        self.engine.docker(&["stop", name]);
        self.server.wait_for_actions("alpha", &id, &["create", "start", "die", "stop"]);
        wait_for_truth(&self.server, "alpha", &self.engine);
        self.assert_times(name);
    }

    /// The server shows what the host's clock showed.
    fn assert_times(&self, name: &str) {
        let state = self.engine.inspect(name)["State"].clone();
        let one = self.server.find_container("alpha", name).expect("a container");
        for (ours, theirs) in [("started_at", "StartedAt"), ("finished_at", "FinishedAt")] {
            let showed = self.clock.showed(nanoseconds(text(&state, theirs)).expect("a time"));
            let shown = nanoseconds(text(&one, ours)).expect("a time");
            assert_eq!(shown, showed / 1_000_000 * 1_000_000, "{theirs} of {name}: {one}");
        }
    }

    /// The whole story, in the order in which things happened and with the times that the clock showed then. At some time
    /// the clock went back.
    fn assert_story(&self) {
        let times = self.assert_complete();
        let jumps = times.windows(2).filter(|pair| pair[0] - pair[1] > 3_600_000_000_000).count();
        assert!(jumps > 0, "the clock never went back: the test shows nothing");
    }

    /// The same, with a clock that jumped forward from 1970.
    fn assert_forward_story(&self) {
        let times = self.assert_complete();
        let year = 365 * 24 * 3_600_000_000_000;
        assert!(times.iter().any(|time| *time < year), "nothing happened in 1970: the test shows nothing");
        let jumps = times.windows(2).filter(|pair| pair[1] - pair[0] > 50 * year).count();
        assert_eq!(jumps, 1, "the clock jumped forward once");
    }

    /// Times of all events in their order.
    fn assert_complete(&self) -> Vec<i128> {
        self.server.settle("alpha", &self.engine);
        let mut really = BTreeMap::new();
        let mut theirs = docker_events(&self.engine);
        for event in &mut theirs {
            let moment = event.time_nano;
            event.time_nano = self.clock.showed(moment);
            really.insert(event.clone(), moment);
        }
        let moment = |event: &Said| really[event];
        assert_same_events(&muster_events(&self.server, "alpha"), &theirs, moment);
        let odd: Vec<_> = self
            .server
            .events("alpha")
            .into_iter()
            .filter(|event| {
                let guessed = text(event, "type") == "container" && event["derived"] == true;
                guessed
                    || !matches!(text(event, "type"), "container" | "network" | "host")
                    || matches!(
                        text(event, "action"),
                        "gap" | "host_disconnected" | "host_conflict" | "engine_not_answering"
                    )
            })
            .collect();
        assert!(odd.is_empty(), "a clock is no reason for: {odd:?}");
        theirs.iter().map(|event| event.time_nano).collect()
    }
}

#[test]
fn forward_a_day_and_back() {
    let fleet = fleet();
    fleet.live("before");
    fleet.clock.set_ahead(DAY);
    fleet.live("ahead");
    fleet.clock.set_ahead(Duration::ZERO);
    fleet.live("after");
    fleet.assert_story();
}

#[test]
fn back_to_1970_and_forward() {
    let fleet = fleet();
    fleet.clock.set_as_at_power_on();
    fleet.live("early");
    fleet.clock.set_as_at_power_on();
    fleet.live("again");
    fleet.clock.set_ahead(Duration::ZERO);
    fleet.live("after");
    fleet.assert_story();
}

/// A board without a battery: its engine and its agent start at 1970. It joins, reports, and then its clock is set.
#[test]
fn joined_at_1970_and_then_set_right() {
    let fleet = booted_at_1970(None);
    fleet.live("early");
    fleet.clock.set_ahead(Duration::ZERO);
    fleet.live("late");
    fleet.assert_forward_story();
}

/// The same, and the agent itself sees no other clock.
#[test]
#[ignore = "downloads a package: run by ./test.sh --all"]
fn an_agent_that_believes_1970_until_its_clock_is_set() {
    let faked = FakedTime::as_at_power_on();
    assert_eq!(faked.year(), "1970");
    let mut fleet = booted_at_1970(Some(&faked));
    fleet.live("early");
    let doctor = fleet.agent.doctor();
    assert!(doctor.stdout.contains("clock      warn it says 1970, and it is "), "{}", doctor.stdout);
    faked.set_right();
    fleet.clock.set_ahead(Duration::ZERO);
    fleet.live("late");
    let doctor = fleet.agent.doctor();
    assert!(doctor.stdout.contains("clock      ok "), "{}", doctor.stdout);
    // Switched off and on again, with events in between.
    let lamp = fleet.engine.run("lamp");
    fleet.server.wait_for_actions("alpha", &lamp, &["start"]);
    fleet.agent.kill();
    fleet.engine.docker(&["stop", "lamp"]);
    faked.set_as_at_power_on();
    fleet.agent.start();
    fleet.server.wait_for_actions("alpha", &lamp, &["start", "die", "stop"]);
    fleet.server.crash();
    fleet.live("again");
    fleet.assert_forward_story();
}

fn booted_at_1970(faked: Option<&FakedTime>) -> Fleet {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let clock = SteppedClock::before(&engine.docker_host());
    clock.set_as_at_power_on();
    engine.run("web");
    let mut agent = Agent::new(&clock.docker_host());
    agent.environment = faked.map(FakedTime::environment).unwrap_or_default();
    agent.join_with(&server.join_string(&["--name", "alpha"])).ok();
    agent.start();
    agent.wait_until_heard(&server, "alpha");
    server.wait_for_state("alpha", "web", "running");
    Fleet { engine, clock, server, agent }
}

#[test]
fn agent_and_server_start_anew_under_a_clock_that_was_set() {
    let mut fleet = fleet();
    for round in 0..3 {
        match round {
            0 => fleet.clock.set_ahead(DAY),
            1 => fleet.clock.set_as_at_power_on(),
            _ => fleet.clock.set_ahead(Duration::ZERO),
        }
        let name = format!("lamp{round}");
        let id = fleet.engine.run(&name);
        fleet.server.wait_for_actions("alpha", &id, &["start"]);
        // The engine's memory is now out of order by its times, and the agent has to find its place in it.
        fleet.agent.kill();
        fleet.engine.docker(&["stop", &name]);
        fleet.agent.start();
        fleet.server.wait_for_actions("alpha", &id, &["start", "die", "stop"]);
        fleet.server.crash();
        fleet.engine.docker(&["start", &name]);
        fleet.server.wait_for_actions("alpha", &id, &["start", "die", "stop", "start"]);
        wait_for_truth(&fleet.server, "alpha", &fleet.engine);
    }
    fleet.assert_story();
}
