//! How a command ends. The exit codes themselves are `wire::Exit`, one table for every verb.

use crate::wire::{Exit, Fault};
use std::process::ExitCode;

/// Why a command ended early.
#[derive(Debug)]
pub(super) enum Failure {
    /// Whoever read stdout has gone; nothing is left to say.
    BrokenPipe,
    /// A command of the user's was not run: the same, with an exit code that is hardly the command's own.
    Exec {
        /// What to tell.
        fault: Fault,
        /// The exit code.
        exit: u8,
    },
    /// Something a user should know.
    Fault(Fault),
    /// Nothing more: some of it was done, and what was printed says what was not.
    Partial,
    /// Nothing more: what was printed says what is wrong.
    Told,
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// What a command returns.
pub(super) type Outcome = Result<(), Failure>;

/// The exit code of an outcome. A reader that has gone is no fault of the command.
pub(super) fn code(outcome: Outcome) -> ExitCode {
    ExitCode::from(match outcome {
        Ok(()) | Err(Failure::BrokenPipe) => Exit::Ok as u8,
        Err(Failure::Exec { exit, .. }) => exit,
        Err(Failure::Fault(fault)) => fault.exit() as u8,
        Err(Failure::Partial) => Exit::Partial as u8,
        Err(Failure::Told) => Exit::Fault as u8,
    })
}
