//! What a vault keeps for its owner.

use super::json::Extra;
use crate::world::WallTime;
use claviger::model::{AccessKeyId, Arn, MfaSerial, Name};
use claviger::secret::{SecretAccessKey, TotpSeed};
use std::collections::BTreeMap;
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
    /// Removed items, oldest first; swept after 30 days, when the vault is next saved.
    pub trash: Vec<Trashed>,
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

/// A virtual MFA device.
#[derive(Clone)]
pub struct TotpDevice {
    /// Its serial at AWS.
    pub serial: MfaSerial,
    /// The access key whose user owns it.
    pub access_key: Name,
    /// The seed.
    pub seed: Arc<TotpSeed>,
    /// When it was added.
    pub added: WallTime,
    /// Fields of a newer claviger, kept.
    pub extra: Extra,
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
    /// Something of a newer claviger, kept as it is until its time is over.
    Unknown {
        /// What it says it is.
        kind: String,
        /// Its fields.
        fields: Extra,
    },
}

impl Items {
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

    /// Drops what has been in the trash for 30 days. A clock that went back drops nothing.
    pub(super) fn sweep(&mut self, now: WallTime) {
        self.trash.retain(|entry| now.0.saturating_sub(entry.removed.0) < TRASH_MILLIS);
    }
}
