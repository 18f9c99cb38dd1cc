//! `prompts`: a client that answers questions in its terminal, and is told of touches, for as long as it likes. What it
//! answers may be a PIN: that goes to whoever asked for it, whose leave ends with a lock; the request itself goes on.

use crate::prompt::{Asked, Attending, TouchNews};
use crate::server::conversation::Conversation;
use crate::server::{Phase, Server, asked};
use claviger::secret::TypedAnswer;
use claviger::wire::{AgentMessage, Code, Event, Fault, Reply};
use std::sync::Arc;

impl Server {
    /// Shows every question to this client, until it or the agent goes. Not one of those that a stop or a restart waits
    /// for: it would wait for nothing.
    pub(super) async fn attend_prompts(self: &Arc<Self>, conversation: &mut Conversation) -> Result<Reply, Fault> {
        if !conversation.answerable {
            return Err(Fault::new(Code::PromptNoTerminal, "the client says that nobody there can answer"));
        }
        let mut attending = self.prompts.attend();
        let mut touches = self.prompts.touches();
        let mut open: Option<Asked> = None;
        loop {
            tokio::select! {
                biased;
                () = self.until(|phase| phase != Phase::Serving) => {
                    return Err(Fault::new(Code::AgentStopping, "the agent is stopping"));
                }
                asked = attending.changed() => {
                    if let Some(open) = open.take() {
                        conversation.send(AgentMessage::Event(asked::over(&open))).await;
                    }
                    if let Some(asked) = asked {
                        conversation.send(AgentMessage::Event(asked::needed(&asked))).await;
                        open = Some(asked);
                    }
                }
                TouchNews { begun, over } = touches.changed() => {
                    for number in over {
                        conversation.send(AgentMessage::Event(Event::TouchOver { number })).await;
                    }
                    for (number, touch) in begun {
                        conversation.send(AgentMessage::Event(asked::touch(number, &touch))).await;
                    }
                }
                answer = conversation.answers.recv() => {
                    let Some(answer) = answer else {
                        return Err(Fault::new(Code::RequestCancelled, "the client can answer no more"));
                    };
                    if let Some(asked) = open.take_if(|asked| answer.number == Some(asked.number)) {
                        self.answer_prompt(&attending, asked.number, answer.value);
                    }
                }
            }
        }
    }

    /// Takes an answer to the question that the client was shown. A human act.
    fn answer_prompt(&self, attending: &Attending, number: u64, typed: Option<TypedAnswer>) {
        let said = typed.is_some();
        if attending.answer(number, typed) && said {
            self.office.mark_presence();
        }
    }
}
