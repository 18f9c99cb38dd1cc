//! PIV cards: what they hold, and what changes them.

use super::Fault;
use crate::model::{Firmware, PinPolicy, PivAlgorithm, PivSlot, TouchPolicy};
use crate::secret::{DeviceSecret, Pin, text};
use serde::{Deserialize, Serialize};

/// A card with a PIV applet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PivCard {
    /// What its reader calls it.
    pub product: String,
    /// Its serial number, where it can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<u32>,
    /// Its firmware, where it tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<Firmware>,
    /// Its keys, in the order of their slots.
    pub keys: Vec<PivKeyRow>,
    /// Why its keys are not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

/// A key on a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PivKeyRow {
    /// Where it is.
    pub slot: PivSlot,
    /// What it is.
    pub algorithm: PivAlgorithm,
    /// When it wants the PIN, where the card tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin_policy: Option<PinPolicy>,
    /// When it wants to be touched, where the card tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub touch_policy: Option<TouchPolicy>,
    /// Whether the card made it, and it is nowhere else; left out where the card does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated: Option<bool>,
    /// The name in its certificate, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// `SHA256:` and base64 over the public key as SSH has it; left out where SSH has no such keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// The line for `authorized_keys`, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<String>,
}

/// Which of a card's secrets is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PivReference {
    /// The PIN, against itself.
    Pin,
    /// The PIN, against the PUK: also where it is blocked.
    PinByPuk,
    /// The PUK, against itself.
    Puk,
}

/// Another PIN or PUK for a card.
#[derive(Serialize, Deserialize)]
pub struct PivChange {
    /// The card's serial number; may be left out where one is plugged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<u32>,
    /// Which.
    pub reference: PivReference,
    /// What it is changed against. A wrong one costs a try, and the last is used where a person says so.
    #[serde(with = "text::option", default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Pin>,
    /// What it becomes.
    #[serde(with = "text::option", default, skip_serializing_if = "Option::is_none")]
    pub new: Option<Pin>,
}

/// A key that a card is to make.
#[derive(Serialize, Deserialize)]
pub struct PivNew {
    /// The card's serial number; may be left out where one is plugged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<u32>,
    /// Where.
    pub slot: PivSlot,
    /// What; `ed25519` where the card has it, else `ecdsa-p256`, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<PivAlgorithm>,
    /// When it wants the PIN.
    pub pin_policy: PinPolicy,
    /// When it wants to be touched.
    pub touch_policy: TouchPolicy,
    /// Also where the slot holds a key: that one is lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replace: bool,
    /// The card's management key in base16; asked for, if it is left out and not the one that cards come with.
    #[serde(with = "text::option", default, skip_serializing_if = "Option::is_none")]
    pub management_key: Option<DeviceSecret>,
}

/// What is done with the certificates of a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PivCertificateDeed {
    /// The card attests that it made the key: the certificate that says so, and that of the key which signed it.
    Attest {},
    /// A certificate is put beside the key, in PEM, or in DER written in base16; at most 3000 bytes of DER. One whose public
    /// key is not that of the key is refused.
    Import(String),
    /// The certificate beside the key is taken away.
    Remove {},
    /// The certificate beside the key.
    Show {},
}

/// The certificates of a slot.
#[derive(Serialize, Deserialize)]
pub struct PivCertificate {
    /// The card's serial number; may be left out where one is plugged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<u32>,
    /// Where.
    pub slot: PivSlot,
    /// What.
    pub deed: PivCertificateDeed,
    /// As for [`PivNew`], of `import` and `remove`.
    #[serde(with = "text::option", default, skip_serializing_if = "Option::is_none")]
    pub management_key: Option<DeviceSecret>,
}

/// Another management key for a card.
#[derive(Serialize, Deserialize)]
pub struct PivManagementKey {
    /// The card's serial number; may be left out where one is plugged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<u32>,
    /// The one it has, as for [`PivNew`].
    #[serde(with = "text::option", default, skip_serializing_if = "Option::is_none")]
    pub old: Option<DeviceSecret>,
    /// The one it gets, in base16 and of the length the card has now; a random one, if left out.
    #[serde(with = "text::option", default, skip_serializing_if = "Option::is_none")]
    pub new: Option<DeviceSecret>,
    /// Wants to be touched for each use.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub touch: bool,
    /// A random one that the card keeps behind its PIN, and nobody is shown; `new` and `touch` are left out then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub protect: bool,
}
