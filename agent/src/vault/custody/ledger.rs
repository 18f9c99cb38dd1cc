//! The state beside the open vault: which steps are spent, the sealed sessions, and the head of the audit record.

use super::Custody;
use crate::vault::{AuditHead, Error, Result};
use crate::world::on_wiped_stack;
use claviger::model::MfaSerial;
use zeroize::Zeroizing;

/// What the audit record is written with.
pub struct AuditAccess {
    /// Whose record it is.
    pub vault_id: [u8; 16],
    /// Its key: the same for the vault's life, and it opens nothing else.
    pub key: Zeroizing<[u8; 32]>,
    /// Its last record, as far as the state knows.
    pub head: Option<AuditHead>,
}

impl Custody {
    /// Whether a step of a device is spent. While locked every step is.
    pub fn is_burned(&self, serial: &MfaSerial, step: u64) -> bool {
        self.quick().open.as_ref().is_none_or(|open| open.state.is_burned(serial, step))
    }

    /// Burns a step, durably, before its code is sent. [`Error::StepSpent`] where it was burned before.
    pub fn burn(&self, serial: &MfaSerial, step: u64) -> Result<()> {
        on_wiped_stack(|| self.quick().open.as_mut().ok_or(Error::Locked)?.state.burn(serial, step))
    }

    /// Takes a burn back, in memory only, where no byte of the request can have left this machine.
    pub fn unburn(&self, serial: &MfaSerial, step: u64) {
        if let Some(open) = self.quick().open.as_mut() {
            open.state.unburn(serial, step);
        }
    }

    /// Seals a session into the state. One that cannot be sealed costs a code after a restart, no more.
    pub fn seal_session(&self, key: [u8; 32], bytes: Zeroizing<Vec<u8>>) {
        let mut quick = self.quick();
        let sealed = quick.open.as_mut().map(|open| on_wiped_stack(|| open.state.put_session(key, bytes)));
        if let Some(Err(error)) = sealed {
            tracing::warn!(%error, "a session was not sealed");
        }
    }

    /// Removes a sealed session, if there is one. False while locked: then it stays.
    pub fn forget_session(&self, key: &[u8; 32]) -> bool {
        let mut quick = self.quick();
        let removed = quick.open.as_mut().map(|open| on_wiped_stack(|| open.state.remove_session(key)));
        if let Some(Err(error)) = &removed {
            tracing::warn!(%error, "a sealed session was not removed");
        }
        removed.is_some()
    }

    /// The sealed sessions, while the vault is open.
    pub fn sealed_sessions(&self) -> Vec<([u8; 32], Zeroizing<Vec<u8>>)> {
        let quick = self.quick();
        let Some(open) = &quick.open else { return Vec::new() };
        open.state.sessions().map(|(key, bytes)| (*key, Zeroizing::new(bytes.to_vec()))).collect()
    }

    /// The key of the audit record, while the vault is open, and the head that the state holds.
    pub fn audit_access(&self) -> Result<AuditAccess> {
        let quick = self.quick();
        let open = quick.open.as_ref().ok_or(Error::Locked)?;
        Ok(AuditAccess { vault_id: open.vault_id, key: open.audit_key.clone(), head: open.state.audit_head() })
    }

    /// Keeps the head of the audit record. While locked it stays where it is: the next unlock moves it on.
    pub fn set_audit_head(&self, head: AuditHead, durable: bool) {
        let mut quick = self.quick();
        let kept = quick.open.as_mut().map(|open| on_wiped_stack(|| open.state.set_audit_head(head, durable)));
        if let Some(Err(error)) = kept {
            tracing::warn!(%error, "the head of the audit record was not kept");
        }
    }
}
