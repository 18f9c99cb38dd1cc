//! The list: pairs, the keys that are theirs, the instances that were launched with them.

use super::account::Account;
use super::known::Known;
use super::{Regional, instance_row, users};
use crate::aws::{Instance, InstanceWanted, KeyPair, KeyPairType};
use crate::jobs::Error;
use crate::world::rfc3339;
use claviger::model::{Label, Region};
use claviger::wire::{KeypairKind, KeypairRow};
use std::collections::BTreeSet;

/// Most instances of a row: it stays a short part of a line of the protocol.
const INSTANCES_LIMIT: usize = 200;

/// What the regions have said.
pub struct Listing(Vec<Regional<InRegion>>);

/// Of one: a region that shows pairs need not show instances.
struct InRegion {
    pairs: Result<Vec<KeyPair>, Error>,
    instances: Result<Vec<Instance>, Error>,
}

/// Asks every region for its pairs and instances.
pub async fn list(account: &Account, regions: &[Region], done: &(dyn Fn(usize) + Send + Sync)) -> Listing {
    let everything = InstanceWanted::default();
    let ask = |place| {
        let everything = &everything;
        async move {
            let access = account.access(&place);
            let (pairs, instances) = futures_util::join!(
                account.aws().describe_key_pairs(access, None, None),
                account.aws().describe_instances(access, everything)
            );
            match (pairs, instances) {
                (Err(error), Err(_)) => Err(error.into()),
                (pairs, instances) => {
                    Ok(InRegion { pairs: pairs.map_err(Error::from), instances: instances.map_err(Error::from) })
                }
            }
        }
    };
    Listing(account.each(regions, done, ask).await)
}

impl Listing {
    /// Whether EC2 gave no public key of some RSA pair: then it is the fingerprint that tells whose it is.
    pub fn needs_private(&self) -> bool {
        let pairs = self.0.iter().filter_map(|(_, found)| found.as_ref().ok()?.pairs.as_ref().ok()).flatten();
        pairs.into_iter().any(|pair| pair.public.is_none() && pair.kind != Some(KeyPairType::Ed25519))
    }

    /// The rows, and what each region failed at.
    pub fn rows(self, known: &[Known]) -> (Vec<KeypairRow>, Vec<(Region, Option<Error>)>) {
        let (mut rows, mut regions) = (Vec::new(), Vec::new());
        for (region, found) in self.0 {
            let error = match found {
                Ok(InRegion { pairs, instances }) => {
                    let shown =
                        pairs.as_deref().ok().map(|pairs| of_region(&region, pairs, instances.as_deref().ok(), known));
                    rows.extend(shown.into_iter().flatten());
                    pairs.err().or_else(|| instances.err())
                }
                Err(error) => Some(error),
            };
            regions.push((region, error));
        }
        (rows, regions)
    }
}

fn of_region(region: &Region, pairs: &[KeyPair], instances: Option<&[Instance]>, known: &[Known]) -> Vec<KeypairRow> {
    let used = |name: &str| {
        let all: Option<Vec<_>> = instances.map(|instances| users(instances, name).map(instance_row).collect());
        let count = all.as_ref().map_or(0, Vec::len);
        (all.map(|all| all.into_iter().take(INSTANCES_LIMIT).collect()), count)
    };
    let mut rows: Vec<KeypairRow> = Vec::new();
    for pair in pairs {
        let (instances, instance_count) = used(&pair.name);
        let kind = pair.kind.map(|kind| match kind {
            KeyPairType::Ed25519 => KeypairKind::Ed25519,
            KeyPairType::Rsa => KeypairKind::Rsa,
        });
        let printable = |(key, value): (&String, &String)| (Label(key).to_string(), Label(value).to_string());
        rows.push(KeypairRow {
            region: region.clone(),
            name: pair.name.clone(),
            id: Some(pair.id.clone()),
            kind,
            fingerprint: Some(pair.fingerprint.clone()),
            created: pair.created.map(rfc3339),
            tags: pair.tags.iter().map(printable).collect(),
            keys: known.iter().filter(|key| key.is_of(pair)).map(|key| key.place.clone()).collect(),
            instances,
            instance_count,
        });
    }
    // Names that instances were launched with, and no pair has.
    let named: BTreeSet<&str> =
        instances.unwrap_or_default().iter().filter_map(|found| found.key_name.as_deref()).collect();
    for name in named.into_iter().filter(|name| pairs.iter().all(|pair| pair.name != **name)) {
        let (instances, instance_count) = used(name);
        if instance_count > 0 {
            let (id, kind, fingerprint, created) = (None, None, None, None);
            let (region, name, tags, keys) = (region.clone(), name.to_owned(), Default::default(), Vec::new());
            rows.push(KeypairRow {
                region,
                name,
                id,
                kind,
                fingerprint,
                created,
                tags,
                keys,
                instances,
                instance_count,
            });
        }
    }
    rows.sort_by(|one, other| one.name.cmp(&other.name));
    rows
}
