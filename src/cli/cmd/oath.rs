//! `claviger oath`: the OATH accounts of YubiKeys, whatever they are for.

use crate::cli::args::Proof;
use crate::cli::desk::{Desk, unexpected};
use crate::cli::exit::Outcome;
use crate::cli::render::table;
use crate::cli::ui;
use crate::model::{Label, OathHash, OathKind, OathName};
use crate::secret::SecretText;
use crate::wire::{OathAccount, OathCard, OathCode, OathRename, OathRow, Reply, Request};
use clap::Subcommand;
use std::io::IsTerminal;

/// OATH accounts of YubiKeys: list, code, rename, delete
#[derive(Subcommand)]
pub(in crate::cli) enum Oath {
    /// Show the accounts of the YubiKeys that are plugged in
    #[command(
        long_about = "Show the accounts of the YubiKeys that are plugged in, and which of them make the codes of an authenticator \
                      (mfa list). It makes no code. In a name a backslash is shown twice, and what cannot be read as \\xNN; the \
                      other verbs take it so.",
        after_help = "Example:\n  claviger oath list"
    )]
    List {
        /// The YubiKey, by its serial number [default: all]
        #[arg(long, value_name = "SERIAL")]
        device: Option<u32>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        proof: Proof,
    },
    /// Print one code of an account that is none of AWS
    #[command(
        long_about = "Print one code of an account that is none of AWS. The counter of an HOTP account moves on with each: it is never \
                      asked twice. The codes of an authenticator are those of mfa code.",
        after_help = "Example:\n  claviger oath code GitHub:ada"
    )]
    Code {
        #[command(flatten)]
        account: Account,
        #[command(flatten)]
        proof: Proof,
    },
    /// Give an account another name
    #[command(
        long_about = "Give an account another name; firmware 5.3.1. An authenticator whose codes it makes goes on working. The name of \
                      an account whose codes last another time than 30 seconds begins with their number and a slash.",
        after_help = "Example:\n  claviger oath rename GitHub:ada GitHub:ada@work"
    )]
    Rename {
        #[command(flatten)]
        account: Account,
        /// Its new name
        new_name: OathName,
        #[command(flatten)]
        proof: Proof,
    },
    /// Delete an account, and its seed with it
    #[command(
        long_about = "Delete an account, and its seed with it: nothing brings it back. One that makes the codes of an authenticator \
                      stays until that is taken away (mfa deactivate, mfa remove).",
        after_help = "Example:\n  claviger oath delete GitHub:ada"
    )]
    Delete {
        #[command(flatten)]
        account: Account,
        #[command(flatten)]
        proof: Proof,
    },
}

/// Which account.
#[derive(clap::Args)]
pub(in crate::cli) struct Account {
    /// Its whole name, as oath list shows it
    account: OathName,
    /// The YubiKey, by its serial number [default: the one that is plugged in]
    #[arg(long, value_name = "SERIAL")]
    device: Option<u32>,
}

impl Oath {
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::List { device, json, proof } => list(device, json, &proof),
            Self::Code { account: Account { account, device }, proof } => {
                let request = Request::OathCode(OathAccount { device, account });
                let Reply::OathCode(OathCode { code, seconds_left }) = Desk::open(&proof)?.ask(&request)? else {
                    return Err(unexpected());
                };
                ui::secret_line(code.expose())?;
                if let Some(seconds) = seconds_left.filter(|_| std::io::stdout().is_terminal()) {
                    ui::say(&format!("good for {seconds} s"));
                }
                Ok(())
            }
            Self::Rename { account: Account { account, device }, new_name, proof } => {
                let said = format!("Account {} is now {}.", Label(&account.to_string()), Label(&new_name.to_string()));
                Desk::open(&proof)?.done(&Request::OathRename(OathRename { device, account, new_name }))?;
                ui::say(&said);
                Ok(())
            }
            Self::Delete { account: Account { account, device }, proof } => {
                let said = format!("Account {} is deleted.", Label(&account.to_string()));
                Desk::open(&proof)?.done(&Request::OathDelete(OathAccount { device, account }))?;
                ui::say(&said);
                Ok(())
            }
        }
    }
}

fn list(device: Option<u32>, json: bool, proof: &Proof) -> Outcome {
    let Reply::OathCards(cards) = Desk::open(proof)?.ask(&Request::OathList { device })? else {
        return Err(unexpected());
    };
    if json {
        return ui::json(&cards);
    }
    if cards.is_empty() {
        ui::say("No YubiKey with OATH accounts is plugged in.");
        return Ok(());
    }
    for card in &cards {
        if let Some(fault) = &card.fault {
            ui::say(&fault.to_string());
        } else if card.accounts.is_empty() {
            ui::say(&format!("{} holds no account.", name(card)));
        }
    }
    ui::data(page(&cards, ui::page_width()).as_bytes())
}

fn page(cards: &[OathCard], width: Option<usize>) -> String {
    let rows = cards.iter().flat_map(|card| card.accounts.iter().map(move |account| (card, account)));
    table(
        width,
        ["SERIAL", "CODES", "TOUCH", "AUTHENTICATOR", "ACCOUNT"],
        rows.map(|(card, account)| {
            [
                card.serial.map_or_else(|| "-".to_owned(), |serial| serial.to_string()),
                codes(account),
                account.touch.map_or("-", |touch| if touch { "always" } else { "no" }).to_owned(),
                account.authenticator.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
                account.name.to_string(),
            ]
        }),
    )
}

/// How the codes are made, as far as it is not the usual way.
fn codes(account: &OathRow) -> String {
    let kind = match (account.kind, account.period) {
        (OathKind::Hotp, _) => "HOTP".to_owned(),
        (OathKind::Totp, None | Some(30)) => "TOTP".to_owned(),
        (OathKind::Totp, Some(seconds)) => format!("TOTP {seconds} s"),
    };
    match account.hash {
        OathHash::Sha1 => kind,
        OathHash::Sha256 => format!("{kind} SHA-256"),
        OathHash::Sha512 => format!("{kind} SHA-512"),
    }
}

fn name(card: &OathCard) -> String {
    card.serial.map_or_else(|| Label(&card.product).to_string(), |serial| serial.to_string())
}

#[cfg(test)]
mod tests {
    use super::page;
    use crate::model::{Firmware, OathHash, OathKind, OathName};
    use crate::wire::{OathCard, OathRow};

    #[test]
    fn accounts_are_listed_by_card_with_what_is_unusual() {
        let row = |name: &[u8], kind, hash, period, touch, authenticator: Option<&str>| OathRow {
            name: OathName::of(name).unwrap(),
            kind,
            hash,
            period,
            touch,
            authenticator: authenticator.map(|name| name.parse().unwrap()),
        };
        let (totp, hotp) = (OathKind::Totp, OathKind::Hotp);
        let accounts = vec![
            row(b"Amazon Web Services:ada", totp, OathHash::Sha1, Some(30), Some(true), Some("key")),
            row(b"60/CORP\\ada\x1b[2J", totp, OathHash::Sha256, Some(60), Some(false), None),
            row(b"bank\xff", hotp, OathHash::Sha1, None, None, None),
        ];
        let card = OathCard {
            product: "Yubico YubiKey OTP+FIDO+CCID 00 00".to_owned(),
            serial: Some(12_345_678),
            firmware: Some(Firmware(5, 7, 1)),
            accounts,
            fault: None,
        };
        insta::assert_snapshot!(page(&[card], None), @r"
        SERIAL    CODES              TOUCH   AUTHENTICATOR  ACCOUNT
        12345678  TOTP               always  key            Amazon Web Services:ada
        12345678  TOTP 60 s SHA-256  no      -              60/CORP\\ada\x1b[2J
        12345678  HOTP               -       -              bank\xff
        ");
    }
}
