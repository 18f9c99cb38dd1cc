//! The questions, one after the other, and whoever may answer them.

use super::attending::Attending;
use super::desktop::{self, Note};
use super::joined::{Joints, Lead, Same, Way};
use super::limits::{ANSWERS_LIMIT, NOTIFICATION_MILLIS, QUESTION_MILLIS, SECRET_LIMIT, WAITING_LIMIT};
use super::refusals::{Refusals, Session, Trial};
use super::text::{asked_by, plain, plain_question};
use super::touch::Waiting;
use super::{Asked, Asking, NoPin, PinQuestion, Programs, Question, Unasked, Verdict, Word};
use crate::ask::Audience;
use crate::world::{Clock, SessionBus};
use claviger::secret::{Pin, SecretText, TypedAnswer};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot, watch};

/// The questions to a person.
pub struct Prompts {
    pub(super) clock: Arc<dyn Clock>,
    programs: Mutex<Arc<Programs>>,
    /// Where notifications are shown.
    pub(super) desktop: Mutex<Option<SessionBus>>,
    pub(super) refusals: Refusals,
    joints: Joints,
    /// Those being asked or waiting for that.
    questions: AtomicUsize,
    /// Held by the one that is asked.
    turn: tokio::sync::Mutex<()>,
    /// What is asked now, for those who attend.
    pub(super) shown: watch::Sender<Option<Asked>>,
    pub(super) touches: watch::Sender<Waiting>,
    room: Mutex<Room>,
    /// Somebody came, left, or leaves the question to others.
    pub(super) changed: Notify,
}

/// Who may answer, and what.
#[derive(Default)]
pub(super) struct Room {
    /// The number of the last question or touch.
    last: u64,
    open: Option<Open>,
    pub(super) attendants: Vec<Attendant>,
    pub(super) last_attendant: u64,
}

/// A question that nobody has answered yet.
struct Open {
    asked: Asked,
    /// To those who attend.
    is_shown: bool,
    answer: oneshot::Sender<Word>,
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
            desktop: Mutex::default(),
            refusals: Refusals::default(),
            joints: Joints::default(),
            questions: AtomicUsize::new(0),
            turn: tokio::sync::Mutex::default(),
            shown: watch::Sender::new(None),
            touches: watch::Sender::new(Waiting::new()),
            room: Mutex::new(room),
            changed: Notify::new(),
        })
    }

    /// From the next question on with these programs.
    pub fn set_programs(&self, programs: Programs) {
        *self.programs.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(programs);
    }

    /// From the next touch on with notifications on this bus.
    pub fn set_desktop(&self, bus: SessionBus) {
        *self.desktop.lock().unwrap_or_else(PoisonError::into_inner) = Some(bus);
    }

    /// Asks a question of yes or no, for those who wait for what hangs on it. Whoever drops this has withdrawn the
    /// question: a program is ended, and the clients are told.
    pub async fn confirm(&self, question: &Question, audience: &Audience) -> Verdict {
        self.confirmed(question, audience, None).await
    }

    /// The same, of those who ask for the same at the same time but once. A secret is never shared: a wrong one would
    /// cost a try for each.
    pub async fn confirm_together(&self, question: &Question, same: &Same, audience: &Audience) -> Verdict {
        let deadline = self.clock.boot().plus_millis(QUESTION_MILLIS);
        loop {
            match self.joints.enter(same) {
                Way::Lead(lead) => {
                    let verdict = self.confirmed(question, audience, Some(&lead)).await;
                    lead.tell(&verdict);
                    return verdict;
                }
                Way::Join(mut joined) => tokio::select! {
                    biased;
                    answer = joined.answer() => if let Some(verdict) = answer {
                        return verdict;
                    },
                    () = self.clock.sleep_until(deadline) => return Verdict::Unasked(Unasked::TimedOut),
                },
            }
        }
    }

    async fn confirmed(&self, question: &Question, audience: &Audience, lead: Option<&Lead<'_>>) -> Verdict {
        match self.ask(Asking::Confirm(question.clone()), audience, lead).await {
            Ok(Word::Yes) => Verdict::Allowed,
            Ok(Word::No | Word::Secret(_)) => Verdict::Refused,
            Err(why) => Verdict::Unasked(why),
        }
    }

    /// Asks for a secret of a device, likewise. One that is empty or that the device could not take is asked for again,
    /// twice at most; a device's own refusal is the caller's to tell, as the `problem` of a further question.
    pub async fn pin(&self, question: &PinQuestion, audience: &Audience) -> Result<Pin, NoPin> {
        match self.ask(Asking::Secret(question.clone()), audience, None).await? {
            Word::Secret(pin) => Ok(pin),
            Word::Yes | Word::No => Err(NoPin::Refused),
        }
    }

    async fn ask(&self, asking: Asking, audience: &Audience, lead: Option<&Lead<'_>>) -> Result<Word, Unasked> {
        let deadline = self.clock.boot().plus_millis(QUESTION_MILLIS);
        let session = Session::of(audience);
        if !audience.answers() {
            self.refusals.permit(session, self.clock.boot())?;
        }
        let Some(_place) = Place::take(&self.questions) else { return Err(Unasked::Busy) };
        tokio::select! {
            biased;
            answer = self.ask_in_turn(asking, session, audience, lead) => answer,
            () = self.clock.sleep_until(deadline) => Err(Unasked::TimedOut),
        }
    }

    /// A person has proved to be there: whatever was refused before, all may ask again.
    pub fn forgive(&self) {
        self.refusals.forgive_all();
    }

    /// Waits for questions, from the one that is asked now on.
    pub fn attend(self: &Arc<Self>) -> Attending {
        Attending::new(self.clone())
    }

    async fn ask_in_turn(
        &self,
        mut asking: Asking,
        session: Session,
        audience: &Audience,
        lead: Option<&Lead<'_>>,
    ) -> Result<Word, Unasked> {
        let _turn = self.turn.lock().await;
        // Others may have been refused while this one waited. Whoever waits is asked at their terminal even so.
        let others = self.refusals.permit(session, self.clock.boot());
        if !audience.answers() {
            others.clone()?;
        }
        let joined = lead.map_or(0, Lead::shows);
        if let (Asking::Confirm(question), 1..) = (&mut asking, joined) {
            question.lines.push(joined_by(joined));
        }
        let mut asking = plain_question(&asking);
        let mut trial = Trial::new(&self.refusals, &*self.clock, session);
        for _ in 0..ANSWERS_LIMIT {
            let answer = self.ask_once(&asking, audience, &others, &mut trial).await;
            match (answer, &mut asking) {
                (Ok((Word::Secret(typed), _)), Asking::Secret(question)) => match problem(&typed, question) {
                    None => {
                        trial.answered();
                        return Ok(Word::Secret(typed));
                    }
                    problem => question.problem = problem,
                },
                (Ok((Word::Yes, _)), _) => {
                    trial.answered();
                    return Ok(Word::Yes);
                }
                // Where others were shown it as well, it was withdrawn for them.
                (Ok((word, By::WhoWaits)), _) => return Ok(word),
                (Ok((word, By::Others)), _) => {
                    if trial.denied() {
                        self.tell_blocked(audience);
                    }
                    return Ok(word);
                }
                (Err(why), _) => {
                    trial.unasked();
                    return Err(why);
                }
            }
        }
        Err(Unasked::Unusable)
    }

    /// `others` says why people who do not wait are left alone, if they are.
    async fn ask_once(
        &self,
        asking: &Asking,
        audience: &Audience,
        others: &Result<(), Unasked>,
        trial: &mut Trial<'_>,
    ) -> Result<(Word, By), Unasked> {
        let (shown, mut answered) = self.show(asking, others.is_ok());
        if others.is_ok() && !self.room().attendants.is_empty() {
            trial.bothers();
        }
        let mut waiting = audience.prompt(&shown.asked);
        let mut is_awaited = true;
        let programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let programs = audience.display().map_or(programs.clone(), |display| Arc::new(programs.at(&display)));
        let mut by_program = pin!(programs.ask(asking));
        let mut unasked = None;
        loop {
            let changed = self.changed.notified();
            match unasked {
                Some(why) if !self.is_attended(shown.asked.number) => return Err(why),
                other => unasked = other,
            }
            tokio::select! {
                biased;
                word = &mut answered => return word.map(|word| (word, By::Others)).map_err(|_| Unasked::Nobody),
                said = waiting.recv(), if is_awaited => match said {
                    Some(Some(typed)) => return Ok((word(asking, &typed), By::WhoWaits)),
                    Some(None) => {}
                    // Nobody who waits can be asked, or any longer: then a program.
                    None => {
                        others.clone()?;
                        trial.bothers();
                        is_awaited = false;
                    }
                },
                answer = &mut by_program, if !is_awaited && unasked.is_none() => match answer {
                    Ok(word) => return Ok((word, By::Others)),
                    Err(why) => unasked = Some(why),
                },
                () = changed => {}
            }
        }
    }

    /// Nobody is asked for a session any more: its owner is told once, and what to do.
    fn tell_blocked(&self, audience: &Audience) {
        tracing::warn!("nobody is asked for a session any more: five of its questions were refused");
        let asked_by = audience.asker().map(|asker| asked_by(&asker()));
        let lifted = "Five questions of its session were refused. claviger prompts lifts that.".to_owned();
        let note = Note {
            summary: "claviger asks for a program no more".to_owned(),
            lines: asked_by.map(|text| plain(&text)).into_iter().chain([lifted]).collect(),
        };
        let (clock, until) =
            (self.clock.clone(), self.clock.boot().plus_millis(NOTIFICATION_MILLIS.unsigned_abs().into()));
        self.note(note, async move { clock.sleep_until(until).await });
    }

    /// Shows a notification of the desktop until this is over, where there is one. Waits for nothing.
    pub(super) fn note(&self, note: Note, over: impl Future<Output = ()> + Send + 'static) {
        let bus = self.desktop.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let (Some(bus), Ok(runtime)) = (bus, Handle::try_current()) {
            runtime.spawn(desktop::show(bus, self.clock.clone(), note, Box::pin(over)));
        }
    }

    /// With a number of its own, to those who attend where they are not left alone.
    fn show(&self, asking: &Asking, to_others: bool) -> (Shown<'_>, oneshot::Receiver<Word>) {
        let (answer, answered) = oneshot::channel();
        let asked = Asked { number: self.next_number(), asking: Arc::new(asking.clone()) };
        let seen = to_others.then(|| asked.clone());
        self.room().open = Some(Open { asked: asked.clone(), is_shown: to_others, answer });
        self.shown.send_replace(seen);
        (Shown { prompts: self, asked }, answered)
    }

    /// The number of the next question or touch.
    pub(super) fn next_number(&self) -> u64 {
        let mut room = self.room();
        room.last = room.last.saturating_add(1);
        room.last
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
        self.open.as_ref().is_some_and(|open| open.asked.number == number && open.is_shown)
    }

    /// Answers what is asked now. False where nobody waits for it any more.
    pub(super) fn answer(&mut self, typed: &TypedAnswer) -> bool {
        let Some(Open { asked, answer, .. }) = self.open.take() else { return false };
        answer.send(word(&asked.asking, typed)).is_ok()
    }
}

/// Who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// The one who waits for what hangs on it.
    WhoWaits,
    /// Another, or a program.
    Others,
}

/// How many requests the answer is for besides the one that the question names, a sentence.
fn joined_by(joined: usize) -> String {
    match joined {
        1 => "One more request for the same waits for this answer.".to_owned(),
        joined => format!("{joined} more requests for the same wait for this answer."),
    }
}

/// What a person means by what they typed.
fn word(asking: &Asking, typed: &TypedAnswer) -> Word {
    let text = typed.expose();
    match asking {
        Asking::Confirm(_) if matches!(text.trim().to_ascii_lowercase().as_str(), "y" | "yes") => Word::Yes,
        Asking::Secret(_) if !text.is_empty() => Word::Secret(Pin::from_text(text.to_owned())),
        Asking::Confirm(_) | Asking::Secret(_) => Word::No,
    }
}

/// Why this cannot be the secret, a sentence.
fn problem(typed: &Pin, question: &PinQuestion) -> Option<String> {
    let (length, most) = (typed.expose().len(), question.most.min(SECRET_LIMIT));
    match () {
        () if length == 0 => Some("Nothing was typed.".to_owned()),
        () if length < question.least => Some(format!("It has at least {} characters.", question.least)),
        () if length > most => Some(format!("It has at most {most} characters.")),
        () if typed.expose().chars().any(char::is_control) => {
            Some("It has a character that cannot be typed.".to_owned())
        }
        () => None,
    }
}

/// What is asked, until it is not.
struct Shown<'a> {
    prompts: &'a Prompts,
    asked: Asked,
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        self.prompts.room().open = None;
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
