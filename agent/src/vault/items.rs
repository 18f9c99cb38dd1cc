//! What a vault keeps for its owner.

use super::json::Extra;
use super::unfinished::{Enrolment, Rotation};
use crate::world::WallTime;
use claviger::model::{AccessKeyId, Arn, KeyPairName, MfaSerial, Name, Region};
use claviger::secret::{DeviceSecret, SecretAccessKey, SshPrivateKey, TotpSeed};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How long a removed item stays in the trash, in milliseconds.
pub const TRASH_MILLIS: i64 = 30 * 24 * 60 * 60 * 1000;

/// The items. A clone shares the secrets; it copies none.
#[derive(Clone, Default)]
pub struct Items {
    /// Long-lived access keys, by the name a person gave them.
    pub access_keys: BTreeMap<Name, AccessKey>,
    /// TOTP devices, by the name a person gave them.
    pub authenticators: BTreeMap<Name, TotpDevice>,
    /// Devices that are being made at AWS, by the name they will have.
    pub enrolments: BTreeMap<Name, Enrolment>,
    /// What a person has accepted, and changes only when a person accepts it.
    pub pins: Pins,
    /// What opens OATH applets that have a password, by the applet's id in base16.
    pub oath_access: BTreeMap<String, Arc<DeviceSecret>>,
    /// Access keys that are being replaced at AWS, by their name.
    pub rotations: BTreeMap<Name, Rotation>,
    /// SSH keys, by the name a person gave them.
    pub ssh_keys: BTreeMap<Name, SshKey>,
    /// Removed items, oldest first; swept after 30 days, when the vault is next saved.
    pub trash: Vec<Trashed>,
}

/// What takes effect only as accepted. No secret.
#[derive(Clone, Default)]
pub struct Pins {
    /// The security settings, as text of the room that knows them; None in a vault that an older claviger made.
    pub settings: Option<Arc<str>>,
    /// What the profiles obtained when they were first used, by name.
    pub profiles: Arc<BTreeMap<String, PinnedProfile>>,
}

/// Whose credentials a profile obtains, and through which roles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PinnedProfile {
    /// What its credentials come from, such as `access key dev`.
    pub source: String,
    /// The account of that source; None where it is not known.
    pub account: Option<String>,
    /// The ARNs of the roles, in the order in which they are assumed.
    pub roles: Vec<String>,
}

impl PinnedProfile {
    /// Whether both stand for the same. An account that one of them does not know is no difference.
    pub fn agrees_with(&self, other: &Self) -> bool {
        let same_account = match (&self.account, &other.account) {
            (Some(one), Some(another)) => one == another,
            _ => true,
        };
        self.source == other.source && self.roles == other.roles && same_account
    }

    /// About how many bytes it takes in the vault.
    pub fn size(&self) -> usize {
        self.source.len() + self.roles.iter().map(|role| role.len() + 3).sum::<usize>() + 64
    }

    /// As people read it, a line for each part.
    pub fn lines(&self) -> Vec<String> {
        let source = match &self.account {
            Some(account) => format!("{} in account {account}", self.source),
            None => self.source.clone(),
        };
        std::iter::once(source).chain(self.roles.iter().map(|role| format!("role {role}"))).collect()
    }
}

/// An IAM user's long-lived access key.
#[derive(Clone)]
pub struct AccessKey {
    /// Its id at AWS.
    pub access_key_id: AccessKeyId,
    /// Its secret.
    pub secret: Arc<SecretAccessKey>,
    /// The user it belongs to; None until AWS has been asked.
    pub user: Option<Arn>,
    /// When it was added.
    pub added: WallTime,
    /// Fields of a newer claviger, kept.
    pub extra: Extra,
}

/// An MFA device that makes codes.
#[derive(Clone)]
pub struct TotpDevice {
    /// Its serial at AWS.
    pub serial: MfaSerial,
    /// The access key whose user owns it.
    pub access_key: Name,
    /// Its seed.
    pub seed: Seed,
    /// When it was added.
    pub added: WallTime,
    /// Fields of a newer claviger, kept.
    pub extra: Extra,
}

/// Where a seed is.
#[derive(Clone)]
pub enum Seed {
    /// In the vault.
    Here(Arc<TotpSeed>),
    /// On a YubiKey, which does not give it out.
    OnCard {
        /// Its account there.
        account: OathAccount,
        /// The same seed in the vault, where a person wanted a backup there.
        backup: Option<Arc<TotpSeed>>,
    },
}

impl Seed {
    /// The seed, where it is in the vault.
    pub fn here(&self) -> Option<&Arc<TotpSeed>> {
        match self {
            Self::Here(seed) => Some(seed),
            Self::OnCard { backup, .. } => backup.as_ref(),
        }
    }

    /// The account, where it is on a card.
    pub fn on_card(&self) -> Option<&OathAccount> {
        match self {
            Self::Here(_) => None,
            Self::OnCard { account, .. } => Some(account),
        }
    }
}

/// An account of a YubiKey's OATH applet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OathAccount {
    /// The YubiKey's serial number.
    pub card: u32,
    /// The account's name, to the byte.
    pub name: Vec<u8>,
    /// Whether it wants to be touched for each code.
    pub touch: bool,
    /// The name that it may have instead: it is being renamed, or that was cut off.
    pub renaming: Option<Vec<u8>>,
}

impl OathAccount {
    /// The account of this name on this card.
    pub fn new(card: u32, name: Vec<u8>, touch: bool) -> Self {
        Self { card, name, touch, renaming: None }
    }

    /// Whether it is, or may be, the account of this name.
    pub fn may_be(&self, card: u32, name: &[u8]) -> bool {
        self.card == card && (self.name == name || self.renaming.as_deref() == Some(name))
    }
}

/// A soft SSH key, and how it may be used.
#[derive(Clone)]
pub struct SshKey {
    /// When it was added.
    pub added: WallTime,
    /// Whether it signs also what is neither an authentication request nor an SSHSIG.
    pub any_data: bool,
    /// What people call it: in lists, in its public line.
    pub comment: String,
    /// Whether each use needs a person's consent.
    pub confirm: bool,
    /// Where it may be used, as the SSH room encodes constraints of destinations alone; anywhere, where there are none.
    pub destinations: Vec<u8>,
    /// Seconds a consent lasts: with it a use asks once, and the consent holds so long.
    pub lifetime: Option<u32>,
    /// The SSHSIG namespaces that it signs for.
    pub namespaces: Vec<String>,
    /// The private key, in the SSH room's own form, with its certificate if it has one.
    pub private: Arc<SshPrivateKey>,
    /// Its public half as the agent lists it: its certificate if it has one, else the public key (RFC 4253 section 6.6).
    pub public: Vec<u8>,
    /// Where it is still on its way into EC2; None of every other key.
    pub rotating: Option<Rotating>,
    /// Fields of a newer claviger, kept.
    pub extra: Extra,
}

/// A rotation of a key pair that has begun and is not over: whoever goes on with it finds here what is left to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotating {
    /// The key pair's name at EC2.
    pub pair: KeyPairName,
    /// The regions in which it shall have this key.
    pub regions: BTreeSet<Region>,
}

/// A removed item.
#[derive(Clone)]
pub struct Trashed {
    /// The name it had.
    pub name: Name,
    /// The item.
    pub item: TrashedItem,
    /// When it was removed.
    pub removed: WallTime,
}

/// What can be in the trash.
#[derive(Clone)]
pub enum TrashedItem {
    /// An access key.
    AccessKey(AccessKey),
    /// An authenticator.
    Authenticator(TotpDevice),
    /// An SSH key.
    SshKey(SshKey),
    /// Something of a newer claviger, kept as it is until its time is over.
    Unknown {
        /// What it says it is.
        kind: String,
        /// Its fields.
        fields: Extra,
    },
}

impl Items {
    /// The accounts of cards that give codes to authenticators, those in the trash too.
    pub fn oath_accounts_mut(&mut self) -> impl Iterator<Item = &mut OathAccount> {
        let trashed = self.trash.iter_mut().filter_map(|entry| match &mut entry.item {
            TrashedItem::Authenticator(device) => Some(device),
            _ => None,
        });
        self.authenticators.values_mut().chain(trashed).filter_map(|device| match &mut device.seed {
            Seed::OnCard { account, .. } => Some(account),
            Seed::Here(_) => None,
        })
    }

    /// Moves an access key to the trash; false where there is none of that name.
    pub fn trash_access_key(&mut self, name: &Name, now: WallTime) -> bool {
        let Some(item) = self.access_keys.remove(name) else { return false };
        self.trash.push(Trashed { name: name.clone(), item: TrashedItem::AccessKey(item), removed: now });
        true
    }

    /// Moves an authenticator to the trash; false where there is none of that name.
    pub fn trash_authenticator(&mut self, name: &Name, now: WallTime) -> bool {
        let Some(item) = self.authenticators.remove(name) else { return false };
        self.trash.push(Trashed { name: name.clone(), item: TrashedItem::Authenticator(item), removed: now });
        true
    }

    /// Moves an SSH key to the trash; false where there is none of that name.
    pub fn trash_ssh_key(&mut self, name: &Name, now: WallTime) -> bool {
        let Some(item) = self.ssh_keys.remove(name) else { return false };
        self.trash.push(Trashed { name: name.clone(), item: TrashedItem::SshKey(item), removed: now });
        true
    }

    /// Drops what has been in the trash for 30 days. A clock that went back drops nothing.
    pub(super) fn sweep(&mut self, now: WallTime) {
        self.trash.retain(|entry| now.0.saturating_sub(entry.removed.0) < TRASH_MILLIS);
    }
}
