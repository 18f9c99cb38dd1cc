//! What can go wrong with a device, told alike by the helper and by the agent.

use claviger::model::Firmware;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a device did not do what it was asked. No variant carries what was asked, or what the device answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Error {
    /// A code was to be made by time, and the account counts.
    #[error("the account makes its codes by a counter (HOTP)")]
    AccountCounts,
    /// What was to be made is there already.
    #[error("the device holds one of that name already")]
    AlreadyThere,
    /// The device has no such algorithm.
    #[error("the device does not have this algorithm{}", since(*.0))]
    AlgorithmUnsupported(Option<Firmware>),
    /// Several could be meant.
    #[error("more than one device could be meant: name it by its serial number")]
    Ambiguous,
    /// The device has no such applet, or it is switched off.
    #[error("the device has no {0} applet, or it is switched off")]
    AppletMissing(Applet),
    /// The device answers what its specification does not have.
    #[error("the device answered what its specification does not have ({0})")]
    BadAnswer(String),
    /// It cannot be the certificate of the key.
    #[error("this cannot be the certificate of the key in the slot: {0}")]
    CertificateRefused(CertificateFlaw),
    /// Given up because the one who asked did.
    #[error("given up before the device was done")]
    Cancelled,
    /// A card does not let itself be spoken to.
    #[error("the card cannot be used: {0}")]
    CardUnusable(String),
    /// There is no room left on it.
    #[error("the device is full")]
    Full,
    /// It was pulled out, or its reader was.
    #[error("the device was removed")]
    Gone,
    /// Another program has it to itself.
    #[error("another program holds the device{}", holder(.0.as_deref()))]
    Held(Option<String>),
    /// The helper ended before it answered.
    #[error("the device helper ended before the device was done")]
    HelperLost,
    /// There is no helper beside the agent.
    #[error("this agent was installed without its device helper")]
    HelperMissing,
    /// The helper says what no helper says.
    #[error("the device helper does not speak as it should")]
    HelperSpeech,
    /// It cannot be a management key of this card, which has this many bytes.
    #[error("this cannot be the management key of the device: that has {} base16 digits", u16::from(*.0) * 2)]
    ManagementKeyRefused(u8),
    /// A card keeps one management key behind its PIN, or something else in its place.
    #[error("the card keeps a management key behind its PIN already, or something else in its place")]
    ManagementKeyKept,
    /// The management key is another.
    #[error("the management key is not the right one")]
    ManagementKeyWrong,
    /// This user may not open the device's node.
    #[error("this user may not open the device")]
    NotPermitted,
    /// No such device is plugged in.
    #[error("no such device is plugged in")]
    NotPresent,
    /// The device holds no such account, key or credential.
    #[error("the device holds no such {0}")]
    NotThere(Thing),
    /// Its password is needed first.
    #[error("the OATH applet wants its password")]
    PasswordNeeded,
    /// The password was wrong.
    #[error("the password is not that of the OATH applet")]
    PasswordWrong,
    /// The PIN is needed.
    #[error("the device wants its PIN{}", tries(*.0))]
    PinNeeded(Option<u8>),
    /// It has no PIN yet.
    #[error("the device has no PIN yet")]
    PinNotSet,
    /// No try is left.
    #[error("the {0} is blocked")]
    PinBlocked(Reference),
    /// Too many wrong ones in a row: it counts on once it was pulled out.
    #[error("the device takes no PIN until it was pulled out and put in again")]
    PinPaused,
    /// It cannot be a PIN of this device.
    #[error("this cannot be the {0} of the device: {1}")]
    PinRefused(Reference, PinRule),
    /// It was wrong, and counted.
    #[error("the {reference} is wrong{}", tries(*.left))]
    PinWrong {
        /// Which.
        reference: Reference,
        /// Tries that are left.
        left: Option<u8>,
    },
    /// A certificate, object or name that is too large for it.
    #[error("this is more than the device takes")]
    TooLarge,
    /// Nobody touched it in time.
    #[error("the device was not touched in time")]
    TouchTimeout,
    /// It did not answer in time.
    #[error("the device did not answer in time")]
    TimedOut,
    /// Its firmware cannot do this.
    #[error("the device cannot do this{}", since(*.0))]
    Unsupported(Option<Firmware>),
    /// RSA keys made by this firmware can be factored (ROCA).
    #[error("firmware {0} makes RSA keys that can be broken (YSA-2017-01, ROCA)")]
    WeakRsa(Firmware),
    /// There is no service for cards.
    #[error("pcscd does not run")]
    ServiceMissing,
    /// The service for cards has been told by polkit not to serve this user.
    #[error("pcscd does not serve this user: polkit refuses it")]
    ServiceRefused,
}

/// The applets of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the applets' own names")]
pub enum Applet {
    Oath,
    Piv,
    Fido,
}

impl fmt::Display for Applet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Oath => "OATH",
            Self::Piv => "PIV",
            Self::Fido => "FIDO2",
        })
    }
}

/// What a device may not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "said by their names")]
pub enum Thing {
    Account,
    Attestation,
    Certificate,
    Credential,
    Key,
    ManagementKey,
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Account => "account",
            Self::Attestation => "attestation: the card did not make the key, or attests nothing",
            Self::Certificate => "certificate",
            Self::Credential => "credential",
            Self::Key => "key",
            Self::ManagementKey => "management key behind its PIN",
        })
    }
}

/// Why something cannot be the certificate of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CertificateFlaw {
    /// It is none, or more than one.
    NotOne,
    /// It is of another key.
    OfAnotherKey,
}

impl fmt::Display for CertificateFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotOne => "it is not one X.509 certificate",
            Self::OfAnotherKey => "its public key is another",
        })
    }
}

/// What is typed in and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the specification's names")]
pub enum Reference {
    Pin,
    Puk,
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pin => "PIN",
            Self::Puk => "PUK",
        })
    }
}

/// Why something cannot be a PIN, before it costs a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PinRule {
    /// Shorter than this.
    Shorter(u8),
    /// Longer than this.
    Longer(u8),
    /// The device has rules of its own.
    Policy,
}

impl fmt::Display for PinRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shorter(least) => write!(f, "it is shorter than {least} characters"),
            Self::Longer(most) => write!(f, "it is longer than {most} bytes"),
            Self::Policy => f.write_str("the device has rules that it does not keep"),
        }
    }
}

fn since(firmware: Option<Firmware>) -> String {
    firmware.map(|firmware| format!(": firmware {firmware} can")).unwrap_or_default()
}

fn holder(name: Option<&str>) -> String {
    name.map(|name| format!(": {name}")).unwrap_or_default()
}

fn tries(left: Option<u8>) -> String {
    match left {
        None => String::new(),
        Some(1) => ": one try is left".to_owned(),
        Some(left) => format!(": {left} tries are left"),
    }
}
