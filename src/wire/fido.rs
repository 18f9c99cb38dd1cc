//! FIDO2 devices: their PINs, and the credentials of SSH on them.

use crate::secret::{Pin, text};
use serde::{Deserialize, Serialize};

/// What a new credential is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FidoOptions {
    /// ECDSA over nistp256, for devices without Ed25519.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ecdsa: bool,
    /// Kept on the device, so that it can be loaded anywhere.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resident: bool,
    /// Each use wants the PIN.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub verify_required: bool,
    /// The relying party, `ssh:` and more; `ssh:` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// The user's name in a resident credential, of 32 bytes at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// The PINs that a change of one takes.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FidoPins {
    /// Of which device; the only one, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The one it has, where it has one.
    #[serde(with = "text::option", default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Pin>,
    /// The one it gets.
    #[serde(with = "text")]
    pub new: Pin,
}

/// A credential of SSH that a device keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FidoRow {
    /// What it proves, by the name that SSH has for it.
    pub algorithm: String,
    /// The relying party.
    pub application: String,
    /// The user's name in it.
    pub user: String,
    /// `SHA256:` and base64 over the public key.
    pub fingerprint: String,
    /// Its line for `authorized_keys`.
    pub line: String,
    /// Each use wants the PIN.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub verify_required: bool,
}
