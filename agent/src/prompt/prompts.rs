//! The questions, one after the other, and whoever may answer them.

use super::attending::{Asked, Attending};
use super::{Programs, Question, Unasked, Verdict};
use crate::world::Clock;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, oneshot, watch};

/// How long a question lives, its wait for others included: whoever wants the answer has given up by then. A server of
/// SSH gives a login as long (sshd_config(5), LoginGraceTime).
const QUESTION_MILLIS: u64 = 120_000;
/// Most questions that wait while one is asked: a person answers one after the other, and not a hundred.
const WAITING_LIMIT: usize = 16;

/// The questions to a person.
pub struct Prompts {
    clock: Arc<dyn Clock>,
    programs: Mutex<Arc<Programs>>,
    /// Those being asked or waiting for that.
    questions: AtomicUsize,
    /// Held by the one that is asked.
    turn: tokio::sync::Mutex<()>,
    /// What is asked now, for those who attend.
    pub(super) shown: watch::Sender<Option<Asked>>,
    room: Mutex<Room>,
    /// Somebody came, left, or leaves the question to others.
    pub(super) changed: Notify,
}

/// Who may answer, and what.
#[derive(Default)]
pub(super) struct Room {
    /// The number of the last question.
    last: u64,
    asking: Option<Asking>,
    pub(super) attendants: Vec<Attendant>,
    pub(super) last_attendant: u64,
}

/// A question that nobody has answered yet.
struct Asking {
    number: u64,
    answer: oneshot::Sender<bool>,
}

/// Somebody who waits for questions.
pub(super) struct Attendant {
    pub(super) id: u64,
    /// The last question that they left to others.
    pub(super) left: u64,
}

impl Prompts {
    /// With these programs, and nobody attending.
    pub fn new(clock: Arc<dyn Clock>, programs: Programs) -> Arc<Self> {
        // A client goes on from one agent to the next, and what it answers the one must be nothing to the other.
        let room = Room { last: clock.boot().0, ..Room::default() };
        Arc::new(Self {
            clock,
            programs: Mutex::new(Arc::new(programs)),
            questions: AtomicUsize::new(0),
            turn: tokio::sync::Mutex::default(),
            shown: watch::Sender::new(None),
            room: Mutex::new(room),
            changed: Notify::new(),
        })
    }

    /// From the next question on with these programs.
    pub fn set_programs(&self, programs: Programs) {
        *self.programs.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(programs);
    }

    /// Asks: the program and all who attend at once; the first answer counts. Whoever drops this has withdrawn the
    /// question: the program is ended, and the clients are told.
    pub async fn confirm(&self, question: &Question) -> Verdict {
        let deadline = self.clock.boot().plus_millis(QUESTION_MILLIS);
        let Some(_place) = Place::take(&self.questions) else { return Verdict::Unasked(Unasked::Busy) };
        tokio::select! {
            biased;
            verdict = self.ask_in_turn(question) => verdict,
            () = self.clock.sleep_until(deadline) => Verdict::Unasked(Unasked::TimedOut),
        }
    }

    /// Waits for questions, from the one that is asked now on.
    pub fn attend(self: &Arc<Self>) -> Attending {
        Attending::new(self.clone())
    }

    async fn ask_in_turn(&self, question: &Question) -> Verdict {
        let _turn = self.turn.lock().await;
        let (shown, mut answered) = self.show(question);
        let programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut by_program = pin!(programs.ask(question));
        let mut unasked = None;
        loop {
            let changed = self.changed.notified();
            match unasked {
                Some(why) if !self.is_attended(shown.number) => return Verdict::Unasked(why),
                other => unasked = other,
            }
            let allowed = tokio::select! {
                biased;
                allowed = &mut answered => allowed.ok(),
                answer = &mut by_program, if unasked.is_none() => match answer {
                    Ok(allowed) => Some(allowed),
                    Err(why) => {
                        unasked = Some(why);
                        None
                    }
                },
                () = changed => None,
            };
            match allowed {
                Some(true) => return Verdict::Allowed,
                Some(false) => return Verdict::Refused,
                None => {}
            }
        }
    }

    fn show(&self, question: &Question) -> (Shown<'_>, oneshot::Receiver<bool>) {
        let (answer, answered) = oneshot::channel();
        let number = {
            let mut room = self.room();
            room.last = room.last.saturating_add(1);
            room.asking = Some(Asking { number: room.last, answer });
            room.last
        };
        self.shown.send_replace(Some(Asked { number, question: Arc::new(question.clone()) }));
        (Shown { prompts: self, number }, answered)
    }

    /// Whether somebody who attends may still answer it.
    fn is_attended(&self, number: u64) -> bool {
        self.room().attendants.iter().any(|attendant| attendant.left != number)
    }

    pub(super) fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    /// Whether the question with this number is asked now, and nobody has answered it.
    pub(super) fn asks(&self, number: u64) -> bool {
        self.asking.as_ref().is_some_and(|asking| asking.number == number)
    }

    /// Answers what is asked now. False where nobody waits for it any more.
    pub(super) fn answer(&mut self, allowed: bool) -> bool {
        self.asking.take().is_some_and(|asking| asking.answer.send(allowed).is_ok())
    }
}

/// What is asked, until it is not.
struct Shown<'a> {
    prompts: &'a Prompts,
    number: u64,
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        self.prompts.room().asking = None;
        self.prompts.shown.send_replace(None);
    }
}

/// A place among the questions.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    /// None where all are taken.
    fn take(questions: &'a AtomicUsize) -> Option<Self> {
        let place = Self(questions);
        // The one that is asked does not wait.
        (questions.fetch_add(1, Ordering::AcqRel) <= WAITING_LIMIT).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
