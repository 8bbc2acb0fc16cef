//! What a Muster agent and server say to each other (specified in `WIRE.md` beside this code), and the two state machines that keep them in step: the [`reporter`] on the host and the
//! [`mirror`] on the server. Neither does I/O nor reads a clock.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "mirror")]
extern crate alloc;
#[cfg(any(test, feature = "seeded"))]
extern crate std;

pub mod batch;
pub mod container;
pub mod event;
pub mod frame;
pub mod hello;
pub mod id;
pub mod join;
pub mod limits;
#[cfg(feature = "mirror")]
pub mod mirror;
pub mod network;
pub mod orders;
mod queue;
pub mod record;
pub mod reporter;
#[cfg(any(test, feature = "seeded"))]
pub mod seeded;
pub mod spool;
pub mod vitals;
