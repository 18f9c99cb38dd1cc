//! `claviger`: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    claviger::cli::run(std::env::args_os().collect())
}
