//! What came of the last questions, so that nobody is asked until they give in.
//!
//! It counts what other people than the one who waits were shown: a question in the terminal of the very command that
//! wants the answer tires nobody. One that was answered as it was meant counts no longer, nor do those of its session
//! before it.

use super::Unasked;
use super::limits::{
    BLOCKED_LIMIT, DENIALS_MILLIS, DENIALS_UNTIL_BLOCK, DENIALS_UNTIL_SILENCE, MINUTE_LIMIT, MINUTE_MILLIS,
    REFUSALS_LIMIT, REFUSALS_MILLIS, REMEMBERED_LIMIT, SILENCE_MILLIS,
};
use crate::ask::Audience;
use crate::world::{BootTime, Clock};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

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

/// What became of a question that was not answered as it was meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// A person said no.
    Denied,
    /// Nobody answered in time, or it was withdrawn: that is as tiresome.
    Left,
}

#[derive(Debug, Clone, Copy)]
struct Refusal {
    at: BootTime,
    session: Session,
    outcome: Outcome,
}

#[derive(Default)]
struct Inner {
    /// The oldest first.
    refusals: VecDeque<Refusal>,
    /// Sessions that nobody is asked for, the first one first.
    blocked: VecDeque<Session>,
}

impl Inner {
    /// Drops what counts no longer.
    fn age(&mut self, now: BootTime) {
        self.refusals.retain(|refusal| {
            let lasts = if refusal.outcome == Outcome::Denied { DENIALS_MILLIS } else { REFUSALS_MILLIS };
            now.millis_since(refusal.at) < lasts
        });
    }
}

/// The refusals of late, and what follows from them.
#[derive(Default)]
pub(super) struct Refusals(Mutex<Inner>);

impl Refusals {
    /// Whether people may be asked for this session.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn permit(&self, session: Session, now: BootTime) -> Result<(), Unasked> {
        let mut inner = self.inner();
        inner.age(now);
        if inner.blocked.contains(&session) {
            return Err(Unasked::Blocked);
        }
        let within = |millis: u64| inner.refusals.iter().filter(move |refusal| now.millis_since(refusal.at) < millis);
        let own = |refusal: &&Refusal| refusal.session == session;
        let denials = inner.refusals.iter().filter(own).filter(|refusal| refusal.outcome == Outcome::Denied);
        let last_denial = denials.clone().next_back().map(|refusal| now.millis_since(refusal.at));
        if denials.count() >= DENIALS_UNTIL_SILENCE && last_denial.is_some_and(|since| since < SILENCE_MILLIS) {
            return Err(Unasked::Silent);
        }
        if within(REFUSALS_MILLIS).filter(own).count() >= REFUSALS_LIMIT {
            return Err(Unasked::Weary);
        }
        if within(MINUTE_MILLIS).count() >= MINUTE_LIMIT {
            return Err(Unasked::TooMany);
        }
        Ok(())
    }

    /// A person answered it as it was meant: what was refused before counts no longer.
    pub(super) fn forgive(&self, session: Session) {
        self.inner().refusals.retain(|refusal| refusal.session != session);
    }

    /// A person is there who wants to be asked.
    pub(super) fn forgive_all(&self) {
        *self.inner() = Inner::default();
    }

    /// True where nobody is asked for the session any more from now on.
    fn add(&self, refusal: Refusal) -> bool {
        let mut inner = self.inner();
        inner.age(refusal.at);
        if inner.refusals.len() >= REMEMBERED_LIMIT {
            inner.refusals.pop_front();
        }
        inner.refusals.push_back(refusal);
        let session = refusal.session;
        let counts = |known: &&Refusal| known.session == session && known.outcome == Outcome::Denied;
        if refusal.outcome != Outcome::Denied
            || inner.blocked.contains(&session)
            || inner.refusals.iter().filter(counts).count() < DENIALS_UNTIL_BLOCK
        {
            return false;
        }
        if inner.blocked.len() >= BLOCKED_LIMIT {
            inner.blocked.pop_front();
        }
        inner.blocked.push_back(session);
        true
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question on its way. Once others are asked it counts as left unless somebody says otherwise.
pub(super) struct Trial<'a> {
    refusals: &'a Refusals,
    clock: &'a dyn Clock,
    session: Session,
    counts: bool,
}

impl<'a> Trial<'a> {
    pub(super) fn new(refusals: &'a Refusals, clock: &'a dyn Clock, session: Session) -> Self {
        Self { refusals, clock, session, counts: false }
    }

    /// People are shown it who do not wait for the answer.
    pub(super) fn bothers(&mut self) {
        self.counts = true;
    }

    /// It was answered as it was meant.
    pub(super) fn answered(mut self) {
        self.counts = false;
        self.refusals.forgive(self.session);
    }

    /// One of those who do not wait said no. True where nobody is asked for the session any more from now on.
    pub(super) fn denied(mut self) -> bool {
        self.counts = false;
        self.refusals.add(Refusal { at: self.clock.boot(), session: self.session, outcome: Outcome::Denied })
    }

    /// Nobody could be asked, or the one who waits declined.
    pub(super) fn unasked(mut self) {
        self.counts = false;
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if self.counts {
            self.refusals.add(Refusal { at: self.clock.boot(), session: self.session, outcome: Outcome::Left });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Outcome::{Denied, Left};
    use super::{Outcome, Refusal, Refusals, Session, Unasked};
    use crate::prompt::limits::{BLOCKED_LIMIT, DENIALS_MILLIS, REMEMBERED_LIMIT};
    use crate::world::BootTime;

    const MINE: Session = Session(Some(1));
    const OTHER: Session = Session(Some(2));

    impl Refusals {
        fn put(&self, session: Session, at: u64, outcome: Outcome) -> bool {
            self.add(Refusal { at: BootTime(at), session, outcome })
        }

        fn says(&self, session: Session, at: u64) -> &'static str {
            match self.permit(session, BootTime(at)) {
                Ok(()) => "asked",
                Err(Unasked::Silent) => "silent",
                Err(Unasked::Blocked) => "blocked",
                Err(Unasked::Weary) => "weary",
                Err(Unasked::TooMany) => "too many",
                Err(other) => panic!("{other}"),
            }
        }
    }

    #[test]
    fn after_two_denials_a_session_is_silent_for_a_minute_and_after_five_until_a_person_lifts_it() {
        let refusals = Refusals::default();
        assert!(!refusals.put(MINE, 0, Denied));
        assert_eq!(refusals.says(MINE, 1), "asked", "once is no flood");
        assert!(!refusals.put(MINE, 10, Denied));
        assert_eq!((refusals.says(MINE, 10), refusals.says(MINE, 60_009)), ("silent", "silent"));
        assert_eq!((refusals.says(MINE, 60_010), refusals.says(OTHER, 10)), ("asked", "asked"));
        assert_eq!(refusals.says(Session(None), 10), "asked");
        // Each further one is followed by a minute.
        for at in [100_000, 200_000] {
            assert!(!refusals.put(MINE, at, Denied));
            assert_eq!((refusals.says(MINE, at + 59_999), refusals.says(MINE, at + 60_000)), ("silent", "asked"));
        }
        assert!(refusals.put(MINE, 300_000, Denied), "the fifth");
        assert!(!refusals.put(MINE, 300_001, Denied), "it is told once");
        for at in [300_000, DENIALS_MILLIS * 100] {
            assert_eq!((refusals.says(MINE, at), refusals.says(OTHER, at)), ("blocked", "asked"));
        }
        // Not even by a yes to something that was asked before.
        refusals.forgive(MINE);
        assert_eq!(refusals.says(MINE, DENIALS_MILLIS * 100), "blocked");
        refusals.forgive_all();
        assert_eq!(refusals.says(MINE, DENIALS_MILLIS * 100), "asked");
    }

    #[test]
    fn denials_that_lie_far_apart_block_nobody_and_a_yes_takes_them_back() {
        let refusals = Refusals::default();
        for number in 0..20 {
            assert!(!refusals.put(MINE, number * (DENIALS_MILLIS / 4), Denied));
            assert_eq!(refusals.says(MINE, number * (DENIALS_MILLIS / 4) + 60_000), "asked");
        }
        refusals.forgive(MINE);
        for number in 0..4 {
            assert!(!refusals.put(MINE, DENIALS_MILLIS * 10 + number, Denied), "{number}");
        }
    }

    #[test]
    fn what_nobody_answers_counts_for_five_minutes() {
        let refusals = Refusals::default();
        for number in 0..5 {
            assert_eq!(refusals.says(MINE, number * 20_000), "asked");
            assert!(!refusals.put(MINE, number * 20_000, Left));
        }
        assert_eq!((refusals.says(MINE, 299_999), refusals.says(OTHER, 299_999)), ("weary", "asked"));
        assert_eq!(refusals.says(MINE, 300_000), "asked", "the first counts no longer");
        refusals.put(MINE, 300_000, Left);
        assert_eq!(refusals.says(MINE, 300_000), "weary");
        refusals.forgive(OTHER);
        assert_eq!(refusals.says(MINE, 300_000), "weary");
        refusals.forgive(MINE);
        assert_eq!(refusals.says(MINE, 300_000), "asked");
    }

    #[test]
    fn a_new_session_for_each_question_gets_no_further() {
        let refusals = Refusals::default();
        for session in 0..5 {
            assert_eq!(refusals.says(Session(Some(session)), 0), "asked");
            refusals.put(Session(Some(session)), 0, if session % 2 == 0 { Denied } else { Left });
        }
        assert_eq!(
            (refusals.says(Session(Some(9)), 59_999), refusals.says(Session(None), 59_999)),
            ("too many", "too many")
        );
        assert_eq!(refusals.says(Session(Some(9)), 60_000), "asked");
        // One that was answered gives its place back.
        refusals.forgive(Session(Some(3)));
        assert_eq!(refusals.says(Session(Some(9)), 59_999), "asked");
    }

    #[test]
    fn no_more_are_remembered_than_may() {
        let refusals = Refusals::default();
        for session in 0..1000 {
            refusals.put(Session(Some(session)), 0, Left);
        }
        assert_eq!(refusals.inner().refusals.len(), REMEMBERED_LIMIT);
        for session in 0..1000 {
            for _ in 0..5 {
                refusals.put(Session(Some(session)), 0, Denied);
            }
        }
        assert_eq!(refusals.inner().blocked.len(), BLOCKED_LIMIT);
        refusals.forgive_all();
        assert!(refusals.inner().refusals.is_empty() && refusals.inner().blocked.is_empty());
    }
}
