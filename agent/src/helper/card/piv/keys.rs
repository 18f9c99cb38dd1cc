//! Which keys a card holds, and the certificates beside them.

use super::super::link::{Apdu, Link, Status, fields, unexpected};
use super::gzip::gunzip;
use super::{MORE, algorithm, select};
use crate::device::piv::{Key, PublicKey};
use crate::device::{Bytes, CertificateFlaw, Error, Thing};
use claviger::model::{PinPolicy, PivAlgorithm, PivSlot, TouchPolicy};
use yubikey::Certificate;

/// What a card tells of a key (GET METADATA, firmware 5.3).
pub(super) struct Metadata {
    pub(super) algorithm: PivAlgorithm,
    pub(super) pin_policy: Option<PinPolicy>,
    pub(super) touch_policy: Option<TouchPolicy>,
    generated: Option<bool>,
    public: Option<PublicKey>,
}

/// The keys, in the order of their slots. By the card's metadata; where it has none, by the certificates it attests, else
/// by those beside the keys.
pub(super) fn list(link: &mut dyn Link) -> Result<Vec<Key>, Error> {
    select(link)?;
    let mut keys = Vec::new();
    for slot in PivSlot::all() {
        let certificate = match certificate(link, slot) {
            Ok(certificate) => Certificate::from_bytes(certificate.0).ok(),
            Err(Error::NotThere(_)) => None,
            Err(error) => return Err(error),
        };
        let name = certificate.as_ref().map(|certificate| shortened(&certificate.subject()));
        if let Some(Metadata { algorithm, pin_policy, touch_policy, generated, public: Some(public) }) =
            metadata(link, slot)?
        {
            keys.push(Key { slot, algorithm, public, pin_policy, touch_policy, generated, certificate: name });
            continue;
        }
        let attested = attestation(link, slot)?.and_then(|der| Certificate::from_bytes(der).ok());
        let generated = attested.is_some().then_some(true);
        let Some((algorithm, public)) = attested.as_ref().or(certificate.as_ref()).and_then(public_of) else {
            continue;
        };
        keys.push(Key { slot, algorithm, public, pin_policy: None, touch_policy: None, generated, certificate: name });
    }
    Ok(keys)
}

/// Text from a card, for one line.
fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}

/// None of an empty slot, and of a card without the instruction, or that tells nothing by it (Nitrokey's).
pub(super) fn metadata(link: &mut dyn Link, slot: PivSlot) -> Result<Option<Metadata>, Error> {
    let (answer, status) = Apdu::new(0xf7, 0, slot.reference()).exchange(link, MORE)?;
    if status != Status::OK {
        return Ok(None);
    }
    let fields = fields(&answer)?;
    let value = |wanted: u8| fields.iter().find(|(tag, _)| *tag == wanted).map(|(_, value)| *value);
    let algorithm = match value(1) {
        None => return Ok(None),
        Some([number]) => algorithm(*number),
        Some(_) => None,
    };
    let algorithm = algorithm.ok_or_else(|| Error::BadAnswer("a key of an unknown algorithm".to_owned()))?;
    let (pin_policy, touch_policy) = match value(2) {
        Some([pin, touch]) => (pin_policy(*pin), touch_policy(*touch)),
        _ => (None, None),
    };
    let generated = match value(3) {
        Some([1]) => Some(true),
        Some([2]) => Some(false),
        _ => None,
    };
    let public = value(4).map(|public| public_key(algorithm, public)).transpose()?;
    Ok(Some(Metadata { algorithm, pin_policy, touch_policy, generated, public }))
}

pub(super) fn pin_policy(number: u8) -> Option<PinPolicy> {
    Some(match number {
        1 => PinPolicy::Never,
        2 => PinPolicy::Once,
        3 => PinPolicy::Always,
        4 => PinPolicy::MatchOnce,
        5 => PinPolicy::MatchAlways,
        _ => return None,
    })
}

pub(super) fn touch_policy(number: u8) -> Option<TouchPolicy> {
    Some(match number {
        1 => TouchPolicy::Never,
        2 => TouchPolicy::Always,
        3 => TouchPolicy::Cached,
        _ => return None,
    })
}

/// A public key as GET METADATA and GENERATE give it: 81 and 82 of RSA, 86 of the others.
pub(super) fn public_key(algorithm: PivAlgorithm, bytes: &[u8]) -> Result<PublicKey, Error> {
    let fields = fields(bytes)?;
    let value = |wanted: u8| fields.iter().find(|(tag, _)| *tag == wanted).map(|(_, value)| Bytes(value.to_vec()));
    let public = if is_rsa(algorithm) {
        value(0x81).zip(value(0x82)).map(|(modulus, exponent)| PublicKey::Rsa { modulus, exponent })
    } else {
        value(0x86).map(PublicKey::Point)
    };
    public.ok_or_else(|| Error::BadAnswer("no public key".to_owned()))
}

fn is_rsa(algorithm: PivAlgorithm) -> bool {
    use PivAlgorithm::{Rsa1024, Rsa2048, Rsa3072, Rsa4096};
    matches!(algorithm, Rsa1024 | Rsa2048 | Rsa3072 | Rsa4096)
}

/// The key of a certificate; None of one that no card could have.
pub(super) fn public_of(certificate: &Certificate) -> Option<(PivAlgorithm, PublicKey)> {
    let info = certificate.subject_pki();
    let bits = info.subject_public_key.as_bytes()?;
    let algorithm = match (info.algorithm.oid.to_string().as_str(), bits.len()) {
        // rsaEncryption.
        ("1.2.840.113549.1.1.1", _) => match rsa_numbers(bits)?.0.0.len() {
            128 => PivAlgorithm::Rsa1024,
            256 => PivAlgorithm::Rsa2048,
            384 => PivAlgorithm::Rsa3072,
            512 => PivAlgorithm::Rsa4096,
            _ => return None,
        },
        // id-ecPublicKey: the point's length tells the curve.
        ("1.2.840.10045.2.1", 65) => PivAlgorithm::EcdsaP256,
        ("1.2.840.10045.2.1", 97) => PivAlgorithm::EcdsaP384,
        ("1.3.101.112", 32) => PivAlgorithm::Ed25519,
        ("1.3.101.110", 32) => PivAlgorithm::X25519,
        _ => return None,
    };
    Some((algorithm, public_of_bits(algorithm, bits).ok()?))
}

/// A public key as certificates have it (RFC 5280, subjectPublicKey).
pub(super) fn public_of_bits(algorithm: PivAlgorithm, bits: &[u8]) -> Result<PublicKey, Error> {
    if !is_rsa(algorithm) {
        return Ok(PublicKey::Point(Bytes(bits.to_vec())));
    }
    let (modulus, exponent) = rsa_numbers(bits).ok_or_else(|| Error::BadAnswer("no public key".to_owned()))?;
    Ok(PublicKey::Rsa { modulus, exponent })
}

/// SEQUENCE { modulus, exponent } (RFC 8017, appendix A.1.1).
fn rsa_numbers(bits: &[u8]) -> Option<(Bytes, Bytes)> {
    let [(0x30, sequence)] = *fields(bits).ok()?.first_chunk::<1>()? else { return None };
    let [(0x02, modulus), (0x02, exponent)] = *fields(sequence).ok()?.first_chunk::<2>()? else { return None };
    let number = |bytes: &[u8]| Bytes(bytes.strip_prefix(&[0]).unwrap_or(bytes).to_vec());
    Some((number(modulus), number(exponent)))
}

/// The certificate object of a slot (NIST SP 800-73-4 part 1, table 3): 70 holds it, 71 says whether it is compressed.
pub(super) fn certificate(link: &mut dyn Link, slot: PivSlot) -> Result<Bytes, Error> {
    let (answer, status) = Apdu::new(0xcb, 0x3f, 0xff).field(0x5c, &object(slot)).exchange(link, MORE)?;
    let missing = || Error::NotThere(Thing::Certificate);
    match status {
        Status::OK => {}
        Status::NOT_FOUND | Status::WRONG_DATA | Status::CONDITIONS => return Err(missing()),
        other => return Err(unexpected(other)),
    }
    let outer = fields(&answer)?;
    let [(0x53, object)] = outer.as_slice() else { return Err(Error::BadAnswer("no object".to_owned())) };
    let inner = fields(object)?;
    let value = |wanted: u8| inner.iter().find(|(tag, _)| *tag == wanted).map(|(_, value)| *value);
    match (value(0x70), value(0x71)) {
        (Some(der), Some([0]) | None) if !der.is_empty() => Ok(Bytes(der.to_vec())),
        // CertInfo (NIST SP 800-73-4 part 1, appendix A): compressed.
        (Some(gzip), Some([1])) if !gzip.is_empty() => {
            let der = gunzip(gzip).ok_or_else(|| Error::BadAnswer("a certificate badly compressed".to_owned()))?;
            Ok(Bytes(der))
        }
        (Some(der), _) if !der.is_empty() => {
            Err(Error::BadAnswer("a certificate compressed in an unknown way".to_owned()))
        }
        _ => Err(missing()),
    }
}

/// The data object of a slot's certificate (NIST SP 800-73-4 part 1, table 3).
fn object(slot: PivSlot) -> [u8; 3] {
    let last = match slot.reference() {
        0x9a => 0x05,
        0x9c => 0x0a,
        0x9d => 0x0b,
        0x9e => 0x01,
        retired => retired.wrapping_sub(0x82).wrapping_add(0x0d),
    };
    [0x5f, 0xc1, last]
}

/// Refuses a certificate of another key than that in the slot. Where a card has no metadata (firmware before 5.3), a key
/// that it did not make is not known, nor whether there is one: any is taken.
pub(super) fn check(
    link: &mut dyn Link,
    slot: PivSlot,
    certificate: &Certificate,
    has_metadata: bool,
) -> Result<(), Error> {
    let held = match metadata(link, slot)? {
        Some(Metadata { algorithm, public: Some(public), .. }) => Some((algorithm, public)),
        _ => attestation(link, slot)?.and_then(|der| Certificate::from_bytes(der).ok()).as_ref().and_then(public_of),
    };
    match held {
        Some(_) if held == public_of(certificate) => Ok(()),
        Some(_) => Err(Error::CertificateRefused(CertificateFlaw::OfAnotherKey)),
        None if has_metadata => Err(Error::NotThere(Thing::Key)),
        None => Ok(()),
    }
}

/// What the card attests of a key that it made; None of one that it did not make, and of a card that attests nothing.
pub(super) fn attestation(link: &mut dyn Link, slot: PivSlot) -> Result<Option<Vec<u8>>, Error> {
    let (answer, status) = Apdu::new(0xf9, slot.reference(), 0).exchange(link, MORE)?;
    Ok((status == Status::OK && answer.first() == Some(&0x30)).then(|| answer.to_vec()))
}

/// The certificate of the key that the card attests with.
pub(super) fn attester(link: &mut dyn Link) -> Result<Option<Vec<u8>>, Error> {
    let (answer, status) = Apdu::new(0xcb, 0x3f, 0xff).field(0x5c, &[0x5f, 0xff, 0x01]).exchange(link, MORE)?;
    if status != Status::OK {
        return Ok(None);
    }
    let outer = fields(&answer)?;
    let inner = outer.iter().find(|(tag, _)| *tag == 0x53).map(|(_, object)| fields(object)).transpose()?;
    let der = inner.into_iter().flatten().find(|(tag, _)| *tag == 0x70).map(|(_, der)| der.to_vec());
    Ok(der.filter(|der| !der.is_empty()))
}

/// Tries of the PIN that are left. Costs none; the applet has just been selected, so no PIN is verified.
pub(super) fn pin_tries(link: &mut dyn Link) -> Result<Option<u8>, Error> {
    Ok(match Apdu::new(0x20, 0, 0x80).exchange(link, MORE)?.1 {
        Status(word) if word & 0xfff0 == 0x63c0 => u8::try_from(word & 0x000f).ok(),
        Status(0x6983) => Some(0),
        _ => None,
    })
}
