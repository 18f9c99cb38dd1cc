//! Who is waiting for an answer, and how a room below can tell or ask them something on the way.
//!
//! Rooms never call back up: a request carries a [`Listener`], work that several requests wait for carries an
//! [`Audience`] of them, and both travel down. The control door turns what arrives into wire events.

mod words;

pub use words::{Asked, Asking, Display, PinQuestion, Question, Touch};

use crate::world::BootTime;
use claviger::model::{AuditPeer, MfaSerial};
use claviger::secret::TypedAnswer;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;

/// Something a person who waits should see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// So many regions have answered.
    RegionsDone {
        /// How many have.
        done: usize,
        /// How many there are.
        of: usize,
    },
    /// A device waits to be touched.
    TouchNeeded {
        /// Its number.
        number: u64,
        /// What to touch, and why.
        touch: Arc<Touch>,
    },
    /// It waits no longer.
    TouchOver {
        /// Its number.
        number: u64,
    },
    /// The device's current code is spent; the next comes at this time.
    WaitingForCode {
        /// The device.
        serial: MfaSerial,
        /// When the next code begins.
        until: BootTime,
    },
}

/// What reaches a waiting request.
pub enum Upcall {
    /// Show this.
    Notice(Notice),
    /// Have a person answer this; None where they leave it to others. Nobody waits for it any more once the other end is
    /// gone.
    Prompt {
        /// What is asked.
        asked: Asked,
        /// Where the answer goes.
        answer: mpsc::Sender<Option<TypedAnswer>>,
    },
    /// Ask this; None where the person declines.
    Question {
        /// One line.
        prompt: String,
        /// Where the answer goes.
        answer: mpsc::Sender<Option<TypedAnswer>>,
    },
}

/// Says who asks, for the record: it looks when it is called.
pub type Asker = Arc<dyn Fn() -> AuditPeer + Send + Sync>;

/// One waiting request.
#[derive(Clone)]
pub struct Listener {
    upcalls: mpsc::UnboundedSender<Upcall>,
    answers: bool,
    asker: Option<Asker>,
    display: Option<Arc<Display>>,
}

impl Listener {
    /// A listener and the end that its connection reads. `answers` says whether a person is there.
    pub fn new(answers: bool) -> (Self, mpsc::UnboundedReceiver<Upcall>) {
        let (upcalls, receiver) = mpsc::unbounded_channel();
        (Self { upcalls, answers, asker: None, display: None }, receiver)
    }

    /// The same, known to the record.
    pub fn known(mut self, asker: Asker) -> Self {
        self.asker = Some(asker);
        self
    }

    /// The same, at this display.
    pub fn at(mut self, display: Option<Arc<Display>>) -> Self {
        self.display = display;
        self
    }

    /// Who asks.
    pub fn asker(&self) -> Option<Asker> {
        self.asker.clone()
    }

    /// Tells it alone.
    pub fn tell(&self, notice: Notice) {
        drop(self.upcalls.send(Upcall::Notice(notice)));
    }

    /// Nobody: for work that no request waits for.
    pub fn nobody() -> Self {
        Self::new(false).0
    }
}

/// Everyone who waits for one piece of work, directly or through the work that needs it.
#[derive(Default)]
pub struct Audience {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Who asks where nobody listens.
    asker: Option<Asker>,
    listeners: Vec<Listener>,
    outer: Vec<Arc<Audience>>,
    last: Option<Notice>,
}

impl Audience {
    /// Nobody who could be told or asked anything, but known: a client of a door without events.
    pub fn silent(asker: Asker) -> Self {
        Self { inner: Mutex::new(Inner { asker: Some(asker), ..Inner::default() }) }
    }

    /// One request.
    pub fn of(listener: Listener) -> Self {
        Self { inner: Mutex::new(Inner { listeners: vec![listener], ..Inner::default() }) }
    }

    /// Joins a request; it hears the last notice at once, so that one who comes late is not left guessing.
    pub fn join(&self, listener: Listener) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(notice) = &inner.last {
            drop(listener.upcalls.send(Upcall::Notice(notice.clone())));
        }
        inner.listeners.push(listener);
    }

    /// Joins everyone who waits for work that needs this work.
    pub fn join_all(&self, outer: Arc<Audience>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(notice) = &inner.last {
            outer.tell(notice);
        }
        inner.outer.push(outer);
    }

    /// Who asked first.
    pub fn asker(&self) -> Option<Asker> {
        let mut listeners = Vec::new();
        self.collect(&mut listeners);
        let silent = || self.inner.lock().unwrap_or_else(PoisonError::into_inner).asker.clone();
        listeners.iter().find_map(Listener::asker).or_else(silent)
    }

    /// The display of whoever asked first and has one.
    pub fn display(&self) -> Option<Arc<Display>> {
        let mut listeners = Vec::new();
        self.collect(&mut listeners);
        listeners.into_iter().find_map(|listener| listener.display)
    }

    /// Tells everyone.
    pub fn tell(&self, notice: &Notice) {
        let outer = {
            let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            // What is over is no news to whoever comes late.
            inner.last = Some(notice.clone()).filter(|notice| !matches!(notice, Notice::TouchOver { .. }));
            inner.listeners.retain(|listener| listener.upcalls.send(Upcall::Notice(notice.clone())).is_ok());
            inner.outer.clone()
        };
        for audience in outer {
            audience.tell(notice);
        }
    }

    /// Asks everyone who can answer; the first answer wins. None where nobody can be asked, or all declined or left.
    pub async fn ask(&self, prompt: &str) -> Option<TypedAnswer> {
        let mut listeners = Vec::new();
        self.collect(&mut listeners);
        let (answer, mut answers) = mpsc::channel(listeners.len().max(1));
        for listener in listeners.iter().filter(|listener| listener.answers) {
            let question = Upcall::Question { prompt: prompt.to_owned(), answer: answer.clone() };
            drop(listener.upcalls.send(question));
        }
        drop((answer, listeners));
        while let Some(reply) = answers.recv().await {
            if reply.is_some() {
                return reply;
            }
        }
        None
    }

    /// Whether somebody who waits can be asked.
    pub fn answers(&self) -> bool {
        let mut listeners = Vec::new();
        self.collect(&mut listeners);
        listeners.iter().any(|listener| listener.answers)
    }

    /// Asks everyone who can answer. Nothing comes any more once all have declined or left; dropping the receiver takes
    /// the question away from them.
    pub fn prompt(&self, asked: &Asked) -> mpsc::Receiver<Option<TypedAnswer>> {
        let mut listeners = Vec::new();
        self.collect(&mut listeners);
        let (answer, answers) = mpsc::channel(listeners.len().max(1));
        for listener in listeners.iter().filter(|listener| listener.answers) {
            let asked = asked.clone();
            drop(listener.upcalls.send(Upcall::Prompt { asked, answer: answer.clone() }));
        }
        answers
    }

    fn collect(&self, into: &mut Vec<Listener>) {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        into.extend(inner.listeners.iter().cloned());
        for audience in &inner.outer {
            audience.collect(into);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Audience, Listener, Notice, Upcall};
    use crate::world::BootTime;
    use claviger::secret::{SecretText, TypedAnswer};
    use std::sync::Arc;

    fn notice() -> Notice {
        Notice::WaitingForCode { serial: "arn:aws:iam::123456789012:mfa/ada".parse().unwrap(), until: BootTime(5) }
    }

    #[tokio::test]
    async fn a_notice_reaches_those_behind_and_those_who_come_late() {
        let (inner, outer) = (Audience::default(), Arc::new(Audience::default()));
        let (early, mut early_end) = Listener::new(false);
        outer.join(early);
        inner.join_all(outer.clone());
        inner.tell(&notice());
        let (late, mut late_end) = Listener::new(false);
        outer.join(late);
        for end in [&mut early_end, &mut late_end] {
            assert!(matches!(end.recv().await, Some(Upcall::Notice(heard)) if heard == notice()));
        }
    }

    #[tokio::test]
    async fn the_first_answer_wins_and_nobody_is_no_answer() {
        let audience = Audience::default();
        assert!(audience.ask("code").await.is_none(), "nobody listens");
        let (silent, mut silent_end) = Listener::new(false);
        let (first, mut first_end) = Listener::new(true);
        let (second, mut second_end) = Listener::new(true);
        for listener in [silent, first, second] {
            audience.join(listener);
        }
        let reply = async {
            for (end, text) in [(&mut first_end, None), (&mut second_end, Some("123456"))] {
                let Some(Upcall::Question { answer, .. }) = end.recv().await else { panic!("a question") };
                answer.send(text.map(|text: &str| TypedAnswer::from_text(text.to_owned()))).await.unwrap();
            }
        };
        let (asked, ()) = tokio::join!(audience.ask("code"), reply);
        assert_eq!(asked.expect("an answer").expose(), "123456");
        assert!(silent_end.try_recv().is_err(), "who cannot answer is not asked");
    }
}
