//! `muster`
#![forbid(unsafe_code)]
fn main() {}
