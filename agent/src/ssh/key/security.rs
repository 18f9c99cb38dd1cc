//! Keys of FIDO devices (PROTOCOL.u2f): what is held is the credential's name; the private key never leaves its device.

use super::error::{Error, Result};
use super::fields::{self, Field, string};
use super::kind::SecurityType;
use super::{PrivateHalf, SoftKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ED25519, UnparsedPublicKey, VerificationAlgorithm};
use zeroize::Zeroizing;

/// The curve of the one kind that names it.
const NISTP256: &[u8] = b"nistp256";
/// In the flags of a key file: each use wants the user verified.
const VERIFY: u8 = 4;
/// Likewise: each use wants a touch.
const TOUCH: u8 = 1;

/// A credential of a FIDO device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityKey {
    /// Its type.
    pub kind: SecurityType,
    /// 32 bytes, or an uncompressed point (SEC 1).
    pub public: Vec<u8>,
    /// The relying party.
    pub application: String,
    /// Those of a key file: 1 wants a touch, 4 the user verified.
    pub flags: u8,
    /// The credential's id.
    pub handle: Vec<u8>,
}

impl SecurityKey {
    /// Whether each use wants a touch.
    pub fn wants_touch(&self) -> bool {
        self.flags & TOUCH != 0
    }

    /// Whether each use wants the user verified.
    pub fn wants_verified(&self) -> bool {
        self.flags & VERIFY != 0
    }

    /// The private key fields of `SSH_AGENTC_ADD_IDENTITY`, for [`SoftKey::decode`].
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let name = Field::Text(self.kind.name().as_bytes());
        let mut written = match self.kind {
            SecurityType::Ecdsa => fields::write(&[name, Field::Text(NISTP256), Field::Text(&self.public)]),
            SecurityType::Ed25519 => fields::write(&[name, Field::Text(&self.public)]),
        };
        written.extend_from_slice(&self.private_fields());
        written
    }

    /// Application, flags, handle, and a field that is reserved.
    pub(super) fn private_fields(&self) -> Vec<u8> {
        let mut written = fields::write(&[Field::Text(self.application.as_bytes())]).to_vec();
        written.push(self.flags);
        written.extend_from_slice(&fields::write(&[Field::Text(&self.handle), Field::Text(&[])]));
        written
    }

    /// The public key (PROTOCOL.u2f).
    pub(super) fn public_blob(&self) -> Vec<u8> {
        let name = Field::Text(self.kind.name().as_bytes());
        let application = Field::Text(self.application.as_bytes());
        let written = match self.kind {
            SecurityType::Ecdsa => {
                fields::write(&[name, Field::Text(NISTP256), Field::Text(&self.public), application])
            }
            SecurityType::Ed25519 => fields::write(&[name, Field::Text(&self.public), application]),
        };
        written.to_vec()
    }

    /// What follows the type's name.
    pub(super) fn decode(kind: SecurityType, input: &mut &[u8]) -> Result<Self> {
        let public = public(kind, input)?;
        Self::decode_private(kind, public, input)
    }

    /// What follows a certificate, for the key that it is for.
    pub(super) fn decode_certified(kind: SecurityType, blob: &[u8], input: &mut &[u8]) -> Result<Self> {
        let mut rest = blob;
        if string(&mut rest)? != kind.name().as_bytes() {
            return Err(Error::CertificateOfAnotherKey);
        }
        let public = public(kind, &mut rest)?;
        let application = string(&mut rest)?;
        let key = Self::decode_private(kind, public, input)?;
        if key.application.as_bytes() != application {
            return Err(Error::Mismatch);
        }
        Ok(key)
    }

    fn decode_private(kind: SecurityType, public: Vec<u8>, input: &mut &[u8]) -> Result<Self> {
        let application = std::str::from_utf8(string(input)?).map_err(|_| Error::Malformed)?.to_owned();
        let (flags, rest) = input.split_first().ok_or(Error::Malformed)?;
        *input = rest;
        let handle = string(input)?.to_vec();
        let _reserved = string(input)?;
        if application.is_empty() || handle.is_empty() {
            return Err(Error::Malformed);
        }
        Ok(Self { kind, public, application, flags: *flags, handle })
    }

    /// The signature as SSH has it (PROTOCOL.u2f), of what the device made over `data`: only if it is this key's, with a
    /// touch and the user verified where the key wants them. [`Error::Signing`].
    pub fn signature(&self, data: &[u8], made: &[u8], flags: u8, counter: u32) -> Result<Vec<u8>> {
        let wanted = self.flags & (TOUCH | VERIFY);
        if flags & wanted != wanted {
            return Err(Error::Signing);
        }
        let mut signed = digest(&SHA256, self.application.as_bytes()).as_ref().to_vec();
        signed.push(flags);
        signed.extend_from_slice(&counter.to_be_bytes());
        signed.extend_from_slice(digest(&SHA256, data).as_ref());
        let algorithm: &dyn VerificationAlgorithm = match self.kind {
            SecurityType::Ecdsa => &ECDSA_P256_SHA256_ASN1,
            SecurityType::Ed25519 => &ED25519,
        };
        UnparsedPublicKey::new(algorithm, &self.public).verify(&signed, made).map_err(|_| Error::Signing)?;
        let made = match self.kind {
            SecurityType::Ecdsa => pair(made).ok_or(Error::Signing)?,
            SecurityType::Ed25519 => made.to_vec(),
        };
        let mut blob = fields::write(&[Field::Text(self.kind.name().as_bytes()), Field::Text(&made)]).to_vec();
        blob.push(flags);
        blob.extend_from_slice(&counter.to_be_bytes());
        Ok(blob)
    }
}

impl SoftKey {
    /// The credential, of a key that a FIDO device holds.
    pub fn security_key(&self) -> Option<&SecurityKey> {
        match &self.private {
            PrivateHalf::Security(key) => Some(key),
            _ => None,
        }
    }
}

fn public(kind: SecurityType, input: &mut &[u8]) -> Result<Vec<u8>> {
    if kind == SecurityType::Ecdsa && string(input)? != NISTP256 {
        return Err(Error::Malformed);
    }
    let public = string(input)?;
    let good = match kind {
        SecurityType::Ecdsa => public.len() == 65 && public.first() == Some(&4),
        SecurityType::Ed25519 => public.len() == 32,
    };
    good.then(|| public.to_vec()).ok_or(Error::Malformed)
}

/// The two numbers of an ECDSA signature in DER (RFC 3279 section 2.2.3), as SSH writes them: both have them signed and
/// without needless zeros. None where it is none; its verification has refused most of that.
fn pair(der: &[u8]) -> Option<Vec<u8>> {
    let [0x30, length, rest @ ..] = der else { return None };
    if usize::from(*length) != rest.len() {
        return None;
    }
    let number = |from: &mut &[u8]| {
        let [0x02, length, rest @ ..] = *from else { return None };
        let (number, after) = rest.split_at_checked(usize::from(*length))?;
        *from = after;
        Some(number.to_vec())
    };
    let mut rest = rest;
    let (r, s) = (number(&mut rest)?, number(&mut rest)?);
    rest.is_empty().then(|| fields::write(&[Field::Number(&r), Field::Number(&s)]).to_vec())
}

#[cfg(test)]
mod tests {
    use super::{SecurityKey, pair};
    use crate::ssh::key::{Error, SecurityType, SoftKey};

    fn key(kind: SecurityType, public: Vec<u8>) -> SecurityKey {
        SecurityKey { kind, public, application: "ssh:".to_owned(), flags: 0x21, handle: vec![9; 70] }
    }

    fn keys() -> [SecurityKey; 2] {
        let point = [&[4][..], &[7; 64]].concat();
        [key(SecurityType::Ed25519, vec![7; 32]), key(SecurityType::Ecdsa, point)]
    }

    #[test]
    fn the_fields_are_read_as_they_are_written() {
        for key in keys() {
            let fields = key.encode();
            let soft = SoftKey::decode(&mut fields.as_slice()).unwrap();
            assert_eq!(soft.security_key(), Some(&key));
            assert_eq!(*soft.encode().unwrap(), *fields);
            assert_eq!(soft.algorithm(), key.kind.name());
            assert_eq!(soft.sign(b"data", 0).unwrap_err(), Error::OnDevice);
            for cut in 0..fields.len() {
                assert!(SoftKey::decode(&mut fields.get(..cut).unwrap()).is_err(), "{cut}");
            }
        }
    }

    #[test]
    fn a_public_half_of_another_form_is_refused() {
        for (kind, public) in [
            (SecurityType::Ed25519, vec![7; 31]),
            (SecurityType::Ecdsa, vec![4; 64]),
            (SecurityType::Ecdsa, vec![2; 65]),
        ] {
            assert!(SoftKey::decode(&mut key(kind, public).encode().as_slice()).is_err());
        }
    }

    #[test]
    fn what_another_key_made_or_without_a_touch_is_no_signature() {
        let [key, _] = keys();
        assert_eq!(key.signature(b"data", &[1; 64], 1, 5), Err(Error::Signing));
        assert_eq!(key.signature(b"data", &[1; 64], 0, 5), Err(Error::Signing));
    }

    #[test]
    fn the_numbers_of_a_signature_are_those_of_its_der() {
        let der = [0x30, 8, 2, 2, 0, 0x80, 2, 2, 1, 2];
        assert_eq!(pair(&der).unwrap(), [0, 0, 0, 2, 0, 0x80, 0, 0, 0, 2, 1, 2]);
        for cut in 0..der.len() {
            assert_eq!(pair(der.get(..cut).unwrap()), None);
        }
        assert_eq!(pair(&[&der[..], &[0]].concat()), None);
    }
}
