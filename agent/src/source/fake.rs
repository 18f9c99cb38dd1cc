//! A machine whose commands do what a test says.

use super::{Command, CommandRunner, Error};
use crate::world::BoxFuture;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use zeroize::Zeroizing;

type Answer = Box<dyn Fn(&[String]) -> Result<String, Error> + Send + Sync>;

/// A [`CommandRunner`] that asks a function; it keeps what it saw.
pub struct FakeRunner {
    answer: Answer,
    runs: Mutex<Vec<Vec<String>>>,
}

impl FakeRunner {
    /// Asks this function, with the words of the command, at each run.
    pub fn answering(answer: impl Fn(&[String]) -> Result<String, Error> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { answer: Box::new(answer), runs: Mutex::default() })
    }

    /// The words of every command that was run.
    pub fn runs(&self) -> Vec<Vec<String>> {
        self.held().clone()
    }

    fn held(&self) -> MutexGuard<'_, Vec<Vec<String>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CommandRunner for FakeRunner {
    fn run<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Zeroizing<Vec<u8>>, Error>> {
        self.held().push(command.words().to_vec());
        let output = (self.answer)(command.words());
        Box::pin(async move {
            // As a real one: others have their turn before it has ended.
            tokio::task::yield_now().await;
            output.map(|text| Zeroizing::new(text.into_bytes()))
        })
    }
}
