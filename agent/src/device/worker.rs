//! The worker of one device: its helper process, one operation at a time, and the end of both.

use super::process::Process;
use super::protocol::{Address, Answer, Command, Operation, Report, frame};
use super::{Error, Notice};
use crate::world::{BootTime, Clock};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Mutex, mpsc, oneshot, watch};

/// Until a helper has started: a machine under load, and a cold disk.
const START_MILLIS: u64 = 10_000;
/// Until a device answers at all. A program that holds it for longer is told of, not waited for.
const BEGIN_MILLIS: u64 = 900;
/// Until a device that was told to give up has done so.
const CANCEL_MILLIS: u64 = 1_000;
/// After which a device that may want to be touched is taken to want it: it would have answered (as in Yubico's ykman).
const PERHAPS_MILLIS: u64 = 500;
/// How long a helper outlives its last operation, and with it the PIN that a key of the policy `once` has been given.
const IDLE_MILLIS: u64 = 300_000;

/// A device's worker.
pub(super) struct Worker {
    clock: Arc<dyn Clock>,
    program: Arc<PathBuf>,
    address: Address,
    process: Mutex<Option<Process>>,
    /// Boot clock of the last operation's end, in milliseconds.
    used: AtomicU64,
    /// How often it was ended.
    ends: watch::Sender<u64>,
}

impl Worker {
    pub(super) fn new(clock: Arc<dyn Clock>, program: Arc<PathBuf>, address: Address) -> Arc<Self> {
        let (process, used, ends) = (Mutex::new(None), AtomicU64::new(0), watch::Sender::new(0));
        Arc::new(Self { clock, program, address, process, used, ends })
    }

    /// Has the device do it, after what others have asked of it. Whoever drops this has cancelled it.
    pub(super) async fn run(
        self: &Arc<Self>,
        operation: Operation,
        notices: mpsc::UnboundedSender<Notice>,
    ) -> Result<Answer, Error> {
        let (answer, answered) = oneshot::channel();
        let worker = self.clone();
        // A task of its own: one that is given up still has to leave the device as the next one needs it.
        tokio::spawn(async move { worker.exchange(operation, notices, answer).await });
        answered.await.unwrap_or(Err(Error::Cancelled))
    }

    /// Ends the helper, in the middle of whatever it does, and whatever waits for it.
    pub(super) async fn end(&self) {
        self.ends.send_modify(|ends| *ends = ends.wrapping_add(1));
        if let Some(process) = self.process.lock().await.take() {
            process.end().await;
        }
    }

    async fn exchange(
        self: Arc<Self>,
        operation: Operation,
        notices: mpsc::UnboundedSender<Notice>,
        mut answer: oneshot::Sender<Result<Answer, Error>>,
    ) {
        let mut ended = self.ends.subscribe();
        let mut place = tokio::select! {
            place = self.process.lock() => place,
            () = answer.closed() => return,
            _ = ended.changed() => return,
        };
        let limit = operation.limit_millis();
        let Some(operation) = frame(&Command::Do(operation)) else { return drop(answer.send(Err(Error::TooLarge))) };
        let (answer_to, begun) = (&mut answer, false);
        let mut asked = Asked { frame: &operation, limit, notices: &notices, answer: answer_to, ended, begun };
        let mut outcome = Err(Heard::Lost(Error::HelperLost));
        if let Some(mut process) = place.take() {
            outcome = self.converse(&mut process, &mut asked).await;
            *place = kept(process, &outcome).await;
        }
        // None ran, or it had ended since it was last used: nothing has begun.
        if matches!(outcome, Err(Heard::Lost(Error::HelperLost))) && !asked.begun {
            outcome = match self.start().await {
                Ok(mut process) => {
                    let outcome = self.converse(&mut process, &mut asked).await;
                    *place = kept(process, &outcome).await;
                    outcome
                }
                Err(error) => Err(Heard::Lost(error)),
            };
        }
        if place.is_some() {
            self.used.store(self.clock.boot().0, Ordering::Relaxed);
            tokio::spawn(self.clone().end_when_idle());
        }
        drop(place);
        drop(answer.send(outcome.map_err(Heard::into_error)));
    }

    /// A helper for this device, once it is there: what a loaded machine needs for that is none of the device's time.
    async fn start(&self) -> Result<Process, Error> {
        let deadline = self.clock.boot().plus_millis(START_MILLIS);
        let started = async {
            let mut process = Process::start(&self.program, &Command::Serve(self.address.clone())).await?;
            match process.hear().await? {
                Report::Ready {} => Ok(process),
                _ => Err(Error::HelperSpeech),
            }
        };
        tokio::select! {
            biased;
            started = started => started,
            () = self.clock.sleep_until(deadline) => Err(Error::HelperLost),
        }
    }

    async fn converse(&self, process: &mut Process, asked: &mut Asked<'_>) -> Result<Answer, Heard> {
        process.say(asked.frame).await?;
        let begin = self.clock.boot();
        let mut deadline = begin.plus_millis(BEGIN_MILLIS);
        let mut given_up = None;
        let mut perhaps = None;
        loop {
            let why = tokio::select! {
                biased;
                report = process.hear() => match report? {
                    Report::Begun {} => {
                        asked.begun = true;
                        if given_up.is_none() {
                            deadline = begin.plus_millis(asked.limit);
                        }
                        continue;
                    }
                    Report::Touch {} => {
                        let _ = asked.notices.send(Notice::Touch);
                        continue;
                    }
                    Report::PerhapsTouch {} => {
                        perhaps = Some(self.clock.boot().plus_millis(PERHAPS_MILLIS));
                        continue;
                    }
                    // Whoever was told to give up says no more than that it did.
                    Report::Done(Err(error)) => return Err(Heard::Told(given_up.unwrap_or(error))),
                    Report::Done(Ok(answer)) => return Ok(answer),
                    Report::Present(_) | Report::Ready {} => return Err(Heard::Lost(Error::HelperSpeech)),
                },
                () = self.clock.sleep_until(perhaps.unwrap_or(deadline)), if perhaps.is_some() => {
                    perhaps = None;
                    let _ = asked.notices.send(Notice::Touch);
                    continue;
                }
                () = self.clock.sleep_until(deadline) => match given_up {
                    Some(error) => return Err(Heard::Lost(error)),
                    None if asked.begun => Error::TimedOut,
                    None => return Err(Heard::Lost(Error::Held(None))),
                },
                () = asked.answer.closed(), if given_up.is_none() => Error::Cancelled,
                // Nobody waits until the device gives up.
                _ = asked.ended.changed() => return Err(Heard::Lost(Error::Cancelled)),
            };
            (given_up, perhaps) = (Some(why), None);
            deadline = self.give_up(process).await?;
        }
    }

    async fn give_up(&self, process: &mut Process) -> Result<BootTime, Heard> {
        let cancel = frame(&Command::Cancel {}).ok_or(Error::TooLarge)?;
        process.say(&cancel).await?;
        Ok(self.clock.boot().plus_millis(CANCEL_MILLIS))
    }

    async fn end_when_idle(self: Arc<Self>) {
        let used = self.used.load(Ordering::Relaxed);
        self.clock.sleep_until(BootTime(used).plus_millis(IDLE_MILLIS)).await;
        let mut place = self.process.lock().await;
        if self.used.load(Ordering::Relaxed) == used
            && let Some(process) = place.take()
        {
            process.end().await;
        }
    }
}

/// The helper, where it goes on; it has ended otherwise, before the next one comes to the device.
async fn kept(process: Process, outcome: &Result<Answer, Heard>) -> Option<Process> {
    if outcome.as_ref().map_or_else(Heard::goes_on, |_| true) {
        return Some(process);
    }
    process.end().await;
    None
}

/// What a conversation is about.
struct Asked<'a> {
    frame: &'a [u8],
    /// Milliseconds.
    limit: u64,
    notices: &'a mpsc::UnboundedSender<Notice>,
    answer: &'a mut oneshot::Sender<Result<Answer, Error>>,
    ended: watch::Receiver<u64>,
    /// The device has it.
    begun: bool,
}

/// How a conversation failed.
enum Heard {
    /// The helper said so, and goes on.
    Told(Error),
    /// The helper is of no more use.
    Lost(Error),
}

impl Heard {
    /// Whether the helper is at its beginning again; otherwise nobody knows where it is.
    fn goes_on(&self) -> bool {
        matches!(self, Self::Told(_))
    }

    fn into_error(self) -> Error {
        match self {
            Self::Told(error) | Self::Lost(error) => error,
        }
    }
}

impl From<Error> for Heard {
    fn from(error: Error) -> Self {
        Self::Lost(error)
    }
}
