//! `claviger mfa enroll`: a virtual MFA device, made at AWS.

use crate::cli::args::{Profile, Proof};
use crate::cli::desk::{Desk, unexpected};
use crate::cli::exit::Outcome;
use crate::cli::render::minute;
use crate::cli::terminal::Terminal;
use crate::cli::{intake, qr, ui};
use crate::model::{Name, OathName};
use crate::secret::SecretText;
use crate::wire::{EnrollOnDevice, MfaEnroll, MfaEnrolled, Reply, Request};

/// Make a virtual MFA device at AWS for a profile's user, and log in with it
///
/// AWS gives the seed straight into the vault, or with --device onto a YubiKey. It is assigned with the codes of the last
/// minute, and the first session needs the next one: half a minute at most. Whatever cuts this off, the same command goes on
/// from there, and --undo takes back what was begun. IAM allows a user 8 devices.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  claviger mfa enroll dev
  claviger mfa enroll dev --device --backup
  claviger mfa enroll dev --name ada-phone --qr")]
pub(in crate::cli) struct Enroll {
    #[command(flatten)]
    profile: Profile,
    /// The name it gets at AWS and here [default: the user's name]
    #[arg(long)]
    name: Option<Name>,
    /// The seed goes onto a YubiKey, by its serial number [default: the one that is plugged in]
    #[arg(long, value_name = "SERIAL")]
    device: Option<Option<u32>>,
    /// The name of its account on the YubiKey [default: what AWS calls it]
    #[arg(long, requires = "device", value_name = "NAME")]
    account: Option<OathName>,
    /// The vault keeps the seed as well, for the day the YubiKey is lost
    #[arg(long, requires = "device")]
    backup: bool,
    /// The YubiKey gives codes without a touch
    #[arg(long, requires = "device")]
    no_touch: bool,
    /// Show the seed once, as a QR code for a phone
    #[arg(long)]
    qr: bool,
    /// Take back what an earlier run has begun and not finished
    #[arg(long, conflicts_with_all = ["name", "device", "qr"])]
    undo: bool,
    #[command(flatten)]
    proof: Proof,
}

impl Enroll {
    pub(super) fn run(self) -> Outcome {
        let mut terminal = match self.qr {
            true => Some(Terminal::open().ok_or_else(|| intake::no_screen("the QR code", "--qr"))?),
            false => None,
        };
        let device = self.device.map(|serial| EnrollOnDevice {
            serial,
            account: self.account,
            touch: !self.no_touch,
            backup: self.backup,
        });
        let profile = self.profile.name();
        let request =
            Request::MfaEnroll(MfaEnroll { profile, name: self.name, device, show: self.qr, undo: self.undo });
        let mut desk = Desk::open(&self.proof)?;
        let MfaEnrolled { device, session_expires, session_fault, uri } =
            match desk.ask(&request).map_err(self.profile.name_one())? {
                Reply::MfaEnrolled(enrolled) => enrolled,
                Reply::Done {} if self.undo => {
                    ui::say("Nothing is left of it, at AWS and here.");
                    return Ok(());
                }
                _ => return Err(unexpected()),
            };
        let place = match (device.card, device.backup) {
            (None, _) => "in the vault".to_owned(),
            (Some(card), false) => format!("on the YubiKey {card} alone"),
            (Some(card), true) => format!("on the YubiKey {card} and in the vault"),
        };
        ui::say(&format!("Device {} ({}) is assigned; its seed is {place}.", device.name, device.serial));
        match (session_expires, session_fault) {
            (Some(expires), _) => ui::say(&format!("Logged in with it until {}.", minute(&expires))),
            (None, Some(fault)) => {
                ui::say("There is no session with it yet:");
                ui::say(&ui::fault(&fault));
            }
            (None, None) => {}
        }
        if let (Some(uri), Some(terminal)) = (uri, &mut terminal) {
            qr::show(terminal, uri.expose())?;
        }
        Ok(())
    }
}
