//! `claviger logout`.

use crate::cli::args::{Proof, name_one, profile_or_default};
use crate::cli::desk::{Desk, unexpected};
use crate::cli::exit::Outcome;
use crate::cli::ui;
use crate::model::Label;
use crate::wire::{Reply, Request};

/// Forget the sessions of a profile, or all
///
/// AWS knows no end of a session before its time: what a tool has been given stays good until then.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  claviger logout prod
  claviger logout --all")]
pub(in crate::cli) struct Logout {
    /// The AWS profile [default: AWS_PROFILE, else default]
    profile: Option<String>,
    /// Forget every session
    #[arg(long, conflicts_with = "profile")]
    all: bool,
    #[command(flatten)]
    proof: Proof,
}

impl Logout {
    pub(super) fn run(self) -> Outcome {
        let profile = if self.all { None } else { Some(profile_or_default(self.profile.as_deref())) };
        let said = match &profile {
            Some(profile) => format!("The sessions of profile {} are forgotten.", Label(profile)),
            None => "All sessions are forgotten.".to_owned(),
        };
        let reply =
            Desk::open(&self.proof)?.ask(&Request::Logout { profile }).map_err(name_one(self.profile.as_deref()))?;
        match reply {
            Reply::Done {} => ui::say(&said),
            _ => return Err(unexpected()),
        }
        Ok(())
    }
}
