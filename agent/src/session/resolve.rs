//! Which access key a profile starts from, and the roles on the way. Pure.

use super::plan::PlanError;
use crate::aws::profile::{Origin, Profile, ProfileSet, Value, is_own_stub};
use crate::vault::Knowledge;
use claviger::model::{Arn, Name};
use std::collections::HashSet;

/// A profile followed down to its access key.
pub(super) struct Chain<'a> {
    /// The profile asked for.
    pub(super) profile: &'a str,
    /// The access key it ends at.
    pub(super) access_key: Name,
    /// The roles, from the profile asked for down to the first one assumed.
    pub(super) hops: Vec<Hop<'a>>,
    /// The profiles passed, from the one asked for downward, those without a role too.
    pub(super) profiles: Vec<&'a Profile>,
}

/// A profile with a role.
pub(super) struct Hop<'a> {
    pub(super) profile: &'a Profile,
    pub(super) role: Arn,
}

/// Follows a profile to its access key. `claviger_access_key` comes first, then `source_profile` of a role, then an
/// access key named like the profile, then `source_profile` without a role and our own line for another profile;
/// every other source is named in the refusal, and none is passed over in favour of a weaker one.
pub(super) fn resolve<'a>(
    profiles: &'a ProfileSet,
    knowledge: &Knowledge,
    name: &'a str,
) -> Result<Chain<'a>, PlanError> {
    let mut hops = Vec::new();
    let mut passed: Vec<&'a Profile> = Vec::new();
    let mut seen = HashSet::new();
    let mut current = name.to_owned();
    let mut from: Option<&'a Value> = None;
    loop {
        let own_key = own_key(knowledge, &current);
        let Some(profile) = profiles.profile(&current) else {
            // An access key serves under its own name, also where no AWS file names it.
            return match (own_key, from) {
                (Some(access_key), _) => Ok(Chain { profile: name, access_key, hops, profiles: passed }),
                (None, Some(value)) => Err(PlanError::SourceNotFound(current, Vec::new(), value.origin.clone())),
                (None, None) => Err(PlanError::ProfileNotFound(current, Vec::new())),
            };
        };
        if !seen.insert(profile.name()) {
            return Err(circle(&passed, profile, from));
        }
        passed.push(profile);
        let role = role_of(profile)?;
        let has_role = role.is_some();
        if let Some(role) = role {
            hops.push(Hop { profile, role });
        }
        if let Some(value) = profile.value("claviger_access_key") {
            let access_key = named_key(knowledge, profile, value)?;
            return Ok(Chain { profile: name, access_key, hops, profiles: passed });
        }
        match (source(profile, has_role, own_key.is_some())?, own_key) {
            (Some((next, value)), _) => {
                from = Some(value);
                current = next;
            }
            (None, Some(access_key)) => return Ok(Chain { profile: name, access_key, hops, profiles: passed }),
            (None, None) => return Err(no_key(profile, has_role)),
        }
    }
}

/// The profile to go on with, and the value that names it; None where the profile's own access key is the start.
fn source(profile: &Profile, has_role: bool, own_key: bool) -> Result<Option<(String, &Value)>, PlanError> {
    let named = profile.value("source_profile");
    if let (Some(_), Some(other)) = (named, profile.value("credential_source")) {
        return Err(conflict(profile, "source_profile and credential_source exclude each other", &other.origin));
    }
    let other = named.filter(|source| source.text() != profile.name());
    if has_role {
        // SDKs take the web identity of a role before its source_profile.
        if let (Some(token), false) = (profile.value(WEB_IDENTITY.0), own_key) {
            return Err(unsupported(profile, WEB_IDENTITY.1, token));
        }
        return Ok(other.map(|source| (source.text().to_owned(), source)));
    }
    if own_key {
        return Ok(None);
    }
    if let Some(error) = plain_text(profile).or_else(|| unserved(profile)) {
        return Err(error);
    }
    if let Some(source) = other {
        return Ok(Some((source.text().to_owned(), source)));
    }
    let stub = profile.value("credential_process").and_then(|value| Some((is_own_stub(value.text())?, value)));
    Ok(stub.filter(|(next, _)| next != profile.name()))
}

/// The loop alone, without the way that leads into it.
fn circle(passed: &[&Profile], profile: &Profile, from: Option<&Value>) -> PlanError {
    let way = passed.iter().copied().skip_while(|other| other.name() != profile.name());
    let way = way.chain([profile]).map(|profile| profile.name().to_owned()).collect();
    PlanError::Loop(way, from.map_or_else(|| profile.origin().clone(), |value| value.origin.clone()))
}

fn own_key(knowledge: &Knowledge, name: &str) -> Option<Name> {
    name.parse::<Name>().ok().filter(|name| knowledge.access_keys.contains_key(name))
}

fn named_key(knowledge: &Knowledge, profile: &Profile, value: &Value) -> Result<Name, PlanError> {
    let name: Name = value.text().parse().map_err(|invalid: claviger::model::aws::Invalid| {
        PlanError::Invalid(profile.name().to_owned(), invalid.0, value.origin.clone())
    })?;
    if knowledge.access_keys.contains_key(&name) {
        Ok(name)
    } else {
        Err(PlanError::AccessKeyNotFound(name, value.origin.clone()))
    }
}

fn role_of(profile: &Profile) -> Result<Option<Arn>, PlanError> {
    let Some(value) = profile.value("role_arn") else { return Ok(None) };
    let is_role = |arn: &Arn| {
        arn.resource().starts_with("role/")
            && arn.account().is_some()
            && arn.as_str().starts_with(&format!("arn:{}:iam::", arn.partition()))
    };
    match value.text().parse::<Arn>() {
        Ok(arn) if is_role(&arn) => Ok(Some(arn)),
        _ => Err(PlanError::Invalid(
            profile.name().to_owned(),
            "role_arn is arn:partition:iam::account:role/name",
            value.origin.clone(),
        )),
    }
}

const WEB_IDENTITY: (&str, &str) = ("web_identity_token_file", "a web identity token");

/// Sources that other tools know and this one does not serve, in the order in which SDKs would take them.
const UNSERVED: &[(&str, &str)] = &[
    WEB_IDENTITY,
    ("sso_session", "IAM Identity Center"),
    ("sso_start_url", "IAM Identity Center"),
    ("login_session", "aws login"),
    ("credential_source", "credential_source"),
];

fn unserved(profile: &Profile) -> Option<PlanError> {
    let known = UNSERVED.iter().find_map(|(key, source)| Some(unsupported(profile, source, profile.value(key)?)));
    let foreign = || profile.value("credential_process").filter(|value| is_own_stub(value.text()).is_none());
    known.or_else(|| Some(unsupported(profile, "credential_process", foreign()?)))
}

fn unsupported(profile: &Profile, source: &'static str, value: &Value) -> PlanError {
    PlanError::Unsupported(profile.name().to_owned(), source, value.origin.clone())
}

fn plain_text(profile: &Profile) -> Option<PlanError> {
    let key = profile.value("aws_access_key_id").or_else(|| profile.value("aws_secret_access_key"))?;
    Some(PlanError::PlainText(profile.name().to_owned(), key.origin.clone()))
}

fn no_key(profile: &Profile, has_role: bool) -> PlanError {
    if let Some(error) = plain_text(profile).or_else(|| unserved(profile)) {
        return error;
    }
    match profile.value("source_profile") {
        // SDKs let a profile name itself where its keys stand in it.
        Some(itself) => circle(&[profile], profile, Some(itself)),
        None if has_role => conflict(profile, "role_arn needs source_profile or claviger_access_key", profile.origin()),
        None => PlanError::NoSource(profile.name().to_owned()),
    }
}

fn conflict(profile: &Profile, rule: &'static str, origin: &Origin) -> PlanError {
    PlanError::Conflict(profile.name().to_owned(), rule, origin.clone())
}
