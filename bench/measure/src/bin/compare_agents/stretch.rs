//! One stretch of the comparison: an agent (or none) beside the same events, and what everything used meanwhile.

use crate::world::World;
use muster_bench::ending;
use muster_bench::machine::{Busy, load};
use muster_bench::process::{Carried, CpuMeter, Memory};
use muster_tests::process::Process;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How often memory and CPU time are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How long, how many.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub containers: usize,
    /// What is measured.
    pub time: Duration,
    /// Before it: the agent's start, its first list, and everything that is done once.
    pub settle: Duration,
    /// Between two events.
    pub event_every: Duration,
}

/// What was used, and how much of it in a minute.
#[derive(Debug, Default)]
pub struct Used {
    pub memory: Memory,
    /// The most of it that was seen.
    pub anonymous_peak: u64,
    /// In nanoseconds a minute.
    pub agent_cpu: f64,
    pub engine_cpu: f64,
    pub server_cpu: f64,
    /// A minute.
    pub bytes: f64,
    pub packets: f64,
    pub events: usize,
    /// Of each event, in nanoseconds.
    pub lateness: Vec<u64>,
    /// Of the whole machine, in percent.
    pub busy: f64,
    pub load: String,
}

/// Runs one. `take_lateness` is called at its beginning and at its end.
pub fn run(
    world: &mut World,
    plan: Plan,
    agent: Option<Process>,
    mut take_lateness: impl FnMut(&mut World) -> Vec<u64>,
) -> Used {
    let ids: Vec<u32> = agent.iter().map(Process::id).collect();
    let (hand, made, ended) = (world.hand(), AtomicUsize::new(0), AtomicBool::new(false));
    let used = std::thread::scope(|scope| {
        scope.spawn(|| {
            let begin = Instant::now();
            for n in 0.. {
                std::thread::sleep((begin + plan.event_every * n).saturating_duration_since(Instant::now()));
                if ended.load(Ordering::Relaxed) && n.is_multiple_of(2) {
                    break;
                }
                hand.make_event(n as usize, plan.containers);
                made.fetch_add(1, Ordering::Relaxed);
            }
        });
        // Ends the other thread also if this one unwinds.
        let _end = End(&ended);
        ending::wait(plan.settle);
        take_lateness(world);
        let mut agent_cpu = CpuMeter::new(&ids);
        let mut engine_cpu = CpuMeter::new(&world.engine_ids());
        let mut server_cpu = CpuMeter::new(&[world.server_id()]);
        let before = (agent_cpu.look(), engine_cpu.look(), server_cpu.look());
        let (carried, busy, events) = (carried(world), Busy::now(), made.load(Ordering::Relaxed));
        let begin = Instant::now();
        let mut anonymous_peak = 0;
        while begin.elapsed() < plan.time {
            ending::wait_until((Instant::now() + LOOK).min(begin + plan.time));
            agent_cpu.look();
            engine_cpu.look();
            server_cpu.look();
            anonymous_peak = ids.iter().map(|id| Memory::of(*id).anonymous).max().unwrap_or(0).max(anonymous_peak);
        }
        let minutes = begin.elapsed().as_secs_f64() / 60.0;
        let after = self::carried(world);
        Used {
            memory: ids.first().map(|id| Memory::of(*id)).unwrap_or_default(),
            anonymous_peak,
            agent_cpu: (agent_cpu.look() - before.0) as f64 / minutes,
            engine_cpu: (engine_cpu.look() - before.1) as f64 / minutes,
            server_cpu: (server_cpu.look() - before.2) as f64 / minutes,
            bytes: (after.bytes - carried.bytes) as f64 / minutes,
            packets: (after.packets - carried.packets) as f64 / minutes,
            events: made.load(Ordering::Relaxed) - events,
            lateness: take_lateness(world),
            busy: Busy::now().percent_since(busy),
            load: load(),
        }
    });
    if let Some(mut agent) = agent {
        assert!(agent.ended().is_none(), "the agent ended by itself:\n{}", agent.log());
        agent.stop();
    }
    used
}

struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn carried(world: &World) -> Carried {
    Carried::by_loopback_of(world.alone.id())
}
