//! Which access key a profile starts from, and the roles on the way. Pure.

use super::plan::PlanError;
use crate::aws::profile::{Origin, Profile, ProfileSet, Value};
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
    /// The profile where the access key was found, if any is named like it.
    base: Option<&'a Profile>,
}

/// A profile with a role.
pub(super) struct Hop<'a> {
    pub(super) profile: &'a Profile,
    pub(super) role: Arn,
}

impl<'a> Chain<'a> {
    /// The profiles passed, from the one asked for downward.
    pub(super) fn profiles(&self) -> impl Iterator<Item = &'a Profile> + '_ {
        let base = self.base.filter(|base| self.hops.last().is_none_or(|hop| hop.profile.name() != base.name()));
        self.hops.iter().map(|hop| hop.profile).chain(base)
    }
}

/// Follows `source_profile` to the access key. `claviger_access_key` comes first, then `source_profile` of a role,
/// then an access key named like the profile, as design and documentation promise; every other source is named in
/// the refusal.
pub(super) fn resolve<'a>(
    profiles: &'a ProfileSet,
    knowledge: &Knowledge,
    name: &'a str,
) -> Result<Chain<'a>, PlanError> {
    let mut hops = Vec::new();
    let mut passed = Vec::new();
    let mut seen = HashSet::new();
    let mut current = name;
    let mut from: Option<&'a Value> = None;
    loop {
        let own_key = own_key(knowledge, current);
        let Some(profile) = profiles.profile(current) else {
            // An access key serves under its own name, also where no AWS file names it.
            return match (own_key, from) {
                (Some(access_key), _) => Ok(Chain { profile: name, access_key, hops, base: None }),
                (None, Some(value)) => {
                    Err(PlanError::SourceNotFound(current.to_owned(), nearest(profiles, current), value.origin.clone()))
                }
                (None, None) => Err(PlanError::ProfileNotFound(current.to_owned(), nearest(profiles, current))),
            };
        };
        if !seen.insert(current) {
            passed.push(current.to_owned());
            return Err(PlanError::Loop(
                passed,
                from.map_or_else(|| profile.origin().clone(), |value| value.origin.clone()),
            ));
        }
        passed.push(current.to_owned());
        let role = role_of(profile)?;
        let has_role = role.is_some();
        if let Some(role) = role {
            hops.push(Hop { profile, role });
        }
        if let Some(value) = profile.value("claviger_access_key") {
            let access_key = named_key(knowledge, profile, value)?;
            return Ok(Chain { profile: name, access_key, hops, base: Some(profile) });
        }
        match profile.value("source_profile") {
            Some(source) if source.text() != current => {
                if let Some(other) = profile.value("credential_source") {
                    return Err(conflict(
                        profile,
                        "source_profile and credential_source exclude each other",
                        &other.origin,
                    ));
                }
                if let (false, Some(access_key)) = (has_role, own_key) {
                    return Ok(Chain { profile: name, access_key, hops, base: Some(profile) });
                }
                from = Some(source);
                current = source.text();
            }
            _ => {
                return match own_key {
                    Some(access_key) => Ok(Chain { profile: name, access_key, hops, base: Some(profile) }),
                    None => Err(no_key(profile, has_role)),
                };
            }
        }
    }
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
    match value.text().parse::<Arn>() {
        Ok(arn) if arn.resource().starts_with("role/") => Ok(Some(arn)),
        _ => Err(PlanError::Invalid(
            profile.name().to_owned(),
            "role_arn is arn:partition:iam::account:role/name",
            value.origin.clone(),
        )),
    }
}

/// Sources that other tools know and this one does not serve, in the order in which SDKs would take them.
const UNSERVED: &[(&str, &str)] = &[
    ("web_identity_token_file", "a web identity token"),
    ("sso_session", "IAM Identity Center"),
    ("sso_start_url", "IAM Identity Center"),
    ("login_session", "aws login"),
    ("credential_source", "credential_source"),
];

fn no_key(profile: &Profile, has_role: bool) -> PlanError {
    let name = profile.name().to_owned();
    if let Some(key) = profile.value("aws_access_key_id") {
        return PlanError::PlainText(name, key.origin.clone());
    }
    for (key, source) in UNSERVED {
        if let Some(value) = profile.value(key) {
            return PlanError::Unsupported(name, source, value.origin.clone());
        }
    }
    match profile.value("credential_process") {
        Some(value) if crate::aws::profile::is_own_stub(value.text()).is_none() => {
            PlanError::Unsupported(name, "credential_process", value.origin.clone())
        }
        _ if has_role => conflict(profile, "role_arn needs source_profile or claviger_access_key", profile.origin()),
        _ => PlanError::NoSource(name),
    }
}

fn conflict(profile: &Profile, rule: &'static str, origin: &Origin) -> PlanError {
    PlanError::Conflict(profile.name().to_owned(), rule, origin.clone())
}

fn nearest(profiles: &ProfileSet, name: &str) -> Vec<String> {
    profiles.nearest(name, 3).into_iter().map(str::to_owned).collect()
}
