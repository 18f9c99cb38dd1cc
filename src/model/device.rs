//! Nouns of hardware devices: firmware, PIV slots, policies and algorithms.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A text that is not what it should be; the text itself is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotOne(&'static str);

impl fmt::Display for NotOne {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not {}", self.0)
    }
}

impl std::error::Error for NotOne {}

/// A firmware version, `5.7.1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Firmware(pub u8, pub u8, pub u8);

impl Firmware {
    /// Whether keys of RSA that it made can be factored: 4.2.6 to 4.3.4 (Yubico security advisory YSA-2017-01, ROCA).
    pub fn makes_weak_rsa(self) -> bool {
        self >= Self(4, 2, 6) && self <= Self(4, 3, 4)
    }
}

impl fmt::Display for Firmware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// A place for a key on a PIV card, by its key reference (NIST SP 800-73-4 part 1, table 4b): `9a`, `9c`, `9d`, `9e`, and
/// the retired ones `82` to `95`. Not the management key's nor the attestation key's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PivSlot(u8);

impl PivSlot {
    /// PIV authentication.
    pub const AUTHENTICATION: Self = Self(0x9a);
    /// Digital signature.
    pub const SIGNATURE: Self = Self(0x9c);
    /// Key management.
    pub const KEY_MANAGEMENT: Self = Self(0x9d);
    /// Card authentication.
    pub const CARD_AUTHENTICATION: Self = Self(0x9e);

    /// All that can hold a user's key, in the order of a list.
    pub fn all() -> impl Iterator<Item = Self> {
        [0x9a, 0x9c, 0x9d, 0x9e].into_iter().chain(0x82..=0x95).map(Self)
    }

    /// The slot of a key reference.
    pub fn of(reference: u8) -> Option<Self> {
        Self::all().find(|slot| slot.0 == reference)
    }

    /// Its key reference.
    pub fn reference(self) -> u8 {
        self.0
    }
}

impl fmt::Display for PivSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}", self.0)
    }
}

impl FromStr for PivSlot {
    type Err = NotOne;

    fn from_str(text: &str) -> Result<Self, NotOne> {
        let reference = (text.len() == 2).then(|| u8::from_str_radix(text, 16).ok()).flatten();
        reference.and_then(Self::of).ok_or(NotOne("a PIV slot: 9a, 9c, 9d, 9e, or 82 to 95"))
    }
}

impl TryFrom<String> for PivSlot {
    type Error = NotOne;

    fn try_from(text: String) -> Result<Self, NotOne> {
        text.parse()
    }
}

impl From<PivSlot> for String {
    fn from(slot: PivSlot) -> Self {
        slot.to_string()
    }
}

/// What a PIV key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PivAlgorithm {
    /// RSA of 1024 bits: found on old cards, never made.
    #[serde(rename = "rsa-1024")]
    Rsa1024,
    /// RSA of 2048 bits.
    #[serde(rename = "rsa-2048")]
    Rsa2048,
    /// RSA of 3072 bits; firmware 5.7.
    #[serde(rename = "rsa-3072")]
    Rsa3072,
    /// RSA of 4096 bits; firmware 5.7.
    #[serde(rename = "rsa-4096")]
    Rsa4096,
    /// ECDSA and ECDH over nistp256.
    #[serde(rename = "ecdsa-p256")]
    EcdsaP256,
    /// ECDSA and ECDH over nistp384.
    #[serde(rename = "ecdsa-p384")]
    EcdsaP384,
    /// Ed25519; firmware 5.7.
    Ed25519,
    /// X25519, which agrees on keys and signs nothing; firmware 5.7.
    X25519,
}

impl fmt::Display for PivAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rsa1024 => "rsa-1024",
            Self::Rsa2048 => "rsa-2048",
            Self::Rsa3072 => "rsa-3072",
            Self::Rsa4096 => "rsa-4096",
            Self::EcdsaP256 => "ecdsa-p256",
            Self::EcdsaP384 => "ecdsa-p384",
            Self::Ed25519 => "ed25519",
            Self::X25519 => "x25519",
        })
    }
}

/// When a PIV key wants the PIN (YubiKey PIV, extension to GENERATE ASYMMETRIC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PinPolicy {
    /// Not at all.
    Never,
    /// Once after the card was plugged in or its applet selected.
    Once,
    /// Before every use.
    Always,
    /// A finger, once; YubiKey Bio.
    MatchOnce,
    /// A finger before every use; YubiKey Bio.
    MatchAlways,
}

impl PinPolicy {
    /// Its name, as it is written everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Once => "once",
            Self::Always => "always",
            Self::MatchOnce => "match-once",
            Self::MatchAlways => "match-always",
        }
    }
}

impl FromStr for PinPolicy {
    type Err = NotOne;

    fn from_str(text: &str) -> Result<Self, NotOne> {
        let all = [Self::Never, Self::Once, Self::Always, Self::MatchOnce, Self::MatchAlways];
        all.into_iter().find(|policy| policy.as_str() == text).ok_or(NotOne("a PIN policy"))
    }
}

/// When a PIV key wants to be touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TouchPolicy {
    /// Not at all.
    Never,
    /// For every use.
    Always,
    /// Unless it was touched within 15 seconds.
    Cached,
}

impl TouchPolicy {
    /// Whether a use may have to wait for a touch.
    pub fn wants_touch(self) -> bool {
        self != Self::Never
    }

    /// Its name, as it is written everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Always => "always",
            Self::Cached => "cached",
        }
    }
}

impl FromStr for TouchPolicy {
    type Err = NotOne;

    fn from_str(text: &str) -> Result<Self, NotOne> {
        let all = [Self::Never, Self::Always, Self::Cached];
        all.into_iter().find(|policy| policy.as_str() == text).ok_or(NotOne("a touch policy"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Firmware, PivAlgorithm, PivSlot};

    #[test]
    fn slots_are_those_of_a_users_keys() {
        assert_eq!(PivSlot::all().count(), 24);
        for slot in PivSlot::all() {
            assert_eq!(slot.to_string().parse(), Ok(slot));
        }
        for wrong in ["9b", "f9", "81", "96", "9", "09a", "+9a", "", "9A9A"] {
            assert!(wrong.parse::<PivSlot>().is_err(), "{wrong}");
        }
        assert_eq!("9A".parse(), Ok(PivSlot::AUTHENTICATION));
    }

    #[test]
    fn the_firmware_of_roca_is_known() {
        let weak = |a, b, c| Firmware(a, b, c).makes_weak_rsa();
        assert!(weak(4, 2, 6) && weak(4, 3, 4) && !weak(4, 2, 5) && !weak(4, 3, 5) && !weak(5, 0, 0));
    }

    #[test]
    fn policies_are_written_as_they_are_shown() {
        use super::{PinPolicy, TouchPolicy};
        for policy in [PinPolicy::Never, PinPolicy::Once, PinPolicy::MatchOnce, PinPolicy::MatchAlways] {
            assert_eq!(serde_json::to_string(&policy).unwrap(), format!("\"{}\"", policy.as_str()));
            assert_eq!(policy.as_str().parse(), Ok(policy));
        }
        for policy in [TouchPolicy::Never, TouchPolicy::Always, TouchPolicy::Cached] {
            assert_eq!(serde_json::to_string(&policy).unwrap(), format!("\"{}\"", policy.as_str()));
            assert_eq!(policy.as_str().parse(), Ok(policy));
        }
    }

    #[test]
    fn algorithms_are_written_as_they_are_shown() {
        for algorithm in [PivAlgorithm::Rsa1024, PivAlgorithm::EcdsaP256, PivAlgorithm::Ed25519, PivAlgorithm::X25519] {
            assert_eq!(serde_json::to_string(&algorithm).unwrap(), format!("\"{algorithm}\""));
        }
    }
}
