//! The command line.
//!
//! stdout is data, stderr is talk, `/dev/tty` is questions. One file per verb or noun in `cmd`; the hot verbs are recognised
//! in `hot` before clap is built. Nothing here exits: [`run`] returns the exit code.

mod args;
mod cmd;
mod desk;
mod environment;
mod exit;
mod hot;
mod intake;
#[cfg(test)]
mod pages;
mod qr;
mod questions;
mod render;
mod stand_in;
mod terminal;
mod ui;

use crate::wire::Fault;
use exit::Failure;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

/// Runs one command line, the program's name first, and says how it ended.
pub fn run(argv: Vec<OsString>) -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        // The place, never the payload: it could hold anything.
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(std::io::stderr(), "claviger: internal: a defect of claviger at {place}");
    }));
    let verb = argv.get(1).cloned().unwrap_or_default();
    let outcome = match hot::parse(&argv) {
        Some(hot::Hot::Env(env)) => env.run(),
        Some(hot::Hot::Exec(exec)) => exec.run(),
        Some(hot::Hot::Process(process)) => cmd::process::run(&process),
        None => args::run(argv),
    };
    exit::code(if verb == cmd::process::NAME {
        outcome.map_err(one_line)
    } else if verb == cmd::exec::NAME {
        outcome.map_err(cmd::exec::own_failure).map_err(for_people)
    } else {
        outcome.map_err(for_people)
    })
}

/// Programs copy stderr into their own errors: one line, with the code.
fn one_line(failure: Failure) -> Failure {
    if let Failure::Fault(fault) = &failure {
        ui::say(&line(fault));
    }
    failure
}

fn line(fault: &Fault) -> String {
    use crate::model::{Label, Message};
    let Fault { code, message, hint } = fault;
    let hint = hint.as_ref().map(|hint| format!(" (try: {})", Label(hint))).unwrap_or_default();
    format!("claviger: {code}: {}{hint}", Message(message))
}

fn for_people(failure: Failure) -> Failure {
    if let Failure::Fault(fault) | Failure::Exec { fault, .. } = &failure {
        ui::say(&ui::fault(fault));
    }
    failure
}
