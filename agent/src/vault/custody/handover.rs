//! Passing the open vault to another process of the same agent, and taking it over there.

use super::guesses::{GUESS_WAIT_MOST_MILLIS, Guesses};
use super::{BootTime, Custody, Leave, LockedBy, Open, WallTime};
use crate::vault::{Error, Result, Vault, Version};
use crate::world::on_wiped_stack;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use zeroize::Zeroizing;

/// An open vault and its state, out of custody: nothing reads or writes them meanwhile. Dropping it wipes both; a lock
/// waits for that.
pub struct HandedOver {
    vault: Box<Vault>,
    open: Box<Open>,
    // Behind the two: they are gone before it is.
    leave: Leave,
}

impl HandedOver {
    /// The master key, for the process that takes over and nobody else.
    pub fn master_key(&self) -> &[u8] {
        self.vault.master_key()
    }
}

/// What is known of the vault and of guesses at it, without a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closure {
    /// What locked it, or would have.
    pub locked_by: LockedBy,
    /// How long the last wrong guess costs, in milliseconds.
    pub guess_wait_millis: u64,
    /// When the next guess may be made, on the boot clock.
    pub guess_not_before: Option<BootTime>,
    /// The latest version that this agent knows, and whose it is: an older vault stays one.
    pub known: Option<([u8; 16], Version)>,
}

impl Custody {
    /// Takes the open vault out of custody, once a save, an opening or a write of the state in hand is done. From then
    /// on everyone finds it locked. None where it is.
    pub fn hand_over(&self) -> Option<HandedOver> {
        let mut vault = self.vault();
        let mut quick = self.quick();
        let open = quick.open.take()?;
        Some(HandedOver { vault: vault.take()?, open, leave: self.leave() })
    }

    /// Whether nobody has locked the vault since it was taken out of custody.
    pub fn still_open(&self, handed: &HandedOver) -> bool {
        !handed.leave.is_over()
    }

    /// Takes the vault back into custody, open as it was, unless somebody has locked it meanwhile. Another process may
    /// have written the state anew: this one's next write goes to a fresh file.
    pub fn take_back(&self, mut handed: HandedOver) {
        let mut vault = self.vault();
        let mut quick = self.quick();
        if self.still_open(&handed) {
            handed.open.state.write_anew();
            quick.open = Some(handed.open);
            *vault = Some(handed.vault);
            // Who was told meanwhile to let go of what is sealed looks anew.
            self.openings.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Opens the vault with its master key, as another process of this agent passed it.
    pub fn take_over(&self, master: &[u8], now: WallTime) -> Result<()> {
        on_wiped_stack(|| {
            let master = <[u8; 32]>::try_from(master).map(Zeroizing::new).map_err(|_| Error::Damaged)?;
            let mut vault = self.vault();
            let locks = self.locks.load(Ordering::Acquire);
            let opened = self.folder.open_with(Box::new(master))?;
            self.open(&mut vault, opened, locks, now)
        })
    }

    /// What a successor has to know even where the vault stays closed.
    pub fn closure(&self) -> Closure {
        let (locked_by, known) = {
            let quick = self.quick();
            (quick.locked_by, quick.known)
        };
        let guesses = self.guesses.lock().unwrap_or_else(PoisonError::into_inner);
        Closure { locked_by, guess_wait_millis: guesses.wait_millis, guess_not_before: guesses.not_before, known }
    }

    /// Goes on from there: a restart shortens nobody's wait, and makes no older vault the latest.
    pub fn resume_closure(&self, closure: Closure) {
        {
            let mut quick = self.quick();
            (quick.locked_by, quick.known) = (closure.locked_by, closure.known);
        }
        let wait_millis = closure.guess_wait_millis.min(GUESS_WAIT_MOST_MILLIS);
        let mut guesses = self.guesses.lock().unwrap_or_else(PoisonError::into_inner);
        *guesses = Guesses { wait_millis, not_before: closure.guess_not_before };
    }
}
