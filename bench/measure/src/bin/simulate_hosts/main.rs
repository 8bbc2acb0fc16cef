//! Many simulated hosts against one server, over real TLS, in one process.
#![forbid(unsafe_code)]

mod host;
mod link;
mod pack;
mod pages;
mod shapes;
mod tally;

use futures_rustls::TlsConnector;
use host::Fleet;
use lexopt::prelude::*;
use muster_bench::ending;
use muster_bench::figures::milliseconds;
use muster_bench::machine::{self, Busy};
use muster_bench::process::{CpuMeter, Memory};
use muster_bench::watcher::{self, Seen};
use muster_dial::{Address, Client, JoinString, Settings, pinned};
use muster_tests::place::Place;
use muster_tests::process::{Process, Ran, clean, program};
use rustls::ClientConfig;
use rustls::client::Resumption;
use serde_json::Value;
use smol::lock::Semaphore;
use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tally::Tally;

const USAGE: &str = "usage: bench/hosts [--hosts N] [--containers N] [--interval SECONDS] [--event-every SECONDS]
    [--seconds N] [--join-over SECONDS] [--restart term|kill|no] [--one-address] [--requests]
    [--profile FILE] [--pages N] [--browser SCRIPT]";

/// For the server's ready line.
const READY: Duration = Duration::from_secs(60);
/// For all hosts to become true, after the last one was to join and after the restart.
const PATIENCE: Duration = Duration::from_secs(300);
/// Before what is measured.
const SETTLE: Duration = Duration::from_secs(10);
/// The server lets 256 strangers of one address be connected at once; some of ours are still on their way out.
const STRANGERS: usize = 200;
/// The largest page of hosts that is read.
const PAGE: usize = 64 * 1024 * 1024;

struct Options {
    hosts: u32,
    containers: usize,
    interval: Duration,
    event_every: Duration,
    time: Duration,
    join_over: Option<Duration>,
    restart: String,
    one_address: bool,
    requests: bool,
    profile: Option<String>,
    pages: usize,
    browser: Option<PathBuf>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let Some(options) = options()? else {
        println!("{USAGE}");
        return Ok(());
    };
    ending::listen();
    let load = machine::load();
    println!(
        "{} hosts x {} containers, a report each {:?} {}, an event each {:?} a host, {}\n",
        options.hosts,
        options.containers,
        options.interval,
        if options.requests { "by a request" } else { "over a line" },
        options.event_every,
        if options.one_address { "all from one address" } else { "each from its own address" }
    );
    let mut server = Server::start(Place::new(), 0);
    let string = server.join_string(options.hosts);
    let fleet = Arc::new(Fleet {
        tally: Tally::default(),
        shapes: shapes::shapes(options.containers),
        tls: TlsConnector::from(tls(&string)?),
        server: server.address,
        token: string.token.clone(),
        interval: options.interval,
        event_every: options.event_every,
        one_address: options.one_address,
        requests: options.requests,
        strangers: Semaphore::new(STRANGERS),
    });
    let address = Address::new("127.0.0.1", server.address.port())?;
    let seen = watcher::watch(address.clone(), string.pins[0], server.admin_token());
    println!("| | |\n|---|---|");

    let begin = Instant::now();
    // Joins are durable one by one: at a pace at which they can be.
    let over = options.join_over.unwrap_or(options.interval.max(Duration::from_millis(10) * options.hosts));
    start_hosts(&fleet, options.hosts, begin, over);
    let all_true = wait_for_all(&fleet.tally, options.hosts, over + PATIENCE);
    row("all hosts joined and true after", format!("{:.1} s (paced over {over:?})", (all_true - begin).as_secs_f64()));
    row("errors meanwhile", fleet.tally.take_errors());
    ending::wait(SETTLE);

    measure(&options, &fleet.tally, &seen, &server);
    if let Some(script) = &options.browser {
        pages::browser(script, &address, string.pins[0], &server);
    }
    if options.pages > 0 {
        pages::streams(options.pages, &address, string.pins[0], &server);
    }
    if options.restart != "no" {
        restart(&options, &fleet.tally, &mut server, &address, &string);
    }
    println!("\nload before: {load}, after: {}\n{}", machine::load(), machine::describe());
    println!("{}", machine::said(&program("muster"), &["--version"]));
    Ok(())
}

/// As agents have it, for all hosts. Sessions are not resumed: each host would have its own.
fn tls(string: &JoinString) -> Result<Arc<ClientConfig>, muster_dial::Failure> {
    let mut config = ClientConfig::clone(&*pinned::tls(string.pins.clone(), 0)?);
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

fn options() -> Result<Option<Options>, lexopt::Error> {
    let mut options = Options {
        hosts: 1000,
        containers: 50,
        interval: Duration::from_secs(5),
        event_every: Duration::from_secs(30),
        time: Duration::from_secs(60),
        join_over: None,
        restart: "kill".into(),
        one_address: false,
        requests: false,
        profile: None,
        pages: 0,
        browser: None,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("interval") => options.interval = seconds(&mut parser)?,
            Long("event-every") => options.event_every = seconds(&mut parser)?,
            Long("seconds") => options.time = seconds(&mut parser)?,
            Long("join-over") => options.join_over = Some(seconds(&mut parser)?),
            Long("hosts") => options.hosts = parser.value()?.parse::<u32>()?.clamp(1, 1_000_000),
            Long("containers") => options.containers = parser.value()?.parse::<usize>()?.clamp(1, 1024),
            Long("restart") => options.restart = parser.value()?.parse()?,
            Long("one-address") => options.one_address = true,
            Long("requests") => options.requests = true,
            Long("profile") => options.profile = Some(parser.value()?.parse()?),
            Long("pages") => options.pages = parser.value()?.parse::<usize>()?.min(10_000),
            Long("browser") => options.browser = Some(parser.value()?.into()),
            Short('h') | Long("help") => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(options))
}

fn seconds(parser: &mut lexopt::Parser) -> Result<Duration, lexopt::Error> {
    let seconds: f64 = parser.value()?.parse()?;
    Ok(Duration::from_secs_f64(seconds.max(0.01)))
}

fn row(name: &str, value: impl std::fmt::Display) {
    println!("| {name} | {value} |");
}

/// One thread carries all hosts, and ends with the program.
fn start_hosts(fleet: &Arc<Fleet>, hosts: u32, begin: Instant, over: Duration) {
    let fleet = fleet.clone();
    std::thread::spawn(move || {
        let executor = smol::LocalExecutor::new();
        for number in 0..hosts {
            let begin = begin + over.mul_f64(f64::from(number) / f64::from(hosts));
            executor.spawn(host::live(fleet.clone(), number, begin)).detach();
        }
        smol::block_on(executor.run(std::future::pending::<()>()));
    });
}

/// Waits until every host is true; answers when the last one was.
fn wait_for_all(tally: &Tally, hosts: u32, patience: Duration) -> Instant {
    let begin = Instant::now();
    while tally.truths() < hosts as usize {
        ending::wait(Duration::from_millis(100));
        let (came, joined) = (tally.truths(), tally.joined_so_far());
        if begin.elapsed() > patience {
            panic!("after {patience:?} {came} hosts are true, {joined} have joined; errors: {}", tally.take_errors());
        }
    }
    tally.take_truths().last().copied().unwrap_or(begin)
}

fn measure(options: &Options, tally: &Tally, seen: &Seen, server: &Server) {
    let id = server.process.id();
    let profiler = options.profile.as_ref().map(|file| {
        let seconds = options.time.as_secs().to_string();
        let mut perf = Command::new("perf");
        perf.args(["record", "-q", "-F", "199", "-g", "-p", &id.to_string(), "-o", file, "--", "sleep", &seconds]);
        Process::start("perf", &mut perf, &server.place.join("perf.log"))
    });
    let mut cpu = CpuMeter::new(&[id]);
    let mut own = CpuMeter::new(&[std::process::id()]);
    seen.take_lateness();
    tally.take_answered();
    tally.take_lag();
    tally.take_errors();
    let counts = || {
        let of = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let stream = [of(&seen.events), of(&seen.others), of(&seen.reopened)];
        let all = [&tally.reports, &tally.events, &tally.bytes, &tally.connections, &tally.differs];
        (all.map(of), stream)
    };
    let (before, cpu_before, own_before, busy, begin) = (counts(), cpu.look(), own.look(), Busy::now(), Instant::now());
    while begin.elapsed() < options.time {
        ending::wait_until((Instant::now() + Duration::from_secs(1)).min(begin + options.time));
        cpu.look();
        own.look();
    }
    let seconds = begin.elapsed().as_secs_f64();
    let nanos = seconds * 1e9;
    row("server CPU, cores", format!("{:.3}", (cpu.look() - cpu_before) as f64 / nanos));
    row("generator and watcher CPU, cores", format!("{:.3}", (own.look() - own_before) as f64 / nanos));
    row("whole machine busy", format!("{:.0} %", Busy::now().percent_since(busy)));
    let memory = Memory::of(id);
    let megabytes = |kib: u64| kib as f64 / 1024.0;
    row(
        "server memory, MB: resident, anonymous, peak",
        format!("{:.0}, {:.0}, {:.0}", megabytes(memory.resident), megabytes(memory.anonymous), megabytes(memory.peak)),
    );
    let after = counts();
    let per_second = |n: usize| (after.0[n] - before.0[n]) as f64 / seconds;
    row("reports/s that took effect", format!("{:.1}", per_second(0)));
    row("events/s acknowledged", format!("{:.1}", per_second(1)));
    row("bodies sent, MB/s", format!("{:.2}", per_second(2) / 1e6));
    row("new connections", after.0[3] - before.0[3]);
    row("reports that the server could not prove", after.0[4] - before.0[4]);
    let stream = |n: usize| after.1[n] - before.1[n];
    row("stream: events, other changes, reopened", format!("{}, {}, {}", stream(0), stream(1), stream(2)));
    row("event to stream, p50 / p99 / max, ms", milliseconds(&mut seen.take_lateness()));
    row("request to answer, p50 / p99 / max, ms", milliseconds(&mut tally.take_answered()));
    row("generator behind its schedule, p50 / p99 / max, ms", milliseconds(&mut tally.take_lag()));
    row("errors", tally.take_errors());
    let disk = machine::said("du", &["-sm", &server.place.join("data")]);
    row("data directory, MB", disk.split('\t').next().unwrap_or_default());
    if let Some(mut profiler) = profiler {
        let begin = Instant::now();
        while profiler.ended().is_none() && begin.elapsed() < READY {
            ending::wait(Duration::from_millis(100));
        }
    }
}

fn restart(options: &Options, tally: &Tally, server: &mut Server, address: &Address, string: &JoinString) {
    tally.take_truths();
    tally.life.fetch_add(1, Ordering::Relaxed);
    let begin = Instant::now();
    server.end(&options.restart);
    let ended = begin.elapsed().as_secs_f64();
    server.begin();
    let listening = begin.elapsed().as_secs_f64();
    let id = server.process.id();
    let loaded = Memory::of(id).anonymous;
    let mut cpu = CpuMeter::new(&[id]);
    wait_while_true(tally, options.hosts, &mut cpu);
    let truths = tally.take_truths();
    let after: Vec<f64> = truths.iter().map(|at| (*at - begin).as_secs_f64()).collect();
    let place = |part: f64| after[((after.len() - 1) as f64 * part) as usize];
    row(
        &format!("server restarted ({}): ended, listening after", options.restart),
        format!("{ended:.1} s, {listening:.1} s"),
    );
    row(
        "hosts true again after, half / 99 % / all",
        format!("{:.1} / {:.1} / {:.1} s", place(0.5), place(0.99), place(1.0)),
    );
    row(
        "server memory, anonymous, MB: listening again, all true",
        format!("{}, {}", loaded / 1024, Memory::of(id).anonymous / 1024),
    );
    row("server CPU used until then", format!("{:.1} s", cpu.look() as f64 / 1e9));
    row("errors meanwhile", tally.take_errors());
    let active = active_hosts(address, string, &server.admin_token());
    row("hosts that the API shows as active with all containers", active.map_or_else(|why| why, |n| n.to_string()));
}

fn wait_while_true(tally: &Tally, hosts: u32, cpu: &mut CpuMeter) {
    let begin = Instant::now();
    while tally.truths() < hosts as usize {
        ending::wait(Duration::from_millis(200));
        cpu.look();
        let came = tally.truths();
        if begin.elapsed() > PATIENCE {
            panic!("after {PATIENCE:?} only {came} hosts are true again; errors: {}", tally.take_errors());
        }
    }
}

/// Counts what the server says of its hosts.
fn active_hosts(address: &Address, string: &JoinString, token: &str) -> Result<usize, String> {
    let client = Client::new(Settings::roomy(address.clone(), string.pins.clone())).map_err(|why| why.to_string())?;
    let (mut active, mut path) = (0, "/api/v1/hosts".to_owned());
    loop {
        let mut answer = Vec::new();
        let status = client.get(&path, token, &mut answer, PAGE).map_err(|why| why.to_string())?;
        if !status.is_success() {
            return Err(format!("status {}", status.0));
        }
        let page: Value = serde_json::from_slice(&answer).map_err(|why| why.to_string())?;
        let items = page["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        active += items.iter().filter(|host| host["state"] == "active" && host["engine"]["state"] == "ok").count();
        let Some(next) = page["next"].as_str() else { return Ok(active) };
        path = format!("/api/v1/hosts?cursor={next}");
    }
}

/// The server under test, on the loopback address.
struct Server {
    place: Place,
    process: Process,
    address: SocketAddr,
}

impl Server {
    fn start(place: Place, port: u16) -> Server {
        let (process, port) = Server::spawn(&place, port);
        Server { place, process, address: SocketAddr::from(([127, 0, 0, 1], port)) }
    }

    fn spawn(place: &Place, port: u16) -> (Process, u16) {
        let address = format!("127.0.0.1:{port}");
        let mut command = Command::new(program("muster"));
        command.args(["serve", "--data-dir", &place.join("data"), "--listen", &address, "--advertise", &address]);
        let mut process = Process::start_read("server", clean(&mut command), &place.join("server.log"));
        let line = process.line(READY).unwrap_or_default();
        let port =
            line.strip_prefix("listening https://127.0.0.1:").and_then(|rest| rest.split(' ').next()?.parse().ok());
        let Some(port) = port else { panic!("the server is not ready: {line}\n{}", process.log()) };
        (process, port)
    }

    fn end(&mut self, how: &str) {
        if how == "term" {
            let _ = self.process.stop();
        } else {
            self.process.kill()
        }
    }

    fn begin(&mut self) {
        self.process = Server::spawn(&self.place, self.address.port()).0;
    }

    fn join_string(&self, uses: u32) -> JoinString {
        let uses = uses.to_string();
        let made = ["join-command", "--data-dir", &self.place.join("data"), "--uses", &uses, "--ttl", "24h"];
        let line = Ran::of(&program("muster"), &made, &[], 60).ok();
        let string = line.split('\'').nth(1).and_then(|string| string.parse().ok());
        string.unwrap_or_else(|| panic!("not a join command: {line}"))
    }

    fn admin_token(&self) -> String {
        let path = self.place.join("data/admin.token");
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}")).trim().to_owned()
    }
}
