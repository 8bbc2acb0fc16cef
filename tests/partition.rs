//! The network between host and server breaks: events wait as long as the agent can keep them, what it cannot keep is
//! counted, and the newest are always there.

use muster_tests::link::End;
use muster_tests::truth::{Log, Said, assert_same_events, muster_events, wait_for_truth};
use muster_tests::wait::when;
use muster_tests::{Agent, Engine, Link, Server, eventually_within, text};
use serde_json::Value;
use std::time::Duration;

/// Events that the agent keeps at most.
const QUEUE: usize = 512;

/// A network that gave no sign of its end is found out when an answer is overdue, after 30 s; then the agent tries
/// again within its longest back-off.
const HEALED: Duration = Duration::from_secs(150);

struct Fleet {
    link: Link,
    engine: Engine,
    server: Server,
    _agent: Agent,
    log: Log,
}

/// A host and its server at two ends of a cable; the container `web` runs, and the server knows.
fn fleet() -> Fleet {
    let (link, engine) = (Link::new(), Engine::start("alpha"));
    let server = Server::start_at_link(&link);
    let log = Log::of(&engine);
    let mut agent = Agent::new(&engine.docker_host());
    agent.network = Some(link.namespace(End::Agent));
    agent.join_with(&server.join_string(&["--name", "alpha"])).ok();
    agent.start();
    agent.wait_until_heard(&server, "alpha");
    engine.run("web");
    server.wait_for_actions("alpha", "web", &["create", "start"]);
    server.wait_for_state("alpha", "web", "running");
    Fleet { link, engine, server, _agent: agent, log }
}

impl Fleet {
    /// Sends `web` signals that it ignores: an event each.
    fn signals(&self, count: usize) {
        for _ in 0..count / 50 {
            let mut arguments = vec!["kill", "--signal", "CONT"];
            arguments.extend(["web"; 50]);
            self.engine.docker(&arguments);
        }
    }

    /// Makes one last event, and waits until the server has it and the state that follows.
    fn end_with_a_pause(&mut self) -> Vec<Said> {
        self.engine.docker(&["pause", "web"]);
        let theirs = self.log.until("the pause", |event| event.action == "pause").to_vec();
        let last = theirs.last().expect("the pause");
        eventually_within(HEALED, "the last event arrives", || {
            let ours = muster_events(&self.server, "alpha");
            when(ours.last() == Some(last), ours.last())
        });
        self.server.wait_for_host("alpha", "is active", |host| host["state"] == "active");
        wait_for_truth(&self.server, "alpha", &self.engine);
        theirs
    }

    fn gaps(&self) -> Vec<Value> {
        self.server.events("alpha").into_iter().filter(|event| event["action"] == "gap").collect()
    }

    /// All that happened is there once and in order.
    fn assert_nothing_lost(&self, theirs: &[Said]) {
        assert_eq!(self.gaps(), Vec::<Value>::new());
        assert_same_events(&muster_events(&self.server, "alpha"), theirs, |event| event.time_nano);
    }
}

#[test]
fn longer_than_the_agent_can_keep() {
    let mut fleet = fleet();
    // Nothing is on its way when the cable is pulled: a report was made after all of it.
    fleet.server.settle("alpha", &fleet.engine);
    let heard = fleet.server.host("alpha")["last_seen"].clone();
    fleet.server.wait_for_host("alpha", "is heard again", |host| host["last_seen"] != heard);
    let known = muster_events(&fleet.server, "alpha");
    fleet.link.pull();
    fleet.signals(800);
    fleet.server.wait_for_host("alpha", "is missed", |host| host["state"] != "active");
    fleet.link.plug();
    let theirs = fleet.end_with_a_pause();

    // One stretch is missing, between what was known before and the newest.
    let ours = muster_events(&fleet.server, "alpha");
    let missing: Vec<usize> = (0..theirs.len()).filter(|at| !ours.contains(&theirs[*at])).collect();
    let (first, last) = (missing[0], missing[missing.len() - 1]);
    assert_eq!(last - first + 1, missing.len(), "the missing ones are not one stretch: {missing:?}");
    assert!(first >= known.len(), "what was acknowledged is gone: {missing:?}");
    assert!(missing.len() > 800 - QUEUE, "{} missing: the agent keeps more than it says", missing.len());
    let kept = theirs.len() - 1 - last;
    assert!(kept > QUEUE / 2, "only the newest {kept} are there");
    let rest: Vec<Said> = [&theirs[..first], &theirs[last + 1..]].concat();
    assert_same_events(&ours, &rest, |event| event.time_nano);

    // The gap stands in its place and says how many. What was under way when the cable was pulled could have been
    // stored, so if it was not, it has a line of its own.
    let history = fleet.server.events("alpha");
    let engines: Vec<&Value> = history
        .iter()
        .filter(|event| matches!(text(event, "type"), "container" | "network") || event["action"] == "gap")
        .collect();
    let gaps: Vec<&Value> = engines[first..].iter().take_while(|event| event["action"] == "gap").copied().collect();
    assert!(matches!(gaps.len(), 1 | 2) && fleet.gaps().len() == gaps.len(), "{gaps:?} of {:?}", fleet.gaps());
    let counts = gaps.iter().map(|gap| {
        assert_eq!(text(&gap["attributes"], "cause"), "queue_full", "{gap}");
        text(&gap["attributes"], "count").parse::<usize>().expect("a number")
    });
    assert_eq!(counts.sum::<usize>(), missing.len(), "{gaps:?}");
    // What came through all the same was dropped, too.
    let late = first - known.len();
    assert_eq!(fleet.server.host("alpha")["events_dropped"], missing.len() + if gaps.len() == 1 { late } else { 0 });
    println!("{} missing, {kept} kept", missing.len());
}

#[test]
fn a_short_flap() {
    let mut fleet = fleet();
    for _ in 0..3 {
        fleet.link.pull();
        fleet.signals(50);
        fleet.link.plug();
        fleet.signals(50);
    }
    let theirs = fleet.end_with_a_pause();
    assert!(theirs.len() > 300, "only {} events: the test shows nothing", theirs.len());
    fleet.assert_nothing_lost(&theirs);
}

#[test]
fn nothing_reaches_the_server_and_nobody_is_told() {
    one_way(End::Server);
}

#[test]
fn no_answer_reaches_the_agent_and_nobody_is_told() {
    one_way(End::Agent);
}

/// What is said arrives at one end only, in the midst of events and for longer than a host may be silent.
fn one_way(deaf: End) {
    let mut fleet = fleet();
    fleet.signals(50);
    fleet.link.deafen(deaf);
    fleet.signals(200);
    fleet.server.wait_for_host("alpha", "is missed", |host| host["state"] != "active");
    fleet.signals(50);
    fleet.link.hear(deaf);
    fleet.signals(50);
    let theirs = fleet.end_with_a_pause();
    assert!(theirs.len() > 300, "only {} events: the test shows nothing", theirs.len());
    fleet.assert_nothing_lost(&theirs);
}
