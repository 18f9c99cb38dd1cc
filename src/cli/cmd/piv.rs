//! `claviger piv …`: the PIV applet of YubiKeys and other cards.

use crate::cli::args::{Proof, descriptor};
use crate::cli::desk::{Desk, unexpected};
use crate::cli::exit::Outcome;
use crate::cli::render::table;
use crate::cli::{intake, ui};
use crate::model::{Label, PinPolicy, PivAlgorithm, PivSlot, TouchPolicy};
use crate::secret::{DeviceSecret, Pin, SecretText};
use crate::wire::{
    Fault, PivCard, PivCertificate, PivCertificateDeed, PivChange, PivKeyRow, PivManagementKey, PivNew, PivReference,
    Reply, Request,
};
use std::path::PathBuf;

/// PIV cards: list, new, certificate, pin, puk, management-key
#[derive(clap::Subcommand)]
pub(in crate::cli) enum Piv {
    /// List the keys of the PIV cards that are plugged in
    ///
    /// Slot, algorithm, when the PIN and a touch are wanted, whether the card made the key, its certificate's name, and the
    /// fingerprint that SSH shows. It costs no try and needs no vault.
    #[command(after_help = "\
Example:
  claviger piv list --json")]
    List {
        #[command(flatten)]
        card: Card,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Have a card make a key, and print its public line for SSH
    ///
    /// The key never leaves the card. It is in the SSH agent at once, and asks for the PIN and a touch as its policies say;
    /// they cannot be changed later.
    #[command(after_help = "\
Examples:
  claviger piv new 9a
  claviger piv new 9a --type ecdsa-p256 --touch-policy cached
  claviger piv new 82 --type rsa-2048 --pin-policy always --device 12345678")]
    New {
        /// Where: 9a, 9c, 9d, 9e, or 82 to 95
        slot: PivSlot,
        /// Its type; ed25519, rsa-3072 and rsa-4096 need firmware 5.7 [default: ed25519 there, else ecdsa-p256]
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<Kind>,
        /// When it wants the PIN
        #[arg(long, value_name = "POLICY", default_value = "once")]
        pin_policy: PinWhen,
        /// When it wants to be touched; cached: not again within 15 seconds
        #[arg(long, value_name = "POLICY", default_value = "never")]
        touch_policy: TouchWhen,
        /// Also where the slot holds a key, which is lost then
        #[arg(long)]
        replace: bool,
        /// Read the management key, in base16, from file descriptor N
        #[arg(long, value_name = "N", value_parser = descriptor)]
        management_key_fd: Option<u32>,
        #[command(flatten)]
        card: Card,
        #[command(flatten)]
        proof: Proof,
    },
    /// Print, import or remove the certificate of a key, or have the card attest the key
    ///
    /// Without an option the certificate in the slot is printed, as PEM.
    #[command(after_help = "\
Examples:
  claviger piv certificate 9a > ada.pem
  claviger piv certificate 9a --import ada.pem
  claviger piv certificate 9a --attest > attestation.pem")]
    Certificate {
        /// Where: 9a, 9c, 9d, 9e, or 82 to 95
        slot: PivSlot,
        #[command(flatten)]
        deed: Deed,
        /// Read the management key, in base16, from file descriptor N
        #[arg(long, value_name = "N", value_parser = descriptor)]
        management_key_fd: Option<u32>,
        #[command(flatten)]
        card: Card,
        #[command(flatten)]
        proof: Proof,
    },
    /// Change the PIN of a card
    ///
    /// The tries that are left are shown first, the last one is used at your word alone, and no wrong PIN is sent twice.
    #[command(after_help = "\
Examples:
  claviger piv pin
  claviger piv pin --unblock
  claviger piv pin --pin-fd 3 --new-pin-fd 4 3<old 4<new")]
    Pin {
        /// Set it by the PUK: also where it is blocked or forgotten
        #[arg(long)]
        unblock: bool,
        /// Read the PIN, or with --unblock the PUK, from file descriptor N
        #[arg(long, value_name = "N", value_parser = descriptor)]
        pin_fd: Option<u32>,
        /// Read the new PIN from file descriptor N
        #[arg(long, value_name = "N", value_parser = descriptor)]
        new_pin_fd: Option<u32>,
        #[command(flatten)]
        card: Card,
        #[command(flatten)]
        proof: Proof,
    },
    /// Change the PUK of a card
    #[command(after_help = "\
Examples:
  claviger piv puk
  claviger piv puk --puk-fd 3 --new-puk-fd 4 3<old 4<new")]
    Puk {
        /// Read the PUK from file descriptor N
        #[arg(long, value_name = "N", value_parser = descriptor)]
        puk_fd: Option<u32>,
        /// Read the new PUK from file descriptor N
        #[arg(long, value_name = "N", value_parser = descriptor)]
        new_puk_fd: Option<u32>,
        #[command(flatten)]
        card: Card,
        #[command(flatten)]
        proof: Proof,
    },
    /// Change the management key of a card
    ///
    /// It is wanted for what changes keys and certificates. A random one is printed, this once, in base16; it has the length
    /// of the one before. The card gets it once it is printed: where that fails, the card keeps the one it has.
    #[command(after_help = "\
Examples:
  claviger piv management-key --protect
  claviger piv management-key > key
  claviger piv management-key --stdin --management-key-fd 3 < new 3< old")]
    ManagementKey {
        /// Read the new key, in base16, from stdin
        #[arg(long)]
        stdin: bool,
        /// Have the card want a touch each time it is used
        #[arg(long)]
        touch: bool,
        /// Have the card keep a random one behind its PIN: then the PIN is asked for in its place, here and by ykman
        #[arg(long, conflicts_with_all = ["stdin", "touch"])]
        protect: bool,
        /// Read the old key, in base16, from file descriptor N
        #[arg(long, value_name = "N", value_parser = descriptor)]
        management_key_fd: Option<u32>,
        #[command(flatten)]
        card: Card,
        #[command(flatten)]
        proof: Proof,
    },
}

/// What is done with a certificate.
#[derive(clap::Args)]
#[group(multiple = false)]
pub(in crate::cli) struct Deed {
    /// Put the certificate of FILE beside the key: PEM or DER, at most 3000 bytes; - is stdin
    #[arg(long, value_name = "FILE")]
    import: Option<PathBuf>,
    /// Print the certificate with which the card says that it made the key, and that of the key it signs this with
    #[arg(long)]
    attest: bool,
    /// Take the certificate away; the key stays
    #[arg(long)]
    remove: bool,
}

impl Deed {
    fn wire(self) -> Result<PivCertificateDeed, Fault> {
        Ok(match self {
            Self { import: Some(path), .. } => PivCertificateDeed::Import(certificate(intake::public_bytes(&path)?)),
            Self { attest: true, .. } => PivCertificateDeed::Attest {},
            Self { remove: true, .. } => PivCertificateDeed::Remove {},
            Self { .. } => PivCertificateDeed::Show {},
        })
    }
}

/// A file that may be PEM as it is, another one in base16.
fn certificate(bytes: Vec<u8>) -> String {
    match String::from_utf8(bytes) {
        Ok(text) if text.contains("-----BEGIN ") => text,
        Ok(text) => base16(text.as_bytes()),
        Err(other) => base16(other.as_bytes()),
    }
}

fn base16(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Which card.
#[derive(clap::Args)]
pub(in crate::cli) struct Card {
    /// The card's serial number, where several are plugged in
    #[arg(long, value_name = "SERIAL")]
    device: Option<u32>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub(in crate::cli) enum Kind {
    #[value(name = "ed25519")]
    Ed25519,
    #[value(name = "ecdsa-p256")]
    EcdsaP256,
    #[value(name = "ecdsa-p384")]
    EcdsaP384,
    #[value(name = "rsa-2048")]
    Rsa2048,
    #[value(name = "rsa-3072")]
    Rsa3072,
    #[value(name = "rsa-4096")]
    Rsa4096,
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub(in crate::cli) enum PinWhen {
    Never,
    Once,
    Always,
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub(in crate::cli) enum TouchWhen {
    Never,
    Always,
    Cached,
}

impl Piv {
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::List { card, json } => list(card.device, json),
            Self::New { slot, kind, pin_policy, touch_policy, replace, management_key_fd, card, proof } => {
                let request = Request::PivNew(PivNew {
                    device: card.device,
                    slot,
                    algorithm: kind.map(Kind::wire),
                    pin_policy: pin_policy.wire(),
                    touch_policy: touch_policy.wire(),
                    replace,
                    management_key: management_key_fd.map(management_key).transpose()?,
                });
                let Reply::PivKey(row) = Desk::open(&proof)?.ask(&request)? else { return Err(unexpected()) };
                match &row.public {
                    Some(line) => ui::data(format!("{line}\n").as_bytes())?,
                    None => ui::say("SSH has no keys of this type."),
                }
                let policies = policies(&row);
                ui::say(&format!("The card has made a key in slot {} ({}; {policies}).", row.slot, row.algorithm));
                Ok(())
            }
            Self::Certificate { slot, deed, management_key_fd, card, proof } => {
                let request = PivCertificate {
                    device: card.device,
                    slot,
                    deed: deed.wire()?,
                    management_key: management_key_fd.map(management_key).transpose()?,
                };
                certificates(request, &proof)
            }
            Self::ManagementKey { stdin, touch, protect, management_key_fd, card, proof } => {
                // The old one first: both may come by stdin.
                let old = management_key_fd.map(management_key).transpose()?;
                let new = if stdin { Some(base16_of(&intake::stdin()?)) } else { None };
                set_management_key(PivManagementKey { device: card.device, old, new, touch, protect }, &proof)
            }
            Self::Pin { unblock, pin_fd, new_pin_fd, card, proof } => {
                let reference = if unblock { PivReference::PinByPuk } else { PivReference::Pin };
                change(reference, card.device, (pin_fd, new_pin_fd), &proof, "The PIN is changed.")
            }
            Self::Puk { puk_fd, new_puk_fd, card, proof } => {
                change(PivReference::Puk, card.device, (puk_fd, new_puk_fd), &proof, "The PUK is changed.")
            }
        }
    }
}

impl Kind {
    fn wire(self) -> PivAlgorithm {
        match self {
            Self::Ed25519 => PivAlgorithm::Ed25519,
            Self::EcdsaP256 => PivAlgorithm::EcdsaP256,
            Self::EcdsaP384 => PivAlgorithm::EcdsaP384,
            Self::Rsa2048 => PivAlgorithm::Rsa2048,
            Self::Rsa3072 => PivAlgorithm::Rsa3072,
            Self::Rsa4096 => PivAlgorithm::Rsa4096,
        }
    }
}

impl PinWhen {
    fn wire(self) -> PinPolicy {
        match self {
            Self::Never => PinPolicy::Never,
            Self::Once => PinPolicy::Once,
            Self::Always => PinPolicy::Always,
        }
    }
}

impl TouchWhen {
    fn wire(self) -> TouchPolicy {
        match self {
            Self::Never => TouchPolicy::Never,
            Self::Always => TouchPolicy::Always,
            Self::Cached => TouchPolicy::Cached,
        }
    }
}

fn change(
    reference: PivReference,
    device: Option<u32>,
    (old, new): (Option<u32>, Option<u32>),
    proof: &Proof,
    said: &str,
) -> Outcome {
    let request = Request::PivChange(PivChange {
        device,
        reference,
        old: old.map(given).transpose()?,
        new: new.map(given).transpose()?,
    });
    Desk::open(proof)?.done(&request)?;
    ui::say(said);
    Ok(())
}

fn given(number: u32) -> Result<Pin, Fault> {
    intake::descriptor(number).map(|text| Pin::from_text(text.to_string()))
}

pub(super) fn management_key(number: u32) -> Result<DeviceSecret, Fault> {
    intake::descriptor(number).map(|text| base16_of(&text))
}

fn base16_of(text: &str) -> DeviceSecret {
    DeviceSecret::from_text(text.trim().to_ascii_lowercase())
}

fn certificates(request: PivCertificate, proof: &Proof) -> Outcome {
    let slot = request.slot;
    let said = match request.deed {
        PivCertificateDeed::Import(_) => format!("The certificate of slot {slot} is written."),
        PivCertificateDeed::Remove {} => format!("The certificate of slot {slot} is removed."),
        PivCertificateDeed::Attest {} | PivCertificateDeed::Show {} => String::new(),
    };
    match Desk::open(proof)?.ask(&Request::PivCertificate(request))? {
        Reply::PivCertificates(certificates) => ui::data(certificates.concat().as_bytes()),
        Reply::Done {} => {
            ui::say(&said);
            Ok(())
        }
        _ => Err(unexpected()),
    }
}

fn set_management_key(request: PivManagementKey, proof: &Proof) -> Outcome {
    let mut desk = Desk::open(proof)?;
    let protect = request.protect;
    let changed = desk.done(&Request::PivManagementKey(request));
    match (&changed, desk.has_shown_key()) {
        (Ok(()), _) if protect => {
            ui::say("The management key is a random one now, which the card keeps behind its PIN.")
        }
        (Ok(()), true) => ui::say("The management key is changed. Keep it: it is shown this once."),
        (Ok(()), false) => ui::say("The management key is changed."),
        (Err(_), true) => ui::say("The management key above may not be set: try it before you forget the one before."),
        (Err(_), false) => {}
    }
    changed
}

fn list(device: Option<u32>, json: bool) -> Outcome {
    let Reply::PivCards(cards) = Desk::open(&Proof::default())?.ask(&Request::PivList { device })? else {
        return Err(unexpected());
    };
    if json {
        return ui::json(&cards);
    }
    if cards.is_empty() {
        ui::say("No PIV card is plugged in.");
        return Ok(());
    }
    for card in &cards {
        if let Some(fault) = &card.fault {
            ui::say(&fault.to_string());
        } else if card.keys.is_empty() {
            ui::say(&format!("{} holds no key.", name(card)));
        }
    }
    ui::data(page(&cards, ui::page_width()).as_bytes())
}

fn page(cards: &[PivCard], width: Option<usize>) -> String {
    let rows = cards.iter().flat_map(|card| card.keys.iter().map(move |key| (card, key)));
    table(
        width,
        ["SERIAL", "SLOT", "TYPE", "POLICIES", "ORIGIN", "CERTIFICATE", "FINGERPRINT"],
        rows.map(|(card, key)| {
            let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
            [
                card.serial.map_or_else(|| "-".to_owned(), |serial| serial.to_string()),
                key.slot.to_string(),
                key.algorithm.to_string(),
                policies(key),
                origin(key.generated).to_owned(),
                or_none(&key.certificate),
                or_none(&key.fingerprint),
            ]
        }),
    )
}

fn name(card: &PivCard) -> String {
    card.serial.map_or_else(|| Label(&card.product).to_string(), |serial| serial.to_string())
}

fn origin(generated: Option<bool>) -> &'static str {
    match generated {
        Some(true) => "made here",
        Some(false) => "imported",
        None => "-",
    }
}

fn policies(key: &PivKeyRow) -> String {
    let pin = key.pin_policy.map(|policy| match policy {
        PinPolicy::Never => "no PIN",
        PinPolicy::Once => "PIN once",
        PinPolicy::Always => "PIN always",
        PinPolicy::MatchOnce => "finger once",
        PinPolicy::MatchAlways => "finger always",
    });
    let touch = key.touch_policy.map(|policy| match policy {
        TouchPolicy::Never => "no touch",
        TouchPolicy::Always => "touch always",
        TouchPolicy::Cached => "touch cached",
    });
    match (pin, touch) {
        (None, None) => "-".to_owned(),
        (pin, touch) => [pin, touch].into_iter().flatten().collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::page;
    use crate::model::{Firmware, PinPolicy, PivAlgorithm, PivSlot, TouchPolicy};
    use crate::wire::{PivCard, PivKeyRow};

    #[test]
    fn keys_are_listed_by_card_and_slot() {
        let key = PivKeyRow {
            slot: PivSlot::AUTHENTICATION,
            algorithm: PivAlgorithm::Ed25519,
            pin_policy: Some(PinPolicy::Once),
            touch_policy: Some(TouchPolicy::Cached),
            generated: Some(true),
            certificate: Some("CN=ada\u{1b}[2J".to_owned()),
            fingerprint: Some("SHA256:abc".to_owned()),
            public: None,
        };
        let old = PivKeyRow {
            slot: PivSlot::KEY_MANAGEMENT,
            algorithm: PivAlgorithm::X25519,
            pin_policy: None,
            touch_policy: None,
            generated: None,
            certificate: None,
            fingerprint: None,
            public: None,
        };
        let card = PivCard {
            product: "Yubico YubiKey OTP+FIDO+CCID 00 00".to_owned(),
            serial: Some(12_345_678),
            firmware: Some(Firmware(5, 7, 1)),
            keys: vec![key, old],
            fault: None,
        };
        insta::assert_snapshot!(page(&[card], None), @"
        SERIAL    SLOT  TYPE     POLICIES                ORIGIN     CERTIFICATE  FINGERPRINT
        12345678  9a    ed25519  PIN once, touch cached  made here  CN=ada?[2J   SHA256:abc
        12345678  9d    x25519   -                       -          -            -
        ");
    }
}
