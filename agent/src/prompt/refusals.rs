//! What came of the last questions, so that nobody is asked until they give in.

use super::limits::{REFUSALS_LIMIT, REFUSALS_MILLIS, REMEMBERED_LIMIT};
use crate::ask::Audience;
use crate::world::{BootTime, Clock};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Whose questions count together: the leader of a login session, else the process. None where nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Session(Option<i32>);

impl Session {
    /// That of whoever asks.
    pub(super) fn of(audience: &Audience) -> Self {
        let peer = audience.asker().map(|asker| asker());
        Self(peer.and_then(|peer| peer.leader.or(peer.pid)))
    }
}

/// The refusals of late, the oldest first.
#[derive(Default)]
pub(super) struct Refusals(Mutex<VecDeque<(BootTime, Session)>>);

impl Refusals {
    /// Whether people have refused this session too often of late.
    pub(super) fn are_many(&self, session: Session, now: BootTime) -> bool {
        let mut refusals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        refusals.retain(|(at, _)| now.millis_since(*at) < REFUSALS_MILLIS);
        refusals.iter().filter(|(_, known)| *known == session).count() >= REFUSALS_LIMIT
    }

    /// A person answered it as it was meant: what was refused before counts no longer.
    pub(super) fn forgive(&self, session: Session) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|(_, known)| *known != session);
    }

    /// Somebody new is there to answer.
    pub(super) fn forgive_all(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn add(&self, session: Session, now: BootTime) {
        let mut refusals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if refusals.len() >= REMEMBERED_LIMIT {
            refusals.pop_front();
        }
        refusals.push_back((now, session));
    }
}

/// A question on its way: it counts as refused unless somebody says otherwise. One that is withdrawn is as tiresome.
pub(super) struct Trial<'a> {
    refusals: &'a Refusals,
    clock: &'a dyn Clock,
    session: Session,
    counts: bool,
}

impl<'a> Trial<'a> {
    pub(super) fn new(refusals: &'a Refusals, clock: &'a dyn Clock, session: Session) -> Self {
        Self { refusals, clock, session, counts: true }
    }

    /// It was answered as it was meant.
    pub(super) fn answered(mut self) {
        self.counts = false;
        self.refusals.forgive(self.session);
    }

    /// Nobody could be asked.
    pub(super) fn unasked(mut self) {
        self.counts = false;
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if self.counts {
            self.refusals.add(self.session, self.clock.boot());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{REFUSALS_LIMIT, REFUSALS_MILLIS, REMEMBERED_LIMIT, Refusals, Session};
    use crate::world::BootTime;

    #[test]
    fn a_session_is_left_alone_for_a_while_and_others_are_not() {
        let (refusals, tiresome, other) = (Refusals::default(), Session(Some(1)), Session(Some(2)));
        for at in 0..REFUSALS_LIMIT as u64 {
            assert!(!refusals.are_many(tiresome, BootTime(at)));
            refusals.add(tiresome, BootTime(at));
        }
        let now = BootTime(REFUSALS_LIMIT as u64);
        assert!(
            refusals.are_many(tiresome, now)
                && !refusals.are_many(other, now)
                && !refusals.are_many(Session(None), now)
        );
        assert!(!refusals.are_many(tiresome, BootTime(REFUSALS_MILLIS)), "the first counts no longer");
        refusals.add(tiresome, BootTime(REFUSALS_MILLIS));
        assert!(refusals.are_many(tiresome, BootTime(REFUSALS_MILLIS)));
        refusals.forgive(other);
        assert!(refusals.are_many(tiresome, BootTime(REFUSALS_MILLIS)));
        refusals.forgive(tiresome);
        assert!(!refusals.are_many(tiresome, BootTime(REFUSALS_MILLIS)));
    }

    #[test]
    fn no_more_are_remembered_than_may() {
        let refusals = Refusals::default();
        for session in 0..1000 {
            refusals.add(Session(Some(session)), BootTime(0));
        }
        assert_eq!(refusals.0.lock().unwrap().len(), REMEMBERED_LIMIT);
        refusals.forgive_all();
        assert!(refusals.0.lock().unwrap().is_empty());
    }
}
