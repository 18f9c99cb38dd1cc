//! The vault, open: its items, its edits and its slots.

use super::anchor::Version;
use super::contents::Contents;
use super::copies;
use super::crypto::{self, Key32};
use super::device_slot::{DeviceSlot, Point};
use super::envelope::{self, Envelope};
use super::error::{Error, Result};
use super::folder::{self, Opener, VaultFolder};
use super::header::Header;
use super::items::Items;
use super::kdf::KdfCost;
use super::recovery::ConfirmedCode;
use super::save::{Copies, Save};
use super::slot::{KeyringPlace, NewSlot, Place, SLOT_LIMIT, Slot, SlotInfo};
use super::state::StateAccess;
use crate::world::WallTime;
use claviger::model::SlotProof;
use claviger::secret::{Passphrase, Secret};
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// An open vault. Dropping it wipes the master key and every secret that nobody else still holds.
pub struct Vault {
    pub(super) folder: VaultFolder,
    pub(super) header: Header,
    /// Names the version on disk that this one came from.
    mac: [u8; 32],
    master: Box<Key32>,
    pub(super) contents: Contents,
    /// A purge of copies did not succeed; the next save tries again.
    copies_left: bool,
    /// No power loss brings the version before back.
    durable: bool,
}

impl Vault {
    pub(super) fn new(
        folder: VaultFolder,
        header: Header,
        mac: [u8; 32],
        master: Box<Key32>,
        contents: Contents,
    ) -> Self {
        Self { folder, header, mac, master, contents, copies_left: false, durable: true }
    }

    /// What it holds.
    pub fn items(&self) -> &Items {
        &self.contents.items
    }

    /// The master key, for whoever locks its pages in memory.
    pub(super) fn master_key(&self) -> &[u8] {
        self.master.as_slice()
    }

    /// How often it has been saved.
    pub fn generation(&self) -> u64 {
        self.header.generation
    }

    /// Its version on disk.
    pub(super) fn version(&self) -> Version {
        Version { generation: self.header.generation, mac: self.mac, saved: self.header.saved }
    }

    /// Whether the disk has confirmed the last save.
    pub(super) fn is_durable(&self) -> bool {
        self.durable
    }

    /// Makes the name of a file that was found durable: a crash may have come before. Whether it is.
    pub(super) fn make_durable(&self) -> bool {
        self.folder.world.disk.sync_folder(&self.folder.folder).is_ok()
    }

    /// What [`State::open`](super::State::open) and [`State::follow`](super::State::follow) need.
    pub fn state_access(&self) -> StateAccess {
        StateAccess {
            vault_id: self.header.vault_id,
            key: Arc::clone(&self.contents.state_key),
            previous: self.contents.previous_state_key.clone(),
            newborn: self.header.generation == 1,
        }
    }

    /// The key of the audit record; it stays the same for the vault's life.
    pub(super) fn audit_key(&self) -> Key32 {
        self.contents.audit_key()
    }

    /// The vault's id.
    pub(super) fn id(&self) -> [u8; 16] {
        self.header.vault_id
    }

    /// Changes the items and saves. Where the change or the save fails, the old items stand; only
    /// [`Error::Unsynced`] means that the new ones do.
    pub fn edit<R, E: From<Error>>(
        &mut self,
        now: WallTime,
        change: impl FnOnce(&mut Items) -> std::result::Result<R, E>,
    ) -> std::result::Result<R, E> {
        let mut contents = self.contents.clone();
        let changed = change(&mut contents.items)?;
        self.save(self.header.clone(), contents, now)?;
        Ok(changed)
    }

    /// Opens a slot afresh: its id. [`Error::WrongProof`] where the proof opens none.
    pub fn prove(&self, proof: &SlotProof) -> Result<u32> {
        self.proven_by(&Opener::find(&self.header, proof)?)
    }

    /// The same with what the proof has been made into.
    pub(super) fn proven_by(&self, opener: &Opener) -> Result<u32> {
        let master = opener.open(&self.header)?;
        if bool::from(master.ct_eq(self.master.as_slice())) { Ok(opener.slot()) } else { Err(Error::Damaged) }
    }

    /// The slots.
    pub fn slots(&self) -> Vec<SlotInfo> {
        self.header.slots.iter().map(Slot::info).collect()
    }

    /// The public halves of the keys of PIV cards that open it.
    pub(super) fn keys_on_cards(&self) -> Vec<Point> {
        let key = |slot: SlotInfo| match slot.device {
            Some(DeviceSlot::Piv(key)) => Some(key.public),
            _ => None,
        };
        self.slots().into_iter().filter_map(key).collect()
    }

    /// Adds a passphrase slot, against a proof of any slot: the new slot's id.
    pub fn add_passphrase(
        &mut self,
        proof: &SlotProof,
        phrase: &Passphrase,
        cost: KdfCost,
        now: WallTime,
    ) -> Result<u32> {
        self.add(proof, now, |at, master| Slot::for_passphrase(at, phrase, cost, master))
    }

    /// Adds a recovery slot, against a proof of any slot: the new slot's id.
    pub fn add_recovery(&mut self, proof: &SlotProof, code: &ConfirmedCode, now: WallTime) -> Result<u32> {
        self.add(proof, now, |at, master| Slot::for_code(at, code.bits(), master))
    }

    /// Where a further keyring slot would lie.
    pub(super) fn next_place(&self) -> KeyringPlace {
        KeyringPlace { vault_id: self.header.vault_id, slot: next_id(&self.header) }
    }

    /// Adds a keyring slot, against a proof of any slot of a person. `id` is the one of [`next_place`](Self::next_place):
    /// [`Error::Interrupted`] where another slot has taken it since.
    pub(super) fn add_keyring(
        &mut self,
        proof: &SlotProof,
        secret: &Secret<[u8; 32]>,
        id: u32,
        now: WallTime,
    ) -> Result<()> {
        if next_id(&self.header) != id {
            return Err(Error::Interrupted);
        }
        self.add(proof, now, |at, master| Slot::for_keyring(at, secret, master)).map(drop)
    }

    /// Adds a slot that a device opens with this secret, against a proof of any slot: the new slot's id.
    pub fn add_device(
        &mut self,
        proof: &SlotProof,
        device: DeviceSlot,
        secret: &Secret<[u8; 32]>,
        now: WallTime,
    ) -> Result<u32> {
        self.add(proof, now, |at, master| Slot::for_device(at, device, secret, master))
    }

    /// Whether there is room for a further slot; else [`Error::SlotsFull`].
    pub(super) fn require_room(&self) -> Result<()> {
        if self.header.slots.len() < SLOT_LIMIT { Ok(()) } else { Err(Error::SlotsFull) }
    }

    /// Removes a slot, against a proof of one that stays ([`Error::ProofGoes`] or [`Error::WrongProof`] otherwise): the
    /// vault gets a new master key, sealed to the slots that stay, and copies that the slot opens are deleted. A crash at any point
    /// leaves the old vault, or the new one and copies that the next open deletes. The state's key is new as well:
    /// call [`State::follow`](super::State::follow). Copies that a person made elsewhere still open with the slot.
    /// Refuses the last slot that a person can open ([`Error::LastSlot`]), and the last one that needs no device
    /// ([`Error::OnlyDevices`]).
    pub fn remove_slot(&mut self, id: u32, proof: &SlotProof, now: WallTime) -> Result<()> {
        self.remove(id, proof, false, now)
    }

    /// The same, also where only devices are left then.
    pub(super) fn remove(&mut self, id: u32, proof: &SlotProof, only_devices: bool, now: WallTime) -> Result<()> {
        let world = &self.folder.world;
        let mut header = self.header.clone();
        header.slots.retain(|slot| slot.id != id);
        if header.slots.len() == self.header.slots.len() {
            return Err(Error::SlotNotFound);
        }
        if !header.slots.iter().any(|slot| slot.info().for_a_person()) {
            return Err(Error::LastSlot);
        }
        let needs_none = |header: &Header| header.slots.iter().any(|slot| slot.info().without_device());
        if !only_devices && needs_none(&self.header) && !needs_none(&header) {
            return Err(Error::OnlyDevices);
        }
        let goes = |slot: &Slot| slot.id == id && folder::find(&header, std::slice::from_ref(slot), proof).is_ok();
        let (keeper, opener, _) = match folder::find(&header, &header.slots, proof) {
            // The one who knows the slot that goes has guessed nothing.
            Err(Error::WrongProof) if self.header.slots.iter().any(goes) => {
                return Err(Error::ProofGoes { slot: id, recovery: matches!(proof, SlotProof::Recovery(_)) });
            }
            found => found?,
        };
        let master = Box::new(crypto::random::<32>(world)?);
        for slot in &mut header.slots {
            let public = self.contents.public_half(slot.id).ok_or(Error::Damaged)?;
            slot.seal_master(world, &header.vault_id, public, &master)?;
        }
        let mut contents = self.contents.clone();
        contents.public_halves.retain(|half| half.id != id);
        contents.renew_state_key(world)?;
        header.oldest_copy = header.generation + 1;
        self.write(header, contents, master, Copies::Purge, Some((keeper, opener)), now)
    }

    fn add(
        &mut self,
        proof: &SlotProof,
        now: WallTime,
        make: impl FnOnce(Place<'_>, &Key32) -> Result<NewSlot>,
    ) -> Result<u32> {
        self.prove(proof)?;
        let mut header = self.header.clone();
        self.require_room()?;
        let id = next_id(&header);
        let new = make(Place { world: &self.folder.world, vault_id: &header.vault_id, id, now }, &self.master)?;
        let mut contents = self.contents.clone();
        contents.public_halves.push(new.public_half());
        header.slots.push(new.slot);
        let master = self.master.clone();
        self.write(header, contents, master, Copies::Keep, Some((id, new.opener)), now)?;
        Ok(id)
    }

    /// Saves what it holds as a version later than this generation as well.
    pub(super) fn save_after(&mut self, generation: u64, now: WallTime) -> Result<()> {
        let mut header = self.header.clone();
        header.generation = header.generation.max(generation);
        self.save(header, self.contents.clone(), now)
    }

    fn save(&mut self, header: Header, mut contents: Contents, now: WallTime) -> Result<()> {
        // The state has followed by now: it is written anew at every open.
        contents.previous_state_key = None;
        let master = self.master.clone();
        self.write(header, contents, master, Copies::Keep, None, now)
    }

    /// Saves this as the next generation, and takes it over where it stands on disk. `tried` is a slot that must open
    /// the bytes about to be written, and what opens it.
    fn write(
        &mut self,
        mut header: Header,
        mut contents: Contents,
        master: Box<Key32>,
        copies: Copies,
        tried: Option<(u32, Box<Key32>)>,
        now: WallTime,
    ) -> Result<()> {
        header.generation += 1;
        header.saved = now;
        header.salt = *crypto::random(&self.folder.world)?;
        contents.items.sweep(now);
        let plain = contents.write();
        let file = envelope::seal(&mut header, &master, &plain)?;
        let written = Envelope::split(&file)?;
        if let Some((id, opener)) = tried {
            let slot = written.header.slots.iter().find(|slot| slot.id == id).ok_or(Error::Damaged)?;
            let found = slot.open(&header.vault_id, &opener)?.ok_or(Error::Damaged)?;
            if !bool::from(found.ct_eq(master.as_slice())) {
                return Err(Error::Damaged);
            }
        }
        let mac = written.mac;
        let save = Save { file: &file, master: &master, plain: &plain, replaces: Some(self.mac), now };
        let saved = self.folder.save(&save, copies);
        if matches!(saved, Ok(()) | Err(Error::Unsynced { .. } | Error::CopiesLeft { .. })) {
            self.copies_left |= copies == Copies::Purge && saved.is_err();
            (self.header, self.mac, self.master, self.contents) = (header, mac, master, contents);
            self.durable = !matches!(saved, Err(Error::Unsynced { .. }));
        }
        if self.copies_left && saved.is_ok() {
            copies::clear_leftovers(&self.folder, &self.header);
            self.copies_left = false;
        }
        saved
    }
}

fn next_id(header: &Header) -> u32 {
    header.slots.iter().map(|slot| slot.id).max().unwrap_or(0) + 1
}
