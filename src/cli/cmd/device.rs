//! `claviger device`: the hardware that is plugged in.

use crate::cli::args::Proof;
use crate::cli::desk::{Desk, unexpected};
use crate::cli::exit::Outcome;
use crate::cli::render::table;
use crate::cli::ui;
use crate::wire::{DeviceKind, DeviceList, DeviceRow, Reply, Request};
use clap::Subcommand;

/// YubiKeys and other devices: list
#[derive(Subcommand)]
pub(in crate::cli) enum Device {
    /// Show what is plugged in
    #[command(
        long_about = "Show what is plugged in: serial number, firmware, applets, tries of the PIN and PUK that are left, and who \
                      holds a device that cannot be spoken to. It costs no try and needs no vault.",
        after_help = "Example:\n  claviger device list"
    )]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

impl Device {
    pub(super) fn run(self) -> Outcome {
        let Self::List { json } = self;
        let Reply::Devices(list) = Desk::open(&Proof::default())?.ask(&Request::DeviceList {})? else {
            return Err(unexpected());
        };
        if json {
            return ui::json(&list);
        }
        for fault in &list.faults {
            ui::say(&fault.to_string());
        }
        if list.devices.is_empty() {
            ui::say("No device is plugged in.");
            return Ok(());
        }
        ui::data(page(&list, ui::page_width()).as_bytes())
    }
}

fn page(list: &DeviceList, width: Option<usize>) -> String {
    let number = |number: Option<u32>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let mut page = table(
        width,
        ["SERIAL", "FIRMWARE", "APPLETS", "PIN", "PUK", "DEVICE"],
        list.devices.iter().map(|row| {
            let firmware = row.firmware.map_or_else(|| "-".to_owned(), |firmware| firmware.to_string());
            let applets = if row.applets.is_empty() { "-".to_owned() } else { row.applets.join(" ") };
            [number(row.serial), firmware, applets, tries(row.pin_tries), tries(row.puk_tries), row.product.clone()]
        }),
    );
    for row in &list.devices {
        for note in row.notes.iter().chain(row.fault.as_ref().map(|fault| &fault.message)) {
            page.push_str(&format!("{}: {}\n", crate::model::Label(&name(row)), crate::model::Label(note)));
        }
    }
    page
}

/// What people call a device: by its serial number where it has one.
fn name(row: &DeviceRow) -> String {
    match (row.serial, row.kind) {
        (Some(serial), _) => serial.to_string(),
        (None, DeviceKind::Card | DeviceKind::Fido) => row.product.clone(),
    }
}

fn tries(left: Option<u8>) -> String {
    match left {
        None => "-".to_owned(),
        Some(0) => "blocked".to_owned(),
        Some(left) => format!("{left} left"),
    }
}

#[cfg(test)]
mod tests {
    use super::page;
    use crate::model::Firmware;
    use crate::wire::{Code, DeviceKind, DeviceList, DeviceRow, Fault};

    #[test]
    fn a_device_that_cannot_be_spoken_to_says_why() {
        let row = DeviceRow {
            kind: DeviceKind::Card,
            product: "Yubico YubiKey OTP+FIDO+CCID 00 00".to_owned(),
            serial: Some(12_345_678),
            firmware: Some(Firmware(5, 7, 1)),
            applets: vec!["oath".to_owned(), "piv".to_owned()],
            pin_tries: Some(3),
            puk_tries: Some(0),
            notes: vec!["OATH has a password".to_owned()],
            fault: None,
        };
        let held = DeviceRow {
            kind: DeviceKind::Card,
            product: "Yubico \u{1b}[2J 01 00".to_owned(),
            serial: None,
            firmware: None,
            applets: Vec::new(),
            pin_tries: None,
            puk_tries: None,
            notes: Vec::new(),
            fault: Some(Fault::new(Code::DeviceHeld, "another program holds the device: scdaemon (pid 7)")),
        };
        let list = DeviceList { devices: vec![row, held], faults: Vec::new() };
        insta::assert_snapshot!(page(&list, None), @"
        SERIAL    FIRMWARE  APPLETS   PIN     PUK      DEVICE
        12345678  5.7.1     oath piv  3 left  blocked  Yubico YubiKey OTP+FIDO+CCID 00 00
        -         -         -         -       -        Yubico ?[2J 01 00
        12345678: OATH has a password
        Yubico ?[2J 01 00: another program holds the device: scdaemon (pid 7)
        ");
    }
}
