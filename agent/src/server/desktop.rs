//! What the desktop does to the vault: its keyring may open it, its sleep and its screen lock close it.

use super::Server;
use super::conversation::Conversation;
use super::fault;
use super::lock::{By, blocking};
use crate::keyring::{self, Item, KeyStore};
use crate::logind::{Event, Interest, Logind, SessionPath};
use crate::vault::{self, KeyringPlace, LockedBy};
use crate::world::{WallTime, with_wiped_stack};
use claviger::secret::Secret;
use claviger::wire::{Code, Fault, SlotProof};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, mpsc};
use zeroize::Zeroizing;

/// What `init` asks: the non-promise of `docs/THREATS.md`, on one line of at most 200 characters.
const OFFER: &str = "Open the vault by the desktop keyring too? Any malware of your user could then open it while that keyring is open [y/N]";
/// Events of logind that may wait while the vault is being locked.
const EVENTS_WAITING: usize = 16;
/// Neither sleep nor screen.
const NOTHING: Interest = Interest { suspend: false, screen: false };

/// What the server knows of the desktop.
pub(super) struct Desktop {
    keyring: Arc<dyn KeyStore>,
    /// One attempt at a time: however many requests need the vault, the keyring is asked once.
    attempt: Arc<tokio::sync::Mutex<()>>,
    /// How many have ended.
    attempts: AtomicU64,
    shut: Mutex<Shut>,
    warning: Mutex<Option<String>>,
    /// The vault was opened: a system bus that was not there may be there now.
    pub(super) vault_opened: Notify,
    /// config.toml was read anew.
    pub(super) settings_changed: Notify,
}

/// Why nobody is at the desktop: then its keyring opens nothing, nor does it for a successor.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Shut {
    asleep: bool,
    locked: HashSet<SessionPath>,
}

impl Desktop {
    pub(super) fn new(keyring: Arc<dyn KeyStore>) -> Self {
        let (attempt, attempts, vault_opened) = (Arc::default(), AtomicU64::new(0), Notify::new());
        let (shut, warning, settings_changed) = (Mutex::default(), Mutex::default(), Notify::new());
        Self { keyring, attempt, attempts, shut, warning, vault_opened, settings_changed }
    }

    /// What a person should know.
    pub(super) fn warning(&self) -> Option<String> {
        self.warning.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A person has just opened the vault; a screen that never tells that it is open again does not matter any more.
    pub(super) fn person_is_here(&self) {
        *self.shut() = Shut::default();
    }

    /// For a successor.
    pub(super) fn why_shut(&self) -> Shut {
        self.shut().clone()
    }

    /// Goes on from there. What has changed meanwhile and nobody tells again, a person ends by opening the vault.
    pub(super) fn stay_shut(&self, shut: Shut) {
        *self.shut() = shut;
    }

    fn is_shut(&self) -> bool {
        let shut = self.shut();
        shut.asleep || !shut.locked.is_empty()
    }

    fn warn(&self, warning: Option<String>) {
        if let Some(warning) = &warning {
            tracing::warn!("{warning}");
        }
        *self.warning.lock().unwrap_or_else(PoisonError::into_inner) = warning;
    }

    fn shut(&self) -> MutexGuard<'_, Shut> {
        self.shut.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    /// Whether the vault is open, by the keyring if need be and if it may. Whatever stands in the way, the caller
    /// goes on in time, and a person's slot is next. No human act.
    pub(super) async fn open_by_keyring(self: &Arc<Self>) -> bool {
        if self.custody.is_unlocked() {
            return true;
        }
        // It is the successor's to open.
        if self.is_passing() {
            return false;
        }
        let ended = self.desktop.attempts.load(Ordering::Acquire);
        let turn = self.desktop.attempt.clone().lock_owned().await;
        if self.desktop.attempts.load(Ordering::Acquire) == ended {
            let server = self.clone();
            // The daemon's, like a fetch: who asked first may hang up.
            let attempt = tokio::spawn(async move {
                server.try_keyring().await;
                server.desktop.attempts.fetch_add(1, Ordering::AcqRel);
                drop(turn);
            });
            drop(attempt.await);
        }
        self.custody.is_unlocked()
    }

    async fn try_keyring(self: &Arc<Self>) {
        let custody = self.custody.clone();
        // The chance comes first: a lock from here on wins.
        let Ok(Some(chance)) = blocking(None, move || Ok(custody.keyring_chance())).await else { return };
        if self.desktop.is_shut() {
            return;
        }
        let items: Vec<Item> = chance.places.iter().map(item).collect();
        let leave = self.custody.leave();
        let mut lock = leave.clone();
        let read = tokio::select! {
            biased;
            () = lock.over() => return,
            read = with_wiped_stack(self.desktop.keyring.read(&items)) => read,
        };
        drop(lock);
        let (item, secret) = match read {
            Ok(found) => found,
            Err(error) => return self.desktop.warn(Some(unopened(&error))),
        };
        let (custody, now) = (self.custody.clone(), self.office.aws().corrected_now());
        let leave = Some(leave);
        let opened =
            self.opening(By::Keyring, leave, move || custody.unlock_by_keyring(&chance, item.slot, &secret, now)).await;
        match opened {
            Ok(()) => self.desktop.warn(None),
            Err(vault::Error::Locked) => {}
            Err(vault::Error::WrongProof) => self.desktop.warn(Some(unopened(&keyring::Error::Damaged))),
            Err(error) => self.desktop.warn(Some(unopened(&error))),
        }
    }

    /// Whether a new vault gets a keyring slot. A person who was not asked yet is, where there is a keyring; one that
    /// is wanted and not there is a fault before anything is made.
    pub(super) async fn wants_keyring(
        &self,
        wanted: Option<bool>,
        conversation: &mut Conversation,
    ) -> Result<bool, Fault> {
        match wanted {
            Some(true) => match self.desktop.keyring.answers().await {
                Ok(()) => Ok(true),
                Err(error) => Err(unavailable(&error).hint("claviger init --no-keyring")),
            },
            Some(false) => Ok(false),
            None if !conversation.answerable || self.desktop.keyring.answers().await.is_err() => Ok(false),
            None => Ok(conversation.agrees(OFFER).await),
        }
    }

    /// Adds a keyring slot: first the item, read back, then the slot. Where the slot fails, the item goes again.
    pub(super) async fn add_keyring(
        self: &Arc<Self>,
        proof: SlotProof,
        conversation: &Conversation,
        now: WallTime,
    ) -> Result<(), Fault> {
        let (custody, proof, leave) = (self.custody.clone(), Arc::new(proof), &conversation.leave);
        let proved = proof.clone();
        let place = blocking(leave.clone(), move || custody.place_keyring(&proved)).await.map_err(fault::vault)?;
        let mut bytes = Zeroizing::new([0; 32]);
        let drawn = self.world.entropy.fill(bytes.as_mut_slice());
        drawn.map_err(|source| fault::vault(vault::Error::NoEntropy { source }))?;
        let secret = Arc::new(Secret::new(*bytes));
        let kept = self.desktop.keyring.keep(item(&place), &secret).await;
        let added = match kept {
            Ok(()) => {
                let (custody, secret) = (self.custody.clone(), secret.clone());
                blocking(leave.clone(), move || custody.add_keyring(&proof, place, &secret, now))
                    .await
                    .map_err(fault::vault)
            }
            Err(error) => Err(unavailable(&error)),
        };
        match added {
            Ok(()) => self.desktop.warn(None),
            // Best effort: what is left opens nothing.
            Err(_) => drop(self.desktop.keyring.forget(item(&place)).await),
        }
        added
    }

    /// Deletes the item of a slot that is gone; where that fails, `status` says so.
    pub(super) async fn forget_in_keyring(&self, place: KeyringPlace) {
        let forgotten = self.desktop.keyring.forget(item(&place)).await;
        self.desktop.warn(forgotten.err().map(|error| {
            format!(
                "slot {} is removed, but not its item in the desktop keyring, which opens nothing now: {error}",
                place.slot
            )
        }));
    }

    /// Follows logind, as `[lock]` says at the time: locks before sleep and with the screen. Where there is none, looks
    /// again at the next opening of the vault, when there is something to lock; nothing wakes up in between.
    pub async fn watch_desktop(self: Arc<Self>, logind: Logind) {
        let (tell, mut events) = mpsc::channel(EVENTS_WAITING);
        let server = self.clone();
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                server.follow(event).await;
            }
        });
        loop {
            let interest = self.interest();
            let other_interest = async {
                while self.interest() == interest {
                    self.desktop.settings_changed.notified().await;
                }
            };
            if interest == NOTHING {
                other_interest.await;
                continue;
            }
            let watched = async {
                if let Err(error) = logind.watch(interest, &tell).await {
                    tracing::info!(%error, "suspend and screen lock are not watched");
                }
                self.desktop.vault_opened.notified().await;
            };
            tokio::select! {
                () = watched => {}
                () = other_interest => {}
            }
        }
    }

    fn interest(&self) -> Interest {
        let config = self.config();
        Interest { suspend: config.lock_on_suspend, screen: config.lock_on_screen_lock }
    }

    async fn follow(self: &Arc<Self>, event: Event) {
        match event {
            Event::Sleep(delay) => {
                self.desktop.shut().asleep = true;
                self.lock(LockedBy::Suspend).await;
                // Only now may the machine sleep.
                drop(delay);
            }
            Event::Awake => self.desktop.shut().asleep = false,
            Event::ScreenLocked(session) => {
                self.desktop.shut().locked.insert(session);
                self.lock(LockedBy::Screen).await;
            }
            Event::ScreenUnlocked(session) => {
                self.desktop.shut().locked.remove(&session);
            }
        }
    }
}

fn item(place: &KeyringPlace) -> Item {
    Item { vault_id: place.vault_id, slot: place.slot }
}

fn unopened(error: &dyn std::fmt::Display) -> String {
    format!("the desktop keyring did not open the vault: {error}")
}

fn unavailable(error: &keyring::Error) -> Fault {
    Fault::new(Code::KeyringUnavailable, format!("the desktop keyring cannot be used: {error}"))
}
