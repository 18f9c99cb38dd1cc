//! AssumeRole: shape, trust, chaining, tags and source identity.

use super::session::{blank_session, mfa_shape, write_credentials};
use crate::call::{Call, Outcome};
use crate::policy::{Context, Decision, Document, Kind, Trust, decide, decide_trust};
use crate::query::Shape;
use crate::reply::{Refusal, Xml};
use crate::world::Principal;
use std::collections::{BTreeMap, BTreeSet};

/// The longest session from temporary credentials, in seconds.
const CHAINED: i64 = 3600;
/// Characters of session policies, ARNs and tags that count as full.
const PACKED_FULL: usize = 2048;

/// AssumeRole.
pub(super) fn assume_role(call: &mut Call<'_>) -> Outcome {
    let asked = Asked::read(call)?;
    if matches!(call.caller.principal, Principal::Federated { .. }) {
        return Err(not_authorized(call, "sts:AssumeRole", &asked.role_arn));
    }
    let policies = session_policies(call)?;
    let packed = packed_size(call, &asked.tags)?;
    let tags = inherit_tags(call, &asked)?;
    let with_mfa = call.prove_mfa()?;
    let context = context(call, &asked, with_mfa);
    authorize(call, &asked, &context)?;

    let role = call
        .world
        .role_by_arn(&asked.role_arn)
        .ok_or_else(|| not_authorized(call, "sts:AssumeRole", &asked.role_arn))?;
    let (role_name, longest) = (role.name.clone(), role.max_session_duration);
    let seconds = asked.duration.unwrap_or(3600);
    if call.caller.session.is_some() && seconds > CHAINED {
        return Err(Refusal::validation(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
        ));
    }
    if seconds > longest {
        return Err(Refusal::validation(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ));
    }
    let principal = Principal::Role { role: role_name, session_name: asked.session_name.clone() };
    let mut session = blank_session(call, principal.clone(), seconds);
    session.policies = policies;
    (session.tags, session.transitive) = tags;
    session.source_identity = asked.source_identity.clone().or_else(|| inherited_identity(call));

    let mut xml = Xml::default();
    if let Some(identity) = &session.source_identity {
        xml.text("SourceIdentity", identity);
    }
    xml.nest("AssumedRoleUser", |xml| {
        xml.text("AssumedRoleId", call.world.principal_id(&principal));
        xml.text("Arn", call.world.principal_arn(&principal));
    });
    write_credentials(&mut xml, &session);
    if let Some(percent) = packed {
        xml.text("PackedPolicySize", percent.to_string());
    }
    call.world.sessions.insert(session.access_key_id.clone(), session);
    Ok(Some(xml))
}

/// The parameters, shape checked.
struct Asked {
    role_arn: String,
    session_name: String,
    duration: Option<i64>,
    external_id: Option<String>,
    source_identity: Option<String>,
    tags: BTreeMap<String, String>,
    transitive: BTreeSet<String>,
}

impl Asked {
    fn read(call: &Call<'_>) -> Result<Self, Refusal> {
        let parameters = call.parameters;
        let duration = parameters.number("DurationSeconds")?;
        let (role_arn, session_name) = (parameters.text("RoleArn"), parameters.text("RoleSessionName"));
        let (external_id, source_identity) = (parameters.text("ExternalId"), parameters.text("SourceIdentity"));
        let mut shape = Shape::default();
        shape.required("RoleArn", role_arn);
        shape.length("RoleArn", role_arn, 20, 2048);
        shape.required("RoleSessionName", session_name);
        shape.length("RoleSessionName", session_name, 2, 64);
        shape.characters("RoleSessionName", session_name, "+=,.@-");
        shape.range("DurationSeconds", duration, 900, 43_200);
        shape.length("ExternalId", external_id, 2, 1224);
        shape.characters("ExternalId", external_id, "+=,.@:/\\-");
        shape.length("SourceIdentity", source_identity, 2, 64);
        shape.characters("SourceIdentity", source_identity, "+=,.@-");
        mfa_shape(&mut shape, call);
        let (keys, values) = (parameters.members("Tags", ".Key"), parameters.members("Tags", ".Value"));
        if keys.len() > 50 || values.len() > 50 {
            shape.fails("Tags", &format!("({} tags)", keys.len()), "Member must have length less than or equal to 50");
        }
        for key in &keys {
            shape.length("Tags.Key", Some(key), 1, 128);
        }
        for value in &values {
            shape.length("Tags.Value", Some(value), 0, 256);
        }
        shape.verdict()?;
        if !role_arn.is_some_and(|arn| arn.starts_with("arn:") && arn.split(':').count() >= 6) {
            return Err(Refusal::validation(format!("{} is invalid", role_arn.unwrap_or_default())));
        }
        if keys.len() != values.len() {
            return Err(Refusal::validation("Every tag has a Key and a Value."));
        }
        let folded: BTreeSet<String> = keys.iter().map(|key| key.to_lowercase()).collect();
        if folded.len() != keys.len() {
            return Err(invalid_parameter("Duplicate tag keys found. Please note that Tag keys are case insensitive."));
        }
        if folded.iter().any(|key| key.starts_with("aws:")) {
            return Err(invalid_parameter("Tag keys may not start with the reserved prefix aws:."));
        }
        Ok(Self {
            role_arn: role_arn.unwrap_or_default().to_owned(),
            session_name: session_name.unwrap_or_default().to_owned(),
            duration,
            external_id: external_id.map(str::to_owned),
            source_identity: source_identity.map(str::to_owned),
            tags: keys.into_iter().zip(values).collect(),
            transitive: parameters.members("TransitiveTagKeys", "").into_iter().collect(),
        })
    }
}

/// Tags of the new session and which of them go on: its own, and the transitive ones of the calling session.
fn inherit_tags(call: &Call<'_>, asked: &Asked) -> Result<(BTreeMap<String, String>, BTreeSet<String>), Refusal> {
    if asked.transitive.iter().any(|key| !asked.tags.contains_key(key)) {
        return Err(invalid_parameter("The specified transitive tag key must be included in the requested tags."));
    }
    let (mut tags, mut transitive) = (asked.tags.clone(), asked.transitive.clone());
    if let Some(session) = &call.caller.session {
        for key in &session.transitive {
            if asked.tags.keys().any(|own| own.eq_ignore_ascii_case(key)) {
                return Err(invalid_parameter(
                    "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.",
                ));
            }
            tags.insert(key.clone(), session.tags.get(key).cloned().unwrap_or_default());
            transitive.insert(key.clone());
        }
    }
    Ok((tags, transitive))
}

fn context(call: &Call<'_>, asked: &Asked, with_mfa: bool) -> Context {
    let mut context = call.context();
    context.set("sts:RoleSessionName", &asked.session_name);
    if let Some(external_id) = &asked.external_id {
        context.set("sts:ExternalId", external_id);
    }
    if let Some(identity) = asked.source_identity.clone().or_else(|| inherited_identity(call)) {
        context.set("sts:SourceIdentity", identity);
    }
    for (key, value) in &asked.tags {
        context.set(&format!("aws:RequestTag/{key}"), value);
    }
    if !asked.tags.is_empty() {
        context.set_all("aws:TagKeys", asked.tags.keys().cloned().collect());
    }
    if !asked.transitive.is_empty() {
        context.set_all("sts:TransitiveTagKeys", asked.transitive.iter().cloned().collect());
    }
    if with_mfa {
        context.set("aws:MultiFactorAuthPresent", "true");
        context.set("aws:MultiFactorAuthAge", "0");
    }
    context
}

/// Trust policy and the caller's policies together, for every action that this call amounts to.
fn authorize(call: &Call<'_>, asked: &Asked, context: &Context) -> Result<(), Refusal> {
    let mut actions = vec!["sts:AssumeRole"];
    if !asked.tags.is_empty() {
        actions.push("sts:TagSession");
    }
    let inherited = inherited_identity(call);
    if asked.source_identity.is_some() || inherited.is_some() {
        actions.push("sts:SetSourceIdentity");
    }
    for action in actions {
        if !may(call, &asked.role_arn, action, context) {
            return Err(not_authorized(call, action, &asked.role_arn));
        }
    }
    if inherited.is_some() && asked.source_identity.is_some() && inherited != asked.source_identity {
        return Err(not_authorized(call, "sts:SetSourceIdentity", &asked.role_arn));
    }
    Ok(())
}

fn may(call: &Call<'_>, role_arn: &str, action: &str, context: &Context) -> bool {
    // A role that is not there is refused in the same words as one that may not be assumed.
    let Some(role) = call.world.role_by_arn(role_arn) else { return false };
    let names = call.world.caller_names(&call.caller.principal);
    let trust = decide_trust(&role.trust, action, &names, context);
    let own = decide(&call.world.policies_of(&call.caller.principal), action, role_arn, context);
    let within = call.decide_by_session(action, role_arn, context);
    if own == Decision::ExplicitDeny || within == Decision::ExplicitDeny {
        return false;
    }
    match trust {
        Trust::None | Trust::Denied => false,
        Trust::Account => own == Decision::Allowed && within == Decision::Allowed,
        Trust::Role => within == Decision::Allowed,
        Trust::Caller => true,
    }
}

fn inherited_identity(call: &Call<'_>) -> Option<String> {
    call.caller.session.as_ref().and_then(|session| session.source_identity.clone())
}

/// The session policies of a call; None where it carries none. Managed policies other than AdministratorAccess are
/// taken and allow nothing.
pub(super) fn session_policies(call: &Call<'_>) -> Result<Option<Vec<Document>>, Refusal> {
    let inline = call.parameters.text("Policy");
    let arns = call.parameters.members("PolicyArns", ".arn");
    if arns.len() > 10 {
        let mut shape = Shape::default();
        shape.fails(
            "PolicyArns",
            &format!("({} ARNs)", arns.len()),
            "Member must have length less than or equal to 10",
        );
        shape.verdict()?;
    }
    if let Some(arn) = arns.iter().find(|arn| !arn.starts_with("arn:") || !arn.contains(":policy/")) {
        return Err(Refusal::validation(format!("ARN {arn} is not valid.")));
    }
    if inline.is_none() && arns.is_empty() {
        return Ok(None);
    }
    let mut documents = Vec::new();
    if let Some(text) = inline {
        documents.push(Document::parse(text, Kind::Identity)?);
    }
    if arns.iter().any(|arn| arn.ends_with(":aws:policy/AdministratorAccess")) {
        documents.push(Document::administrator());
    }
    Ok(Some(documents))
}

/// How full the session is, in per cent; None where it carries neither policy nor tag. AWS packs in a way of its own:
/// here every character of policy, ARNs and tags counts.
pub(super) fn packed_size(call: &Call<'_>, tags: &BTreeMap<String, String>) -> Result<Option<usize>, Refusal> {
    let arns = call.parameters.members("PolicyArns", ".arn");
    let policy = call.parameters.text("Policy").map(|text| text.chars().count()).unwrap_or_default();
    let policies = policy + arns.iter().map(|arn| arn.chars().count()).sum::<usize>();
    let tagged = tags.iter().map(|(key, value)| key.chars().count() + value.chars().count()).sum::<usize>();
    let percent = |count: usize| (count * 100).div_ceil(PACKED_FULL);
    if policies > PACKED_FULL {
        return Err(Refusal::new(
            400,
            "PackedPolicyTooLarge",
            format!("Packed policy consumes {}% of allotted space, please use smaller policy.", percent(policies)),
        ));
    }
    // Fifty long tags are within AWS's limits, so tags fill the session and never overfill it here.
    Ok((policies + tagged > 0).then(|| percent(policies + tagged).min(100)))
}

fn invalid_parameter(message: &str) -> Refusal {
    Refusal::new(400, "InvalidParameterValue", message)
}

fn not_authorized(call: &Call<'_>, action: &str, role_arn: &str) -> Refusal {
    let who = call.world.principal_arn(&call.caller.principal);
    Refusal::access_denied(format!("User: {who} is not authorized to perform: {action} on resource: {role_arn}"))
}
