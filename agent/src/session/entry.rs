//! A session in the words of the audit record. Pure.

use super::Error;
use super::base::Base;
use super::cache::Session;
use super::plan::{Call, Plan};
use crate::audit::{Entry, Event};
use crate::world::rfc3339;
use claviger::model::{AuditAws, AuditSubject};

/// What is about to be asked of STS.
pub(super) fn begun(plan: &Plan, index: usize) -> Entry {
    let mut subject = AuditSubject {
        profile: Some(plan.profile.clone()),
        name: Some(match &plan.base {
            Base::AccessKey(name) => name.to_string(),
            Base::Source(source) => source.setting().to_owned(),
        }),
        ..AuditSubject::default()
    };
    let Some(step) = plan.steps.get(index) else { return Entry::new(Event::SessionNew).subject(subject) };
    if let Call::AssumeRole(request) = &step.call {
        subject.role = Some(request.role.to_string());
    }
    let entry = Entry::new(Event::SessionNew).subject(subject);
    match asked(plan, index) {
        Some(aws) => entry.aws(aws),
        None => entry,
    }
}

/// What came of it.
pub(super) fn given(plan: &Plan, index: usize, session: &Session) -> Option<AuditAws> {
    let (mfa_serial, totp_step) = match &session.proof {
        Some((serial, step)) => (Some(serial.to_string()), *step),
        None => (None, None),
    };
    Some(AuditAws {
        access_key_id: Some(session.access_key_id.to_string()),
        expires: Some(rfc3339(session.expiration)),
        mfa_serial,
        request_id: session.request_id.clone(),
        totp_step,
        ..asked(plan, index)?
    })
}

/// Why it failed: the office's words and those of the room below it. Neither holds input or a secret.
pub(super) fn words(error: &Error) -> String {
    let below = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{below}")
}

fn asked(plan: &Plan, index: usize) -> Option<AuditAws> {
    let step = plan.steps.get(index)?;
    let mut aws = AuditAws { endpoint: Some(step.endpoint.url().to_string()), ..AuditAws::default() };
    aws.operation = Some(match &step.call {
        Call::AssumeRole(request) => {
            aws.session_name = Some(request.session_name.clone());
            aws.source_identity = request.source_identity.clone();
            "sts:AssumeRole".to_owned()
        }
        Call::SessionToken => "sts:GetSessionToken".to_owned(),
        // A source is not AWS: nothing of it can be found in CloudTrail.
        Call::Source => return Some(AuditAws::default()),
    });
    Some(aws)
}
