//! A YubiKey 5 in software: PIV, OATH, management and the serial number of OTP, over `pcscd/reader.c`.
//!
//!     claviger-virtual-yubikey --bus FOLDER --control SOCKET [--serial N] [--firmware 5.4.3]

mod oath;
mod piv;
mod tlv;

use claviger_card_link::{Card, Command, Moment, Options, Status, run};
use std::process::ExitCode;
use tlv::field;

/// An answer, or the status word of a refusal.
pub(crate) type Answer = Result<Vec<u8>, Status>;

/// Wrong data, or data about what is not there (ISO 7816-4 section 5.6).
pub(crate) const WRONG_DATA: Status = 0x6A80;
/// Not verified, or not touched.
pub(crate) const NOT_ALLOWED: Status = 0x6982;
/// No such instruction.
pub(crate) const UNKNOWN: Status = 0x6D00;

/// Firmware: major, minor, patch.
pub(crate) type Version = (u8, u8, u8);

/// Which key this is.
#[derive(Clone, Copy)]
pub(crate) struct Identity {
    pub(crate) version: Version,
    pub(crate) serial: u32,
}

impl Identity {
    pub(crate) fn version(&self) -> [u8; 3] {
        let (major, minor, patch) = self.version;
        [major, minor, patch]
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Applet {
    Management,
    Otp,
    Piv,
    Oath,
}

/// The applets, by what their identifiers begin with.
const APPLETS: [(&[u8], Applet); 4] = [
    (&[0xA0, 0, 0, 3, 8], Applet::Piv),
    (&[0xA0, 0, 0, 5, 0x27, 0x21, 0x01], Applet::Oath),
    (&[0xA0, 0, 0, 5, 0x27, 0x47, 0x11, 0x17], Applet::Management),
    (&[0xA0, 0, 0, 5, 0x27, 0x20, 0x01], Applet::Otp),
];

struct YubiKey {
    identity: Identity,
    selected: Option<Applet>,
    piv: piv::Piv,
    oath: oath::Oath,
}

impl YubiKey {
    /// Another applet takes over; the one before forgets what was verified.
    fn select(&mut self, name: &[u8]) -> Answer {
        let (_, applet) = APPLETS.iter().find(|(start, _)| name.starts_with(start)).ok_or(0x6A82u16)?;
        self.piv.forget();
        self.oath.forget();
        self.selected = Some(*applet);
        let (major, minor, patch) = self.identity.version;
        Ok(match applet {
            Applet::Piv => piv::selected(),
            Applet::Oath => self.oath.selected(&self.identity),
            Applet::Management => format!("Virtual mgr - FW version {major}.{minor}.{patch}").into_bytes(),
            Applet::Otp => vec![major, minor, patch, 1, 0, 0],
        })
    }

    /// READ CONFIG: FIDO2, OATH and PIV over USB, a key with a USB-A plug.
    fn configuration(&self) -> Vec<u8> {
        let fields = [
            field(0x01, &[0x02, 0x30]),
            field(0x02, &self.identity.serial.to_be_bytes()),
            field(0x03, &[0x02, 0x30]),
            field(0x04, &[0x01]),
            field(0x05, &self.identity.version()),
            field(0x06, &[0, 0]),
            field(0x07, &[15]),
            field(0x08, &[0]),
            field(0x0A, &[0]),
        ]
        .concat();
        [vec![fields.len() as u8], fields].concat()
    }
}

impl Card for YubiKey {
    fn atr(&self) -> &[u8] {
        const FOUR: &[u8] = b"\x3B\xF8\x13\x00\x00\x81\x31\xFE\x15YubiKey4\xD4";
        const FIVE: &[u8] = b"\x3B\xFD\x13\x00\x00\x81\x31\xFE\x15\x80\x73\xC0\x21\xC0\x57YubiKey\x40";
        if self.identity.version.0 == 4 { FOUR } else { FIVE }
    }

    fn reset(&mut self) {
        self.selected = None;
        self.piv.forget();
        self.oath.forget();
    }

    fn more(&self) -> u8 {
        if self.selected == Some(Applet::Oath) { 0xA5 } else { 0xC0 }
    }

    fn command(&mut self, command: &Command, moment: &Moment) -> (Vec<u8>, Status) {
        let answer = match (self.selected, command.instruction) {
            (_, 0xA4) if command.p1 == 4 => self.select(&command.data),
            (Some(Applet::Management), 0x1D) => Ok(self.configuration()),
            (Some(Applet::Otp), 0x01) if command.p1 == 0x10 => Ok(self.identity.serial.to_be_bytes().to_vec()),
            (Some(Applet::Otp), 0x03) => Ok([&self.identity.version()[..], &[1, 0, 0]].concat()),
            (Some(Applet::Piv), _) => self.piv.obey(&self.identity, command, moment),
            (Some(Applet::Oath), _) => self.oath.obey(&self.identity, command, moment),
            _ => Err(UNKNOWN),
        };
        answer.map_or_else(|status| (Vec::new(), status), |data| (data, 0x9000))
    }
}

fn version(text: &str) -> Option<Version> {
    let numbers: Vec<u8> = text.split('.').map_while(|number| number.parse().ok()).collect();
    let [major, minor, patch] = numbers.try_into().ok()?;
    Some((major, minor, patch))
}

fn main() -> ExitCode {
    let options = Options::of_process();
    let serial = options.value("--serial").unwrap_or("1").parse().ok();
    let (Some(version), Some(serial)) = (version(options.value("--firmware").unwrap_or("5.4.3")), serial) else {
        eprintln!("--firmware is MAJOR.MINOR.PATCH, --serial a number");
        return ExitCode::FAILURE;
    };
    let identity = Identity { version, serial };
    let mut card = YubiKey { identity, selected: None, piv: piv::Piv::new(version), oath: oath::Oath::new() };
    match run(&options, "1050-0407", &mut card) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
