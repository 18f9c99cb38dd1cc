//! The keyring slot: opens the vault without a person, unless a person locked it.

use super::{Custody, LockedBy};
use crate::vault::{Error, KeyringPlace, Result, Vault};
use crate::world::{WallTime, on_wiped_stack};
use claviger::model::{SlotKind, SlotProof};
use claviger::secret::Secret;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

/// Lies beside a vault with a keyring slot from `claviger lock` until a person opens it: a restart in between must not
/// let the keyring in.
const BARRED: &str = "locked";

/// The keyring may open the vault now, until the next lock.
pub struct KeyringChance {
    /// The slots that it may hold a secret of.
    pub places: Vec<KeyringPlace>,
    locks: u64,
}

impl Custody {
    /// A chance for the keyring; None where the vault is open, has no keyring slot, or a person locked it. Reads the
    /// vault's header.
    pub fn keyring_chance(&self) -> Option<KeyringChance> {
        let locks = self.locks.load(Ordering::Acquire);
        let barred = {
            let quick = self.quick();
            quick.open.is_some() || quick.locked_by == LockedBy::Command
        };
        if barred {
            return None;
        }
        let places = self.folder.keyring_places().ok().filter(|places| !places.is_empty())?;
        // A folder that cannot be listed may hold the mark.
        let names = self.world.disk.names(&self.folder.folder).ok()?;
        (!names.iter().any(|name| name == BARRED)).then_some(KeyringChance { places, locks })
    }

    /// Opens the vault with what the keyring holds for a slot. No guess: a wrong one makes no person wait.
    /// [`Error::Locked`] where a lock came since the chance was given, [`Error::WrongProof`] where the slot does not open.
    pub fn unlock_by_keyring(
        &self,
        chance: &KeyringChance,
        slot: u32,
        secret: &Secret<[u8; 32]>,
        now: WallTime,
    ) -> Result<()> {
        on_wiped_stack(|| {
            let mut vault = self.vault();
            if vault.is_some() {
                return Ok(());
            }
            let opened = self.folder.open_by_keyring(slot, secret)?;
            self.open(&mut vault, opened, chance.locks, now)
        })
    }

    /// Where the next keyring slot would lie, against a slot proof.
    pub fn place_keyring(&self, proof: &SlotProof) -> Result<KeyringPlace> {
        self.prove(proof)?;
        Ok(self.vault().as_ref().ok_or(Error::Locked)?.next_place())
    }

    /// Adds a keyring slot against a proof of another. [`Error::Interrupted`] where its place was taken meanwhile.
    pub fn add_keyring(
        &self,
        proof: &SlotProof,
        place: KeyringPlace,
        secret: &Secret<[u8; 32]>,
        now: WallTime,
    ) -> Result<()> {
        on_wiped_stack(|| {
            let mut vault = self.vault();
            let open = self.editable(&mut vault)?;
            let added = self.guess(|| open.add_keyring(proof, secret, place.slot, now));
            self.tell_anchors(open);
            added
        })
    }

    /// The keyring slot of this id, if there is one.
    pub fn keyring_place(&self, slot: u32) -> Result<Option<KeyringPlace>> {
        Ok(self.folder.keyring_places()?.into_iter().find(|place| place.slot == slot))
    }

    /// A person has locked the vault: until one opens it the keyring does not, also after a restart.
    pub(super) fn bar_keyring(&self) {
        if !self.folder.keyring_places().is_ok_and(|places| !places.is_empty()) {
            return;
        }
        let marked = match self.world.disk.create_new(&self.mark()) {
            Ok(_) => self.world.disk.sync_folder(&self.folder.folder),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = marked {
            tracing::warn!(%error, "after a restart the keyring may open the vault");
        }
    }

    /// A person has opened it.
    pub(super) fn allow_keyring(&self, vault: Option<&Vault>) {
        let slots = vault.map(Vault::slots).unwrap_or_default();
        if !slots.iter().any(|slot| slot.kind == Some(SlotKind::Keyring)) {
            return;
        }
        if let Err(error) = self.world.disk.remove(&self.mark()) {
            tracing::warn!(%error, "after a restart the keyring does not open the vault");
        }
    }

    fn mark(&self) -> PathBuf {
        self.folder.folder.join(BARRED)
    }
}
