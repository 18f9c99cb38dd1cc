//! `claviger-agent-weak`: the agent without the defences that `CLAVIGER_WITHOUT` names. Attack tests win against it, or
//! they would prove nothing. Built with the feature `weak` alone, and never shipped: `cargo xtask dist` refuses its marker.

#[path = "main.rs"]
mod agent;

use claviger_agent::testing::MARKER;
use claviger_agent::world::Defence;
use std::process::ExitCode;

fn main() -> ExitCode {
    std::hint::black_box(&MARKER);
    if Defence::leave_out_named() { agent::main() } else { ExitCode::from(2) }
}
