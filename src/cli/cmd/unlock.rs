//! `claviger unlock`.

use crate::cli::args::Proof;
use crate::cli::desk::{By, Desk, unexpected};
use crate::cli::exit::{Failure, Outcome};
use crate::cli::render::minute;
use crate::cli::ui;
use crate::model::Label;
use crate::wire::{Code, DeviceProof, Fault, OlderVault, Reply, Request, SlotKind};

/// Open the vault
///
/// Also counts as a person being here: codes may be spent again. Where the vault has a slot for a FIDO2 key or a PIV card
/// that is plugged in, its PIN and a touch open it; else, or with --no-device, the passphrase does. A vault file that is older than the last one known is
/// opened read-only; --accept-older shows both, and makes it the one that counts. With --passphrase-fd what is shown is
/// accepted.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  claviger unlock
  claviger unlock --recovery
  claviger unlock --slot 3
  claviger unlock --slot passphrase
  claviger unlock --accept-older
  pass claviger | claviger unlock --passphrase-fd 0")]
pub(in crate::cli) struct Unlock {
    /// Go on with a vault that is older than the last one known
    #[arg(long)]
    accept_older: bool,
    /// By which slot: its id, as slot list shows it, or its kind: fido2, piv, passphrase or recovery
    #[arg(long, value_name = "ID|KIND", value_parser = slot, conflicts_with_all = ["recovery", "no_device", "passphrase_fd"])]
    slot: Option<SlotName>,
    /// By which device, where several could: the serial number of a card, the path of a FIDO2 key, or a part of its name
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    #[command(flatten)]
    proof: Proof,
}

impl Unlock {
    pub(super) fn run(mut self) -> Outcome {
        let kind = match self.slot {
            Some(SlotName::Kind(kind)) => Some(kind),
            Some(SlotName::Id(id)) => Some(kind_of(id)?),
            None => None,
        };
        self.proof.recovery |= kind == Some(SlotKind::Recovery);
        let mut desk = Desk::open(&self.proof)?;
        match kind {
            None if self.device.is_none() => {}
            Some(kind) if !kind.is_device() => desk.by(By::Word),
            kind => {
                let slot = match self.slot {
                    Some(SlotName::Id(id)) => Some(id),
                    _ => None,
                };
                desk.by(By::Device(DeviceProof { slot, kind, device: self.device.clone() }));
            }
        }
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

/// A slot as it is named on the command line.
#[derive(Clone, Copy)]
enum SlotName {
    Id(u32),
    Kind(SlotKind),
}

fn slot(text: &str) -> Result<SlotName, &'static str> {
    let kinds = [SlotKind::Fido2, SlotKind::Passphrase, SlotKind::Piv, SlotKind::Recovery];
    match (text.parse(), kinds.into_iter().find(|kind| kind.as_str() == text)) {
        (Ok(id), _) => Ok(SlotName::Id(id)),
        (_, Some(kind)) => Ok(SlotName::Kind(kind)),
        _ => Err("an id that slot list shows, or fido2, piv, passphrase or recovery"),
    }
}

/// The kind of a slot.
fn kind_of(id: u32) -> Result<SlotKind, Failure> {
    let none = Proof::default();
    let Reply::Slots(rows) = Desk::open(&none)?.ask(&Request::SlotList {})? else { return Err(unexpected()) };
    let kind = rows.iter().find(|row| row.id == id).and_then(|row| row.kind);
    match kind.filter(|kind| *kind != SlotKind::Keyring) {
        Some(kind) => Ok(kind),
        None => Err(Fault::new(Code::SlotNotFound, "the vault has no such slot that a person opens").into()),
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
