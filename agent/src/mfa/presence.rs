//! Whether a person was here lately enough for a soft code to be spent.

use crate::world::BootTime;
use std::sync::{Mutex, PoisonError};

/// The last human act: an unlock, a `login`, an answered prompt. On the boot clock, so a night asleep counts.
#[derive(Default)]
pub struct Presence(Mutex<Option<BootTime>>);

impl Presence {
    /// A person has just done something.
    pub fn mark(&self, now: BootTime) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// When a person was last here.
    pub fn last(&self) -> Option<BootTime> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds for which a soft code may still be spent; None once `window_millis` have passed since the last act.
    pub fn left(&self, now: BootTime, window_millis: u64) -> Option<u64> {
        let last = self.last()?;
        window_millis.checked_sub(now.millis_since(last)).filter(|left| *left > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::Presence;
    use crate::world::BootTime;

    #[test]
    fn presence_begins_with_an_act_and_ends_with_its_window() {
        let presence = Presence::default();
        assert_eq!(presence.left(BootTime(10), 1000), None);
        presence.mark(BootTime(10));
        assert_eq!((presence.left(BootTime(510), 1000), presence.left(BootTime(1010), 1000)), (Some(500), None));
    }
}
