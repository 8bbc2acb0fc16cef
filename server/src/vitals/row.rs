//! What is kept of a host for a time: a few numbers, and how those of many times become those of one.

use muster_protocol::id::HostId;
use muster_protocol::vitals::{Measured, signed, to_signed};
use serde::{Deserialize, Serialize};

/// What is kept. Numbers are in files: append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Field {
    /// Mean, of all processors together, in hundredths of a percent.
    Cpu = 0,
    /// The highest reading likewise.
    CpuMax = 1,
    /// Mean of the load average, in hundredths.
    Load = 2,
    /// The last one, in MiB.
    MemoryTotal = 3,
    /// Mean, in MiB.
    MemoryUsed = 4,
    /// Mean, in MiB.
    SwapUsed = 5,
    /// The highest, in tenths of a degree Celsius.
    Temperature = 6,
    /// The highest, of the fullest file system, in hundredths of a percent.
    DiskUsed = 7,
    /// All bits that were set.
    Power = 8,
    /// The last one, in milliseconds.
    ClockOffset = 9,
}

/// How several values become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Joined {
    Mean,
    Highest,
    Last,
    AnyBit,
}

impl Field {
    /// In the order of their numbers.
    pub const ALL: [Field; 10] = [
        Field::Cpu,
        Field::CpuMax,
        Field::Load,
        Field::MemoryTotal,
        Field::MemoryUsed,
        Field::SwapUsed,
        Field::Temperature,
        Field::DiskUsed,
        Field::Power,
        Field::ClockOffset,
    ];

    fn joined(self) -> Joined {
        match self {
            Field::Cpu | Field::Load | Field::MemoryUsed | Field::SwapUsed => Joined::Mean,
            Field::CpuMax | Field::Temperature | Field::DiskUsed => Joined::Highest,
            Field::MemoryTotal | Field::ClockOffset => Joined::Last,
            Field::Power => Joined::AnyBit,
        }
    }

    /// As it stands in a file: what cannot be below zero takes less room.
    fn to_stored(self, value: i64) -> u64 {
        match self {
            Field::Temperature | Field::ClockOffset => signed(value),
            _ => u64::try_from(value).unwrap_or(0),
        }
    }

    fn read_stored(self, value: u64) -> i64 {
        match self {
            Field::Temperature | Field::ClockOffset => to_signed(value),
            _ => i64::try_from(value).unwrap_or(i64::MAX),
        }
    }
}

/// With room to append fields that a newer program knows.
pub(super) const VALUES: usize = 16;

/// One host in one minute or hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Whose it is.
    pub host: HostId,
    values: Measured<VALUES>,
}

impl Row {
    /// Makes one of what was summed up, if anything was.
    pub fn of(host: HostId, sums: &Sums) -> Option<Row> {
        let mut values = Measured::default();
        for field in Field::ALL {
            if let Some(value) = sums.get(field) {
                values.push(field as u8, field.to_stored(value));
            }
        }
        (!values.is_empty()).then_some(Row { host, values })
    }

    fn values(&self) -> impl Iterator<Item = (Field, i64)> + '_ {
        self.values.iter().filter_map(|(number, value)| {
            let field = *Field::ALL.get(usize::from(number))?;
            Some((field, field.read_stored(value)))
        })
    }
}

/// Several readings, or several rows, on their way to become one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sums {
    slots: [Slot; Field::ALL.len()],
}

/// A sum of which the mean is taken, or a value, and how many went into it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Slot {
    count: u32,
    value: i64,
}

impl Sums {
    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.slots.iter().all(|slot| slot.count == 0)
    }

    /// Adds what one reading has of a field.
    pub fn add(&mut self, field: Field, value: i64) {
        let Some(slot) = self.slots.get_mut(field as usize) else { return };
        slot.value = match field.joined() {
            _ if slot.count == 0 => value,
            Joined::Mean => slot.value.saturating_add(value),
            Joined::Highest => slot.value.max(value),
            Joined::Last => value,
            Joined::AnyBit => slot.value | value,
        };
        slot.count = slot.count.saturating_add(1);
    }

    /// Adds a row, each with the same weight.
    pub fn add_row(&mut self, row: &Row) {
        row.values().for_each(|(field, value)| self.add(field, value));
    }

    /// What came of a field, if anything was added to it.
    pub fn get(&self, field: Field) -> Option<i64> {
        let slot = self.slots.get(field as usize).filter(|slot| slot.count > 0)?;
        Some(match field.joined() {
            Joined::Mean => slot.value / i64::from(slot.count),
            Joined::Highest | Joined::Last | Joined::AnyBit => slot.value,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_the_numbers_of_their_places() {
        for (number, field) in Field::ALL.iter().enumerate() {
            assert_eq!(*field as usize, number);
        }
        assert!(Field::ALL.len() <= VALUES);
    }

    #[test]
    fn several_become_one_by_what_they_are() {
        let mut sums = Sums::default();
        assert!(sums.is_empty() && Row::of(HostId([1; 8]), &sums).is_none());
        for (cpu, temperature, total, power, offset) in [(100, -50, 900, 1, 5), (300, -20, 1000, 4, -7)] {
            sums.add(Field::Cpu, cpu);
            sums.add(Field::Temperature, temperature);
            sums.add(Field::MemoryTotal, total);
            sums.add(Field::Power, power);
            sums.add(Field::ClockOffset, offset);
        }
        let got = |field| sums.get(field);
        assert_eq!(got(Field::Cpu), Some(200));
        assert_eq!((got(Field::Temperature), got(Field::MemoryTotal)), (Some(-20), Some(1000)));
        assert_eq!((got(Field::Power), got(Field::ClockOffset), got(Field::Load)), (Some(5), Some(-7), None));

        let row = Row::of(HostId([1; 8]), &sums).expect("a row");
        let mut again = Sums::default();
        again.add_row(&row);
        assert_eq!(Row::of(HostId([1; 8]), &again), Some(row), "a row alone stays what it is");
    }

    #[test]
    fn no_values_overflow() {
        let mut sums = Sums::default();
        for value in [i64::MAX, i64::MAX, i64::MIN] {
            Field::ALL.iter().for_each(|field| sums.add(*field, value));
        }
        assert!(Row::of(HostId([0; 8]), &sums).is_some());
    }
}
