//! Which FIDO devices there are: by inotify on `/dev`, which sleeps in between.

use super::super::watch::insertion;
use crate::device::Error;
use crate::device::protocol::{Address, Found};
use ctap_hid_fido2::{HidInfo, HidParam, get_fidokey_devices};
use inotify::{EventMask, Inotify, WatchMask};
use std::collections::BTreeMap;
use std::path::Path;

/// Where the kernel's nodes are.
const NODES: &str = "/dev";

/// Calls with the FIDO devices, now and at each change.
pub(in crate::helper) fn watch_fido(changed: impl Fn(Result<Vec<Found>, Error>)) {
    // Where it cannot be watched, what is there now is better than nothing.
    let watched = Inotify::init().and_then(|inotify| {
        // udev gives a node to its user after it was made.
        inotify.watches().add(NODES, WatchMask::CREATE | WatchMask::DELETE | WatchMask::ATTRIB)?;
        Ok(inotify)
    });
    let mut known = BTreeMap::new();
    changed(Ok(look(&mut known)));
    let Ok(mut inotify) = watched else { return };
    let mut buffer = [0; 4096];
    while let Ok(events) = inotify.read_events_blocking(&mut buffer) {
        let mut is_news = false;
        for event in events {
            let Some(name) = event.name.and_then(|name| name.to_str()).filter(|name| name.starts_with("hidraw")) else {
                // Events were lost: anything may have come or gone.
                is_news |= event.mask.contains(EventMask::Q_OVERFLOW);
                continue;
            };
            is_news = true;
            if !event.mask.contains(EventMask::ATTRIB) {
                known.remove(&format!("{NODES}/{name}"));
            }
        }
        if is_news {
            changed(Ok(look(&mut known)));
        }
    }
}

/// Those of the FIDO usage page (CTAP 2.1, section 11.2.8.1), each with the insertion that it is known by.
fn look(known: &mut BTreeMap<String, u64>) -> Vec<Found> {
    let devices = get_fidokey_devices();
    let mut found: Vec<Found> = devices
        .iter()
        .filter_map(|device| {
            let HidParam::Path(path) = &device.param else { return None };
            // The kernel's lists have one that went for a moment longer.
            Path::new(path).exists().then(|| Found {
                address: Address::Fido(path.clone()),
                product: product(device, path),
                insertion: *known.entry(path.clone()).or_insert_with(insertion),
            })
        })
        .collect();
    known.retain(|path, _| found.iter().any(|found| found.address == Address::Fido(path.clone())));
    found.sort_unstable();
    found
}

/// What its maker calls it, its serial number where it has one, and its node: what tells it from another of its kind.
fn product(device: &HidInfo, path: &str) -> String {
    let serial = device.info.split_once(" serial_number=").and_then(|(_, rest)| rest.split_once(" path="));
    let name = if device.product_string.is_empty() { "FIDO device" } else { &device.product_string };
    match serial.map(|(serial, _)| serial).filter(|serial| !serial.is_empty()) {
        Some(serial) => format!("{name} {serial} ({path})"),
        None => format!("{name} ({path})"),
    }
}
