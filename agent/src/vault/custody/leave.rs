//! Leave to have long-lived secrets in hand, until the next lock.

use std::sync::{Mutex, PoisonError};
use tokio::sync::watch;

/// Whoever works with a secret of the vault, or with what opens it, holds one for as long as that is in its memory: a
/// lock ends it, and waits until everyone has let go.
#[derive(Clone)]
pub struct Leave(watch::Receiver<bool>);

impl Leave {
    /// Whether a lock has ended it.
    pub fn is_over(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns once a lock ends it.
    pub async fn over(&mut self) {
        // The giver tells before it goes.
        drop(self.0.wait_for(|over| *over).await);
    }
}

/// All leaves of a time, ended.
pub struct Ended(watch::Sender<bool>);

impl Ended {
    /// Returns once everyone has let go.
    pub async fn let_go(self) {
        self.0.closed().await;
    }
}

/// Gives leaves.
#[derive(Default)]
pub(super) struct Leaves(Mutex<watch::Sender<bool>>);

impl Leaves {
    pub(super) fn give(&self) -> Leave {
        Leave(self.0.lock().unwrap_or_else(PoisonError::into_inner).subscribe())
    }

    /// Ends those that were given so far.
    pub(super) fn end(&self) -> Ended {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = std::mem::take(&mut *current);
        ended.send_replace(true);
        Ended(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::Leaves;

    #[tokio::test]
    async fn an_end_waits_for_those_before_it_alone() {
        let leaves = Leaves::default();
        let (mut before, ended) = (leaves.give(), leaves.end());
        let after = leaves.give();
        assert!(before.is_over() && !after.is_over());
        before.over().await;
        let copy = before.clone();
        drop(before);
        let mut waiting = tokio::spawn(ended.let_go());
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished(), "a copy counts");
        drop(copy);
        (&mut waiting).await.unwrap();
        drop(after);
        leaves.end().let_go().await;
    }
}
