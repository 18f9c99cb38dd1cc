//! The vault's anchors, as the agent keeps them: asked at every opening, told of every save.

use super::Custody;
use crate::vault::anchor::{Anchor, Older, Outside, RuntimeFiles, Version, Witness};
use crate::vault::crypto::Key32;
use crate::vault::{Error, Result, State, Vault};
use crate::world::{Defence, WallTime, on_wiped_stack};
use claviger::model::SlotProof;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

impl Custody {
    /// Where versions are remembered besides this agent's memory and the state file. Only the first call counts.
    pub fn set_anchors(&self, runtime_folders: Vec<PathBuf>, witness: impl Witness + 'static) {
        drop(self.outside.set(Outside { folders: runtime_folders, witness: Box::new(witness) }));
    }

    /// What says that the open vault is an older one; None where nothing does, or it is locked.
    pub fn older(&self) -> Option<Older> {
        self.quick().open.as_ref()?.older.clone()
    }

    /// The version of the open vault, and whose it is; None where it is an older one, or locked.
    pub fn newest(&self) -> Option<([u8; 16], Version)> {
        let quick = self.quick();
        quick.open.as_ref().filter(|open| open.older.is_none()).and(quick.known)
    }

    /// Takes the older vault that was shown for the one there is, against a slot proof: saves it as one later than
    /// all that is remembered. `shown` is [`Older::digest`]; [`Error::ChangedOnDisk`] where another is open by now.
    /// Without an older vault there is nothing to do.
    pub fn accept_older(&self, proof: &SlotProof, shown: &str, now: WallTime) -> Result<()> {
        let locks = self.locks.load(Ordering::Acquire);
        on_wiped_stack(|| {
            let opener = self.stretched(proof, locks)?;
            let mut vault = self.vault();
            let open = vault.as_deref_mut().ok_or(Error::Locked)?;
            open.proven_by(&opener)?;
            let Some(older) = self.older() else { return Ok(()) };
            if older.digest() != shown {
                return Err(Error::ChangedOnDisk);
            }
            // What was spent since may be forgotten with the rest.
            if let Some(quick) = self.quick().open.as_mut() {
                quick.state.burn_ahead(now)?;
            }
            let saved = open.save_after(older.known.generation, now);
            // Also after an error: one of them means that the new version stands.
            if open.version() != older.found {
                if let Some(quick) = self.quick().open.as_mut() {
                    quick.older = None;
                }
                self.refresh(open);
            }
            saved
        })
    }

    /// An error where the vault is locked or an older one.
    pub fn require_newest(&self) -> Result<()> {
        let quick = self.quick();
        let open = quick.open.as_ref().ok_or(Error::Locked)?;
        open.older.as_ref().map_or(Ok(()), |older| Err(older.error()))
    }

    /// The vault to change.
    pub(super) fn editable<'a>(&self, vault: &'a mut Option<Box<Vault>>) -> Result<&'a mut Vault> {
        let open = vault.as_deref_mut().ok_or(Error::Locked)?;
        self.require_newest().map(|()| open)
    }

    /// What the anchors say of a vault that was just opened. One that is the latest is told to those that lag: a crash
    /// came before they were, or they are new.
    pub(super) fn ask_anchors(&self, opened: &Vault, state: &mut State) -> Option<Older> {
        let (id, found) = (opened.id(), opened.version());
        let mut remembered = self.remembered(&id, &opened.audit_key());
        remembered.extend(state.version().map(|version| (Anchor::State, version)));
        let older = Older::of(found, &remembered).filter(|_| Defence::Anchors.stands());
        if let Some(older) = older {
            tracing::warn!(found = found.generation, known = older.known.generation, "the vault is an older one");
            return Some(older);
        }
        let lags = |anchor| !remembered.contains(&(anchor, found));
        // The name of the file may not be durable yet: an anchor that is must not lead it.
        if (lags(Anchor::State) || lags(Anchor::Runtime)) && opened.make_durable() {
            if lags(Anchor::State) {
                drop(state.set_version(found));
            }
            self.tell_runtime(opened);
        }
        None
    }

    /// After whatever may have saved the vault: tells the anchors of its version.
    pub(super) fn tell_anchors(&self, vault: &Vault) {
        let (id, version) = (vault.id(), vault.version());
        {
            let mut quick = self.quick();
            if let Some(open) = quick.open.as_mut() {
                open.keys_on_cards = vault.keys_on_cards();
            }
            if quick.known.replace((id, version)) == Some((id, version)) || !vault.is_durable() {
                return;
            }
            let kept = quick.open.as_mut().map(|open| open.state.set_version(version));
            if let Some(Err(error)) = kept {
                tracing::warn!(%error, "the state holds no note of the vault's version");
            }
        }
        self.tell_runtime(vault);
        if let Some(outside) = self.outside.get() {
            outside.witness.remember(&id, &version);
        }
    }

    /// The highest generation of a vault that is remembered, but by a state.
    pub(super) fn highest(&self, vault_id: &[u8; 16], audit_key: &Key32) -> u64 {
        let remembered = self.remembered(vault_id, audit_key);
        remembered.iter().map(|(_, version)| version.generation).max().unwrap_or(0)
    }

    fn remembered(&self, vault_id: &[u8; 16], audit_key: &Key32) -> Vec<(Anchor, Version)> {
        let known = self.quick().known.filter(|(id, _)| id == vault_id).map(|(_, version)| (Anchor::Agent, version));
        let Some(outside) = self.outside.get() else { return known.into_iter().collect() };
        let runtime = RuntimeFiles::new(&self.world, &outside.folders, vault_id, audit_key).read();
        let record = outside.witness.last(vault_id, audit_key);
        let outside = [(Anchor::Runtime, runtime), (Anchor::Record, record)];
        known.into_iter().chain(outside.into_iter().filter_map(|(anchor, found)| Some((anchor, found?)))).collect()
    }

    fn tell_runtime(&self, vault: &Vault) {
        if let Some(outside) = self.outside.get() {
            RuntimeFiles::new(&self.world, &outside.folders, &vault.id(), &vault.audit_key()).write(&vault.version());
        }
    }
}
