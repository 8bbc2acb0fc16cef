//! `muster`
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    muster::cli::main(std::env::args_os())
}
