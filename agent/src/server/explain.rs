//! A plan as people read it.

use crate::session::{Base, Call, Mfa, Plan, Step};
use claviger::wire::{ChainStep, Explanation};

/// Both plans of a profile, side by side. A frozen plan that cannot be is a note.
pub(super) fn explain(refreshing: Plan, frozen: Result<Plan, String>) -> Explanation {
    let mut notes = refreshing.notes.clone();
    if let Mfa::Typed(serial) = &refreshing.mfa {
        notes.push(format!("the seed of {serial} is not in the vault: its code must be typed"));
    }
    if refreshing.mfa == Mfa::None && refreshing.base.access_key().is_some() {
        notes.push("without MFA: no authenticator is stored for the access key, or claviger_mfa is off".to_owned());
    }
    let frozen = match frozen {
        Ok(plan) => {
            notes.extend(plan.notes.iter().map(|note| format!("frozen: {note}")));
            steps(&plan)
        }
        Err(reason) => {
            notes.push(format!("frozen: refused, {reason}"));
            Vec::new()
        }
    };
    Explanation { profile: refreshing.profile.clone(), refreshing: steps(&refreshing), frozen, notes }
}

fn steps(plan: &Plan) -> Vec<ChainStep> {
    plan.steps.iter().map(|step| chain_step(plan, step)).collect()
}

fn chain_step(plan: &Plan, step: &Step) -> ChainStep {
    let (action, subject) = match (&step.call, &plan.base) {
        (Call::AssumeRole(request), _) => ("AssumeRole", request.role.to_string()),
        (_, Base::AccessKey(access_key)) => ("GetSessionToken", format!("access key {access_key}")),
        (_, Base::Source(source)) => (source.setting(), "base credentials".to_owned()),
    };
    let endpoint = match (&step.call, &plan.base) {
        (Call::Source, Base::Source(source)) => source.place(),
        _ => step.endpoint.host(),
    };
    let device = match &plan.mfa {
        Mfa::None => None,
        Mfa::Held(serials) => serials.first().map(ToString::to_string),
        Mfa::Typed(serial) => Some(serial.to_string()),
    };
    ChainStep {
        action: action.to_owned(),
        subject,
        duration: u64::from(step.seconds),
        mfa: device.filter(|_| step.with_code),
        endpoint,
    }
}
