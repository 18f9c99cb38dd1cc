//! Guesses at a slot, and what they cost.

use super::Custody;
use crate::vault::folder::Opener;
use crate::vault::{Error, Result};
use crate::world::BootTime;
use claviger::model::SlotProof;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

/// After a wrong guess the next one waits a second, doubling to this, for everyone: a guess costs the guesser time
/// and nobody else's connection.
pub(super) const GUESS_WAIT_MOST_MILLIS: u64 = 60_000;

/// When the next one may be made.
#[derive(Default)]
pub(super) struct Guesses {
    pub(super) wait_millis: u64,
    pub(super) not_before: Option<BootTime>,
}

impl Custody {
    /// What opens a slot of the open vault, made of a proof unless a lock came since this count. As for an opening,
    /// nothing waits for the stretching.
    pub(super) fn stretched(&self, proof: &SlotProof, locks: u64) -> Result<Opener> {
        let header = self.vault().as_ref().ok_or(Error::Locked)?.header.clone();
        self.guess(|| self.unless_locked(locks, || Opener::find(&header, proof)))
    }

    /// Runs something that fails on a wrong guess, if a guess may be made now.
    pub(super) fn guess<T>(&self, attempt: impl FnOnce() -> Result<T>) -> Result<T> {
        let mut guesses = self.guesses.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.world.clock.boot();
        if let Some(wait) = guesses.not_before.map(|until| until.millis_since(now)).filter(|wait| *wait > 0) {
            return Err(Error::Wait { seconds: wait.div_ceil(1000) });
        }
        let result = attempt();
        match &result {
            Err(Error::WrongProof) => {
                guesses.wait_millis = guesses.wait_millis.saturating_mul(2).clamp(1000, GUESS_WAIT_MOST_MILLIS);
                guesses.not_before = Some(self.world.clock.boot().plus_millis(guesses.wait_millis));
            }
            Ok(_) => *guesses = Guesses::default(),
            Err(_) => {}
        }
        result
    }

    /// Begins only where nobody has locked the vault since this count: a lock waits for what has begun.
    pub(super) fn unless_locked<T>(&self, locks: u64, begin: impl FnOnce() -> Result<T>) -> Result<T> {
        if self.locks.load(Ordering::Acquire) == locks { begin() } else { Err(Error::Locked) }
    }
}
