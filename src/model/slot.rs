//! Vault slots, and what opens them.

use crate::model::{Firmware, PinPolicy, PivSlot, TouchPolicy};
use crate::secret::{Passphrase, RecoveryCode, Secret, text};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Opening a vault slot afresh, by a person. Never the keyring.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotProof {
    /// The passphrase of a passphrase slot.
    Passphrase(#[serde(with = "text")] Passphrase),
    /// The code of a recovery slot.
    Recovery(#[serde(with = "text")] RecoveryCode),
    /// A FIDO2 key or a PIV card that is plugged in: the agent asks for its PIN, and for a touch.
    Device(DeviceProof),
    /// What a device gave. The agent makes it; it is never on the wire.
    #[serde(skip)]
    Answered(SlotAnswer),
}

/// Which device is meant, where several could be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceProof {
    /// The vault slot's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<u32>,
    /// The vault slot's kind: `fido2` or `piv`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<SlotKind>,
    /// The serial number of a card; the path of a FIDO2 device, or a part of its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}

/// The secret that a device gave for a vault slot.
#[derive(Clone)]
pub struct SlotAnswer {
    /// The slot's id.
    pub slot: u32,
    /// Its kind.
    pub kind: SlotKind,
    /// The output of hmac-secret, or the secret that two keys share.
    pub secret: Arc<Secret<[u8; 32]>>,
}

/// The kinds of vault slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotKind {
    /// The hmac-secret of a FIDO2 key, the user verified (CTAP 2.1, section 12.5).
    Fido2,
    /// An item of the desktop's keyring. Never counts as a proof.
    Keyring,
    /// Argon2id of a passphrase.
    Passphrase,
    /// A key of a PIV card that agrees on a secret (NIST SP 800-73-4).
    Piv,
    /// A 160-bit code on paper.
    Recovery,
}

impl SlotKind {
    /// Its name, as it is written everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fido2 => "fido2",
            Self::Keyring => "keyring",
            Self::Passphrase => "passphrase",
            Self::Piv => "piv",
            Self::Recovery => "recovery",
        }
    }

    /// Whether a device opens it.
    pub fn is_device(self) -> bool {
        matches!(self, Self::Fido2 | Self::Piv)
    }
}

/// What is known of the device that opens a slot: as it was when the slot was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotDevice {
    /// The person's word for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The model of a FIDO2 key (AAGUID), in base16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// A card's serial number, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<u32>,
    /// Where the card has the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub piv_slot: Option<PivSlot>,
    /// The card's firmware, where it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<Firmware>,
    /// When the key wants the PIN, where the card tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin_policy: Option<PinPolicy>,
    /// When the key wants to be touched, where the card tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub touch_policy: Option<TouchPolicy>,
    /// Whether the card attested that it made the key; None of a FIDO2 key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attested: Option<bool>,
}
