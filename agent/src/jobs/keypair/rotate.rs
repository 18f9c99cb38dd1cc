//! Another key for the pairs of a name. EC2 cannot change a pair: the old one is deleted, and the new key imported under
//! its name.
//!
//! The new key is in the vault before anything is done at EC2, under a name of its own, with what is left to do; the old one
//! stays there all the while. So a crash loses nothing: the next run finds the new key and goes on. At the end both change
//! places in one save. Instances that were launched with the old key still let that one in, and no other: it goes to the
//! trash only where every region was asked and none has such an instance, else it stays in the vault.

use super::account::{Account, Place};
use super::delete::{count, of_pair};
use super::import::{self, PublicHalf};
use super::known::public_blob;
use super::{ATTEMPT, Regional};
use crate::aws::{KeyPair, KeyPairType, Tags};
use crate::jobs::Error;
use crate::jobs::access_key::edit;
use crate::jobs::ssh_key;
use crate::ssh::key::plain_blob;
use crate::vault::{Custody, Items, Rotating, SshKey};
use crate::world::WallTime;
use claviger::model::{KeyPairName, Name, Region};
use claviger::wire::{KeypairDeed, KeypairWaiting, SshKeyKind};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What follows the name of a key that is on its way into EC2, and of one that was replaced and is still needed.
const NEW: &str = "+new";
const OLD: &str = "+old";

/// A rotation under way.
pub struct Rotation {
    /// The pair's name.
    pub pair: KeyPairName,
    /// Where the key belongs in the end.
    name: Name,
    /// Where it is until then.
    pending: Name,
    /// The regions in which it is done now.
    pub regions: Vec<Region>,
    public: PublicHalf,
    /// The public half of the key that has the name now.
    old: Option<Vec<u8>>,
}

/// Where a rotation is to be done.
pub struct Scope {
    /// The regions that have the pair.
    pub standing: Vec<Region>,
    /// The regions that were asked.
    pub asked: Vec<Region>,
    /// Whether it is to be done in these alone, and not in all that a run before this has left.
    pub named: bool,
}

/// Begins, with a key that `make` makes, in the regions that have the pair: [`Error::KeypairNotFound`] without any. Or goes on
/// with the key that a run before this has begun with, in its regions too, unless others were named.
pub async fn begin(
    custody: Arc<Custody>,
    pair: KeyPairName,
    scope: Scope,
    make: impl FnOnce(&Name) -> Result<SshKey, Error> + Send + 'static,
    now: WallTime,
) -> Result<Rotation, Error> {
    let Scope { standing: regions, asked, named } = scope;
    const RULE: &str =
        "a key pair is rotated under a name that the vault can have: 1 to 59 letters, digits and _+=,.@-";
    let name: Name = pair.as_str().parse().map_err(|_| Error::KeypairInvalid(RULE))?;
    let pending: Name = format!("{name}{NEW}").parse().map_err(|_| Error::KeypairInvalid(RULE))?;
    let begun = custody.with_items(|items| items.ssh_keys.get(&pending).map(|key| key.rotating.clone()))?;
    let made = match begun {
        Some(Some(rotating)) if rotating.pair == pair => None,
        Some(_) => return Err(Error::SshKeyExists(pending)),
        None if regions.is_empty() => return Err(Error::KeypairNotFound(pair, asked)),
        None => {
            let (name, work) = (name.clone(), move |name: &Name| make(name));
            let made = tokio::task::spawn_blocking(move || work(&name)).await;
            Some(made.unwrap_or(Err(Error::Vault(crate::vault::Error::Interrupted)))?)
        }
    };
    edit(custody, None, now, move |items: &mut Items| {
        let old = items.ssh_keys.get(&name).map(|key| key.public.clone());
        if let Some(made) = made {
            let rotating = Some(Rotating { pair: pair.clone(), regions: BTreeSet::new() });
            ssh_key::put(items, pending.clone(), SshKey { rotating, ..made })?;
        }
        let key = items.ssh_keys.get_mut(&pending).ok_or_else(|| Error::SshKeyNotFound(pending.clone()))?;
        let public = PublicHalf::new(&key.public)?;
        let rotating = key.rotating.get_or_insert_with(|| Rotating { pair: pair.clone(), regions: BTreeSet::new() });
        rotating.regions.extend(regions);
        let here = |region: &&Region| !named || asked.contains(region);
        let regions: Vec<Region> = rotating.regions.iter().filter(here).cloned().collect();
        if regions.is_empty() {
            return Err(Error::KeypairNotFound(pair, asked));
        }
        Ok(Rotation { pair, name, pending, regions, public, old })
    })
    .await
}

/// The kind of key that takes the place of these pairs': RSA where one of them is, for a Windows instance encrypts its
/// password to nothing else.
pub fn kind_of<'a>(mut pairs: impl Iterator<Item = &'a KeyPair>) -> SshKeyKind {
    let is_rsa = |pair: &KeyPair| match pair.kind {
        Some(kind) => kind == KeyPairType::Rsa,
        None => pair.public.as_deref().is_some_and(|line| line.starts_with("ssh-rsa ")),
    };
    if pairs.any(is_rsa) { SshKeyKind::Rsa4096 } else { SshKeyKind::Ed25519 }
}

/// What was done in a region.
pub struct Rotated {
    /// The pair's id.
    pub id: String,
    /// What was done.
    pub deed: KeypairDeed,
    /// How many instances were launched with a pair of the name, and are not over.
    pub instance_count: usize,
    /// Whether the pair that was replaced had the key that the vault has under the name.
    of_old: bool,
}

/// Does it in every region.
pub async fn rotate(
    account: &Account,
    rotation: &Rotation,
    done: &(dyn Fn(usize) + Send + Sync),
) -> Vec<Regional<Rotated>> {
    let wanted = of_pair(&rotation.pair);
    let old = rotation.old.as_deref().and_then(|blob| plain_blob(blob).ok());
    let work = |place| {
        let (wanted, old) = (&wanted, &old);
        async move {
            let access = account.access(&place);
            let (pairs, instances) = futures_util::join!(
                account.aws().describe_key_pairs(access, Some(&rotation.pair), None),
                account.aws().describe_instances(access, wanted)
            );
            let (pairs, instance_count) = (pairs?, count(&instances?, &rotation.pair));
            let standing = pairs.into_iter().find(|found| found.name == rotation.pair.as_str());
            let of_old = standing.as_ref().is_some_and(|pair| old.is_some() && public_blob(pair) == *old);
            let (id, deed) = replace(account, &place, rotation, standing).await?;
            Ok(Rotated { id, deed, instance_count, of_old })
        }
    };
    account.each(&rotation.regions, done, work).await
}

impl Rotated {
    /// Whether nobody needs the key that the vault had under the name: it was the pair's in some region, and no instance of
    /// any was launched with the pair. Of all regions that there are: another one may still have it.
    pub fn nobody_needs_old<'a>(all: impl Iterator<Item = &'a Self>) -> bool {
        let (mut known, mut used) = (false, false);
        for one in all {
            known |= one.of_old;
            used |= one.instance_count > 0;
        }
        known && !used
    }
}

async fn replace(
    account: &Account,
    place: &Place,
    rotation: &Rotation,
    standing: Option<KeyPair>,
) -> Result<(String, KeypairDeed), Error> {
    let Rotation { pair: name, public, .. } = rotation;
    let Some(old) = standing else {
        // Where a run before this was cut off between the two.
        return import::one(account, place, (name, public), &Tags::new()).await;
    };
    if public.is_of(&old) {
        return Ok((old.id, KeypairDeed::Present));
    }
    let (access, tags) = (account.access(place), kept(&old.tags));
    // Before the old one goes.
    account.aws().may_import_key_pair(access, (name, &public.line), &tags).await?;
    account.aws().delete_key_pair(access, &old.id).await?;
    match import::one(account, place, (name, public), &tags).await {
        Ok((id, _)) => Ok((id, KeypairDeed::Replaced)),
        Err(error) => {
            let back = public_blob(&old).and_then(|blob| PublicHalf::new(&blob).ok());
            if let Some(back) = back
                && let Err(failed) = import::one(account, place, (name, &back), &tags).await
            {
                tracing::warn!(error = %failed, "a key pair that was to be replaced could not be put back");
            }
            Err(error)
        }
    }
}

/// Writes down where it is done: what is left of it.
pub async fn advance(
    custody: Arc<Custody>,
    rotation: &Rotation,
    done: Vec<Region>,
    now: WallTime,
) -> Result<KeypairWaiting, Error> {
    let pending = rotation.pending.clone();
    edit(custody, None, now, move |items: &mut Items| {
        let key = items.ssh_keys.get_mut(&pending).ok_or_else(|| Error::SshKeyNotFound(pending.clone()))?;
        let rotating = key.rotating.as_mut().ok_or_else(|| Error::SshKeyNotFound(pending.clone()))?;
        rotating.regions.retain(|region| !done.contains(region));
        Ok(KeypairWaiting { regions: rotating.regions.iter().cloned().collect(), key: pending })
    })
    .await
}

/// Tags of people: those of AWS cannot be set, and ours says what was.
fn kept(tags: &Tags) -> Tags {
    let ours = |key: &String| key == ATTEMPT || key.to_ascii_lowercase().starts_with("aws:");
    tags.iter().filter(|(key, _)| !ours(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Gives the new key its name, in one save. The old one stays, under the name that is returned; or it goes to the trash, of
/// which is told.
pub async fn finish(
    custody: Arc<Custody>,
    rotation: &Rotation,
    to_trash: bool,
    now: WallTime,
) -> Result<(claviger::wire::SshKeyRow, Option<Name>, bool), Error> {
    let Rotation { name, pending, old, .. } = rotation;
    let (name, pending, old) = (name.clone(), pending.clone(), old.clone());
    edit(custody, None, now, move |items: &mut Items| {
        let mut new = items.ssh_keys.remove(&pending).ok_or_else(|| Error::SshKeyNotFound(pending.clone()))?;
        let (mut kept, mut trashed) = (None, false);
        // Another one that somebody stored meanwhile is none of ours.
        let replaced = items.ssh_keys.get(&name).is_some_and(|key| Some(&key.public) == old.as_ref());
        if items.ssh_keys.contains_key(&name) && !replaced {
            return Err(Error::SshKeyExists(name));
        }
        if replaced && !to_trash {
            let free = free_name(items, &name)?;
            if let Some(key) = items.ssh_keys.remove(&name) {
                items.ssh_keys.insert(free.clone(), key);
            }
            kept = Some(free);
        } else if replaced {
            trashed = items.trash_ssh_key(&name, now);
        }
        new.rotating = None;
        let row = ssh_key::row(&name, &new);
        items.ssh_keys.insert(name, new);
        Ok((row, kept, trashed))
    })
    .await
}

/// `NAME+old`, `NAME+old2`, …
fn free_name(items: &Items, name: &Name) -> Result<Name, Error> {
    let numbered = (2..1000).map(|number| format!("{name}{OLD}{number}"));
    let mut names = std::iter::once(format!("{name}{OLD}")).chain(numbered);
    let is_free = |name: &String| name.parse::<Name>().is_ok_and(|name| !items.ssh_keys.contains_key(&name));
    let free = names.find(is_free).and_then(|name| name.parse().ok());
    free.ok_or(Error::KeypairInvalid("the vault has no free name for the key that is replaced"))
}
