//! The command line.
//!
//! stdout is data, stderr is talk, `/dev/tty` is questions. One file per verb or noun in `cmd`; the hot verb is recognised
//! in `hot` before clap is built. Nothing here exits: [`run`] returns the exit code.

mod args;
mod cmd;
mod desk;
mod exit;
mod hot;
mod intake;
mod render;
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
    if let Some(process) = hot::parse(&argv) {
        return exit::code(cmd::process::run(&process).map_err(one_line));
    }
    let hot = argv.get(1).is_some_and(|verb| verb == hot::PROCESS);
    exit::code(args::run(argv).map_err(if hot { one_line } else { for_people }))
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
    if let Failure::Fault(fault) = &failure {
        ui::say(&ui::fault(fault));
    }
    failure
}
