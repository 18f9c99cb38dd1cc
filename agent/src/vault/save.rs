//! The write protocol: at every moment the vault's name leads to a whole vault, the old one or the new one.

use super::copies;
use super::crypto::Key32;
use super::envelope::{Envelope, FILE_LIMIT};
use super::error::{Error, Result};
use super::folder::{MAIN, VaultFolder};
use crate::world::{Defence, WallTime};
use std::io;
use std::path::{Path, PathBuf};
use subtle::ConstantTimeEq;

/// The file a save is written to before it takes the vault's name.
pub(super) const TEMP: &str = "vault.new";

/// A vault about to be written.
pub(super) struct Save<'a> {
    pub(super) file: &'a [u8],
    pub(super) master: &'a Key32,
    pub(super) plain: &'a [u8],
    /// The header MAC of the vault that must stand on disk; None where there must be none.
    pub(super) replaces: Option<[u8; 32]>,
    pub(super) now: WallTime,
}

/// What becomes of the copies of earlier vaults.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Copies {
    /// The vault that is replaced joins them.
    Keep,
    /// All go, the replaced one too: the master key is new because a slot was removed.
    Purge,
}

impl VaultFolder {
    /// Saves. [`Error::Unsynced`] and [`Error::CopiesLeft`] mean that the new vault stands; any other error that the
    /// old one does.
    pub(super) fn save(&self, save: &Save<'_>, copies: Copies) -> Result<()> {
        let standing = self.standing(save.replaces)?;
        let prepared = self.write_temp(save).and_then(|()| match &standing {
            Some(standing) if copies == Copies::Keep => copies::keep(self, standing, save.now),
            _ => Ok(()),
        });
        if let Err(source) = prepared.and_then(|()| self.take_name(save)) {
            // Best effort: on a full disk this gives the space back.
            drop(self.world.disk.remove(&self.temp()));
            return Err(Error::Unsaved { source });
        }
        self.world.disk.sync_folder(&self.folder).map_err(|source| Error::Unsynced { source })?;
        match copies {
            Copies::Keep => copies::prune(self, save.now),
            Copies::Purge => copies::purge(self).map_err(|source| Error::CopiesLeft { source })?,
        }
        Ok(())
    }

    /// The bytes of the vault on disk, which must be the one that was opened, or absent with it.
    fn standing(&self, replaces: Option<[u8; 32]>) -> Result<Option<Vec<u8>>> {
        let file = self.world.disk.read(&self.path(MAIN), FILE_LIMIT).map_err(|source| Error::Unsaved { source })?;
        match (file, replaces) {
            (None, None) => Ok(None),
            (Some(_), None) => Err(Error::Exists),
            (Some(file), Some(mac)) if Envelope::split(&file).is_ok_and(|found| found.mac == mac) => Ok(Some(file)),
            _ => Err(Error::ChangedOnDisk),
        }
    }

    /// Writes the file beside the vault, and reads it back as a later unlock will.
    fn write_temp(&self, save: &Save<'_>) -> io::Result<()> {
        let temp = self.temp();
        self.world.disk.remove(&temp)?;
        self.write_new(&temp, save.file)?;
        let back = self.world.disk.read(&temp, FILE_LIMIT)?.unwrap_or_default();
        let whole = Envelope::split(&back)
            .and_then(|envelope| envelope.open(save.master))
            .is_ok_and(|plain| bool::from(plain.ct_eq(save.plain)));
        if whole && back == save.file { Ok(()) } else { Err(io::Error::other("the file does not read back")) }
    }

    fn temp(&self) -> PathBuf {
        self.path(if Defence::AtomicSave.stands() { TEMP } else { MAIN })
    }

    /// A new file with these bytes, durable before this returns.
    pub(super) fn write_new(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.world.disk.create_new(path)?;
        file.write_all(bytes)?;
        file.sync()
    }

    /// Moves the new file over the vault. A rename that says it failed may have happened, so the disk is asked.
    fn take_name(&self, save: &Save<'_>) -> io::Result<()> {
        let main = self.path(MAIN);
        let Err(error) = self.world.disk.rename(&self.temp(), &main) else { return Ok(()) };
        let stands = self.world.disk.read(&main, FILE_LIMIT).ok().flatten();
        if stands.is_some_and(|file| file == save.file) { Ok(()) } else { Err(error) }
    }
}
