//! Requests about what an IAM user has at AWS: devices, access keys, the password.

use super::Fault;
use super::reply::MfaRow;
use crate::model::{AccessKeyId, Name, OathName};
use crate::secret::{ConsolePassword, TotpSeedText, text};
use serde::{Deserialize, Serialize};

/// A virtual MFA device to be made at AWS, for the user of a profile's access key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MfaEnroll {
    /// The profile.
    pub profile: String,
    /// Its name at AWS and here; the user's, or one made of it, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// The account that its seed gets on a YubiKey; without it the seed is in the vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<EnrollOnDevice>,
    /// Answer with the seed, once, for another device.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub show: bool,
    /// Take back what an earlier run has left unfinished.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undo: bool,
}

/// Where on a YubiKey a seed goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrollOnDevice {
    /// The serial number of the YubiKey; may be left out where there is only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<u32>,
    /// The name of its account there; what AWS calls it, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<OathName>,
    /// It wants to be touched for each code.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub touch: bool,
    /// The vault keeps the seed as well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub backup: bool,
}

/// A device that is enrolled.
#[derive(Serialize, Deserialize)]
pub struct MfaEnrolled {
    /// The device.
    pub device: MfaRow,
    /// When the first session with it ends, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_expires: Option<String>,
    /// Why there is no session yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_fault: Option<Fault>,
    /// The seed as an `otpauth://` URI, where it was asked for.
    #[serde(with = "text::option", default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<TotpSeedText>,
}

/// An access key as AWS knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKeyAtAws {
    /// Whether AWS takes it.
    pub active: bool,
    /// When it was made, RFC 3339.
    pub created: String,
    /// When it was last used, as far as AWS has counted; absent where it knows of no use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<AccessKeyUse>,
}

/// A use of an access key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKeyUse {
    /// When, RFC 3339.
    pub at: String,
    /// Such as `sts`.
    pub service: String,
    /// Such as `eu-central-1`.
    pub region: String,
}

/// An access key to be replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKeyRotate {
    /// Its name here.
    pub name: Name,
    /// Leave the old one inactive at AWS.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_old: bool,
    /// Delete this key of the user first: two are as many as AWS allows. It must be inactive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_other: Option<AccessKeyId>,
}

/// An access key that has been replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKeyRotated {
    /// Its name here.
    pub name: Name,
    /// The key of now.
    pub access_key_id: AccessKeyId,
    /// The key before.
    pub old: AccessKeyId,
    /// When and for what that was last used, as far as AWS has counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_last_used: Option<AccessKeyUse>,
    /// Whether it is deleted at AWS; else it is inactive.
    pub deleted: bool,
}

/// A password to be changed.
#[derive(Serialize, Deserialize)]
pub struct PasswordChange {
    /// The profile whose user it is.
    pub profile: String,
    /// The password of now.
    #[serde(with = "text")]
    pub old: ConsolePassword,
    /// The password from then on.
    #[serde(with = "text")]
    pub new: ConsolePassword,
}
