//! Which steps of which TOTP device are spent. Pure.

use claviger::model::MfaSerial;
use std::collections::{BTreeMap, VecDeque};

/// How many burned steps of a device are kept one by one: an hour of nothing but codes.
const RECENT: usize = 128;

/// How far above the step in question a floor still counts: ten minutes. A floor further up comes from a clock that
/// has since gone back; it must not spend every code until then. AWS takes no code that old.
const FLOOR_REACH: u64 = 20;

/// The ledger.
#[derive(Default)]
pub(super) struct Ledger {
    /// Every step of every device up to here is burned.
    floor: Option<u64>,
    devices: BTreeMap<MfaSerial, Device>,
}

/// The burned steps of one device.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(super) struct Device {
    /// The highest step that is no longer kept by itself.
    pub(super) floor: Option<u64>,
    /// The last steps burned, in the order they were.
    pub(super) recent: VecDeque<u64>,
}

impl Ledger {
    pub(super) fn is_burned(&self, serial: &MfaSerial, step: u64) -> bool {
        let device = self.devices.get(serial);
        under(self.floor, step)
            || device.is_some_and(|device| under(device.floor, step) || device.recent.contains(&step))
    }

    /// Burns a step; returns the device as it was, for [`Ledger::restore`].
    pub(super) fn burn(&mut self, serial: &MfaSerial, step: u64) -> Option<Device> {
        let before = self.devices.get(serial).cloned();
        let device = self.devices.entry(serial.clone()).or_default();
        device.recent.push_back(step);
        if device.recent.len() > RECENT {
            device.floor = device.floor.max(device.recent.pop_front());
        }
        before
    }

    /// Takes a burn back that was not written.
    pub(super) fn restore(&mut self, serial: &MfaSerial, before: Option<Device>) {
        match before {
            Some(device) => drop(self.devices.insert(serial.clone(), device)),
            None => drop(self.devices.remove(serial)),
        }
    }

    /// Takes a burn back whose code never left.
    pub(super) fn unburn(&mut self, serial: &MfaSerial, step: u64) {
        if let Some(device) = self.devices.get_mut(serial) {
            device.recent.retain(|burned| *burned != step);
        }
    }

    /// The newest floor stands, even where it is lower: a clock that went back made it.
    pub(super) fn floor_all(&mut self, step: u64) {
        self.floor = Some(step);
    }

    pub(super) fn floor(&self) -> Option<u64> {
        self.floor
    }

    pub(super) fn devices(&self) -> &BTreeMap<MfaSerial, Device> {
        &self.devices
    }

    pub(super) fn put(&mut self, serial: MfaSerial, device: Device) {
        self.devices.insert(serial, device);
    }
}

fn under(floor: Option<u64>, step: u64) -> bool {
    floor.is_some_and(|floor| step <= floor && floor - step <= FLOOR_REACH)
}
