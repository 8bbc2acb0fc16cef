//! A host's clock is set, forward and back, while things happen: nothing is lost, nothing changes its place, no state
//! is wrong, and no gap is seen where none is.

use muster_tests::truth::{Said, assert_same_events, docker_events, muster_events, nanoseconds, wait_for_truth};
use muster_tests::{Agent, Engine, Server, SteppedClock, text};
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

    /// The whole story, in the order in which things happened and with the times that the clock showed then.
    fn assert_story(&self) {
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
        let jumps = theirs.windows(2).filter(|pair| pair[0].time_nano - pair[1].time_nano > 3_600_000_000_000).count();
        assert!(jumps > 0, "the clock never went back: the test shows nothing");
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
