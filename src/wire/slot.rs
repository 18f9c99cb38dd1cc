//! Vault slots to be added.

use crate::model::{PinPolicy, PivSlot, SlotKind, TouchPolicy};
use crate::secret::{DeviceSecret, Passphrase, text};
use serde::{Deserialize, Serialize};

/// A slot to add.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NewSlot {
    /// A FIDO2 key, which is touched twice.
    Fido2(NewFido2Slot),
    /// An item in the desktop's keyring.
    Keyring {},
    /// A further passphrase.
    Passphrase(#[serde(with = "text")] Passphrase),
    /// A key of a PIV card.
    Piv(NewPivSlot),
    /// A further recovery code, which the agent makes and shows by event.
    Recovery {},
}

impl NewSlot {
    /// The kind of the slot.
    pub fn kind(&self) -> SlotKind {
        match self {
            Self::Fido2(_) => SlotKind::Fido2,
            Self::Keyring {} => SlotKind::Keyring,
            Self::Passphrase(_) => SlotKind::Passphrase,
            Self::Piv(_) => SlotKind::Piv,
            Self::Recovery {} => SlotKind::Recovery,
        }
    }
}

/// A FIDO2 key that shall open the vault.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewFido2Slot {
    /// Its path, or a part of what `device_list` shows of it; the only one, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// What the person calls it; 64 bytes at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// A PIV card that shall open the vault.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPivSlot {
    /// The card's serial number; the only card, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<u32>,
    /// Which of the retired slots, `82` to `95`; the first free one, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<PivSlot>,
    /// With the P-256 key that is there; else the card makes one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub existing: bool,
    /// When the key that is made wants the PIN: once or always.
    pub pin_policy: PinPolicy,
    /// When it wants to be touched: always or cached.
    pub touch_policy: TouchPolicy,
    /// What the person calls it; 64 bytes at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The management key, in base16; the card's own default, if left out.
    #[serde(with = "text::option", default, skip_serializing_if = "Option::is_none")]
    pub management_key: Option<DeviceSecret>,
}
