//! Faults of what takes effect only as accepted.

use super::{Subject, command, cut, place, session, shown};
use crate::aws::profile::{Origin, Profile, ProfileSet};
use crate::session::{Error, ProfileChange};
use claviger::model::Label;
use claviger::wire::{Code, Fault};
use std::collections::HashSet;

/// Most characters of a role or an account in a message: two of them, a name and a place stand on its line.
const PART_LIMIT: usize = 56;
/// Most characters of the profile's name beside them.
const PROFILE_LIMIT: usize = 40;
/// Most characters of the rule that config.toml breaks.
const MISTAKE_LIMIT: usize = 250;

/// The fault of a session; where its profile has changed, with the line that says so.
pub(in crate::server) fn session_of(error: &Error, subject: &Subject, profiles: &ProfileSet) -> Fault {
    match error {
        Error::ProfileChanged(change) => changed(change, origin(change, profiles)),
        other => session(other, subject),
    }
}

/// What it was and what it is.
pub(super) fn changed(change: &ProfileChange, origin: Option<&Origin>) -> Fault {
    let (was, now) = change.difference();
    let part = |text: &str| cut(&Label(text).to_string(), PART_LIMIT);
    let at = origin.map(|origin| format!(" ({})", place(origin))).unwrap_or_default();
    let profile = cut(&shown(&change.profile), PROFILE_LIMIT);
    let message = format!("profile {profile} was first used with {} and asks for {}{at}", part(&was), part(&now));
    Fault::new(Code::ProfileChanged, message).hint(command("config accept", &change.profile, "config accept --all"))
}

/// Where the new role stands; else where the profile does.
fn origin<'a>(change: &ProfileChange, profiles: &'a ProfileSet) -> Option<&'a Origin> {
    let (_, now) = change.difference();
    let role = now.strip_prefix("role ").unwrap_or_default();
    let asked = profiles.profile(&change.profile)?;
    let (mut next, mut seen) = (Some(asked), HashSet::new());
    while let Some(profile) = next.filter(|profile| seen.insert(profile.name())) {
        if let Some(value) = profile.value("role_arn").filter(|value| value.text() == role) {
            return Some(&value.origin);
        }
        next = profile.value("source_profile").and_then(|source| profiles.profile(source.text()));
    }
    let telling = ["claviger_access_key", "source_profile", "role_arn"];
    let value = telling.iter().find_map(|key| Profile::value(asked, key));
    Some(value.map_or_else(|| asked.origin(), |value| &value.origin))
}

/// config.toml, or the bundle that it names.
pub(in crate::server) fn config_invalid(mistake: String) -> Fault {
    Fault::new(Code::ConfigInvalid, format!("config.toml: {}", cut(&Label(&mistake).to_string(), MISTAKE_LIMIT)))
        .hint("claviger config check")
}

/// Somebody wrote to the files between the look and the proof.
pub(in crate::server) fn config_changed() -> Fault {
    Fault::new(Code::ConfigChanged, "the settings have changed since they were shown: nothing was accepted")
}
