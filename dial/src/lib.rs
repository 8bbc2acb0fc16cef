//! How Muster's clients reach its server: addresses, pins, join strings and pinned TLS for ureq.
#![forbid(unsafe_code)]
