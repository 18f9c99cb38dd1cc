//! A lock: at once for whoever asks from now on, then for what is in memory.

use super::Custody;
use crate::vault::custody::leave::Ended;
use std::sync::atomic::Ordering;

/// What locked the vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockedBy {
    /// `claviger lock`.
    Command,
    /// `[lock] idle` without a request.
    Idle,
    /// The user's screen was locked.
    Screen,
    /// The agent has not been unlocked since it started.
    Start,
    /// The agent is stopping.
    Stop,
    /// The machine went to sleep.
    Suspend,
}

impl LockedBy {
    /// Every one of them.
    const ALL: [Self; 6] = [Self::Command, Self::Idle, Self::Screen, Self::Start, Self::Stop, Self::Suspend];

    /// The one that `status` shows like this.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|by| by.as_str() == name)
    }

    /// As `status` shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Idle => "idle",
            Self::Screen => "screen",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Suspend => "suspend",
        }
    }
}

/// Whether the vault is there and open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VaultState {
    /// No vault file.
    Absent,
    /// Closed.
    Locked(LockedBy),
    /// Open.
    Unlocked,
}

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
