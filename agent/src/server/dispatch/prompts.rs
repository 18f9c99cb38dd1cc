//! `prompts`: a client that answers questions in its terminal, for as long as it likes.

use crate::prompt::{Asked, Attending};
use crate::server::conversation::{Conversation, is_yes};
use crate::server::{Phase, Server};
use claviger::wire::{AgentMessage, Answer, Code, Event, Fault, Reply};
use std::sync::Arc;

impl Server {
    /// Shows every question to this client, until it or the agent goes. Not one of those that a stop or a restart waits
    /// for: it would wait for nothing.
    pub(super) async fn attend_prompts(self: &Arc<Self>, conversation: &mut Conversation) -> Result<Reply, Fault> {
        if !conversation.answerable {
            return Err(Fault::new(Code::PromptNoTerminal, "the client says that nobody there can answer"));
        }
        let mut attending = self.prompts.attend();
        let mut open = None;
        loop {
            tokio::select! {
                biased;
                () = self.until(|phase| phase != Phase::Serving) => {
                    return Err(Fault::new(Code::AgentStopping, "the agent is stopping"));
                }
                asked = attending.changed() => {
                    if let Some(number) = open.take() {
                        conversation.send(AgentMessage::Event(Event::ConfirmOver { number })).await;
                    }
                    if let Some(asked) = asked {
                        open = Some(asked.number);
                        conversation.send(AgentMessage::Event(needed(&asked))).await;
                    }
                }
                answer = conversation.answers.recv() => {
                    let Some(answer) = answer else {
                        return Err(Fault::new(Code::RequestCancelled, "the client can answer no more"));
                    };
                    if open.is_some() && answer.number == open {
                        open = None;
                        self.answer_prompt(&attending, &answer);
                    }
                }
            }
        }
    }

    /// Takes an answer to the question that the client was shown. A human act.
    fn answer_prompt(&self, attending: &Attending, answer: &Answer) {
        let (Some(number), said) = (answer.number, &answer.value) else { return };
        let said = said.as_ref().map(is_yes);
        if attending.answer(number, said) && said.is_some() {
            self.office.mark_presence();
        }
    }
}

fn needed(asked: &Asked) -> Event {
    Event::ConfirmNeeded {
        number: asked.number,
        title: asked.question.title.clone(),
        lines: asked.question.lines.clone(),
    }
}
