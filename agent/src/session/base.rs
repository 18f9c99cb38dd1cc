//! Where a plan starts, and the session that a source gives.

use super::cache::{HAND_OUT_MILLIS, Session};
use super::office::Office;
use super::plan::PlanError;
use super::resolve::Chain;
use super::{Error, Plan};
use crate::source::{Source, SourceCredentials};
use claviger::model::Name;
use claviger::secret::{SecretText, SessionToken};
use std::sync::Arc;

/// Milliseconds that credentials without an end of their own are kept: what the Rust SDK assumes of a command.
const LIFE_MILLIS: i64 = 15 * 60_000;

/// What the first call of a plan is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// An access key in the vault.
    AccessKey(Name),
    /// Another source. Its credentials are a session already, so no code can go with them.
    Source(Source),
}

impl Base {
    /// The access key, if it is one.
    pub fn access_key(&self) -> Option<&Name> {
        match self {
            Self::AccessKey(name) => Some(name),
            Self::Source(_) => None,
        }
    }
}

/// A device is a user's (STS API, AssumeRole, SerialNumber), and no source is known to give a user's own keys: a code
/// would be asked for and refused. `claviger_mfa = off` passes over an `mfa_serial` that other tools need.
pub(super) fn refuse_serial(chain: &Chain<'_>) -> Result<(), PlanError> {
    let serial = chain.profiles.iter().find_map(|profile| Some((*profile, profile.value("mfa_serial")?)));
    match serial {
        None => Ok(()),
        Some((profile, value)) => Err(PlanError::MfaContradicts(
            profile.name().to_owned(),
            "mfa_serial goes with a stored access key alone: claviger_mfa = off passes over it",
            value.origin.clone(),
        )),
    }
}

impl Office {
    /// Asks the source of a plan. Only while the vault is open, as for every other profile.
    pub(super) async fn source_session(&self, plan: &Plan) -> Result<Arc<Session>, Error> {
        let Base::Source(source) = &plan.base else { return Err(Error::Locked) };
        self.custody.require_unlocked()?;
        let given = self.sources.open(source).fetch().await?;
        let now = self.aws.corrected_now();
        let SourceCredentials { access_key_id, secret, token, expiration, account, principal } = given;
        let expiration = expiration.unwrap_or_else(|| now.plus_millis(LIFE_MILLIS));
        let left = u64::try_from(expiration.0.saturating_sub(now.0)).unwrap_or(0);
        if left == 0 {
            return Err(crate::source::Error::Ended(source.kind()).into());
        }
        Ok(Arc::new(Session {
            access_key_id,
            secret,
            token: token.unwrap_or_else(|| SessionToken::from_text(String::new())),
            expiration,
            ends: self.deadline(left),
            hand_out_millis: hand_out_millis(left),
            principal,
            account,
            access_key: None,
            request_id: None,
            proof: None,
        }))
    }
}

/// A source gives what it has: where that is little, it is asked again when half is gone, not at every request.
pub(super) fn hand_out_millis(left: u64) -> u64 {
    HAND_OUT_MILLIS.min(left / 2)
}
