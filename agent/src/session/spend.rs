//! Spending codes: each step at most once, burned durably before it is sent, one identity's codes in order.

use super::Error;
use super::office::{Office, waiting};
use super::plan::{Mfa, Plan, Step};
use crate::ask::Audience;
use crate::aws::{self, MfaProof};
use crate::device;
use crate::mfa::{self, Turn};
use crate::vault;
use claviger::model::{MfaSerial, Name};
use claviger::secret::{SecretText, TokenCode};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Codes one fetch may spend: the first, one more where the step was used elsewhere or the clock was off, one for a
/// network that failed in between. AWS locks nothing after refusals, but a wrong seed should be told soon.
const CODES_LIMIT: u32 = 3;
/// How far the measured clock must have moved for a refused code to be worth another: most of a step.
const SKEW_MOVED_MILLIS: u64 = 20_000;

/// One queue a user, by ARN or else by the access key's name: two access keys of one user have the same devices.
/// Whoever waits for a step waits in order, and nobody else's device waits with them.
#[derive(Default)]
pub(super) struct Turnstiles(Mutex<HashMap<String, Arc<Turnstile>>>);

#[derive(Default)]
struct Turnstile {
    turn: tokio::sync::Mutex<()>,
    waiting: AtomicU64,
}

/// A code, and where it came from.
pub(super) struct Code {
    serial: MfaSerial,
    code: TokenCode,
    /// The step, where the seed is ours.
    step: Option<u64>,
    skew_millis: Option<i64>,
}

impl Code {
    /// A code of a step that is burned.
    pub(super) fn new(turn: Turn, code: TokenCode, skew_millis: Option<i64>) -> Self {
        Self { serial: turn.serial, code, step: Some(turn.step), skew_millis }
    }

    pub(super) fn proof(&self) -> MfaProof<'_> {
        MfaProof { serial: &self.serial, code: &self.code }
    }

    /// What the record may say of it.
    pub(super) fn spent(&self) -> (MfaSerial, Option<u64>) {
        (self.serial.clone(), self.step)
    }
}

/// The codes of one fetch.
pub(super) struct Codes<'a> {
    office: &'a Office,
    plan: &'a Plan,
    audience: &'a Arc<Audience>,
    needed: bool,
    spent: u32,
}

impl Office {
    pub(super) fn codes<'a>(
        &'a self,
        plan: &'a Plan,
        step: &Step,
        audience: &'a Arc<Audience>,
    ) -> Result<Codes<'a>, Error> {
        if step.with_code && !plan.held().is_empty() {
            // A locked or an older vault is what a person can mend; presence returns with it.
            self.custody.require_newest()?;
            // A card may be its own presence.
            let mut held = plan.held().iter();
            if held.all(|serial| self.card_of(serial).is_none()) && self.presence_left().is_none() {
                return Err(Error::PresenceNeeded);
            }
        }
        Ok(Codes { office: self, plan, audience, needed: step.with_code, spent: 0 })
    }

    /// The card that a device's seed is on.
    fn card_of(&self, serial: &MfaSerial) -> Option<u32> {
        let knowledge = self.custody.knowledge();
        let known = knowledge.devices.iter().find(|device| device.serial == *serial)?;
        known.on_card.as_ref().map(|account| account.card)
    }

    /// Whether the vault has a device's seed.
    fn is_here(&self, serial: &MfaSerial) -> bool {
        self.custody.knowledge().devices.iter().any(|device| device.serial == *serial && device.is_here)
    }

    /// Burns the next step of one of the devices and gives its code, once the step has begun. Without `wait` a spent
    /// step is an error.
    pub async fn spend(
        &self,
        access_key: &Name,
        serials: &[MfaSerial],
        wait: bool,
        audience: &Audience,
    ) -> Result<(Turn, TokenCode), Error> {
        let turn = self.burn(access_key, serials, wait, audience).await?;
        let seed = self.custody.seed(&turn.serial)?;
        let code = mfa::code(&seed, turn.step);
        Ok((turn, code))
    }

    /// Burns the next step of one of the devices, durably, once it has begun.
    pub async fn burn(
        &self,
        access_key: &Name,
        serials: &[MfaSerial],
        wait: bool,
        audience: &Audience,
    ) -> Result<Turn, Error> {
        // An older vault gives no code: nobody waits for one.
        self.custody.require_newest()?;
        let knowledge = self.custody.knowledge();
        let user = knowledge.access_keys.get(access_key).and_then(Option::as_ref);
        let turnstile = self
            .turnstiles
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(user.map_or_else(|| access_key.to_string(), ToString::to_string))
            .or_default()
            .clone();
        let _queued = Queued::behind(&turnstile, self, serials, audience);
        let _turn = turnstile.turn.lock().await;
        loop {
            let now = self.aws.corrected_now();
            let Some(turn) = mfa::next_turn(serials, now, |serial, step| self.custody.is_burned(serial, step)) else {
                // While locked every step counts as spent.
                self.custody.require_unlocked()?;
                return Err(serials.first().map_or(Error::Locked, |serial| Error::StepsSpent(serial.clone())));
            };
            let millis = mfa::millis_until(turn.step, now);
            if millis == 0 {
                let custody = self.custody.clone();
                let burned = turn.clone();
                let burn = tokio::task::spawn_blocking(move || custody.burn(&burned.serial, burned.step));
                match burn.await.map_err(|_| Error::Locked)? {
                    Ok(()) => return Ok(turn),
                    // Another access key has just taken it: one stored without its user.
                    Err(vault::Error::StepSpent) => continue,
                    Err(error) => return Err(error.into()),
                }
            }
            if !wait {
                return Err(Error::StepSpent(millis));
            }
            let until = self.deadline(millis);
            audience.tell(&waiting(&turn.serial, until));
            self.world.clock.sleep_until(until).await;
        }
    }
}

/// Counts a waiter, and tells it how long the ones ahead will take: a step each.
struct Queued<'a>(&'a Turnstile);

impl<'a> Queued<'a> {
    fn behind(turnstile: &'a Turnstile, office: &Office, serials: &[MfaSerial], audience: &Audience) -> Self {
        let ahead = turnstile.waiting.fetch_add(1, Ordering::Relaxed);
        if let (Some(serial), true) = (serials.first(), ahead > 0) {
            let step_millis = mfa::STEP_SECONDS.unsigned_abs() * 1000;
            audience.tell(&waiting(serial, office.deadline(ahead.saturating_mul(step_millis))));
        }
        Self(turnstile)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Codes<'_> {
    /// The next code to try; None where the plan needs none.
    pub(super) async fn next(&mut self) -> Result<Option<Code>, Error> {
        if !self.needed {
            return Ok(None);
        }
        self.spent = self.spent.saturating_add(1);
        let skew_millis = self.office.aws.skew_millis();
        match &self.plan.mfa {
            Mfa::None => Ok(None),
            Mfa::Held(serials) => {
                let Some(access_key) = self.plan.base.access_key() else { return Ok(None) };
                let office = self.office;
                if let Some(code) = office.code_of_card(access_key, serials, self.plan, self.audience).await? {
                    return Ok(Some(code));
                }
                let (here, away): (Vec<_>, Vec<_>) = serials.iter().cloned().partition(|serial| office.is_here(serial));
                if let (true, Some(serial)) = (here.is_empty(), away.first()) {
                    return self.typed_for(serial, skew_millis).await.map(Some);
                }
                if office.presence_left().is_none() {
                    return Err(Error::PresenceNeeded);
                }
                let (turn, code) = office.spend(access_key, &here, true, self.audience).await?;
                Ok(Some(Code::new(turn, code, skew_millis)))
            }
            Mfa::Typed(serial) => {
                let code = self.typed(serial).await?;
                Ok(Some(Code { serial: serial.clone(), code, step: None, skew_millis }))
            }
        }
    }

    /// A code that a person types for a device whose card is not plugged in; where nobody can, the card is asked for.
    async fn typed_for(&self, serial: &MfaSerial, skew_millis: Option<i64>) -> Result<Code, Error> {
        match (self.typed(serial).await, self.office.card_of(serial)) {
            (Ok(code), _) => Ok(Code { serial: serial.clone(), code, step: None, skew_millis }),
            (Err(Error::CodeNeeded(_)), Some(card)) => Err(Error::Device { error: device::Error::NotPresent, card }),
            (Err(error), _) => Err(error),
        }
    }

    async fn typed(&self, serial: &MfaSerial) -> Result<TokenCode, Error> {
        let prompt = format!("code of {serial} for {}", claviger::model::Label(&self.plan.profile));
        for _ in 0..CODES_LIMIT {
            let Some(code) = self.audience.ask(&prompt).await else { break };
            let digits = code.expose().trim();
            if digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_digit()) {
                self.office.mark_presence();
                return Ok(TokenCode::from_text(digits.to_owned()));
            }
        }
        Err(Error::CodeNeeded(serial.clone()))
    }

    /// What an answer means for the code: the answer itself, another try (None), or the end.
    pub(super) fn settle<T>(&self, code: Option<Code>, answer: Result<T, aws::Error>) -> Result<Option<T>, Error> {
        let (error, code) = match (answer, code) {
            (Ok(answer), _) => return Ok(Some(answer)),
            (Err(error), None) => return Err(error.into()),
            (Err(error), Some(code)) => (error, code),
        };
        if !error.code_counts_as_sent() {
            // A typed code has no step; nobody is asked again for one that never left.
            if let Some(step) = code.step {
                self.office.custody.unburn(&code.serial, step);
            }
            return Err(error.into());
        }
        let refused = matches!(error, aws::Error::CodeRefused { .. });
        let passing = matches!(
            error,
            aws::Error::BadAnswer { .. }
                | aws::Error::ClockSkew { .. }
                | aws::Error::ServiceError { .. }
                | aws::Error::Throttled { .. }
                | aws::Error::TimedOut { .. }
                | aws::Error::Unreachable { .. }
        );
        // A refused code is tried once more with the next step: the step may have been used at the console, or the
        // refusal has just shown that this machine's clock is off.
        let second_chance = refused && (self.spent == 1 || self.skew_moved(code.skew_millis));
        if self.spent < CODES_LIMIT && (second_chance || passing) {
            return Ok(None);
        }
        if refused {
            Err(Error::CodeRefused { serial: code.serial, held: code.step.is_some() })
        } else {
            Err(error.into())
        }
    }

    fn skew_moved(&self, before: Option<i64>) -> bool {
        let now = self.office.aws.skew_millis().unwrap_or(0);
        now.abs_diff(before.unwrap_or(0)) > SKEW_MOVED_MILLIS
    }
}
