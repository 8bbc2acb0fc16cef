//! A whole fleet in memory: agents that speak real bytes on one side, what operators see on the other.

use super::{ContainerSelect, EventSelect, HostChange, Refusal};
use crate::access::tokens::JoinRefusal;
use crate::agents::harness::{Agent, Bench, by};
use crate::api::types;
use crate::fleet::enlist::NotEnlisted;
use crate::fleet::feed::Subscription;
use futures_lite::future::{block_on, poll_once};
use muster_protocol::batch::{EngineState, Reason};
use muster_protocol::container::State;
use muster_protocol::join::Join;
use std::sync::Barrier;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// What a subscriber can read now without waiting, as `event: data` lines; and whether it was cut.
fn read(subscription: &mut Subscription) -> (Vec<String>, bool) {
    let mut lines = Vec::new();
    loop {
        match block_on(poll_once(subscription.next())) {
            None => return (lines, false),
            Some(None) => return (lines, true),
            Some(Some(frames)) => {
                let text = String::from_utf8(frames).expect("text");
                let frame = |frame: &str| frame.lines().skip(1).collect::<Vec<_>>().join(" ");
                lines.extend(text.trim_end().split("\n\n").map(frame));
            }
        }
    }
}

fn watching(bench: &Bench) -> Subscription {
    let mut subscription = bench.fleet.feed().subscribe("t", None).expect("a place");
    read(&mut subscription);
    subscription
}

fn rename(bench: &Bench, host: &str, name: &str) -> Result<types::Host, Refusal> {
    let change = HostChange { name: Some(name.into()), ..HostChange::default() };
    block_on(bench.fleet.change_host(&by(), host, change))
}

#[test]
fn what_cannot_be_stored_has_not_happened_and_is_told_to_nobody() {
    let bench = Bench::new();
    let mut agent = bench.host("pi", &[1]);
    let before = (bench.history(), agent.view(&bench).containers);
    let mut watcher = watching(&bench);
    agent.containers.push((2, State::Running));
    agent.event("create", 2);
    agent.event("start", 2);
    bench.store.fail_commits(1);
    assert_eq!(agent.report(&bench), Err(Reason::Store));
    assert_eq!((bench.history(), agent.view(&bench).containers), before);
    assert_eq!(agent.shown(&bench), ["c1"]);
    assert_eq!(read(&mut watcher), (vec![], false));
    assert!(bench.fleet.problem().is_some());
    assert!(agent.cell(&bench).live().is_stale(), "until it reports again");

    agent.catch_up(&bench);
    assert_eq!(bench.fleet.problem(), None);
    assert_eq!(agent.shown(&bench), ["c1", "c2"]);
    assert_eq!(bench.history()[before.0.len()..], ["pi create c2", "pi start c2"]);
    // Of the commit that failed nobody knows for sure what came of it: watchers read the lists again.
    assert!(read(&mut watcher).1);
}

#[test]
fn what_a_client_began_is_finished_when_it_leaves() {
    let bench = Bench::new();
    let mut agent = bench.host("pi", &[1]);
    let mut watcher = watching(&bench);
    agent.event("die", 1);
    let body = agent.report_bytes();
    let sending = agent.send(&bench, &body, false);
    drop(block_on(async { poll_once(Box::pin(sending)).await }));
    bench.until(|_| bench.history().contains(&"pi die c1".to_string()));
    bench.until(|_| agent.cell(&bench).live().mirror.place().acknowledged > 0);
    drop(block_on(bench.fleet.turn(&agent.cell(&bench))));
    assert!(read(&mut watcher).0.iter().any(|line| line.contains("\"action\":\"die\"")));

    // It did not hear the answer, and says it again.
    agent.catch_up(&bench);
    assert_eq!(bench.history().iter().filter(|line| *line == "pi die c1").count(), 1);
}

#[test]
fn what_a_client_began_is_taken_back_when_it_leaves_and_the_store_fails() {
    let bench = Bench::new();
    let mut agent = bench.host("pi", &[1]);
    agent.event("die", 1);
    bench.store.fail_commits(1);
    let body = agent.report_bytes();
    let sending = agent.send(&bench, &body, false);
    drop(block_on(async { poll_once(Box::pin(sending)).await }));
    agent.event("start", 1);
    agent.catch_up(&bench);
    let history = bench.history();
    assert_eq!(history[history.len() - 2..], ["pi die c1", "pi start c1"]);
}

#[test]
fn memory_that_could_not_be_brought_back_is_not_built_upon() {
    let bench = Bench::new();
    let mut agent = bench.host("pi", &[1]);
    agent.event("die", 1);
    bench.store.fail_commits(1);
    bench.store.fail_next_load_of_host();
    assert_eq!(agent.report(&bench), Err(Reason::Store));
    agent.event("start", 1);
    agent.catch_up(&bench);
    let history = bench.history();
    assert_eq!(history[history.len() - 2..], ["pi die c1", "pi start c1"]);
}

#[test]
fn after_a_restart_all_is_there_and_stale_until_a_list() {
    let first = Bench::new();
    let mut agent = first.host("pi", &[1, 2]);
    agent.event("die", 2);
    agent.containers[1].1 = State::Exited;
    agent.catch_up(&first);
    let before = (agent.view(&first), agent.shown(&first), first.history());
    block_on(first.fleet.close());

    let bench = first.restarted();
    assert_eq!((agent.view(&bench), agent.shown(&bench), bench.history()), before);
    let containers = || block_on(bench.fleet.containers(ContainerSelect::default(), None, 10));
    assert!(containers().iter().all(|it| it.stale && it.as_of.is_some()));
    // Neither a join nor anything of the operator's is needed.
    assert_eq!(agent.report(&bench), Err(Reason::HelloFirst));
    agent.hello(&bench).expect("welcome");
    assert!(containers().iter().all(|it| it.stale), "a hello shows no containers");
    agent.report(&bench).expect("taken");
    assert!(containers().iter().all(|it| !it.stale));
    assert_eq!(bench.history(), before.2, "nothing has happened");
    agent.event("start", 2);
    agent.catch_up(&bench);
    assert_eq!(bench.history().last().map(String::as_str), Some("pi start c2"));
}

#[test]
fn the_age_of_what_is_known_survives_a_restart() {
    let bench = Bench::new();
    let mut agent = bench.host("pi", &[1]);
    let as_of = |bench: &Bench| block_on(bench.fleet.containers(ContainerSelect::default(), None, 1))[0].as_of.clone();
    agent.engine = EngineState::NotAnswering;
    let known = as_of(&bench);
    agent.report(&bench).expect("taken");
    agent.cell(&bench).live().row.last_seen_ms = Some(i64::from(u32::MAX) * 1000);
    block_on(bench.fleet.close());
    assert_eq!(as_of(&bench.restarted()), known, "that the host was heard makes its containers no newer");
}

#[test]
fn an_unchanged_report_costs_no_commit() {
    let bench = Bench::new();
    let mut agent = bench.host("pi", &[1]);
    agent.catch_up(&bench);
    let commits = bench.store.commits();
    for _ in 0..3 {
        agent.report(&bench).expect("taken");
    }
    assert_eq!(bench.store.commits(), commits);
}

#[test]
fn dropped_events_are_counted_once_whoever_restarts() {
    let bench = Bench::new();
    let mut agent = bench.host("pi", &[1]);
    agent.reporter.missed(muster_protocol::event::Cause::TooLarge, 5);
    agent.catch_up(&bench);
    assert_eq!(agent.view(&bench).events_dropped, 1);
    let bench = bench.restarted();
    agent.catch_up(&bench);
    assert_eq!(agent.view(&bench).events_dropped, 1);
    agent.start();
    agent.catch_up(&bench);
    let dropped = agent.view(&bench).events_dropped;
    agent.reporter.missed(muster_protocol::event::Cause::TooLarge, 6);
    agent.catch_up(&bench);
    assert_eq!((dropped, agent.view(&bench).events_dropped), (1, 2));
}

#[test]
fn names_that_collide_get_a_number() {
    let bench = Bench::new();
    let names: Vec<String> = (0..3).map(|_| bench.join("pi").view(&bench).name).collect();
    assert_eq!(names, ["pi", "pi-2", "pi-3"]);
    for (wanted, given) in [("pi 4/é", "pi4"), ("--", "host"), ("", "host-2"), (&"x".repeat(200), &"x".repeat(58))] {
        assert_eq!(bench.join(wanted).view(&bench).name, given);
    }
    block_on(bench.fleet.remove_host(&by(), "pi-2")).expect("removed");
    assert_eq!(bench.join("pi").view(&bench).name, "pi-2", "the name is free again");
    let id = bench.fleet.host("pi").expect("there").id;
    assert_eq!(bench.join(&id).view(&bench).name, format!("{id}-2"), "no host is called by another one's id");
}

#[test]
fn a_name_that_is_taken_is_a_conflict() {
    let bench = Bench::new();
    let (_a, b) = (bench.join("a"), bench.host("b", &[1]));
    let mut watcher = watching(&bench);
    assert!(matches!(rename(&bench, "b", "a"), Err(Refusal::Conflict(_))));
    let id = bench.fleet.host("a").expect("there").id;
    assert!(matches!(rename(&bench, "b", &id), Err(Refusal::Conflict(_))));
    assert!(matches!(rename(&bench, "c", "d"), Err(Refusal::NotFound(_))));
    assert_eq!(read(&mut watcher).0, [""; 0]);
    rename(&bench, "b", "c").expect("renamed");
    assert_eq!(b.view(&bench).name, "c");
    assert_eq!(bench.history().last().map(String::as_str), Some("c host_renamed"));
    let seen = read(&mut watcher).0;
    assert!(seen.iter().any(|line| line.starts_with("event: container data") && line.contains("\"host\":\"c\"")));
    bench.store.fail_commits(1);
    assert!(matches!(rename(&bench, "c", "e"), Err(Refusal::Store(_))));
    assert_eq!(b.view(&bench).name, "c");
}

#[test]
fn a_removed_host_is_gone_and_may_join_anew() {
    let bench = Bench::new();
    let mut agent = bench.host("pi", &[1]);
    let old = agent.view(&bench).id;
    let mut watcher = watching(&bench);
    let body = agent.report_bytes();
    let removed = block_on(bench.fleet.remove_host(&by(), "pi")).expect("removed");
    assert_eq!((removed.state.as_str(), removed.containers.total), ("removed", 0));
    assert!(read(&mut watcher).0.iter().any(|line| line.starts_with("event: container_gone")));
    assert!(bench.fleet.hosts(false, None, 9).is_empty() && bench.fleet.hosts(true, None, 9).len() == 1);
    assert!(block_on(bench.fleet.containers(ContainerSelect { all: true, ..Default::default() }, None, 9)).is_empty());
    // What waited for its turn meanwhile brings nothing back.
    assert_eq!(block_on(agent.send(&bench, &body, false)).status, 410);
    assert_eq!(block_on(agent.send(&bench, &agent.hello_bytes(), true)).status, 410);
    let bench = bench.restarted();
    assert!(agent.view(&bench).state == "removed" && agent.shown(&bench).is_empty());

    let join =
        |token: &str| block_on(bench.fleet.enlist(agent.hash(), &Join { token, name: "pi", fingerprint: [0; 16] }));
    assert_eq!(join("mj_nonsense"), Err(NotEnlisted::Token(JoinRefusal::Unknown)), "it needs a token now");
    let joined = join(&bench.token(Some(1))).expect("joined");
    assert!(joined.is_new && joined.id.to_string() != old && joined.name == "pi");
    agent.catch_up(&bench);
    assert_eq!(bench.restarted().fleet.host("pi").map(|host| host.id), Ok(joined.id.to_string()));
    let restarted = bench.restarted();
    agent.catch_up(&restarted);
    assert_eq!(agent.view(&restarted).id, joined.id.to_string());
}

#[test]
fn a_token_for_one_admits_one_however_many_come_at_once() {
    let bench = Bench::new();
    let token = bench.token(Some(1));
    let agents: Vec<Agent> = (0..8).map(|_| Agent::new()).collect();
    let start = Barrier::new(agents.len());
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let join = |agent: &Agent| {
            let (bench, token, start, hash) = (&bench, &token, &start, agent.hash());
            scope.spawn(move || {
                start.wait();
                block_on(bench.fleet.enlist(hash, &Join { token, name: "pi", fingerprint: [0; 16] }))
            })
        };
        let threads: Vec<_> = agents.iter().map(join).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert!(outcomes.iter().all(|it| it.is_ok() || *it == Err(NotEnlisted::Token(JoinRefusal::UsedUp))));
    assert_eq!(bench.fleet.hosts(true, None, 9).len(), 1);
    // The one that won says it again, which costs nothing; as after a restart.
    let winner = outcomes.iter().position(Result::is_ok).expect("one");
    for bench in [&bench, &bench.restarted()] {
        let join = Join { token: &token, name: "pi", fingerprint: [0; 16] };
        let again = block_on(bench.fleet.enlist(agents[winner].hash(), &join)).expect("the same");
        assert!(!again.is_new);
        assert_eq!(Some(again.id), outcomes[winner].as_ref().ok().map(|enlisted| enlisted.id));
        assert_eq!(bench.fleet.join_tokens()[0].used, 1);
    }
}

#[test]
fn a_join_that_cannot_be_stored_uses_nothing() {
    let bench = Bench::new();
    let token = bench.token(Some(1));
    let agent = Agent::new();
    let join = || block_on(bench.fleet.enlist(agent.hash(), &Join { token: &token, name: "pi", fingerprint: [0; 16] }));
    bench.store.fail_commits(1);
    assert!(matches!(join(), Err(NotEnlisted::Store(_))));
    assert!(bench.fleet.hosts(true, None, 9).is_empty());
    assert!(join().expect("joined").is_new);
}

#[test]
fn host_states_change_once_each_in_the_history() {
    let bench = Bench::new();
    let mut agent = bench.host("pi", &[1]);
    let pass = |seconds: u32| {
        bench.fleet.skip(SECOND * seconds);
        for _ in 0..3 {
            block_on(bench.fleet.pass_time());
        }
    };
    for seconds in [10, 10, 10, 60, 60] {
        pass(seconds);
    }
    agent.catch_up(&bench);
    pass(5);
    let states = ["host_joined", "host_active", "host_reconnecting", "host_disconnected", "host_active"];
    let of_host = |line: &String| line.strip_prefix("pi host_").map(|rest| format!("host_{rest}"));
    assert_eq!(bench.history().iter().filter_map(of_host).collect::<Vec<_>>(), states);
}

#[test]
fn a_store_that_fails_makes_no_host_silent() {
    let bench = Bench::new();
    let mut agent = bench.host("pi", &[1]);
    agent.event("die", 1);
    bench.store.fail_commits(1);
    bench.fleet.skip(SECOND * 10);
    assert_eq!(agent.report(&bench), Err(Reason::Store));
    bench.fleet.skip(SECOND * 10);
    bench.until(|fleet| fleet.committer().may_try());
    block_on(bench.fleet.pass_time());
    assert_eq!(agent.view(&bench).state, "active");
    // It was silent for long, and the store fails just when that is noticed.
    bench.fleet.skip(SECOND * 20);
    bench.store.fail_commits(1);
    block_on(bench.fleet.pass_time());
    assert_eq!(agent.view(&bench).state, "active");
    bench.until(|fleet| fleet.committer().may_try());
    block_on(bench.fleet.pass_time());
    assert_eq!(agent.view(&bench).state, "reconnecting", "its silence goes on meanwhile");
}

#[test]
fn an_engine_that_is_away_makes_containers_stale_and_its_host_stays_active() {
    let bench = Bench::new();
    let mut agent = bench.host("pi", &[1]);
    for (engine, word, stale) in [
        (EngineState::NotAnswering, "not_answering", true),
        (EngineState::NotAnswering, "not_answering", true),
        (EngineState::Absent, "absent", true),
        (EngineState::Ok, "ok", false),
    ] {
        agent.engine = engine;
        agent.catch_up(&bench);
        let host = agent.view(&bench);
        assert_eq!((host.state.as_str(), host.engine.state.as_deref()), ("active", Some(word)));
        assert!(host.engine.since.is_some());
        let containers = block_on(bench.fleet.containers(ContainerSelect::default(), None, 1));
        assert_eq!(containers[0].stale, stale);
    }
    let history = bench.history();
    let engine: Vec<_> = history.iter().filter_map(|line| line.strip_prefix("pi engine_")).collect();
    assert_eq!(engine, ["ok", "not_answering", "absent", "ok"]);
}

#[test]
fn a_copied_card_is_shown_as_a_conflict_until_it_is_over() {
    let bench = Bench::new();
    let mut agent = bench.host("pi", &[1]);
    let mut copy = Agent::new();
    copy.credential = agent.credential.clone();
    copy.catch_up(&bench);
    assert_eq!(agent.report(&bench), Err(Reason::StaleEpoch), "it changes nothing");
    for _ in 0..3 {
        assert_eq!(agent.hello(&bench), Err(Reason::Superseded));
    }
    assert!(agent.view(&bench).conflict && bench.restarted().fleet.host("pi").is_ok_and(|host| host.conflict));
    copy.catch_up(&bench);
    for _ in 0..3 {
        bench.fleet.skip(SECOND * 300);
        copy.report(&bench).expect("taken");
        block_on(bench.fleet.pass_time());
    }
    assert!(!agent.view(&bench).conflict);
    let history = bench.history();
    let conflicts: Vec<_> = history.iter().filter(|line| line.contains("conflict")).collect();
    assert_eq!(conflicts, ["pi host_conflict", "pi host_conflict_over"]);
}

#[test]
fn pages_of_events_hold_each_once_and_go_on_when_they_are_empty() {
    let bench = Bench::new();
    let (mut a, mut b) = (bench.host("a", &[1]), bench.host("b", &[2]));
    a.event("die", 1);
    a.catch_up(&bench);
    for _ in 0..30 {
        b.event("kill", 2);
    }
    b.catch_up(&bench);
    a.event("start", 1);
    a.catch_up(&bench);
    let all = bench.history();
    let read = |wanted: &EventSelect, limit: usize| {
        let (mut ids, mut pages, mut empty, mut after) = (Vec::new(), 0, 0, 0);
        loop {
            let page = block_on(bench.fleet.events(after, limit, wanted.clone())).expect("a page");
            assert!(page.events.len() <= limit);
            pages += 1;
            empty += usize::from(page.events.is_empty());
            ids.extend(page.events.iter().map(|event| event.id));
            match page.next {
                Some(next) => after = next,
                None => return (ids, pages, empty),
            }
        }
    };
    let everything: Vec<u64> = (1..=all.len() as u64).collect();
    for limit in [1, 3, 7, 500] {
        assert_eq!(read(&EventSelect::default(), limit).0, everything);
    }
    let of_a = EventSelect { hosts: vec!["a".into()], subjects: vec!["container".into()], ..Default::default() };
    let (ids, pages, empty) = read(&of_a, 10);
    assert_eq!(ids.len(), 2);
    assert!(pages > 2 && empty > 0, "{pages} pages, {empty} of them empty");
    let by_id =
        EventSelect { hosts: vec![a.view(&bench).id], subjects: vec!["container".into()], ..Default::default() };
    assert_eq!(read(&by_id, 1).0, ids);
    assert_eq!(read(&EventSelect { actions: vec!["none".into()], ..Default::default() }, 10).0, [0; 0]);
}

#[test]
fn pages_of_containers_hold_each_once_in_order() {
    let bench = Bench::new();
    let agents: Vec<Agent> = ["b", "c", "a", "d"].map(|name| bench.host(name, &[3, 1, 2])).into();
    let read = |wanted: &ContainerSelect, limit: usize| {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = block_on(bench.fleet.containers(wanted.clone(), after, limit));
            let Some(last) = page.last() else { return seen };
            after = Some([&last.host, &last.name, &last.host_id, &last.id].map(String::clone));
            seen.extend(page.iter().map(|it| format!("{}/{}", it.host, it.name)));
        }
    };
    let all = read(&ContainerSelect::default(), 100);
    assert_eq!(all.len(), 12);
    assert!(all.is_sorted());
    for limit in [1, 2, 3, 5] {
        assert_eq!(read(&ContainerSelect::default(), limit), all);
    }
    let id = agents[0].view(&bench).id;
    let some = ContainerSelect { hosts: vec!["d".into(), id], names: vec!["2".into()], ..Default::default() };
    assert_eq!(read(&some, 1), ["b/c2", "d/c2"]);
}

#[test]
fn containers_are_found_by_what_people_type() {
    let bench = Bench::new();
    let mut a = bench.host("a", &[0x12, 0x13]);
    let _b = bench.host("b", &[0x13]);
    let found = |host: &str, word: &str| bench.fleet.container(host, word).map(|it| it.name);
    assert_eq!(found("a", "c18"), Ok("c18".into()));
    assert_eq!(found("a", "/c18"), Ok("c18".into()));
    assert_eq!(found("a", &"12".repeat(32)), Ok("c18".into()));
    assert_eq!(found("a", "1212"), Ok("c18".into()));
    assert!(matches!(found("a", "1"), Err(Refusal::Ambiguous(_, candidates)) if candidates.len() == 2));
    assert!(matches!(found("a", ""), Err(Refusal::NotFound(_))));
    assert!(
        matches!(bench.fleet.container_anywhere("c19"), Err(Refusal::Ambiguous(_, at)) if at == ["a/c19", "b/c19"])
    );
    a.containers.pop();
    for _ in 0..3 {
        a.report(&bench).expect("taken");
    }
    assert_eq!(bench.fleet.container_anywhere("c19").map(|it| it.host), Ok("b".into()));
}

#[test]
fn watchers_see_events_in_the_order_of_their_ids() {
    let bench = Bench::new();
    let mut agents: Vec<Agent> = (1..=6).map(|number| bench.host(&format!("h{number}"), &[number])).collect();
    let mut watcher = watching(&bench);
    std::thread::scope(|scope| {
        for (agent, number) in agents.iter_mut().zip(1..) {
            let bench = &bench;
            scope.spawn(move || {
                for _ in 0..20 {
                    agent.event("kill", number);
                    agent.report(bench).expect("taken");
                }
            });
        }
    });
    let id = |line: &String| -> Option<u64> {
        let data = line.strip_prefix("event: event data: ")?;
        serde_json::from_str::<serde_json::Value>(data).ok()?["id"].as_u64()
    };
    let ids: Vec<u64> = read(&mut watcher).0.iter().filter_map(id).collect();
    assert_eq!(ids.len(), 120);
    assert!(ids.is_sorted(), "{ids:?}");
}

#[test]
fn a_copy_that_sending_everything_does_not_mend_is_shown_until_it_is_proven() {
    let bench = Bench::new();
    let mut agent = bench.host("pi", &[1, 2]);
    agent.lies = Some(true);
    agent.report(&bench).expect("taken");
    let shown = |agent: &Agent| agent.cell(&bench).live().row.sync_error;
    assert!(!shown(&agent), "once may be chance");
    agent.report(&bench).expect("taken");
    assert!(shown(&agent));
    assert_eq!(bench.history().iter().filter(|line| line.contains("host_sync_error")).count(), 1);
    let restarted = bench.restarted();
    assert!(agent.cell(&restarted).live().row.sync_error, "it is stored");
    agent.lies = Some(false);
    agent.report(&bench).expect("taken");
    assert!(!shown(&agent));
    assert_eq!(bench.history().iter().filter(|line| line.contains("host_sync_error")).count(), 2, "and is over");
    let commits = bench.store.commits();
    for _ in 0..10 {
        agent.report(&bench).expect("taken");
    }
    assert_eq!(bench.store.commits(), commits, "what is proven again and again costs no commit");
}
