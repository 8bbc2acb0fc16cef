//! How far a value has to move before it is said again. Both ends know it: the agent says no less, and the receiver
//! knows how close to the truth is what it was not told.

use super::{CONTAINER_FIELDS, DISK_FIELDS, HOST_FIELDS, to_signed};

/// When a value has to be said again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It grows: by so much since it was last said. One that is below what was said began anew, and is said.
    Grown(u64),
    /// It goes up and down: by so much, and by so many thousandths of what was last said.
    Moved {
        /// In the field's unit.
        least: u64,
        /// Of what was last said.
        thousandths: u64,
    },
    /// As `Moved`, for a [signed](super::signed) one, by so much.
    MovedSigned(u64),
    /// It seldom changes, and then it matters.
    Changed,
    /// Seconds that pass by themselves: it is so many of them away from where the receiver takes it to be.
    Passing(u64),
}

impl Step {
    /// Whether a value is to be said: it is `now`, and the receiver takes it for `said`.
    pub fn is_due(self, said: u64, now: u64) -> bool {
        match self {
            Step::Grown(least) => now.checked_sub(said).is_none_or(|grown| grown >= least),
            Step::Moved { least, thousandths } => {
                let relative = u128::from(said) * u128::from(thousandths) / 1000;
                u128::from(now.abs_diff(said)) >= relative.max(u128::from(least.max(1)))
            }
            Step::MovedSigned(least) => to_signed(now).abs_diff(to_signed(said)) >= least,
            Step::Changed => now != said,
            Step::Passing(least) => now.abs_diff(said) >= least,
        }
    }
}

/// By the numbers of [`ContainerField`](super::ContainerField).
pub const CONTAINER_STEPS: [Step; CONTAINER_FIELDS] = [
    // Cpu: half a percent of one processor over 15 seconds. What idles stays below it.
    Step::Grown(75),
    // Memory: what a reader of a table would notice. A program's heap breathes by less.
    Step::Moved { least: 1024, thousandths: 20 },
    // MemoryLimit: somebody sets it.
    Step::Changed,
    // Received, Sent: 2 KiB a second over 15 seconds. Broadcasts on a bridge stay below it.
    Step::Grown(32),
    Step::Grown(32),
    // Read, Written: 4 KiB a second over 15 seconds; a log line or two stay below it.
    Step::Grown(64),
    Step::Grown(64),
    // Pids: a health check comes and goes with one or two.
    Step::Moved { least: 3, thousandths: 100 },
    // Throttled: as Cpu.
    Step::Grown(75),
];

/// By the numbers of [`HostField`](super::HostField).
pub const HOST_STEPS: [Step; HOST_FIELDS] = [
    // Cpu: two percent of one processor over 15 seconds: Linux by itself takes about that much on a small board.
    Step::Grown(300),
    // Cpus: they are seldom plugged in.
    Step::Changed,
    // Load: it swings by a tenth for any single program.
    Step::Moved { least: 20, thousandths: 100 },
    // MemoryTotal: fixed, but for ballooning in virtual machines.
    Step::Changed,
    // MemoryAvailable: the smallest boards have 512 MiB, of which this is little.
    Step::Moved { least: 8 * 1024, thousandths: 20 },
    // SwapTotal: somebody sets it.
    Step::Changed,
    // SwapUsed: pages trickle out for days.
    Step::Moved { least: 4 * 1024, thousandths: 50 },
    // Uptime: the clocks of kernel and agent differ only while a machine sleeps.
    Step::Passing(3),
    // Temperature: sensors are no better than two degrees.
    Step::MovedSigned(20),
    // Power: each bit matters.
    Step::Changed,
];

/// By the numbers of [`DiskField`](super::DiskField).
pub const DISK_STEPS: [Step; DISK_FIELDS] = [
    // Total: a file system is seldom grown.
    Step::Changed,
    // Free: logs trickle; a hundredth of what is left matters when little is left.
    Step::Moved { least: 16, thousandths: 10 },
    // InodesUsed and Worn are percents, and move slowly.
    Step::Changed,
    Step::Changed,
];

#[cfg(test)]
mod tests {
    use super::super::{ContainerField, DiskField, HostField, signed};
    use super::*;

    #[test]
    fn what_grows_is_said_after_a_step_or_when_it_began_anew() {
        let step = Step::Grown(75);
        assert!(!step.is_due(100, 174) && step.is_due(100, 175));
        assert!(step.is_due(100, 99), "it was restarted");
        assert!(!step.is_due(u64::MAX, u64::MAX) && step.is_due(0, u64::MAX));
    }

    #[test]
    fn what_moves_is_said_after_the_larger_of_both_steps() {
        let step = Step::Moved { least: 1024, thousandths: 20 };
        assert!(!step.is_due(0, 1023) && step.is_due(0, 1024));
        assert!(!step.is_due(1_000_000, 1_019_999) && step.is_due(1_000_000, 1_020_000));
        assert!(step.is_due(1_000_000, 980_000));
        assert!(step.is_due(u64::MAX, 0) && !step.is_due(u64::MAX, u64::MAX - 9999));
        assert!(!Step::Moved { least: 0, thousandths: 0 }.is_due(5, 5), "no step is none");
    }

    #[test]
    fn below_zero_and_above_it_are_close_to_each_other() {
        let step = Step::MovedSigned(20);
        assert!(!step.is_due(signed(-9), signed(10)));
        assert!(step.is_due(signed(-10), signed(10)));
        assert!(step.is_due(signed(i64::MIN), signed(i64::MAX)));
    }

    #[test]
    fn seconds_pass_without_being_said() {
        let step = Step::Passing(3);
        assert!(!step.is_due(100, 102) && !step.is_due(102, 100));
        assert!(step.is_due(100, 103) && step.is_due(100, 97), "it slept, or was started anew");
    }

    #[test]
    fn the_tables_have_a_line_for_each_field() {
        assert_eq!(CONTAINER_STEPS.len(), ContainerField::Throttled as usize + 1);
        assert_eq!(HOST_STEPS.len(), HostField::Power as usize + 1);
        assert_eq!(DISK_STEPS.len(), DiskField::Worn as usize + 1);
        assert_eq!(CONTAINER_STEPS[ContainerField::Memory as usize], Step::Moved { least: 1024, thousandths: 20 });
        assert_eq!(HOST_STEPS[HostField::Uptime as usize], Step::Passing(3));
    }
}
