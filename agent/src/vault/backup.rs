//! A backup is a vault file of its own: the same vault, with one slot that only a fresh recovery code opens. A restore
//! takes a backup, or any copy of a vault, in the vault's place.

use super::contents::Contents;
use super::crypto::{self, Key32};
use super::envelope::{self, Envelope, FILE_LIMIT};
use super::error::{Error, Result};
use super::folder::{self, MAIN, VaultFolder};
use super::header::Header;
use super::kdf::KdfCost;
use super::recovery::ConfirmedCode;
use super::save::{Copies, Save};
use super::slot::{Place, Slot};
use super::unlocked::Vault;
use crate::world::WallTime;
use claviger::model::{SlotKind, SlotProof};
use claviger::secret::Passphrase;
use std::io;
use std::path::Path;
use subtle::ConstantTimeEq;

/// A passphrase that a restored vault shall open with, and what a guess at it shall cost.
pub type NewPassphrase<'a> = (&'a Passphrase, KdfCost);

impl Vault {
    /// Writes a backup to a new file, mode 0600, and proves on the bytes on disk that the code opens it.
    /// The master key is new: the backup's code opens nothing but the backup. [`Error::BackupExists`] where there is
    /// a file, [`Error::BackupUnsaved`] where it cannot be written; then there is no file.
    pub fn back_up(&self, to: &Path, code: &ConfirmedCode, now: WallTime) -> Result<()> {
        let world = &self.folder.world;
        let master = crypto::random::<32>(world)?;
        let mut header = self.header.clone();
        let new = Slot::for_code(Place { world, vault_id: &header.vault_id, id: 1, now }, code.bits(), &master)?;
        let mut contents = self.contents.clone();
        contents.public_halves = vec![new.public_half()];
        contents.previous_state_key = None;
        header.slots = vec![new.slot];
        header.salt = *crypto::random(world)?;
        let plain = contents.write();
        let file = envelope::seal(&mut header, &master, &plain)?;
        let written = self.folder.write_new(to, &file);
        let written = written.and_then(|()| world.disk.sync_folder(to.parent().unwrap_or(Path::new("/"))));
        match written {
            Ok(()) => {}
            Err(source) if source.kind() == io::ErrorKind::AlreadyExists => return Err(Error::BackupExists),
            Err(source) => {
                drop(world.disk.remove(to));
                return Err(Error::BackupUnsaved { source });
            }
        }
        let back = world.disk.read(to, FILE_LIMIT).map_err(|source| Error::BackupUnsaved { source })?;
        let whole = back.is_some_and(|back| opens(&back, &new.opener, &plain));
        if whole { Ok(()) } else { Err(Error::BackupUnsaved { source: io::Error::other("it does not read back") }) }
    }
}

/// Whether the one slot of this file opens with this key, to this content.
fn opens(file: &[u8], opener: &Key32, plain: &[u8]) -> bool {
    let found = || {
        let envelope = Envelope::split(file).ok()?;
        let master = envelope.header.slots.first()?.open(&envelope.header.vault_id, opener).ok()??;
        envelope.open(&master).ok()
    };
    found().is_some_and(|found| bool::from(found.ct_eq(plain)))
}

impl VaultFolder {
    /// Puts a backup or a copy of a vault in the vault's place, and leaves it open. It keeps its slots and gets the
    /// new passphrase besides; one without a passphrase slot needs it ([`Error::PassphraseNeeded`]).
    ///
    /// A vault that is there becomes `vault.prev`, or `vault.damaged` where it cannot be read; without `replace` it is
    /// left alone ([`Error::Exists`]). The key of the state beside it is new, so that whatever state there is counts as
    /// lost: every step up to the next half minute is burned. It becomes a later version than those here and than the
    /// generation that `after` gives for a vault's id and the key of its audit record.
    pub fn restore(
        &self,
        from: &Path,
        proof: &SlotProof,
        passphrase: Option<NewPassphrase<'_>>,
        replace: bool,
        after: &dyn Fn(&[u8; 16], &Key32) -> u64,
        now: WallTime,
    ) -> Result<Vault> {
        if self.exists()? && !replace {
            return Err(Error::Exists);
        }
        let file = self.read_backup(from)?;
        let damaged = |error| if matches!(error, Error::Damaged) { Error::BackupDamaged } else { error };
        let envelope = Envelope::split(&file).map_err(damaged)?;
        let (_, _, old) = folder::find(&envelope.header, &envelope.header.slots, proof).map_err(damaged)?;
        let mut contents = Contents::read(&envelope.open(&old).map_err(damaged)?).map_err(damaged)?;
        let mut header = envelope.header;
        // Whoever could open the copy shall not open what is saved from now on by a key they remember.
        let master = crypto::random::<32>(&self.world)?;
        for slot in &mut header.slots {
            let public = contents.public_half(slot.id).ok_or(Error::BackupDamaged)?;
            slot.seal_master(&self.world, &header.vault_id, public, &master)?;
        }
        let tried = match passphrase {
            Some((phrase, cost)) => {
                let id = header.slots.iter().map(|slot| slot.id).max().unwrap_or(0) + 1;
                let at = Place { world: &self.world, vault_id: &header.vault_id, id, now };
                let new = Slot::for_passphrase(at, phrase, cost, &master)?;
                contents.public_halves.push(new.public_half());
                header.slots.push(new.slot);
                Some(new.opener)
            }
            None if header.slots.iter().any(|slot| slot.info().kind == Some(SlotKind::Passphrase)) => None,
            None => return Err(Error::PassphraseNeeded),
        };
        contents.renew_state_key(&self.world)?;
        contents.previous_state_key = None;
        contents.items.sweep(now);
        let replaces = self.set_aside()?;
        let standing = replaces.map_or(0, |(generation, _)| generation);
        let remembered = after(&header.vault_id, &contents.audit_key());
        header.generation = header.generation.max(standing).max(remembered) + 1;
        header.saved = now;
        header.salt = *crypto::random(&self.world)?;
        self.take_place(header, &master, contents, tried, replaces.map(|(_, mac)| mac), now)
    }

    /// The bytes of a file to restore.
    pub(super) fn read_backup(&self, from: &Path) -> Result<Vec<u8>> {
        match self.world.disk.read_linked(from, FILE_LIMIT) {
            Ok(Some(file)) => Ok(file),
            Ok(None) => Err(Error::BackupAbsent),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Err(Error::BackupDamaged),
            Err(source) => Err(Error::BackupUnreadable { source }),
        }
    }

    fn take_place(
        &self,
        mut header: Header,
        master: &Key32,
        contents: Contents,
        tried: Option<Box<Key32>>,
        replaces: Option<[u8; 32]>,
        now: WallTime,
    ) -> Result<Vault> {
        let plain = contents.write();
        let file = envelope::seal(&mut header, master, &plain)?;
        let written = Envelope::split(&file)?;
        if let (Some(opener), Some(slot)) = (tried, written.header.slots.last()) {
            slot.open(&header.vault_id, &opener)?.ok_or(Error::Damaged)?;
        }
        self.world.disk.create_private_folder(&self.folder).map_err(|source| Error::Unsaved { source })?;
        self.save(&Save { file: &file, master, plain: &plain, replaces, now }, Copies::Keep)?;
        Ok(Vault::new(self.clone(), header, written.mac, Box::new(master.clone()), contents))
    }

    /// What stands in the vault's place: its generation and MAC. One that cannot be read takes another name first.
    fn set_aside(&self) -> Result<Option<(u64, [u8; 32])>> {
        let main = self.path(MAIN);
        let standing = self.world.disk.read(&main, FILE_LIMIT);
        match standing.as_ref().map(|file| file.as_deref().map(Envelope::split)) {
            Ok(None) => return Ok(None),
            Ok(Some(Ok(envelope))) => return Ok(Some((envelope.header.generation, envelope.mac))),
            Ok(Some(Err(_))) | Err(_) => {}
        }
        self.world.disk.rename(&main, &self.path("vault.damaged")).map_err(|source| Error::Unsaved { source })?;
        Ok(None)
    }
}
