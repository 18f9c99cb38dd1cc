//! `claviger whoami`.

use crate::cli::args::{Profile, Proof};
use crate::cli::desk::{Desk, unexpected};
use crate::cli::exit::Outcome;
use crate::cli::ui;
use crate::model::{Label, Region};
use crate::wire::{Reply, Request};

/// Ask AWS who a profile's credentials act as
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  claviger whoami prod
  claviger whoami prod --json")]
pub(in crate::cli) struct Whoami {
    #[command(flatten)]
    profile: Profile,
    /// Ask in this region instead of the profile's
    #[arg(long)]
    region: Option<Region>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    proof: Proof,
}

impl Whoami {
    pub(super) fn run(self) -> Outcome {
        let request = Request::Whoami { profile: self.profile.name(), region: self.region };
        let Reply::Whoami(who) = Desk::open(&self.proof)?.ask(&request)? else { return Err(unexpected()) };
        if self.json {
            return ui::json(&who);
        }
        let page = format!("arn      {}\naccount  {}\nuser id  {}\n", who.arn, who.account, Label(&who.user_id));
        ui::data(page.as_bytes())
    }
}
