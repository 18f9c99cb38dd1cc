//! The word that a device waits to be touched: shown while it waits, and taken away afterwards.

use super::desktop::Note;
use super::limits::NOTIFICATIONS_LIMIT;
use super::prompts::Prompts;
use super::text::plain;
use crate::ask::{Audience, Notice, Touch};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{oneshot, watch};

/// The touches that devices wait for now, by their numbers.
pub(super) type Waiting = BTreeMap<u64, Arc<Touch>>;

/// A device waits to be touched, until this is dropped.
#[must_use = "it is over when this is dropped"]
pub struct TouchNotice {
    prompts: Arc<Prompts>,
    number: u64,
    audience: Arc<Audience>,
    _shown: Option<oneshot::Sender<()>>,
}

impl Prompts {
    /// Tells everyone who waits or attends, and the desktop, that a device waits to be touched. Waits for none of them.
    pub fn touch(self: &Arc<Self>, touch: &Touch, audience: &Arc<Audience>) -> TouchNotice {
        let number = self.next_number();
        let touch = Arc::new(Touch {
            device: plain(&touch.device),
            purpose: plain(&touch.purpose),
            asked_by: plain(&touch.asked_by),
        });
        let mut count = 0;
        self.touches.send_modify(|waiting| {
            waiting.insert(number, touch.clone());
            count = waiting.len();
        });
        audience.tell(&Notice::TouchNeeded { number, touch: touch.clone() });
        let shown = (count <= NOTIFICATIONS_LIMIT).then(|| {
            let (shown, over) = oneshot::channel();
            let lines = vec![touch.purpose.clone(), touch.asked_by.clone()];
            let note = Note { summary: format!("Touch your {}", touch.device), lines };
            self.note(note, async { drop(over.await) });
            shown
        });
        TouchNotice { prompts: self.clone(), number, audience: audience.clone(), _shown: shown }
    }

    /// The touches that devices wait for, as they come and go.
    pub fn touches(&self) -> Touches {
        let mut waiting = self.touches.subscribe();
        // Those that are shown already are news.
        waiting.mark_changed();
        Touches { waiting, known: Waiting::new() }
    }
}

impl Drop for TouchNotice {
    fn drop(&mut self) {
        self.prompts.touches.send_modify(|waiting| {
            waiting.remove(&self.number);
        });
        self.audience.tell(&Notice::TouchOver { number: self.number });
    }
}

/// The touches that devices wait for, for one who attends.
pub struct Touches {
    waiting: watch::Receiver<Waiting>,
    pub(super) known: Waiting,
}

/// What has changed of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TouchNews {
    /// A device began to wait.
    pub begun: Vec<(u64, Arc<Touch>)>,
    /// It waits no longer.
    pub over: Vec<u64>,
}

impl Touches {
    /// What has changed, once something has. A touch that came and went in between is passed over. Never where the room
    /// has gone.
    pub async fn changed(&mut self) -> TouchNews {
        loop {
            if self.waiting.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            let now = self.waiting.borrow_and_update().clone();
            let over: Vec<u64> = self.known.keys().filter(|number| !now.contains_key(number)).copied().collect();
            let begun = now.iter().filter(|(number, _)| !self.known.contains_key(number));
            let begun: Vec<_> = begun.map(|(number, touch)| (*number, touch.clone())).collect();
            self.known = now;
            if !(begun.is_empty() && over.is_empty()) {
                return TouchNews { begun, over };
            }
        }
    }
}
