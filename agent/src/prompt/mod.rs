//! The prompt room: questions to a person, answered by yes or no or by a secret of a device, and the word that a device
//! waits to be touched. By the terminal of whoever waits for the answer, by pinentry, by `SSH_ASKPASS`, by clients that
//! attend, and for a touch by the desktop's notifications.
//!
//! One question is asked at a time. Where a client that waits can be asked, it is, and no program; else the program is
//! run. Those who attend are asked in any case. The first answer counts, and the question disappears wherever else it is
//! shown. None lives longer than two minutes. Those who ask for the same at the same time get one question. Whoever does
//! not wait for the answer is left alone where too many questions were refused; the terminal of the command that wants the answer is asked even so.
//! Nothing here decides what happens without an answer, and no secret is in a question: its text is an argument of a
//! program. No cache of passwords is ever offered a secret.
//!
//! Below: [`prompts`](Prompts) the queue, `attending` its clients, `joined` who shares an answer, `refusals` what came of the
//! last questions, `programs` which program is run, `pinentry` and `askpass` how each is spoken to, [`touch`](TouchNotice) and `desktop` what is
//! shown while a device waits.

mod askpass;
mod attending;
mod desktop;
mod joined;
mod limits;
#[cfg(test)]
mod mutations;
mod pinentry;
mod programs;
mod prompts;
mod refusals;
#[cfg(test)]
mod tests;
mod text;
mod touch;

pub use crate::ask::{Asked, Asking, Display, PinQuestion, Question, Touch};
pub use attending::Attending;
pub use joined::Same;
pub use programs::Programs;
pub use prompts::Prompts;
pub use text::{asked_by, shown};
pub use touch::{TouchNews, TouchNotice, Touches};

use claviger::secret::Pin;
use std::io;
use std::sync::Arc;

/// What came of a question that is answered by yes or no.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// A person said yes.
    Allowed,
    /// A person said no.
    Refused,
    /// Nobody said anything.
    Unasked(Unasked),
}

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum NoPin {
    /// A person does not want to give it.
    #[error("a person declined")]
    Refused,
    /// Nobody gave any.
    #[error(transparent)]
    Unasked(#[from] Unasked),
}

/// Why nobody answered.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unasked {
    /// The program does not speak as it should, or ended before it answered.
    #[error("{0} gave no answer that is one")]
    BadAnswer(&'static str),
    /// A person said no to questions of the same session again and again: nobody is asked for it until they lift that.
    #[error("five questions of this session were refused: nobody is asked for it any more")]
    Blocked,
    /// Too many others wait.
    #[error("as many questions wait as may")]
    Busy,
    /// Pinentry reports an error of its own, by the number of libgpg-error.
    #[error("pinentry could not ask (error {0})")]
    Failed(u32),
    /// A program is set, and there is nothing that it could show itself on.
    #[error("no display is known to ask on")]
    NoDisplay,
    /// Neither a program nor a client.
    #[error("there is neither a program to ask with nor a client that waits for questions")]
    Nobody,
    /// The program cannot be run.
    #[error("{program} cannot be run")]
    NotStarted {
        /// Which.
        program: &'static str,
        /// Why.
        source: Arc<io::Error>,
    },
    /// Nobody answered in time.
    #[error("nobody answered in time")]
    TimedOut,
    /// A person has just said no to questions of the same session.
    #[error("two questions of this session were refused, the last within a minute")]
    Silent,
    /// Too many questions of any session were refused or left unanswered within a minute.
    #[error("five questions were refused or left unanswered within a minute")]
    TooMany,
    /// What was typed cannot be what is asked for, again and again.
    #[error("what was typed cannot be what is asked for")]
    Unusable,
    /// Too many questions for the same session were refused or left unanswered.
    #[error("too many questions of this session were refused or left unanswered")]
    Weary,
}

/// What somebody answered.
enum Word {
    Yes,
    No,
    Secret(Pin),
}
