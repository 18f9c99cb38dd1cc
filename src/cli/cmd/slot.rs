//! `claviger slot …`: the ways to open the vault.

use crate::cli::args::{Proof, descriptor};
use crate::cli::desk::{Desk, Recording, unexpected};
use crate::cli::exit::Outcome;
use crate::cli::render::{minute, table};
use crate::cli::{intake, ui};
use crate::wire::{Code, Fault, NewSlot, Reply, Request, SlotKind, SlotRow};

/// The ways to open the vault: list, add, remove
#[derive(clap::Subcommand)]
pub(in crate::cli) enum Slot {
    /// List the vault slots
    #[command(after_help = "\
Example:
  claviger slot list")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        proof: Proof,
    },
    /// Add a further passphrase or recovery code, or the desktop keyring
    ///
    /// While the desktop keyring is open, a vault with a keyring slot can be opened by malware of your own user.
    #[command(after_help = "\
Examples:
  claviger slot add recovery
  claviger slot add passphrase
  claviger slot add keyring
  claviger slot add passphrase --passphrase-fd 3 --new-passphrase-fd 4 3<old 4<new")]
    Add(Add),
    /// Remove a vault slot; the vault and its copies are encrypted anew
    ///
    /// The passphrase or recovery code that is asked for is one that stays. The item of a keyring slot is deleted from
    /// the desktop keyring; status says so where that fails.
    #[command(after_help = "\
Example:
  claviger slot remove 2")]
    Remove {
        /// Its id, as slot list shows it
        #[arg(value_parser = slot_id)]
        id: u32,
        #[command(flatten)]
        proof: Proof,
    },
}

#[derive(clap::Args)]
pub(in crate::cli) struct Add {
    /// What opens it
    kind: Kind,
    /// Read the new passphrase from file descriptor N instead of the terminal
    #[arg(long, value_name = "N", value_parser = descriptor)]
    new_passphrase_fd: Option<u32>,
    /// Write the recovery code to file descriptor N instead of showing it
    #[arg(long, value_name = "N", value_parser = descriptor)]
    recovery_fd: Option<u32>,
    #[command(flatten)]
    proof: Proof,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// The desktop keyring: opens the vault after a restart without a person
    Keyring,
    /// A passphrase
    Passphrase,
    /// A recovery code, made by the agent and shown once
    Recovery,
}

fn slot_id(text: &str) -> Result<u32, &'static str> {
    text.parse().map_err(|_| "an id is a number that slot list shows")
}

impl Slot {
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::Add(add) => add.run(),
            Self::List { json, proof } => list(json, &proof),
            Self::Remove { id, proof } => {
                let mut desk = Desk::open(&proof)?;
                desk.require_vault()?;
                let proof = desk.prove()?;
                desk.done_proven(Request::SlotRemove { proof, slot: id })?;
                ui::say(&format!("Slot {id} is removed, and the vault is encrypted anew."));
                Ok(())
            }
        }
    }
}

impl Add {
    fn run(self) -> Outcome {
        let used = [self.new_passphrase_fd, self.recovery_fd];
        if self.proof.passphrase_fd.is_some_and(|number| used.contains(&Some(number))) {
            return Err(Fault::new(Code::Usage, "two options name the same file descriptor").into());
        }
        let machine = self.proof.passphrase_fd.is_some() || self.recovery_fd.is_some();
        let recording = if machine { Recording::Machine(self.recovery_fd) } else { Recording::Person };
        let mut desk = Desk::open(&self.proof)?.record(recording);
        desk.require_vault()?;
        let proof = desk.prove()?;
        let slot = match self.kind {
            Kind::Keyring => NewSlot::Keyring {},
            Kind::Passphrase => {
                NewSlot::Passphrase(intake::new_passphrase(self.new_passphrase_fd, "--new-passphrase-fd")?)
            }
            Kind::Recovery => NewSlot::Recovery {},
        };
        match desk.ask_proven(Request::SlotAdd { proof, slot })? {
            Reply::Slots(_) if self.kind == Kind::Keyring => {
                ui::say(
                    "The slot is added. While the desktop keyring is open, malware of your user can open the vault.",
                );
            }
            Reply::Slots(_) => ui::say("The slot is added."),
            _ => return Err(unexpected()),
        }
        Ok(())
    }
}

fn list(json: bool, proof: &Proof) -> Outcome {
    let Reply::Slots(rows) = Desk::open(proof)?.ask(&Request::SlotList {})? else { return Err(unexpected()) };
    if json { ui::json(&rows) } else { ui::data(page(&rows, ui::page_width()).as_bytes()) }
}

fn page(rows: &[SlotRow], width: Option<usize>) -> String {
    let kind = |kind| match kind {
        SlotKind::Keyring => "keyring",
        SlotKind::Passphrase => "passphrase",
        SlotKind::Recovery => "recovery",
    };
    let rows = rows
        .iter()
        .map(|row| [row.id.to_string(), row.kind.map_or("of a newer claviger", kind).to_owned(), minute(&row.added)]);
    table(width, ["ID", "KIND", "ADDED"], rows)
}
