//! What a profile obtained when it was first used: its source and roles. Another plan under the same name is refused
//! until a person accepts it.

use super::Error;
use super::base::Base;
use super::office::Office;
use super::plan::{Call, Plan};
use crate::aws::profile::ProfileSet;
use crate::session::Delivery;
use crate::vault::{self, Knowledge, PinnedProfile};
use claviger::model::Arn;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most bytes of all pins: 10,000 profiles with two roles each. Whoever can write the AWS files must not fill the vault.
const PINS_BYTES: usize = 2 * 1024 * 1024;

/// A profile that is pinned to one thing and now asks for another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileChange {
    /// Its name.
    pub profile: String,
    /// What it is pinned to.
    pub was: PinnedProfile,
    /// What it asks for.
    pub now: PinnedProfile,
}

impl ProfileChange {
    /// The first part that differs, as it was and as it is.
    pub fn difference(&self) -> (String, String) {
        let (was, now) = (self.was.lines(), self.now.lines());
        let at = was.iter().zip(&now).take_while(|(was, now)| was == now).count();
        let part = |lines: &[String]| lines.get(at).map_or_else(|| "no further role".to_owned(), Clone::clone);
        (part(&was), part(&now))
    }
}

/// Pins on their way into the vault.
#[derive(Default)]
pub(super) struct Pinning {
    /// Not in the vault yet: it was locked, or could not be saved. In force all the same while the agent lives.
    unsaved: Mutex<Unsaved>,
    /// One save at a time, which takes all that wait for it along.
    saving: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Unsaved {
    pins: BTreeMap<String, PinnedProfile>,
    /// How many vaults there were before: what was obtained with one is not pinned in the next.
    vaults: u64,
}

impl Pinning {
    fn unsaved(&self) -> MutexGuard<'_, Unsaved> {
        self.unsaved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Office {
    /// What a plan obtains.
    pub fn pin_of(&self, plan: &Plan) -> PinnedProfile {
        pin_of(plan, &self.custody.knowledge())
    }

    /// What a profile is pinned to.
    pub fn pinned(&self, profile: &str) -> Option<PinnedProfile> {
        let known = self.custody.knowledge().pins.profiles.get(profile).cloned();
        known.or_else(|| self.pinning.unsaved().pins.get(profile).cloned())
    }

    /// The pinned profiles that the files now describe otherwise.
    pub fn changed_profiles(&self, profiles: &ProfileSet) -> Vec<ProfileChange> {
        let mut names: Vec<String> = self.custody.knowledge().pins.profiles.keys().cloned().collect();
        names.extend(self.pinning.unsaved().pins.keys().cloned());
        names.sort_unstable();
        names.dedup();
        names.iter().filter_map(|name| self.changed_profile(profiles, name).ok().flatten()).collect()
    }

    /// How a profile differs from what it is pinned to, if it does.
    pub fn changed_profile(&self, profiles: &ProfileSet, profile: &str) -> Result<Option<ProfileChange>, Error> {
        let plan = self.plan(profiles, profile, Delivery::Refreshing)?;
        match self.check_pin(&plan) {
            Err(Error::ProfileChanged(change)) => Ok(Some(*change)),
            Err(error) => Err(error),
            Ok(_) => Ok(None),
        }
    }

    /// Pins profiles to what a person has just accepted. Blocks for the save.
    pub fn accept_profiles(&self, changes: Vec<ProfileChange>) -> vault::Result<()> {
        let accepted: BTreeMap<String, PinnedProfile> =
            changes.into_iter().map(|change| (change.profile, change.now)).collect();
        self.custody.edit(self.world.clock.wall(), |items| -> vault::Result<()> {
            Arc::make_mut(&mut items.pins.profiles).extend(accepted.clone());
            Ok(())
        })?;
        self.pinning.unsaved().pins.retain(|profile, _| !accepted.contains_key(profile));
        Ok(())
    }

    /// Which vault is open, counted: for [`pin`](Self::pin).
    pub(super) fn vault_number(&self) -> u64 {
        self.pinning.unsaved().vaults
    }

    /// Forgets the pins that are not in the vault: another one takes its place.
    pub(super) fn leave_pins(&self) {
        let mut unsaved = self.pinning.unsaved();
        unsaved.pins.clear();
        unsaved.vaults += 1;
    }

    /// Whether the profile is pinned, to what the plan obtains; refuses where it is pinned to something else.
    pub(super) fn check_pin(&self, plan: &Plan) -> Result<bool, Error> {
        let Some(was) = self.pinned(&plan.profile) else { return Ok(false) };
        agree(&plan.profile, was, self.pin_of(plan)).map(|()| true)
    }

    /// Pins the profile to what the plan has just obtained, in the vault of that number; not in another one. Where that
    /// cannot be saved it holds in memory until it can: a full disk must not take credentials away.
    pub(super) async fn pin(self: &Arc<Self>, plan: &Plan, vault: u64) -> Result<(), Error> {
        let now = self.pin_of(plan);
        let first = {
            let knowledge = self.custody.knowledge();
            let mut unsaved = self.pinning.unsaved();
            if unsaved.vaults != vault {
                return Err(Error::Locked);
            }
            let known = knowledge.pins.profiles.get(&plan.profile).or_else(|| unsaved.pins.get(&plan.profile));
            if let Some(was) = known {
                agree(&plan.profile, was.clone(), now)?;
                false
            } else {
                let sizes = knowledge
                    .pins
                    .profiles
                    .iter()
                    .chain(unsaved.pins.iter())
                    .map(|(name, pin)| name.len() + pin.size());
                if sizes.sum::<usize>() + plan.profile.len() + now.size() > PINS_BYTES {
                    tracing::warn!("too many profiles are pinned: this one is not");
                    return Ok(());
                }
                unsaved.pins.insert(plan.profile.clone(), now);
                true
            }
        };
        // Whoever finds a save under way waits for it; only the first tries.
        let _turn = self.pinning.saving.lock().await;
        if first && self.pinning.unsaved().pins.contains_key(&plan.profile) {
            let office = self.clone();
            drop(tokio::task::spawn_blocking(move || office.save_pins()).await);
        }
        Ok(())
    }

    /// Saves the pins that are not in the vault yet; false where they stay out of it.
    pub fn save_pins(&self) -> bool {
        let (waiting, vault) = {
            let unsaved = self.pinning.unsaved();
            (unsaved.pins.clone(), unsaved.vaults)
        };
        if waiting.is_empty() {
            return true;
        }
        let saved = self.custody.edit(self.world.clock.wall(), |items| -> vault::Result<()> {
            // No other vault takes this one's place while it is edited.
            if self.vault_number() != vault {
                return Err(vault::Error::Interrupted);
            }
            let pins = Arc::make_mut(&mut items.pins.profiles);
            for (profile, pin) in &waiting {
                pins.entry(profile.clone()).or_insert_with(|| pin.clone());
            }
            Ok(())
        });
        match saved {
            Ok(()) => self.pinning.unsaved().pins.retain(|profile, _| !waiting.contains_key(profile)),
            Err(ref error) => tracing::warn!(%error, "the profiles first used now are pinned in memory only"),
        }
        saved.is_ok()
    }

    /// How many pins are not in the vault yet.
    pub fn unsaved_pins(&self) -> usize {
        self.pinning.unsaved().pins.len()
    }
}

/// What a plan obtains, as far as the vault knows the owner of its access key.
pub(super) fn pin_of(plan: &Plan, knowledge: &Knowledge) -> PinnedProfile {
    let user = plan.base.access_key().and_then(|name| knowledge.access_keys.get(name)?.as_ref());
    let roles = plan.steps.iter().filter_map(|step| match &step.call {
        Call::AssumeRole(request) => Some(request.role.to_string()),
        Call::SessionToken | Call::Source => None,
    });
    PinnedProfile {
        source: match &plan.base {
            Base::AccessKey(name) => format!("access key {name}"),
            Base::Source(source) => source.setting().to_owned(),
        },
        account: user.and_then(Arn::account).map(|account| account.to_string()),
        roles: roles.collect(),
    }
}

fn agree(profile: &str, was: PinnedProfile, now: PinnedProfile) -> Result<(), Error> {
    if was.agrees_with(&now) {
        return Ok(());
    }
    Err(Error::ProfileChanged(Box::new(ProfileChange { profile: profile.to_owned(), was, now })))
}
