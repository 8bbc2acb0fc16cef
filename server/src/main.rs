//! `muster`
fn main() {}
