//! Sealed sessions of another boot: what is left of them only AWS's clock can say.

use super::office::Office;
use super::plan::{Call, Plan};
use super::{Error, SessionKey};
use crate::aws;

/// The session that AWS was asked for the time with in vain, and why.
pub(super) type Failed = (SessionKey, aws::Error);

impl Office {
    /// Asks AWS for the time where the session of a plan's step cannot be judged without: by that session itself, at
    /// its own endpoint, with a call that needs no permission and no code. One call however many wait for it, and one
    /// answer for them, also where it fails. An error where AWS cannot be reached: then the session is neither handed out
    /// nor lost, and no code is spent in its place.
    pub(super) async fn judge(&self, plan: &Plan, index: usize, key: &SessionKey) -> Result<(), Error> {
        if !self.reopened().unjudged.contains_key(key) {
            return Ok(());
        }
        let (mut failed, waited) = match self.judging.try_lock() {
            Ok(turn) => (turn, false),
            Err(_) => (self.judging.lock().await, true),
        };
        let Some(session) = self.reopened().unjudged.get(key).cloned() else { return Ok(()) };
        match failed.take() {
            // The call that this one has waited for: the others do as well.
            Some((by, error)) if waited && by == *key => {
                *failed = Some((by, error.clone()));
                return Err(error.into());
            }
            _ => {}
        }
        let asked = plan.steps.get(index).filter(|step| step.call != Call::Source);
        let answer = match asked {
            Some(step) => self.caller(&session, &step.endpoint).await.map(drop),
            // A source is asked again, which costs no code.
            None => Ok(()),
        };
        if self.aws.clock_offset().is_some() {
            self.reopen();
            return Ok(());
        }
        if let Err(Error::Aws(error)) = &answer {
            *failed = Some((*key, error.clone()));
        }
        answer?;
        // Not even AWS's answer has a time: a session that may have ended is none.
        self.desk().unjudged.remove(key);
        Ok(())
    }
}
