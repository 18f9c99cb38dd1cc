//! `claviger password change`: the console password of an IAM user.

use crate::cli::args::{Profile, Proof, descriptor};
use crate::cli::desk::{Desk, unexpected};
use crate::cli::exit::Outcome;
use crate::cli::terminal::Terminal;
use crate::cli::{intake, ui};
use crate::secret::{ConsolePassword, SecretText};
use crate::wire::{Fault, Reply, Request};

/// The console password of an IAM user: change
#[derive(clap::Subcommand)]
pub(in crate::cli) enum Password {
    Change(Change),
}

/// Change the console password of a profile's user
///
/// Nothing of it is kept. With --generate it is made as the account's password policy wants it, and printed before AWS is
/// told, so that it cannot be lost.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  claviger password change dev
  claviger password change dev --generate")]
pub(in crate::cli) struct Change {
    #[command(flatten)]
    profile: Profile,
    /// Make the new password, and print it
    #[arg(long, conflicts_with = "new_fd")]
    generate: bool,
    /// Read the password of now from file descriptor N instead of the terminal
    #[arg(long, value_name = "N", value_parser = descriptor)]
    old_fd: Option<u32>,
    /// Read the new password from file descriptor N instead of the terminal
    #[arg(long, value_name = "N", value_parser = descriptor)]
    new_fd: Option<u32>,
    #[command(flatten)]
    proof: Proof,
}

impl Password {
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::Change(change) => change.run(),
        }
    }
}

impl Change {
    fn run(self) -> Outcome {
        let mut desk = Desk::open(&self.proof)?;
        desk.require_open_vault()?;
        let old = asked(self.old_fd, "--old-fd N", "Password of now: ")?;
        let profile = self.profile.name();
        let new = if self.generate {
            let request = Request::PasswordSuggest { profile: profile.clone() };
            let Reply::Password { password } = desk.ask(&request).map_err(self.profile.name_one())? else {
                return Err(unexpected());
            };
            ui::say("The new password, once AWS has taken it; it is not kept here:");
            ui::secret_line(password.expose())?;
            password
        } else {
            self.new_password()?
        };
        let request = Request::PasswordChange(crate::wire::PasswordChange { profile, old, new });
        match desk.ask(&request).map_err(self.profile.name_one())? {
            Reply::Done {} => ui::say("AWS has taken the new password."),
            _ => return Err(unexpected()),
        }
        Ok(())
    }
}

impl Change {
    /// From the descriptor, or typed twice.
    fn new_password(&self) -> Result<ConsolePassword, Fault> {
        loop {
            let new = asked(self.new_fd, "--new-fd N", "New password: ")?;
            if self.new_fd.is_some() || asked(None, "--new-fd N", "The same again: ")?.expose() == new.expose() {
                return Ok(new);
            }
            ui::say("The two differ.");
        }
    }
}

fn asked(number: Option<u32>, option: &str, prompt: &str) -> Result<ConsolePassword, Fault> {
    Ok(ConsolePassword::from_text(match number {
        Some(number) => std::mem::take(&mut *intake::descriptor(number)?),
        None => {
            let mut terminal = Terminal::open().ok_or_else(|| intake::no_terminal("the password", option))?;
            terminal.ask_hidden(prompt)?
        }
    }))
}
