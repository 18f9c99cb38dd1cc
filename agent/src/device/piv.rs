//! What the PIV applet can be asked (NIST SP 800-73-4, and Yubico's extensions to it).

use super::protocol::{Bytes, MAKE_MILLIS, QUICK_MILLIS, TOUCH_MILLIS};
use claviger::model::{Firmware, PinPolicy, PivAlgorithm, PivSlot, TouchPolicy};
use claviger::secret::{DeviceSecret, Pin, text};
use serde::{Deserialize, Serialize};

/// One thing to do.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// The keys, and the certificates beside them.
    Keys {},
    /// A signature by the key in a slot. With a PIN policy of `once` the helper remembers the PIN as long as it lives.
    Sign {
        /// Where the key is.
        slot: PivSlot,
        /// What it is.
        algorithm: PivAlgorithm,
        /// RSA: the padded block, as long as the modulus; ECDSA: the digest; Ed25519: the message.
        input: Bytes,
        /// The PIN, where the key wants one and the helper does not know it.
        #[serde(default, with = "text::option")]
        pin: Option<Pin>,
    },
    /// The secret that the key in a slot shares with this public key.
    Agree {
        /// Where the key is.
        slot: PivSlot,
        /// What it is.
        algorithm: PivAlgorithm,
        /// An uncompressed point (SEC 1), or 32 bytes of X25519.
        public: Bytes,
        /// As for `Sign`.
        #[serde(default, with = "text::option")]
        pin: Option<Pin>,
    },
    /// What RSA decryption with the key in a slot gives, its padding included.
    Decrypt {
        /// Where the key is.
        slot: PivSlot,
        /// What it is.
        algorithm: PivAlgorithm,
        /// As long as the modulus.
        input: Bytes,
        /// As for `Sign`.
        #[serde(default, with = "text::option")]
        pin: Option<Pin>,
    },
    /// Makes a key in a slot. A slot that holds one is an error, unless it is to be replaced.
    Generate {
        /// Where.
        slot: PivSlot,
        /// What.
        algorithm: PivAlgorithm,
        /// When it wants the PIN.
        pin_policy: PinPolicy,
        /// When it wants to be touched.
        touch_policy: TouchPolicy,
        /// Replace what is there.
        replace: bool,
        /// The management key; the card's own default, if left out.
        #[serde(default, with = "text::option")]
        management_key: Option<DeviceSecret>,
    },
    /// The certificate beside a key, DER.
    Certificate {
        /// Of which.
        slot: PivSlot,
    },
    /// Writes it, or takes it away. One whose public key is not that of the key in the slot is an error; where a card does
    /// not tell its keys (firmware before 5.3, of a key that it did not make), any is taken.
    SetCertificate {
        /// Of which.
        slot: PivSlot,
        /// DER.
        certificate: Option<Bytes>,
        /// The management key; the card's own default, if left out.
        #[serde(default, with = "text::option")]
        management_key: Option<DeviceSecret>,
    },
    /// The certificate with which the card attests that it made the key, and that of the key it attests with; DER.
    Attest {
        /// Of which.
        slot: PivSlot,
    },
    /// What that attestation says, once it is sure that it holds: the card's certificate signs the key's.
    Attested {
        /// Of which.
        slot: PivSlot,
    },
    /// Checks the PIN, and has the helper remember it; whether it does, where none is given.
    VerifyPin {
        /// The PIN.
        #[serde(default, with = "text::option")]
        pin: Option<Pin>,
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
    /// Another PUK.
    ChangePuk {
        /// The one it has.
        #[serde(with = "text")]
        old: Pin,
        /// The one it gets.
        #[serde(with = "text")]
        new: Pin,
    },
    /// Another PIN where the one it has is blocked or forgotten.
    UnblockPin {
        /// The PUK.
        #[serde(with = "text")]
        puk: Pin,
        /// The PIN it gets.
        #[serde(with = "text")]
        new: Pin,
    },
    /// A random management key that would fit the card, which keeps the one it has.
    DrawManagementKey {},
    /// The management key that the card keeps behind its PIN ([`Thing::ManagementKey`](super::Thing) where it keeps none).
    ProtectedManagementKey {
        /// The PIN, which is verified before anything else; left out, the error says whether it is wanted.
        #[serde(default, with = "text::option")]
        pin: Option<Pin>,
    },
    /// A random management key, which the card then keeps behind its PIN and nobody else has.
    ProtectManagementKey {
        /// The one it has; the card's own default, if left out.
        #[serde(default, with = "text::option")]
        old: Option<DeviceSecret>,
        /// The PIN.
        #[serde(with = "text")]
        pin: Pin,
    },
    /// Another management key.
    SetManagementKey {
        /// The one it has; the card's own default, if left out.
        #[serde(default, with = "text::option")]
        old: Option<DeviceSecret>,
        /// The one it gets, of the type the card has now.
        #[serde(with = "text")]
        new: DeviceSecret,
        /// Wants to be touched for each use.
        touch: bool,
    },
}

/// A key as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Where.
    pub slot: PivSlot,
    /// What.
    pub algorithm: PivAlgorithm,
    /// The public key.
    pub public: PublicKey,
    /// When it wants the PIN, where the card tells.
    pub pin_policy: Option<PinPolicy>,
    /// When it wants to be touched, where the card tells.
    pub touch_policy: Option<TouchPolicy>,
    /// Whether the card made it; None where the card does not tell.
    pub generated: Option<bool>,
    /// The name in its certificate, if it has one.
    pub certificate: Option<String>,
}

/// A public key as the card tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PublicKey {
    /// An uncompressed point (SEC 1), or the 32 bytes of Ed25519 and X25519.
    Point(Bytes),
    /// Of RSA; numbers, big end first.
    Rsa {
        /// n.
        modulus: Bytes,
        /// e.
        exponent: Bytes,
    },
}

/// What a card attests of a key that it made. That the card is one of Yubico's is not said by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attested {
    /// The key.
    pub public: PublicKey,
    /// The card's firmware.
    pub firmware: Option<Firmware>,
    /// The card's serial number.
    pub serial: Option<u32>,
    /// When the key wants the PIN.
    pub pin_policy: Option<PinPolicy>,
    /// When it wants to be touched.
    pub touch_policy: Option<TouchPolicy>,
}

/// What the applet gives.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Of `Agree`, `Decrypt` and `DrawManagementKey`.
    Secret(#[serde(with = "text")] DeviceSecret),
    /// Of `Attest`.
    Attestation {
        /// That of the key.
        key: Bytes,
        /// That of the card.
        card: Bytes,
    },
    /// Of `Attested`.
    Attested(Attested),
    /// Of `Certificate`.
    Certificate(Bytes),
    /// Of `Keys`.
    Keys(Vec<Key>),
    /// Of `Generate`.
    Public(PublicKey),
    /// Of `Sign`: RSA as long as the modulus, ECDSA in DER (SEC 1, appendix C.5), Ed25519 64 bytes.
    Signature(Bytes),
}

impl Operation {
    pub(super) fn limit_millis(&self) -> u64 {
        match self {
            Self::Generate { .. } => MAKE_MILLIS,
            Self::Sign { .. } | Self::Agree { .. } | Self::Decrypt { .. } => TOUCH_MILLIS,
            // A management key can want a touch too.
            Self::SetCertificate { .. } | Self::SetManagementKey { .. } | Self::ProtectManagementKey { .. } => {
                TOUCH_MILLIS
            }
            // A hundred objects, on a slow reader.
            Self::Keys {} => TOUCH_MILLIS,
            _ => QUICK_MILLIS,
        }
    }
}
