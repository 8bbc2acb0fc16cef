//! What a Muster agent and server say to each other ([the wire](https://docs.rs/postcard) is specified in
//! `WIRE.md`), and the two state machines that keep them in step: the [`reporter`] on the host and the
//! [`mirror`] on the server. Neither does I/O nor reads a clock.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "mirror")]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod batch;
pub mod container;
pub mod event;
pub mod hello;
pub mod id;
pub mod join;
pub mod limits;
pub mod record;
