//! A client that waits for questions and answers them in its terminal.

use super::Asked;
use super::prompts::{Attendant, Prompts};
use claviger::secret::TypedAnswer;
use std::sync::Arc;
use tokio::sync::watch;

/// Somebody who waits for questions, until dropped.
pub struct Attending {
    prompts: Arc<Prompts>,
    id: u64,
    shown: watch::Receiver<Option<Asked>>,
}

impl Attending {
    pub(super) fn new(prompts: Arc<Prompts>) -> Self {
        let mut shown = prompts.shown.subscribe();
        // What is asked already is news to them.
        shown.mark_changed();
        let id = {
            let mut room = prompts.room();
            room.last_attendant = room.last_attendant.saturating_add(1);
            let id = room.last_attendant;
            room.attendants.push(Attendant { id, left: 0 });
            id
        };
        // There is somebody new to ask.
        prompts.refusals.forgive_all();
        prompts.changed.notify_waiters();
        Self { prompts, id, shown }
    }

    /// What is asked, once that has changed; None where nothing is. A question that came and went in between is passed
    /// over.
    pub async fn changed(&mut self) -> Option<Asked> {
        // Fails only where the sender has gone, and it is held here.
        drop(self.shown.changed().await);
        self.shown.borrow_and_update().clone()
    }

    /// The room, for tests.
    #[cfg(test)]
    pub(super) fn prompts(&self) -> &Prompts {
        &self.prompts
    }

    /// Answers a question, or leaves it to others. To one of yes and no all but `y` and `yes` is no; a secret that is
    /// empty is a refusal. False where the question is over.
    pub fn answer(&self, number: u64, answer: Option<TypedAnswer>) -> bool {
        let mut room = self.prompts.room();
        if !room.asks(number) {
            return false;
        }
        match answer {
            Some(typed) => room.answer(&typed),
            None => {
                for attendant in room.attendants.iter_mut().filter(|attendant| attendant.id == self.id) {
                    attendant.left = number;
                }
                drop(room);
                self.prompts.changed.notify_waiters();
                true
            }
        }
    }
}

impl Drop for Attending {
    fn drop(&mut self) {
        self.prompts.room().attendants.retain(|attendant| attendant.id != self.id);
        self.prompts.changed.notify_waiters();
    }
}
