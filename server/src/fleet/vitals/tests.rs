use super::*;
use crate::agents::harness::{Agent, Bench, by};
use crate::api::types;
use crate::fleet::{HostChange, Rhythm, VitalsSpan};
use crate::listen::Content;
use crate::test_dir::TestDir;
use crate::vitals::{HOUR_MS, History, HistoryShape, MINUTE_MS};
use futures_lite::future::block_on;
use muster_protocol::record::{Kind, Writer};
use muster_protocol::vitals::{ContainerField, Disk, DiskField, HostField, Measured, Pace, Usage, signed};
use std::time::Duration;

/// Vitals of one message.
pub(crate) struct Saying {
    pub at_ms: u64,
    pub whole: bool,
    pub host: Vec<(HostField, u64)>,
    pub disks: Vec<(&'static str, Vec<(DiskField, u64)>)>,
    /// By what the id consists of.
    pub containers: Vec<(u8, Vec<(ContainerField, u64)>)>,
}

fn measured<F: Copy, const N: usize>(fields: &[(F, u64)], number: fn(F) -> u8) -> Measured<N> {
    let mut measured = Measured::default();
    fields.iter().for_each(|(field, value)| measured.push(number(*field), *value));
    measured
}

impl Saying {
    /// Everything of a host with four processors and one container, at a time.
    pub(crate) fn whole(at_ms: u64) -> Saying {
        Saying {
            at_ms,
            whole: true,
            host: vec![
                (HostField::Cpu, 100_000),
                (HostField::Cpus, 4),
                (HostField::Load, 52),
                (HostField::MemoryTotal, 4 << 20),
                (HostField::MemoryAvailable, 3 << 20),
                (HostField::SwapTotal, 1024),
                (HostField::SwapUsed, 0),
                (HostField::Uptime, 500),
                (HostField::Temperature, signed(-54)),
                (HostField::Power, 1 << 16),
            ],
            disks: vec![("/", vec![(DiskField::Total, 1000), (DiskField::Free, 250)])],
            containers: vec![(
                1,
                vec![(ContainerField::Cpu, 60_000), (ContainerField::Memory, 98_304), (ContainerField::MemoryLimit, 0)],
            )],
        }
    }

    /// What has moved since.
    pub(crate) fn moved(at_ms: u64, host_cpu: u64, container_cpu: u64) -> Saying {
        Saying {
            at_ms,
            whole: false,
            host: vec![(HostField::Cpu, host_cpu)],
            disks: Vec::new(),
            containers: vec![(1, vec![(ContainerField::Cpu, container_cpu)])],
        }
    }

    pub(crate) fn records(&self) -> Vec<u8> {
        let mut buffer = vec![0; 4096];
        let mut writer = Writer::records(&mut buffer);
        let vitals = muster_protocol::vitals::Vitals {
            at_ms: self.at_ms,
            wall_ms: crate::time::now_ms() + 5000,
            whole: self.whole,
            host: measured(&self.host, |field| field as u8),
        };
        writer.record(Kind::Vitals, &vitals).expect("room");
        for (path, fields) in &self.disks {
            let disk = Disk { path, values: measured(fields, |field| field as u8) };
            writer.record(Kind::Disk, &disk).expect("room");
        }
        for (id, fields) in &self.containers {
            let usage = Usage { id: [*id; 6], values: measured(fields, |field| field as u8) };
            writer.record(Kind::Usage, &usage).expect("room");
        }
        writer.as_bytes().to_vec()
    }
}

/// A report with something behind it: the status of the answer.
fn report(bench: &Bench, agent: &mut Agent, behind: &[u8]) -> u16 {
    let body = [agent.report_bytes(), behind.to_vec()].concat();
    block_on(agent.send(bench, &body, false)).status
}

pub(crate) fn says(bench: &Bench, agent: &mut Agent, saying: &Saying) {
    assert_eq!(report(bench, agent, &saying.records()), 200);
}

fn container(bench: &Bench, agent: &Agent, number: u8) -> Option<types::ContainerVitals> {
    let id = EngineId([number; 32]);
    agent.cell(bench).live().container_view(&id).expect("the container").vitals
}

#[test]
fn what_a_host_says_is_shown_with_it_and_its_containers() {
    let bench = Bench::new();
    let mut agent = bench.host("pi", &[1, 2]);
    assert_eq!((agent.view(&bench).vitals, container(&bench, &agent, 1)), (None, None), "never heard");
    says(&bench, &mut agent, &Saying::whole(10_000));
    let vitals = agent.view(&bench).vitals.expect("heard");
    assert_eq!((vitals.cpu_percent, vitals.cpu_seconds, vitals.cpus), (None, Some(100.0), Some(4)), "no rate of one");
    assert_eq!((vitals.memory_total, vitals.memory_available), (Some(4 << 30), Some(3 << 30)));
    assert_eq!((vitals.load, vitals.temperature, vitals.uptime), (Some(0.52), Some(-5.4), Some(500)));
    assert!(vitals.clock_offset.is_some_and(|offset| (4.0..=5.0).contains(&offset)), "{vitals:?}");
    assert!(vitals.power.is_some_and(|power| power.was_under_voltage && !power.under_voltage));
    assert_eq!(vitals.disks.len(), 1);
    assert_eq!((vitals.disks[0].total, vitals.disks[0].used_percent), (Some(1000 << 20), Some(75.0)));

    says(&bench, &mut agent, &Saying::moved(20_000, 110_000, 65_000));
    let vitals = agent.view(&bench).vitals.expect("heard");
    assert_eq!((vitals.cpu_percent, vitals.load), (Some(25.0), Some(0.52)), "one of four; the rest as it was");
    let one = container(&bench, &agent, 1).expect("heard");
    assert_eq!((one.cpu_percent, one.memory, one.memory_limit), (Some(50.0), Some(96 << 20), None));
    assert_eq!((one.memory_max, one.memory_percent), (Some(4 << 30), Some(2.34)), "the host's, without a limit");
    assert_eq!(container(&bench, &agent, 2), None, "nothing was said of it");
}

#[test]
fn nobody_is_told_and_nothing_is_stored_when_only_vitals_change() {
    let bench = Bench::new();
    let mut agent = bench.host("pi", &[1]);
    says(&bench, &mut agent, &Saying::whole(10_000));
    let mut watching = bench.fleet.feed().subscribe("t", None).expect("a place");
    block_on(watching.next()).expect("a reset");
    let (commits, lines) = (bench.store.commits(), bench.history());
    for at in 2..20 {
        says(&bench, &mut agent, &Saying::moved(at * 10_000, at * 100_000, at * 60_000));
    }
    assert_eq!((bench.store.commits(), bench.history()), (commits, lines));
    bench.fleet.feed().close();
    assert_eq!(block_on(watching.next()), None);
}

#[test]
fn malformed_ones_are_refused_with_all_of_their_message() {
    let bench = Bench::new();
    let mut agent = bench.host("pi", &[1]);
    says(&bench, &mut agent, &Saying::whole(10_000));
    let lines = bench.history();
    let whole = Saying::whole(20_000).records();
    let usage_alone = Saying { host: Vec::new(), ..Saying::moved(1, 1, 1) }.records()[6..].to_vec();
    let vitals_twice = [whole.clone(), whole.clone()].concat();
    for (what, behind) in [
        ("cut", vec![Kind::Vitals as u8, 2, 0x80, 0x80]),
        ("twice", vitals_twice),
        ("not behind Vitals", usage_alone.iter().copied().skip_while(|byte| *byte != Kind::Usage as u8).collect()),
        ("longer than the message", vec![Kind::Vitals as u8, 9, 0]),
    ] {
        agent.event("die", 1);
        assert_eq!(report(&bench, &mut agent, &behind), 400, "{what}");
    }
    assert_eq!(bench.history(), lines);
    assert_eq!(agent.view(&bench).vitals.expect("as before").cpu_seconds, Some(100.0));
    // What a newer agent measures is passed over.
    let mut newer =
        muster_protocol::vitals::Vitals { at_ms: 30_000, wall_ms: 0, whole: false, host: Measured::default() };
    newer.host.push(HostField::Load as u8, 7);
    newer.host.push(23, 99);
    let mut buffer = [0; 128];
    let mut writer = Writer::records(&mut buffer);
    writer.record(Kind::Vitals, &newer).expect("room");
    assert_eq!(report(&bench, &mut agent, writer.as_bytes()), 200);
    assert_eq!(agent.view(&bench).vitals.expect("heard").load, Some(0.07));
}

#[test]
fn a_host_that_is_away_keeps_the_last_ones_and_what_is_gone_or_stopped_shows_none() {
    let bench = Bench::new();
    let mut agent = bench.host("pi", &[1, 2]);
    says(&bench, &mut agent, &Saying::whole(10_000));
    bench.fleet.skip(Duration::from_secs(3600));
    block_on(bench.fleet.pass_time());
    assert_ne!(agent.view(&bench).state, "active");
    let as_of = agent.view(&bench).vitals.expect("kept").as_of;
    assert_eq!(container(&bench, &agent, 1).expect("kept").as_of, as_of);
    // It comes back. A container that ended shows none, and the same again when it runs again: the host says only
    // what has moved.
    agent.containers[0].1 = State::Exited;
    agent.catch_up(&bench);
    assert_eq!(container(&bench, &agent, 1), None);
    agent.containers[0].1 = State::Running;
    agent.catch_up(&bench);
    assert_eq!(container(&bench, &agent, 1).expect("as before").memory, Some(96 << 20));
    agent.containers.remove(0);
    agent.catch_up(&bench);
    agent.containers.push((1, State::Running));
    agent.catch_up(&bench);
    assert_eq!(container(&bench, &agent, 1), None, "it was gone");

    says(&bench, &mut agent, &Saying::whole(50_000));
    block_on(bench.fleet.remove_host(&by(), "pi")).expect("removed");
    let removed = bench.fleet.hosts(true, None, 10).remove(0);
    assert_eq!((removed.state.as_str(), removed.vitals), ("removed", None));
}

#[test]
fn a_store_that_fails_takes_no_vitals_away() {
    let bench = Bench::new();
    let mut agent = bench.host("pi", &[1]);
    says(&bench, &mut agent, &Saying::whole(10_000));
    bench.store.fail_commits(1);
    agent.event("die", 1);
    agent.catch_up(&bench);
    assert!(agent.view(&bench).vitals.is_some() && container(&bench, &agent, 1).is_some());
}

#[test]
fn two_containers_whose_ids_begin_alike_have_none() {
    let mut vitals = Vitals::default();
    let mut twin = EngineId([1; 32]);
    twin.0[31] = 9;
    let saying = Saying::whole(1);
    let batch = muster_protocol::batch::Batch { epoch: 1, seq: 1, base: 0, through: 1, events_dropped: 0 };
    let mut buffer = [0; 64];
    let mut writer = Writer::message(&mut buffer).expect("room");
    writer.record(Kind::Batch, &batch).expect("room");
    let message = [writer.as_bytes().to_vec(), saying.records()].concat();
    assert!(vitals.picture.receive(&Said::find(&message).expect("a message").expect("vitals")));
    vitals.know([EngineId([1; 32])].into_iter());
    assert!(vitals.now(&EngineId([1; 32])).is_some());
    vitals.know([EngineId([0; 32]), EngineId([1; 32]), twin, EngineId([2; 32])].into_iter());
    assert!(vitals.now(&EngineId([1; 32])).is_none() && vitals.now(&twin).is_none());
    vitals.forget(&[twin]);
    vitals.know([EngineId([1; 32])].into_iter());
    assert!(vitals.now(&EngineId([1; 32])).is_some());
}

fn paces(agent: &mut Agent, bench: &Bench, is_hello: bool) -> Vec<u32> {
    agent.told::<Pace>(bench, is_hello, Kind::Pace).into_iter().map(|it| it.interval_ms).collect()
}

fn set(bench: &Bench, vitals_ms: Option<u32>) -> types::Host {
    let rhythm = Rhythm { vitals_ms: Some(vitals_ms), ..Rhythm::default() };
    let change = HostChange { rhythm, ..HostChange::default() };
    block_on(bench.fleet.change_host(&by(), "pi", change)).expect("set")
}

#[test]
fn how_often_to_look_is_told_several_times_and_with_each_welcome() {
    let bench = Bench::new();
    let mut agent = bench.host("pi", &[1]);
    assert_eq!(paces(&mut agent, &bench, false), [0; 0], "nothing was set");
    assert_eq!(set(&bench, Some(60_000)).vitals_interval_set, Some(60.0));
    assert_eq!(paces(&mut agent, &bench, false), [60_000]);
    assert_eq!(paces(&mut agent, &bench, false), [0; 0], "it was just told");
    bench.fleet.skip(Duration::from_secs(60));
    assert_eq!(paces(&mut agent, &bench, false), [60_000], "that may have been lost");
    assert_eq!(paces(&mut agent, &bench, true), [60_000]);
    bench.fleet.skip(Duration::from_secs(60));
    assert_eq!(paces(&mut agent, &bench, false), [0; 0], "it was welcomed with it");
    assert_eq!(set(&bench, Some(u32::MAX)).vitals_interval_set, Some(0.0), "never");
    // Nothing confirms it, and an agent may be too old to know it.
    let told = (0..20).flat_map(|_| {
        bench.fleet.skip(Duration::from_secs(60));
        paces(&mut agent, &bench, false)
    });
    assert_eq!(told.collect::<Vec<_>>(), [u32::MAX; 5]);
    let again = bench.restarted();
    assert_eq!(agent.view(&again).vitals_interval_set, Some(0.0));
    agent.catch_up(&again);
    assert_eq!(paces(&mut agent, &again, true), [u32::MAX]);
    assert_eq!(set(&again, None).vitals_interval_set, None);
    assert_eq!(paces(&mut agent, &again, false), [0], "what it was started with");
    assert_eq!(paces(&mut agent, &again, true), [0; 0], "which a welcome means that says nothing");
}

#[test]
fn the_busiest_come_first_and_those_away_last() {
    let bench = Bench::new();
    let mut quiet = bench.host("a-quiet", &[1]);
    let mut busy = bench.host("b-busy", &[1, 2]);
    let mut away = bench.host("c-away", &[1]);
    for (agent, cpu) in [(&mut quiet, 1), (&mut busy, 20), (&mut away, 40)] {
        says(&bench, agent, &Saying::whole(10_000));
        says(&bench, agent, &Saying::moved(20_000, 100_000 + cpu * 1000, 60_000 + cpu * 900));
    }
    bench.fleet.skip(Duration::from_secs(3600));
    for agent in [&mut quiet, &mut busy] {
        agent.catch_up(&bench);
    }
    block_on(bench.fleet.pass_time());
    let top = block_on(bench.fleet.top(&[], 10)).expect("a list");
    let names: Vec<&str> = top.hosts.iter().map(|host| host.name.as_str()).collect();
    assert_eq!(names, ["b-busy", "a-quiet", "c-away"]);
    let containers: Vec<String> = top.containers.iter().map(|it| format!("{}/{}", it.host, it.name)).collect();
    assert_eq!(containers, ["b-busy/c1", "a-quiet/c1", "b-busy/c2", "c-away/c1"]);
    assert_eq!((top.running, top.containers[0].vitals.as_ref().and_then(|it| it.cpu_percent)), (4, Some(180.0)));
    let few = block_on(bench.fleet.top(&[], 1)).expect("a list");
    assert_eq!((few.hosts[0].name.as_str(), few.containers.len(), few.running), ("b-busy", 1, 4));
    let one = block_on(bench.fleet.top(&["a-quiet".into(), "a-quiet".into()], 10)).expect("a list");
    assert_eq!((one.hosts.len(), one.containers.len()), (1, 1));
    assert!(block_on(bench.fleet.top(&["nobody".into()], 10)).is_err());
}

fn span(step_ms: i64) -> VitalsSpan {
    let now = crate::time::now_ms();
    VitalsSpan { since_ms: now - 2 * HOUR_MS, until_ms: now + HOUR_MS, step_ms }
}

#[test]
fn minutes_are_kept_and_found() {
    let dir = TestDir::new();
    let bench = Bench::new().with_vitals(History::new(dir.path(), HistoryShape::default()));
    let mut agent = bench.host("pi", &[1]);
    block_on(bench.fleet.end_minute());
    says(&bench, &mut agent, &Saying::whole(10_000));
    says(&bench, &mut agent, &Saying::moved(20_000, 110_000, 65_000));
    block_on(bench.fleet.end_minute());
    let history = block_on(bench.fleet.host_history("pi", span(MINUTE_MS))).expect("a history");
    assert_eq!((history.step, history.items.len()), (60, 1));
    let point = &history.items[0];
    assert_eq!((point.cpu_percent, point.cpu_percent_max), (Some(25.0), Some(25.0)));
    assert_eq!((point.memory_used, point.memory_total), (Some(1 << 30), Some(4 << 30)));
    assert_eq!((point.temperature, point.disk_used_percent, point.load), (Some(-5.4), Some(75.0), Some(0.52)));
    assert!(point.power.as_ref().is_some_and(|power| power.was_under_voltage));
    // A host that is there and says nothing has not changed; of one that is away nothing is known.
    let minutes = |bench: &Bench| {
        let steps = bench.fleet.vitals_history().read(agent.cell(bench).id, i64::MIN, i64::MAX, MINUTE_MS);
        steps.values().map(|sums| sums.get(Field::Load)).collect::<Vec<_>>()
    };
    let before = bench.fleet.vitals_history().bytes();
    block_on(bench.fleet.end_minute());
    assert!(bench.fleet.vitals_history().bytes() > before && minutes(&bench) == [Some(52)]);
    bench.fleet.skip(Duration::from_secs(3600));
    block_on(bench.fleet.pass_time());
    let before = bench.fleet.vitals_history().bytes();
    block_on(bench.fleet.end_minute());
    assert_eq!(bench.fleet.vitals_history().bytes(), before);
    let rest = bench.fleet.rest_of_minute();
    assert!((Duration::from_secs(5)..=Duration::from_secs(65)).contains(&rest), "{rest:?}");
}

#[test]
fn a_history_that_cannot_be_kept_is_a_warning_and_nothing_else() {
    let dir = TestDir::new();
    std::fs::write(dir.path().join("vitals"), b"in the way").expect("written");
    let bench = Bench::new().with_vitals(History::new(dir.path(), HistoryShape::default()));
    let mut agent = bench.host("pi", &[1]);
    says(&bench, &mut agent, &Saying::whole(10_000));
    block_on(bench.fleet.end_minute());
    assert!(bench.fleet.warning().is_some_and(|warning| warning.contains("history of vitals")));
    assert_eq!(bench.fleet.problem(), None);
    agent.catch_up(&bench);
}

#[test]
fn containers_of_hosts_that_are_watched_have_a_past() {
    let bench = Bench::new();
    let names = ["a", "b", "c", "d"];
    let mut agents: Vec<Agent> = names.iter().map(|name| bench.host(name, &[1])).collect();
    let points = |name: &str| bench.fleet.container_history(name, "c1", span(1000)).expect("a history");
    says(&bench, &mut agents[0], &Saying::whole(10_000));
    let first = points("a");
    assert!(first.items.len() <= 1, "from now on");
    for at in 2..200 {
        says(&bench, &mut agents[0], &Saying::moved(at * 10_000, 100_000, 60_000 + at * 1000));
    }
    let all = bench.fleet.container_history("a", "c1", span(HOUR_MS)).expect("a history");
    assert_eq!(all.begins, first.begins);
    let last = all.items.last().expect("a step");
    assert_eq!((last.cpu_percent, last.memory), (Some(10.0), Some(96 << 20)));
    let kept = agents[0].cell(&bench).live().container_points(&EngineId([1; 32]), (0, i64::MAX), 1);
    assert!(kept.is_some_and(|(_, points)| points.len() <= 64), "as many as a host may have");
    // One more than can be watched.
    for name in &names[1..] {
        points(name);
    }
    let is_watched = |agent: &Agent| agent.cell(&bench).live().vitals.trail.is_some();
    assert_eq!(agents.iter().map(is_watched).collect::<Vec<_>>(), [false, true, true, true]);
    // Nobody has asked for long.
    bench.fleet.skip(Duration::from_secs(16 * 60));
    says(&bench, &mut agents[1], &Saying::whole(10_000));
    assert!(!is_watched(&agents[1]));
    assert!(bench.fleet.container_history("a", "nothing", span(1000)).is_err());
}

#[test]
fn a_report_with_vitals_is_answered_as_one_without() {
    let bench = Bench::new();
    let mut agent = bench.host("pi", &[1]);
    let with = [agent.report_bytes(), Saying::whole(10_000).records()].concat();
    let answer = block_on(agent.send(&bench, &with, false));
    let Content::Bytes(with) = answer.content else { panic!("an answer is no stream") };
    let without = agent.report_bytes();
    let answer = block_on(agent.send(&bench, &without, false));
    let Content::Bytes(without) = answer.content else { panic!("an answer is no stream") };
    assert_eq!(with.len(), without.len());
}
