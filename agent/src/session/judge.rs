//! Sealed sessions of another boot: what is left of them only AWS's clock can say.

use super::office::Office;
use super::plan::{Call, Plan};
use super::{Error, SessionKey};

impl Office {
    /// Asks AWS for the time where the session of a plan's step cannot be judged without: by that session itself, at
    /// its own endpoint, with a call that needs no permission and no code. One call however many wait for it. An error
    /// where AWS cannot be reached: then the session is neither handed out nor lost, and no code is spent in its place.
    pub(super) async fn judge(&self, plan: &Plan, index: usize, key: &SessionKey) -> Result<(), Error> {
        if !self.reopened().unjudged.contains_key(key) {
            return Ok(());
        }
        let _turn = self.judging.lock().await;
        let Some(session) = self.reopened().unjudged.get(key).cloned() else { return Ok(()) };
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
        answer?;
        // Not even AWS's answer has a time: a session that may have ended is none.
        self.desk().unjudged.remove(key);
        Ok(())
    }
}
