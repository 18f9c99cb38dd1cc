//! The verbs, one file each.

mod access_key;
mod adoption;
mod agent;
mod audit;
mod backup;
mod completion;
mod config;
mod device;
mod doctor;
mod enroll;
pub(super) mod env;
pub(super) mod exec;
mod fido;
mod init;
mod keypair;
mod lock;
mod login;
mod logout;
mod mfa;
mod oath;
mod password;
mod piv;
pub(super) mod process;
mod profile;
mod prompts;
mod slot;
mod ssh;
mod ssh_agent;
mod ssh_key;
mod status;
mod trash;
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
    Doctor(doctor::Doctor),
    Login(login::Login),
    Logout(logout::Logout),
    Whoami(whoami::Whoami),
    Process(process::Verb),
    Exec(exec::Exec),
    Env(env::Env),
    #[command(subcommand)]
    AccessKey(access_key::AccessKey),
    #[command(subcommand)]
    Mfa(mfa::Mfa),
    #[command(subcommand)]
    Password(password::Password),
    #[command(subcommand)]
    SshKey(ssh_key::SshKey),
    #[command(subcommand)]
    Keypair(keypair::Keypair),
    #[command(subcommand)]
    Device(device::Device),
    #[command(subcommand)]
    Oath(oath::Oath),
    #[command(subcommand)]
    Piv(piv::Piv),
    #[command(subcommand)]
    Fido(fido::Fido),
    #[command(subcommand)]
    Profile(profile::Profile),
    #[command(subcommand)]
    Slot(slot::Slot),
    Ssh(ssh::Ssh),
    #[command(subcommand)]
    SshAgent(ssh_agent::SshAgent),
    Backup(backup::Backup),
    Restore(backup::Restore),
    #[command(subcommand)]
    Trash(trash::Trash),
    Prompts(prompts::Prompts),
    #[command(subcommand)]
    Config(config::Config),
    #[command(subcommand)]
    Audit(audit::Audit),
    #[command(subcommand)]
    Agent(agent::Agent),
    Completion(completion::Completion),
}

impl Command {
    /// Does it.
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::AccessKey(verb) => verb.run(),
            Self::Agent(verb) => verb.run(),
            Self::Backup(verb) => verb.run(),
            Self::Device(verb) => verb.run(),
            Self::Doctor(verb) => verb.run(),
            Self::Completion(verb) => verb.run(),
            Self::Env(verb) => verb.run(),
            Self::Exec(verb) => verb.run(),
            Self::Config(verb) => verb.run(),
            Self::Fido(verb) => verb.run(),
            Self::Audit(verb) => verb.run(),
            Self::Init(verb) => verb.run(),
            Self::Keypair(verb) => verb.run(),
            Self::Lock(verb) => verb.run(),
            Self::Login(verb) => verb.run(),
            Self::Logout(verb) => verb.run(),
            Self::Mfa(verb) => verb.run(),
            Self::Oath(verb) => verb.run(),
            Self::Password(verb) => verb.run(),
            Self::Piv(verb) => verb.run(),
            Self::Process(verb) => process::run(&verb.into()),
            Self::Profile(verb) => verb.run(),
            Self::Prompts(verb) => verb.run(),
            Self::Restore(verb) => verb.run(),
            Self::Slot(verb) => verb.run(),
            Self::Ssh(verb) => verb.run(),
            Self::SshAgent(verb) => verb.run(),
            Self::SshKey(verb) => verb.run(),
            Self::Status(verb) => verb.run(),
            Self::Trash(verb) => verb.run(),
            Self::Unlock(verb) => verb.run(),
            Self::Whoami(verb) => verb.run(),
        }
    }
}
