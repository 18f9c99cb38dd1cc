//! What a card attests of a key (Yubico, PIV attestation): the certificate of the key, signed by the card's own.

use super::super::link::fields;
use super::keys;
use crate::device::Error;
use crate::device::piv::Attested;
use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use claviger::model::Firmware;
use yubikey::Certificate;

/// 1.3.6.1.4.1.41482.3, Yubico's arc for PIV, in DER; one more byte names the extension.
const ARC: [u8; 9] = [0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0xc4, 0x0a, 0x03];
const FIRMWARE: u8 = 3;
const SERIAL: u8 = 7;
const POLICIES: u8 = 8;

/// What the first certificate says, where the second one's key signed it; else [`Error::BadAnswer`].
pub(super) fn check(key: &[u8], card: &[u8]) -> Result<Attested, Error> {
    let bad = || Error::BadAnswer("an attestation that does not hold".to_owned());
    let card = Certificate::from_bytes(card.to_vec()).map_err(|_| bad())?;
    let parts = Parts::of(key).ok_or_else(bad)?;
    let signer = card.subject_pki();
    let signer_key = signer.subject_public_key.as_bytes().ok_or_else(bad)?;
    let algorithm = algorithm(parts.algorithm, signer_key.len()).ok_or_else(bad)?;
    UnparsedPublicKey::new(algorithm, signer_key).verify(parts.signed, parts.signature).map_err(|_| bad())?;
    let key = Certificate::from_bytes(key.to_vec()).map_err(|_| bad())?;
    let (_, public) = keys::public_of(&key).ok_or_else(bad)?;
    let mut attested = Attested { public, firmware: None, serial: None, pin_policy: None, touch_policy: None };
    for (name, value) in extensions(parts.signed).unwrap_or_default() {
        match (name, value) {
            (FIRMWARE, [major, minor, patch]) => attested.firmware = Some(Firmware(*major, *minor, *patch)),
            (POLICIES, [pin, touch]) => {
                (attested.pin_policy, attested.touch_policy) = (keys::pin_policy(*pin), keys::touch_policy(*touch));
            }
            (SERIAL, [0x02, length, number @ ..]) if usize::from(*length) == number.len() => {
                attested.serial = number_of(number);
            }
            _ => {}
        }
    }
    Ok(attested)
}

/// A certificate as it lies there (RFC 5280, section 4.1).
struct Parts<'a> {
    /// What is signed, with its own tag and length.
    signed: &'a [u8],
    /// The object identifier of the signature's algorithm.
    algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(der: &'a [u8]) -> Option<Self> {
        let [(0x30, certificate)] = *fields(der).ok()?.as_slice() else { return None };
        let parts = fields(certificate).ok()?;
        let [(0x30, _), (0x30, algorithm), (0x03, signature)] = *parts.as_slice() else { return None };
        let (0x06, algorithm) = *fields(algorithm).ok()?.first()? else { return None };
        // The two after it are known: what is left before them is what is signed.
        let after = certificate.len().checked_sub(length_of(parts.get(1..)?)?)?;
        Some(Self { signed: certificate.get(..after)?, algorithm, signature: signature.strip_prefix(&[0])? })
    }
}

/// Bytes that these fields take, their tags and lengths included.
fn length_of(fields: &[(u8, &[u8])]) -> Option<usize> {
    fields.iter().try_fold(0usize, |sum, (_, value)| {
        let head = match value.len() {
            ..=0x7f => 2,
            0x80..=0xff => 3,
            _ => 4,
        };
        sum.checked_add(head)?.checked_add(value.len())
    })
}

/// By the algorithm's object identifier, and the length of the signer's key: SHA-256 with RSA, or with ECDSA.
fn algorithm(name: &[u8], key: usize) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match (name, key) {
        // sha256WithRSAEncryption, 1.2.840.113549.1.1.11.
        ([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b], _) => &signature::RSA_PKCS1_2048_8192_SHA256,
        // ecdsa-with-SHA256, 1.2.840.10045.4.3.2.
        ([0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02], 65) => &signature::ECDSA_P256_SHA256_ASN1,
        ([0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02], 97) => &signature::ECDSA_P384_SHA256_ASN1,
        // ecdsa-with-SHA384, 1.2.840.10045.4.3.3.
        ([0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03], 97) => &signature::ECDSA_P384_SHA384_ASN1,
        _ => return None,
    })
}

/// Yubico's extensions: the last byte of the name, and the value.
fn extensions(signed: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let [(0x30, inner)] = *fields(signed).ok()?.as_slice() else { return None };
    let (_, wrapped) = fields(inner).ok()?.into_iter().find(|(tag, _)| *tag == 0xa3)?;
    let [(0x30, list)] = *fields(wrapped).ok()?.as_slice() else { return None };
    let list = fields(list).ok()?;
    let found = list.iter().filter_map(|(_, extension)| {
        let parts = fields(extension).ok()?;
        let ((0x06, name), (0x04, value)) = (*parts.first()?, *parts.last()?) else { return None };
        Some((*name.strip_prefix(&ARC)?.first()?, value))
    });
    Some(found.collect())
}

/// A positive INTEGER of 32 bits at most.
fn number_of(bytes: &[u8]) -> Option<u32> {
    let mut number = [0; 4];
    let bytes = if let [0, rest @ ..] = bytes { rest } else { bytes };
    let at = number.len().checked_sub(bytes.len())?;
    number.get_mut(at..)?.copy_from_slice(bytes);
    Some(u32::from_be_bytes(number))
}

#[cfg(test)]
mod tests {
    use super::{check, number_of};
    use crate::device::Error;
    use claviger::model::{Firmware, PinPolicy, TouchPolicy};
    use rcgen::{CertificateParams, CustomExtension, Issuer, KeyPair};

    /// The certificate of a key, and that of the card which signed it.
    fn chain() -> (Vec<u8>, Vec<u8>) {
        let (card_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let card = CertificateParams::default().self_signed(&card_key).unwrap();
        let extension = |last: u64, value: &[u8]| {
            CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 41482, 3, last], value.to_vec())
        };
        let mut parameters = CertificateParams::default();
        parameters.custom_extensions = vec![
            extension(3, &[5, 7, 1]),
            extension(7, &[0x02, 0x04, 0x00, 0xbc, 0x61, 0x4e]),
            extension(8, &[2, 2]),
            extension(9, &[1]),
        ];
        let of_card = CertificateParams::default();
        let issuer = Issuer::from_params(&of_card, &card_key);
        let key = parameters.signed_by(&key, &issuer).unwrap();
        (key.der().to_vec(), card.der().to_vec())
    }

    #[test]
    fn what_the_card_signed_is_read_and_nothing_else() {
        let (key, card) = chain();
        let attested = check(&key, &card).unwrap();
        assert_eq!((attested.firmware, attested.serial), (Some(Firmware(5, 7, 1)), Some(12_345_678)));
        assert_eq!((attested.pin_policy, attested.touch_policy), (Some(PinPolicy::Once), Some(TouchPolicy::Always)));
        let refused = |key: &[u8], card: &[u8]| matches!(check(key, card), Err(Error::BadAnswer(_)));
        assert!(refused(&key, &chain().1), "another card");
        assert!(refused(&card, &key) && refused(&[], &card) && refused(&key, &[]));
        for at in 0..key.len() {
            assert!(refused(&key[..at], &card), "cut at {at}");
            let mut changed = key.clone();
            changed[at] ^= 1;
            assert!(refused(&changed, &card), "changed at {at}");
        }
    }

    #[test]
    fn serial_numbers_have_32_bits() {
        assert_eq!(number_of(&[0, 0xff, 0xff, 0xff, 0xff]), Some(u32::MAX));
        assert_eq!(number_of(&[1]), Some(1));
        assert_eq!(number_of(&[]), Some(0));
        assert_eq!(number_of(&[1, 0, 0, 0, 0]), None);
    }
}
