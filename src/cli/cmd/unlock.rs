//! `claviger unlock`.

use crate::cli::args::Proof;
use crate::cli::desk::Desk;
use crate::cli::exit::Outcome;
use crate::cli::render::minute;
use crate::cli::ui;
use crate::model::Label;
use crate::wire::{Code, Fault, OlderVault, Request};

/// Open the vault
///
/// Also counts as a person being here: codes may be spent again. A vault file that is older than the last one known is
/// opened read-only; --accept-older shows both, and makes it the one that counts. With --passphrase-fd what is shown is
/// accepted.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  claviger unlock
  claviger unlock --recovery
  claviger unlock --accept-older
  pass claviger | claviger unlock --passphrase-fd 0")]
pub(in crate::cli) struct Unlock {
    /// Go on with a vault that is older than the last one known
    #[arg(long)]
    accept_older: bool,
    #[command(flatten)]
    proof: Proof,
}

impl Unlock {
    pub(super) fn run(self) -> Outcome {
        let mut desk = Desk::open(&self.proof)?;
        if self.accept_older {
            return accept(&mut desk);
        }
        desk.require_vault()?;
        desk.unlock_by_person()?;
        match desk.status()?.older {
            None => ui::say("The vault is open."),
            Some(older) => {
                ui::say(&difference(&older));
                let message = "the vault is open, but it is an older one than was known: it is read-only";
                return Err(Fault::new(Code::VaultRolledBack, message).into());
            }
        }
        Ok(())
    }
}

fn accept(desk: &mut Desk<'_>) -> Outcome {
    let kept = desk.open_vault_keeping_proof()?;
    let Some(older) = desk.status()?.older else {
        ui::say("The vault is open, and nothing knows a later one.");
        return Ok(());
    };
    ui::say(&difference(&older));
    let proof = match kept {
        Some(proof) => proof,
        None => desk.prove()?,
    };
    desk.done_proven(Request::VaultAccept { proof, digest: older.digest })?;
    ui::say("Accepted: this vault is the one that counts now.");
    Ok(())
}

fn difference(older: &OlderVault) -> String {
    let known_by = Label(&older.known_by.join(", ")).to_string();
    format!(
        "This vault   save {}, of {}\nKnown        save {}, of {}, by {known_by}\n\
         What was changed in between is not in this vault. claviger restore brings a copy or a backup back instead.",
        older.generation,
        minute(&older.saved),
        older.known_generation,
        minute(&older.known_saved),
    )
}

#[cfg(test)]
mod tests {
    use super::difference;
    use crate::wire::OlderVault;

    #[test]
    fn the_difference() {
        let older = OlderVault {
            generation: 5,
            saved: "2026-11-20T13:45:00Z".to_owned(),
            known_generation: 9,
            known_saved: "2026-11-22T03:03:00Z".to_owned(),
            known_by: vec!["the runtime folder".to_owned(), "the audit record".to_owned()],
            digest: "5891b5b5".to_owned(),
        };
        insta::assert_snapshot!(difference(&older), @"
        This vault   save 5, of 2026-11-20 13:45 UTC
        Known        save 9, of 2026-11-22 03:03 UTC, by the runtime folder, the audit record
        What was changed in between is not in this vault. claviger restore brings a copy or a backup back instead.
        ");
    }
}
