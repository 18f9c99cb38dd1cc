//! `claviger-ssh-agent`: the SSH door alone, under the flags of OpenSSH's ssh-agent.

use claviger_agent::harden::WipingAllocator;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: WipingAllocator = WipingAllocator;

pub(crate) fn main() -> ExitCode {
    claviger_agent::standalone::run()
}
