//! Bytes in, requests out: TLS, HTTP/1.1, and the sizes and times that keep one client from harming the others.
//!
//! [`serve()`] runs one port with TLS, [`serve_at()`] any door. Nothing here knows what the requests mean. A connection passes through
//! `admission` (how many), `activity` (what it may take its time for) and `connection` (TLS and HTTP); the
//! handler sees a [`Request`] and gives a [`Response`], or takes the connection over as a [`Line`].

mod activity;
mod admission;
mod connection;
mod limits;
mod line;
mod message;
mod registry;
mod seldom;
mod serve;
#[cfg(test)]
mod tests;
mod wire;

pub use limits::{KnownBy, Limits};
pub use line::Line;
pub use message::{Body, BodyError, Content, Method, Request, Response};
pub use registry::Handle;
pub use serve::{serve, serve_at};
pub use wire::Door;
