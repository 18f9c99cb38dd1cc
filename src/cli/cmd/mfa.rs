//! `claviger mfa …`: the MFA devices of IAM users that make codes.

use crate::cli::args::{Proof, check_stdin_once};
use crate::cli::desk::{Desk, unexpected};
use crate::cli::exit::Outcome;
use crate::cli::render::{minute, table};
use crate::cli::terminal::Terminal;
use crate::cli::{intake, ui};
use crate::model::oath::NotOathName;
use crate::model::{MfaSerial, Name, OathName};
use crate::secret::{SecretText, TotpSeedText};
use crate::wire::{Code, Fault, MfaOnDevice, MfaRow, Reply, Request};
use std::io::IsTerminal;

/// Authenticators: add, enroll, list, code, rename, resync, remove, deactivate, export
#[derive(clap::Subcommand)]
pub(in crate::cli) enum Mfa {
    /// Store the seed of a virtual MFA device, once AWS has accepted its code
    ///
    /// The seed is the secret key that AWS shows beside the QR code, a whole otpauth:// URI, or an
    /// otpauth-migration:// URI: what the QR code of an export of Google Authenticator says. With --device it is an
    /// account of a YubiKey: one that is there, or with --new one that is put there.
    #[command(after_help = "\
Examples:
  claviger mfa add --for dev
  claviger mfa add --for dev --device --new
  claviger mfa add --for dev --seed-stdin < seed
  zbarimg -q --raw export.png | claviger mfa add --for dev --seed-stdin --account 2")]
    Add(Add),
    Enroll(super::enroll::Enroll),
    /// List the authenticators
    #[command(after_help = "\
Example:
  claviger mfa list --json")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        proof: Proof,
    },
    /// Print one code; it is spent by being shown
    ///
    /// AWS takes a code once. Where the current one is spent this waits for the next.
    #[command(after_help = "\
Examples:
  claviger mfa code
  claviger mfa code ada --now")]
    Code {
        /// Which authenticator; may be left out where there is only one
        name: Option<Name>,
        /// Fail instead of waiting when the current code is spent
        #[arg(long)]
        now: bool,
        #[command(flatten)]
        proof: Proof,
    },
    /// Rename an authenticator here; at AWS nothing changes
    #[command(after_help = "\
Example:
  claviger mfa rename ada ada-laptop")]
    Rename {
        /// Its name
        name: Name,
        /// Its new name
        new_name: Name,
        #[command(flatten)]
        proof: Proof,
    },
    /// Tell AWS how far a device's clock is off, by two codes of it
    ///
    /// For a device whose codes AWS refuses though its seed is right. It may wait for a step of half a minute.
    #[command(after_help = "\
Example:
  claviger mfa resync ada")]
    Resync {
        /// Its name
        name: Name,
        #[command(flatten)]
        proof: Proof,
    },
    /// Take a device away from its user at AWS, and its seed to the vault's trash
    ///
    /// The last device of a user is taken only where you say so.
    #[command(after_help = "\
Example:
  claviger mfa deactivate ada")]
    Deactivate {
        /// Its name
        name: Name,
        /// Also where it is the last device of its user
        #[arg(long)]
        last: bool,
        #[command(flatten)]
        proof: Proof,
    },
    /// Move an authenticator to the vault's trash, where it stays for 30 days; the device at AWS stays
    #[command(after_help = "\
Example:
  claviger mfa remove ada")]
    Remove {
        /// Its name
        name: Name,
        #[command(flatten)]
        proof: Proof,
    },
    /// Print a seed as an otpauth:// URI, against the passphrase
    #[command(after_help = "\
Example:
  claviger mfa export ada")]
    Export {
        /// Its name
        name: Name,
        #[command(flatten)]
        proof: Proof,
    },
}

#[derive(clap::Args)]
pub(in crate::cli) struct Add {
    /// The access key whose user owns the device
    #[arg(long = "for", value_name = "ACCESS KEY")]
    access_key: Name,
    /// The name it gets here [default: the last part of the serial]
    #[arg(long)]
    name: Option<Name>,
    /// Its serial at AWS [default: AWS is asked]
    #[arg(long, value_name = "ARN")]
    serial: Option<MfaSerial>,
    /// Which account of an export with several, or of the YubiKey [default: they are listed]
    #[arg(long, value_name = "NAME OR NUMBER")]
    account: Option<String>,
    /// The code comes from a YubiKey, by its serial number [default: the one that is plugged in]
    #[arg(long, value_name = "SERIAL")]
    device: Option<Option<u32>>,
    /// Put the seed on the YubiKey; it is asked for
    #[arg(long, requires = "device")]
    new: bool,
    /// Put it there so that it gives codes without a touch
    #[arg(long, requires = "device")]
    no_touch: bool,
    /// Read the seed from stdin
    #[arg(long)]
    seed_stdin: bool,
    /// Store it without proving it at AWS; needs --serial
    #[arg(long)]
    no_verify: bool,
    #[command(flatten)]
    proof: Proof,
}

impl Mfa {
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::Add(add) => add.run(),
            Self::Deactivate { name, last, proof } => {
                let mut desk = Desk::open(&proof)?;
                // What is on a YubiKey is not known any more once it is done.
                let Reply::MfaDevices(rows) = desk.ask(&Request::MfaList {})? else { return Err(unexpected()) };
                let place = rows.iter().find(|row| row.name == name).map(seed_left).unwrap_or_default();
                let said = format!("Device {name} is no longer a device of its user at AWS; {place}");
                desk.done(&Request::MfaDeactivate { name, last })?;
                ui::say(&said);
                Ok(())
            }
            Self::Enroll(enroll) => enroll.run(),
            Self::Resync { name, proof } => {
                let said = format!("AWS knows how far the clock of {name} is off.");
                Desk::open(&proof)?.done(&Request::MfaResync { name })?;
                ui::say(&said);
                Ok(())
            }
            Self::Code { name, now, proof } => code(name, now, &proof),
            Self::Export { name, proof } => export(name, &proof),
            Self::List { json, proof } => list(json, &proof),
            Self::Remove { name, proof } => {
                let said =
                    format!("Authenticator {name} is in the vault's trash for 30 days. The device at AWS stays.");
                Desk::open(&proof)?.done(&Request::MfaRemove { name })?;
                ui::say(&said);
                Ok(())
            }
            Self::Rename { name, new_name, proof } => {
                let said = format!("Authenticator {name} is now {new_name}.");
                match Desk::open(&proof)?.ask(&Request::MfaRename { name, new_name })? {
                    Reply::Mfa(_) => ui::say(&said),
                    _ => return Err(unexpected()),
                }
                Ok(())
            }
        }
    }
}

/// Where the seed of a device is once that is deactivated. Nothing is deleted from a YubiKey unasked.
fn seed_left(row: &MfaRow) -> String {
    let Some(card) = row.card else { return "its seed is in the vault's trash for 30 days.".to_owned() };
    let backup = if row.backup { "the backup of its seed is in the vault's trash for 30 days, and " } else { "" };
    let account =
        row.account.as_ref().map(ToString::to_string).filter(|name| !name.contains('\'') && !name.starts_with('-'));
    let next = match account {
        Some(account) => format!("claviger oath delete '{account}' --device {card}"),
        None => format!("claviger oath list --device {card}"),
    };
    format!("{backup}its account stays on the YubiKey {card}.\nhint: {next}")
}

impl Add {
    fn run(self) -> Outcome {
        check_stdin_once(&self.proof, self.seed_stdin, "--seed-stdin")?;
        let mut desk = Desk::open(&self.proof)?;
        desk.require_open_vault()?;
        let verify = !self.no_verify;
        let request = match self.device {
            Some(device) => Request::MfaAddOnDevice(MfaOnDevice {
                access_key: self.access_key,
                name: self.name,
                serial: self.serial,
                device,
                account: self.account.map(|name| account(&name)).transpose()?,
                seed: (self.new || self.seed_stdin).then(|| seed(self.seed_stdin)).transpose()?,
                touch: !self.no_touch,
                verify,
            }),
            None => Request::MfaAdd {
                access_key: self.access_key,
                name: self.name,
                serial: self.serial,
                seed: seed(self.seed_stdin)?,
                account: self.account,
                verify,
            },
        };
        let Reply::Mfa(row) = desk.ask(&request)? else { return Err(unexpected()) };
        ui::say(&format!("Authenticator {} ({}) of access key {} is stored.", row.name, row.serial, row.access_key));
        Ok(())
    }
}

/// The account of a YubiKey, as `oath list` shows it.
fn account(name: &str) -> Result<OathName, Fault> {
    name.parse().map_err(|error: NotOathName| Fault::new(Code::Usage, error.to_string()).hint(intake::help()))
}

fn seed(stdin: bool) -> Result<TotpSeedText, Fault> {
    let text = if stdin {
        intake::stdin()?
    } else {
        let mut terminal = Terminal::open().ok_or_else(|| intake::no_terminal("the seed", "--seed-stdin"))?;
        zeroize::Zeroizing::new(terminal.ask_hidden("Secret key or otpauth:// URI: ")?)
    };
    Ok(TotpSeedText::from_text(text.trim().to_owned()))
}

fn list(json: bool, proof: &Proof) -> Outcome {
    let Reply::MfaDevices(rows) = Desk::open(proof)?.ask(&Request::MfaList {})? else { return Err(unexpected()) };
    if rows.is_empty() && !json {
        ui::say("No MFA device is stored.\nhint: claviger mfa enroll PROFILE");
        return Ok(());
    }
    if json { ui::json(&rows) } else { ui::data(page(&rows, ui::page_width()).as_bytes()) }
}

fn page(rows: &[MfaRow], width: Option<usize>) -> String {
    let rows = rows.iter().map(|row| {
        let backup = if row.backup { ", vault" } else { "" };
        let place = row.card.map_or_else(|| "vault".to_owned(), |card| format!("YubiKey {card}{backup}"));
        [row.name.to_string(), row.access_key.to_string(), row.serial.to_string(), place, minute(&row.added)]
    });
    table(width, ["NAME", "ACCESS KEY", "SERIAL", "SEED", "ADDED"], rows)
}

fn code(name: Option<Name>, now: bool, proof: &Proof) -> Outcome {
    let Reply::MfaCode { code, seconds_left } = Desk::open(proof)?.ask(&Request::MfaCode { name, now })? else {
        return Err(unexpected());
    };
    ui::secret_line(code.expose())?;
    if std::io::stdout().is_terminal() {
        ui::say(&format!("good for {seconds_left} s, once"));
    }
    Ok(())
}

fn export(name: Name, proof: &Proof) -> Outcome {
    let mut desk = Desk::open(proof)?;
    desk.require_vault()?;
    let proof = desk.prove()?;
    let Reply::MfaExport { uri } = desk.ask_proven(Request::MfaExport { name, proof })? else {
        return Err(unexpected());
    };
    ui::secret_line(uri.expose())
}

#[cfg(test)]
mod tests {
    use super::seed_left;
    use crate::wire::MfaRow;

    #[test]
    fn what_is_on_a_card_is_not_said_to_be_in_the_trash() {
        let row = |card, account: Option<&str>, backup| MfaRow {
            name: "ada".parse().expect("a name"),
            serial: "arn:aws:iam::123456789012:mfa/ada".parse().expect("a serial"),
            access_key: "dev".parse().expect("a name"),
            card,
            account: account.map(|name| name.parse().expect("an account's name")),
            backup,
            added: "2026-11-22T01:00:00Z".to_owned(),
        };
        let aws = "Amazon Web Services:ada@123456789012";
        assert_eq!(seed_left(&row(None, None, false)), "its seed is in the vault's trash for 30 days.");
        assert_eq!(
            seed_left(&row(Some(12_345_678), Some(aws), false)),
            format!("its account stays on the YubiKey 12345678.\nhint: claviger oath delete '{aws}' --device 12345678")
        );
        let both = seed_left(&row(Some(12_345_678), Some(aws), true));
        assert!(
            both.starts_with("the backup of its seed is in the vault's trash for 30 days, and its account"),
            "{both}"
        );
        let quoted = seed_left(&row(Some(12_345_678), Some("ada's"), false));
        assert!(quoted.ends_with("hint: claviger oath list --device 12345678"), "{quoted}");
    }
}
