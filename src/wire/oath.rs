//! OATH accounts of cards, whatever they are for.

use super::Fault;
use crate::model::{Firmware, Name, OathHash, OathKind, OathName};
use crate::secret::{TokenCode, text};
use serde::{Deserialize, Serialize};

/// A card with an OATH applet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OathCard {
    /// What its reader calls it.
    pub product: String,
    /// Its serial number, where it can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<u32>,
    /// Its firmware, where it tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<Firmware>,
    /// Its accounts, in its own order.
    pub accounts: Vec<OathRow>,
    /// Why its accounts are not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

/// An account on a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OathRow {
    /// Its name.
    pub name: OathName,
    /// What makes its codes change.
    pub kind: OathKind,
    /// Its hash.
    pub hash: OathHash,
    /// Seconds of a step; of TOTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<u32>,
    /// Whether it wants to be touched for each code; left out where the card does not tell, as of HOTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub touch: Option<bool>,
    /// The authenticator whose codes it makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticator: Option<Name>,
}

/// One account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OathAccount {
    /// The card's serial number; may be left out where one is plugged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<u32>,
    /// Its name.
    pub account: OathName,
}

/// Another name for an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OathRename {
    /// The card's serial number; may be left out where one is plugged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<u32>,
    /// Its name.
    pub account: OathName,
    /// Its new name.
    pub new_name: OathName,
}

/// A code of an account.
#[derive(Serialize, Deserialize)]
pub struct OathCode {
    /// 6 to 8 digits.
    #[serde(with = "text")]
    pub code: TokenCode,
    /// How long it is good for; of TOTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<u64>,
}
