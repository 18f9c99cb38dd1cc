//! The verbs that change the AWS files: each shows what it would change, and does it once a person has agreed.

use crate::cli::args::Proof;
use crate::cli::desk::{Desk, unexpected};
use crate::cli::exit::Outcome;
use crate::cli::terminal::Terminal;
use crate::cli::{intake, ui};
use crate::model::{Label, Message, Name};
use crate::wire::{Change, Changes, Code, Fault, Reply, Request};
use std::path::PathBuf;

/// Which profiles, and how much is asked.
#[derive(clap::Args)]
struct Which {
    /// The AWS profile
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    profile: Option<String>,
    /// Every profile that can be
    #[arg(long)]
    all: bool,
    /// Do it without asking
    #[arg(long)]
    yes: bool,
    /// Show what would change, and change nothing
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    #[command(flatten)]
    proof: Proof,
}

#[derive(clap::Args)]
pub(in crate::cli) struct Adopt {
    #[command(flatten)]
    which: Which,
}

#[derive(clap::Args)]
pub(in crate::cli) struct Release {
    #[command(flatten)]
    which: Which,
}

#[derive(clap::Args)]
pub(in crate::cli) struct Import {
    #[command(flatten)]
    which: Which,
    /// The name the access key gets here [default: the profile's]
    #[arg(long, conflicts_with = "all")]
    name: Option<Name>,
    /// Store it without asking AWS whose it is
    #[arg(long)]
    no_verify: bool,
}

impl Adopt {
    pub(super) fn run(self) -> Outcome {
        let program = Some(program()?);
        let done =
            self.which.run(|change| Request::ProfileAdopt { change: Change { program: program.clone(), ..change } })?;
        if let Some(changes) = done {
            ui::say(&format!("{} adopted: every tool now asks claviger.", profiles(&changes)));
        }
        Ok(())
    }
}

impl Release {
    pub(super) fn run(self) -> Outcome {
        let done = self.which.run(|change| Request::ProfileRelease { change })?;
        if let Some(changes) = done {
            ui::say(&format!("{} released: the AWS files have their lines back.", profiles(&changes)));
        }
        Ok(())
    }
}

impl Import {
    pub(super) fn run(self) -> Outcome {
        let program = Some(program()?);
        let (name, verify) = (self.name, !self.no_verify);
        let done = self.which.run(|change| {
            let change = Change { program: program.clone(), ..change };
            Request::AccessKeyImport { name: name.clone(), verify, change }
        })?;
        let Some(changes) = done else { return Ok(()) };
        for key in &changes.access_keys {
            let how = if key.stored { "was stored before" } else { "is stored" };
            ui::say(&format!(
                "Access key {} of profile {} {how} as {}.",
                key.access_key_id,
                Label(&key.profile),
                key.name
            ));
        }
        ui::say(&format!("{} imported: their lines are gone from the AWS files.", profiles(&changes)));
        ui::say("Copies that claviger cannot know of still hold them: backups, an editor's, a");
        ui::say("git repository's, the disk's freed blocks. Make new keys when you can:");
        ui::say("aws iam create-access-key --user-name USER | claviger access-key add NEW --stdin");
        Ok(())
    }
}

impl Which {
    /// Shows, asks, does. None where nothing was done.
    fn run(&self, request: impl Fn(Change) -> Request) -> Result<Option<Changes>, crate::cli::exit::Failure> {
        if !(self.yes || self.dry_run) && Terminal::open().is_none() {
            return Err(intake::no_terminal("the answer", "--yes or --dry-run").into());
        }
        let mut desk = Desk::open(&self.proof)?;
        desk.require_open_vault()?;
        let change = |apply: Option<String>, skip| Change { profile: self.profile.clone(), program: None, apply, skip };
        let mut ask = |change| match desk.ask(&request(change))? {
            Reply::Changes(changes) => Ok(changes),
            _ => Err(unexpected()),
        };
        let first = ask(change(None, 0))?;
        if !self.yes {
            let mut page = first.diff.clone();
            let mut shown = 0;
            while !page.is_empty() {
                shown += page.len();
                ui::data(format!("{}\n", page.join("\n")).as_bytes())?;
                page = if shown < first.diff_lines { ask(change(None, shown))?.diff } else { Vec::new() };
            }
        }
        skipped(&first);
        if first.profiles == 0 {
            ui::say("There is nothing to change.");
            return Ok(None);
        }
        if self.dry_run || !(self.yes || agreed(&first)?) {
            ui::say("Nothing was changed.");
            return Ok(None);
        }
        Ok(Some(ask(change(Some(first.digest), 0))?))
    }
}

fn skipped(changes: &Changes) {
    for row in &changes.skipped {
        ui::say(&format!("left as it is: {}: {} ({})", Label(&row.profile), Message(&row.message), Label(&row.fault)));
    }
    let more = changes.skipped_count.saturating_sub(changes.skipped.len());
    if more > 0 {
        ui::say(&format!("left as they are: {more} more"));
    }
}

fn agreed(changes: &Changes) -> Result<bool, Fault> {
    let Some(mut terminal) = Terminal::open() else {
        return Err(intake::no_terminal("the answer", "--yes or --dry-run"));
    };
    let answer = terminal.ask(&format!("Change {}? [y/N] ", profiles(changes).to_lowercase()))?;
    Ok(matches!(answer.as_str(), "y" | "Y" | "yes" | "Yes"))
}

fn profiles(changes: &Changes) -> String {
    match changes.profiles {
        1 => "1 profile".to_owned(),
        count => format!("{count} profiles"),
    }
}

/// This program's path, as the line in the AWS files names it: the one on PATH where it leads here, since an update
/// may move what it leads to.
fn program() -> Result<PathBuf, Fault> {
    let lost = |_| Fault::new(Code::Internal, "the path of this program cannot be found");
    let real = std::env::current_exe().map_err(lost)?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let named =
        std::env::split_paths(&path).filter(|folder| folder.is_absolute()).map(|folder| folder.join("claviger"));
    let leads_here = |path: &PathBuf| path.canonicalize().is_ok_and(|found| found == real);
    Ok(named.into_iter().find(leads_here).unwrap_or(real))
}
