//! `muster-agent`
fn main() {}
