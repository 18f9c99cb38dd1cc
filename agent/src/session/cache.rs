//! The sessions in memory. Pure: time is an argument.

use super::SessionKey;
use crate::world::{BootTime, WallTime};
use claviger::model::{AccessKeyId, AccountId};
use claviger::secret::{SecretAccessKey, SessionToken};
use std::collections::BTreeMap;
use std::sync::Arc;

/// An STS session.
pub struct Session {
    /// The id of its key.
    pub access_key_id: AccessKeyId,
    /// The secret of its key.
    pub secret: SecretAccessKey,
    /// Its token.
    pub token: SessionToken,
    /// When AWS says it ends.
    pub expiration: WallTime,
    /// The same on the boot clock, which nobody can step.
    pub ends: BootTime,
    /// Who it acts as: an ARN, or the access key's name while the user is unknown.
    pub principal: String,
    /// The account it acts in, where known.
    pub account: Option<AccountId>,
    /// The access key it was obtained with.
    pub access_key: claviger::model::Name,
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

    pub(super) fn clear(&mut self) {
        self.sessions.clear();
    }

    pub(super) fn live(&self, now: BootTime) -> impl Iterator<Item = (&SessionKey, &Arc<Session>)> {
        self.sessions.iter().filter(move |(_, session)| session.left(now) > 0)
    }
}
