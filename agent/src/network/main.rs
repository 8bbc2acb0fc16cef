//! `muster-network`: flags in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::FAILURE
}
