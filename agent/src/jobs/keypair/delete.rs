//! Key pairs that go. Instances stay as they are: their `authorized_keys` still holds the public key.

use super::account::Account;
use super::known::Known;
use super::{Regional, users};
use crate::aws::{Instance, InstanceWanted, KeyPair};
use crate::jobs::Error;
use crate::jobs::access_key::edit;
use crate::vault::{Custody, Items};
use crate::world::WallTime;
use claviger::model::{KeyPairName, Name, Region};
use claviger::wire::{KeypairDeed, KeypairSource};
use std::sync::Arc;

/// A pair of the name in a region, if there is one, and how many instances were launched with it.
pub struct Found {
    /// The pair.
    pub pair: Option<KeyPair>,
    /// How many instances that are not over.
    pub instance_count: usize,
}

/// Looks for the pairs of a name, and counts their instances if they are wanted.
pub async fn find(
    account: &Account,
    regions: &[Region],
    (name, with_instances): (&KeyPairName, bool),
    done: &(dyn Fn(usize) + Send + Sync),
) -> Vec<Regional<Found>> {
    let wanted = of_pair(name);
    let look = |place| {
        let wanted = &wanted;
        async move {
            let access = account.access(&place);
            let instances = async {
                match with_instances {
                    true => account.aws().describe_instances(access, wanted).await,
                    false => Ok(Vec::new()),
                }
            };
            let pairs = account.aws().describe_key_pairs(access, Some(name), None);
            let (pairs, instances) = futures_util::join!(pairs, instances);
            let pair = pairs?.into_iter().find(|pair| pair.name == name.as_str());
            let instance_count = match pair {
                Some(_) => count(&instances?, name),
                None => 0,
            };
            Ok(Found { pair, instance_count })
        }
    };
    account.each(regions, done, look).await
}

/// The instances that were launched with a pair of this name.
pub(super) fn of_pair(name: &KeyPairName) -> InstanceWanted {
    InstanceWanted { ids: Vec::new(), filters: vec![("key-name", vec![name.to_string()])] }
}

pub(super) fn count(instances: &[Instance], name: &KeyPairName) -> usize {
    users(instances, name.as_str()).count()
}

/// Deletes what was found, region by region.
pub async fn delete(
    account: &Account,
    found: Vec<Regional<Found>>,
    done: &(dyn Fn(usize) + Send + Sync),
) -> Vec<Regional<(Option<KeyPair>, usize, KeypairDeed)>> {
    let regions: Vec<Region> = found.iter().map(|(region, _)| region.clone()).collect();
    let found = std::sync::Mutex::new(found);
    let take = |region: &Region| {
        let mut found = found.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let at = found.iter().position(|(known, _)| known == region)?;
        Some(found.swap_remove(at).1)
    };
    let work = |place: super::account::Place| {
        let found = take(&place.region);
        async move {
            let Some(Found { pair, instance_count }) = found.transpose()? else {
                return Ok((None, 0, KeypairDeed::Absent));
            };
            let Some(pair) = pair else { return Ok((None, 0, KeypairDeed::Absent)) };
            account.aws().delete_key_pair(account.access(&place), &pair.id).await?;
            Ok((Some(pair), instance_count, KeypairDeed::Deleted))
        }
    };
    account.each(&regions, done, work).await
}

/// Moves the vault's keys of these pairs to the trash: their names.
pub async fn trash_keys(custody: Arc<Custody>, pairs: Vec<KeyPair>, now: WallTime) -> Result<Vec<Name>, Error> {
    if pairs.is_empty() {
        return Ok(Vec::new());
    }
    edit(custody, None, now, move |items: &mut Items| {
        let private = pairs.iter().any(|pair| pair.public.is_none());
        let known = Known::of_vault(items, private);
        let theirs = known.into_iter().filter(|key| pairs.iter().any(|pair| key.is_of(pair)));
        let names: Vec<Name> = theirs
            .filter_map(|key| match key.place {
                KeypairSource::Vault(name) => Some(name),
                KeypairSource::Card { .. } => None,
            })
            .collect();
        for name in &names {
            items.trash_ssh_key(name, now);
        }
        Ok(names)
    })
    .await
}
