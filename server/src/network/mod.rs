//! The managed network: who has which addresses, and how hosts find each other. Packets do not come by here.
//!
//! [`basis`] is what is known, [`plan`] what each host is told: both without I/O.

pub mod basis;
pub mod blocks;
pub mod member;
pub mod names;
pub mod plan;
pub mod reach;
#[cfg(test)]
pub(crate) mod samples;
pub mod secrets;
#[cfg(test)]
mod seeded;
pub mod settings;
