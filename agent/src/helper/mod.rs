//! The device helper: the one program that links libpcsclite and libudev. It serves one device, one operation at a
//! time, or watches what is plugged in; what it is told comes over the socket it was started with, and with the socket
//! it ends.
//!
//! Below: `channel` the socket, `serve` the loop, `watch` what is plugged in, `card` and `fido` the two kinds of device.

mod card;
mod channel;
mod fido;
mod serve;
mod watch;

use crate::device::protocol::Command;
use crate::harden;
use channel::Channel;
use std::io::Write;
use std::process::ExitCode;

const USAGE: &str = "claviger-device-helper: speaks to devices for claviger-agent, which starts it
";

/// Serves until the agent has closed the socket.
pub fn run() -> ExitCode {
    if harden::protect_helper().is_err() {
        return ExitCode::FAILURE;
    }
    let Some(mut channel) = Channel::inherited() else {
        drop(std::io::stderr().write_all(USAGE.as_bytes()));
        return ExitCode::from(2);
    };
    match channel.hear() {
        Some(Command::Watch {}) => watch::run(channel),
        Some(Command::Serve(address)) => serve::run(channel, address),
        _ => return ExitCode::FAILURE,
    }
    ExitCode::SUCCESS
}
