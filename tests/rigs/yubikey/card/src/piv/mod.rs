//! PIV (NIST SP 800-73-4 part 2) with Yubico's extensions: policies, metadata, attestation, moving of keys.

mod attest;
mod key;
mod management;
mod pin;

use crate::tlv::{Field, field, fields, find, inside};
use crate::{Answer, Identity, NOT_ALLOWED, UNKNOWN, Version, WRONG_DATA};
use claviger_card_link::{Command, Moment, Status};
use key::Key;
use management::Management;
use pin::Pin;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// No key in this slot.
const NO_KEY: Status = 0x6A88;
/// How long a touch is remembered by a key with that policy.
const CACHED: Duration = Duration::from_secs(15);
/// The slot of the attestation key, and the object of its certificate.
const ATTESTATION: u8 = 0xF9;
const ATTESTATION_OBJECT: [u8; 3] = [0x5F, 0xFF, 0x01];
/// Objects that only a verified PIN reads: fingerprints, printed, face, iris.
const PRIVATE: [[u8; 3]; 4] = [[0x5F, 0xC1, 0x03], [0x5F, 0xC1, 0x09], [0x5F, 0xC1, 0x08], [0x5F, 0xC1, 0x21]];
/// The longest object.
const LONGEST: usize = 3052;

/// When a key wants the PIN, or a touch.
mod policy {
    pub(super) const NEVER: u8 = 1;
    pub(super) const ONCE: u8 = 2;
    pub(super) const ALWAYS: u8 = 3;
    /// Of a touch.
    pub(super) const ALWAYS_TOUCH: u8 = 2;
    pub(super) const CACHED_TOUCH: u8 = 3;
}

struct Slot {
    key: Key,
    pin: u8,
    touch: u8,
    generated: bool,
    touched: Option<Instant>,
}

/// The applet.
pub(crate) struct Piv {
    version: Version,
    pin: Pin,
    puk: Pin,
    management: Management,
    slots: BTreeMap<u8, Slot>,
    objects: BTreeMap<Vec<u8>, Vec<u8>>,
    verified: bool,
    /// Verified, and no key used since.
    fresh: bool,
}

/// The answer to SELECT: the application property template.
pub(crate) fn selected() -> Vec<u8> {
    let authority = field(0x79, &field(0x4F, &[0xA0, 0, 0, 3, 8]));
    field(0x61, &[field(0x4F, &[0, 0, 0x10, 0, 1, 0]), authority].concat())
}

impl Piv {
    pub(crate) fn new(version: Version) -> Self {
        let key = Key::generate(0x11, version).expect("every key has P-256");
        let mut objects = BTreeMap::new();
        if let Some(certificate) = attest::root(&key) {
            let object = [field(0x70, &certificate), field(0x71, &[0]), field(0xFE, &[])].concat();
            objects.insert(ATTESTATION_OBJECT.to_vec(), object);
        }
        let slot = Slot { key, pin: policy::NEVER, touch: 1, generated: true, touched: None };
        Self {
            version,
            pin: Pin::factory_pin(3),
            puk: Pin::factory_puk(3),
            management: Management::new(version),
            slots: BTreeMap::from([(ATTESTATION, slot)]),
            objects,
            verified: false,
            fresh: false,
        }
    }

    /// Power went, or another applet was selected.
    pub(crate) fn forget(&mut self) {
        (self.verified, self.fresh) = (false, false);
        self.management.forget();
    }

    pub(crate) fn obey(&mut self, identity: &Identity, command: &Command, moment: &Moment) -> Answer {
        let (p1, p2, data) = (command.p1, command.p2, command.data.as_slice());
        match command.instruction {
            0xFD => Ok(identity.version().to_vec()),
            0xF8 if self.version >= (5, 0, 0) => Ok(identity.serial.to_be_bytes().to_vec()),
            0x20 => self.verify(p1, p2, data),
            0x24 | 0x2C => self.change(command.instruction, p2, data),
            0xFA => self.retries(p1, p2),
            0xFB => self.wipe(),
            0xFF => {
                self.management.allows()?;
                self.management.replace(p1, p2, data)
            }
            0x87 if p2 == management::SLOT => self.management.authenticate(p1, data, moment),
            0x87 => self.use_key(p1, p2, data, moment),
            0x47 => self.generate(p2, data),
            0xFE => self.import(p1, p2, data),
            0xF6 if self.version >= (5, 7, 0) => self.move_key(p1, p2),
            0xCB => self.read(data),
            0xDB => self.write(data),
            0xF7 if self.version >= (5, 3, 0) => self.metadata(p2),
            0xF9 if self.version >= (4, 3, 0) => self.attest(identity, p1),
            _ => Err(UNKNOWN),
        }
    }

    /// VERIFY. Without data it asks; with P1 FF it logs out.
    fn verify(&mut self, p1: u8, p2: u8, data: &[u8]) -> Answer {
        match (p1, p2, data) {
            (0xFF, 0x80, []) => self.verified = false,
            (0, 0x80, []) => {
                let known = self.verified;
                // Firmware 5.3.1 forgets the PIN when it is asked.
                self.verified &= self.version != (5, 3, 1);
                return if known { Ok(Vec::new()) } else { Err(self.pin.status()) };
            }
            (0, 0x80, pin) => {
                (self.verified, self.fresh) = (false, false);
                self.pin.check(pin)?;
                (self.verified, self.fresh) = (true, true);
            }
            _ => return Err(NO_KEY),
        }
        Ok(Vec::new())
    }

    /// CHANGE REFERENCE DATA, RESET RETRY COUNTER: the old secret is checked before the new one is looked at.
    fn change(&mut self, instruction: u8, p2: u8, data: &[u8]) -> Answer {
        let (old, new) = data.split_at_checked(8).filter(|(_, new)| new.len() == 8).ok_or(WRONG_DATA)?;
        let fits =
            |checked: Result<(), Status>| checked.and(if new[..6].contains(&0xFF) { Err(WRONG_DATA) } else { Ok(()) });
        match (instruction, p2) {
            (0x24, 0x80) => {
                fits(self.pin.check(old))?;
                self.pin.set(new);
            }
            (0x24, 0x81) => {
                fits(self.puk.check(old))?;
                self.puk.set(new);
            }
            (0x2C, 0x80) => {
                fits(self.puk.check(old))?;
                self.pin.set(new);
            }
            _ => return Err(NO_KEY),
        }
        Ok(Vec::new())
    }

    /// SET PIN RETRIES: both secrets are the factory's again.
    fn retries(&mut self, pin: u8, puk: u8) -> Answer {
        self.management.allows()?;
        if !self.verified {
            return Err(NOT_ALLOWED);
        }
        if pin == 0 || puk == 0 {
            return Err(WRONG_DATA);
        }
        (self.pin, self.puk) = (Pin::factory_pin(pin), Pin::factory_puk(puk));
        Ok(Vec::new())
    }

    /// RESET, once PIN and PUK are blocked.
    fn wipe(&mut self) -> Answer {
        if !self.pin.is_blocked() || !self.puk.is_blocked() {
            return Err(0x6985);
        }
        *self = Self::new(self.version);
        Ok(Vec::new())
    }

    fn policies(&self, items: &[Field], slot: u8) -> Result<(u8, u8), Status> {
        let usual = match slot {
            0x9C => policy::ALWAYS,
            0x9E => policy::NEVER,
            _ => policy::ONCE,
        };
        let given = |tag| find(items, tag).and_then(|value| value.first().copied()).filter(|value| *value != 0);
        let (pin, touch) = (given(0xAA).unwrap_or(usual), given(0xAB).unwrap_or(1));
        let late = touch == policy::CACHED_TOUCH && self.version < (4, 3, 0);
        if !(1..=3).contains(&pin) || !(1..=3).contains(&touch) || late {
            return Err(WRONG_DATA);
        }
        Ok((pin, touch))
    }

    /// GENERATE ASYMMETRIC KEY PAIR.
    fn generate(&mut self, slot: u8, data: &[u8]) -> Answer {
        self.management.allows()?;
        holds_keys(slot)?;
        let items = inside(data, 0xAC).ok_or(WRONG_DATA)?;
        let Some([algorithm]) = find(&items, 0x80) else { return Err(WRONG_DATA) };
        let (pin, touch) = self.policies(&items, slot)?;
        let key = Key::generate(*algorithm, self.version)?;
        let public = field(0x7F49, &key.public());
        self.slots.insert(slot, Slot { key, pin, touch, generated: true, touched: None });
        Ok(public)
    }

    /// IMPORT ASYMMETRIC KEY.
    fn import(&mut self, algorithm: u8, slot: u8, data: &[u8]) -> Answer {
        self.management.allows()?;
        holds_keys(slot)?;
        let items = fields(data).ok_or(WRONG_DATA)?;
        let (pin, touch) = self.policies(&items, slot)?;
        let key = Key::import(algorithm, &items, self.version)?;
        self.slots.insert(slot, Slot { key, pin, touch, generated: false, touched: None });
        Ok(Vec::new())
    }

    /// MOVE KEY; to FF it is deleted.
    fn move_key(&mut self, to: u8, from: u8) -> Answer {
        self.management.allows()?;
        if to != 0xFF {
            holds_keys(to)?;
        }
        let slot = self.slots.remove(&from).ok_or(NO_KEY)?;
        if to != 0xFF {
            self.slots.insert(to, slot);
        }
        Ok(Vec::new())
    }

    /// GENERAL AUTHENTICATE with a key of a slot: a signature, a decryption, an agreement.
    #[expect(clippy::disallowed_methods, reason = "a key has no World; its fifteen seconds are real")]
    fn use_key(&mut self, algorithm: u8, slot: u8, data: &[u8], moment: &Moment) -> Answer {
        let fresh = std::mem::take(&mut self.fresh);
        let slot = self.slots.get_mut(&slot).filter(|slot| slot.key.algorithm() == algorithm).ok_or(WRONG_DATA)?;
        let items = inside(data, 0x7C).ok_or(WRONG_DATA)?;
        let pin = match slot.pin {
            policy::NEVER => true,
            policy::ONCE => self.verified,
            _ => self.verified && fresh,
        };
        if !pin {
            return Err(NOT_ALLOWED);
        }
        let known = slot.touch == policy::CACHED_TOUCH && slot.touched.is_some_and(|time| time.elapsed() < CACHED);
        if slot.touch >= policy::ALWAYS_TOUCH && !known {
            if !moment.touched() {
                return Err(NOT_ALLOWED);
            }
            slot.touched = Some(Instant::now());
        }
        let result = match (find(&items, 0x81), find(&items, 0x85)) {
            (Some(message), None) => slot.key.sign(message)?,
            (None, Some(other)) => slot.key.agree(other)?,
            _ => return Err(WRONG_DATA),
        };
        Ok(field(0x7C, &field(0x82, &result)))
    }

    /// GET DATA.
    fn read(&self, data: &[u8]) -> Answer {
        let items = fields(data).ok_or(WRONG_DATA)?;
        let name = find(&items, 0x5C).ok_or(WRONG_DATA)?;
        if name == [0x7E] {
            let whole = field(0x4F, &[0xA0, 0, 0, 3, 8, 0, 0, 0x10, 0, 1, 0]);
            return Ok(field(0x7E, &[whole, field(0x5F2F, &[0x40, 0])].concat()));
        }
        if PRIVATE.iter().any(|private| private == name) && !self.verified {
            return Err(NOT_ALLOWED);
        }
        self.objects.get(name).map(|value| field(0x53, value)).ok_or(0x6A82)
    }

    /// PUT DATA; nothing takes the object away.
    fn write(&mut self, data: &[u8]) -> Answer {
        self.management.allows()?;
        let items = fields(data).ok_or(WRONG_DATA)?;
        let (name, value) = (find(&items, 0x5C).ok_or(WRONG_DATA)?, find(&items, 0x53).ok_or(WRONG_DATA)?);
        match value.len() {
            0 => drop(self.objects.remove(name)),
            1..=LONGEST => drop(self.objects.insert(name.to_vec(), value.to_vec())),
            _ => return Err(0x6700),
        }
        Ok(Vec::new())
    }

    /// GET METADATA.
    fn metadata(&self, of: u8) -> Answer {
        let secret =
            |pin: &Pin| [field(1, &[0xFF]), field(5, &[u8::from(pin.is_default())]), field(6, &pin.tries())].concat();
        match of {
            0x80 => Ok(secret(&self.pin)),
            0x81 => Ok(secret(&self.puk)),
            management::SLOT => Ok(self.management.metadata()),
            slot => {
                let slot = self.slots.get(&slot).ok_or(NO_KEY)?;
                let origin = if slot.generated { 1 } else { 2 };
                let policies = [slot.pin, slot.touch];
                let about = [field(1, &[slot.key.algorithm()]), field(2, &policies), field(3, &[origin])].concat();
                Ok([about, field(4, &slot.key.public())].concat())
            }
        }
    }

    /// ATTEST: a certificate of a key that was made here, by the attestation key.
    fn attest(&self, identity: &Identity, name: u8) -> Answer {
        let slot = self.slots.get(&name).filter(|slot| slot.generated).ok_or(WRONG_DATA)?;
        let attestation = self.slots.get(&ATTESTATION).ok_or(WRONG_DATA)?;
        attest::certificate(identity, name, &slot.key, [slot.pin, slot.touch], &attestation.key).ok_or(0x6F00)
    }
}

/// Slots that keys are made in and brought to.
fn holds_keys(slot: u8) -> Result<(), Status> {
    if matches!(slot, 0x9A | 0x9C | 0x9D | 0x9E | 0x82..=0x95 | ATTESTATION) { Ok(()) } else { Err(0x6B00) }
}
