//! Requests about the devices themselves.

use crate::device::{Address, Answer, CardInfo, Error, Found, Operation, fido};
use crate::server::{Server, fault};
use claviger::wire::{DeviceKind, DeviceList, DeviceRow, Fault, Reply};
use futures_util::future::join_all;
use std::sync::Arc;
use tokio::sync::mpsc;

impl Server {
    /// What is plugged in, each asked what it is, all at once: one that hangs holds up nobody for long.
    pub(super) async fn device_list(self: &Arc<Self>) -> Result<Reply, Fault> {
        let present = self.devices().present().await.map_err(|error| fault::device::fault(&error, None))?;
        let faults = present.cards.iter().chain(&present.fido).map(|error| fault::device::fault(error, None)).collect();
        let devices = join_all(present.devices.iter().map(|found| self.device_row(found))).await;
        Ok(Reply::Devices(DeviceList { devices, faults }))
    }

    async fn device_row(&self, found: &Found) -> DeviceRow {
        let (kind, question) = match found.address {
            Address::Card(_) => (DeviceKind::Card, Operation::DescribeCard {}),
            Address::Fido(_) => (DeviceKind::Fido, Operation::Fido(fido::Operation::Describe {})),
        };
        let mut row = DeviceRow {
            kind,
            product: found.product.clone(),
            serial: None,
            firmware: None,
            applets: Vec::new(),
            pin_tries: None,
            puk_tries: None,
            notes: Vec::new(),
            fault: None,
        };
        // Nobody is asked to touch anything for this.
        let (notices, _) = mpsc::unbounded_channel();
        match self.devices().run(found, question, notices).await {
            Ok(Answer::Card(card)) => describe_card(&mut row, &card),
            Ok(Answer::Fido(fido::Answer::Info(info))) => describe_fido(&mut row, &info),
            Ok(_) => row.fault = Some(fault::device::fault(&Error::HelperSpeech, None)),
            Err(error) => row.fault = Some(fault::device::fault(&error, None)),
        }
        row
    }
}

fn describe_card(row: &mut DeviceRow, card: &CardInfo) {
    (row.serial, row.firmware) = (card.serial, card.firmware);
    if let Some(oath) = &card.oath {
        row.applets.push("oath".to_owned());
        if oath.locked {
            row.notes.push("OATH has a password".to_owned());
        }
    }
    if let Some(piv) = &card.piv {
        row.applets.push("piv".to_owned());
        (row.pin_tries, row.puk_tries) = (piv.pin_tries, piv.puk_tries);
        if piv.version.makes_weak_rsa() {
            row.notes.push("RSA keys that it made can be broken (YSA-2017-01, ROCA)".to_owned());
        }
    }
}

fn describe_fido(row: &mut DeviceRow, info: &fido::Info) {
    row.applets.push("fido2".to_owned());
    row.pin_tries = info.pin_tries;
    match info.pin_set {
        Some(false) => row.notes.push("no PIN is set".to_owned()),
        None => row.notes.push("it can have no PIN".to_owned()),
        Some(true) => {}
    }
    row.notes.extend(info.versions.iter().filter(|version| version.starts_with("FIDO_")).max().cloned());
}
