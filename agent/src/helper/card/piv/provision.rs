//! What changes a card: keys, certificates, PIN, PUK and management key, by the yubikey crate.

use super::super::link::{Apdu, Link, Status, fields};
use super::super::reader::{Turn, service_error, to_error};
use super::{MORE, Memory, attest, keys, number, padded, protected, select};
use crate::device::piv::{Answer, Operation};
use crate::device::protocol::Answer as AnyAnswer;
use crate::device::{Bytes, CertificateFlaw, Error, Reference, Thing};
use claviger::model::{Firmware, PinPolicy, PivAlgorithm, PivSlot, TouchPolicy};
use claviger::secret::{DeviceSecret, Pin, SecretText};
use data_encoding::HEXLOWER_PERMISSIVE;
use yubikey::certificate::CertInfo;
use yubikey::piv::{AlgorithmId, SlotId};
use yubikey::{Certificate, MgmAlgorithmId, MgmKey, YubiKey};
use zeroize::Zeroizing;

/// The firmware from which keys can be made that older ones do not have.
const NEW_ALGORITHMS: Firmware = Firmware(5, 7, 0);
/// Largest certificate (Yubico's PIV applet, 3,052 bytes an object with its tags).
const CERTIFICATE_LIMIT: usize = 3_000;

/// Does it.
pub(super) fn run(
    turn: &mut Turn<'_>,
    memory: &mut Memory,
    operation: Operation,
    touch: &dyn Fn(),
) -> Result<AnyAnswer, Error> {
    match operation {
        Operation::Generate { slot, algorithm, pin_policy, touch_policy, replace, management_key } => {
            let new = New { slot, algorithm, pin_policy, touch_policy };
            let management = prepare(turn, slot, replace)?;
            let public = with_yubikey(turn, |yubikey| {
                new.check(yubikey)?;
                manage(yubikey, management, management_key.as_ref(), touch)?;
                new.make(yubikey)
            })?;
            Ok(AnyAnswer::Piv(Answer::Public(public)))
        }
        Operation::SetCertificate { slot, certificate, management_key } => {
            let certificate = certificate.map(certificate_of).transpose()?;
            let management = turn.with_card(|link| {
                let management = management(link)?;
                if let Some(certificate) = &certificate {
                    keys::check(link, slot, certificate, management.0.is_some())?;
                }
                Ok(management)
            })?;
            with_yubikey(turn, |yubikey| {
                manage(yubikey, management, management_key.as_ref(), touch)?;
                let written = match certificate {
                    Some(certificate) => certificate.write(yubikey, slot_id(slot)?, CertInfo::Uncompressed),
                    None => Certificate::delete(yubikey, slot_id(slot)?),
                };
                written.map_err(error)
            })?;
            Ok(AnyAnswer::Nothing {})
        }
        Operation::Attest { slot } => turn.with_card(|link| {
            select(link)?;
            let key = keys::attestation(link, slot)?.ok_or(Error::NotThere(Thing::Attestation))?;
            let card = keys::attester(link)?.ok_or(Error::NotThere(Thing::Attestation))?;
            Ok(AnyAnswer::Piv(Answer::Attestation { key: Bytes(key), card: Bytes(card) }))
        }),
        Operation::Attested { slot } => turn.with_card(|link| {
            select(link)?;
            let key = keys::attestation(link, slot)?.ok_or(Error::NotThere(Thing::Attestation))?;
            let card = keys::attester(link)?.ok_or(Error::NotThere(Thing::Attestation))?;
            Ok(AnyAnswer::Piv(Answer::Attested(attest::check(&key, &card)?)))
        }),
        Operation::ChangePin { old, new } => {
            memory.pin = None;
            change(turn, Change::Pin, Reference::Pin, &old, &new)
        }
        Operation::ChangePuk { old, new } => change(turn, Change::Puk, Reference::Puk, &old, &new),
        Operation::UnblockPin { puk, new } => {
            memory.pin = None;
            change(turn, Change::Unblock, Reference::Puk, &puk, &new)
        }
        Operation::SetManagementKey { old, new, touch: wants_touch } => {
            let management = turn.with_card(management)?;
            with_yubikey(turn, |yubikey| {
                let kind = management.0.unwrap_or_else(|| usual(yubikey));
                // Before the old one is proven: what cannot be one costs no question.
                let key = management_key(&new, Some(kind)).map_err(|_| Error::ManagementKeyRefused(length(kind)))?;
                manage(yubikey, management, old.as_ref(), touch)?;
                key.set_manual(yubikey, wants_touch).map_err(error)?;
                Ok(AnyAnswer::Nothing {})
            })
        }
        Operation::ProtectManagementKey { old, pin } => {
            let (management, admin) =
                turn.with_card(|link| Ok((management(link)?, protected::prepare(link, &pin)?)))?;
            with_yubikey(turn, |yubikey| protect(yubikey, management, (old.as_ref(), &pin), &admin, touch))?;
            Ok(AnyAnswer::Nothing {})
        }
        Operation::DrawManagementKey {} => {
            let management = turn.with_card(management)?;
            let kind = match management.0 {
                Some(kind) => kind,
                None => with_yubikey(turn, |yubikey| Ok(usual(yubikey)))?,
            };
            Ok(AnyAnswer::Piv(Answer::Secret(random_key(kind)?)))
        }
        _ => Err(Error::Unsupported(None)),
    }
}

/// A key to be made.
struct New {
    slot: PivSlot,
    algorithm: PivAlgorithm,
    pin_policy: PinPolicy,
    touch_policy: TouchPolicy,
}

impl New {
    /// Refuses what this card would make badly, or not at all.
    fn check(&self, yubikey: &YubiKey) -> Result<(), Error> {
        let version = yubikey.version();
        let firmware = Firmware(version.major, version.minor, version.patch);
        match self.algorithm {
            PivAlgorithm::Rsa1024 => Err(Error::AlgorithmUnsupported(None)),
            PivAlgorithm::Rsa2048 if firmware.makes_weak_rsa() => Err(Error::WeakRsa(firmware)),
            PivAlgorithm::Rsa2048 | PivAlgorithm::EcdsaP256 | PivAlgorithm::EcdsaP384 => Ok(()),
            _ if firmware < NEW_ALGORITHMS => Err(Error::AlgorithmUnsupported(Some(NEW_ALGORITHMS))),
            _ => Ok(()),
        }
    }

    fn make(&self, yubikey: &mut YubiKey) -> Result<crate::device::piv::PublicKey, Error> {
        let algorithm = AlgorithmId::try_from(number(self.algorithm)).map_err(error)?;
        let pin_policy = match self.pin_policy {
            PinPolicy::Never => yubikey::PinPolicy::Never,
            PinPolicy::Once => yubikey::PinPolicy::Once,
            PinPolicy::Always => yubikey::PinPolicy::Always,
            PinPolicy::MatchOnce | PinPolicy::MatchAlways => return Err(Error::Unsupported(None)),
        };
        let touch_policy = match self.touch_policy {
            TouchPolicy::Never => yubikey::TouchPolicy::Never,
            TouchPolicy::Always => yubikey::TouchPolicy::Always,
            TouchPolicy::Cached => yubikey::TouchPolicy::Cached,
        };
        let made = yubikey::piv::generate(yubikey, slot_id(self.slot)?, algorithm, pin_policy, touch_policy);
        let made = made.map_err(error)?;
        let bits = made.subject_public_key.as_bytes().ok_or_else(|| Error::BadAnswer("no public key".to_owned()))?;
        keys::public_of_bits(self.algorithm, bits)
    }
}

/// The type of the management key, where the card tells, and whether it wants a touch.
type Management = (Option<MgmAlgorithmId>, bool);

/// What has to be known before a key is made; refuses a slot that is not to be written over.
fn prepare(turn: &mut Turn<'_>, slot: PivSlot, replace: bool) -> Result<Management, Error> {
    turn.with_card(|link| {
        let management = management(link)?;
        let holds = keys::metadata(link, slot)?.is_some()
            || keys::attestation(link, slot)?.is_some()
            || keys::certificate(link, slot).is_ok();
        if holds && !replace { Err(Error::AlreadyThere) } else { Ok(management) }
    })
}

fn management(link: &mut dyn Link) -> Result<Management, Error> {
    select(link)?;
    // GET METADATA of the management key, 9b (firmware 5.3).
    let (answer, status) = Apdu::new(0xf7, 0, 0x9b).exchange(link, MORE)?;
    if status != Status::OK {
        return Ok((None, false));
    }
    let fields = fields(&answer)?;
    let byte = |wanted: u8, at: usize| {
        fields.iter().find(|(tag, _)| *tag == wanted).and_then(|(_, value)| value.get(at)).copied()
    };
    let kind = byte(1, 0).and_then(|kind| MgmAlgorithmId::try_from(kind).ok());
    Ok((kind, byte(2, 1).is_some_and(|policy| policy > 1)))
}

/// Proves the management key; the card's default where none is given.
fn manage(
    yubikey: &mut YubiKey,
    (kind, wants_touch): Management,
    key: Option<&DeviceSecret>,
    touch: &dyn Fn(),
) -> Result<(), Error> {
    let kind = kind.unwrap_or_else(|| usual(yubikey));
    let key = match key {
        Some(key) => management_key(key, Some(kind))?,
        // The same bytes for every type of this length; none is known of another.
        None => MgmKey::from_bytes(DEFAULT_MANAGEMENT_KEY, Some(kind)).map_err(|_| Error::ManagementKeyWrong)?,
    };
    if wants_touch {
        touch();
    }
    yubikey.authenticate(&key).map_err(|failed| match failed {
        yubikey::Error::AuthenticationError => Error::ManagementKeyWrong,
        other => error(other),
    })
}

/// Puts a random management key behind the PIN. Both objects are written first: wherever this is cut off, the card has the
/// old key, or the new one lies where it is looked for.
fn protect(
    yubikey: &mut YubiKey,
    management: Management,
    (old, pin): (Option<&DeviceSecret>, &Pin),
    admin: &[u8],
    touch: &dyn Fn(),
) -> Result<(), Error> {
    let kind = management.0.unwrap_or_else(|| usual(yubikey));
    let bytes = random_bytes(kind)?;
    let key = MgmKey::from_bytes(&*bytes, Some(kind)).map_err(|_| Error::ManagementKeyRefused(length(kind)))?;
    manage(yubikey, management, old, touch)?;
    let mut printed = protected::printed(&bytes)?;
    yubikey.save_object(PRINTED, &mut printed).map_err(error)?;
    yubikey.save_object(ADMIN_DATA, &mut protected::flagged(admin)?).map_err(error)?;
    // With the PIN the library finds what is written, and lets it stand.
    yubikey.verify_pin(pin.expose().as_bytes()).map_err(error)?;
    if yubikey.fetch_object(PRINTED).map_err(error)?.as_slice() != protected::printed(&bytes)?.as_slice() {
        return Err(Error::BadAnswer("another object than was written".to_owned()));
    }
    key.set_protected(yubikey).map_err(error)
}

/// Objects of a management key behind the PIN, by the library's numbers.
const ADMIN_DATA: u32 = 0x5f_ff00;
const PRINTED: u32 = 0x5f_c109;

/// The management key that YubiKeys come with (Yubico, PIV introduction).
const DEFAULT_MANAGEMENT_KEY: [u8; 24] = [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8];

/// The type where the card does not tell.
fn usual(yubikey: &YubiKey) -> MgmAlgorithmId {
    MgmKey::get_default(yubikey).map_or(MgmAlgorithmId::ThreeDes, |key| key.algorithm_id())
}

fn management_key(key: &DeviceSecret, kind: Option<MgmAlgorithmId>) -> Result<MgmKey, Error> {
    let bytes = HEXLOWER_PERMISSIVE.decode(key.expose().as_bytes()).map(Zeroizing::new);
    let bytes = bytes.map_err(|_| Error::ManagementKeyWrong)?;
    MgmKey::from_bytes(&*bytes, kind).map_err(|_| Error::ManagementKeyWrong)
}

/// Bytes of a management key (FIPS 46-3, FIPS 197).
fn length(kind: MgmAlgorithmId) -> u8 {
    match kind {
        MgmAlgorithmId::Aes128 => 16,
        MgmAlgorithmId::ThreeDes | MgmAlgorithmId::Aes192 => 24,
        MgmAlgorithmId::Aes256 => 32,
    }
}

fn random_key(kind: MgmAlgorithmId) -> Result<DeviceSecret, Error> {
    Ok(DeviceSecret::from_text(HEXLOWER_PERMISSIVE.encode(&random_bytes(kind)?)))
}

fn random_bytes(kind: MgmAlgorithmId) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut bytes = Zeroizing::new(vec![0; usize::from(length(kind))]);
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::BadAnswer("no random bytes".to_owned()))?;
    Ok(bytes)
}

fn certificate_of(der: Bytes) -> Result<Certificate, Error> {
    if der.0.len() > CERTIFICATE_LIMIT {
        return Err(Error::TooLarge);
    }
    Certificate::from_bytes(der.0).map_err(|_| Error::CertificateRefused(CertificateFlaw::NotOne))
}

/// Which of the PINs is changed.
enum Change {
    Pin,
    Puk,
    Unblock,
}

fn change(turn: &mut Turn<'_>, what: Change, counted: Reference, old: &Pin, new: &Pin) -> Result<AnyAnswer, Error> {
    // What cannot be one costs no try.
    padded(old, counted)?;
    padded(new, if matches!(what, Change::Puk) { Reference::Puk } else { Reference::Pin })?;
    let (old, new) = (old.expose().as_bytes(), new.expose().as_bytes());
    with_yubikey(turn, |yubikey| {
        let changed = match what {
            Change::Pin => yubikey.change_pin(old, new),
            Change::Puk => yubikey.change_puk(old, new),
            Change::Unblock => yubikey.unblock_pin(old, new),
        };
        changed.map_err(|failed| match failed {
            yubikey::Error::PinLocked | yubikey::Error::WrongPin { tries: 0 } => Error::PinBlocked(counted),
            yubikey::Error::WrongPin { tries } => Error::PinWrong { reference: counted, left: Some(tries) },
            // Of these commands nothing else is refused so: a PIN against the card's complexity rules.
            yubikey::Error::GenericError => Error::PinRefused(counted, crate::device::PinRule::Policy),
            other => error(other),
        })
    })?;
    Ok(AnyAnswer::Nothing {})
}

/// Works with the library's own connection to the card, and leaves the card as it is.
fn with_yubikey<T>(turn: &mut Turn<'_>, work: impl FnOnce(&mut YubiKey) -> Result<T, Error>) -> Result<T, Error> {
    turn.leave()?;
    let mut context = yubikey::reader::Context::open().map_err(error)?;
    let found = context.iter().map_err(error)?.find(|found| found.name() == turn.name());
    let mut yubikey = found.ok_or(Error::Gone)?.open().map_err(error)?;
    let outcome = work(&mut yubikey);
    // Its own end of a connection resets the card.
    drop(yubikey.disconnect(pcsc::Disposition::LeaveCard));
    outcome
}

fn slot_id(slot: PivSlot) -> Result<SlotId, Error> {
    SlotId::try_from(slot.reference()).map_err(error)
}

fn error(error: yubikey::Error) -> Error {
    match error {
        yubikey::Error::PcscError { inner: Some(inner) } => match inner {
            pcsc::Error::NoService | pcsc::Error::ServiceStopped => service_error(inner),
            inner => to_error(inner),
        },
        yubikey::Error::AlgorithmError => Error::AlgorithmUnsupported(None),
        yubikey::Error::AuthenticationError => Error::ManagementKeyWrong,
        yubikey::Error::SizeError => Error::TooLarge,
        yubikey::Error::NotSupported => Error::Unsupported(None),
        yubikey::Error::AppletNotFound { .. } => Error::AppletMissing(crate::device::Applet::Piv),
        other => Error::BadAnswer(other.name().unwrap_or("unknown").to_lowercase()),
    }
}
