//! What reports and events cost on the wire: IP bytes in both directions, of a real agent, engine and server.
#![forbid(unsafe_code)]

mod world;

use lexopt::prelude::*;
use muster_bench::{ending, machine};
use muster_tests::process::program;
use std::error::Error;
use std::time::{Duration, Instant};
use world::World;

const USAGE: &str = "usage: bench/bytes [--seconds N] [--slow-seconds N] [--containers N] [--events N]";
/// Between reports: what is measured, and what is computed from both.
const FAST: Duration = Duration::from_secs(5);
const SLOW: Duration = Duration::from_secs(30);
const RARE: Duration = Duration::from_secs(300);
/// Of the agent: over a line, an answer comes to so many seconds' reports.
const ASKED: f64 = 60.0;
/// Between two events.
const EVENT: Duration = Duration::from_secs(2);
const DAY: f64 = 24.0 * 3600.0;
const MONTH: f64 = 30.0 * DAY;

#[derive(Clone, Copy)]
struct Plan {
    /// How long reports at [`FAST`] are counted, and at [`SLOW`].
    fast: Duration,
    slow: Duration,
    containers: usize,
    events: usize,
}

/// One way of travelling.
struct Figures {
    uplink: &'static str,
    /// Bytes and packets of a report.
    fast: (f64, f64),
    slow: (f64, f64),
    /// Bytes of a report that is answered, computed.
    answered: f64,
    event: f64,
    /// Of the first seconds, with the connection, the hello and all containers.
    start: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let Some(plan) = plan()? else {
        println!("{USAGE}");
        return Ok(());
    };
    ending::listen();
    let load = machine::load();
    eprintln!("==> an engine with {} containers", plan.containers);
    let mut world = World::new(plan.containers);
    let figures = ["stream", "plain"].map(|uplink| measure(&mut world, plan, uplink));
    drop(world);
    print(plan, &figures);
    println!("\nload before: {load}\n{}", machine::describe());
    println!("{}", machine::said(&program("muster-agent"), &["--version"]));
    Ok(())
}

fn plan() -> Result<Option<Plan>, lexopt::Error> {
    let (mut fast, mut slow, mut containers, mut events) = (180, 240, 50, 30);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("seconds") => fast = parser.value()?.parse()?,
            Long("slow-seconds") => slow = parser.value()?.parse()?,
            Long("containers") => containers = parser.value()?.parse::<usize>()?.max(1),
            Long("events") => events = parser.value()?.parse::<usize>()?.max(2),
            Short('h') | Long("help") => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    // Whole minutes: then as many reports are answered as belong to them.
    let whole = |seconds: u64| Duration::from_secs(seconds.div_ceil(60).max(1) * 60);
    Ok(Some(Plan { fast: whole(fast), slow: whole(slow), containers, events: events & !1 }))
}

fn measure(world: &mut World, plan: Plan, uplink: &'static str) -> Figures {
    eprintln!("==> {uplink}, every {FAST:?}");
    let before = world.carried();
    let agent = world.start_agent(uplink, FAST);
    ending::wait(4 * FAST);
    let start = world.carried().bytes - before.bytes;
    let fast = reports(world, plan.fast, FAST);
    let begin = (Instant::now(), world.carried());
    for n in 0..plan.events {
        ending::wait_until(begin.0 + EVENT * n as u32);
        world.make_event(n);
    }
    ending::wait(FAST);
    let idle = fast.0 * begin.0.elapsed().as_secs_f64() / FAST.as_secs_f64();
    let event = ((world.carried().bytes - begin.1.bytes) as f64 - idle) / plan.events as f64;
    drop(agent);

    eprintln!("==> {uplink}, every {SLOW:?}");
    let agent = world.start_agent(uplink, SLOW);
    ending::wait(2 * SLOW + SLOW / 2);
    let slow = reports(world, plan.slow, SLOW);
    drop(agent);
    let answered = match uplink {
        "stream" => answered(fast.0, slow.0),
        _ => slow.0,
    };
    Figures { uplink, fast, slow, answered, event, start }
}

/// Bytes and packets of a report, over some time in which nothing happens.
fn reports(world: &World, time: Duration, interval: Duration) -> (f64, f64) {
    let before = world.carried();
    ending::wait(time);
    let after = world.carried();
    let count = time.as_secs_f64() / interval.as_secs_f64();
    ((after.bytes - before.bytes) as f64 / count, (after.packets - before.packets) as f64 / count)
}

/// Over a line, one report in [`ASKED`] seconds is answered and the others are not: two means tell what each costs.
fn answered(fast: f64, slow: f64) -> f64 {
    let (many, few) = (ASKED / FAST.as_secs_f64(), ASKED / SLOW.as_secs_f64());
    // many * fast = (many - 1) * silent + answered, and the same of few and slow.
    let silent = (many * fast - few * slow) / (many - few);
    few * slow - (few - 1.0) * silent
}

fn print(plan: Plan, figures: &[Figures]) {
    println!(
        "{} unchanged containers, IPv4, TLS 1.3; {:?} at {FAST:?}, {:?} at {SLOW:?}, {} events each {EVENT:?}\n",
        plan.containers, plan.fast, plan.slow, plan.events
    );
    println!(
        "| way | interval | bytes a report | packets a report | MB a day | MB a month |\n|---|---|---|---|---|---|"
    );
    for of in figures {
        let row = |interval: Duration, bytes: f64, packets: &str, note: &str| {
            let a_second = bytes / interval.as_secs_f64() / 1e6;
            println!(
                "| {} | {} s{note} | {bytes:.0} | {packets} | {:.2} | {:.1} |",
                of.uplink,
                interval.as_secs(),
                a_second * DAY,
                a_second * MONTH
            );
        };
        row(FAST, of.fast.0, &format!("{:.2}", of.fast.1), "");
        row(SLOW, of.slow.0, &format!("{:.2}", of.slow.1), "");
        row(RARE, of.answered, "", ", computed");
    }
    println!("\n| way | bytes an event, with the container's new state | bytes of the first {:?} |", 4 * FAST);
    println!("|---|---|---|");
    for of in figures {
        println!("| {} | {:.0} | {} |", of.uplink, of.event, of.start);
    }
}

#[cfg(test)]
mod tests {
    use super::answered;

    #[test]
    fn two_means_tell_what_an_answered_report_costs() {
        let (silent, with_answer) = (160.0, 250.0);
        let fast = (11.0 * silent + with_answer) / 12.0;
        let slow = (silent + with_answer) / 2.0;
        assert!((answered(fast, slow) - with_answer).abs() < 1e-6);
    }
}
