//! The verbs, one file each.

mod access_key;
mod agent;
mod audit;
mod init;
mod lock;
mod login;
mod logout;
mod mfa;
pub(super) mod process;
mod profile;
mod slot;
mod status;
mod unlock;
mod whoami;

use super::exit::Outcome;
use clap::Subcommand;

/// What a person can tell claviger to do.
#[derive(Subcommand)]
pub(super) enum Command {
    Init(init::Init),
    Unlock(unlock::Unlock),
    Lock(lock::Lock),
    Status(status::Status),
    Login(login::Login),
    Logout(logout::Logout),
    Whoami(whoami::Whoami),
    Process(process::Verb),
    #[command(subcommand)]
    AccessKey(access_key::AccessKey),
    #[command(subcommand)]
    Mfa(mfa::Mfa),
    #[command(subcommand)]
    Profile(profile::Profile),
    #[command(subcommand)]
    Slot(slot::Slot),
    #[command(subcommand)]
    Audit(audit::Audit),
    #[command(subcommand)]
    Agent(agent::Agent),
}

impl Command {
    /// Does it.
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::AccessKey(verb) => verb.run(),
            Self::Agent(verb) => verb.run(),
            Self::Audit(verb) => verb.run(),
            Self::Init(verb) => verb.run(),
            Self::Lock(verb) => verb.run(),
            Self::Login(verb) => verb.run(),
            Self::Logout(verb) => verb.run(),
            Self::Mfa(verb) => verb.run(),
            Self::Process(verb) => process::run(&verb.into()),
            Self::Profile(verb) => verb.run(),
            Self::Slot(verb) => verb.run(),
            Self::Status(verb) => verb.run(),
            Self::Unlock(verb) => verb.run(),
            Self::Whoami(verb) => verb.run(),
        }
    }
}
