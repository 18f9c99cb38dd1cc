//! Nitrokey's PIV applet (`piv-authenticator`) over Trussed's virtual platform: a card that nobody here wrote. What
//! stands here passes commands on, and repairs two of them.
//!
//!     claviger-nitrokey-card --bus FOLDER --control SOCKET [--firmware 5.4.3]
//!
//! Touch policies mean nothing to it, and its random numbers are the same in every run.

mod dispatch;

use claviger_card_link::{Card, Command, Moment, Options, Status, run};
use iso7816::command::CommandView;
use std::process::ExitCode;
use trussed::virt::StoreConfig;

/// The whole name of the applet: it wants more of it than clients send.
const PIV: [u8; 11] = [0xA0, 0, 0, 3, 8, 0, 0, 0x10, 0, 1, 0];
/// What a Nitrokey 3 answers to reset.
const ATR: &[u8] = b"\x3B\x8F\x01\x80\x5D\x4E\x69\x74\x72\x6F\x6B\x65\x79\x00\x00\x00\x00\x00\x6A";

struct Nitrokey<C: piv_authenticator::Client> {
    piv: piv_authenticator::Authenticator<C>,
    selected: bool,
    /// Told instead of its own 6.6.6.
    version: Option<Vec<u8>>,
}

impl<C: piv_authenticator::Client> Card for Nitrokey<C> {
    fn atr(&self) -> &[u8] {
        ATR
    }

    fn reset(&mut self) {
        self.selected = false;
        self.piv.deselect();
    }

    fn command(&mut self, command: &Command, _: &Moment) -> (Vec<u8>, Status) {
        let mut command = command.clone();
        if command.instruction == 0xA4 && command.p1 == 4 {
            self.selected = command.data.starts_with(&PIV[..5]);
            command.data = PIV.to_vec();
        }
        if !self.selected {
            return (Vec::new(), 0x6A82);
        }
        if let (0xFD, Some(version)) = (command.instruction, &self.version) {
            return (version.clone(), 0x9000);
        }
        let bytes = command.bytes();
        let Ok(view) = CommandView::try_from(bytes.as_slice()) else { return (Vec::new(), 0x6700) };
        let mut answer: heapless::Vec<u8, 8192> = heapless::Vec::new();
        let status = self.piv.respond(view, &mut answer).map_or_else(Status::from, |()| 0x9000);
        (answer.to_vec(), status)
    }
}

fn main() -> ExitCode {
    let options = Options::of_process();
    let version = options.value("--firmware").map(|text| text.split('.').flat_map(str::parse).collect());
    let outcome = trussed::virt::with_platform(StoreConfig::ram(), |platform| {
        let clients = [("piv", dispatch::BACKENDS)];
        platform.run_clients_with_backends(clients, dispatch::Dispatch::new(), |[client]| {
            let piv = piv_authenticator::Authenticator::new(client, piv_authenticator::Options::default());
            run(&options, "20a0-42b2", &mut Nitrokey { piv, selected: false, version })
        })
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
