//! PIV cards: what they hold, as `piv list` shows it.

use super::Fault;
use crate::model::{Firmware, PinPolicy, PivAlgorithm, PivSlot, TouchPolicy};
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
