//! The vault while the agent lives: open or locked, with the state beside it.
//!
//! Two locks. `quick` is held for a few lines, or for one fsync of the ledger; `vault` for a whole save. Whoever
//! takes both takes `vault` first.

mod anchors;
mod aside;
mod guesses;
mod keeping;
mod keyring;
mod knowledge;
mod leave;
mod ledger;
mod lock;

pub use keyring::KeyringChance;
pub use knowledge::{Knowledge, KnownDevice, KnownSshKey};
pub use leave::{Ended, Leave};
pub use ledger::AuditAccess;
pub use lock::{LockedBy, VaultState};

use super::anchor::{Older, Outside, Version};
use super::{ConfirmedCode, DeviceSlot, Error, Items, KdfCost, Point, Result, SlotInfo, State, Vault, VaultFolder};
use crate::world::{BootTime, WallTime, World, keep_in_memory, on_wiped_stack};
use claviger::model::SlotProof;
use claviger::model::{AccessKeyId, MfaSerial, Name};
use claviger::secret::{DeviceSecret, Passphrase, Secret, SecretAccessKey, SecretText, TotpSeed};
use guesses::Guesses;
use leave::Leaves;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use zeroize::Zeroizing;

mod handover;

pub use handover::{Closure, HandedOver};

/// An access key for the length of one call. It shares the secret with the vault, so a lock wipes it once the call
/// is over or aborted.
pub struct SigningKey {
    /// Its id.
    pub access_key_id: AccessKeyId,
    /// Its secret.
    pub secret: Arc<SecretAccessKey>,
}

/// Holds the vault for everyone else.
pub struct Custody {
    world: World,
    folder: VaultFolder,
    state_file: PathBuf,
    /// Boxed, as what is open beside it: where a lock would only mark a place in here as empty, the bytes that lie in it
    /// would stay, with what they took along from the stack when it was moved here.
    vault: Mutex<Option<Box<Vault>>>,
    quick: Mutex<Quick>,
    guesses: Mutex<Guesses>,
    on_settings: OnceLock<Box<SettingsHook>>,
    outside: OnceLock<Outside>,
    /// How often it was opened.
    openings: AtomicU64,
    /// How often it was locked: an opening that a lock overtook must not come about.
    locks: AtomicU64,
    leaves: Leaves,
}

/// Told the accepted security settings; None where the vault has none yet.
type SettingsHook = dyn Fn(Option<&str>) + Send + Sync;

struct Quick {
    open: Option<Box<Open>>,
    locked_by: LockedBy,
    knowledge: Arc<Knowledge>,
    opened_once: bool,
    /// The latest version of a vault that this agent has met or heard of, whatever the disk says since.
    known: Option<([u8; 16], Version)>,
    warning: Option<&'static str>,
}

impl Quick {
    fn close(&mut self, by: LockedBy) {
        // What locks a vault that a person locked takes nothing from that: only a person opens it again.
        let stays = self.open.is_none() && self.locked_by == LockedBy::Command;
        self.open = None;
        if !stays {
            self.locked_by = by;
        }
    }
}

struct Open {
    items: Items,
    state: State,
    vault_id: [u8; 16],
    audit_key: Zeroizing<[u8; 32]>,
    /// Keys of PIV cards that open it.
    keys_on_cards: Vec<Point>,
    /// It is an older one: until a person accepts it nothing is changed, and no long-lived secret used.
    older: Option<Older>,
}

impl Custody {
    /// A locked vault, or none, in this folder.
    pub fn new(world: World, folder: PathBuf, state_file: PathBuf) -> Arc<Self> {
        let quick = Quick {
            open: None,
            locked_by: LockedBy::Start,
            knowledge: Arc::default(),
            opened_once: false,
            known: None,
            warning: None,
        };
        let folder = VaultFolder::new(world.clone(), folder);
        let (vault, guesses) = (Mutex::new(None), Mutex::default());
        let (quick, on_settings, locks) = (Mutex::new(quick), OnceLock::new(), AtomicU64::new(0));
        let (outside, openings, leaves) = (OnceLock::new(), AtomicU64::new(0), Leaves::default());
        Arc::new(Self {
            world,
            folder,
            state_file,
            vault,
            quick,
            guesses,
            on_settings,
            outside,
            openings,
            locks,
            leaves,
        })
    }

    /// Calls this with the accepted security settings whenever the vault is opened, before anyone can use what is in
    /// it, and when others are accepted. Only the first hook counts.
    pub fn on_settings(&self, hook: impl Fn(Option<&str>) + Send + Sync + 'static) {
        let _ = self.on_settings.set(Box::new(hook));
    }

    /// Whether the vault is there and open.
    pub fn state(&self) -> VaultState {
        let locked_by = match &*self.quick() {
            Quick { open: Some(_), .. } => return VaultState::Unlocked,
            quick => quick.locked_by,
        };
        match self.folder.exists() {
            Ok(false) => VaultState::Absent,
            _ => VaultState::Locked(locked_by),
        }
    }

    /// Whether the vault is open.
    pub fn is_unlocked(&self) -> bool {
        self.quick().open.is_some()
    }

    /// An error unless the vault is open.
    pub fn require_unlocked(&self) -> Result<()> {
        self.with_items(|_| ())
    }

    /// Whether nothing is known of the vault, because nobody has opened it since the agent started.
    pub fn never_opened(&self) -> bool {
        !self.quick().opened_once
    }

    /// How often the vault was opened: each time, the sealed sessions are there again.
    pub fn openings(&self) -> u64 {
        self.openings.load(Ordering::Acquire)
    }

    /// What is known of the items, open or not.
    pub fn knowledge(&self) -> Arc<Knowledge> {
        self.quick().knowledge.clone()
    }

    /// What a person should look at.
    pub fn warnings(&self) -> Vec<String> {
        self.quick().warning.iter().map(|warning| (*warning).to_owned()).collect()
    }

    /// Makes the vault and leaves it open.
    pub fn create(&self, passphrase: &Passphrase, cost: KdfCost, code: &ConfirmedCode, now: WallTime) -> Result<()> {
        on_wiped_stack(|| {
            // Before its turn: a lock that comes meanwhile is later.
            let locks = self.locks.load(Ordering::Acquire);
            let mut vault = self.vault();
            let created = self.folder.create(passphrase, cost, code, now)?;
            self.open(&mut vault, created, locks, now)
        })
    }

    /// Whether there is a vault file, readable or not.
    pub fn exists(&self) -> Result<bool> {
        self.folder.exists()
    }

    /// Leave to have a long-lived secret, or what opens the vault, in hand.
    pub fn leave(&self) -> Leave {
        self.leaves.give()
    }

    /// Opens the vault. Takes most of a second; after a wrong guess the next is refused for a while. One that is open
    /// stays as it is, and the proof is only tried: what is in memory is newer than the disk.
    pub fn unlock(&self, proof: &SlotProof, now: WallTime) -> Result<()> {
        self.unlock_with(&self.leave(), proof, now)
    }

    /// The same, unless a lock ends this leave first.
    pub fn unlock_with(&self, leave: &Leave, proof: &SlotProof, now: WallTime) -> Result<()> {
        let locks = self.locks.load(Ordering::Acquire);
        if leave.is_over() {
            return Err(Error::Locked);
        }
        if self.is_unlocked() {
            return self.prove(proof);
        }
        on_wiped_stack(|| {
            // Nothing waits for the stretching: what else is in memory, a lock takes meanwhile.
            let opener = self.guess(|| self.unless_locked(locks, || self.folder.opener(proof)))?;
            let mut vault = self.vault();
            if vault.is_none() {
                let opened = self.folder.open_by(&opener)?;
                self.open(&mut vault, opened, locks, now)?;
                self.allow_keyring(vault.as_deref());
            }
            Ok(())
        })
    }

    /// Opens a slot afresh and closes it again: a person is here and may do what asks for it. [`Error::RolledBack`]
    /// where the vault is an older one: what asks for a proof waits until that is accepted.
    pub fn prove(&self, proof: &SlotProof) -> Result<()> {
        let locks = self.locks.load(Ordering::Acquire);
        on_wiped_stack(|| {
            let opener = self.stretched(proof, locks)?;
            self.vault().as_ref().ok_or(Error::Locked)?.proven_by(&opener)?;
            self.require_newest()
        })
    }

    /// Reads the items.
    pub fn with_items<R>(&self, read: impl FnOnce(&Items) -> R) -> Result<R> {
        self.quick().open.as_ref().map(|open| read(&open.items)).ok_or(Error::Locked)
    }

    /// Changes the items and saves; on any error the old ones stand.
    pub fn edit<R, E: From<Error>>(
        &self,
        now: WallTime,
        change: impl FnOnce(&mut Items) -> std::result::Result<R, E>,
    ) -> std::result::Result<R, E> {
        on_wiped_stack(|| {
            let mut vault = self.vault();
            let open = self.editable(&mut vault)?;
            let changed = open.edit(now, change);
            // Also after an error: one of them means that the new items stand.
            self.refresh(open);
            changed
        })
    }

    /// The slots, open or not.
    pub fn slots(&self) -> Result<Vec<SlotInfo>> {
        self.folder.slots()
    }

    /// The public halves of the keys of PIV cards that open the vault; none while it is locked. They are for nothing else.
    pub fn keys_on_cards(&self) -> Vec<Point> {
        self.quick().open.as_ref().map(|open| open.keys_on_cards.clone()).unwrap_or_default()
    }

    /// The slots of a file that is to be restored.
    pub fn slots_of(&self, from: &Path) -> Result<Vec<SlotInfo>> {
        self.folder.slots_of(from)
    }

    /// Adds a passphrase slot against a proof of another.
    pub fn add_passphrase(
        &self,
        proof: &SlotProof,
        passphrase: &Passphrase,
        cost: KdfCost,
        now: WallTime,
    ) -> Result<u32> {
        on_wiped_stack(|| {
            let mut vault = self.vault();
            let open = self.editable(&mut vault)?;
            let added = self.guess(|| open.add_passphrase(proof, passphrase, cost, now));
            self.tell_anchors(open);
            added
        })
    }

    /// Adds a recovery slot against a proof of another.
    pub fn add_recovery(&self, proof: &SlotProof, code: &ConfirmedCode, now: WallTime) -> Result<u32> {
        on_wiped_stack(|| {
            let mut vault = self.vault();
            let open = self.editable(&mut vault)?;
            let added = self.guess(|| open.add_recovery(proof, code, now));
            self.tell_anchors(open);
            added
        })
    }

    /// Whether a further slot may be added against this proof, before a device is asked to do its part.
    pub fn may_add(&self, proof: &SlotProof) -> Result<()> {
        self.prove(proof)?;
        self.vault().as_ref().ok_or(Error::Locked)?.require_room()
    }

    /// Adds a slot that a device opens with this secret, against a proof of another.
    pub fn add_device(
        &self,
        proof: &SlotProof,
        device: DeviceSlot,
        secret: &Secret<[u8; 32]>,
        now: WallTime,
    ) -> Result<u32> {
        on_wiped_stack(|| {
            let mut vault = self.vault();
            let open = self.editable(&mut vault)?;
            let added = self.guess(|| open.add_device(proof, device, secret, now));
            self.tell_anchors(open);
            added
        })
    }

    /// Removes a slot against a proof of one that stays: new master key, new state key.
    pub fn remove_slot(&self, proof: &SlotProof, id: u32, now: WallTime) -> Result<()> {
        self.remove(proof, id, false, now)
    }

    /// The same, also where only devices are left then.
    pub fn remove_slot_leaving_devices(&self, proof: &SlotProof, id: u32, now: WallTime) -> Result<()> {
        self.remove(proof, id, true, now)
    }

    fn remove(&self, proof: &SlotProof, id: u32, only_devices: bool, now: WallTime) -> Result<()> {
        on_wiped_stack(|| {
            let mut vault = self.vault();
            let open = self.editable(&mut vault)?;
            let removed = self.guess(|| open.remove(id, proof, only_devices, now));
            // Also after these errors the new vault stands.
            if matches!(removed, Ok(()) | Err(Error::CopiesLeft { .. } | Error::Unsynced { .. })) {
                lock_pages(open);
                let mut quick = self.quick();
                let followed = quick.open.as_mut().map(|quick| quick.state.follow(open.state_access()));
                if let Some(Err(error)) = followed {
                    // The vault remembers the key before; the next write of the state follows.
                    tracing::warn!(%error, "the state has not followed the vault yet");
                }
            }
            self.tell_anchors(open);
            removed
        })
    }

    /// The access key, to sign with; not that of an older vault.
    pub fn signing_key(&self, name: &Name) -> Result<SigningKey> {
        self.require_newest()?;
        let key = |items: &Items| {
            let key = items.access_keys.get(name)?;
            Some(SigningKey { access_key_id: key.access_key_id.clone(), secret: key.secret.clone() })
        };
        self.with_items(key)?.ok_or(Error::Locked)
    }

    /// The seed of a device; not that of an older vault.
    pub fn seed(&self, serial: &MfaSerial) -> Result<Arc<TotpSeed>> {
        self.require_newest()?;
        let seed = |items: &Items| {
            let device = items.authenticators.values().find(|device| device.serial == *serial)?;
            device.seed.here().cloned()
        };
        self.with_items(seed)?.ok_or(Error::Locked)
    }

    /// What opens an OATH applet that has a password, by its id, where that is known; not that of an older vault.
    pub fn oath_access(&self, id: &str) -> Result<Option<Arc<DeviceSecret>>> {
        self.require_newest()?;
        self.with_items(|items| items.oath_access.get(id).cloned())
    }

    /// The vault's id, open or not.
    pub fn id(&self) -> Result<[u8; 16]> {
        self.folder.id()
    }

    /// Enters an opened vault and its state.
    fn open(&self, slot: &mut Option<Box<Vault>>, opened: Vault, locks: u64, now: WallTime) -> Result<()> {
        let (mut state, how) = State::open(self.world.clone(), self.state_file.clone(), opened.state_access(), now)?;
        let older = self.ask_anchors(&opened, &mut state);
        self.tell_settings(opened.items());
        let mut quick = self.quick();
        if self.locks.load(Ordering::Acquire) != locks {
            return Err(Error::Locked);
        }
        quick.warning = how
            .burned_all()
            .then_some("the ledger beside the vault was incomplete: codes up to the next half minute count as spent");
        lock_pages(&opened);
        // Before anybody can use it: with it come the sessions that the state has sealed.
        self.openings.fetch_add(1, Ordering::AcqRel);
        let (vault_id, audit_key) = (opened.id(), opened.audit_key());
        quick.known = Some((vault_id, older.as_ref().map_or(opened.version(), |older| older.known)));
        let (items, keys_on_cards) = (opened.items().clone(), opened.keys_on_cards());
        quick.open = Some(Box::new(Open { items, state, vault_id, audit_key, keys_on_cards, older }));
        quick.knowledge = Arc::new(Knowledge::of(opened.items()));
        quick.opened_once = true;
        *slot = Some(Box::new(opened));
        Ok(())
    }

    fn tell_settings(&self, items: &Items) {
        if let Some(hook) = self.on_settings.get() {
            hook(items.pins.settings.as_deref());
        }
    }

    fn refresh(&self, vault: &Vault) {
        lock_pages(vault);
        self.tell_anchors(vault);
        if self.knowledge().pins.settings != vault.items().pins.settings {
            self.tell_settings(vault.items());
        }
        let mut quick = self.quick();
        quick.knowledge = Arc::new(Knowledge::of(vault.items()));
        if let Some(open) = quick.open.as_mut() {
            open.items = vault.items().clone();
        }
    }

    fn vault(&self) -> MutexGuard<'_, Option<Box<Vault>>> {
        self.vault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn quick(&self) -> MutexGuard<'_, Quick> {
        self.quick.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the master key and the long-lived secrets out of swap, as far as RLIMIT_MEMLOCK goes.
fn lock_pages(vault: &Vault) {
    let items = vault.items();
    let keys = items.access_keys.values().map(|key| key.secret.expose().as_bytes());
    let seeds = items.authenticators.values().filter_map(|device| Some(device.seed.here()?.expose()));
    let access = items.oath_access.values().map(|key| key.expose().as_bytes());
    let ssh_keys = items.ssh_keys.values().map(|key| key.private.expose());
    let unused =
        items.rotations.values().filter_map(|rotation| Some(rotation.new.as_ref()?.secret.expose().as_bytes()));
    let unproved = items.enrolments.values().filter_map(|enrolment| Some(enrolment.seed.as_ref()?.expose()));
    let secrets =
        keys.chain(unused).chain(seeds).chain(unproved).chain(access).chain(ssh_keys).chain([vault.master_key()]);
    let refused = secrets.filter_map(|bytes| keep_in_memory(bytes).err()).fold(None, |_, error| Some(error));
    if let Some(error) = refused {
        tracing::warn!(%error, "some secrets can be swapped out: raise RLIMIT_MEMLOCK");
    }
}
