//! Muster's agent beside a plain one, on the same private engine, with the same events, in one run.
#![forbid(unsafe_code)]

mod stretch;
mod world;

use lexopt::prelude::*;
use muster_bench::figures::{milliseconds, ratio};
use muster_bench::{ending, machine, watcher};
use muster_tests::process::program;
use std::error::Error;
use std::time::Duration;
use stretch::{Plan, Used};
use world::World;

const USAGE: &str = "usage: bench/agents [--seconds N] [--containers N] [--event-every SECONDS] [--settle SECONDS]";

fn main() -> Result<(), Box<dyn Error>> {
    let Some(plan) = plan()? else {
        println!("{USAGE}");
        return Ok(());
    };
    ending::listen();
    let load = machine::load();
    eprintln!("==> an engine with {} containers", plan.containers);
    let mut world = World::new(plan.containers);
    let list = world.cost_of("/containers/json?all=1");
    let id = world.engine.container_ids().pop().unwrap_or_default();
    let one = world.cost_of(&format!("/containers/json?all=1&filters=%7B%22id%22%3A%5B%22{id}%22%5D%7D"));
    let inspect = world.cost_of(&format!("/containers/{id}/json"));
    let seen = watcher::watch(world.server_from_outside(), world.pin, world.admin_token());

    eprintln!("==> no agent: {:?}", plan.settle + plan.time);
    let before = stretch::run(&mut world, plan, None, |_| Vec::new());
    eprintln!("==> Muster's agent");
    let agent = world.start_muster();
    let muster = stretch::run(&mut world, plan, Some(agent), |_| seen.take_lateness());
    eprintln!("==> the reference agent, list and inspect");
    let agent = world.start_reference("inspect");
    let inspecting = stretch::run(&mut world, plan, Some(agent), World::sink_lateness);
    eprintln!("==> the reference agent, list only");
    let agent = world.start_reference("list");
    let listing = stretch::run(&mut world, plan, Some(agent), World::sink_lateness);
    eprintln!("==> no agent again");
    let after = stretch::run(&mut world, plan, None, |_| Vec::new());
    let engine = machine::said("dockerd", &["--version"]);
    drop(world);

    print(&plan, [before, after], [muster, inspecting, listing], list);
    println!(
        "a list of one container costs it {:.2} ms, an inspect {:.2} ms, each on a connection of its own",
        one / 1e6,
        inspect / 1e6
    );
    println!("\nload before: {load}\n{}", machine::describe());
    println!(
        "{}, bollard {}, reqwest {}, tokio {}, {engine}",
        machine::said(&program("muster-agent"), &["--version"]),
        machine::version_of("bollard"),
        machine::version_of("reqwest"),
        machine::version_of("tokio"),
    );
    Ok(())
}

fn plan() -> Result<Option<Plan>, lexopt::Error> {
    let (mut seconds, mut containers, mut event_every, mut settle) = (120, 50, 2.0, 15);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("seconds") => seconds = parser.value()?.parse()?,
            Long("containers") => containers = parser.value()?.parse::<usize>()?.max(1),
            Long("event-every") => event_every = parser.value()?.parse::<f64>()?.max(0.01),
            Long("settle") => settle = parser.value()?.parse()?,
            Short('h') | Long("help") => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    let (time, settle) = (Duration::from_secs(seconds), Duration::from_secs(settle));
    Ok(Some(Plan { containers, time, settle, event_every: Duration::from_secs_f64(event_every) }))
}

/// The table: a row for each figure, a column for each agent, and how many times Muster's fits into the others.
fn print(plan: &Plan, baselines: [Used; 2], agents: [Used; 3], list: f64) {
    let [before, after] = &baselines;
    let idle = (before.engine_cpu + after.engine_cpu) / 2.0;
    let events: Vec<usize> = agents.iter().map(|used| used.events).collect();
    println!(
        "{} containers, an event each {:?}, {:?} each, a report each 5 s; a minute of each:\n",
        plan.containers, plan.event_every, plan.time
    );
    println!("| | Muster | plain, inspect | plain, list only | ratios |\n|---|---|---|---|---|");
    type Figure = (&'static str, fn(&Used) -> f64, f64, usize);
    let figures: [Figure; 8] = [
        ("resident, MB", |used| used.memory.resident as f64 / 1024.0, 0.0, 2),
        ("anonymous, MB", |used| used.memory.anonymous as f64 / 1024.0, 0.0, 2),
        ("anonymous, most seen, MB", |used| used.anonymous_peak as f64 / 1024.0, 0.0, 2),
        ("resident, peak, MB", |used| used.memory.peak as f64 / 1024.0, 0.0, 2),
        ("own CPU, ms/min", |used| used.agent_cpu / 1e6, 0.0, 1),
        ("CPU added in dockerd + containerd, ms/min", |used| used.engine_cpu / 1e6, idle / 1e6, 1),
        ("IP bytes both ways, KB/min", |used| used.bytes / 1e3, 0.0, 1),
        ("packets/min", |used| used.packets, 0.0, 0),
    ];
    for (name, figure, less, digits) in figures {
        let values: Vec<f64> = agents.iter().map(|used| figure(used) - less).collect();
        let cells: Vec<String> = values.iter().map(|value| format!("{value:.digits$}")).collect();
        let ratios = format!("{}, {}", ratio(values[0], values[1]), ratio(values[0], values[2]));
        println!("| {name} | {} | {ratios} |", cells.join(" | "));
    }
    let mut agents = agents;
    let lateness: Vec<String> = agents.iter_mut().map(|used| milliseconds(&mut used.lateness)).collect();
    println!("| event to stream (Muster) or sink: p50 / p99 / max, ms | {} | |", lateness.join(" | "));
    let came: Vec<String> = agents.iter().zip(events).map(|(used, n)| format!("{}/{n}", used.lateness.len())).collect();
    println!("| events that came / were made | {} | |", came.join(" | "));
    let busy: Vec<String> = agents.iter().map(|used| format!("{:.0} %; {}", used.busy, used.load)).collect();
    println!("| machine busy; load | {} | |", busy.join(" | "));
    println!(
        "\nengine without an agent, the same events: {:.1} and {:.1} ms/min (before and after; busy {:.0} and {:.0} %)",
        before.engine_cpu / 1e6,
        after.engine_cpu / 1e6,
        before.busy,
        after.busy
    );
    let calls = 12.0 * list / 1e6;
    let aim = (calls + 0.3 * 60.0 / plan.event_every.as_secs_f64()) * 1.1;
    println!("one list call costs the engine {:.2} ms: {calls:.1} ms/min; the aim is {aim:.1} ms/min", list / 1e6);
    println!("Muster's server meanwhile: {:.1} ms/min of CPU", agents[0].server_cpu / 1e6);
}
