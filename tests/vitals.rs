//! What the agent says of containers is what the kernel's files say: on a real engine, whatever control groups this
//! machine has.

use muster_agent::census::roster::Run;
use muster_agent::vitals::{DESCRIPTORS, Vitals};
use muster_protocol::batch::Batch;
use muster_protocol::id::EngineId;
use muster_protocol::limits;
use muster_protocol::mirror::vitals::{ContainerNow, Picture, Said};
use muster_protocol::record::{Kind, Writer};
use muster_protocol::reporter::vitals::{Ledger, Told};
use muster_protocol::vitals::{CONTAINER_FIELDS, Measured};
use muster_tests::{Agent, Engine, Proxy, Server, eventually, process::Ran};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The agent's and the server's end, without anything between them.
struct Ends {
    vitals: Vitals,
    picture: Picture,
    seq: u64,
    bytes: usize,
}

impl Ends {
    fn new() -> Ends {
        Ends { vitals: Vitals::new(Path::new("/"), DESCRIPTORS), picture: Picture::default(), seq: 0, bytes: 0 }
    }

    fn look(&mut self, runs: &[(EngineId, u32)]) {
        self.look_at(Instant::now(), runs);
    }

    fn look_at(&mut self, now: Instant, runs: &[(EngineId, u32)]) {
        let mut said = [0; limits::VITALS];
        let mut writer = Writer::records(&mut said);
        let runs = runs.iter().map(|(id, pid)| (*id, Run::Up { pid: *pid }));
        self.seq += 1;
        self.bytes = 0;
        if !self.vitals.look(runs, now, 0, &mut writer) {
            return;
        }
        self.bytes = writer.len();
        let mut message = vec![0; limits::MESSAGE];
        let mut out = Writer::message(&mut message).expect("room");
        let batch = Batch { epoch: 1, seq: self.seq, base: 0, through: 0, events_dropped: 0 };
        out.record(Kind::Batch, &batch).and_then(|()| out.raw(writer.as_bytes())).expect("room");
        let said = Said::find(out.as_bytes()).expect("good records").expect("vitals");
        assert!(self.picture.receive(&said));
    }

    fn container(&self, id: EngineId) -> ContainerNow {
        self.picture.container(&id).unwrap_or_default()
    }
}

/// A container that runs: its id and its first process.
fn running(engine: &Engine, name: &str) -> (EngineId, u32) {
    let inspect = engine.inspect(name);
    let id = EngineId::parse(inspect["Id"].as_str().expect("an id")).expect("an id");
    (id, u32::try_from(inspect["State"]["Pid"].as_u64().expect("a process")).expect("a process"))
}

/// Its control group's directory for a controller of version 1, or that of version 2.
fn group(pid: u32, controller: &str) -> (PathBuf, bool) {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("its groups");
    let of = |wanted: &str| {
        let mut lines = text.lines().map(|line| line.splitn(3, ':').collect::<Vec<_>>());
        lines
            .find(|parts| parts[1].split(',').any(|name| name == wanted))
            .map(|parts| parts[2].trim_start_matches('/').to_owned())
    };
    let top = Path::new("/sys/fs/cgroup");
    match of(controller).filter(|_| !controller.is_empty()) {
        Some(path) => (top.join(controller).join(path), true),
        None => (top.join(of("").expect("version 2")), false),
    }
}

fn number(path: &Path) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.trim().parse().unwrap_or(0)
}

fn line(path: &Path, name: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    found.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

/// Milliseconds of processor time.
fn cpu_ms(pid: u32) -> u64 {
    match group(pid, "cpuacct") {
        (at, true) => number(&at.join("cpuacct.usage")) / 1_000_000,
        (at, false) => line(&at.join("cpu.stat"), "usage_usec") / 1000,
    }
}

/// KiB that are used without the cache.
fn memory(pid: u32) -> u64 {
    let (usage, cached) = match group(pid, "memory") {
        (at, true) => (number(&at.join("memory.usage_in_bytes")), line(&at.join("memory.stat"), "total_inactive_file")),
        (at, false) => (number(&at.join("memory.current")), line(&at.join("memory.stat"), "inactive_file")),
    };
    usage.saturating_sub(cached) / 1024
}

/// KiB that came in and went out of its network, but for `lo`.
fn network(pid: u32) -> (u64, u64) {
    let text = Ran::of("nsenter", &["-t", &pid.to_string(), "-n", "cat", "/proc/net/dev"], &[], 20).ok();
    let mut sum = (0, 0);
    for line in text.lines().skip(2).filter(|line| !line.trim_start().starts_with("lo:")) {
        let counters = line.split_once(':').expect("an interface").1;
        let counters: Vec<u64> =
            counters.split_ascii_whitespace().map(|word| word.parse().expect("a number")).collect();
        sum = (sum.0 + counters[0], sum.1 + counters[8]);
    }
    (sum.0 / 1024, sum.1 / 1024)
}

#[test]
fn what_is_said_is_what_the_kernel_counts() {
    let engine = Engine::start_with_bridge("alpha");
    engine.run_with("burner", &["--cpus", "0.3"], &["sh", "-c", "while :; do :; done"]);
    // Sixteen bytes, doubled nineteen times, in a shell that does not end with its last command.
    let eat =
        "x=aaaaaaaaaaaaaaaa; for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19; do x=$x$x; done; live; true";
    engine.run_with("eater", &["--memory", "96m"], &["sh", "-c", eat]);
    // Its input stays open: else it would say goodbye at once.
    engine.run_with("listener", &["-i"], &["sh", "-c", "nc -l -p 9000 > /dev/null; live"]);
    let address = engine.inspect("listener")["NetworkSettings"]["IPAddress"].as_str().expect("an address").to_owned();
    let talk = format!("until busybox head -c 1000000 /dev/zero | nc {address} 9000; do sleep 1; done; live");
    engine.run_with("talker", &[], &["sh", "-c", &talk]);
    let names = ["burner", "eater", "listener", "talker"];
    let runs: Vec<(EngineId, u32)> = {
        let mut runs: Vec<_> = names.iter().map(|name| running(&engine, name)).collect();
        runs.sort();
        runs
    };
    let [burner, eater, listener, talker] = names.map(|name| running(&engine, name));
    let mut ends = Ends::new();

    // Processor: between what the kernel says before and after.
    let before = cpu_ms(burner.1);
    ends.look(&runs);
    let after = cpu_ms(burner.1);
    let said = ends.container(burner.0).cpu_ms.expect("processor time");
    assert!((before..=after).contains(&said), "{said} is not within {before}..={after}");
    eventually("the burner is seen to burn, and to be held back", || {
        ends.look(&runs);
        let now = ends.container(burner.0);
        let is_hot =
            now.cpu.is_some_and(|cpu| (150..=600).contains(&cpu)) && now.throttled.is_some_and(|held| held > 100);
        if is_hot { Ok(()) } else { Err(format!("{now:?}")) }
    });
    eventually("the host is seen to be busy", || {
        ends.look(&runs);
        let host = ends.picture.host();
        if host.cpu.is_some_and(|cpu| cpu > 100) { Ok(()) } else { Err(format!("{host:?}")) }
    });

    // Memory, once the eater is full: equal but for a step.
    eventually("what is said of memory is what the kernel says", || {
        let before = memory(eater.1);
        ends.look(&runs);
        let (after, said) = (memory(eater.1), ends.container(eater.0).memory.unwrap_or(0));
        let step = (said / 50).max(1024);
        let is_close = said >= 8 * 1024 && said + step > before.min(after) && said < before.max(after) + step;
        if is_close { Ok(()) } else { Err(format!("{said} KiB, and the kernel {before} to {after}")) }
    });
    let now = ends.container(eater.0);
    assert_eq!(now.memory_limit, Some(96 * 1024));
    assert_eq!(ends.container(burner.0).memory_limit, Some(0));
    assert!(now.pids >= Some(1));

    // Network: what was sent through the bridge.
    eventually("what is said of networks is what the kernel says", || {
        ends.look(&runs);
        let (to, from) = (ends.container(listener.0), ends.container(talker.0));
        let ((into, _), (_, out_of)) = (network(listener.1), network(talker.1));
        let is_close = |said: Option<u64>, truth: u64| said.is_some_and(|said| said > 900 && said.abs_diff(truth) < 33);
        let holds = is_close(to.received, into) && is_close(from.sent, out_of);
        if holds { Ok(()) } else { Err(format!("{to:?} and {into}, {from:?} and {out_of}")) }
    });

    // Started again it is another process in another group of the same name, which counts from nothing.
    let burnt = ends.container(burner.0).cpu_ms.expect("processor time");
    engine.docker(&["restart", "-t", "0", "burner"]);
    let again = running(&engine, "burner");
    let runs: Vec<_> = runs.iter().map(|run| if run.0 == again.0 { again } else { *run }).collect();
    ends.look(&runs);
    let said = ends.container(burner.0).cpu_ms.expect("processor time");
    assert!(said <= cpu_ms(again.1) && said < burnt, "{said} ms, and {burnt} before it was started again");

    // One that has ended keeps nothing open.
    engine.docker(&["rm", "-f", "burner", "eater", "listener", "talker"]);
    ends.look(&[]);
    let is_a_group = |target: &PathBuf| target.starts_with("/sys/fs/cgroup");
    let links = fs::read_dir("/proc/self/fd").expect("descriptors").flatten();
    let open: Vec<_> = links.filter_map(|fd| fs::read_link(fd.path()).ok()).filter(is_a_group).collect();
    assert!(open.is_empty(), "{open:?}");
}

/// The agent's files in control groups.
fn open_groups(pid: u32) -> usize {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).expect("descriptors").flatten();
    let targets = links.filter_map(|fd| fs::read_link(fd.path()).ok());
    targets.filter(|target| target.starts_with("/sys/fs/cgroup")).count()
}

#[test]
fn a_server_that_forgot_and_lines_that_die_leave_nothing_unknown_or_old() {
    let (engine, mut server) = (Engine::start("alpha"), Server::start());
    let proxy = Proxy::start(server.port(), "");
    let mut agent = Agent::new(&engine.docker_host());
    agent.join_with(&server.join_string(&["--name", "alpha"])).ok();
    let through = format!("http://{}", proxy.address());
    agent.start_with(&[("HTTPS_PROXY", &through), ("MUSTER_VITALS_INTERVAL", "1s")]);
    engine.run_with("web", &["--memory", "96m"], &["live"]);
    let limit_is = |server: &Server, mib: u64| {
        server.wait_for("alpha", "web", "its limit is known", |web| web["vitals"]["memory_limit"] == mib << 20);
    };
    limit_is(&server, 96);
    assert!(open_groups(agent.process().id()) > 0, "what is read at every look stays open");

    // Latest values are in memory alone. The agent hears that they are gone, and says everything again.
    server.crash();
    limit_is(&server, 96);

    // What goes over a line that is about to die wants no answer, and is said again.
    proxy.cuts_after(Duration::from_millis(1500));
    for mib in [80, 64, 48] {
        let memory = format!("{mib}m");
        engine.docker(&["update", "--memory", &memory, "--memory-swap", "200m", "web"]);
        limit_is(&server, mib);
    }

    // An operator on the host has the last word.
    agent.stop();
    agent.start_with(&[("HTTPS_PROXY", &through), ("MUSTER_VITALS_INTERVAL", "off")]);
    server.muster(&["hosts", "set", "alpha", "--vitals-interval", "1s"]).ok();
    server.settle("alpha", &engine);
    assert_eq!(open_groups(agent.process().id()), 0);
}

/// Milliseconds of processor time of this thread.
fn own_cpu_ms() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("what this thread took");
    text.split_ascii_whitespace().next().and_then(|word| word.parse::<f64>().ok()).expect("a number") / 1e6
}

/// Prints figures; run by hand, in release, on a quiet machine: `-- --ignored --nocapture`.
#[test]
#[ignore = "measures"]
fn what_fifty_containers_cost() {
    let engine = Engine::start_with_bridge("alpha");
    let names: Vec<String> = (0..50).map(|n| format!("c{n}")).collect();
    for name in &names {
        engine.run(name);
    }
    let mut runs: Vec<_> = names.iter().map(|name| running(&engine, name)).collect();
    runs.sort();
    let start = Instant::now();
    let at = |look: u32| start + Duration::from_secs(15) * look;
    let mut ends = Ends::new();
    let before = own_cpu_ms();
    ends.look_at(at(0), &runs);
    println!("the first look at fifty: {:.2} ms, {} bytes", own_cpu_ms() - before, ends.bytes);
    for (what, descriptors, runs) in
        [("descriptors kept", DESCRIPTORS, &runs[..]), ("none kept", 0, &runs), ("no containers", DESCRIPTORS, &[])]
    {
        let mut ends = Ends { vitals: Vitals::new(Path::new("/"), descriptors), ..Ends::new() };
        ends.look_at(at(0), runs);
        let mut batches: Vec<f64> = (0..40_u64)
            .map(|batch| {
                let before = own_cpu_ms();
                for round in 0..40 {
                    // All within one survey of what is mounted, of which there is one in five minutes.
                    ends.look_at(at(0) + Duration::from_millis(40 * batch + round), runs);
                }
                (own_cpu_ms() - before) / 40.0
            })
            .collect();
        batches.sort_by(f64::total_cmp);
        println!("{what}: {:.3} ms a look at best, {:.3} in the middle", batches[0], batches[20]);
    }
    println!("said of fifty of which all has moved: {} bytes", busy_bytes(50));
}

/// Bytes of vitals when everything moves: processors, memory, networks and disks of so many containers.
fn busy_bytes(containers: u8) -> usize {
    let mut ledger = Ledger::default();
    let mut told: Vec<Told<CONTAINER_FIELDS>> = (0..containers).map(|_| Told::default()).collect();
    let mut bytes = 0;
    for look in 1..=3_u64 {
        let mut buffer = [0; limits::MESSAGE];
        let mut out = Writer::records(&mut buffer);
        let host = [40_000_000 + look * 9000, 4, 150 + 40 * (look % 2), 945_512, 400_000 + 20_000 * (look % 2)];
        let (at_ms, wall_ms) = (86_400_000 + look * 15_000, 1_700_000_000_000 + look as i64 * 15_000);
        let mut said = ledger.begin(&mut out, at_ms, wall_ms, &measured(&host)).expect("room");
        for (place, told) in told.iter_mut().enumerate() {
            // Of a container that has run for a day.
            let (up, memory) = (look * 1_000, 100_000 + 10_000 * (look % 2));
            let values = [8_640_000 + up, memory, 0, 2_000_000 + up, 900_000 + up, 50_000 + up, 90_000 + up, 12, 0];
            said.container(place, [place as u8; 6], &measured(&values), told);
        }
        said.end();
        bytes = out.len();
    }
    bytes
}

fn measured<const N: usize>(values: &[u64]) -> Measured<N> {
    let mut measured = Measured::default();
    (0..).zip(values).for_each(|(field, value)| measured.push(field, *value));
    measured
}

/// Prints figures; run by hand, as the one above.
#[test]
#[ignore = "measures"]
fn what_fifty_idle_containers_cost_a_host_and_its_link() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    for n in 0..50 {
        engine.run(&format!("c{n}"));
    }
    let mut agent = Agent::new(&engine.docker_host());
    "5s".clone_into(&mut agent.interval);
    agent.join_with(&server.join_string(&["--name", "alpha"])).ok();
    for every in ["off", "15s"] {
        agent.start_with(&[("MUSTER_LOG", "debug"), ("MUSTER_VITALS_INTERVAL", every)]);
        server.settle("alpha", &engine);
        for _ in 0..30 {
            let last = server.host("alpha")["last_seen"].clone();
            eventually("another report", || match server.host("alpha")["last_seen"] == last {
                true => Err("none".to_owned()),
                false => Ok(()),
            });
        }
        let log = agent.process().log();
        let sizes: Vec<&str> =
            log.lines().filter_map(|line| line.strip_suffix(" bytes over the line")?.rsplit(' ').next()).collect();
        println!("vitals {every}: messages of {} bytes", sizes.join(" "));
        let memory = fs::read_to_string(format!("/proc/{}/smaps_rollup", agent.process().id())).expect("its memory");
        for name in ["Pss:", "Private_Dirty:"] {
            println!("{}", memory.lines().find(|line| line.starts_with(name)).unwrap_or_default());
        }
        agent.stop();
    }
}
