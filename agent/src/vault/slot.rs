//! Vault slots: each is a way to the master key.
//!
//! A slot has an X25519 key of its own. What opens the slot (a passphrase, a code) unwraps the private half, and the
//! private half unseals the master key. The public half lies among the encrypted contents, so that a vault that is
//! open can seal a *new* master key to the slots that stay when one is removed, without asking for each passphrase.
//! `docs/reference/vault-format.md` says why nothing symmetric does.

use super::crypto::{self, Key32};
use super::device_slot::DeviceSlot;
use super::error::{Error, Result};
use super::json::{Extra, Fields, Node};
use super::kdf::{self, KdfCost};
use super::recovery::{self, CodeBits};
use crate::world::{WallTime, World, on_wiped_stack};
use claviger::model::{SlotKind, SlotProof};
use claviger::secret::{Passphrase, Secret};
use serde_json::Value;
use zeroize::Zeroizing;

/// The most slots a vault takes; LUKS-like, and more than a person keeps track of.
pub(super) const SLOT_LIMIT: usize = 16;

/// What anyone can read of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotInfo {
    /// Its id; unique among the slots there are.
    pub id: u32,
    /// Its kind; None where only a newer claviger knows it.
    pub kind: Option<SlotKind>,
    /// When it was added.
    pub added: WallTime,
    /// The device that opens it, where one does.
    pub device: Option<DeviceSlot>,
}

impl SlotInfo {
    /// Whether a person can open it.
    pub(super) fn for_a_person(&self) -> bool {
        matches!(self.kind, Some(SlotKind::Passphrase | SlotKind::Recovery | SlotKind::Fido2 | SlotKind::Piv))
    }

    /// Whether a person can open it by what they know or have written down: no device that breaks takes it along.
    pub(super) fn without_device(&self) -> bool {
        matches!(self.kind, Some(SlotKind::Passphrase | SlotKind::Recovery))
    }
}

/// Which secret in a keyring belongs to which slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyringPlace {
    /// The vault's id.
    pub vault_id: [u8; 16],
    /// The slot's id.
    pub slot: u32,
}

/// A slot as the header holds it.
#[derive(Clone)]
pub(super) struct Slot {
    pub(super) id: u32,
    added: WallTime,
    method: Method,
    /// The slot's private half, wrapped by what opens the slot.
    key: [u8; 48],
    /// The public half of the key that sealed the master key, used once.
    share: [u8; 32],
    /// The master key, sealed to the slot.
    master: [u8; 48],
    extra: Extra,
}

#[derive(Clone)]
enum Method {
    Device(DeviceSlot),
    Keyring { salt: [u8; 32] },
    Passphrase { cost: KdfCost, salt: [u8; 32] },
    Recovery { salt: [u8; 32] },
    Unknown(String),
}

/// A slot that was just made, and what is needed beside it.
pub(super) struct NewSlot {
    pub(super) slot: Slot,
    /// Goes into the contents.
    pub(super) public: [u8; 32],
    /// Opens the slot, to prove that it does.
    pub(super) opener: Box<Key32>,
}

/// What a slot is made for: the vault, the slot's id, the time.
pub(super) struct Place<'a> {
    pub(super) world: &'a World,
    pub(super) vault_id: &'a [u8; 16],
    pub(super) id: u32,
    pub(super) now: WallTime,
}

impl Slot {
    /// A slot for a passphrase.
    pub(super) fn for_passphrase(at: Place<'_>, phrase: &Passphrase, cost: KdfCost, master: &Key32) -> Result<NewSlot> {
        let salt = *crypto::random::<32>(at.world)?;
        let opener = apart(|| kdf::passphrase_key(phrase, cost, &salt))?;
        Self::make(at, Method::Passphrase { cost, salt }, opener, master)
    }

    /// A slot for a recovery code.
    pub(super) fn for_code(at: Place<'_>, code: &CodeBits, master: &Key32) -> Result<NewSlot> {
        let salt = *crypto::random::<32>(at.world)?;
        let opener = apart(|| Ok(recovery_key(code, &salt)))?;
        Self::make(at, Method::Recovery { salt }, opener, master)
    }

    /// A slot for a secret that the desktop's keyring holds.
    pub(super) fn for_keyring(at: Place<'_>, secret: &Secret<[u8; 32]>, master: &Key32) -> Result<NewSlot> {
        let salt = *crypto::random::<32>(at.world)?;
        let opener = apart(|| Ok(keyring_key(secret, &salt)))?;
        Self::make(at, Method::Keyring { salt }, opener, master)
    }

    /// A slot for a device that has given this secret for it.
    pub(super) fn for_device(
        at: Place<'_>,
        device: DeviceSlot,
        secret: &Secret<[u8; 32]>,
        master: &Key32,
    ) -> Result<NewSlot> {
        if !device.is_sound() {
            return Err(Error::TooLarge);
        }
        let opener = apart(|| Ok(device.opener(secret)))?;
        Self::make(at, Method::Device(device), opener, master)
    }

    fn make(at: Place<'_>, method: Method, opener: Box<Key32>, master: &Key32) -> Result<NewSlot> {
        let private = crypto::random::<32>(at.world)?;
        let public = crypto::public_half(&private)?;
        let mut slot = Self {
            id: at.id,
            added: at.now,
            method,
            key: [0; 48],
            share: [0; 32],
            master: [0; 48],
            extra: Extra::default(),
        };
        let bound = slot.bound(at.vault_id);
        slot.key = on_wiped_stack(|| crypto::wrap(&opener, &bound, &private));
        slot.seal_master(at.world, at.vault_id, &public, master)?;
        Ok(NewSlot { slot, public, opener })
    }

    /// Seals this master key to the slot; whoever opens the slot then finds it.
    pub(super) fn seal_master(
        &mut self,
        world: &World,
        vault_id: &[u8; 16],
        public: &[u8; 32],
        master: &Key32,
    ) -> Result<()> {
        let once = crypto::random::<32>(world)?;
        self.share = crypto::public_half(&once)?;
        let key = crypto::agree(&once, public, &[self.share, *public].concat(), MASTER)?;
        self.master = crypto::wrap(&key, &self.bound(vault_id), master);
        Ok(())
    }

    /// The key that this proof gives for this slot; None where the proof is of another kind or no code at all.
    pub(super) fn opener(&self, proof: &SlotProof) -> Result<Option<Box<Key32>>> {
        match (&self.method, proof) {
            (Method::Passphrase { cost, salt }, SlotProof::Passphrase(phrase)) => {
                match apart(|| kdf::passphrase_key(phrase, *cost, salt)) {
                    Err(Error::WeakPassphrase) => Ok(None),
                    key => key.map(Some),
                }
            }
            (Method::Recovery { salt }, SlotProof::Recovery(code)) => {
                Ok(on_wiped_stack(|| recovery::read(code).map(|bits| Box::new(recovery_key(&bits, salt)))))
            }
            (Method::Device(device), SlotProof::Answered(answer)) if answer.slot == self.id => {
                apart(|| Ok(device.opener(&answer.secret))).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The key that the keyring's secret gives for this slot; None where the slot is of another kind.
    pub(super) fn keyring_opener(&self, secret: &Secret<[u8; 32]>) -> Option<Box<Key32>> {
        match &self.method {
            Method::Keyring { salt } => apart(|| Ok(keyring_key(secret, salt))).ok(),
            Method::Device(_) | Method::Passphrase { .. } | Method::Recovery { .. } | Method::Unknown(_) => None,
        }
    }

    /// The master key; None where `opener` does not open the slot. [`Error::Damaged`] where it does and there is none.
    pub(super) fn open(&self, vault_id: &[u8; 16], opener: &Key32) -> Result<Option<Box<Key32>>> {
        let bound = self.bound(vault_id);
        on_wiped_stack(|| {
            let Some(private) = crypto::unwrap(opener, &bound, &self.key) else { return Ok(None) };
            let public = crypto::public_half(&private)?;
            let key = crypto::agree(&private, &self.share, &[self.share, public].concat(), MASTER)?;
            let master = crypto::unwrap(&key, &bound, &self.master).ok_or(Error::Damaged)?;
            Ok(Some(Box::new(master)))
        })
    }

    /// What anyone may read.
    pub(super) fn info(&self) -> SlotInfo {
        let kind = match &self.method {
            Method::Device(device) => Some(device.kind()),
            Method::Keyring { .. } => Some(SlotKind::Keyring),
            Method::Passphrase { .. } => Some(SlotKind::Passphrase),
            Method::Recovery { .. } => Some(SlotKind::Recovery),
            Method::Unknown(_) => None,
        };
        let device = match &self.method {
            Method::Device(device) => Some(device.clone()),
            _ => None,
        };
        SlotInfo { id: self.id, kind, added: self.added, device }
    }

    /// The slot as the header writes it.
    pub(super) fn node(&self) -> Node<'_> {
        let sealed = [
            ("key", Node::Bytes(&self.key)),
            ("master", Node::Bytes(&self.master)),
            ("share", Node::Bytes(&self.share)),
        ];
        Node::object(self.public_members().into_iter().chain(sealed), &self.extra)
    }

    /// Reads a slot; parameters out of bounds are damage, found before anything is allocated for them.
    pub(super) fn read(value: Value) -> Result<Self> {
        let mut fields = Fields::of(value)?;
        let kind = fields.text("kind")?;
        let method = match kind.as_str() {
            "keyring" => Method::Keyring { salt: *fields.array("salt")? },
            "passphrase" => Method::Passphrase { cost: KdfCost::read(&mut fields)?, salt: *fields.array("salt")? },
            "recovery" => Method::Recovery { salt: *fields.array("salt")? },
            _ => DeviceSlot::read(&kind, &mut fields)?.map_or(Method::Unknown(kind), Method::Device),
        };
        Ok(Self {
            id: fields.number("id")?,
            added: fields.time("added")?,
            method,
            key: *fields.array("key")?,
            share: *fields.array("share")?,
            master: *fields.array("master")?,
            extra: fields.rest(),
        })
    }

    /// Associated data of both wraps: this slot of this vault, with its parameters.
    fn bound(&self, vault_id: &[u8; 16]) -> Vec<u8> {
        let members = Node::object(self.public_members(), &self.extra).write();
        [b"claviger/v1/slot".as_slice(), vault_id, &members].concat()
    }

    fn public_members(&self) -> Vec<(&str, Node<'_>)> {
        let mut members = vec![("added", Node::time(self.added)), ("id", Node::count(u64::from(self.id)))];
        match &self.method {
            Method::Device(device) => members.extend(device.members()),
            Method::Keyring { salt } => {
                members.extend([("kind", Node::Text("keyring")), ("salt", Node::Bytes(salt))]);
            }
            Method::Passphrase { cost, salt } => {
                members.extend([("kind", Node::Text("passphrase")), ("salt", Node::Bytes(salt))]);
                members.extend(cost.members());
            }
            Method::Recovery { salt } => {
                members.extend([("kind", Node::Text("recovery")), ("salt", Node::Bytes(salt))]);
            }
            Method::Unknown(kind) => members.push(("kind", Node::Text(kind))),
        }
        members
    }
}

#[cfg(test)]
impl Slot {
    /// As if a newer claviger had made the slot.
    pub(super) fn set_kind(&mut self, kind: &str) {
        self.method = Method::Unknown(kind.to_owned());
    }
}

const MASTER: &str = "claviger/v1/slot/master";

/// Makes a key, and wipes what that has left on the stack: what is made there next is moved to the heap with its padding,
/// and a key that opens a slot would lie in it for as long as the vault is open.
fn apart(key: impl FnOnce() -> Result<Key32>) -> Result<Box<Key32>> {
    on_wiped_stack(|| key().map(Box::new))
}

fn recovery_key(code: &CodeBits, salt: &[u8; 32]) -> Key32 {
    crypto::derive(code.as_slice(), salt, "claviger/v1/slot/recovery")
}

fn keyring_key(secret: &Secret<[u8; 32]>, salt: &[u8; 32]) -> Key32 {
    crypto::derive(secret.expose(), salt, "claviger/v1/slot/keyring")
}

/// A public half for every slot, by id, as the contents hold them.
#[derive(Clone)]
pub(super) struct PublicHalf {
    pub(super) id: u32,
    pub(super) public: Zeroizing<[u8; 32]>,
}
