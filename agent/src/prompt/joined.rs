//! Who asks for the same at the same time: one question, and its answer for all.

use super::Verdict;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// What makes two questions the same one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Same {
    /// What a yes would be good for, in full: a difference that matters to a person is one here.
    pub purpose: String,
    /// Whether a yes is good for later requests too. Then one that comes while the question is asked gets its answer; else
    /// only those do that wait when it is shown, and the question says how many.
    pub lasts: bool,
}

/// The questions that others may join.
#[derive(Default)]
pub(super) struct Joints(Mutex<Vec<Open>>);

struct Open {
    same: Same,
    is_shown: bool,
    joined: Arc<AtomicUsize>,
    verdict: watch::Receiver<Option<Verdict>>,
}

/// How one who asks for something goes on.
pub(super) enum Way<'a> {
    /// Nobody asks for it yet: by asking.
    Lead(Lead<'a>),
    /// By waiting for what is said to another.
    Join(Joined),
}

impl Joints {
    pub(super) fn enter(&self, same: &Same) -> Way<'_> {
        let mut open = self.open();
        if let Some(open) = open.iter().find(|open| open.same == *same && (same.lasts || !open.is_shown)) {
            open.joined.fetch_add(1, Ordering::AcqRel);
            return Way::Join(Joined { joined: open.joined.clone(), verdict: open.verdict.clone() });
        }
        let (tell, verdict) = watch::channel(None);
        let joined = Arc::new(AtomicUsize::new(0));
        open.push(Open { same: same.clone(), is_shown: false, joined: joined.clone(), verdict });
        Way::Lead(Lead { joints: self, joined, tell })
    }

    fn open(&self) -> MutexGuard<'_, Vec<Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one who asks, for all who join. Where this is dropped without an answer, they ask for themselves.
pub(super) struct Lead<'a> {
    joints: &'a Joints,
    joined: Arc<AtomicUsize>,
    tell: watch::Sender<Option<Verdict>>,
}

impl Lead<'_> {
    /// The question is shown from now on. How many have joined.
    pub(super) fn shows(&self) -> usize {
        for open in self.joints.open().iter_mut().filter(|open| Arc::ptr_eq(&open.joined, &self.joined)) {
            open.is_shown = true;
        }
        self.joined.load(Ordering::Acquire)
    }

    /// This is the answer, for all.
    pub(super) fn tell(self, verdict: &Verdict) {
        self.tell.send_replace(Some(verdict.clone()));
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        self.joints.open().retain(|open| !Arc::ptr_eq(&open.joined, &self.joined));
    }
}

/// One who waits for the answer to another's question.
pub(super) struct Joined {
    joined: Arc<AtomicUsize>,
    verdict: watch::Receiver<Option<Verdict>>,
}

impl Joined {
    /// The answer; None where nobody asks any more.
    pub(super) async fn answer(&mut self) -> Option<Verdict> {
        self.verdict.wait_for(Option::is_some).await.ok()?.clone()
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.joined.fetch_sub(1, Ordering::AcqRel);
    }
}
