//! What the office plans and shows without calling anyone.

use super::base::Base;
use super::office::{Limits, Office};
use super::pins::pin_of;
use super::plan::{self, Delivery, Given, Plan, PlanError};
use super::plans::Planned;
use super::settings::{self, Named};
use super::{Error, SessionKey};
use crate::aws::profile::{Profile, ProfileSet, is_own_stub};
use crate::aws::{Endpoint, EndpointRules, Service};
use crate::source::SourceRules;
use crate::vault::Knowledge;
use crate::world::WallTime;
use claviger::model::{AccessKeyId, Arn, Name, Partition, Region};
use std::sync::Arc;

/// A live session as `status` shows it.
pub struct SessionView {
    /// Who it acts as.
    pub principal: String,
    /// The id of its key.
    pub access_key_id: AccessKeyId,
    /// When it ends.
    pub expiration: WallTime,
    /// Milliseconds left.
    pub left_millis: u64,
}

/// A profile as `profile list` shows it.
pub struct ProfileView {
    /// Its name.
    pub profile: String,
    /// What its credentials come from.
    pub source: String,
    /// Its role.
    pub role: Option<String>,
    /// Whether claviger's own line stands in it.
    pub adopted: bool,
    /// What its use would meet.
    pub error: Option<Error>,
}

impl Office {
    /// Plans a profile.
    pub fn plan(&self, profiles: &ProfileSet, profile: &str, delivery: Delivery) -> Result<Plan, Error> {
        let plan = plan::plan(&self.standing().given(profiles), profile, delivery);
        Ok(plan.map_err(|error| error.with_nearest(profiles))?)
    }

    /// The same, made once for as long as nothing changes that it depends on.
    pub fn planned(
        &self,
        profiles: &Arc<ProfileSet>,
        profile: &str,
        delivery: Delivery,
    ) -> Result<Arc<Planned>, Error> {
        let standing = self.standing();
        if let Some(planned) = self.plans.known(&standing, profiles, profile, delivery) {
            return Ok(planned);
        }
        let plan = plan::plan(&standing.given(profiles), profile, delivery);
        let plan = plan.map_err(|error| error.with_nearest(profiles))?;
        let key = SessionKey::of(&plan, plan.steps.len().saturating_sub(1));
        let pin = standing.knowledge.pins.profiles.get(profile);
        let is_pinned = pin.is_some_and(|pin| pin.agrees_with(&pin_of(&plan, &standing.knowledge)));
        let planned = Arc::new(Planned { plan: Arc::new(plan), key, is_pinned });
        self.plans.keep(standing, profiles, delivery, &planned);
        Ok(planned)
    }

    /// Plans a profile as other files and another vault would have it.
    pub fn plan_as_if(&self, profiles: &ProfileSet, knowledge: &Knowledge, profile: &str) -> Result<Plan, PlanError> {
        let standing = self.standing();
        plan::plan(&Given { knowledge, ..standing.given(profiles) }, profile, Delivery::Refreshing)
    }

    /// The region and STS endpoint of calls that the access key itself signs.
    pub fn base_endpoint(&self, profiles: &ProfileSet, access_key: &Name) -> Result<(Region, Endpoint), Error> {
        Ok(plan::base_endpoint_of(&self.standing().given(profiles), access_key)?)
    }

    /// The IAM endpoint of the access key's partition.
    pub fn iam_endpoint(&self, profiles: &ProfileSet, access_key: &Name) -> Result<Endpoint, Error> {
        let (region, _) = self.base_endpoint(profiles, access_key)?;
        let named = profiles.profile(access_key.as_str()).map(|profile| settings::endpoint(profiles, profile, "iam"));
        let value = match named {
            Some(Named::Url(value)) => Some(value),
            Some(Named::Aws | Named::Nothing) | None => None,
        };
        let at = value.map(|value| (access_key.to_string(), value.origin.clone()));
        let endpoint = self.aws.rules().iam(Partition::of_region(&region), value.map(|value| value.text()));
        Ok(endpoint.map_err(|error| PlanError::Endpoint(error, at))?)
    }

    /// The STS endpoint where a profile's own credentials are used: the last one of its plan, or another region's.
    pub fn call_endpoint(
        &self,
        profiles: &ProfileSet,
        profile: &str,
        region: Option<Region>,
    ) -> Result<Endpoint, Error> {
        let plan = self.plan(profiles, profile, Delivery::Refreshing)?;
        match (region, plan.steps.last()) {
            (None, Some(step)) => Ok(step.endpoint.clone()),
            (region, _) => {
                let region = region.unwrap_or_else(|| Partition::commercial().region());
                Ok(plan::sts(&self.standing().given(profiles), &region, profiles.profile(profile))?)
            }
        }
    }

    /// The endpoint of a service in a region, for a profile's own credentials: the profile's `endpoint_url` of the service
    /// counts, as it does with every tool.
    pub fn regional_endpoint(
        &self,
        profiles: &ProfileSet,
        profile: &str,
        (service, region): (Service, &Region),
    ) -> Result<Endpoint, Error> {
        // The id as the SDKs write it in a services section.
        let id = service.id().replace('-', "_");
        let value = match profiles.profile(profile).map(|profile| settings::endpoint(profiles, profile, &id)) {
            Some(Named::Url(value)) => Some(value),
            Some(Named::Aws | Named::Nothing) | None => None,
        };
        let at = value.map(|value| (profile.to_owned(), value.origin.clone()));
        let endpoint = self.aws.rules().regional(service, region, value.map(|value| value.text()));
        Ok(endpoint.map_err(|error| PlanError::Endpoint(error, at))?)
    }

    /// A page of every profile, and then of every access key that no profile is named like.
    pub fn profile_rows(&self, profiles: &ProfileSet, skip: usize, most: usize) -> Vec<ProfileView> {
        let standing = self.standing();
        let given = standing.given(profiles);
        let bare =
            standing.knowledge.access_keys.keys().map(Name::as_str).filter(|name| profiles.profile(name).is_none());
        let names = profiles.profiles().map(Profile::name).chain(bare);
        let row = |name: &str| {
            let role = profiles
                .profile(name)
                .and_then(|profile| profile.value("role_arn"))
                .map(|value| value.text().to_owned())
                // Whatever else stands there is not shown: it may be a secret in the wrong line.
                .filter(|role| role.parse::<Arn>().is_ok());
            let stub =
                profiles.profile(name).and_then(|profile| is_own_stub(profile.value("credential_process")?.text()));
            let adopted = stub.as_deref() == Some(name);
            match plan::plan(&given, name, Delivery::Refreshing) {
                Ok(plan) => ProfileView {
                    profile: name.to_owned(),
                    source: match &plan.base {
                        Base::AccessKey(access_key) => format!("access key {access_key}"),
                        Base::Source(source) => source.setting().to_owned(),
                    },
                    role,
                    adopted,
                    error: None,
                },
                Err(error) => ProfileView {
                    profile: name.to_owned(),
                    source: "not served".to_owned(),
                    role,
                    adopted,
                    error: Some(error.into()),
                },
            }
        };
        names.skip(skip).take(most).map(row).collect()
    }

    /// The live sessions.
    pub fn sessions(&self) -> Vec<SessionView> {
        let now = self.world.clock.boot();
        let desk = self.desk();
        let live = desk.cache.live(now).map(|(_, session)| SessionView {
            principal: session.principal.clone(),
            access_key_id: session.access_key_id.clone(),
            expiration: session.expiration,
            left_millis: session.left(now),
        });
        live.collect()
    }

    fn standing(&self) -> Standing {
        Standing {
            knowledge: self.custody.knowledge(),
            rules: self.aws.rules(),
            sources: self.sources.rules(),
            limits: self.limits(),
        }
    }
}

/// What a plan depends on besides the files, as it is now.
pub(super) struct Standing {
    knowledge: Arc<Knowledge>,
    rules: Arc<EndpointRules>,
    sources: Arc<SourceRules>,
    limits: Arc<Limits>,
}

impl Standing {
    /// Whether it is this very one, in each part.
    pub(super) fn is(&self, other: &Self) -> bool {
        let Self { knowledge, rules, sources, limits } = other;
        Arc::ptr_eq(&self.knowledge, knowledge)
            && Arc::ptr_eq(&self.rules, rules)
            && Arc::ptr_eq(&self.sources, sources)
            && Arc::ptr_eq(&self.limits, limits)
    }

    fn given<'a>(&'a self, profiles: &'a ProfileSet) -> Given<'a> {
        let (region, session_seconds) = (self.limits.region.as_ref(), self.limits.session_seconds);
        Given {
            profiles,
            knowledge: &self.knowledge,
            endpoints: &self.rules,
            sources: &self.sources,
            region,
            session_seconds,
        }
    }
}
