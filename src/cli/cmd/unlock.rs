//! `claviger unlock`.

use crate::cli::args::Proof;
use crate::cli::desk::Desk;
use crate::cli::exit::Outcome;
use crate::cli::ui;

/// Open the vault
///
/// Also counts as a person being here: codes may be spent again.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  claviger unlock
  claviger unlock --recovery
  pass claviger | claviger unlock --passphrase-fd 0")]
pub(in crate::cli) struct Unlock {
    #[command(flatten)]
    proof: Proof,
}

impl Unlock {
    pub(super) fn run(self) -> Outcome {
        let mut desk = Desk::open(&self.proof)?;
        desk.require_vault()?;
        desk.unlock_by_person()?;
        ui::say("The vault is open.");
        Ok(())
    }
}
