//! What the OATH applet can be asked (Yubico, YKOATH protocol).

use super::protocol::{Bytes, QUICK_MILLIS, TOUCH_MILLIS};
use claviger::model::Firmware;
pub use claviger::model::{OathHash as Hash, OathKind as Kind};
use claviger::secret::{DeviceSecret, Pin, SecretText, TokenCode, text};
use serde::{Deserialize, Serialize};

/// The first firmware that renames accounts (Yubico, YKOATH protocol, RENAME).
pub const RENAMES_SINCE: Firmware = Firmware(5, 3, 1);

/// Seconds of a step where a name does not say otherwise.
const PERIOD: u32 = 30;

/// One thing to do, with the applet's access key where it has a password.
#[derive(Serialize, Deserialize)]
pub struct Operation {
    /// The key that its password gives; needed where the applet is locked.
    #[serde(default, with = "text::option")]
    pub access: Option<DeviceSecret>,
    /// What.
    pub verb: Verb,
}

/// What the applet does.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// The access key that a password gives for this device (PBKDF2 over its id), after the applet has accepted it.
    Access(#[serde(with = "text")] Pin),
    /// A code of a TOTP account, at a time. One that counts is an error, and not asked.
    Code {
        /// The account, to the byte.
        name: Bytes,
        /// Seconds since 1970.
        time: i64,
    },
    /// The next code of an HOTP account, whose counter moves on with it. One that does not count is an error, and not asked.
    NextCode {
        /// The account, to the byte.
        name: Bytes,
    },
    /// Removes an account.
    Delete {
        /// The account.
        name: Bytes,
    },
    /// The accounts.
    List {},
    /// Adds an account. One of that name is an error, never overwritten.
    Put(NewAccount),
    /// Gives an account another name; see [`RENAMES_SINCE`].
    Rename {
        /// From.
        from: Bytes,
        /// To; one of that name is an error.
        to: Bytes,
    },
    /// Sets the password, or takes it away.
    SetPassword(#[serde(with = "text::option")] Option<Pin>),
}

/// An account to add.
#[derive(Serialize, Deserialize)]
pub struct NewAccount {
    /// Its name: `issuer:account`, with `period/` before it where that is not 30; 64 bytes at most.
    pub name: Bytes,
    /// TOTP or HOTP.
    pub kind: Kind,
    /// The hash.
    pub hash: Hash,
    /// 6 to 8.
    pub digits: u8,
    /// The seed.
    #[serde(with = "text")]
    pub seed: DeviceSecret,
    /// Wants to be touched for each code.
    pub touch: bool,
    /// Where an HOTP begins to count.
    #[serde(default)]
    pub counter: u32,
}

/// An account as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its name, to the byte.
    pub name: Bytes,
    /// TOTP or HOTP.
    pub kind: Kind,
    /// The hash.
    pub hash: Hash,
    /// Seconds of a step; of a TOTP account.
    pub period: u32,
    /// Whether it wants to be touched for each code; unknown for HOTP.
    pub touch: Option<bool>,
}

/// What the applet gives.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Of `Access`.
    Access(#[serde(with = "text")] DeviceSecret),
    /// Of `List`.
    Accounts(Vec<Account>),
    /// Of `Code` and `NextCode`.
    Code(#[serde(with = "text")] TokenCode),
}

/// Seconds of a step, as a name says: `60/issuer:account`.
pub fn period(name: &[u8]) -> u32 {
    let digits = name.split(|byte| *byte == b'/').next().filter(|digits| digits.len() < name.len());
    let number = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    number.filter(|seconds| (1..=3600).contains(seconds)).unwrap_or(PERIOD)
}

/// A copy of an access key for the helper.
pub fn for_helper(access: &DeviceSecret) -> DeviceSecret {
    DeviceSecret::from_text(access.expose().to_owned())
}

impl Operation {
    pub(super) fn limit_millis(&self) -> u64 {
        match self.verb {
            Verb::Code { .. } | Verb::NextCode { .. } => TOUCH_MILLIS,
            _ => QUICK_MILLIS,
        }
    }
}
