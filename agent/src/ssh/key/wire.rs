//! The private key fields of `SSH_AGENTC_ADD_IDENTITY` (RFC 9987): what `ssh-add` sends, and what the vault keeps.

use super::certificate::Certificate;
use super::error::{Error, Result};
use super::fields::{self, Field, positive, string};
use super::kind::KeyType;
use super::rsa::Numbers;
use super::{Ecdsa, Ed25519, PrivateHalf, Rsa, SecurityKey, SoftKey};
use crate::world::on_wiped_stack;
use ssh_key::encoding::{Decode, Encode};
use ssh_key::public::KeyData;
use zeroize::Zeroizing;

impl SoftKey {
    /// Reads exactly the fields of a key, from its type's name on, and leaves what follows: the comment, constraints.
    /// A certificate comes as OpenSSH sends it: its type's name, the certificate, then the private fields.
    /// After an error nothing is read. [`Error::CertificateOfAnotherKey`], [`Error::Malformed`], [`Error::Mismatch`],
    /// [`Error::RsaTooLarge`], [`Error::RsaTooSmall`], [`Error::UnsupportedType`]; none of them is the connection's end.
    pub fn decode(input: &mut &[u8]) -> Result<Self> {
        on_wiped_stack(|| {
            let mut rest = *input;
            let (kind, certified) = KeyType::named(string(&mut rest)?)?;
            let key = if certified { Self::certified(kind, &mut rest) } else { Self::plain(kind, &mut rest) }?;
            *input = rest;
            Ok(key)
        })
    }

    /// What [`SoftKey::decode`] reads, certificate and all: the form for the vault.
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>> {
        on_wiped_stack(|| match &self.certificate {
            None => self.encode_plain(),
            Some(certificate) => {
                let name = Field::Text(self.kind().certificate_name().as_bytes());
                let blob = Field::Text(&certificate.blob);
                match &self.private {
                    PrivateHalf::Ecdsa(key) => Ok(fields::write(&[name, blob, Field::Number(key.scalar()?.as_ref())])),
                    PrivateHalf::Ed25519(key) => {
                        let pair = key.pair();
                        let (_, public) = pair.split_at(32);
                        Ok(fields::write(&[name, blob, Field::Text(public), Field::Text(pair.as_slice())]))
                    }
                    PrivateHalf::Rsa(key) => key.with_numbers(|Numbers { d, p, q, iqmp, .. }| {
                        let [d, iqmp, p, q] = [d, iqmp, p, q].map(|number| Field::Number(number));
                        Ok(fields::write(&[name, blob, d, iqmp, p, q]))
                    }),
                    PrivateHalf::Security(key) => {
                        let mut written = fields::write(&[name, blob]);
                        written.extend_from_slice(&key.private_fields());
                        Ok(written)
                    }
                }
            }
        })
    }

    /// The key without its certificate.
    pub(super) fn encode_plain(&self) -> Result<Zeroizing<Vec<u8>>> {
        let name = Field::Text(self.kind().name().as_bytes());
        match &self.private {
            PrivateHalf::Ecdsa(key) => {
                let curve = Field::Text(key.curve.name().as_bytes());
                let scalar = key.scalar()?;
                Ok(fields::write(&[name, curve, Field::Text(key.point()), Field::Number(scalar.as_ref())]))
            }
            PrivateHalf::Ed25519(key) => {
                let pair = key.pair();
                let (_, public) = pair.split_at(32);
                Ok(fields::write(&[name, Field::Text(public), Field::Text(pair.as_slice())]))
            }
            PrivateHalf::Rsa(key) => key.with_numbers(|Numbers { n, e, d, p, q, iqmp }| {
                let [n, e, d, iqmp, p, q] = [n, e, d, iqmp, p, q].map(|number| Field::Number(number));
                Ok(fields::write(&[name, n, e, d, iqmp, p, q]))
            }),
            PrivateHalf::Security(key) => Ok(key.encode()),
        }
    }

    fn plain(kind: KeyType, input: &mut &[u8]) -> Result<Self> {
        Self::of(match kind {
            KeyType::Ecdsa(curve) => {
                if string(input)? != curve.name().as_bytes() {
                    return Err(Error::Malformed);
                }
                let point = string(input)?;
                PrivateHalf::Ecdsa(Ecdsa::new(curve, positive(input)?, Some(point))?)
            }
            KeyType::Ed25519 => PrivateHalf::Ed25519(ed25519(input)?),
            KeyType::Rsa => {
                let (n, e) = (positive(input)?, positive(input)?);
                PrivateHalf::Rsa(rsa(n, e, input)?)
            }
            KeyType::Security(kind) => PrivateHalf::Security(SecurityKey::decode(kind, input)?),
        })
    }

    fn certified(kind: KeyType, input: &mut &[u8]) -> Result<Self> {
        let blob = string(input)?;
        let certificate = Certificate::parse(blob)?;
        let private = match (kind, certificate.key()) {
            (KeyType::Ecdsa(curve), KeyData::Ecdsa(key)) => {
                PrivateHalf::Ecdsa(Ecdsa::new(curve, positive(input)?, Some(key.as_sec1_bytes()))?)
            }
            (KeyType::Ed25519, KeyData::Ed25519(_)) => PrivateHalf::Ed25519(ed25519(input)?),
            (KeyType::Rsa, KeyData::Rsa(key)) => {
                let number = |number: Option<_>| number.and_then(fields::magnitude).ok_or(Error::Malformed);
                let (n, e) = (number(key.n().as_positive_bytes())?, number(key.e().as_positive_bytes())?);
                PrivateHalf::Rsa(rsa(n, e, input)?)
            }
            (KeyType::Security(kind), key) => {
                let key = key.encode_vec().map_err(|_| Error::Malformed)?;
                PrivateHalf::Security(SecurityKey::decode_certified(kind, &key, input)?)
            }
            _ => return Err(Error::CertificateOfAnotherKey),
        };
        Self::of(private)?.with_certificate(blob)
    }

    /// A key of its private half.
    pub(super) fn of(private: PrivateHalf) -> Result<Self> {
        let public = match &private {
            PrivateHalf::Ecdsa(key) => key.public()?,
            PrivateHalf::Ed25519(key) => key.public(),
            PrivateHalf::Rsa(key) => key.public()?,
            PrivateHalf::Security(key) => {
                KeyData::decode(&mut key.public_blob().as_slice()).map_err(|_| Error::Malformed)?
            }
        };
        let key_blob = public.encode_vec().map_err(|_| Error::Malformed)?;
        Ok(Self { private, public, key_blob, certificate: None })
    }
}

/// The public key, then seed and public key in one.
fn ed25519(input: &mut &[u8]) -> Result<Ed25519> {
    let public = string(input)?;
    let (seed, again) = string(input)?.split_at_checked(32).ok_or(Error::Malformed)?;
    let key = Ed25519::new(seed)?;
    if [public, again].iter().any(|public| *public != key.pair().split_at(32).1) {
        return Err(Error::Mismatch);
    }
    Ok(key)
}

fn rsa(n: &[u8], e: &[u8], input: &mut &[u8]) -> Result<Rsa> {
    let (d, iqmp, p, q) = (positive(input)?, positive(input)?, positive(input)?, positive(input)?);
    Rsa::new(&Numbers { n, e, d, p, q, iqmp })
}
