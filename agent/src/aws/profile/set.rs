//! What the files mean together.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use super::document::{Document, Section};
use super::header::{SectionKind, valid_key, valid_name};
use super::problem::{Origin, Problem, What};
use super::value::Profile;

/// The name that needs no word before it.
const DEFAULT: &str = "default";

/// Python's name for values that hold in every section.
const SHARED_DEFAULTS: &str = "DEFAULT";

/// The longest name, in characters, that `nearest` compares: the distance takes time as its square.
const COMPARED_CHARACTERS: usize = 64;

/// What a file is for, which decides how its section names are read. A later role wins over an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// `~/.aws/config`: `[profile x]`, `[default]`, `[sso-session x]`, `[services x]`.
    Config,
    /// `~/.aws/credentials`: `[x]` alone.
    Credentials,
    /// `~/.config/claviger/profiles`: as the config file, and `[x]` as well.
    Own,
}

/// A file, read by the caller and at most [`super::limits::FILE_BYTES`] long.
pub struct SourceFile<'a> {
    /// Named in origins and problems.
    pub path: Arc<Path>,
    /// What the file is for.
    pub role: Role,
    /// All of it. Not copied but value by value, into memory that is wiped.
    pub text: &'a str,
}

/// All profiles of all files.
#[derive(Default)]
pub struct ProfileSet {
    profiles: Vec<Profile>,
    by_name: HashMap<String, usize>,
    sso_sessions: BTreeMap<String, Profile>,
    services: BTreeMap<String, Profile>,
    ignored: Vec<Problem>,
}

impl ProfileSet {
    /// Reads and merges files: key by key, the credentials file wins over the config file and claviger's own file
    /// over both; within a role the later file wins, and within a file the later line.
    ///
    /// Refuses all files if one has a syntax error, and lists every problem (the first few of each file), so that a
    /// half-read file never stands for a whole one. Sections and keys that the AWS tools ignore are in `ignored`.
    pub fn load(files: &[SourceFile<'_>]) -> Result<Self, Vec<Problem>> {
        let mut set = Self::default();
        let mut problems = Vec::new();
        let mut in_order: Vec<_> = files.iter().collect();
        in_order.sort_by_key(|file| file.role);
        for file in in_order {
            let document = Document::parse(file.text);
            let at = |line| Origin { file: Arc::clone(&file.path), line };
            problems.extend(document.problems.iter().map(|&(line, what)| Problem { origin: at(line), what }));
            set.merge(file.role, &document, at);
        }
        if problems.is_empty() { Ok(set) } else { Err(problems) }
    }

    /// A profile by its name.
    pub fn profile(&self, name: &str) -> Option<&Profile> {
        self.by_name.get(name).and_then(|&position| self.profiles.get(position))
    }

    /// All profiles, in the order of the config file, then the credentials file, then claviger's own.
    pub fn profiles(&self) -> impl Iterator<Item = &Profile> {
        self.profiles.iter()
    }

    /// A `[services NAME]` section, which a profile refers to by `services = NAME`.
    pub fn service(&self, name: &str) -> Option<&Profile> {
        self.services.get(name)
    }

    /// All `services` sections, sorted by name.
    pub fn services(&self) -> impl Iterator<Item = &Profile> {
        self.services.values()
    }

    /// An `[sso-session NAME]` section, which a profile refers to by `sso_session = NAME`.
    pub fn sso_session(&self, name: &str) -> Option<&Profile> {
        self.sso_sessions.get(name)
    }

    /// All `sso-session` sections, sorted by name.
    pub fn sso_sessions(&self) -> impl Iterator<Item = &Profile> {
        self.sso_sessions.values()
    }

    /// Sections and keys that were left out, in the order found. A profile that seems missing is often one of these.
    pub fn ignored(&self) -> &[Problem] {
        &self.ignored
    }

    /// At most `count` names of profiles that `name` may be a misspelling of, nearest first: those with a distance
    /// (insertions, deletions, replacements, swaps; case apart) of at most half the longer name.
    pub fn nearest(&self, name: &str, count: usize) -> Vec<&str> {
        let comparable = |name: &str| name.chars().take(COMPARED_CHARACTERS).collect::<String>().to_lowercase();
        let wanted = comparable(name);
        let mut found: Vec<_> = self
            .profiles()
            .filter_map(|profile| {
                let candidate = comparable(profile.name());
                let longest = wanted.chars().count().max(candidate.chars().count());
                let distance = strsim::osa_distance(&wanted, &candidate);
                (distance * 2 <= longest).then_some((distance, profile.name()))
            })
            .collect();
        found.sort_by_key(|&(distance, _)| distance);
        found.into_iter().take(count).map(|(_, name)| name).collect()
    }

    fn merge(&mut self, role: Role, document: &Document<'_>, at: impl Fn(usize) -> Origin) {
        let named_default = role != Role::Credentials
            && document.sections.iter().any(|section| is_default(section, SectionKind::Profile));
        for section in &document.sections {
            let verdict = match named_default && is_default(section, SectionKind::Bare) {
                true => Err(What::DefaultReplaced),
                false => meaning(section, role),
            };
            let kind = match verdict {
                Ok(kind) => kind,
                Err(what) => {
                    self.ignored.push(Problem { origin: at(section.line), what });
                    continue;
                }
            };
            let (valid, invalid): (Vec<_>, Vec<_>) = section.entries.iter().partition(|entry| valid_key(&entry.key));
            let target = self.target(kind, section.name, at(section.line));
            if let Some(target) = target {
                valid.into_iter().for_each(|entry| target.set(entry, at(entry.line)));
            }
            let invalid_key = |line| Problem { origin: at(line), what: What::InvalidKey };
            self.ignored.extend(invalid.into_iter().map(|entry| invalid_key(entry.line)));
        }
    }

    fn target(&mut self, kind: SectionKind, name: &str, origin: Origin) -> Option<&mut Profile> {
        let others = match kind {
            SectionKind::Services => &mut self.services,
            SectionKind::SsoSession => &mut self.sso_sessions,
            SectionKind::Bare | SectionKind::Profile => {
                let end = self.profiles.len();
                let position = *self.by_name.entry(name.to_owned()).or_insert(end);
                if position == end {
                    self.profiles.push(Profile::new(name, origin));
                }
                return self.profiles.get_mut(position);
            }
        };
        Some(others.entry(name.to_owned()).or_insert_with(|| Profile::new(name, origin)))
    }
}

fn is_default(section: &Section<'_>, kind: SectionKind) -> bool {
    section.kind == kind && section.name == DEFAULT
}

/// What a section stands for in a file of this role.
fn meaning(section: &Section<'_>, role: Role) -> Result<SectionKind, What> {
    let bare = section.kind == SectionKind::Bare;
    if bare && section.name == SHARED_DEFAULTS {
        return Err(What::SharedDefaults);
    }
    let spaces = match role {
        Role::Config if bare && section.name != DEFAULT => return Err(What::BareSection),
        Role::Credentials if !bare => return Err(What::PrefixedSection),
        // `aws configure --profile "a b"` writes `[a b]` there, without quotes.
        Role::Credentials => true,
        Role::Config | Role::Own => section.quoted,
    };
    if valid_name(section.name, spaces) { Ok(section.kind) } else { Err(What::InvalidName) }
}
