//! The SSH door: an ssh-agent (RFC 9987) on `ssh.sock`, or on a socket of its own where `claviger-ssh-agent` opens it.
//!
//! A connection is a task, and what waits for a person or for another agent holds up its own connection alone. What
//! each message does here, and where that differs from OpenSSH, is `docs/PROTOCOL.ssh.md`.

mod answer;
mod card_keys;
mod connection;
mod handover;
mod hardware;
mod logins;
mod record;
mod security_key;
mod serve;
mod sign;
mod upstream;
mod vault_keys;

pub(super) use logins::{parent, process};
pub use serve::{Listening, keep};

use super::Server;
use crate::prompt::Prompts;
use crate::ssh::{Ring, SoftLock};
use crate::vault::Custody;
use crate::world::{BootTime, WallTime, World};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use zeroize::Zeroizing;

/// What the connections share.
pub struct Door {
    world: World,
    /// The user's home, where `.ssh` is.
    home: PathBuf,
    prompts: Arc<Prompts>,
    /// Seconds that a key lives whose adding names no lifetime (`ssh-agent -t`).
    lifetime: Option<u32>,
    ring: Mutex<Ring>,
    vault: Mutex<vault_keys::VaultKeys>,
    logins: Mutex<logins::Logins>,
    lock: Mutex<SoftLock>,
    /// One guess at the passphrase of that lock at a time.
    guess: Arc<tokio::sync::Mutex<()>>,
    guests: Mutex<Vec<serve::Guest>>,
    /// A key was added: another lifetime may end first.
    added: Notify,
}

impl Door {
    /// A door that nobody has come to yet.
    pub fn new(world: World, home: PathBuf, prompts: Arc<Prompts>, lifetime: Option<u32>) -> Arc<Self> {
        Arc::new(Self {
            world,
            home,
            prompts,
            lifetime,
            ring: Mutex::default(),
            vault: Mutex::default(),
            logins: Mutex::default(),
            lock: Mutex::default(),
            guess: Arc::default(),
            guests: Mutex::default(),
            added: Notify::new(),
        })
    }

    /// Lets go of keys as their lifetimes end. Sleeps while no key has one.
    pub async fn reap(self: Arc<Self>) {
        loop {
            let end = self.ring().next_end();
            tokio::select! {
                () = self.added.notified() => {}
                () = self.world.clock.sleep_until(end.unwrap_or(BootTime(0))), if end.is_some() => {
                    self.ring().expire(self.world.clock.boot());
                }
            }
        }
    }

    /// How many keys of `ssh-add` there are, sealed ones too, and whether `ssh-add -x` has locked them.
    pub(super) fn held(&self) -> (usize, bool) {
        (self.ring().count(self.world.clock.boot()), self.soft_lock().is_locked())
    }

    /// Lets go of every key of `ssh-add`.
    pub fn drop_keys(&self) {
        self.ring().clear();
    }

    /// Shuts the vault by `shut`. Keys of `ssh-add` stay only as what the open vault makes of them; where it is shut
    /// already, they are not the vault's. In one, so that none returns in between.
    pub(super) fn put_aside<T>(&self, custody: &Custody, shut: impl FnOnce() -> T) -> T {
        let mut ring = self.ring();
        if custody.is_unlocked() {
            ring.put_aside(self.world.clock.boot(), |key| custody.seal_aside(key));
        }
        shut()
    }

    /// The vault is open: what a lock has put aside returns.
    pub(super) fn take_back(&self, open: impl Fn(&[u8]) -> Option<Zeroizing<Vec<u8>>>) {
        self.ring().take_back(self.world.clock.boot(), open);
        self.added.notify_one();
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn soft_lock(&self) -> MutexGuard<'_, SoftLock> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The times that keys are judged by: lifetimes and certificates.
    fn now(&self) -> (BootTime, WallTime) {
        (self.world.clock.boot(), self.world.clock.wall())
    }
}
