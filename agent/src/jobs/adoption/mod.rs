//! Profiles taken out of the AWS files into claviger's own, and put back; keys in plain text taken into the vault.
//!
//! Every SDK prefers `role_arn`, `sso_*` and keys over `credential_process`, so a profile that claviger serves may
//! hold nothing but claviger's own line, and settings that no SDK takes credentials from. What is taken out stands
//! in claviger's own file from then on, with a record of where each line stood (docs/decisions/0010).
//!
//! [`prepare`] is pure: it makes new texts of the three files, sees that every profile means what it meant before, and
//! tells the change as a diff. [`Sheets::write`] writes them, claviger's own file first where profiles are taken out
//! and last where they are put back, so that each profile works at every moment in between.

mod adopt;
mod check;
mod diff;
mod draft;
mod import;
mod keys;
mod record;
mod release;
mod sheets;

#[cfg(test)]
mod tests;

pub use import::{KeyFound, store, verify};
pub use sheets::Sheets;

use super::Error;
use crate::aws::profile::{Origin, ProfileSet, Role, SectionKind};
use crate::session::Plan;
use crate::session::plan::PlanError;
use crate::vault::{Items, Knowledge};
use adopt::Taking;
use claviger::model::Name;
use draft::{Draft, Fresh};
use record::{Kept, Place};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Job {
    /// Which way.
    pub kind: Kind,
    /// The profile; every one that can be, without it.
    pub profile: Option<String>,
}

/// Which way.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Settings go into claviger's own file; in the AWS files its line comes in their place.
    Adopt {
        /// The client's path, for that line.
        program: PathBuf,
    },
    /// The same, and keys in plain text go into the vault.
    Import {
        /// The client's path.
        program: PathBuf,
        /// The name of the access key, where it should not be the profile's.
        name: Option<Name>,
    },
    /// Everything goes back.
    Release,
}

/// What will be written.
pub struct Prepared {
    /// The new texts of config, credentials and claviger's own file; None where one stays.
    pub(super) texts: [Option<Change>; 3],
    /// Every line stayed a line.
    sound: bool,
    /// Own file last: profiles are put back.
    pub(super) own_last: bool,
    /// A unified diff of each file that changes, without secrets.
    pub diff: Vec<String>,
    /// The profiles that change.
    pub profiles: Vec<String>,
    /// Those that do not, of all, and why.
    pub skipped: Vec<(String, Error)>,
    /// The keys that go into the vault, or are there already.
    pub keys: Vec<KeyFound>,
}

/// What becomes of a file.
pub(super) enum Change {
    /// It has this text.
    Text(Zeroizing<String>),
    /// It goes.
    Removed,
}

/// Plans a profile, given files and what the vault holds.
pub type Planner<'a> = dyn Fn(&ProfileSet, &Knowledge, &str) -> Result<Plan, PlanError> + 'a;

/// What is known before anything changes.
pub struct Given<'a> {
    /// The three files.
    pub sheets: &'a Sheets,
    /// What the vault holds, without secrets.
    pub knowledge: &'a Knowledge,
    /// What the vault holds; None where it is locked, which an import does not take.
    pub items: Option<&'a Items>,
    /// How a profile is planned.
    pub planner: &'a Planner<'a>,
}

/// Makes the new texts. Refuses a profile that has no plan, since no tool could use it afterwards, and every change
/// after which any profile would mean something else.
pub fn prepare(given: &Given<'_>, job: &Job) -> Result<Prepared, Error> {
    let before = given.sheets.parse().map_err(Error::Files)?;
    let mut skipped: Vec<(String, Error)> = Vec::new();
    loop {
        let mut work = Work::new(given, job, &before);
        let names = match &job.profile {
            Some(name) => vec![name.clone()],
            None => work.candidates(),
        };
        for name in names {
            if skipped.iter().any(|(other, _)| *other == name) {
                continue;
            }
            match work.change(&name) {
                Ok(()) => {}
                Err(error) if job.profile.is_some() => return Err(error),
                Err(Error::Adopted(_)) => {}
                Err(error) => skipped.push((name, error)),
            }
        }
        let prepared = work.finish();
        let mut wrong = check::check(given, job, &before, &prepared)?;
        if wrong.is_empty() {
            return Ok(Prepared { skipped, ..prepared });
        }
        if job.profile.is_some() {
            return Err(wrong.swap_remove(0).1);
        }
        skipped.append(&mut wrong);
    }
}

/// The three files on their way.
struct Drafts<'a> {
    config: Draft<'a>,
    credentials: Draft<'a>,
    own: Draft<'a>,
    /// New sections of claviger's own file.
    own_top: Vec<Fresh>,
    /// `[profile default]` stands in claviger's own file, so that `[default]` would not be read.
    default_with_word: bool,
    /// The config file was made by an adoption.
    made_file: bool,
}

impl<'a> Drafts<'a> {
    fn place(&mut self, place: Place) -> &mut Draft<'a> {
        match place {
            Place::Config => &mut self.config,
            Place::Credentials => &mut self.credentials,
        }
    }
}

/// One pass over the profiles.
struct Work<'a> {
    given: &'a Given<'a>,
    job: &'a Job,
    before: &'a ProfileSet,
    drafts: Drafts<'a>,
    records: HashMap<String, Kept>,
    profiles: Vec<String>,
    keys: Vec<KeyFound>,
}

impl<'a> Work<'a> {
    fn new(given: &'a Given<'a>, job: &'a Job, before: &'a ProfileSet) -> Self {
        let [config, credentials, own] = given.sheets.texts();
        let config = Draft::new(Role::Config, config);
        let own = Draft::new(Role::Own, own);
        let sections = own.sections_of("default");
        let with_word = |section: &usize| own.section(*section).is_some_and(|it| it.kind == SectionKind::Profile);
        let default_with_word = sections.iter().any(with_word);
        let records = record::read(&own);
        let made_file = config.absent || records.values().any(|kept| kept.record.made_file);
        let credentials = Draft::new(Role::Credentials, credentials);
        let drafts = Drafts { config, credentials, own, own_top: Vec::new(), default_with_word, made_file };
        Self { given, job, before, drafts, records, profiles: Vec::new(), keys: Vec::new() }
    }

    /// The profiles that `--all` means.
    fn candidates(&self) -> Vec<String> {
        let in_aws_files = |name: &str| {
            !(self.drafts.config.sections_of(name).is_empty() && self.drafts.credentials.sections_of(name).is_empty())
        };
        let names = self.before.profiles().filter(|profile| match &self.job.kind {
            Kind::Adopt { .. } => in_aws_files(profile.name()),
            Kind::Import { .. } => profile.keys().any(|(key, _)| keys::is_plain(key)),
            Kind::Release => self.records.contains_key(profile.name()),
        });
        names.map(|profile| profile.name().to_owned()).collect()
    }

    fn change(&mut self, name: &str) -> Result<(), Error> {
        match &self.job.kind {
            Kind::Adopt { program } => {
                let files = self.given.sheets.paths();
                let drafts = [&self.drafts.config, &self.drafts.credentials, &self.drafts.own];
                for (draft, file) in drafts.into_iter().zip(files) {
                    if let Some(line) = adopt::plain_at(draft, name) {
                        return Err(Error::PlainText(name.to_owned(), Origin { file, line }));
                    }
                }
                self.plan(name)?;
                self.take(name, program, None)?;
            }
            Kind::Import { program, name: wanted } => {
                let key = import::find(self, name, wanted.as_ref())?;
                let said = key.name.as_str() == name || self.plan(name).is_ok();
                let access_key = (!said).then(|| key.name.to_string());
                self.take(name, program, access_key.as_deref())?;
                self.keys.push(key);
            }
            Kind::Release => {
                let kept = self.records.get(name).ok_or_else(|| self.unknown(name))?;
                release::release(&mut self.drafts, name, kept);
            }
        }
        self.profiles.push(name.to_owned());
        Ok(())
    }

    fn take(&mut self, name: &str, program: &Path, access_key: Option<&str>) -> Result<(), Error> {
        let stub = keys::stub(program, name).ok_or_else(|| Error::ProgramPath(program.to_owned()))?;
        let taking = Taking { profile: name, stub: &stub, access_key, kept: self.records.get(name) };
        let changed = adopt::adopt(&mut self.drafts, &taking);
        if changed { Ok(()) } else { Err(Error::Adopted(name.to_owned())) }
    }

    fn plan(&self, name: &str) -> Result<Plan, Error> {
        let plan = (self.given.planner)(self.before, self.given.knowledge, name);
        plan.map_err(|error| Error::Plan(name.to_owned(), Box::new(error)))
    }

    fn unknown(&self, name: &str) -> Error {
        match self.before.profile(name) {
            Some(_) => Error::NotAdopted(name.to_owned()),
            None => {
                let nearest = self.before.nearest(name, 3).into_iter().map(str::to_owned).collect();
                Error::Plan(name.to_owned(), Box::new(PlanError::ProfileNotFound(name.to_owned(), nearest)))
            }
        }
    }

    fn finish(mut self) -> Prepared {
        self.drafts.own.insert_at_top(std::mem::take(&mut self.drafts.own_top));
        self.drafts.config.trim_top();
        let release = matches!(self.job.kind, Kind::Release);
        let made_file = self.drafts.made_file;
        let Drafts { config, credentials, own, .. } = self.drafts;
        let mut diff = Vec::new();
        for (draft, path) in [&config, &credentials, &own].into_iter().zip(self.given.sheets.paths()) {
            diff.extend(diff::unified(draft, &path));
        }
        let sound = [&config, &credentials, &own].iter().all(|draft| !draft.is_changed() || draft.is_sound());
        let change = |draft: &Draft<'_>, made: bool| match draft.is_changed() {
            false => None,
            true if release && made && draft.is_as_made() => Some(Change::Removed),
            true => Some(Change::Text(draft.text())),
        };
        let texts = [change(&config, made_file), change(&credentials, false), change(&own, true)];
        Prepared {
            texts,
            sound,
            own_last: release,
            diff,
            profiles: self.profiles,
            skipped: Vec::new(),
            keys: self.keys,
        }
    }
}
