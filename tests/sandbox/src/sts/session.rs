//! Sessions that speak for the user themselves.

use super::assume_role::{packed_size, session_policies};
use crate::call::{Call, Outcome};
use crate::policy::{Decision, decide};
use crate::query::Shape;
use crate::reply::{Refusal, Xml};
use crate::time;
use crate::world::{Principal, Session};
use std::collections::{BTreeMap, BTreeSet};

/// GetSessionToken: needs no permission, but an explicit deny holds.
pub(super) fn session_token(call: &mut Call<'_>) -> Outcome {
    let duration = call.parameters.number("DurationSeconds")?;
    let mut shape = Shape::default();
    shape.range("DurationSeconds", duration, 900, 129_600);
    mfa_shape(&mut shape, call);
    shape.verdict()?;
    if call.caller.session.is_some() {
        return Err(Refusal::access_denied("Cannot call GetSessionToken with session credentials"));
    }
    let policies = call.world.policies_of(&call.caller.principal);
    if decide(&policies, "sts:GetSessionToken", "*", &call.context()) == Decision::ExplicitDeny {
        call.authorize("sts:GetSessionToken", "*")?;
    }
    let with_mfa = call.prove_mfa()?;
    let mut session = blank_session(call, call.caller.principal.clone(), duration.unwrap_or(43_200));
    session.mfa_at = with_mfa.then_some(call.now);
    let mut xml = Xml::default();
    write_credentials(&mut xml, &session);
    call.world.sessions.insert(session.access_key_id.clone(), session);
    Ok(Some(xml))
}

/// GetFederationToken: rights are the intersection with its policies; none without any.
pub(super) fn federation_token(call: &mut Call<'_>) -> Outcome {
    let duration = call.parameters.number("DurationSeconds")?;
    let name = call.parameters.required("Name")?.to_owned();
    let mut shape = Shape::default();
    shape.length("Name", Some(&name), 2, 32);
    shape.characters("Name", Some(&name), "+=,.@-");
    shape.range("DurationSeconds", duration, 900, 129_600);
    shape.verdict()?;
    let Principal::User(user) = &call.caller.principal else {
        return Err(Refusal::access_denied("Cannot call GetFederationToken with session credentials"));
    };
    if call.caller.session.is_some() {
        return Err(Refusal::access_denied("Cannot call GetFederationToken with session credentials"));
    }
    let principal = Principal::Federated { user: user.clone(), name: name.clone() };
    call.authorize("sts:GetFederationToken", &call.world.principal_arn(&principal))?;
    let policies = session_policies(call)?;
    let packed = packed_size(call, &BTreeMap::new())?;
    let mut session = blank_session(call, principal.clone(), duration.unwrap_or(43_200));
    session.policies = Some(policies.unwrap_or_default());
    let mut xml = Xml::default();
    xml.nest("FederatedUser", |xml| {
        xml.text("FederatedUserId", call.world.principal_id(&principal));
        xml.text("Arn", call.world.principal_arn(&principal));
    });
    write_credentials(&mut xml, &session);
    if let Some(percent) = packed {
        xml.text("PackedPolicySize", percent.to_string());
    }
    call.world.sessions.insert(session.access_key_id.clone(), session);
    Ok(Some(xml))
}

/// The shape of SerialNumber and TokenCode.
pub(super) fn mfa_shape(shape: &mut Shape, call: &Call<'_>) {
    let (serial, code) = (call.parameters.text("SerialNumber"), call.parameters.text("TokenCode"));
    shape.length("SerialNumber", serial, 9, 256);
    shape.characters("SerialNumber", serial, "+=/:,.@-");
    shape.length("TokenCode", code, 6, 6);
    shape.digits("TokenCode", code);
}

/// New credentials with nothing special about them.
pub(super) fn blank_session(call: &mut Call<'_>, principal: Principal, seconds: i64) -> Session {
    Session {
        access_key_id: call.entropy.access_key_id("ASIA"),
        secret: call.entropy.secret_access_key(),
        token: call.entropy.session_token(),
        issued: call.now,
        // AWS writes whole seconds, so the end is one as well.
        expires: (call.now.div_euclid(1000) + seconds) * 1000,
        principal,
        mfa_at: None,
        policies: None,
        tags: BTreeMap::new(),
        transitive: BTreeSet::new(),
        source_identity: None,
    }
}

/// The Credentials element.
pub(super) fn write_credentials(xml: &mut Xml, session: &Session) {
    xml.nest("Credentials", |xml| {
        xml.text("AccessKeyId", &session.access_key_id)
            .text("SecretAccessKey", &session.secret)
            .text("SessionToken", &session.token)
            .text("Expiration", time::iso8601(session.expires));
    });
}
