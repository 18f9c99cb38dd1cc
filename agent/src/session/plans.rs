//! Plans that were made, for as long as nothing they depend on has changed: a plan is the same for every request until
//! the files, the vault or the settings are.

use super::SessionKey;
use super::plan::{Delivery, Plan};
use super::view::Standing;
use crate::aws::profile::ProfileSet;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Most plans kept: a person works in some profiles, and a list of all must not stay in memory.
const PLANS_LIMIT: usize = 256;

/// A plan, and what follows from it and the vault.
pub struct Planned {
    /// The plan.
    pub plan: Arc<Plan>,
    /// The session that it ends with.
    pub(super) key: SessionKey,
    /// Whether it obtains what the vault has pinned its profile to. Where not, that may be on its way into the vault.
    pub(super) is_pinned: bool,
}

/// The plans of one standing.
#[derive(Default)]
pub(super) struct Plans(Mutex<Option<Made>>);

struct Made {
    standing: Standing,
    profiles: Arc<ProfileSet>,
    plans: HashMap<String, [Option<Arc<Planned>>; 2]>,
}

impl Plans {
    /// The plan that was made of just this.
    pub(super) fn known(
        &self,
        standing: &Standing,
        profiles: &Arc<ProfileSet>,
        profile: &str,
        delivery: Delivery,
    ) -> Option<Arc<Planned>> {
        let made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let made = made.as_ref().filter(|made| made.is_of(standing, profiles))?;
        made.plans.get(profile)?.get(place(delivery))?.clone()
    }

    /// Keeps a plan.
    pub(super) fn keep(&self, standing: Standing, profiles: &Arc<ProfileSet>, delivery: Delivery, plan: &Arc<Planned>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let made = match &mut *kept {
            Some(made) if made.is_of(&standing, profiles) && made.plans.len() < PLANS_LIMIT => made,
            other => other.insert(Made { standing, profiles: profiles.clone(), plans: HashMap::new() }),
        };
        if let Some(slot) = made.plans.entry(plan.plan.profile.clone()).or_default().get_mut(place(delivery)) {
            *slot = Some(plan.clone());
        }
    }
}

impl Made {
    /// By identity: what is held here is not freed, so nothing else can come to lie in its place.
    fn is_of(&self, standing: &Standing, profiles: &Arc<ProfileSet>) -> bool {
        self.standing.is(standing) && Arc::ptr_eq(&self.profiles, profiles)
    }
}

fn place(delivery: Delivery) -> usize {
    match delivery {
        Delivery::Refreshing => 0,
        Delivery::Frozen => 1,
    }
}
