//! `doctor` about devices: what keeps them from being seen, spoken to or trusted.

use crate::device::Error;
use crate::server::{Server, fault};
use claviger::model::Label;
use claviger::wire::{DeviceKind, DeviceList, DeviceRow, Finding, Level, Reply};
use std::sync::Arc;

/// A PIN with fewer tries than this is worth a word before the next one is typed.
const TRIES_WARNED: u8 = 2;

impl Server {
    /// One line about all that is well, else a line for each thing that is not.
    pub(super) async fn diagnose_devices(self: &Arc<Self>) -> Vec<Finding> {
        if !self.devices().is_installed() {
            let text = "no device helper is installed: YubiKeys and FIDO2 devices are not used";
            return vec![Finding::new("devices", Level::Note, text)];
        }
        let list = match self.device_list().await {
            Ok(Reply::Devices(list)) => list,
            Ok(_) => return Vec::new(),
            Err(fault) => return vec![super::doctor::problem("devices", fault)],
        };
        let found = findings(&list);
        if !found.is_empty() {
            return found;
        }
        let text = match list.devices.len() {
            0 => "none is plugged in".to_owned(),
            1 => "one is plugged in, and answers".to_owned(),
            count => format!("{count} are plugged in, and answer"),
        };
        vec![Finding::new("devices", Level::Ok, text)]
    }
}

fn findings(list: &DeviceList) -> Vec<Finding> {
    let missing = fault::device::fault(&Error::ServiceMissing, None);
    let mut found: Vec<Finding> = Vec::new();
    for fault in &list.faults {
        // Who has no card needs no pcscd.
        let level = if fault.code == missing.code { Level::Note } else { Level::Problem };
        let text = match fault.code == missing.code {
            true => "pcscd does not run: YubiKeys' OATH and PIV are not seen".to_owned(),
            false => fault.message.clone(),
        };
        found.push(Finding { hint: fault.hint.clone(), ..Finding::new("devices", level, text) });
    }
    list.devices.iter().for_each(|row| found.extend(of_row(row)));
    found
}

fn of_row(row: &DeviceRow) -> Vec<Finding> {
    let name = row.serial.map_or_else(|| Label(&row.product).to_string(), |serial| format!("YubiKey {serial}"));
    let warn = |text: String| Finding::new("devices", Level::Warning, format!("{name}: {text}"));
    let mut found = Vec::new();
    if let Some(fault) = &row.fault {
        found.push(Finding { hint: fault.hint.clone(), ..warn(fault.message.clone()) });
    }
    if row.firmware.is_some_and(|firmware| firmware.makes_weak_rsa()) {
        found.push(warn("RSA keys that it made can be broken (YSA-2017-01, ROCA): have it replaced".to_owned()));
    }
    let counted = match row.kind {
        DeviceKind::Card => [("PIV PIN", row.pin_tries), ("PIV PUK", row.puk_tries)],
        DeviceKind::Fido => [("PIN", row.pin_tries), ("PUK", None)],
    };
    for (what, tries) in counted {
        match tries {
            Some(0) => found.push(warn(format!("its {what} is blocked"))),
            Some(left) if left < TRIES_WARNED => found.push(warn(format!("its {what} has one try left"))),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::findings;
    use claviger::model::Firmware;
    use claviger::wire::{Code, DeviceKind, DeviceList, DeviceRow, Fault, Level};

    fn row() -> DeviceRow {
        DeviceRow {
            kind: DeviceKind::Card,
            product: "Yubico YubiKey 00 00".to_owned(),
            serial: Some(7),
            firmware: Some(Firmware(5, 7, 1)),
            applets: vec!["piv".to_owned()],
            pin_tries: Some(3),
            puk_tries: Some(3),
            notes: Vec::new(),
            fault: None,
        }
    }

    #[test]
    fn each_trouble_has_its_line_and_none_has_none() {
        let list = |devices, faults| DeviceList { devices, faults };
        assert!(findings(&list(vec![row()], Vec::new())).is_empty());
        let old = DeviceRow { firmware: Some(Firmware(4, 3, 4)), pin_tries: Some(1), puk_tries: Some(0), ..row() };
        let held = DeviceRow { fault: Some(Fault::new(Code::DeviceHeld, "held")), ..row() };
        let missing = Fault::new(Code::DeviceServiceMissing, "pcscd does not run");
        let refused = Fault::new(Code::DeviceNotPermitted, "this user may not open the device");
        let found = findings(&list(vec![old, held], vec![missing, refused]));
        let levels: Vec<Level> = found.iter().map(|finding| finding.level).collect();
        use Level::{Note, Problem, Warning};
        assert_eq!(levels, [Note, Problem, Warning, Warning, Warning, Warning]);
        assert!(found[2].text.contains("ROCA") && found[3].text.contains("one try") && found[4].text.contains("PUK"));
    }
}
