//! `claviger-device-helper`: speaks to one device for the agent, which starts it and gives it a socket.

use claviger_agent::harden::WipingAllocator;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: WipingAllocator = WipingAllocator;

pub(crate) fn main() -> ExitCode {
    claviger_agent::helper::run()
}
