//! The folder that a vault lies in, while the vault is closed.

use super::contents::Contents;
use super::copies;
use super::crypto::{self, Key32};
use super::envelope::{self, Envelope, FILE_LIMIT};
use super::error::{Error, Result};
use super::header::{FORMAT, Header};
use super::json::Extra;
use super::kdf::KdfCost;
use super::recovery::ConfirmedCode;
use super::save::{Copies, Save};
use super::slot::{KeyringPlace, NewSlot, Place, PublicHalf, Slot, SlotInfo};
use super::unlocked::Vault;
use crate::world::{WallTime, World};
use claviger::model::{SlotKind, SlotProof};
use claviger::secret::{Passphrase, Secret};
use std::io;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The vault's file name.
pub(super) const MAIN: &str = "vault";

/// Where a vault is, or will be. Cheap to clone.
#[derive(Clone)]
pub struct VaultFolder {
    pub(super) world: World,
    pub(super) folder: PathBuf,
}

impl VaultFolder {
    /// The vault in this folder; nothing is touched yet.
    pub fn new(world: World, folder: PathBuf) -> Self {
        Self { world, folder }
    }

    /// Whether there is a vault, readable or not.
    pub fn exists(&self) -> Result<bool> {
        let names = self.world.disk.names(&self.folder).map_err(|source| Error::Unreadable { source })?;
        Ok(names.iter().any(|name| name == MAIN))
    }

    /// The slots, as the header names them. No key is needed, so nothing but a checksum vouches for the answer.
    pub fn slots(&self) -> Result<Vec<SlotInfo>> {
        let file = self.read()?;
        Ok(Envelope::split(&file)?.header.slots.iter().map(Slot::info).collect())
    }

    /// The slots of a backup or a copy of a vault, likewise.
    pub(super) fn slots_of(&self, from: &Path) -> Result<Vec<SlotInfo>> {
        let file = self.read_backup(from)?;
        let envelope = Envelope::split(&file).map_err(|error| match error {
            Error::Damaged => Error::BackupDamaged,
            other => other,
        })?;
        Ok(envelope.header.slots.iter().map(Slot::info).collect())
    }

    /// The vault's id, as the header names it: like [`VaultFolder::slots`], for finding things and not for trust.
    pub fn id(&self) -> Result<[u8; 16]> {
        let file = self.read()?;
        Ok(Envelope::split(&file)?.header.vault_id)
    }

    /// Makes a vault of two slots, the passphrase's and the recovery code's, proves on the bytes about to be written
    /// that both open it, and saves it. There is no way to have the file without a confirmed code.
    /// Refuses where there is a vault ([`Error::Exists`]) and what [`check_passphrase`](super::check_passphrase) does.
    pub fn create(&self, passphrase: &Passphrase, cost: KdfCost, code: &ConfirmedCode, now: WallTime) -> Result<Vault> {
        if self.exists()? {
            return Err(Error::Exists);
        }
        let master = crypto::random::<32>(&self.world)?;
        let vault_id = *crypto::random::<16>(&self.world)?;
        let at = |id| Place { world: &self.world, vault_id: &vault_id, id, now };
        let slots =
            [Slot::for_passphrase(at(1), passphrase, cost, &master)?, Slot::for_code(at(2), code.bits(), &master)?];
        let mut contents = Contents::new(&self.world)?;
        contents.public_halves = slots.iter().map(NewSlot::public_half).collect();
        let mut header = Header {
            format: FORMAT,
            min_reader: FORMAT,
            vault_id,
            generation: 1,
            oldest_copy: 1,
            created: now,
            saved: now,
            salt: *crypto::random(&self.world)?,
            payload_length: 0,
            slots: slots.iter().map(|new| new.slot.clone()).collect(),
            extra: Extra::default(),
        };
        let plain = contents.write();
        let file = envelope::seal(&mut header, &master, &plain)?;
        let written = Envelope::split(&file)?;
        for (slot, new) in written.header.slots.iter().zip(&slots) {
            slot.open(&vault_id, &new.opener)?.ok_or(Error::Damaged)?;
        }
        self.world.disk.create_private_folder(&self.folder).map_err(|source| Error::Unsaved { source })?;
        let save = Save { file: &file, master: &master, plain: &plain, replaces: None, now };
        self.save(&save, Copies::Keep)?;
        Ok(Vault::new(self.clone(), header, written.mac, Box::new(master), contents))
    }

    /// Opens the vault with a passphrase or a recovery code, whichever slot it belongs to, and clears away what a
    /// crash left. [`Error::Absent`], [`Error::Newer`], [`Error::Damaged`], [`Error::WrongProof`],
    /// [`Error::NoMemory`] and [`Error::Unreadable`] leave every file as it was.
    pub fn open(&self, proof: &SlotProof) -> Result<Vault> {
        let file = self.read()?;
        let envelope = Envelope::split(&file)?;
        let (_, _, master) = find(&envelope.header, &envelope.header.slots, proof)?;
        self.enter(envelope, master)
    }

    /// What opens a slot, made of a proof. This is what takes most of a second. Errors as [`open`](Self::open).
    pub(super) fn opener(&self, proof: &SlotProof) -> Result<Opener> {
        let file = self.read()?;
        Opener::find(&Envelope::split(&file)?.header, proof)
    }

    /// Opens the vault as it is now with what opens a slot. [`Error::WrongProof`] where it does not any more.
    pub(super) fn open_by(&self, opener: &Opener) -> Result<Vault> {
        let file = self.read()?;
        let envelope = Envelope::split(&file)?;
        let master = opener.open(&envelope.header)?;
        self.enter(envelope, master)
    }

    /// The keyring slots, as the header names them.
    pub(super) fn keyring_places(&self) -> Result<Vec<KeyringPlace>> {
        let file = self.read()?;
        let header = Envelope::split(&file)?.header;
        let keyring = header.slots.iter().map(Slot::info).filter(|slot| slot.kind == Some(SlotKind::Keyring));
        Ok(keyring.map(|slot| KeyringPlace { vault_id: header.vault_id, slot: slot.id }).collect())
    }

    /// Opens the vault with what a keyring holds for this slot. Errors as [`open`](Self::open).
    pub(super) fn open_by_keyring(&self, slot: u32, secret: &Secret<[u8; 32]>) -> Result<Vault> {
        let file = self.read()?;
        let envelope = Envelope::split(&file)?;
        let header = &envelope.header;
        let slot = header.slots.iter().find(|found| found.id == slot).ok_or(Error::WrongProof)?;
        let opener = slot.keyring_opener(secret).ok_or(Error::WrongProof)?;
        let master = slot.open(&header.vault_id, &opener)?.ok_or(Error::WrongProof)?;
        self.enter(envelope, master)
    }

    fn enter(&self, envelope: Envelope<'_>, master: Box<Key32>) -> Result<Vault> {
        let contents = Contents::read(&envelope.open(&master)?)?;
        copies::clear_leftovers(self, &envelope.header);
        Ok(Vault::new(self.clone(), envelope.header, envelope.mac, master, contents))
    }

    /// Opens the vault with its master key alone. The same errors; a key that is not this vault's is
    /// [`Error::Damaged`].
    pub(super) fn open_with(&self, master: Box<Key32>) -> Result<Vault> {
        let file = self.read()?;
        self.enter(Envelope::split(&file)?, master)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The file's bytes.
    fn read(&self) -> Result<Vec<u8>> {
        match self.world.disk.read(&self.path(MAIN), FILE_LIMIT) {
            Ok(Some(file)) => Ok(file),
            Ok(None) => Err(Error::Absent),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Err(Error::Damaged),
            Err(source) => Err(Error::Unreadable { source }),
        }
    }
}

impl NewSlot {
    pub(super) fn public_half(&self) -> PublicHalf {
        PublicHalf { id: self.slot.id, public: Zeroizing::new(self.public) }
    }
}

/// What opens a slot.
pub(super) struct Opener {
    slot: u32,
    key: Box<Key32>,
}

impl Opener {
    /// Made of a proof that opens one of the slots; [`Error::WrongProof`] where it opens none.
    pub(super) fn find(header: &Header, proof: &SlotProof) -> Result<Self> {
        let (slot, key, _) = find(header, &header.slots, proof)?;
        Ok(Self { slot, key })
    }

    /// The slot's id.
    pub(super) fn slot(&self) -> u32 {
        self.slot
    }

    /// The master key; [`Error::WrongProof`] where the slot is gone or another.
    pub(super) fn open(&self, header: &Header) -> Result<Box<Key32>> {
        let slot = header.slots.iter().find(|slot| slot.id == self.slot).ok_or(Error::WrongProof)?;
        slot.open(&header.vault_id, &self.key)?.ok_or(Error::WrongProof)
    }
}

/// The slot among these that the proof opens: its id, what opened it, and the master key.
pub(super) fn find(header: &Header, slots: &[Slot], proof: &SlotProof) -> Result<(u32, Box<Key32>, Box<Key32>)> {
    for slot in slots {
        let Some(opener) = slot.opener(proof)? else { continue };
        if let Some(master) = slot.open(&header.vault_id, &opener)? {
            return Ok((slot.id, opener, master));
        }
    }
    // No guess: what counts those is the device.
    Err(if matches!(proof, SlotProof::Answered(_)) { Error::WrongDevice } else { Error::WrongProof })
}
