//! Two codes that follow each other: how a device proves itself to IAM (EnableMFADevice, ResyncMFADevice).

use super::Error;
use super::office::{Office, waiting};
use crate::ask::Audience;
use crate::mfa;
use claviger::model::MfaSerial;

/// How many steps ahead a pair is looked for: an hour of them, as for one code.
const STEPS_AHEAD: u64 = 120;

impl Office {
    /// Burns two steps of a device that follow each other, durably, once the second has begun: the one before and the one
    /// that is, where neither is spent. The first of the two.
    ///
    /// # Errors
    /// [`Error::StepsSpent`] where an hour of them is; those of the vault.
    pub async fn burn_pair(&self, serial: &MfaSerial, audience: &Audience) -> Result<u64, Error> {
        self.custody.require_newest()?;
        loop {
            let now = self.aws.corrected_now();
            let before = mfa::step_at(now).saturating_sub(1);
            let free = |step: &u64| {
                !self.custody.is_burned(serial, *step) && !self.custody.is_burned(serial, step.saturating_add(1))
            };
            let Some(first) = (before..before.saturating_add(STEPS_AHEAD)).find(free) else {
                self.custody.require_unlocked()?;
                return Err(Error::StepsSpent(serial.clone()));
            };
            let millis = mfa::millis_until(first.saturating_add(1), now);
            if millis == 0 {
                let (custody, burned) = (self.custody.clone(), serial.clone());
                let burn = move || {
                    custody.burn(&burned, first)?;
                    custody.burn(&burned, first.saturating_add(1))
                };
                tokio::task::spawn_blocking(burn).await.map_err(|_| Error::Locked)??;
                return Ok(first);
            }
            let until = self.deadline(millis);
            audience.tell(&waiting(serial, until));
            self.world.clock.sleep_until(until).await;
        }
    }
}
