//! `claviger lock`.

use crate::cli::args::Proof;
use crate::cli::desk::Desk;
use crate::cli::exit::Outcome;
use crate::cli::ui;
use crate::wire::{Code, Request};

/// Wipe keys and sessions from memory
///
/// Sessions stay sealed on disk and return at the next unlock.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  claviger lock")]
pub(in crate::cli) struct Lock {}

impl Lock {
    pub(super) fn run(self) -> Outcome {
        match Desk::open_running(&Proof::default()) {
            Ok(mut desk) => desk.done(&Request::Lock {})?,
            // Nobody holds anything.
            Err(fault) if fault.code == Code::AgentNotRunning => {}
            Err(fault) => return Err(fault.into()),
        }
        ui::say("The vault is locked.");
        Ok(())
    }
}
