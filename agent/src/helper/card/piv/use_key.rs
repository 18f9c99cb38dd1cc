//! GENERAL AUTHENTICATE: a signature, a shared secret, a decryption, with the PIN and the touch that the key wants.

use super::super::link::{Apdu, Link, Status, fields, unexpected};
use super::keys::{self, Metadata};
use super::{MORE, Memory, number, select, verify};
use crate::device::{Error, Thing};
use claviger::model::{PinPolicy, PivAlgorithm, PivSlot};
use claviger::secret::{DeviceSecret, Pin, SecretText};
use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

/// What is asked of a key.
pub(super) struct Job<'a> {
    pub(super) slot: PivSlot,
    pub(super) algorithm: PivAlgorithm,
    pub(super) input: &'a [u8],
    /// A shared secret rather than a private operation on the input.
    pub(super) agree: bool,
}

impl Job<'_> {
    /// Whether the input is as long as the algorithm wants it.
    fn fits(&self) -> bool {
        let length = self.input.len();
        match (self.algorithm, self.agree) {
            (PivAlgorithm::Rsa1024, false) => length == 128,
            (PivAlgorithm::Rsa2048, false) => length == 256,
            (PivAlgorithm::Rsa3072, false) => length == 384,
            (PivAlgorithm::Rsa4096, false) => length == 512,
            (PivAlgorithm::EcdsaP256, false) => length == 32,
            (PivAlgorithm::EcdsaP384, false) => length == 48,
            (PivAlgorithm::EcdsaP256, true) => length == 65,
            (PivAlgorithm::EcdsaP384, true) => length == 97,
            (PivAlgorithm::X25519, true) => length == 32,
            // A card has some 3 KiB for what it signs whole.
            (PivAlgorithm::Ed25519, false) => length <= MESSAGE_LIMIT,
            _ => false,
        }
    }
}

/// Longest message that Ed25519 signs.
const MESSAGE_LIMIT: usize = 2048;
/// Bytes of a body before it has to be sent in parts (ISO 7816-4, command chaining).
const PART: usize = 255;

/// Does it in one transaction: nobody comes between the PIN and its use.
pub(super) fn run(
    link: &mut dyn Link,
    memory: &mut Memory,
    job: &Job<'_>,
    pin: Option<Pin>,
    touch: &dyn Fn(),
) -> Result<Zeroizing<Vec<u8>>, Error> {
    if !job.fits() {
        return Err(Error::TooLarge);
    }
    select(link)?;
    let metadata = keys::metadata(link, job.slot)?;
    if metadata.as_ref().is_some_and(|metadata| metadata.algorithm != job.algorithm) {
        // Another key is there than the one that was listed.
        return Err(Error::NotThere(Thing::Key));
    }
    let policy = metadata.as_ref().and_then(|metadata| metadata.pin_policy).unwrap_or_else(|| usual(job.slot));
    let wants_pin = !matches!(policy, PinPolicy::Never);
    if wants_pin {
        match pin.as_ref().or(memory.pin.as_ref().filter(|_| policy == PinPolicy::Once)) {
            Some(pin) => {
                let verified = verify(link, pin);
                if verified.is_err() {
                    // Changed elsewhere: the wrong one is not tried again.
                    memory.pin = None;
                }
                verified?;
            }
            None => return Err(Error::PinNeeded(keys::pin_tries(link)?)),
        }
    }
    let may_wait =
        metadata.as_ref().and_then(|metadata| metadata.touch_policy).is_none_or(|policy| policy.wants_touch());
    if may_wait {
        touch();
    }
    let output = authenticate(link, job, &metadata)?;
    if let Some(pin) = pin.filter(|_| policy == PinPolicy::Once) {
        memory.pin = Some(pin);
    }
    Ok(output)
}

/// What keys of a slot want where the card does not tell: 9e is for cards that open doors, 9c asks each time.
fn usual(slot: PivSlot) -> PinPolicy {
    match slot {
        PivSlot::CARD_AUTHENTICATION => PinPolicy::Never,
        PivSlot::SIGNATURE => PinPolicy::Always,
        _ => PinPolicy::Once,
    }
}

fn authenticate(link: &mut dyn Link, job: &Job<'_>, metadata: &Option<Metadata>) -> Result<Zeroizing<Vec<u8>>, Error> {
    // Dynamic authentication template: an empty response, which asks for one, and the challenge or the other's point.
    let mut inner = Zeroizing::new(Vec::with_capacity(job.input.len().saturating_add(8)));
    inner.extend_from_slice(&[0x82, 0x00, if job.agree { 0x85 } else { 0x81 }]);
    extend_length(&mut inner, job.input.len())?;
    inner.extend_from_slice(job.input);
    let mut template = Zeroizing::new(Vec::with_capacity(inner.len().saturating_add(4)));
    template.push(0x7c);
    extend_length(&mut template, inner.len())?;
    template.extend_from_slice(&inner);
    let (answer, status) = send(link, &template, number(job.algorithm), job.slot.reference())?;
    match status {
        Status::OK => {}
        // The PIN was right a moment ago: it was not touched.
        Status::AUTHENTICATION_NEEDED
            if metadata.as_ref().is_some_and(|known| known.touch_policy.is_some_and(|policy| policy.wants_touch())) =>
        {
            return Err(Error::TouchTimeout);
        }
        Status::AUTHENTICATION_NEEDED => return Err(Error::PinNeeded(None)),
        // Empty slots, by firmware.
        Status::NOT_FOUND | Status::CONDITIONS | Status(0x6a88 | 0x6a86 | 0x6a80) if metadata.is_none() => {
            return Err(Error::NotThere(Thing::Key));
        }
        other => return Err(unexpected(other)),
    }
    let outer = fields(&answer)?;
    let [(0x7c, inner)] = outer.as_slice() else { return Err(Error::BadAnswer("no template".to_owned())) };
    match fields(inner)?.as_slice() {
        [(0x82, output)] => Ok(Zeroizing::new(output.to_vec())),
        _ => Err(Error::BadAnswer("no response in the template".to_owned())),
    }
}

/// Sends a body, in parts where it is long.
fn send(link: &mut dyn Link, body: &[u8], first: u8, second: u8) -> Result<(Zeroizing<Vec<u8>>, Status), Error> {
    let mut rest = body;
    while rest.len() > PART {
        let (part, after) = rest.split_at(PART);
        match Apdu::new(0x87, first, second).bytes(part).chained().exchange(link, MORE)? {
            (_, Status::OK) => rest = after,
            other => return Ok(other),
        }
    }
    Apdu::new(0x87, first, second).bytes(rest).exchange(link, MORE)
}

fn extend_length(bytes: &mut Vec<u8>, length: usize) -> Result<(), Error> {
    let [high, low] = u16::try_from(length).map_err(|_| Error::TooLarge)?.to_be_bytes();
    match (high, low) {
        (0, ..=0x7f) => bytes.push(low),
        (0, _) => bytes.extend_from_slice(&[0x81, low]),
        _ => bytes.extend_from_slice(&[0x82, high, low]),
    }
    Ok(())
}

/// An output that is a secret.
pub(super) fn secret(output: Zeroizing<Vec<u8>>) -> DeviceSecret {
    DeviceSecret::from_text(HEXLOWER.encode(&output))
}
