//! Devices as `device list` shows them.

use super::Fault;
use crate::model::{Firmware, MfaSerial, Name, OathName};
use crate::secret::{TotpSeedText, text};
use serde::{Deserialize, Serialize};

/// What a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceKind {
    /// A card in a reader of pcscd: OATH, PIV.
    Card,
    /// A FIDO2 device.
    Fido,
}

/// A row of `device list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRow {
    /// What it is.
    pub kind: DeviceKind,
    /// What its reader or its maker calls it.
    pub product: String,
    /// Its serial number, where it can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<u32>,
    /// Its firmware, where it tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<Firmware>,
    /// What it can be used for: `oath`, `piv`, `fido2`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub applets: Vec<String>,
    /// Tries of the PIN that are left, of PIV or of FIDO2; 0 is blocked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin_tries: Option<u8>,
    /// Tries of PIV's PUK that are left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub puk_tries: Option<u8>,
    /// What a person should know: a password on its OATH applet, no PIN yet, firmware with a known flaw.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Why no more of it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

/// What is plugged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceList {
    /// The devices.
    pub devices: Vec<DeviceRow>,
    /// Why devices of a kind are not seen at all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
}

/// An authenticator whose seed is on a YubiKey, or is put there.
#[derive(Serialize, Deserialize)]
pub struct MfaOnDevice {
    /// The access key whose user owns the device.
    pub access_key: Name,
    /// Its name here; the last part of the serial if left out.
    pub name: Option<Name>,
    /// Its serial at AWS; found by ListMFADevices if left out.
    pub serial: Option<MfaSerial>,
    /// The serial number of the YubiKey; may be left out where there is only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<u32>,
    /// Its account on the YubiKey; without a seed it may be left out where only one is of AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<OathName>,
    /// A seed to put there; without one the account is there already.
    #[serde(with = "text::option", default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<TotpSeedText>,
    /// A new account wants to be touched for each code.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub touch: bool,
    /// Prove it at AWS.
    pub verify: bool,
}
