//! A pair that AWS makes. Its private half is in one answer: from there it goes into the vault, in one save, or the pair is
//! deleted again.
//!
//! A lost answer or a crash leaves a pair that nobody has the private half of. It carries a tag of this vault's attempt, so
//! that it is found, at once or by the next attempt, and deleted.

use super::account::{Account, Place};
use super::known::public_blob;
use super::{ATTEMPT, ATTEMPT_DONE};
use crate::aws::{self, CreatedKeyPair, KeyPair, KeyPairType, Tags};
use crate::jobs::Error;
use crate::jobs::access_key::edit;
use crate::jobs::ssh_key::{self, Surroundings, of_soft, row};
use crate::ssh::key;
use crate::vault::{Custody, Items, SshKey, TrashedItem};
use claviger::model::{KeyPairName, Name, Region};
use claviger::secret::SecretText;
use claviger::wire::{SshKeyOptions, SshKeyRow};
use data_encoding::HEXLOWER;
use std::sync::Arc;

/// What is to be made.
pub struct Wanted {
    /// The pair's name at EC2.
    pub name: KeyPairName,
    /// What it is.
    pub kind: KeyPairType,
    /// Its tags.
    pub tags: Tags,
    /// The name of its private half in the vault.
    pub key: Name,
    /// How that is called and used.
    pub options: SshKeyOptions,
}

/// Makes a pair in a region and stores its private half: the pair's id, and the key's row. One at a time: see the caller.
pub async fn create(
    account: &Account,
    custody: &Arc<Custody>,
    region: &Region,
    wanted: &Wanted,
    around: &Surroundings,
) -> Result<(String, SshKeyRow), Error> {
    let free = custody.with_items(|items| !items.ssh_keys.contains_key(&wanted.key))?;
    if !free {
        return Err(Error::SshKeyExists(wanted.key.clone()));
    }
    let place = account.place(region)?;
    let vault = HEXLOWER.encode(custody.id()?.split_at(8).0);
    let mut random = [0; 8];
    around.world.entropy.fill(&mut random).map_err(|_| key::Error::NoEntropy)?;
    let attempt = Attempt { account, place: &place, wanted, token: format!("{vault}-{}", HEXLOWER.encode(&random)) };
    let made = match attempt.make().await {
        Err(Error::Aws(error)) if error.is_refusal("InvalidKeyPair.Duplicate") => {
            // Of an attempt that a crash ended, whose answer nobody has?
            let left = attempt.left_behind(&vault, custody).await?;
            let left = left.ok_or_else(|| Error::KeypairExists(wanted.name.clone(), region.clone()))?;
            account.aws().delete_key_pair(account.access(&place), &left.id).await?;
            attempt.make().await
        }
        outcome => outcome,
    }?;
    match attempt.store(custody, &made, around).await {
        Ok(row) => {
            attempt.is_over(&made.id).await;
            Ok((made.id, row))
        }
        Err(error) => {
            let deleted = account.aws().delete_key_pair(account.access(&place), &made.id).await;
            if let Err(failed) = deleted {
                tracing::warn!(error = %failed, "a key pair whose private half was not stored is still at AWS");
                return Err(attempt.stranded());
            }
            Err(error)
        }
    }
}

struct Attempt<'a> {
    account: &'a Account,
    place: &'a Place,
    wanted: &'a Wanted,
    token: String,
}

impl Attempt<'_> {
    /// Asks AWS. Where the answer was lost, what it may have made is deleted.
    async fn make(&self) -> Result<CreatedKeyPair, Error> {
        let Self { account, place, wanted, token } = self;
        let mut tags = wanted.tags.clone();
        tags.insert(ATTEMPT.to_owned(), token.clone());
        let wanted = (&wanted.name, wanted.kind);
        match account.aws().create_key_pair(account.access(place), wanted, &tags).await {
            Ok(made) => Ok(made),
            Err(error) if error.may_be_done() => {
                self.undo().await.map_err(|failed| {
                    tracing::warn!(error = %failed, "what a lost answer left at AWS could not be looked for");
                    self.stranded()
                })?;
                Err(error.into())
            }
            Err(error) if error.is_refusal("KeyPairLimitExceeded") => Err(Error::KeypairLimit(place.region.clone())),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes what this attempt has made.
    async fn undo(&self) -> Result<(), aws::Error> {
        let Self { account, place, wanted, token } = self;
        let access = account.access(place);
        let made = account.aws().describe_key_pairs(access, Some(&wanted.name), Some((ATTEMPT, token))).await?;
        for pair in made {
            account.aws().delete_key_pair(access, &pair.id).await?;
        }
        Ok(())
    }

    /// The pair of this name, where an attempt of this vault made it and nobody has its private half.
    async fn left_behind(&self, vault: &str, custody: &Custody) -> Result<Option<KeyPair>, Error> {
        let Self { account, place, wanted, .. } = self;
        let found = account.aws().describe_key_pairs(account.access(place), Some(&wanted.name), None).await?;
        let Some(pair) = found.into_iter().next() else { return Ok(None) };
        let of_ours = pair.tags.get(ATTEMPT).is_some_and(|tag| tag.starts_with(vault));
        // Without its public half it cannot be told whether the vault has the private one.
        let Some(blob) = public_blob(&pair) else { return Ok(None) };
        let is_held = custody.with_items(|items| holds(items, &blob))?;
        Ok(Some(pair).filter(|_| of_ours && !is_held))
    }

    /// Into the vault, in one save.
    async fn store(
        &self,
        custody: &Arc<Custody>,
        made: &CreatedKeyPair,
        around: &Surroundings,
    ) -> Result<SshKeyRow, Error> {
        let Wanted { key: name, options, .. } = self.wanted;
        let soft = key::import(made.material.expose().as_bytes(), None)?.key;
        let stored = of_soft(&soft, name, options, around)?;
        drop(soft);
        let shown = row(name, &stored);
        let name = name.clone();
        let put = move |items: &mut Items| ssh_key::put(items, name, stored);
        edit(custody.clone(), None, around.world.clock.wall(), put).await?;
        Ok(shown)
    }

    /// The private half is in the vault: nothing is left behind any more. Where AWS does not take the tag, the vault's own
    /// key says so.
    async fn is_over(&self, id: &str) {
        let tags = Tags::from([(ATTEMPT.to_owned(), ATTEMPT_DONE.to_owned())]);
        if let Err(error) = self.account.aws().create_tags(self.account.access(self.place), id, &tags).await {
            tracing::info!(%error, "the tag of a key pair that was made stays as it is");
        }
    }

    fn stranded(&self) -> Error {
        Error::KeypairStranded(self.wanted.name.clone(), self.place.region.clone())
    }
}

/// Whether the vault or its trash has a key.
fn holds(items: &Items, blob: &[u8]) -> bool {
    let removed = items.trash.iter().filter_map(|entry| match &entry.item {
        TrashedItem::SshKey(key) => Some(key),
        _ => None,
    });
    let is_it = |key: &SshKey| key::plain_blob(&key.public).is_ok_and(|own| own == blob);
    items.ssh_keys.values().chain(removed).any(is_it)
}
