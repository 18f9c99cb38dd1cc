//! What notices that the vault's file is an older one than was there before: its last version, remembered elsewhere.
//!
//! No file format can: an older file is a whole and honest vault. So each save is told to others once it is durable, in
//! this order; they may lag behind the file, after a crash, but never lead it. One of them that leads says that the file
//! was put back, or went another way from a common past. `docs/decisions/0016-*` says why these.

use super::crypto::{self, Key32};
use super::error::{Error, Result};
use super::json::{Fields, Node};
use crate::world::{WallTime, World};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::io;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Longest file of the runtime folder that is read.
const FILE_LIMIT: u64 = 4096;

/// A version of the vault: what its file says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// How often the vault has been saved.
    pub generation: u64,
    /// The header MAC, which no other version has.
    pub mac: [u8; 32],
    /// When it was saved.
    pub saved: WallTime,
}

impl Version {
    /// Whether a file of this version cannot come before `found`: a later save, or another one of the same number.
    fn leads(&self, found: &Self) -> bool {
        self.generation > found.generation || (self.generation == found.generation && self.mac != found.mac)
    }

    pub(super) fn members(&self) -> [(&'static str, Node<'_>); 3] {
        [
            ("generation", Node::count(self.generation)),
            ("mac", Node::Bytes(&self.mac)),
            ("saved", Node::time(self.saved)),
        ]
    }

    pub(super) fn read(fields: &mut Fields) -> Result<Self> {
        Ok(Self { generation: fields.number("generation")?, mac: *fields.array("mac")?, saved: fields.time("saved")? })
    }
}

/// Where a version is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// In the memory of this agent, while it lives.
    Agent,
    /// In the audit record, sealed by the record's key.
    Record,
    /// In the runtime folder, sealed by a key of the vault, until the machine restarts.
    Runtime,
    /// In the sealed state beside the vault.
    State,
}

impl Anchor {
    /// As `status` shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "the running agent",
            Self::Record => "the audit record",
            Self::Runtime => "the runtime folder",
            Self::State => "the state file",
        }
    }
}

/// The vault that is open is an older one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Older {
    /// What was opened.
    pub found: Version,
    /// The latest that is remembered.
    pub known: Version,
    /// Who remembers a later one than was opened.
    pub by: Vec<Anchor>,
}

impl Older {
    /// What the anchors say of the version found; None where it is the latest that any of them knows.
    pub(super) fn of(found: Version, remembered: &[(Anchor, Version)]) -> Option<Self> {
        let leading: Vec<_> = remembered.iter().filter(|(_, known)| known.leads(&found)).collect();
        let (_, known) = leading.iter().max_by_key(|(_, known)| known.generation)?;
        Some(Self { found, known: *known, by: leading.iter().map(|(anchor, _)| *anchor).collect() })
    }

    /// Names exactly this pair of versions: what a person was shown is what they agree to.
    pub fn digest(&self) -> String {
        HEXLOWER.encode(&Sha256::digest([self.found.mac, self.known.mac].concat()))
    }

    pub(super) fn error(&self) -> Error {
        Error::RolledBack { found: self.found.generation, known: self.known.generation }
    }
}

/// Remembers versions where this room does not write: the audit record. Called with the vault's lock held.
pub trait Witness: Send + Sync {
    /// The last version of this vault that was remembered; `key` is the one of its record.
    fn last(&self, vault_id: &[u8; 16], key: &Zeroizing<[u8; 32]>) -> Option<Version>;
    /// A version was saved and is durable.
    fn remember(&self, vault_id: &[u8; 16], version: &Version);
}

/// The anchors outside the data folder's own files.
pub(super) struct Outside {
    /// Runtime folders, best first.
    pub(super) folders: Vec<PathBuf>,
    pub(super) witness: Box<dyn Witness>,
}

/// The files of a vault in the runtime folders.
pub(super) struct RuntimeFiles<'a> {
    world: &'a World,
    folders: &'a [PathBuf],
    vault_id: &'a [u8; 16],
    key: Key32,
}

impl<'a> RuntimeFiles<'a> {
    /// `audit_key` stays the same for the vault's life, so what it seals is read after a removed slot as well.
    pub(super) fn new(world: &'a World, folders: &'a [PathBuf], vault_id: &'a [u8; 16], audit_key: &Key32) -> Self {
        Self { world, folders, vault_id, key: crypto::derive(audit_key.as_slice(), vault_id, "claviger/v1/anchor") }
    }

    /// The latest version that one of them holds. What cannot be read, or was not written by this vault, is none.
    pub(super) fn read(&self) -> Option<Version> {
        let read = |folder: &PathBuf| {
            let file = self.world.disk.read(&folder.join(self.name()), FILE_LIMIT).ok()??;
            let text = crypto::open_record(&self.key, self.vault_id, &file)?;
            Version::read(&mut Fields::parse(&text).ok()?).ok()
        };
        self.folders.iter().filter_map(read).max_by_key(|version| version.generation)
    }

    /// Writes it to the first folder that takes it.
    pub(super) fn write(&self, version: &Version) {
        let text = Node::Object(version.members().into()).write();
        let Ok(sealed) = crypto::seal_record(self.world, &self.key, self.vault_id, &text) else { return };
        if !self.folders.iter().any(|folder| self.write_in(folder, &sealed).is_ok()) && !self.folders.is_empty() {
            tracing::warn!("no runtime folder takes a note of the vault's version");
        }
    }

    fn write_in(&self, folder: &Path, bytes: &[u8]) -> io::Result<()> {
        let disk = &self.world.disk;
        // `/run/user/UID` is the system's to make: where it is missing, the next folder serves.
        if folder.starts_with("/run/user") && disk.stamp(folder.parent().unwrap_or(folder))?.is_none() {
            return Err(io::ErrorKind::NotFound.into());
        }
        disk.create_private_folder(folder)?;
        let (path, temp) = (folder.join(self.name()), folder.join(format!("{}.new", self.name())));
        disk.remove(&temp)?;
        // Not synced: what a power loss tears is no anchor, and the folder is gone by then in most places.
        disk.create_new(&temp)?.write_all(bytes)?;
        disk.rename(&temp, &path)
    }

    fn name(&self) -> String {
        format!("vault-{}.anchor", HEXLOWER.encode(self.vault_id))
    }
}
