//! The PIV applet (NIST SP 800-73-4, and Yubico's extensions to it).
//!
//! Uses of a key are our own APDUs in one transaction, so that no other program comes between the PIN and the signature.
//! What changes the card (`provision`) goes through the yubikey crate, which has a transaction for each step.

mod attest;
mod gzip;
mod keys;
mod protected;
mod provision;
mod use_key;

use super::link::{Apdu, Link, Status, unexpected};
use super::reader::Turn;
use crate::device::piv::{Answer, Operation};
use crate::device::protocol::Answer as AnyAnswer;
use crate::device::{Applet, Error, PinRule, Reference};
use claviger::model::PivAlgorithm;
use claviger::secret::{Pin, SecretText};
use zeroize::Zeroizing;

/// NIST SP 800-73-4 part 1, section 2.2.
pub(super) const NAME: [u8; 11] = [0xa0, 0x00, 0x00, 0x03, 0x08, 0x00, 0x00, 0x10, 0x00, 0x01, 0x00];
/// GET RESPONSE (ISO 7816-4).
pub(super) const MORE: u8 = 0xc0;
/// Fewest bytes of a PIN and of a PUK (NIST SP 800-73-4 part 1, section 2.4.3).
const PIN_LEAST: u8 = 6;
/// Most bytes of them: the card takes eight, filled up.
const PIN_MOST: u8 = 8;

/// What is remembered of the applet between two operations.
#[derive(Default)]
pub(super) struct Memory {
    /// The PIN that a key of the policy `once` was given; goes with the process, and where it was wrong.
    pin: Option<Pin>,
}

/// Does it.
pub(super) fn run(
    turn: &mut Turn<'_>,
    memory: &mut Memory,
    operation: Operation,
    touch: &dyn Fn(),
) -> Result<AnyAnswer, Error> {
    let answer = match operation {
        Operation::Keys {} => Answer::Keys(turn.with_card(keys::list)?),
        Operation::Sign { slot, algorithm, input, pin } => {
            let job = use_key::Job { slot, algorithm, input: &input.0, agree: false };
            let output = turn.with_card(|link| use_key::run(link, memory, &job, pin, touch))?;
            Answer::Signature(crate::device::Bytes(output.to_vec()))
        }
        Operation::Agree { slot, algorithm, public, pin } => {
            let job = use_key::Job { slot, algorithm, input: &public.0, agree: true };
            Answer::Secret(use_key::secret(turn.with_card(|link| use_key::run(link, memory, &job, pin, touch))?))
        }
        Operation::Decrypt { slot, algorithm, input, pin } => {
            let job = use_key::Job { slot, algorithm, input: &input.0, agree: false };
            Answer::Secret(use_key::secret(turn.with_card(|link| use_key::run(link, memory, &job, pin, touch))?))
        }
        Operation::VerifyPin { pin } => {
            turn.with_card(|link| {
                select(link)?;
                match &pin {
                    Some(pin) => verify(link, pin),
                    None if memory.pin.is_some() => Ok(()),
                    None => Err(Error::PinNeeded(keys::pin_tries(link)?)),
                }
            })?;
            if pin.is_some() {
                memory.pin = pin;
            }
            return Ok(AnyAnswer::Nothing {});
        }
        Operation::ProtectedManagementKey { pin } => {
            Answer::Secret(turn.with_card(|link| protected::key(link, pin.as_ref()))?)
        }
        Operation::Certificate { slot } => Answer::Certificate(turn.with_card(|link| {
            select(link)?;
            keys::certificate(link, slot)
        })?),
        other => return provision::run(turn, memory, other, touch),
    };
    Ok(AnyAnswer::Piv(answer))
}

/// Selects it, which forgets a verified PIN.
pub(super) fn select(link: &mut dyn Link) -> Result<(), Error> {
    match Apdu::select(&NAME).exchange(link, MORE)?.1 {
        Status::OK => Ok(()),
        Status::NOT_FOUND | Status::WRONG_DATA | Status::INSTRUCTION | Status::CONDITIONS => {
            Err(Error::AppletMissing(Applet::Piv))
        }
        other => Err(unexpected(other)),
    }
}

/// The eight bytes in which a PIN is sent. What cannot be one costs no try.
fn padded(pin: &Pin, reference: Reference) -> Result<Zeroizing<[u8; PIN_MOST as usize]>, Error> {
    let bytes = pin.expose().as_bytes();
    if bytes.len() < usize::from(PIN_LEAST) {
        return Err(Error::PinRefused(reference, PinRule::Shorter(PIN_LEAST)));
    }
    let mut padded = Zeroizing::new([0xff; PIN_MOST as usize]);
    let room = padded.get_mut(..bytes.len()).ok_or(Error::PinRefused(reference, PinRule::Longer(PIN_MOST)))?;
    room.copy_from_slice(bytes);
    Ok(padded)
}

/// Verifies the PIN. A wrong one is counted by the card, and never sent twice.
fn verify(link: &mut dyn Link, pin: &Pin) -> Result<(), Error> {
    let padded = padded(pin, Reference::Pin)?;
    match Apdu::new(0x20, 0, 0x80).bytes(&*padded).exchange(link, MORE)?.1 {
        Status::OK => Ok(()),
        Status(0x6983) => Err(Error::PinBlocked(Reference::Pin)),
        Status(word) if word & 0xfff0 == 0x63c0 => Err(match u8::try_from(word & 0xf) {
            Ok(0) | Err(_) => Error::PinBlocked(Reference::Pin),
            Ok(left) => Error::PinWrong { reference: Reference::Pin, left: Some(left) },
        }),
        other => Err(unexpected(other)),
    }
}

/// The number of an algorithm (NIST SP 800-78-4, table 6-2; Yubico's from firmware 5.7).
fn number(algorithm: PivAlgorithm) -> u8 {
    match algorithm {
        PivAlgorithm::Rsa1024 => 0x06,
        PivAlgorithm::Rsa2048 => 0x07,
        PivAlgorithm::Rsa3072 => 0x05,
        PivAlgorithm::Rsa4096 => 0x16,
        PivAlgorithm::EcdsaP256 => 0x11,
        PivAlgorithm::EcdsaP384 => 0x14,
        PivAlgorithm::Ed25519 => 0xe0,
        PivAlgorithm::X25519 => 0xe1,
    }
}

/// The algorithm of a number.
fn algorithm(number: u8) -> Option<PivAlgorithm> {
    Some(match number {
        0x06 => PivAlgorithm::Rsa1024,
        0x07 => PivAlgorithm::Rsa2048,
        0x05 => PivAlgorithm::Rsa3072,
        0x16 => PivAlgorithm::Rsa4096,
        0x11 => PivAlgorithm::EcdsaP256,
        0x14 => PivAlgorithm::EcdsaP384,
        0xe0 => PivAlgorithm::Ed25519,
        0xe1 => PivAlgorithm::X25519,
        _ => return None,
    })
}
