//! `claviger slot …`: the ways to open the vault.

use super::piv::management_key;
use crate::cli::args::{Proof, descriptor};
use crate::cli::desk::{Desk, Recording, unexpected};
use crate::cli::exit::Outcome;
use crate::cli::render::{minute, table};
use crate::cli::{intake, ui};
use crate::model::{Label, PinPolicy, PivSlot, TouchPolicy};
use crate::wire::{Code, Fault, NewFido2Slot, NewPivSlot, NewSlot, Reply, Request, SlotDevice, SlotKind, SlotRow};

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
    /// Add a FIDO2 key, a PIV card, a further passphrase or recovery code, or the desktop keyring
    ///
    /// A FIDO2 key needs a PIN, and is touched twice. A PIV card makes a key in one of its slots 82 to 95, which wants the PIN
    /// and a touch. Both open the vault with their PIN and a touch from then on. Enrol two keys, or keep the recovery code:
    /// no key can be copied. While the desktop keyring is open, a vault with a keyring slot can be opened by malware of your
    /// own user.
    #[command(after_help = "\
Examples:
  claviger slot add fido2 --label 'the blue key'
  claviger slot add piv --device 12345678
  claviger slot add piv --slot 83 --existing
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
        /// Also where only FIDO2 keys and PIV cards are left then: without them the vault is lost
        #[arg(long)]
        leave_only_devices: bool,
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
    device: OfDevice,
    #[command(flatten)]
    proof: Proof,
}

/// Of a FIDO2 key or a PIV card.
#[derive(clap::Args)]
struct OfDevice {
    /// Which, where several are plugged in: a card by its serial number, a FIDO2 key by its path or a part of what device
    /// list shows
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// What you call it, for slot list
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// piv: where on the card, 82 to 95 [default: the first free one]
    #[arg(long, value_name = "SLOT")]
    slot: Option<PivSlot>,
    /// piv: use the P-256 key that is in --slot, instead of making one
    #[arg(long, requires = "slot")]
    existing: bool,
    /// piv: when the key wants the PIN
    #[arg(long, value_name = "POLICY", default_value = "once")]
    pin_policy: PinWanted,
    /// piv: when the key wants to be touched; cached: not again within 15 seconds
    #[arg(long, value_name = "POLICY", default_value = "always")]
    touch_policy: TouchWanted,
    /// piv: read the management key, in base16, from file descriptor N
    #[arg(long, value_name = "N", value_parser = descriptor)]
    management_key_fd: Option<u32>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum PinWanted {
    Once,
    Always,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum TouchWanted {
    Always,
    Cached,
}

impl OfDevice {
    fn fido2(self) -> NewSlot {
        NewSlot::Fido2(NewFido2Slot { device: self.device, label: self.label })
    }

    fn piv(self) -> Result<NewSlot, Fault> {
        let serial = |text: String| {
            text.parse().map_err(|_| Fault::new(Code::Usage, "--device: a card is named by its serial number"))
        };
        Ok(NewSlot::Piv(NewPivSlot {
            device: self.device.map(serial).transpose()?,
            slot: self.slot,
            existing: self.existing,
            pin_policy: match self.pin_policy {
                PinWanted::Once => PinPolicy::Once,
                PinWanted::Always => PinPolicy::Always,
            },
            touch_policy: match self.touch_policy {
                TouchWanted::Always => TouchPolicy::Always,
                TouchWanted::Cached => TouchPolicy::Cached,
            },
            label: self.label,
            management_key: self.management_key_fd.map(management_key).transpose()?,
        }))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// A FIDO2 key, by its PIN and a touch
    Fido2,
    /// The desktop keyring: opens the vault after a restart without a person
    Keyring,
    /// A passphrase
    Passphrase,
    /// A PIV card, by its PIN and a touch
    Piv,
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
            Self::Remove { id, leave_only_devices, proof } => {
                let mut desk = Desk::open(&proof)?;
                desk.require_vault()?;
                let proof = desk.prove_of(" of a slot that stays")?;
                desk.done_proven(Request::SlotRemove { proof, slot: id, only_devices: leave_only_devices })?;
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
            Kind::Fido2 => self.device.fido2(),
            Kind::Piv => self.device.piv()?,
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
    let rows = rows.iter().map(|row| {
        let kind = row.kind.map_or("of a newer claviger", SlotKind::as_str);
        [row.id.to_string(), kind.to_owned(), minute(&row.added), row.device.as_ref().map(device).unwrap_or_default()]
    });
    table(width, ["ID", "KIND", "ADDED", "DEVICE"], rows)
}

/// What is known of a device, the person's own word first.
fn device(device: &SlotDevice) -> String {
    let mut parts: Vec<String> = device.label.iter().map(|label| Label(label).to_string()).collect();
    parts.extend(device.serial.map(|serial| format!("serial {serial}")));
    parts.extend(device.piv_slot.map(|slot| format!("slot {slot}")));
    parts.extend(device.firmware.map(|firmware| format!("firmware {firmware}")));
    parts.extend(device.pin_policy.map(|policy| format!("PIN {}", policy.as_str())));
    parts.extend(device.touch_policy.map(|policy| format!("touch {}", policy.as_str())));
    parts.extend(device.attested.map(|attested| if attested { "attested" } else { "not attested" }.to_owned()));
    if let (Some(model), None) = (&device.model, &device.label) {
        parts.push(format!("model {}", Label(model)));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::page;
    use crate::model::{Firmware, PinPolicy, TouchPolicy};
    use crate::wire::{SlotDevice, SlotKind, SlotRow};

    #[test]
    fn the_list_says_what_a_device_is() {
        let row = |id, kind, device| SlotRow { id, kind: Some(kind), added: "2026-11-22T01:00:00Z".to_owned(), device };
        let card = SlotDevice {
            serial: Some(12_345_678),
            piv_slot: "82".parse().ok(),
            firmware: Some(Firmware(5, 7, 1)),
            pin_policy: Some(PinPolicy::Once),
            touch_policy: Some(TouchPolicy::Always),
            attested: Some(true),
            ..SlotDevice::default()
        };
        let key = SlotDevice { label: Some("blue\u{1b}[2J".to_owned()), ..SlotDevice::default() };
        let rows =
            [row(1, SlotKind::Passphrase, None), row(3, SlotKind::Fido2, Some(key)), row(4, SlotKind::Piv, Some(card))];
        insta::assert_snapshot!(page(&rows, None), @"
        ID  KIND        ADDED                 DEVICE
        1   passphrase  2026-11-22 01:00 UTC
        3   fido2       2026-11-22 01:00 UTC  blue?[2J
        4   piv         2026-11-22 01:00 UTC  serial 12345678, slot 82, firmware 5.7.1, PIN once, touch always, attested
        ");
    }
}
