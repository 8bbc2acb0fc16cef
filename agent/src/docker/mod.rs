//! The engine, and all that knows its HTTP, its JSON and its dialects.
//!
//! [`engine`] is the face of this folder: it sends the [`request`]s over the [`socket`] at an [`address`] that was given or [`detect`]ed, reads the answers with
//! [`http`] and [`split`], and hands out list elements, inspects and event lines. [`container`],
//! [`inspect`] and [`event`] make protocol records of them, with the help of [`dialect`] where engines differ.
//! Everything that reads the engine's bytes is free of I/O and of clocks, and answers with an error value whatever
//! it is fed.

pub mod address;
pub mod container;
pub mod detect;
pub mod dialect;
pub mod engine;
pub mod error;
pub mod event;
pub mod exchange;
pub mod http;
pub mod inspect;
pub mod json;
pub mod limits;
pub mod request;
pub mod socket;
pub mod split;
pub mod timestamp;

#[cfg(test)]
pub(crate) mod seeded;
