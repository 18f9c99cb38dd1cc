//! What a FIDO device can be asked (CTAP 2.1), for SSH and for the vault.

use super::protocol::{Bytes, QUICK_MILLIS, TOUCH_MILLIS};
use claviger::secret::{DeviceSecret, Pin, text};
use serde::{Deserialize, Serialize};

/// One thing to do.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// What the device is and can do.
    Describe {},
    /// Whether the device made this credential, without a touch; a credential that wants the PIN for everything
    /// (credProtect 3) is not seen.
    Holds {
        /// The relying party: `ssh:` for SSH.
        application: String,
        /// The credential's id.
        credential: Bytes,
    },
    /// Makes a credential for SSH.
    Make {
        /// The relying party, beginning with `ssh:`.
        application: String,
        /// Ed25519 or ECDSA.
        algorithm: Algorithm,
        /// Kept on the device, so that it can be loaded anywhere.
        resident: bool,
        /// Each use wants the PIN.
        verify_required: bool,
        /// The user's name in a resident credential.
        user: String,
        /// SHA-256 of this is signed by the device.
        challenge: Bytes,
        /// The PIN, where the device has one.
        #[serde(default, with = "text::option")]
        pin: Option<Pin>,
    },
    /// Signs: an assertion.
    Sign {
        /// The relying party.
        application: String,
        /// The credential's id.
        credential: Bytes,
        /// SHA-256 of this is signed by the device.
        data: Bytes,
        /// Wants to be touched.
        touch: bool,
        /// Wants the user verified, by the PIN.
        verify: bool,
        /// The PIN.
        #[serde(default, with = "text::option")]
        pin: Option<Pin>,
    },
    /// The credentials of SSH that are kept on the device.
    Resident {
        /// The PIN.
        #[serde(with = "text")]
        pin: Pin,
    },
    /// Removes a credential that is kept on the device.
    Remove {
        /// Its id.
        credential: Bytes,
        /// The PIN.
        #[serde(with = "text")]
        pin: Pin,
    },
    /// The first PIN.
    SetPin {
        /// The one it gets.
        #[serde(with = "text")]
        new: Pin,
    },
    /// Another PIN.
    ChangePin {
        /// The one it has.
        #[serde(with = "text")]
        old: Pin,
        /// The one it gets.
        #[serde(with = "text")]
        new: Pin,
    },
    /// Makes the credential of a vault slot, ES256 with hmac-secret. Where the device may keep one secret whether its user
    /// is verified or not (before CTAP 2.1), it shows the credential to nobody without its PIN.
    MakeSecret {
        /// The relying party.
        application: String,
        /// The PIN.
        #[serde(with = "text")]
        pin: Pin,
    },
    /// The secret that the credential of a vault slot gives for a salt. The user is always verified; a device that does
    /// not hold the credential says so before a touch.
    Secret {
        /// The relying party.
        application: String,
        /// The credential's id.
        credential: Bytes,
        /// 32 bytes.
        salt: Bytes,
        /// The PIN.
        #[serde(with = "text")]
        pin: Pin,
    },
    /// A touch, and nothing else.
    Presence {},
}

/// The algorithms of SSH's security keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// `sk-ecdsa-sha2-nistp256@openssh.com`.
    EcdsaP256,
    /// `sk-ssh-ed25519@openssh.com`.
    Ed25519,
}

/// A device as it describes itself (CTAP 2.1, authenticatorGetInfo).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// What model it is (AAGUID), in base16.
    pub model: Bytes,
    /// What it speaks: `FIDO_2_1`.
    pub versions: Vec<String>,
    /// Whether a PIN is set; None where it can have none.
    pub pin_set: Option<bool>,
    /// Tries of the PIN that are left, where one is set.
    pub pin_tries: Option<u8>,
    /// Whether it verifies its user by itself, by a finger.
    pub verifies_user: bool,
    /// Whether it keeps credentials.
    pub resident: bool,
    /// Whether it has hmac-secret.
    pub hmac_secret: bool,
    /// Whether it has credProtect.
    pub cred_protect: bool,
    /// The algorithms for SSH.
    pub algorithms: Vec<Algorithm>,
    /// Shortest PIN, in characters.
    pub min_pin_length: u8,
}

/// A credential for SSH.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// The relying party.
    pub application: String,
    /// Ed25519 or ECDSA.
    pub algorithm: Algorithm,
    /// 32 bytes, or an uncompressed point (SEC 1).
    pub public: Bytes,
    /// The credential's id: the key handle.
    pub handle: Bytes,
    /// The user's name, of a resident one.
    pub user: String,
    /// Each use wants the PIN (credProtect 3).
    pub verify_required: bool,
}

/// What a device signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assertion {
    /// Ed25519: 64 bytes; ECDSA: DER.
    pub signature: Bytes,
    /// The authenticator data's flags: 1 touched, 4 verified.
    pub flags: u8,
    /// The signature counter.
    pub counter: u32,
}

/// The credential of a vault slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// Its id.
    pub credential: Bytes,
    /// Its public key, an uncompressed point of P-256 (SEC 1).
    pub public: Bytes,
    /// Whether each use wants the PIN (credProtect 3).
    pub protected: bool,
}

/// What a device gives.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Of `Sign`.
    Assertion(Assertion),
    /// Of `Make`.
    Credential(Credential),
    /// Of `Resident`.
    Credentials(Vec<Credential>),
    /// Of `MakeSecret`.
    Enrolled(Enrolled),
    /// Of `Holds`.
    Holds(bool),
    /// Of `Describe`.
    Info(Info),
    /// Of `Secret`.
    Secret(#[serde(with = "text")] DeviceSecret),
}

impl Operation {
    pub(super) fn limit_millis(&self) -> u64 {
        match self {
            Self::Describe {} | Self::Holds { .. } => QUICK_MILLIS,
            _ => TOUCH_MILLIS,
        }
    }
}
