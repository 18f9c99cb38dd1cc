//! Keys of PIV cards as SSH has them: the blob of the public half, what a card is given to sign, and what SSH is given of
//! its answer. Nothing private is here.

use super::error::{Error, Result};
use super::fields::{self, Field};
use super::kind::Curve;
use super::sign::{RSA_SHA2_256, RSA_SHA2_512, blob};
use crate::device::piv::PublicKey;
use crate::ssh::HostKey;
use claviger::model::PivAlgorithm;
use data_encoding::BASE64;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// DigestInfo of SHA-256 before the digest (RFC 8017 section 9.2, note 1).
const SHA256_INFO: [u8; 19] =
    [0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20];
/// The same of SHA-512.
const SHA512_INFO: [u8; 19] =
    [0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0x00, 0x04, 0x40];
/// Fewest bits of an RSA key.
const RSA_BITS: u32 = 2048;

/// A card's key that can sign for SSH.
pub struct CardKey {
    algorithm: PivAlgorithm,
    public: HostKey,
    /// Bytes of RSA's modulus.
    modulus: usize,
}

/// What a card is to sign for a message.
pub struct CardInput {
    /// For the card: a padded block, a digest, or the message.
    pub bytes: Vec<u8>,
    name: &'static str,
}

impl CardKey {
    /// A key as its card tells it. [`Error::UnsupportedType`] of one that signs nothing, [`Error::RsaTooSmall`],
    /// [`Error::Malformed`].
    pub fn new(algorithm: PivAlgorithm, public: &PublicKey) -> Result<Self> {
        let name = key_name(algorithm)?.as_bytes();
        let (written, modulus) = match (algorithm, public) {
            (PivAlgorithm::Ed25519, PublicKey::Point(point)) => {
                (fields::write(&[Field::Text(name), Field::Text(&point.0)]), 0)
            }
            (PivAlgorithm::EcdsaP256 | PivAlgorithm::EcdsaP384, PublicKey::Point(point)) => {
                let curve = if algorithm == PivAlgorithm::EcdsaP256 { Curve::P256 } else { Curve::P384 };
                (fields::write(&[Field::Text(name), Field::Text(curve.name().as_bytes()), Field::Text(&point.0)]), 0)
            }
            (_, PublicKey::Rsa { modulus, exponent }) => {
                let numbers = [Field::Text(name), Field::Number(&exponent.0), Field::Number(&modulus.0)];
                let length = fields::magnitude(&modulus.0).map_or(0, <[u8]>::len);
                let bits = u32::try_from(length).unwrap_or(u32::MAX).saturating_mul(8);
                if bits < RSA_BITS {
                    return Err(Error::RsaTooSmall { bits });
                }
                (fields::write(&numbers), length)
            }
            _ => return Err(Error::Malformed),
        };
        // Read again: what has another length, or is no point, is no key.
        let public = HostKey::decode(&written).map_err(|_| Error::Malformed)?;
        Ok(Self { algorithm, public, modulus })
    }

    /// What it is, by the name that the card's tools have for it.
    pub fn algorithm(&self) -> PivAlgorithm {
        self.algorithm
    }

    /// The public key's blob.
    pub fn blob(&self) -> &[u8] {
        self.public.blob()
    }

    /// The line for `authorized_keys`.
    pub fn line(&self, comment: &str) -> String {
        let name = key_name(self.algorithm).unwrap_or_default();
        let comment = comment.replace(char::is_control, "?");
        format!("{name} {} {comment}", BASE64.encode(self.blob())).trim_end().to_owned()
    }

    /// What the card is to sign: flags as [`super::SoftKey::sign`] takes them. [`Error::Sha1`], [`Error::FlagsUnknown`].
    pub fn input(&self, data: &[u8], flags: u32) -> Result<CardInput> {
        if flags & !(RSA_SHA2_256 | RSA_SHA2_512) != 0 {
            return Err(Error::FlagsUnknown);
        }
        let (bytes, name) = match self.algorithm {
            PivAlgorithm::Ed25519 => (data.to_vec(), key_name(self.algorithm)?),
            PivAlgorithm::EcdsaP256 => (Sha256::digest(data).to_vec(), key_name(self.algorithm)?),
            PivAlgorithm::EcdsaP384 => (Sha384::digest(data).to_vec(), key_name(self.algorithm)?),
            _ if flags == 0 => return Err(Error::Sha1),
            _ if flags & RSA_SHA2_256 != 0 => (self.padded(&SHA256_INFO, &Sha256::digest(data))?, "rsa-sha2-256"),
            _ => (self.padded(&SHA512_INFO, &Sha512::digest(data))?, "rsa-sha2-512"),
        };
        Ok(CardInput { bytes, name })
    }

    /// The signature blob of a card's answer. [`Error::Signing`] where it is no signature of this key over these data:
    /// then nobody is given it.
    pub fn signature(&self, input: &CardInput, output: &[u8], data: &[u8]) -> Result<Vec<u8>> {
        let value = match self.algorithm {
            PivAlgorithm::EcdsaP256 | PivAlgorithm::EcdsaP384 => {
                let (r, s) = numbers(output).ok_or(Error::Signing)?;
                std::mem::take(&mut *fields::write(&[Field::Number(r), Field::Number(s)]))
            }
            _ => output.to_vec(),
        };
        let signature = blob(input.name, &value);
        self.public.verify(data, &signature).map_err(|_| Error::Signing)?;
        Ok(signature)
    }

    /// EMSA-PKCS1-v1_5 (RFC 8017 section 9.2).
    fn padded(&self, info: &[u8], digest: &[u8]) -> Result<Vec<u8>> {
        let tail = info.len().saturating_add(digest.len());
        let filling = self.modulus.checked_sub(tail.saturating_add(3)).filter(|length| *length >= 8);
        let mut block = vec![0, 1];
        block.resize(filling.ok_or(Error::Signing)?.saturating_add(2), 0xff);
        block.push(0);
        block.extend_from_slice(info);
        block.extend_from_slice(digest);
        Ok(block)
    }
}

/// The name of the public key's type (RFC 8709, RFC 5656, RFC 4253).
fn key_name(algorithm: PivAlgorithm) -> Result<&'static str> {
    Ok(match algorithm {
        PivAlgorithm::Ed25519 => "ssh-ed25519",
        PivAlgorithm::EcdsaP256 => "ecdsa-sha2-nistp256",
        PivAlgorithm::EcdsaP384 => "ecdsa-sha2-nistp384",
        PivAlgorithm::Rsa1024 | PivAlgorithm::Rsa2048 | PivAlgorithm::Rsa3072 | PivAlgorithm::Rsa4096 => "ssh-rsa",
        PivAlgorithm::X25519 => return Err(Error::UnsupportedType { kind: "X25519" }),
    })
}

/// The two numbers of an ECDSA signature in DER (SEC 1, appendix C.5). They have fewer than 128 bytes.
fn numbers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (inner, rest) = element(0x30, der)?;
    let (r, inner) = element(0x02, inner)?;
    let (s, inner) = element(0x02, inner)?;
    (rest.is_empty() && inner.is_empty()).then_some((r, s))
}

fn element(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    match bytes {
        [found, length @ ..=0x7f, rest @ ..] if *found == tag => rest.split_at_checked(usize::from(*length)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Error, RSA_SHA2_256, RSA_SHA2_512};
    use super::{CardKey, numbers};
    use crate::device::Bytes;
    use crate::device::piv::PublicKey;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    };
    use claviger::model::PivAlgorithm;

    fn point(bytes: &[u8]) -> PublicKey {
        PublicKey::Point(Bytes(bytes.to_vec()))
    }

    #[test]
    fn an_answer_of_a_card_becomes_a_signature_or_an_error() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let key = CardKey::new(PivAlgorithm::Ed25519, &point(pair.public_key().as_ref())).unwrap();
        let input = key.input(b"data", 0).unwrap();
        assert_eq!(input.bytes, b"data");
        let answer = pair.sign(b"data");
        assert!(key.signature(&input, answer.as_ref(), b"data").is_ok());
        assert_eq!(key.signature(&input, answer.as_ref(), b"other"), Err(Error::Signing));
        assert_eq!(key.signature(&input, &[0; 64], b"data"), Err(Error::Signing));
        assert!(key.line("a\nb").starts_with("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5") && key.line("a\nb").ends_with(" a?b"));

        for (algorithm, kind) in [
            (PivAlgorithm::EcdsaP256, &ECDSA_P256_SHA256_ASN1_SIGNING),
            (PivAlgorithm::EcdsaP384, &ECDSA_P384_SHA384_ASN1_SIGNING),
        ] {
            let pair = EcdsaKeyPair::generate(kind).unwrap();
            let key = CardKey::new(algorithm, &point(pair.public_key().as_ref())).unwrap();
            let input = key.input(b"data", 0).unwrap();
            let answer = pair.sign(&SystemRandom::new(), b"data").unwrap();
            assert!(key.signature(&input, answer.as_ref(), b"data").is_ok());
            assert_eq!(key.signature(&input, &answer.as_ref()[1..], b"data"), Err(Error::Signing));
        }
    }

    #[test]
    fn rsa_is_padded_as_long_as_its_modulus_and_never_over_sha_1() {
        let rsa = |length: usize| PublicKey::Rsa {
            modulus: Bytes([vec![0xc5], vec![0x11; length - 1]].concat()),
            exponent: Bytes(vec![1, 0, 1]),
        };
        let key = CardKey::new(PivAlgorithm::Rsa2048, &rsa(256)).unwrap();
        for (flags, length) in [(RSA_SHA2_256, 32), (RSA_SHA2_512, 64), (RSA_SHA2_256 | RSA_SHA2_512, 32)] {
            let block = key.input(b"data", flags).unwrap().bytes;
            assert_eq!(block.len(), 256);
            let end = 256 - length - 19;
            assert!(block.starts_with(&[0, 1, 0xff]) && block[2..end - 1].iter().all(|byte| *byte == 0xff));
            assert_eq!(&block[end - 1..end + 1], [0, 0x30]);
        }
        assert!(matches!(key.input(b"data", 0), Err(Error::Sha1)));
        assert!(matches!(key.input(b"data", 8), Err(Error::FlagsUnknown)));
        assert!(matches!(CardKey::new(PivAlgorithm::Rsa1024, &rsa(128)), Err(Error::RsaTooSmall { bits: 1024 })));
    }

    #[test]
    fn what_is_no_key_and_what_signs_nothing_is_refused() {
        assert!(CardKey::new(PivAlgorithm::X25519, &point(&[9; 32])).is_err());
        assert!(CardKey::new(PivAlgorithm::Ed25519, &point(&[9; 31])).is_err());
        assert!(CardKey::new(PivAlgorithm::EcdsaP256, &point(&[5; 65])).is_err());
        assert!(CardKey::new(PivAlgorithm::Rsa2048, &point(&[4; 65])).is_err());
    }

    #[test]
    fn numbers_in_der_are_read_whole_or_not_at_all() {
        assert_eq!(numbers(&[0x30, 6, 2, 1, 5, 2, 1, 6]), Some((&[5][..], &[6][..])));
        for wrong in [
            &[][..],
            &[0x30],
            &[0x30, 6, 2, 1, 5, 2, 1],
            &[0x30, 3, 2, 1, 5],
            &[0x30, 6, 2, 1, 5, 2, 1, 6, 0],
            &[0x31, 6, 2, 1, 5, 2, 1, 6],
            &[0x30, 0x81, 6, 2, 1, 5, 2, 1, 6],
        ] {
            assert_eq!(numbers(wrong), None, "{wrong:?}");
        }
    }
}
