//! Certificates by the attestation key, with Yubico's extensions (1.3.6.1.4.1.41482.3).

use super::Key;
use crate::Identity;
use crate::tlv::field;
use der::asn1::{ObjectIdentifier, OctetString};
use der::oid::AssociatedOid;
use der::{Encode, Length, Writer};
use p256::ecdsa::{DerSignature, SigningKey};
use rand_core::{OsRng, RngCore};
use spki::SubjectPublicKeyInfoOwned;
use std::time::Duration;
use x509_cert::builder::{Builder, CertificateBuilder, Profile};
use x509_cert::ext::{AsExtension, Extension};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::Validity;

const ISSUER: &str = "CN=Virtual PIV Attestation";
const DECADE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// An extension by its number and the DER of its value.
struct Raw {
    number: &'static str,
    critical: bool,
    value: Vec<u8>,
}

impl AssociatedOid for Raw {
    const OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.41482.3");
}

impl Encode for Raw {
    fn encoded_len(&self) -> der::Result<Length> {
        self.value.len().try_into()
    }

    fn encode(&self, writer: &mut impl Writer) -> der::Result<()> {
        writer.write(&self.value)
    }
}

impl AsExtension for Raw {
    fn critical(&self, _: &Name, _: &[Extension]) -> bool {
        self.critical
    }

    fn to_extension(&self, _: &Name, _: &[Extension]) -> der::Result<Extension> {
        let extn_id = ObjectIdentifier::new(self.number)?;
        Ok(Extension { extn_id, critical: self.critical, extn_value: OctetString::new(self.value.clone())? })
    }
}

/// The certificate of the attestation key, by itself.
pub(super) fn root(key: &Key) -> Option<Vec<u8>> {
    // BasicConstraints: an authority, and none below it.
    let authority = Raw { number: "2.5.29.19", critical: true, value: field(0x30, &[1, 1, 0xFF, 2, 1, 0]) };
    made(ISSUER, key.info()?, &[authority], key)
}

/// The certificate of a key made in this slot.
pub(super) fn certificate(identity: &Identity, slot: u8, key: &Key, policies: [u8; 2], by: &Key) -> Option<Vec<u8>> {
    let raw = |number, value| Raw { number, critical: false, value };
    let serial = identity.serial.to_be_bytes();
    // The shortest integer that is not negative.
    let zeros = serial.iter().take(3).take_while(|byte| **byte == 0).count();
    let sign: &[u8] = if serial[zeros] > 0x7F { &[0] } else { &[] };
    let extensions = [
        raw("1.3.6.1.4.1.41482.3.3", identity.version().to_vec()),
        raw("1.3.6.1.4.1.41482.3.7", field(0x02, &[sign, &serial[zeros..]].concat())),
        raw("1.3.6.1.4.1.41482.3.8", policies.to_vec()),
        raw("1.3.6.1.4.1.41482.3.9", vec![1]),
    ];
    made(&format!("CN=YubiKey PIV Attestation {slot:02x}"), key.info()?, &extensions, by)
}

fn made(subject: &str, info: SubjectPublicKeyInfoOwned, extensions: &[Raw], by: &Key) -> Option<Vec<u8>> {
    let Key::P256(by) = by else { return None };
    let by = SigningKey::from(by);
    let mut number = [0; 8];
    OsRng.fill_bytes(&mut number);
    number[0] &= 0x7F;
    let profile = Profile::Manual { issuer: Some(ISSUER.parse::<Name>().ok()?) };
    let validity = Validity::from_now(DECADE).ok()?;
    let (number, subject) = (SerialNumber::new(&number).ok()?, subject.parse::<Name>().ok()?);
    let mut builder = CertificateBuilder::new(profile, number, validity, subject, info, &by).ok()?;
    for extension in extensions {
        builder.add_extension(extension).ok()?;
    }
    builder.build::<DerSignature>().ok()?.to_der().ok()
}
