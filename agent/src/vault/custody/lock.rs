//! A lock: at once for whoever asks from now on, then for what is in memory.

use super::{Custody, LockedBy};
use crate::vault::custody::leave::Ended;
use std::sync::atomic::Ordering;

impl Custody {
    /// Wipes master key, long-lived secrets and the open state. What is known without a secret stays. May wait for a
    /// save or an opening in hand; the seeds are gone before that, and an opening that it overtakes comes to nothing.
    /// Once those with a leave have let go, nothing is left of any of it.
    pub fn lock(&self, by: LockedBy) -> Ended {
        let ended = self.shut(by);
        self.empty(by);
        ended
    }

    /// The first half, which waits for nobody: who asks from now on finds it locked.
    pub fn shut(&self, by: LockedBy) -> Ended {
        let mut quick = self.quick();
        // In one: who takes the open vault along has done so before it, with a leave, or finds it closed.
        let ended = self.leaves.end();
        self.locks.fetch_add(1, Ordering::AcqRel);
        quick.close(by);
        ended
    }

    /// The second half: what a save or an opening in hand still has.
    pub fn empty(&self, by: LockedBy) {
        *self.vault() = None;
        if by == LockedBy::Command {
            self.bar_keyring();
        }
    }
}
