//! One request's side of a connection: its events out, its answers in.

use super::control::Held;
use super::peer::Peer;
use super::{Server, asked, record};
use crate::ask::{Asked, Display, Listener, Notice, Upcall};
use crate::vault::Leave;
use claviger::model::AuditAws;
use claviger::secret::{DeviceSecret, RecoveryCode, SecretText, TypedAnswer};
use claviger::wire::{AgentLine, AgentMessage, Answer, Code, Event, Fault, LINE_LIMIT};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

/// Room for most answers: credentials take about 900 bytes. What is made is wiped, so no more than is needed.
const ANSWER_BYTES: usize = 1024;

/// A line on its way to the client, wiped once written.
pub(super) struct OutLine {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// With the last line about a request: it is in hand until the line is written.
    pub(super) held: Option<Held>,
}

/// What a request holds of its connection.
pub(super) struct Conversation {
    pub(super) id: u64,
    pub(super) outbox: mpsc::Sender<OutLine>,
    pub(super) answers: mpsc::Receiver<Answer>,
    /// Whether a person at the client can answer.
    pub(super) answerable: bool,
    /// Who asks.
    pub(super) peer: Arc<Peer>,
    /// The client's `AWS_CONFIG_FILE`.
    pub(super) aws_config_file: Option<String>,
    /// The client's display.
    pub(super) display: Option<Arc<Display>>,
    /// What the record shall say that AWS gave for this request.
    pub(super) aws: Option<AuditAws>,
    /// With a request that holds secrets: a lock ends it.
    pub(super) leave: Option<Leave>,
}

impl Conversation {
    /// Sends a line about this request. A client that has gone hears nothing.
    pub(super) async fn send(&self, message: AgentMessage) {
        if let Some(line) = encode(self.id, message) {
            drop(self.outbox.send(line).await);
        }
    }

    /// Sends the last line about this request, which is in hand until that is written. Its id is free before that is
    /// sent: the client may use it again at once.
    pub(super) async fn end(self, message: AgentMessage, held: Held) {
        let Self { id, outbox, answers, .. } = self;
        drop(answers);
        if let Some(line) = encode(id, message) {
            drop(outbox.send(OutLine { held: Some(held), ..line }).await);
        }
    }

    /// Shows a new recovery code and waits for it to come back. None where the client declines or has gone.
    pub(super) async fn confirm_recovery(&mut self, code: &RecoveryCode) -> Option<TypedAnswer> {
        self.send(AgentMessage::Event(Event::RecoveryCode { code: RecoveryCode::from_text(code.expose().to_owned()) }))
            .await;
        self.answer().await
    }

    /// Shows a new management key and waits for it to come back. False where the client declines or has gone.
    pub(super) async fn confirm_management_key(&mut self, key: &DeviceSecret) -> bool {
        let shown = DeviceSecret::from_text(key.expose().to_owned());
        self.send(AgentMessage::Event(Event::ManagementKey { key: shown })).await;
        self.answer().await.is_some_and(|typed| typed.expose() == key.expose())
    }

    /// Whether somebody is there to be asked.
    pub(super) fn is_answerable(&self) -> bool {
        self.answerable
    }

    /// Asks a question that is answered by yes or no. False where nobody can answer.
    pub(super) async fn agrees(&mut self, prompt: &str) -> bool {
        if !self.answerable {
            return false;
        }
        self.send(AgentMessage::Event(Event::Question { prompt: prompt.to_owned(), echo: true })).await;
        let answer = self.answer().await;
        answer.as_ref().is_some_and(is_yes)
    }

    /// What was typed to the one question of this request. None where the client declines or has gone.
    async fn answer(&mut self) -> Option<TypedAnswer> {
        self.answers.recv().await?.value
    }

    /// Runs work that may tell or ask this client something on the way.
    pub(super) async fn attend<T, F: Future<Output = T>>(
        &mut self,
        server: &Server,
        work: impl FnOnce(Listener) -> F,
    ) -> T {
        let (listener, mut upcalls) = Listener::new(self.answerable);
        let listener = listener.known(record::asker(self)).at(self.display.clone());
        let mut work = pin!(work(listener));
        let mut closed = false;
        let mut pending: Option<mpsc::Sender<Option<TypedAnswer>>> = None;
        let mut prompting: Option<Prompting> = None;
        loop {
            tokio::select! {
                biased;
                result = &mut work => return result,
                () = withdrawn(prompting.as_ref()) => {
                    if let Some(Prompting { asked, .. }) = prompting.take() {
                        self.send(AgentMessage::Event(asked::over(&asked))).await;
                    }
                }
                Some(upcall) = upcalls.recv() => match upcall {
                    Upcall::Notice(notice) => self.send(AgentMessage::Event(event(server, &notice))).await,
                    Upcall::Question { prompt, answer } => {
                        pending = Some(answer).filter(|_| !closed);
                        self.send(AgentMessage::Event(Event::Question { prompt, echo: true })).await;
                    }
                    Upcall::Prompt { asked, answer } => {
                        if !closed {
                            self.send(AgentMessage::Event(asked::needed(&asked))).await;
                            prompting = Some(Prompting { asked, answer });
                        }
                    }
                },
                said = self.answers.recv(), if !closed => {
                    // None: the client's side is closed, and nobody will answer what is asked.
                    closed = said.is_none();
                    match said {
                        None => (pending, prompting) = (None, None),
                        Some(Answer { value, number: None }) => {
                            if let Some(answer) = pending.take() {
                                drop(answer.send(value).await);
                            }
                        }
                        Some(Answer { value, number: Some(number) }) => {
                            let answered = prompting.take_if(|prompting| prompting.asked.number == number);
                            let typed = value.is_some();
                            if let Some(Prompting { answer, .. }) = answered
                                && answer.send(value).await.is_ok()
                                && typed
                            {
                                server.office.mark_presence();
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Whether a person has agreed: anything but yes is no.
fn is_yes(answer: &TypedAnswer) -> bool {
    matches!(answer.expose().trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

/// A question of the prompt room that this client may answer.
struct Prompting {
    asked: Asked,
    answer: mpsc::Sender<Option<TypedAnswer>>,
}

/// Returns once nobody waits for the answer any more; never where nothing is asked.
async fn withdrawn(prompting: Option<&Prompting>) {
    match prompting {
        Some(prompting) => prompting.answer.closed().await,
        None => std::future::pending().await,
    }
}

/// A line as bytes; None only where it could not be written, which no type of ours allows.
pub(super) fn encode(id: u64, message: AgentMessage) -> Option<OutLine> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(ANSWER_BYTES));
    serde_json::to_writer(&mut *bytes, &AgentLine { id, message }).ok()?;
    bytes.push(b'\n');
    if bytes.len() > LINE_LIMIT {
        let fault = Fault::new(Code::WireTooLong, "the answer does not fit in a line of the protocol");
        return encode(id, AgentMessage::Fault(fault));
    }
    Some(OutLine { bytes, held: None })
}

fn event(server: &Server, notice: &Notice) -> Event {
    match notice {
        Notice::RegionsDone { done, of } => Event::RegionsDone { done: *done, of: *of },
        Notice::TouchNeeded { number, touch } => asked::touch(*number, touch),
        Notice::TouchOver { number } => Event::TouchOver { number: *number },
        Notice::WaitingForCode { serial, until } => {
            let millis = until.millis_since(server.world.clock.boot());
            Event::WaitingForCode { serial: serial.to_string(), seconds: millis.div_ceil(1000) }
        }
    }
}
