//! What stands between a profile and its credentials, as each family of AWS tools sees it. Looks, and changes nothing.

pub mod precedence;

use crate::aws::profile::{Origin, Profile, ProfileSet, is_own_stub};
use claviger::model::Label;
use claviger::wire::{Finding, Level};
use precedence::{Family, Provider, Sight};
use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// Profiles named in one line: more would not be read.
const NAMES_SHOWN: usize = 5;

/// What the tools find: the AWS files alone, and the caller's environment.
pub struct Tools<'a> {
    /// The AWS files, without claviger's own.
    pub profiles: &'a ProfileSet,
    /// Names of the AWS_… variables that are set for the caller.
    pub variables: &'a BTreeSet<String>,
    /// The config file.
    pub config_file: &'a Path,
    /// The credentials file.
    pub credentials_file: &'a Path,
}

impl Tools<'_> {
    fn sight<'b>(&'b self, profile: Option<&'b Profile>) -> Sight<'b> {
        Sight { profile, variables: self.variables, credentials_file: self.credentials_file }
    }

    /// What the AWS files themselves are like.
    pub fn files(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        for problem in self.profiles.ignored().iter().take(NAMES_SHOWN) {
            found.push(Finding::new("files", Level::Warning, problem.to_string()));
        }
        found.extend([self.config_file, self.credentials_file].into_iter().filter_map(open_to_others));
        let plain: Vec<&Profile> =
            self.profiles.profiles().filter(|profile| profile.value("aws_secret_access_key").is_some()).collect();
        if !plain.is_empty() {
            let text = format!("access keys stand in plain text in {}", names(&plain));
            found.push(Finding::new("files", Level::Warning, text).hint("claviger access-key import --all"));
        }
        let shadowed: Vec<&Profile> =
            self.profiles.profiles().filter(|profile| stub(profile).is_some() && self.against(profile)).collect();
        if !shadowed.is_empty() {
            let text = format!("something beside credential_process would win in {}", names(&shadowed));
            let first = shadowed.first().map_or("", |profile| profile.name());
            found.push(Finding::new("files", Level::Problem, text).hint(verb("doctor", first)));
        }
        found
    }

    /// Whether some family would not ask claviger although the profile says so. What the environment does to it is said
    /// of the profile that is asked about.
    fn against(&self, profile: &Profile) -> bool {
        let variables = BTreeSet::new();
        let sight = Sight { profile: Some(profile), variables: &variables, credentials_file: self.credentials_file };
        Family::ALL.into_iter().any(|family| precedence::winner(family, sight).provider != Provider::Process)
    }

    /// Which provider would win for a profile in each family, and why. `served`: claviger has credentials for it; to
    /// adopt another is no use.
    pub fn profile(&self, name: &str, served: bool) -> Vec<Finding> {
        let profile = self.profiles.profile(name);
        let mut found = Vec::new();
        match profile.map(|profile| (profile, stub(profile))) {
            None if served => {
                let text = "no AWS file has the profile: tools find it only by claviger exec or env";
                found.push(Finding::new("profile", Level::Note, text).hint(verb("profile adopt", name)));
            }
            Some((_, Some((asked, origin)))) if asked != name => {
                let text = format!("credential_process asks for profile {} ({origin})", Label(&asked));
                found.push(Finding::new("profile", Level::Note, text));
            }
            None | Some(_) => {}
        }
        found.extend(profile.and_then(stub_program));
        let told = Family::ALL.map(|family| self.told(family, profile, name, served));
        // Of a profile that the tools do not know there is something to say where the environment wins.
        found.extend(told.into_iter().filter(|finding| profile.is_some() || finding.level > Level::Note));
        found
    }

    fn told(&self, family: Family, profile: Option<&Profile>, name: &str, served: bool) -> Finding {
        let verdict = precedence::winner(family, self.sight(profile));
        let ours = profile.and_then(stub).is_some();
        let place = verdict.origin.as_ref().map(|origin| format!(" ({origin})")).unwrap_or_default();
        let setting = verdict.setting;
        let topic = family.name();
        match verdict.provider {
            Provider::Process if ours => Finding::new(topic, Level::Ok, format!("asks claviger by {setting}{place}")),
            Provider::Environment | Provider::EnvironmentWebIdentity => {
                let text = format!("{setting} in the environment wins over the profile");
                Finding::new(topic, Level::Warning, text).hint(format!("unset {setting}"))
            }
            _ if ours => {
                let text = format!("{setting} wins over credential_process{place}");
                let finding = Finding::new(topic, Level::Problem, text);
                match verdict.provider {
                    Provider::Static => finding.hint(verb("access-key import", name)),
                    _ => finding.hint(verb("profile adopt", name)),
                }
            }
            Provider::Instance | Provider::Container => {
                let text = format!("finds no credentials in the profile and goes on to {setting}");
                Finding::new(topic, Level::Note, text)
            }
            _ => {
                let text = format!("takes {setting} and does not ask claviger{place}");
                let finding = Finding::new(topic, Level::Note, text);
                if served { finding.hint(verb("profile adopt", name)) } else { finding }
            }
        }
    }
}

/// The profile that our own line asks for, and where it stands.
fn stub(profile: &Profile) -> Option<(String, &Origin)> {
    let value = profile.value("credential_process")?;
    Some((is_own_stub(value.text())?, &value.origin))
}

/// Whether the program of our own line is where every tool looks for it.
fn stub_program(profile: &Profile) -> Option<Finding> {
    let value = profile.value("credential_process")?;
    stub(profile)?;
    let text = value.text().trim_start();
    let program = match text.strip_prefix(['"', '\'']) {
        Some(quoted) => quoted.split(['"', '\'']).next(),
        None => text.split_whitespace().next(),
    }?;
    let finding = |level, what: &str| Finding::new("profile", level, format!("{what} ({})", value.origin));
    let adopt = verb("profile adopt", profile.name());
    if program.starts_with('~') || program.contains('$') {
        let what = "credential_process begins with ~ or $, which not every tool expands";
        return Some(finding(Level::Problem, what).hint(adopt));
    }
    let path = Path::new(program);
    if !path.is_absolute() {
        let what =
            "credential_process names claviger without its folder: a program started by the desktop may not find it";
        return Some(finding(Level::Warning, what).hint(adopt));
    }
    let runs = std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
    (!runs).then(|| finding(Level::Problem, "credential_process names a program that is not there").hint(adopt))
}

/// A file that holds or may hold keys, and that others may read or change.
fn open_to_others(path: &Path) -> Option<Finding> {
    let file = std::fs::metadata(path).ok()?;
    let shown = Label(&path.to_string_lossy()).to_string();
    let own = rustix::process::geteuid().as_raw();
    if file.uid() != own && file.uid() != 0 {
        return Some(Finding::new("files", Level::Problem, format!("{shown} belongs to another user")));
    }
    if file.mode() & 0o022 != 0 {
        let text = format!("{shown} can be changed by others");
        return Some(Finding::new("files", Level::Problem, text).hint(format!("chmod go-w {shown}")));
    }
    let keys = path.file_name().is_some_and(|name| name == "credentials");
    (keys && file.mode() & 0o044 != 0).then(|| {
        let text = format!("{shown} can be read by others");
        Finding::new("files", Level::Warning, text).hint(format!("chmod 600 {shown}"))
    })
}

fn names(profiles: &[&Profile]) -> String {
    let shown: Vec<String> =
        profiles.iter().take(NAMES_SHOWN).map(|profile| Label(profile.name()).to_string()).collect();
    let more = profiles.len().saturating_sub(NAMES_SHOWN);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

/// A command about a profile, where its name can be typed as it is.
fn verb(verb: &str, profile: &str) -> String {
    let plain = !profile.is_empty()
        && !profile.starts_with('-')
        && profile.chars().all(|c| c.is_ascii_alphanumeric() || "_-/.%@:+".contains(c));
    if plain { format!("claviger {verb} {profile}") } else { format!("claviger {verb} PROFILE") }
}
