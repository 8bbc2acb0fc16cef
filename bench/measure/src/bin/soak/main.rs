//! Whether the agent's memory stays flat however long it lasts: containers that come and go all the time, and a server
//! that is away half of it.
#![forbid(unsafe_code)]

mod flat;

use flat::{Halves, MEAN, MOST, mean};
use lexopt::prelude::*;
use muster_bench::machine::{self, Busy};
use muster_bench::process::{CpuMeter, Memory};
use muster_bench::{ending, figures};
use muster_tests::process::program;
use muster_tests::truth::wait_for_truth;
use muster_tests::{Agent, Engine, Server};
use std::error::Error;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const USAGE: &str = "usage: bench/soak [--minutes N] [--turn SECONDS] [--containers N] [--spool SIZE]";
const HOST: &str = "soak";
/// Hands that make containers and remove them.
const HANDS: usize = 2;
/// Between two samples of memory.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Plan {
    /// Pairs of turns: the server is there, the server is away.
    pairs: u32,
    turn: Duration,
    /// Containers that stay.
    containers: usize,
    spool: String,
}

impl Plan {
    /// Pairs that are not judged: until every buffer has been as full as it gets. What is left can be halved.
    fn settling(&self) -> u32 {
        2 - self.pairs % 2
    }
}

/// One turn, as the table shows it.
struct Turn {
    away: bool,
    begin: Duration,
    anonymous: Vec<f64>,
    resident: u64,
    cpu: f64,
    /// Lives of containers that ended meanwhile.
    lives: usize,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let Some(plan) = plan()? else {
        println!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    };
    ending::listen();
    let (load, busy) = (machine::load(), Busy::now());
    eprintln!("==> {} times {:?} with the server and {:?} without", plan.pairs, plan.turn, plan.turn);
    let (turns, peak) = live(&plan);
    let busy = Busy::now().percent_since(busy);
    let flat = print(&plan, &turns, peak);
    println!("\nmachine busy {busy:.0} %; load before: {load}, after: {}", machine::load());
    println!("{}", machine::describe());
    println!(
        "{}, {}",
        machine::said(&program("muster-agent"), &["--version"]),
        machine::said("dockerd", &["--version"])
    );
    Ok(if flat { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn plan() -> Result<Option<Plan>, Box<dyn Error>> {
    let (mut minutes, mut turn, mut containers, mut spool) = (30.0, 75.0, 10, String::from("0"));
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("minutes") => minutes = parser.value()?.parse::<f64>()?,
            Long("turn") => turn = parser.value()?.parse::<f64>()?.max(5.0),
            Long("containers") => containers = parser.value()?.parse()?,
            Long("spool") => spool = parser.value()?.string()?,
            Short('h') | Long("help") => return Ok(None),
            other => return Err(other.unexpected().into()),
        }
    }
    let pairs = (minutes * 30.0 / turn).round() as u32;
    if pairs < 3 {
        return Err("that is too short: there have to be three turns with the server and three without".into());
    }
    Ok(Some(Plan { pairs, turn: Duration::from_secs_f64(turn), containers, spool }))
}

/// Lives through it; answers the turns, and the most that was ever resident.
fn live(plan: &Plan) -> (Vec<Turn>, u64) {
    let (engine, mut server) = (Engine::start(HOST), Server::start());
    for n in 0..plan.containers {
        engine.run(&format!("stays-{n}"));
    }
    let mut agent = Agent::new(&engine.docker_host());
    "5s".clone_into(&mut agent.interval);
    agent.join_with(&server.join_string(&["--name", HOST])).ok();
    agent.start_with(&[("MUSTER_SPOOL", &plan.spool)]);
    agent.wait_until_heard(&server, HOST);
    let id = agent.process().id();

    let (lives, ended) = (AtomicUsize::new(0), AtomicBool::new(false));
    let turns = std::thread::scope(|scope| {
        for hand in 0..HANDS {
            let (engine, lives, ended) = (&engine, &lives, &ended);
            scope.spawn(move || churn(engine, hand, lives, ended));
        }
        // Ends the hands also if this thread unwinds.
        let _end = End(&ended);
        let begin = Instant::now();
        let mut turns: Vec<Turn> = Vec::new();
        for n in 0..plan.pairs * 2 {
            let away = n % 2 == 1;
            match n {
                0 => {}
                n if n % 2 == 0 => server.start_again(),
                // Both ways in which a server goes.
                n if n % 4 == 1 => server.kill(),
                _ => assert_eq!(server.stop(), 0),
            }
            let until = begin + plan.turn * (n + 1);
            turns.push(turn(id, away, begin, until, &lives));
            assert!(agent.process().ended().is_none(), "the agent ended by itself:\n{}", agent.process().log());
            eprintln!("==> {n}: {:.0} KiB", mean(&turns.last().map(|turn| turn.anonymous.clone()).unwrap_or_default()));
        }
        turns
    });
    // Flat memory is worth nothing in an agent that has stopped to tell the truth.
    server.start_again();
    wait_for_truth(&server, HOST, &engine);
    let peak = Memory::of(id).peak;
    assert_eq!(agent.stop(), 0);
    (turns, peak)
}

fn turn(id: u32, away: bool, begin: Instant, until: Instant, lives: &AtomicUsize) -> Turn {
    let start = begin.elapsed();
    let (mut meter, lives_before) = (CpuMeter::new(&[id]), lives.load(Ordering::Relaxed));
    let cpu = meter.look();
    let mut anonymous = Vec::new();
    while Instant::now() < until {
        ending::wait_until((Instant::now() + LOOK).min(until));
        anonymous.push(Memory::of(id).anonymous as f64);
        meter.look();
    }
    Turn {
        away,
        begin: start,
        anonymous,
        resident: Memory::of(id).resident,
        cpu: (meter.look() - cpu) as f64 / 1e6,
        lives: lives.load(Ordering::Relaxed) - lives_before,
    }
}

/// Containers live their lives, one after the other: each is created, started, paused, goes on, is killed and removed.
fn churn(engine: &Engine, hand: usize, lives: &AtomicUsize, ended: &AtomicBool) {
    for n in 0.. {
        if ended.load(Ordering::Relaxed) {
            return;
        }
        // Names, labels and commands of changing length.
        let name = format!("comes-{hand}-{n}{}", "x".repeat(n % 40));
        let label = format!("com.example.turn={}", "y".repeat(n * 7 % 200));
        engine.run_with(&name, &["--label", &label], &["live", &"z".repeat(n % 90)]);
        engine.docker(&["pause", &name]);
        engine.docker(&["unpause", &name]);
        engine.docker(&["rm", "--force", &name]);
        lives.fetch_add(1, Ordering::Relaxed);
    }
}

struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The table; answers whether memory is flat.
fn print(plan: &Plan, turns: &[Turn], peak: u64) -> bool {
    println!(
        "{} containers that stay, {HANDS} hands whose containers come and go, a report each 5s, spool {}:\n",
        plan.containers, plan.spool
    );
    println!(
        "| from minute | server | anonymous, KiB: mean | most | resident, KiB | own CPU, ms | lives of containers |"
    );
    println!("|---|---|---|---|---|---|---|");
    for turn in turns {
        println!(
            "| {:.1} | {} | {:.0} | {:.0} | {} | {:.0} | {} |",
            turn.begin.as_secs_f64() / 60.0,
            if turn.away { "away" } else { "there" },
            mean(&turn.anonymous),
            turn.anonymous.iter().copied().fold(0.0, f64::max),
            turn.resident,
            turn.cpu,
            turn.lives,
        );
    }
    let judged = turns.get(plan.settling() as usize * 2..).unwrap_or_default();
    let samples: Vec<f64> = judged.iter().flat_map(|turn| turn.anonymous.iter().copied()).collect();
    let mut sorted: Vec<u64> = samples.iter().map(|sample| *sample as u64).collect();
    let of = |part, sorted: &mut [u64]| figures::percentile(sorted, part).unwrap_or(0);
    println!(
        "\nanonymous, {} samples of all turns but the first {}: least {}, median {}, most {} KiB; resident at its peak {peak} KiB",
        samples.len(),
        plan.settling() * 2,
        of(0.0, &mut sorted),
        of(0.5, &mut sorted),
        of(1.0, &mut sorted),
    );
    let Some(halves) = Halves::of(&samples) else { return false };
    println!(
        "second half of them against the first: mean {:+.1} KiB (at most {MEAN:+.0}), most {:+.0} KiB (at most {MOST:+.0}); \
         line through all: {:+.1} KiB an hour",
        halves.mean,
        halves.most,
        halves.slope * 3600.0 / LOOK.as_secs_f64()
    );
    println!("{}", if halves.is_flat() { "**flat**" } else { "**not flat**" });
    halves.is_flat()
}
