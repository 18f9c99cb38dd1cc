//! Which access key or source a profile starts from, and the roles on the way. Pure.

use super::base::Base;
use super::plan::{Given, PlanError};
use crate::aws::profile::{Origin, Profile, Value, is_own_stub};
use crate::source::{CommandRefused, Source, SourceRules};
use crate::vault::Knowledge;
use claviger::model::{Arn, Name};
use std::collections::HashSet;

/// A profile followed down to its base.
pub(super) struct Chain<'a> {
    /// The profile asked for.
    pub(super) profile: &'a str,
    /// What it starts from.
    pub(super) base: Base,
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

/// Where a profile leads.
enum Next<'a> {
    /// Here it ends.
    Base(Base),
    /// To another profile, by this value.
    Profile(String, &'a Value),
}

/// Follows a profile to its base. `claviger_access_key` comes first, then `source_profile` or `credential_source` of a
/// role, then an access key named like the profile, then without a role `credential_process`, `source_profile` and our
/// own line for another profile; every other source is named in the refusal, and none is passed over in favour of a
/// weaker one.
pub(super) fn resolve<'a>(given: &Given<'a>, name: &'a str) -> Result<Chain<'a>, PlanError> {
    let (profiles, knowledge) = (given.profiles, given.knowledge);
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
                (Some(key), _) => Ok(Chain { profile: name, base: Base::AccessKey(key), hops, profiles: passed }),
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
        let next = match profile.value("claviger_access_key") {
            Some(value) => Next::Base(Base::AccessKey(named_key(knowledge, profile, value)?)),
            None if has_role => next_of_role(given.sources, profile, own_key)?,
            None => next_without_role(given.sources, profile, own_key)?,
        };
        match next {
            Next::Base(base) => return Ok(Chain { profile: name, base, hops, profiles: passed }),
            Next::Profile(next, value) => {
                from = Some(value);
                current = next;
            }
        }
    }
}

fn next_of_role<'a>(rules: &SourceRules, profile: &'a Profile, own_key: Option<Name>) -> Result<Next<'a>, PlanError> {
    let (named, source) = (source_profile(profile)?, profile.value("credential_source"));
    // SDKs take the web identity of a role before its source_profile.
    if let (Some(token), None) = (profile.value(WEB_IDENTITY.0), &own_key) {
        return Err(unsupported(profile, WEB_IDENTITY.1, token));
    }
    match (named, source, own_key) {
        (Some(named), _, _) => Ok(Next::Profile(named.text().to_owned(), named)),
        (None, Some(source), _) => Ok(Next::Base(Base::Source(named_source(rules, profile, source)?))),
        (None, None, Some(access_key)) => Ok(Next::Base(Base::AccessKey(access_key))),
        (None, None, None) => Err(no_key(profile, true)),
    }
}

fn next_without_role<'a>(
    rules: &SourceRules,
    profile: &'a Profile,
    own_key: Option<Name>,
) -> Result<Next<'a>, PlanError> {
    let named = source_profile(profile)?;
    if let Some(access_key) = own_key {
        return Ok(Next::Base(Base::AccessKey(access_key)));
    }
    if let Some(error) = plain_text(profile).or_else(|| unserved(profile)) {
        return Err(error);
    }
    if let Some(source) = profile.value("credential_source") {
        return Err(conflict(profile, "credential_source needs role_arn", &source.origin));
    }
    let process = profile.value("credential_process");
    let stub = process.and_then(|value| Some((is_own_stub(value.text())?, value)));
    match (process, stub, named) {
        (Some(process), None, _) => Ok(Next::Base(Base::Source(command(rules, profile, process)?))),
        (_, _, Some(named)) => Ok(Next::Profile(named.text().to_owned(), named)),
        (_, Some((next, value)), None) if next != profile.name() => Ok(Next::Profile(next, value)),
        _ => Err(no_key(profile, false)),
    }
}

/// `source_profile`, unless it names the profile itself.
fn source_profile(profile: &Profile) -> Result<Option<&Value>, PlanError> {
    let named = profile.value("source_profile");
    if let (Some(_), Some(other)) = (named, profile.value("credential_source")) {
        return Err(conflict(profile, "source_profile and credential_source exclude each other", &other.origin));
    }
    Ok(named.filter(|named| named.text() != profile.name()))
}

/// The source that a role names. The names are AWS's, letter for letter.
fn named_source(rules: &SourceRules, profile: &Profile, value: &Value) -> Result<Source, PlanError> {
    let (name, origin) = (profile.name().to_owned(), value.origin.clone());
    match value.text() {
        "Ec2InstanceMetadata" => Ok(rules.instance_metadata()),
        "EcsContainer" => rules.container().ok_or(PlanError::SourceNotConfigured(name, origin)),
        "Environment" => Err(PlanError::EnvironmentSource(name, origin)),
        _ => Err(PlanError::Invalid(name, "credential_source is Ec2InstanceMetadata or EcsContainer", origin)),
    }
}

fn command(rules: &SourceRules, profile: &Profile, value: &Value) -> Result<Source, PlanError> {
    let (name, origin) = (profile.name().to_owned(), value.origin.clone());
    rules.command(value.text(), &value.origin).map_err(|refused| match refused {
        CommandRefused::Malformed => PlanError::Invalid(
            name,
            "credential_process is a program and its arguments, each quote with its end",
            origin,
        ),
        CommandRefused::NotAllowed => PlanError::CommandNotAllowed(name, origin),
        CommandRefused::OwnClient => PlanError::Invalid(
            name,
            "credential_process asks claviger again: name that profile in source_profile",
            origin,
        ),
    })
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
];

fn unserved(profile: &Profile) -> Option<PlanError> {
    UNSERVED.iter().find_map(|(key, source)| Some(unsupported(profile, source, profile.value(key)?)))
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
        None if has_role => conflict(
            profile,
            "role_arn needs source_profile, credential_source or claviger_access_key",
            profile.origin(),
        ),
        None => PlanError::NoSource(profile.name().to_owned()),
    }
}

fn conflict(profile: &Profile, rule: &'static str, origin: &Origin) -> PlanError {
    PlanError::Conflict(profile.name().to_owned(), rule, origin.clone())
}
