//! `claviger init`.

use crate::cli::args::{Proof, descriptor};
use crate::cli::desk::{Desk, Recording};
use crate::cli::exit::Outcome;
use crate::cli::{intake, ui};
use crate::wire::{Code, Fault, Request};

/// Make the vault: a passphrase to open it, and a recovery code for the day it is forgotten
///
/// Where the desktop has a keyring, it asks whether that may open the vault too. With --passphrase-fd nothing is asked: the recovery code is the only line on stdout, or goes to --recovery-fd, and is taken as noted.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  claviger init
  claviger init --passphrase-fd 3 --recovery-fd 4 3<passphrase 4>recovery-code")]
pub(in crate::cli) struct Init {
    /// Read the new passphrase from file descriptor N instead of the terminal
    #[arg(long, value_name = "N", value_parser = descriptor)]
    passphrase_fd: Option<u32>,
    /// Write the recovery code to file descriptor N instead of showing it
    #[arg(long, value_name = "N", value_parser = descriptor)]
    recovery_fd: Option<u32>,
    /// Let the desktop keyring open the vault too
    ///
    /// While the desktop keyring is open, malware of your own user can then open the vault.
    #[arg(long, conflicts_with = "no_keyring")]
    keyring: bool,
    /// Do not, and do not ask
    #[arg(long)]
    no_keyring: bool,
}

impl Init {
    pub(super) fn run(self) -> Outcome {
        let proof = Proof::default();
        let machine = self.passphrase_fd.is_some() || self.recovery_fd.is_some();
        let recording = if machine { Recording::Machine(self.recovery_fd) } else { Recording::Person };
        let mut desk = Desk::open(&proof)?.record(recording);
        if desk.status()?.vault != "absent" {
            return Err(Fault::new(Code::VaultExists, "there is a vault already").into());
        }
        let passphrase = intake::new_passphrase(self.passphrase_fd, "--passphrase-fd")?;
        // Nobody is asked anything where a machine gives the passphrase.
        let keyring = (self.keyring || self.no_keyring || machine).then_some(self.keyring);
        desk.done(&Request::Init { passphrase, keyring })?;
        ui::say("The vault is made and open. Next: claviger access-key add NAME, or claviger ssh-key new NAME");
        Ok(())
    }
}
