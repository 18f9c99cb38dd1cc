//! `claviger login`.

use crate::cli::args::{Profile, Proof};
use crate::cli::desk::{Desk, unexpected};
use crate::cli::exit::Outcome;
use crate::cli::render::{duration, minute};
use crate::cli::ui;
use crate::model::Label;
use crate::wire::{Reply, Request};

/// Obtain the credentials of a profile now, with you here
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  claviger login prod
  AWS_PROFILE=prod claviger login")]
pub(in crate::cli) struct Login {
    #[command(flatten)]
    profile: Profile,
    /// Print the session as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    proof: Proof,
}

impl Login {
    pub(super) fn run(self) -> Outcome {
        let request = Request::Login { profile: self.profile.name() };
        let reply = Desk::open(&self.proof)?.ask(&request).map_err(self.profile.name_one())?;
        let Reply::Session(session) = reply else { return Err(unexpected()) };
        if self.json {
            return ui::json(&session);
        }
        ui::say(&format!(
            "Logged in as {} for {}, until {}.",
            Label(&session.principal),
            duration(session.seconds_left),
            Label(&minute(&session.expiration))
        ));
        Ok(())
    }
}
