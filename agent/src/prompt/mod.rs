//! The prompt room: yes-or-no questions to a person, by pinentry, by `SSH_ASKPASS`, or by a client that waits for them.
//!
//! One question is asked at a time, everywhere at once; the first answer counts, and it disappears wherever else it is
//! shown. None lives longer than two minutes. Nothing here decides what happens without an answer, and no secret is in a
//! question: its text is an argument of a program.
//!
//! Below: [`prompts`](Prompts) the queue, `attending` its clients, `programs` which program is run, `pinentry` and
//! `askpass` how each is spoken to.

mod askpass;
mod attending;
#[cfg(test)]
mod mutations;
mod pinentry;
mod programs;
mod prompts;
#[cfg(test)]
mod tests;
mod text;

pub use attending::{Asked, Attending};
pub use programs::Programs;
pub use prompts::Prompts;
pub use text::shown;

use std::io;

/// A question that is answered by yes or no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What is asked, one line.
    pub title: String,
    /// What one should know to answer it. What comes from outside has gone through [`shown`].
    pub lines: Vec<String>,
}

/// What came of a question.
#[derive(Debug)]
pub enum Verdict {
    /// A person said yes.
    Allowed,
    /// A person said no.
    Refused,
    /// Nobody said anything.
    Unasked(Unasked),
}

/// Why nobody answered.
#[derive(Debug, thiserror::Error)]
pub enum Unasked {
    /// The program does not speak as it should, or ended before it answered.
    #[error("{0} gave no answer that is one")]
    BadAnswer(&'static str),
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
        source: io::Error,
    },
    /// Nobody answered in time.
    #[error("nobody answered in time")]
    TimedOut,
}
