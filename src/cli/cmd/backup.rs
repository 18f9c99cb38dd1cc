//! `claviger backup` and `claviger restore`.

use crate::cli::args::{Proof, descriptor};
use crate::cli::desk::{Desk, Recording};
use crate::cli::exit::Outcome;
use crate::cli::terminal::Terminal;
use crate::cli::{intake, ui};
use crate::secret::{Passphrase, RecoveryCode, SecretText};
use crate::wire::{Code, Fault, Request, SlotProof};
use std::path::{Path, PathBuf, absolute};

/// Write a backup of the vault, which a recovery code of its own opens
///
/// The code is shown once. Neither the passphrase nor another recovery code opens the backup, and its code opens nothing
/// else.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  claviger backup /media/stick/claviger.backup
  claviger backup vault.backup --passphrase-fd 3 --recovery-fd 4 3<passphrase 4>code")]
pub(in crate::cli) struct Backup {
    /// The new file
    file: PathBuf,
    /// Write the recovery code to file descriptor N instead of showing it
    #[arg(long, value_name = "N", value_parser = descriptor)]
    recovery_fd: Option<u32>,
    #[command(flatten)]
    proof: Proof,
}

impl Backup {
    pub(super) fn run(self) -> Outcome {
        let file = absolute_path(&self.file)?;
        if self.proof.passphrase_fd.is_some() && self.proof.passphrase_fd == self.recovery_fd {
            return Err(Fault::new(Code::Usage, "two options name the same file descriptor").into());
        }
        let machine = self.proof.passphrase_fd.is_some() || self.recovery_fd.is_some();
        let recording = if machine { Recording::Machine(self.recovery_fd) } else { Recording::Person };
        let mut desk = Desk::open(&self.proof)?.record(recording);
        desk.require_vault()?;
        if file.symlink_metadata().is_ok() {
            return Err(Fault::new(Code::BackupExists, "there is a file of that name already: name another")
                .hint("claviger backup NEW-FILE")
                .into());
        }
        let proof = desk.prove()?;
        desk.done_proven(Request::Backup { file, proof })?;
        ui::say("The backup is written. Keep the file and its code apart; claviger restore FILE brings it back.");
        Ok(())
    }
}

/// Put a backup, or a copy of a vault, in the vault's place
///
/// A backup is opened by its recovery code and gets a new passphrase. A copy (vault.prev, or one of a day) is opened by
/// its own passphrase with --copy. Codes of the current and the next half minute count as spent afterwards.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  claviger restore /media/stick/claviger.backup
  claviger restore ~/.local/share/claviger/vault.prev --copy --replace
  claviger restore vault.backup --recovery-fd 3 --passphrase-fd 4 3<code 4<new-passphrase")]
pub(in crate::cli) struct Restore {
    /// The file
    file: PathBuf,
    /// Also where there is a vault: it is kept as vault.prev
    #[arg(long)]
    replace: bool,
    /// The file is a copy of a vault, opened by its passphrase
    #[arg(long, conflicts_with = "recovery_fd")]
    copy: bool,
    /// Read the backup's recovery code from file descriptor N instead of the terminal
    #[arg(long, value_name = "N", value_parser = descriptor)]
    recovery_fd: Option<u32>,
    /// Read the new passphrase (with --copy: the copy's) from file descriptor N instead of the terminal
    #[arg(long, value_name = "N", value_parser = descriptor)]
    passphrase_fd: Option<u32>,
}

impl Restore {
    pub(super) fn run(self) -> Outcome {
        let file = absolute_path(&self.file)?;
        if self.recovery_fd.is_some() && self.recovery_fd == self.passphrase_fd {
            return Err(Fault::new(Code::Usage, "two options name the same file descriptor").into());
        }
        let nobody = Proof::default();
        let mut desk = Desk::open(&nobody)?;
        if !self.replace && desk.status()?.vault != "absent" {
            let message = "there is a vault already: with --replace it becomes the previous one";
            return Err(Fault::new(Code::VaultExists, message).hint("claviger restore FILE --replace").into());
        }
        if !file.exists() {
            return Err(Fault::new(Code::BackupUnreadable, "there is no such file").into());
        }
        let (proof, passphrase) = if self.copy {
            let text = secret("Passphrase of the copy: ", self.passphrase_fd, "--passphrase-fd")?;
            (SlotProof::Passphrase(Passphrase::from_text(text)), None)
        } else {
            let text = secret("Recovery code of the backup: ", self.recovery_fd, "--recovery-fd")?;
            let passphrase = intake::new_passphrase(self.passphrase_fd, "--passphrase-fd")?;
            (SlotProof::Recovery(RecoveryCode::from_text(text)), Some(passphrase))
        };
        desk.done(&Request::Restore { file, proof, passphrase, replace: self.replace })?;
        ui::say("The vault is restored and open. Wait a minute before the next code: claviger status");
        Ok(())
    }
}

fn secret(question: &str, number: Option<u32>, option: &str) -> Result<String, Fault> {
    match number {
        Some(number) => intake::descriptor(number).map(|text| text.to_string()),
        None => {
            let what = question.trim_end_matches(": ").to_lowercase();
            Terminal::open()
                .ok_or_else(|| intake::no_terminal(&format!("the {what}"), &format!("{option} N")))?
                .ask_hidden(question)
        }
    }
}

/// The agent has a working folder of its own.
fn absolute_path(file: &Path) -> Result<PathBuf, Fault> {
    absolute(file).map_err(|_| Fault::new(Code::Usage, "the path of the file cannot be used"))
}
