//! Vault slots that a device opens: what the header says of it. None of it is a secret.

use super::crypto::{self, Key32};
use super::error::{Error, Result};
use super::json::{Fields, Node};
use crate::world::World;
use claviger::model::{Firmware, PinPolicy, PivSlot, SlotDevice, SlotKind, TouchPolicy};
use claviger::secret::Secret;
use data_encoding::HEXLOWER;

/// The relying party of the credentials that open vaults.
pub const APPLICATION: &str = "claviger:vault";
/// Most bytes of a relying party in a header: names of hosts have fewer (RFC 1035, section 2.3.4).
const APPLICATION_LIMIT: usize = 255;
/// Most bytes of a credential's id (WebAuthn Level 3, section 4).
const CREDENTIAL_LIMIT: usize = 1023;
/// Most bytes of a person's word for a device: a few words in a list.
const LABEL_LIMIT: usize = 64;

/// A point of P-256, uncompressed (SEC 1, section 2.3.3).
pub type Point = [u8; 65];

/// The device that opens a slot, as it was when the slot was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceSlot {
    /// A FIDO2 key.
    Fido2(Fido2Slot),
    /// A PIV card.
    Piv(PivKey),
}

/// The credential of a FIDO2 key, and what is asked of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fido2Slot {
    /// The relying party.
    pub application: String,
    /// The credential's id.
    pub credential: Vec<u8>,
    /// The person's word for it.
    pub label: Option<String>,
    /// The model of the key (AAGUID).
    pub model: [u8; 16],
    /// The key shows the credential to nobody without its PIN (credProtect 3).
    pub protected: bool,
    /// The credential's public key, ES256.
    pub public: Point,
    /// What hmac-secret is asked for.
    pub salt: [u8; 32],
}

/// A key of a PIV card, and the point that it agrees with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PivKey {
    /// Whether the card attested that it made the key.
    pub attested: bool,
    /// The other half of the agreement: of a key that was used once, and is no more.
    pub ephemeral: Point,
    /// The card's firmware, where it says.
    pub firmware: Option<Firmware>,
    /// The person's word for it.
    pub label: Option<String>,
    /// When the key wants the PIN, where the card tells.
    pub pin_policy: Option<PinPolicy>,
    /// The key's public half.
    pub public: Point,
    /// The card's serial number, where it has one.
    pub serial: Option<u32>,
    /// Where on the card it is.
    pub slot: PivSlot,
    /// When it wants to be touched, where the card tells.
    pub touch_policy: Option<TouchPolicy>,
}

impl DeviceSlot {
    /// The kind of the slot.
    pub fn kind(&self) -> SlotKind {
        match self {
            Self::Fido2(_) => SlotKind::Fido2,
            Self::Piv(_) => SlotKind::Piv,
        }
    }

    /// What a list shows of it.
    pub fn shown(&self) -> SlotDevice {
        match self {
            Self::Fido2(key) => SlotDevice {
                label: key.label.clone(),
                model: Some(HEXLOWER.encode(&key.model)),
                ..SlotDevice::default()
            },
            Self::Piv(key) => SlotDevice {
                label: key.label.clone(),
                model: None,
                serial: key.serial,
                piv_slot: Some(key.slot),
                firmware: key.firmware,
                pin_policy: key.pin_policy,
                touch_policy: key.touch_policy,
                attested: Some(key.attested),
            },
        }
    }

    /// The key that this secret of the device gives.
    pub(super) fn opener(&self, secret: &Secret<[u8; 32]>) -> Key32 {
        match self {
            Self::Fido2(key) => crypto::derive(secret.expose(), &key.salt, "claviger/v1/slot/fido2"),
            Self::Piv(key) => {
                let points = [key.ephemeral, key.public].concat();
                crypto::derive(secret.expose(), &points, "claviger/v1/slot/piv")
            }
        }
    }

    /// Whether it is within what is read back.
    pub(super) fn is_sound(&self) -> bool {
        let label = match self {
            Self::Fido2(key) => &key.label,
            Self::Piv(key) => &key.label,
        };
        let sound = match self {
            Self::Fido2(Fido2Slot { application, credential, public, .. }) => {
                let named = (1..=APPLICATION_LIMIT).contains(&application.len()) && !has_control(application);
                named && (1..=CREDENTIAL_LIMIT).contains(&credential.len()) && is_point(public)
            }
            Self::Piv(PivKey { slot, public, ephemeral, .. }) => {
                (0x82..=0x95).contains(&slot.reference()) && is_point(public) && is_point(ephemeral)
            }
        };
        sound && label.as_deref().is_none_or(|label| (1..=LABEL_LIMIT).contains(&label.len()) && !has_control(label))
    }

    /// Reads the members of a slot of this kind; None of another kind. Lengths out of bounds are damage.
    pub(super) fn read(kind: &str, fields: &mut Fields) -> Result<Option<Self>> {
        let read = match kind {
            "fido2" => {
                // The other secret, of a user who was not verified, opens nothing here.
                if !fields.boolean("verified")? {
                    return Err(Error::Damaged);
                }
                Self::Fido2(Fido2Slot {
                    application: fields.text("application")?,
                    credential: fields.bytes("credential")?.to_vec(),
                    label: fields.optional_text("label")?,
                    model: *fields.array("model")?,
                    protected: fields.boolean("protected")?,
                    public: *fields.array("public")?,
                    salt: *fields.array("salt")?,
                })
            }
            "piv" => Self::Piv(PivKey {
                attested: fields.boolean("attested")?,
                ephemeral: *fields.array("ephemeral")?,
                firmware: fields.optional_text("firmware")?.map(|text| firmware(&text)).transpose()?,
                label: fields.optional_text("label")?,
                pin_policy: fields.optional_text("pin_policy")?.map(noun).transpose()?,
                public: *fields.array("public")?,
                serial: if fields.has("serial") { Some(fields.number("serial")?) } else { None },
                slot: fields.noun("piv_slot")?,
                touch_policy: fields.optional_text("touch_policy")?.map(noun).transpose()?,
            }),
            _ => return Ok(None),
        };
        if read.is_sound() { Ok(Some(read)) } else { Err(Error::Damaged) }
    }

    /// The members as the header writes them.
    pub(super) fn members(&self) -> Vec<(&str, Node<'_>)> {
        let mut members = vec![("kind", Node::Text(self.kind().as_str()))];
        match self {
            Self::Fido2(key) => {
                members.extend([
                    ("application", Node::Text(&key.application)),
                    ("credential", Node::Bytes(&key.credential)),
                    ("model", Node::Bytes(&key.model)),
                    ("protected", Node::Boolean(key.protected)),
                    ("public", Node::Bytes(&key.public)),
                    ("salt", Node::Bytes(&key.salt)),
                    ("verified", Node::Boolean(true)),
                ]);
                members.extend(key.label.as_deref().map(|label| ("label", Node::Text(label))));
            }
            Self::Piv(key) => {
                members.extend([
                    ("attested", Node::Boolean(key.attested)),
                    ("ephemeral", Node::Bytes(&key.ephemeral)),
                    ("piv_slot", Node::Own(key.slot.to_string())),
                    ("public", Node::Bytes(&key.public)),
                ]);
                members.extend(key.firmware.map(|firmware| ("firmware", Node::Own(firmware.to_string()))));
                members.extend(key.label.as_deref().map(|label| ("label", Node::Text(label))));
                members.extend(key.pin_policy.map(|policy| ("pin_policy", Node::Text(policy.as_str()))));
                members.extend(key.serial.map(|serial| ("serial", Node::count(u64::from(serial)))));
                members.extend(key.touch_policy.map(|policy| ("touch_policy", Node::Text(policy.as_str()))));
            }
        }
        members
    }
}

/// One use of a key that is never kept: what a PIV key will agree with.
pub struct Agreement {
    /// The public half, for the card.
    pub ephemeral: Point,
    /// What both agree on.
    pub secret: Secret<[u8; 32]>,
}

impl Agreement {
    /// With the key whose public half this is. [`Error::Damaged`] where it is no point of P-256.
    pub fn with(world: &World, public: &Point) -> Result<Self> {
        let (ephemeral, secret) = crypto::agree_once(world, public)?;
        Ok(Self { ephemeral, secret: Secret::new(*secret) })
    }
}

fn is_point(bytes: &Point) -> bool {
    bytes.first() == Some(&4)
}

fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

fn noun<T: std::str::FromStr>(text: String) -> Result<T> {
    text.parse().map_err(|_| Error::Damaged)
}

fn firmware(text: &str) -> Result<Firmware> {
    let mut parts = text.split('.').map(|part| part.parse::<u8>().ok());
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(Some(major)), Some(Some(minor)), Some(Some(patch)), None) => Ok(Firmware(major, minor, patch)),
        _ => Err(Error::Damaged),
    }
}
