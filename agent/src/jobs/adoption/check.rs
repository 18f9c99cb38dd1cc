//! Whether every profile means afterwards what it meant before.

use super::{Given, Job, Kind, Prepared, keys};
use crate::aws::profile::{Profile, ProfileSet, limits};
use crate::jobs::Error;
use crate::vault::Knowledge;
use std::collections::HashSet;

/// The profiles that would mean something else, of those that change; an error where another one would.
pub(super) fn check(
    given: &Given<'_>,
    job: &Job,
    before: &ProfileSet,
    prepared: &Prepared,
) -> Result<Vec<(String, Error)>, Error> {
    let sheets = given.sheets.with(prepared);
    for (text, path) in sheets.texts().into_iter().zip(sheets.paths()) {
        if text.is_some_and(|text| text.len() > limits::FILE_BYTES) {
            return Err(Error::FileTooLarge(path.to_path_buf()));
        }
    }
    let changed: HashSet<&str> = prepared.profiles.iter().map(String::as_str).collect();
    let blame = |name: &str| Error::WouldChange(name.to_owned());
    let parsed = sheets.parse().ok().filter(|_| prepared.sound);
    let Some(after) = parsed else {
        return Err(blame(prepared.profiles.first().map_or("", String::as_str)));
    };
    let mut knowledge = Knowledge::clone(given.knowledge);
    for key in &prepared.keys {
        knowledge.access_keys.entry(key.name.clone()).or_default();
    }
    let mut wrong = Vec::new();
    let names = before.profiles().chain(after.profiles()).map(Profile::name).collect::<HashSet<&str>>();
    for name in names {
        let is_changed = changed.contains(name);
        let same = same_settings(before.profile(name), after.profile(name), is_changed, &job.kind);
        let then = (given.planner)(before, given.knowledge, name);
        if then.is_err() && same && !is_changed {
            continue;
        }
        let now = (given.planner)(&after, &knowledge, name);
        let served = !is_changed || now.is_ok() || matches!(job.kind, Kind::Release);
        let same_plan = then.is_err() || then == now;
        match (same && same_plan && served, is_changed) {
            (true, _) => {}
            (false, false) => return Err(blame(name)),
            (false, true) => match now {
                Err(error) if then.is_err() => {
                    wrong.push((name.to_owned(), Error::Plan(name.to_owned(), Box::new(error))))
                }
                _ => wrong.push((name.to_owned(), blame(name))),
            },
        }
    }
    let sections = |set: &ProfileSet| (set.services().count(), set.sso_sessions().count());
    let kept = |one: Option<&Profile>, two: &Profile| one.is_some_and(|one| one.same_settings(two, |_| false));
    let services = before.services().all(|one| kept(after.service(one.name()), one));
    let sso_sessions = before.sso_sessions().all(|one| kept(after.sso_session(one.name()), one));
    if !(services && sso_sessions && sections(before) == sections(&after)) {
        return Err(blame(prepared.profiles.first().map_or("", String::as_str)));
    }
    Ok(wrong)
}

fn same_settings(before: Option<&Profile>, after: Option<&Profile>, is_changed: bool, kind: &Kind) -> bool {
    let apart_from = |key: &str| {
        let import = matches!(kind, Kind::Import { .. }) && (keys::is_plain(key) || key == "claviger_access_key");
        is_changed && (key == "credential_process" || import)
    };
    match (before, after) {
        (Some(before), Some(after)) => before.same_settings(after, apart_from),
        // A section made for claviger's line comes and goes with it.
        (Some(only), None) | (None, Some(only)) => is_changed && only.keys().all(|(key, _)| apart_from(key)),
        (None, None) => true,
    }
}
