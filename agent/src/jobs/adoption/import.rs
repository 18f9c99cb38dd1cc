//! Keys in plain text on their way into the vault.

use super::super::{Error, access_key};
use super::{Work, keys};
use crate::aws::profile::{Origin, Profile, ProfileSet};
use crate::session::Office;
use crate::vault::{AccessKey, Custody, Extra, Items};
use crate::world::WallTime;
use claviger::model::{AccessKeyId, Arn, Name};
use claviger::secret::{SecretAccessKey, SecretText};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most characters of a name (`claviger::model::Name`).
const NAME_CHARACTERS: usize = 64;

/// A key found in a profile.
pub struct KeyFound {
    /// The profile.
    pub profile: String,
    /// Its name in the vault.
    pub name: Name,
    /// Its id at AWS.
    pub access_key_id: AccessKeyId,
    /// It is in the vault already.
    pub stored: bool,
    secret: Arc<SecretAccessKey>,
}

/// The key of a profile. Refuses the credentials of a session, half a key, and different keys for one profile.
pub(super) fn find(work: &Work<'_>, profile: &str, wanted: Option<&Name>) -> Result<KeyFound, Error> {
    let items = work.given.items.ok_or(Error::Vault(crate::vault::Error::Locked))?;
    let found = work.before.profile(profile).ok_or_else(|| work.unknown(profile))?;
    let (id, secret) = pair(found)?;
    if let Some(origin) = another(work, found) {
        return Err(Error::KeyUnusable(profile.to_owned(), "two different access keys stand in it", origin));
    }
    let known =
        |(name, key): (&Name, &AccessKey)| (key.access_key_id == id).then(|| (name.clone(), key.secret.clone()));
    let stored = items.access_keys.iter().find_map(known);
    let earlier =
        || work.keys.iter().find(|key| key.access_key_id == id).map(|key| (key.name.clone(), key.secret.clone()));
    let is_stored = stored.is_some();
    let (name, secret) = match stored.or_else(earlier) {
        Some((name, other)) if other.expose() == secret.expose() => (name, other),
        Some(_) => {
            let origin = origin(found);
            return Err(Error::KeyUnusable(profile.to_owned(), "its id is stored with another secret", origin));
        }
        None => (name_for(work, items, profile, wanted)?, Arc::new(secret)),
    };
    Ok(KeyFound { profile: profile.to_owned(), name, access_key_id: id, stored: is_stored, secret })
}

fn pair(profile: &Profile) -> Result<(AccessKeyId, SecretAccessKey), Error> {
    let unusable = |rule, origin: &Origin| Error::KeyUnusable(profile.name().to_owned(), rule, origin.clone());
    let token = profile.keys().find(|(key, value)| keys::is_token(key) && !value.expose().is_empty());
    let (id, secret) = match (profile.value("aws_access_key_id"), profile.value("aws_secret_access_key")) {
        (Some(id), Some(secret)) => (id, secret),
        (Some(half), None) | (None, Some(half)) => {
            return Err(unusable("only one half of an access key stands in it", &half.origin));
        }
        (None, None) => return Err(Error::NoPlainKey(profile.name().to_owned())),
    };
    if token.is_some() || id.text().starts_with("ASIA") {
        return Err(Error::KeyTemporary(profile.name().to_owned(), id.origin.clone()));
    }
    let rule = "aws_access_key_id is not well formed";
    let access_key_id = id.text().parse().map_err(|_| unusable(rule, &id.origin))?;
    if secret.expose().is_empty() {
        return Err(unusable("aws_secret_access_key is empty", &secret.origin));
    }
    Ok((access_key_id, SecretAccessKey::from_text(secret.expose().to_owned())))
}

fn origin(profile: &Profile) -> Origin {
    profile.value("aws_access_key_id").map_or_else(|| profile.origin().clone(), |value| value.origin.clone())
}

/// Where a line stands that the files' order hides, and that says something else: it would be lost.
fn another(work: &Work<'_>, profile: &Profile) -> Option<Origin> {
    let drafts = [&work.drafts.config, &work.drafts.credentials, &work.drafts.own];
    drafts.into_iter().zip(work.given.sheets.paths()).find_map(|(draft, file)| {
        let sections = draft.sections_of(profile.name());
        let entries = sections.into_iter().filter_map(|section| draft.section(section)).flat_map(|it| &it.entries);
        let mut plain = entries.filter(|entry| keys::is_plain(&entry.key));
        let other = plain.find(|entry| {
            profile.value(&entry.key).is_none_or(|value| value.expose() != entry.text().expose().as_str())
        });
        other.map(|entry| Origin { file, line: entry.line })
    })
}

/// The profile's own name where it can be, so that nothing else must be said; else one made from it.
fn name_for(work: &Work<'_>, items: &Items, profile: &str, wanted: Option<&Name>) -> Result<Name, Error> {
    let taken = |name: &Name| items.access_keys.contains_key(name) || work.keys.iter().any(|key| key.name == *name);
    let named = wanted.cloned().or_else(|| profile.parse().ok());
    if let Some(name) = named {
        return if taken(&name) { Err(Error::AccessKeyExists(name)) } else { Ok(name) };
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    let base: String = profile.chars().map(|c| if allowed(c) { c } else { '-' }).collect();
    let base: String = base.trim_start_matches('-').chars().take(NAME_CHARACTERS.saturating_sub(6)).collect();
    let base = if base.is_empty() { "key".to_owned() } else { base };
    // A profile of that name would take the key for its own.
    let free = |text: &String| work.before.profile(text).is_none();
    let names = std::iter::once(base.clone()).chain((2..10_000).map(|number| format!("{base}-{number}")));
    let mut names = names.filter(free).filter_map(|text| text.parse::<Name>().ok()).filter(|name| !taken(name));
    names.next().ok_or_else(|| Error::NoPlainKey(profile.to_owned()))
}

/// Asks AWS whose the keys are that are not stored yet.
pub async fn verify(office: &Office, profiles: &ProfileSet, keys: &[KeyFound]) -> Result<BTreeMap<Name, Arn>, Error> {
    let mut users = BTreeMap::new();
    for key in keys.iter().filter(|key| !key.stored) {
        if users.contains_key(&key.name) {
            continue;
        }
        // By the profile that the key stands in, which may name a region.
        let region_of: Name = key.profile.parse().unwrap_or_else(|_| key.name.clone());
        let (_, endpoint) = office.base_endpoint(profiles, &region_of)?;
        let user = access_key::owner(office, &endpoint, &key.access_key_id, &key.secret).await?;
        users.insert(key.name.clone(), user);
    }
    Ok(users)
}

/// Stores the keys that are not stored yet, all in one save.
pub async fn store(
    custody: Arc<Custody>,
    keys: &[KeyFound],
    users: BTreeMap<Name, Arn>,
    now: WallTime,
) -> Result<(), Error> {
    let fresh = keys.iter().filter(|key| !key.stored);
    let fresh: BTreeMap<Name, (AccessKeyId, Arc<SecretAccessKey>)> =
        fresh.map(|key| (key.name.clone(), (key.access_key_id.clone(), key.secret.clone()))).collect();
    if fresh.is_empty() {
        return Ok(());
    }
    access_key::edit(custody, None, now, move |items| {
        for (name, (access_key_id, secret)) in fresh {
            if items.access_keys.contains_key(&name) {
                return Err(Error::AccessKeyExists(name));
            }
            let user = users.get(&name).cloned();
            items
                .access_keys
                .insert(name, AccessKey { access_key_id, secret, user, added: now, extra: Extra::default() });
        }
        Ok(())
    })
    .await
}
