//! `claviger doctor`.

use crate::VERSION;
use crate::cli::args::Proof;
use crate::cli::desk::{Desk, paths, unexpected};
use crate::cli::exit::{Failure, Outcome};
use crate::cli::ui;
use crate::model::{Label, Message};
use crate::paths::Paths;
use crate::wire::{Fault, Finding, Level, Reply, Request};
use std::fmt::Write;
use std::os::unix::fs::MetadataExt;

/// Say what stands between a profile and its credentials, for every family of AWS tools
///
/// Looks at the agent, its socket and files, the AWS files, this shell's environment, and which of its settings each
/// family of SDKs would take for the profile. Changes nothing. Exits 1 where something does not work.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  claviger doctor
  claviger doctor prod
  claviger doctor prod --live     also obtain its credentials, and ask STS whose they are")]
pub(in crate::cli) struct Doctor {
    /// The AWS profile [default: AWS_PROFILE, else none]
    profile: Option<String>,
    /// Obtain the profile's credentials and ask STS whose they are
    #[arg(long)]
    live: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    proof: Proof,
}

impl Doctor {
    pub(super) fn run(self) -> Outcome {
        let from_environment = || std::env::var("AWS_PROFILE").ok().filter(|profile| !profile.is_empty());
        let profile = self.profile.or_else(from_environment).or_else(|| self.live.then(|| "default".to_owned()));
        let paths = paths()?;
        let mut found = match Desk::open(&self.proof) {
            Ok(mut desk) => agent(&mut desk, profile, self.live)?,
            Err(fault) => vec![problem(fault)],
        };
        found.extend(folders(&paths));
        let sick = found.iter().any(|finding| finding.level == Level::Problem);
        if self.json {
            ui::json(&found)?;
        } else {
            ui::data(page(&found).as_bytes())?;
        }
        if sick { Err(Failure::Told) } else { Ok(()) }
    }
}

/// What the agent finds, and whether it is this client's.
fn agent(desk: &mut Desk<'_>, profile: Option<String>, live: bool) -> Result<Vec<Finding>, Failure> {
    let status = desk.status()?;
    let mut found = vec![if status.version == VERSION {
        Finding::new("agent", Level::Ok, format!("version {VERSION}, pid {}", status.pid))
    } else {
        let text = format!("the agent is version {}, this client {VERSION}", Label(&status.version));
        Finding::new("agent", Level::Warning, text).hint("claviger agent restart")
    }];
    let request = Request::Doctor { profile, variables: variables(), live };
    let Reply::Findings(more) = desk.ask(&request)? else { return Err(unexpected()) };
    found.extend(more.into_iter().map(with_values));
    Ok(found)
}

/// The names of variables that steer AWS tools and the way to AWS.
fn variables() -> Vec<String> {
    let names =
        std::env::vars_os().filter(|(_, value)| !value.is_empty()).filter_map(|(name, _)| name.into_string().ok());
    let proxies = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"];
    names.filter(|name| name.starts_with("AWS_") || proxies.contains(&name.as_str())).collect()
}

/// The agent knows the names of variables alone: here their values are put into the line that a hint proposes.
fn with_values(finding: Finding) -> Finding {
    let Some((before, rest)) = finding.hint.as_deref().and_then(|hint| hint.split_once('$')) else { return finding };
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    // A user and password in a proxy's address are a secret, and no line for a configuration file.
    let value = std::env::var(name).ok().filter(|value| !value.contains('@') && !value.contains('"'));
    let hint = value.map(|value| format!("{before}{}{after}", Label(&value)));
    Finding { hint: hint.or(finding.hint), ..finding }
}

/// Folders and files that only this user may open.
fn folders(paths: &Paths) -> Vec<Finding> {
    let own = rustix::process::geteuid().as_raw();
    let private = [paths.data.clone(), paths.vault_file(), paths.state_file(), paths.config_file()];
    let mut found = Vec::new();
    for path in private.iter().chain(&paths.run) {
        let Ok(metadata) = path.metadata() else { continue };
        let shown = path.display().to_string();
        let shown = Label(&shown);
        // A configuration file may be read, but not written, by others.
        let closed = if *path == paths.config_file() { 0o022 } else { 0o077 };
        if metadata.uid() != own {
            found.push(Finding::new("files", Level::Problem, format!("{shown} belongs to another user")));
        } else if metadata.mode() & closed != 0 {
            let finding = Finding::new("files", Level::Problem, format!("{shown} is open to other users"));
            found.push(finding.hint(format!("chmod go-rwx {shown}")));
        }
    }
    if found.is_empty() {
        found.push(Finding::new("files", Level::Ok, "claviger's folders and socket are closed to others"));
    }
    found
}

fn problem(fault: Fault) -> Finding {
    Finding { topic: "agent".to_owned(), level: Level::Problem, text: fault.message, hint: fault.hint }
}

fn page(found: &[Finding]) -> String {
    let mut page = String::new();
    for finding in found {
        let word = match finding.level {
            Level::Ok => "ok",
            Level::Note => "note",
            Level::Warning => "warning",
            Level::Problem => "PROBLEM",
        };
        let _ = writeln!(page, "{word:<8} {:<11} {}", Label(&finding.topic).to_string(), Message(&finding.text));
        if let Some(hint) = &finding.hint {
            let _ = writeln!(page, "{:<20} try: {}", "", Message(hint));
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::{page, with_values};
    use crate::wire::{Finding, Level};

    #[test]
    fn a_finding_is_a_line_and_its_hint_another() {
        let found = [
            Finding::new("botocore", Level::Ok, "asks claviger"),
            Finding::new("Go", Level::Problem, "role_arn \u{1b}[2J wins").hint("claviger profile adopt prod"),
        ];
        insta::assert_snapshot!(page(&found), @"
        ok       botocore    asks claviger
        PROBLEM  Go          role_arn ?[2J wins
                             try: claviger profile adopt prod
        ");
    }

    #[test]
    fn a_variable_that_is_not_set_stays_a_name() {
        let hint = "[network] proxy = \"$CLAVIGER_NO_SUCH_VARIABLE\"";
        let finding = with_values(Finding::new("network", Level::Warning, "x").hint(hint));
        assert_eq!(finding.hint.as_deref(), Some(hint));
        let home = std::env::var("HOME").expect("HOME");
        let finding = with_values(Finding::new("network", Level::Warning, "x").hint("ca_bundle = \"$HOME\""));
        assert_eq!(finding.hint, Some(format!("ca_bundle = \"{home}\"")));
    }
}
