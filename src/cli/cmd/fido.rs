//! `claviger fido`: SSH keys on FIDO2 devices, and their PINs.

use crate::cli::args::{Proof, descriptor};
use crate::cli::desk::{Desk, unexpected};
use crate::cli::exit::Outcome;
use crate::cli::render::table;
use crate::cli::terminal::Terminal;
use crate::cli::{intake, ui};
use crate::model::{Label, Name};
use crate::secret::{Pin, SecretText};
use crate::wire::{Fault, FidoOptions, FidoPins, FidoRow, Reply, Request};
use clap::Subcommand;

/// FIDO2 devices: list, new, pin
#[derive(Subcommand)]
pub(in crate::cli) enum Fido {
    /// Show the SSH keys that a device keeps
    #[command(
        long_about = "Show the SSH keys that a device keeps (resident keys), with their lines for authorized_keys. It takes the PIN.",
        after_help = "Example:\n  claviger fido list"
    )]
    List {
        #[command(flatten)]
        device: Device,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make an SSH key on a device, and keep its name in the vault
    #[command(
        long_about = "Make an SSH key on a device, which is to be touched for it, and for each use. What the vault keeps is the \
                      name of the key: without the device nobody can sign with it.",
        after_help = "Examples:\n  claviger fido new work\n  claviger fido new work --resident --verify-required"
    )]
    New {
        /// Its name here
        name: Name,
        /// ECDSA over nistp256, for devices without Ed25519
        #[arg(long)]
        ecdsa: bool,
        /// Keep it on the device, so that it can be loaded anywhere
        #[arg(long)]
        resident: bool,
        /// Want the PIN for each use
        #[arg(long)]
        verify_required: bool,
        /// The relying party, beginning with ssh: [default: ssh:]
        #[arg(long, value_name = "ssh:NAME")]
        application: Option<String>,
        /// The user's name in a resident key
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        #[command(flatten)]
        device: Device,
        #[command(flatten)]
        proof: Proof,
    },
    /// Set or change the PIN of a device
    #[command(
        long_about = "Set the PIN of a device that has none, or change it: 4 to 63 characters. A wrong one costs a try.",
        after_help = "Examples:\n  claviger fido pin\n  claviger fido pin --set --new-pin-fd 3 3<pin"
    )]
    Pin {
        /// The device has no PIN yet
        #[arg(long, conflicts_with = "pin_fd")]
        set: bool,
        /// Read the new PIN from file descriptor N instead of the terminal
        #[arg(long, value_name = "N", value_parser = descriptor)]
        new_pin_fd: Option<u32>,
        #[command(flatten)]
        device: Device,
    },
}

/// Which device, and how its PIN comes.
#[derive(clap::Args)]
pub(in crate::cli) struct Device {
    /// The device, by its path or a part of what device list shows
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// Read the PIN from file descriptor N instead of the terminal
    #[arg(long, value_name = "N", value_parser = descriptor)]
    pin_fd: Option<u32>,
}

impl Fido {
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::List { device: Device { device, pin_fd }, json } => {
                let pin = pin("PIN of the device: ", pin_fd, "--pin-fd")?;
                let Reply::FidoCredentials(rows) =
                    Desk::open(&Proof::default())?.ask(&Request::FidoList { device, pin })?
                else {
                    return Err(unexpected());
                };
                list(&rows, json)
            }
            Self::New { name, ecdsa, resident, verify_required, application, user, device, proof } => {
                let Device { device, pin_fd } = device;
                let mut desk = Desk::open(&proof)?;
                desk.require_open_vault()?;
                let wants_pin = resident || verify_required || pin_fd.is_some();
                let pin = wants_pin.then(|| pin("PIN of the device: ", pin_fd, "--pin-fd")).transpose()?;
                let options = FidoOptions { ecdsa, resident, verify_required, application, user };
                let Reply::SshKey(row) = desk.ask(&Request::FidoNew { name, device, options, pin })? else {
                    return Err(unexpected());
                };
                ui::data(super::ssh_key::line(&row)?.as_bytes())?;
                ui::say(&format!(
                    "SSH key {} ({}) is on the device, and its name in the vault.",
                    row.name, row.fingerprint
                ));
                Ok(())
            }
            Self::Pin { set, new_pin_fd, device: Device { device, pin_fd } } => {
                let old = (!set).then(|| pin("Current PIN: ", pin_fd, "--pin-fd")).transpose()?;
                let new = new_pin(new_pin_fd)?;
                let request = Request::FidoPin(FidoPins { device, old, new });
                let Reply::Done {} = Desk::open(&Proof::default())?.ask(&request)? else { return Err(unexpected()) };
                ui::say("The device has its new PIN.");
                Ok(())
            }
        }
    }
}

fn pin(prompt: &str, number: Option<u32>, flag: &str) -> Result<Pin, Fault> {
    if let Some(number) = number {
        return intake::descriptor(number).map(|text| Pin::from_text(text.to_string()));
    }
    let mut terminal = Terminal::open().ok_or_else(|| intake::no_terminal("the PIN", &format!("{flag} N")))?;
    terminal.ask_hidden(prompt).map(Pin::from_text)
}

/// From a descriptor, or typed twice.
fn new_pin(number: Option<u32>) -> Result<Pin, Fault> {
    let first = pin("New PIN: ", number, "--new-pin-fd")?;
    if number.is_some() || pin("The same again: ", None, "--new-pin-fd")?.expose() == first.expose() {
        return Ok(first);
    }
    Err(Fault::new(crate::wire::Code::Usage, "the two PINs differ").hint(intake::help()))
}

fn list(rows: &[FidoRow], json: bool) -> Outcome {
    if json {
        return ui::json(&rows);
    }
    if rows.is_empty() {
        ui::say("The device keeps no SSH keys.");
        return Ok(());
    }
    let mut page = table(
        ui::page_width(),
        ["TYPE", "APPLICATION", "USER", "PIN", "FINGERPRINT"],
        rows.iter().map(|row| {
            let user = if row.user.is_empty() { "-".to_owned() } else { row.user.clone() };
            let verified = if row.verify_required { "always" } else { "-" };
            [row.algorithm.clone(), row.application.clone(), user, verified.to_owned(), row.fingerprint.clone()]
        }),
    );
    for row in rows {
        page.push_str(&format!("{}\n", Label(&row.line)));
    }
    ui::data(page.as_bytes())
}
