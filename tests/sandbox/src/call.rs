//! One call: who asks, what for, and what every action shares.

use crate::entropy::Entropy;
use crate::policy::{Context, Decision, decide};
use crate::query::Parameters;
use crate::reply::{Refusal, Service, Xml};
use crate::totp;
use crate::world::{Caller, Principal, World};

/// A call whose signature was verified.
pub(crate) struct Call<'a> {
    pub(crate) world: &'a mut World,
    pub(crate) entropy: &'a mut Entropy,
    pub(crate) parameters: &'a Parameters,
    pub(crate) caller: Caller,
    pub(crate) region: String,
    pub(crate) now: i64,
}

/// The inside of the `…Result` element; None for actions that AWS answers without one.
pub(crate) type Outcome = Result<Option<Xml>, Refusal>;

impl Call<'_> {
    /// The facts about this call that conditions may ask for.
    pub(crate) fn context(&self) -> Context {
        let mut context = self.world.context_of(&self.caller, self.now);
        context.set("aws:RequestedRegion", &self.region);
        context
    }

    /// What the caller's own policies and their session policy say together.
    pub(crate) fn decide(&self, action: &str, resource: &str, context: &Context) -> Decision {
        let own = decide(&self.world.policies_of(&self.caller.principal), action, resource, context);
        let within = self.decide_by_session(action, resource, context);
        match (own, within) {
            (Decision::ExplicitDeny, _) | (_, Decision::ExplicitDeny) => Decision::ExplicitDeny,
            (Decision::Allowed, Decision::Allowed) => Decision::Allowed,
            _ => Decision::ImplicitDeny,
        }
    }

    /// What the session policy says; everything is allowed where there is none.
    pub(crate) fn decide_by_session(&self, action: &str, resource: &str, context: &Context) -> Decision {
        match self.caller.session.as_ref().and_then(|session| session.policies.as_ref()) {
            Some(policies) => decide(&policies.iter().collect::<Vec<_>>(), action, resource, context),
            None => Decision::Allowed,
        }
    }

    /// Ok where the caller may; AccessDenied in AWS's words where not.
    pub(crate) fn authorize(&self, action: &str, resource: &str) -> Result<(), Refusal> {
        self.authorize_with(action, resource, &self.context())
    }

    /// The same with more facts than every call has.
    pub(crate) fn authorize_with(&self, action: &str, resource: &str, context: &Context) -> Result<(), Refusal> {
        let reason = match self.decide(action, resource, context) {
            Decision::Allowed => return Ok(()),
            Decision::ExplicitDeny => "with an explicit deny in an identity-based policy".to_owned(),
            Decision::ImplicitDeny => format!("because no identity-based policy allows the {action} action"),
        };
        let who = self.world.principal_arn(&self.caller.principal);
        Err(Refusal::access_denied(format!(
            "User: {who} is not authorized to perform: {action} on resource: {resource} {reason}"
        )))
    }

    /// The user named by UserName, else the caller.
    pub(crate) fn user_name(&self) -> Result<String, Refusal> {
        match (self.parameters.text("UserName"), &self.caller.principal) {
            (Some(name), _) => Ok(name.to_owned()),
            (None, Principal::User(name)) => Ok(name.clone()),
            (None, _) => Err(Refusal::validation("Must specify userName when calling with non-User credentials")),
        }
    }

    /// Burns the code of the caller's own device. None where the call carries no MFA at all.
    pub(crate) fn prove_mfa(&mut self) -> Result<bool, Refusal> {
        let (serial, code) = match (self.parameters.text("SerialNumber"), self.parameters.text("TokenCode")) {
            (None, None) => return Ok(false),
            (Some(serial), Some(code)) => (serial, code),
            _ => {
                return Err(Refusal::access_denied(
                    "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code. ",
                ));
            }
        };
        let Principal::User(user) = &self.caller.principal else {
            return Err(unknown_device());
        };
        let device = self.world.devices.get_mut(serial).ok_or_else(unknown_device)?;
        if device.enabled.as_ref().is_none_or(|(owner, _)| owner != user) || !device.unsettled.settles(self.now) {
            return Err(unknown_device());
        }
        let centre = totp::step_at(self.now) + device.drift;
        let Some(step) = totp::accept(&device.seed, code, centre, device.last_used) else {
            let used = self.world.steps.get(serial).map(Vec::as_slice).unwrap_or_default();
            self.world.reused += u64::from(totp::is_of(&device.seed, code, centre, used));
            return Err(Refusal::access_denied(
                "MultiFactorAuthentication failed with invalid MFA one time pass code. ",
            ));
        };
        device.last_used = Some(step);
        self.world.steps.entry(serial.to_owned()).or_default().push(step);
        Ok(true)
    }
}

fn unknown_device() -> Refusal {
    Refusal::access_denied(
        "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is valid and \
         associated with this user. ",
    )
}

/// Runs an action of a service; InvalidAction for one that the double does not have.
pub(crate) fn perform(service: Service, action: &str, call: &mut Call<'_>) -> Outcome {
    match service {
        Service::Ec2 => crate::ec2::perform(action, call),
        Service::Iam => crate::iam::perform(action, call),
        Service::InstanceConnect => crate::instance_connect::perform(action, call),
        Service::Sts => crate::sts::perform(action, call),
    }
}

/// The answer to an action that this service and version do not have.
pub(crate) fn invalid_action(action: &str, version: &str) -> Refusal {
    Refusal::new(400, "InvalidAction", format!("Could not find operation {action} for version {version}"))
}
