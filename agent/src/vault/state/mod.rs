//! The state beside the vault: what changes too often for the vault, sealed under a key that the vault holds.
//!
//! One append-only file: the TOTP ledger, live sessions as opaque bytes, the head of the audit record, the vault's version. It is written
//! anew, compact and under a fresh key, at every open and when it has grown. A write that fails spoils nothing: the
//! next one goes to a fresh file. A state that cannot be read is no reason to stay closed: it counts as lost, and
//! every step up to the one after now counts as burned.

mod content;
mod ledger;
mod log;
#[cfg(test)]
mod mutations;

use super::anchor::Version;
use super::crypto::Key32;
use super::error::{Error, Result};
use crate::world::{Defence, WallTime, World};
use claviger::model::MfaSerial;
use content::Content;
use log::{Log, Read};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Seconds in a TOTP step of AWS (RFC 6238, the default).
const STEP_SECONDS: i64 = 30;

/// What names a sealed session.
pub type SessionId = [u8; 32];

/// The vault's leave to read and write its state.
pub struct StateAccess {
    pub(super) vault_id: [u8; 16],
    pub(super) key: Arc<Key32>,
    pub(super) previous: Option<Arc<Key32>>,
    /// The vault has never been saved since it was created, so no code can have been spent with it.
    pub(super) newborn: bool,
}

/// The last record of the audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditHead {
    /// Its number.
    pub seq: u64,
    /// Its place in the chain.
    pub mac: [u8; 32],
}

/// What [`State::open`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// A file that is not what was written: lost.
    Damaged,
    /// None yet, as it should be: the vault is new.
    Fresh,
    /// All of it.
    Found,
    /// No file, though the vault has been used: lost.
    Missing,
    /// The state of another vault: lost.
    OtherVault,
    /// All but the last write, which a crash cut off. The ledger counts as lost, the rest is there.
    Torn,
}

impl Opened {
    /// Whether every step up to the one after now was burned, because steps may have been forgotten.
    pub fn burned_all(self) -> bool {
        !matches!(self, Self::Found | Self::Fresh)
    }
}

/// The state, open. Dropping it wipes what it holds.
pub struct State {
    world: World,
    path: PathBuf,
    access: StateAccess,
    content: Content,
    /// None after a write failed: the file may end in half a record, so the next write makes a fresh one.
    log: Option<Log>,
}

impl State {
    /// Reads the state at `path`, or starts one, and writes it anew. A disk that cannot be written is no error here:
    /// the next [`State::burn`] tries again. [`Error::Unreadable`] and [`Error::Newer`] leave the file as it was.
    pub fn open(world: World, path: PathBuf, access: StateAccess, now: WallTime) -> Result<(Self, Opened)> {
        let file = match world.disk.read(&path, log::FILE_LIMIT) {
            Ok(file) => file,
            // Nothing of ours grows that far.
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Some(Vec::new()),
            Err(source) => return Err(Error::Unreadable { source }),
        };
        let (content, opened) = match file.as_deref().map(|file| log::read(file, &access)).transpose()? {
            None if access.newborn => (Content::default(), Opened::Fresh),
            None => (Content::default(), Opened::Missing),
            Some(Read::Damaged) => (Content::default(), Opened::Damaged),
            Some(Read::OtherVault) => (Content::default(), Opened::OtherVault),
            Some(Read::Torn(content)) => (content, Opened::Torn),
            Some(Read::Whole(content)) => (content, Opened::Found),
        };
        let mut state = Self { world, path, access, content, log: None };
        if opened.burned_all() {
            state.content.ledger.floor_all(step_after(now));
        }
        drop(state.roll());
        Ok((state, opened))
    }

    /// Whether a code of this step was, or may have been, handed out.
    pub fn is_burned(&self, serial: &MfaSerial, step: u64) -> bool {
        self.content.ledger.is_burned(serial, step)
    }

    /// Burns a step, durably: once this returns the step stays burned, whatever happens. Call it before the code
    /// leaves. [`Error::StepSpent`] where it is burned already; after [`Error::StateUnsaved`] the code must not be used.
    pub fn burn(&mut self, serial: &MfaSerial, step: u64) -> Result<()> {
        if self.is_burned(serial, step) {
            return Err(Error::StepSpent);
        }
        let before = self.content.ledger.burn(serial, step);
        if !Defence::BurnFirst.stands() {
            return Ok(());
        }
        let written = self.append(&content::burn(serial, step), Durable::Yes);
        if written.is_err() {
            self.content.ledger.restore(serial, before);
        }
        written
    }

    /// Takes a burn back in memory alone: the file still has it, so a crash errs on the safe side. Only where no byte
    /// of the request that carried the code can have left this machine.
    pub fn unburn(&mut self, serial: &MfaSerial, step: u64) {
        self.content.ledger.unburn(serial, step);
    }

    /// Burns every step up to this one, of every device, durably: after a restore.
    pub fn floor_all(&mut self, step: u64) -> Result<()> {
        self.content.ledger.floor_all(step);
        self.append(&content::floor(step), Durable::Yes)
    }

    /// Burns every step up to the one after now.
    pub fn burn_ahead(&mut self, now: WallTime) -> Result<()> {
        self.floor_all(step_after(now))
    }

    /// The version of the vault that was saved or opened last.
    pub fn version(&self) -> Option<Version> {
        self.content.version
    }

    /// Remembers the vault's version. A power loss within seconds may forget it.
    pub fn set_version(&mut self, version: Version) -> Result<()> {
        self.content.version = Some(version);
        self.append(&content::version(&version), Durable::Soon)
    }

    /// The sealed sessions.
    pub fn sessions(&self) -> impl Iterator<Item = (&SessionId, &[u8])> {
        self.content.sessions.iter().map(|(id, bytes)| (id, bytes.as_slice()))
    }

    /// Keeps a session, in place of one of the same id. A power loss within seconds may forget it.
    /// At most 128 KiB ([`Error::TooLarge`]).
    pub fn put_session(&mut self, id: SessionId, bytes: Zeroizing<Vec<u8>>) -> Result<()> {
        if bytes.len() > content::SESSION_LIMIT {
            return Err(Error::TooLarge);
        }
        let record = content::session(&id, &bytes);
        self.content.sessions.insert(id, bytes);
        self.append(&record, Durable::Soon)
    }

    /// Forgets a session, if it is there.
    pub fn remove_session(&mut self, id: &SessionId) -> Result<()> {
        match self.content.sessions.remove(id) {
            Some(_) => self.append(&content::forget(id), Durable::Soon),
            None => Ok(()),
        }
    }

    /// The head of the audit record, if there is one.
    pub fn audit_head(&self) -> Option<AuditHead> {
        self.content.audit
    }

    /// Moves the head of the audit record; durable on return where that is asked for.
    pub fn set_audit_head(&mut self, head: AuditHead, durable: bool) -> Result<()> {
        self.content.audit = Some(head);
        self.append(&content::audit(&head), if durable { Durable::Yes } else { Durable::Soon })
    }

    /// Follows the vault to its new key, after a slot was removed: the state is written anew. Where that fails, or
    /// a crash comes before it, the vault still knows the key before and the next open follows.
    pub fn follow(&mut self, access: StateAccess) -> Result<()> {
        self.access = access;
        self.log = None;
        self.roll()
    }

    /// Lets the next write go to a fresh file: what this one was writing to may have lost its name.
    pub fn write_anew(&mut self) {
        self.log = None;
    }

    fn append(&mut self, record: &[u8], durable: Durable) -> Result<()> {
        let appended = self.log.as_mut().map(|log| log.append(&self.world, record, durable));
        match appended {
            Some(Ok(())) => {
                if self.log.as_ref().is_some_and(Log::overgrown) {
                    // The record is safe where it is; a fresh file that cannot be made can wait.
                    drop(self.roll());
                }
                Ok(())
            }
            Some(Err(error @ Error::NoEntropy { .. })) => Err(error),
            _ => {
                self.log = None;
                self.roll()
            }
        }
    }

    /// Writes all of it to a fresh file, which takes the state's name.
    fn roll(&mut self) -> Result<()> {
        let fresh = log::prepare(&self.world, &self.path, &self.access, &self.content)?;
        // From here on the old file may have lost its name: it must not be written to any more.
        self.log = None;
        self.log = Some(fresh.take_name(&self.world, &self.path)?);
        Ok(())
    }
}

/// Whether an append must be on the disk before it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Durable {
    Soon,
    Yes,
}

fn step_after(now: WallTime) -> u64 {
    u64::try_from(now.seconds().div_euclid(STEP_SECONDS).saturating_add(1)).unwrap_or(0)
}
