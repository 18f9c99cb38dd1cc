//! The settings of a role, checked against what STS accepts before anything is sent. Pure.

use super::plan::{PlanError, RoleRequest};
use crate::aws::profile::{Origin, Profile, ProfileSet, Value};
use claviger::model::{Arn, Partition, Region};
use std::collections::HashSet;

/// Most tags of a session (STS API, AssumeRole).
const TAGS_LIMIT: usize = 50;
/// Most managed policies of a session.
const POLICY_ARNS_LIMIT: usize = 10;
/// Most characters of a session policy and policy ARNs together, as plain text.
const POLICY_LIMIT: usize = 2048;

pub(super) struct RoleSettings {
    pub(super) request: RoleRequest,
    /// `duration_seconds`.
    pub(super) seconds: Option<u32>,
    /// Where the role stands.
    pub(super) origin: Origin,
}

/// Reads the settings of one role. `identity` is the IAM user at the start of the chain, where known.
pub(super) fn role(
    profile: &Profile,
    role: &Arn,
    asked: &str,
    identity: Option<&Arn>,
) -> Result<RoleSettings, PlanError> {
    let invalid = |rule, value: &Value| PlanError::Invalid(profile.name().to_owned(), rule, value.origin.clone());
    let text = |key: &str, least: usize, most: usize, extra: &str, rule: &'static str| match profile.value(key) {
        Some(value) if fits(value.text(), least, most, extra) => Ok(Some(value.text().to_owned())),
        Some(value) => Err(invalid(rule, value)),
        None => Ok(None),
    };
    let user = identity.map_or("", Arn::resource_name);
    let session_name = match profile.value("role_session_name") {
        Some(value) if user.is_empty() && value.text().contains("{user}") => {
            return Err(invalid(
                "role_session_name holds {user}, and no user is known: the access key was stored without it, or there is none",
                value,
            ));
        }
        Some(value) => expand(value.text(), user, asked).filter(|name| fits(name, 2, 64, "")).ok_or_else(|| {
            invalid(
                "role_session_name is 2 to 64 of letters, digits and _=,.@+-, with {user} and {profile} filled in",
                value,
            )
        })?,
        None => default_session_name(user),
    };
    let seconds = match profile.value("duration_seconds") {
        Some(value) => Some(
            value
                .text()
                .parse()
                .ok()
                .filter(|seconds| (900..=43_200).contains(seconds))
                .ok_or_else(|| invalid("duration_seconds is 900 to 43200", value))?,
        ),
        None => None,
    };
    let policy_arns = policy_arns(profile)?;
    let policy = match profile.value("claviger_session_policy") {
        Some(value) if serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(value.text()).is_err() => {
            return Err(invalid("claviger_session_policy is a JSON object", value));
        }
        Some(value) if value.text().chars().any(|c| c > '\u{ff}') => {
            return Err(invalid("claviger_session_policy has only characters of Latin-1", value));
        }
        Some(value) => Some(value.text().to_owned()),
        None => None,
    };
    let characters = |text: &str| text.chars().count();
    let together =
        policy.as_deref().map_or(0, characters) + policy_arns.iter().map(|arn| characters(arn.as_str())).sum::<usize>();
    if together > POLICY_LIMIT {
        let value = profile.value("claviger_session_policy").or_else(|| profile.value("claviger_session_policy_arns"));
        let origin = value.map_or_else(|| profile.origin().clone(), |value| value.origin.clone());
        let rule = "a session policy and its policy ARNs have at most 2048 characters together";
        return Err(PlanError::Invalid(profile.name().to_owned(), rule, origin));
    }
    let tags = tags(profile)?;
    let transitive_tag_keys = list(profile.value("transitive_session_tags"));
    if let Some(value) = profile.value("transitive_session_tags")
        && transitive_tag_keys.iter().any(|key| tags.iter().all(|(tag, _)| tag != key))
    {
        return Err(invalid("transitive_session_tags names only keys of session_tags", value));
    }
    let request = RoleRequest {
        role: role.clone(),
        session_name,
        external_id: text("external_id", 2, 1224, ":/", "external_id is 2 to 1224 of letters, digits and _=,.@:/+-")?,
        policy,
        policy_arns,
        tags,
        transitive_tag_keys,
        source_identity: text(
            "source_identity",
            2,
            64,
            "",
            "source_identity is 2 to 64 of letters, digits and _=,.@+-",
        )?,
    };
    let origin = profile.value("role_arn").map_or_else(|| profile.origin().clone(), |value| value.origin.clone());
    Ok(RoleSettings { request, seconds, origin })
}

/// The region of a profile, which lies in the partition where that is known.
pub(super) fn region(profile: &Profile, value: &Value, partition: Option<Partition>) -> Result<Region, PlanError> {
    let region: Region = value.text().parse().map_err(|invalid: claviger::model::aws::Invalid| {
        PlanError::Invalid(profile.name().to_owned(), invalid.0, value.origin.clone())
    })?;
    if partition.is_some_and(|partition| partition.id != Partition::of_region(&region).id) {
        let rule = "the region lies in another partition than the role and its access key";
        return Err(PlanError::Conflict(profile.name().to_owned(), rule, value.origin.clone()));
    }
    Ok(region)
}

/// What a profile says of a service's endpoint.
pub(super) enum Named<'a> {
    /// AWS's own, whatever other profiles say.
    Aws,
    /// Nothing.
    Nothing,
    /// This one.
    Url(&'a Value),
}

/// The endpoint a profile names for a service: its services section first, then `endpoint_url` (SDK reference guide,
/// service-specific endpoints).
pub(super) fn endpoint<'a>(profiles: &'a ProfileSet, profile: &'a Profile, service: &str) -> Named<'a> {
    if profile.value("ignore_configured_endpoint_urls").is_some_and(|value| value.text().eq_ignore_ascii_case("true")) {
        return Named::Aws;
    }
    let named = profile
        .value("services")
        .and_then(|name| profiles.service(name.text()))
        .and_then(|services| services.sub_values(service).find(|(key, _)| key.eq_ignore_ascii_case("endpoint_url")))
        .map(|(_, value)| value);
    named.or_else(|| profile.value("endpoint_url")).map_or(Named::Nothing, Named::Url)
}

fn fits(text: &str, least: usize, most: usize, extra: &str) -> bool {
    (least..=most).contains(&text.chars().count())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_=,.@+-".contains(c) || extra.contains(c))
}

/// `{user}` and `{profile}` filled in; None where another brace is left.
fn expand(template: &str, user: &str, profile: &str) -> Option<String> {
    let name = template.replace("{user}", user).replace("{profile}", profile);
    (!name.contains(['{', '}'])).then_some(name)
}

/// `claviger-USER`: stable, so that equal requests are one session, and readable in CloudTrail.
fn default_session_name(user: &str) -> String {
    if user.is_empty() { "claviger".to_owned() } else { format!("claviger-{user}").chars().take(64).collect() }
}

fn list(value: Option<&Value>) -> Vec<String> {
    value.map_or("", Value::text).split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

fn policy_arns(profile: &Profile) -> Result<Vec<Arn>, PlanError> {
    let Some(value) = profile.value("claviger_session_policy_arns") else { return Ok(Vec::new()) };
    let arns: Option<Vec<Arn>> = list(Some(value)).iter().map(|arn| arn.parse().ok()).collect();
    match arns {
        Some(arns) if arns.len() <= POLICY_ARNS_LIMIT => Ok(arns),
        _ => Err(PlanError::Invalid(
            profile.name().to_owned(),
            "claviger_session_policy_arns is at most 10 ARNs with commas between",
            value.origin.clone(),
        )),
    }
}

fn tags(profile: &Profile) -> Result<Vec<(String, String)>, PlanError> {
    let Some(value) = profile.value("session_tags") else { return Ok(Vec::new()) };
    let pair = |item: &String| {
        let (key, text) = item.split_once('=')?;
        let (key, text) = (key.trim(), text.trim());
        let allowed = |c: char| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c);
        ((1..=128).contains(&key.chars().count()) && text.chars().count() <= 256 && item.chars().all(allowed))
            .then(|| (key.to_owned(), text.to_owned()))
    };
    let tags: Option<Vec<_>> = list(Some(value)).iter().map(pair).collect();
    // STS tells keys apart without regard to case.
    let distinct = |tags: &[(String, String)]| {
        tags.iter().map(|(key, _)| key.to_lowercase()).collect::<HashSet<_>>().len() == tags.len()
    };
    match tags {
        Some(tags) if tags.len() <= TAGS_LIMIT && distinct(&tags) => Ok(tags),
        _ => Err(PlanError::Invalid(
            profile.name().to_owned(),
            "session_tags is at most 50 of KEY=VALUE with commas between, each key once, of letters, digits and _.:/=+-@",
            value.origin.clone(),
        )),
    }
}
