//! The sessions in memory. Pure: time is an argument.

use super::SessionKey;
use crate::aws::SigningCredentials;
use crate::world::{BootTime, WallTime};
use claviger::model::{AccessKeyId, AccountId, Name};
use claviger::secret::{SecretAccessKey, SecretText, SessionToken};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Hand out with more than this left: below 15 minutes botocore asks again for every request.
pub(super) const HAND_OUT_MILLIS: u64 = 15 * 60_000;

/// An STS session.
pub struct Session {
    /// The id of its key.
    pub access_key_id: AccessKeyId,
    /// The secret of its key.
    pub secret: SecretAccessKey,
    /// Its token. Empty for the long-lived keys of a command, which sign AssumeRole and are never handed out.
    pub token: SessionToken,
    /// When AWS says it ends.
    pub expiration: WallTime,
    /// The same on the boot clock, which nobody can step.
    pub ends: BootTime,
    /// Who it acts as: an ARN, or the access key's name while the user is unknown.
    pub principal: String,
    /// The account it acts in, where known.
    pub account: Option<AccountId>,
    /// The access key it was obtained with; None where it came from another source.
    pub access_key: Option<Name>,
    /// It is handed out with more than this left, in milliseconds.
    pub(super) hand_out_millis: u64,
    /// The request that made it, where it was made since the agent began.
    pub request_id: Option<String>,
    /// The device whose code was spent for it, likewise; and the step, where the seed is ours.
    pub proof: Option<(claviger::model::MfaSerial, Option<u64>)>,
}

impl Session {
    /// Milliseconds left.
    pub fn left(&self, now: BootTime) -> u64 {
        self.ends.millis_since(now)
    }

    /// What signs in its name.
    pub fn signing(&self) -> SigningCredentials<'_> {
        let token = (!self.is_long_lived()).then_some(&self.token);
        SigningCredentials { access_key_id: &self.access_key_id, secret: &self.secret, token }
    }

    /// Whether these are keys that do not end.
    pub(super) fn is_long_lived(&self) -> bool {
        self.token.expose().is_empty()
    }
}

/// Sessions by key; ended ones are dropped as they are met.
#[derive(Default)]
pub(super) struct Cache {
    sessions: BTreeMap<SessionKey, Arc<Session>>,
}

impl Cache {
    /// The session, if it has more than `margin` milliseconds left.
    pub(super) fn fresh(&self, key: &SessionKey, now: BootTime, margin: u64) -> Option<Arc<Session>> {
        self.sessions.get(key).filter(|session| session.left(now) > margin).cloned()
    }

    /// The session, if it has enough left to be handed out.
    pub(super) fn to_hand_out(&self, key: &SessionKey, now: BootTime) -> Option<Arc<Session>> {
        self.sessions.get(key).filter(|session| session.left(now) > session.hand_out_millis).cloned()
    }

    pub(super) fn insert(&mut self, key: SessionKey, session: Arc<Session>, now: BootTime) {
        self.sessions.retain(|_, session| session.left(now) > 0);
        self.sessions.insert(key, session);
    }

    /// Takes a session in unless the one here ends later.
    pub(super) fn restore(&mut self, key: SessionKey, session: Session) {
        if self.sessions.get(&key).is_none_or(|held| held.ends < session.ends) {
            self.sessions.insert(key, Arc::new(session));
        }
    }

    pub(super) fn remove(&mut self, key: &SessionKey) -> bool {
        self.sessions.remove(key).is_some()
    }

    /// Forgets keys that do not end: they go with the vault's own.
    pub(super) fn drop_long_lived(&mut self) {
        self.sessions.retain(|_, session| !session.is_long_lived());
    }

    pub(super) fn clear(&mut self) {
        self.sessions.clear();
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&SessionKey, &Arc<Session>)> {
        self.sessions.iter()
    }

    pub(super) fn live(&self, now: BootTime) -> impl Iterator<Item = (&SessionKey, &Arc<Session>)> {
        self.sessions.iter().filter(move |(_, session)| session.left(now) > 0)
    }
}
