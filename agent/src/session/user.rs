//! The MFA session of an access key's own user, for calls to IAM.

use super::obtain::SIGN_WITH_MILLIS;
use super::office::Office;
use super::plan::{Call, Delivery, Plan};
use super::{Error, Session, SessionKey};
use crate::ask::Listener;
use crate::aws::profile::ProfileSet;
use claviger::model::Name;
use std::sync::Arc;

impl Office {
    /// The session with MFA of the user that an access key belongs to; None where that user has no device here, so that
    /// the key itself has to sign: IAM takes no session without MFA (STS API, GetSessionToken).
    ///
    /// # Errors
    /// Those of any session.
    pub async fn user_mfa_session(
        self: &Arc<Self>,
        profiles: &ProfileSet,
        access_key: &Name,
        listener: Listener,
    ) -> Result<Option<Arc<Session>>, Arc<Error>> {
        let Some(plan) = self.user_plan(profiles, access_key)? else { return Ok(None) };
        self.obtain(Arc::new(plan), 0, listener.into()).await.map(Some)
    }

    /// The same from memory alone.
    pub fn user_mfa_session_at_hand(&self, profiles: &ProfileSet, access_key: &Name) -> Option<Arc<Session>> {
        let plan = self.user_plan(profiles, access_key).ok()??;
        self.reopened().cache.fresh(&SessionKey::of(&plan, 0), self.world.clock.boot(), SIGN_WITH_MILLIS)
    }

    /// The plan whose first step is that session. A profile of the same name may go on from it.
    fn user_plan(&self, profiles: &ProfileSet, access_key: &Name) -> Result<Option<Plan>, Error> {
        let plan = self.plan(profiles, access_key.as_str(), Delivery::Refreshing)?;
        let is_own = plan.base.access_key() == Some(access_key);
        let with_code = plan.steps.first().is_some_and(|step| step.call == Call::SessionToken && step.with_code);
        Ok((is_own && with_code).then_some(plan))
    }
}
