//! The vault's trash: what was removed comes back, or goes for good.

use super::Error;
use super::access_key::edit;
use crate::vault::{Custody, Items, Trashed, TrashedItem};
use crate::world::WallTime;
use claviger::model::Name;
use std::sync::Arc;

/// What of the trash is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An access key.
    AccessKey,
    /// An authenticator.
    Authenticator,
    /// An SSH key.
    SshKey,
}

/// The kind of a removed item; None where only a newer claviger knows it.
pub fn kind(item: &TrashedItem) -> Option<Kind> {
    match item {
        TrashedItem::AccessKey(_) => Some(Kind::AccessKey),
        TrashedItem::Authenticator(_) => Some(Kind::Authenticator),
        TrashedItem::SshKey(_) => Some(Kind::SshKey),
        TrashedItem::Unknown { .. } => None,
    }
}

/// Brings back what was removed last under this name, as `new_name` where one is given.
pub async fn restore(
    custody: Arc<Custody>,
    name: Name,
    wanted: Option<Kind>,
    new_name: Option<Name>,
    now: WallTime,
) -> Result<(), Error> {
    edit(custody, None, now, move |items| {
        let found = |entry: &Trashed| {
            entry.name == name && kind(&entry.item).is_some_and(|kind| wanted.is_none_or(|wanted| wanted == kind))
        };
        let place = items.trash.iter().rposition(found).ok_or_else(|| Error::NotInTrash(name.clone()))?;
        let last = items.trash.get(place).and_then(|entry| kind(&entry.item));
        if items.trash.iter().any(|entry| found(entry) && kind(&entry.item) != last) {
            return Err(Error::TrashAmbiguous(name));
        }
        let entry = items.trash.remove(place);
        put_back(items, new_name.unwrap_or(entry.name), entry.item)
    })
    .await
}

fn put_back(items: &mut Items, name: Name, item: TrashedItem) -> Result<(), Error> {
    match item {
        TrashedItem::AccessKey(key) => {
            if items.access_keys.contains_key(&name) {
                return Err(Error::AccessKeyExists(name));
            }
            items.access_keys.insert(name, key);
        }
        TrashedItem::Authenticator(device) => super::mfa_device::put(items, name, device)?,
        TrashedItem::SshKey(key) => super::ssh_key::put(items, name, key)?,
        TrashedItem::Unknown { .. } => return Err(Error::NotInTrash(name)),
    }
    Ok(())
}

/// Empties it; says how many items went. Copies of the vault from before still have them.
pub async fn empty(custody: Arc<Custody>, now: WallTime) -> Result<usize, Error> {
    edit(custody, None, now, |items| Ok(std::mem::take(&mut items.trash).len())).await
}
