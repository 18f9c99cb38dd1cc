//! A public key as a key pair, in many regions at once.

use super::Regional;
use super::account::{Account, Place};
use super::known::{Known, public_blob};
use crate::aws::{KeyPair, Tags};
use crate::jobs::Error;
use crate::ssh::key::{Ec2Fitness, ec2_fitness, imported_fingerprint, plain_blob};
use crate::vault::Items;
use claviger::model::{KeyPairName, Name, Region};
use claviger::wire::KeypairDeed;
use data_encoding::BASE64;

/// A public key that EC2 takes.
pub struct PublicHalf {
    /// Its blob.
    pub blob: Vec<u8>,
    /// Its line, without a comment: EC2 keeps none.
    pub line: String,
    fingerprint: String,
}

impl PublicHalf {
    /// Of a blob; of a certificate the key alone. [`Error::KeypairUnsupported`] for what EC2 does not take, before it is
    /// asked.
    pub fn new(blob: &[u8]) -> Result<Self, Error> {
        let blob = plain_blob(blob)?;
        match ec2_fitness(&blob)? {
            Ec2Fitness::Taken => {}
            unfit => return Err(Error::KeypairUnsupported(unfit)),
        }
        let name = match blob.get(4..).is_some_and(|rest| rest.starts_with(b"ssh-rsa")) {
            true => "ssh-rsa",
            false => "ssh-ed25519",
        };
        let line = format!("{name} {}", BASE64.encode(&blob));
        let fingerprint = imported_fingerprint(&blob)?;
        Ok(Self { blob, line, fingerprint })
    }

    /// Whether a pair is of this key.
    pub(super) fn is_of(&self, pair: &KeyPair) -> bool {
        match public_blob(pair) {
            Some(blob) => blob == self.blob,
            None => pair.fingerprint == self.fingerprint,
        }
    }
}

/// The public half of a key of the vault.
pub fn public_of(items: &Items, name: &Name) -> Result<PublicHalf, Error> {
    let key = items.ssh_keys.get(name).ok_or_else(|| Error::SshKeyNotFound(name.clone()))?;
    PublicHalf::new(&key.public)
}

impl TryFrom<&Known> for PublicHalf {
    type Error = Error;

    fn try_from(known: &Known) -> Result<Self, Error> {
        Self::new(&known.blob)
    }
}

/// Imports a key in every region: the pair's id, and whether it stood there already. [`Error::KeypairExists`] where another
/// key stands there.
pub async fn import(
    account: &Account,
    regions: &[Region],
    (name, public): (&KeyPairName, &PublicHalf),
    tags: &Tags,
    done: &(dyn Fn(usize) + Send + Sync),
) -> Vec<Regional<(String, KeypairDeed)>> {
    account.each(regions, done, |place| async move { one(account, &place, (name, public), tags).await }).await
}

/// The same in one.
pub(super) async fn one(
    account: &Account,
    place: &Place,
    (name, public): (&KeyPairName, &PublicHalf),
    tags: &Tags,
) -> Result<(String, KeypairDeed), Error> {
    let access = account.access(place);
    match account.aws().import_key_pair(access, (name, &public.line), tags).await {
        Ok(id) => Ok((id, KeypairDeed::Imported)),
        Err(error) if error.is_refusal("InvalidKeyPair.Duplicate") => {
            let found = account.aws().describe_key_pairs(access, Some(name), None).await?;
            match found.into_iter().find(|pair| public.is_of(pair)) {
                Some(pair) => Ok((pair.id, KeypairDeed::Present)),
                None => Err(Error::KeypairExists(name.clone(), place.region.clone())),
            }
        }
        Err(error) if error.is_refusal("KeyPairLimitExceeded") => Err(Error::KeypairLimit(place.region.clone())),
        Err(error) => Err(error.into()),
    }
}
