//! Backup and restore, as the agent does them.

use super::Custody;
use crate::vault::crypto::Key32;
use crate::vault::{ConfirmedCode, Error, LockedBy, NewPassphrase, Result};
use crate::world::{WallTime, on_wiped_stack};
use claviger::model::SlotProof;
use std::path::Path;
use std::sync::atomic::Ordering;

impl Custody {
    /// Writes a backup of the open vault. The caller has taken a slot proof.
    pub fn back_up(&self, to: &Path, code: &ConfirmedCode, now: WallTime) -> Result<()> {
        on_wiped_stack(|| {
            let vault = self.vault();
            self.require_newest()?;
            vault.as_ref().ok_or(Error::Locked)?.back_up(to, code, now)
        })
    }

    /// Restores a backup and leaves it open. A vault that is open is closed only once the file to restore is known to
    /// be one that this proof opens; where anything fails before that, it stays as it was. It becomes a version later
    /// than every one that is remembered. `between` runs once the old vault is closed and before the new one can be
    /// used: whoever holds what came from the old one lets go of it there.
    pub fn restore(
        &self,
        from: &Path,
        proof: &SlotProof,
        passphrase: Option<NewPassphrase<'_>>,
        replace: bool,
        now: WallTime,
        between: impl FnOnce(),
    ) -> Result<()> {
        on_wiped_stack(|| {
            // Before its turn: a lock that comes meanwhile is later.
            let locks = self.locks.load(Ordering::Acquire);
            let mut vault = self.vault();
            let after = |id: &[u8; 16], audit_key: &Key32| self.highest(id, audit_key);
            let restored = self.guess(|| self.folder.restore(from, proof, passphrase, replace, &after, now))?;
            {
                // No lock: one that comes meanwhile says itself what it is.
                let mut quick = self.quick();
                if quick.open.take().is_some() {
                    quick.locked_by = LockedBy::Start;
                }
            }
            *vault = None;
            between();
            let opened = self.open(&mut vault, restored, locks, now);
            match &opened {
                Ok(()) => self.allow_keyring(vault.as_deref()),
                // It is not what it was: a person opens it.
                Err(_) if self.locks.load(Ordering::Acquire) == locks => self.quick().close(LockedBy::Command),
                Err(_) => {}
            }
            opened
        })
    }
}
