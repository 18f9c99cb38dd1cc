//! RSA (RFC 4253 section 6.6, RFC 8332): constant time, and a signature is checked before it is given out. With SHA-2 by
//! aws-lc; with SHA-1, which that only verifies, by crypto-bigint.

use super::error::{Error, Result};
use super::fields::magnitude;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{
    KeyPair, KeyPairComponents, KeySize, Pkcs1PrivateDecryptingKey, PrivateDecryptingKey, PublicKeyComponents,
};
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512};
use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, NonZero, Odd};
use pkcs8::PrivateKeyInfoRef;
use pkcs8::der::asn1::UintRef;
use pkcs8::der::{self, Decode, Reader, SliceReader};
use sha1::{Digest, Sha1};
use ssh_key::Mpint;
use ssh_key::public::{KeyData, RsaPublicKey};
use zeroize::{Zeroize, Zeroizing};

/// The smallest and the largest that is taken, in bits.
const BITS: std::ops::RangeInclusive<u32> = 2048..=8192;

/// What comes before a SHA-1 digest: its `DigestInfo` (RFC 8017 section 9.2, note 1).
const SHA1_INFO: [u8; 15] = [0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14];

/// A key pair. aws-lc wipes what it frees.
pub(super) struct Rsa {
    pair: KeyPair,
    pub(super) bits: u32,
}

/// The numbers of a key that SSH knows (RFC 9987, `SSH_AGENTC_ADD_IDENTITY`), big-endian, without leading zeros.
pub(super) struct Numbers<'a> {
    pub(super) n: &'a [u8],
    pub(super) e: &'a [u8],
    pub(super) d: &'a [u8],
    pub(super) p: &'a [u8],
    pub(super) q: &'a [u8],
    /// q⁻¹ mod p.
    pub(super) iqmp: &'a [u8],
}

/// The hash of RFC 4253 and the two of RFC 8332.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    Sha1,
    Sha256,
    Sha512,
}

impl Rsa {
    /// Of its numbers, which must belong together: [`Error::Mismatch`]. [`Error::RsaTooSmall`], [`Error::RsaTooLarge`].
    pub(super) fn new(numbers: &Numbers<'_>) -> Result<Self> {
        let Numbers { n, e, d, p, q, iqmp } = *numbers;
        let bits = bits(n)?;
        // What is longer than the modulus does not belong to it, and would cost time to find out.
        if [e, d, p, q, iqmp].iter().any(|number| number.len() > n.len()) {
            return Err(Error::Mismatch);
        }
        let (d_p, d_q) = (exponent(d, p)?, exponent(d, q)?);
        let pair = KeyPair::from_components(&KeyPairComponents {
            public_key: PublicKeyComponents { n, e },
            d,
            p,
            q,
            dP: &d_p,
            dQ: &d_q,
            qInv: iqmp,
        });
        Ok(Self { pair: pair.map_err(|_| Error::Mismatch)?, bits })
    }

    /// A new one, by aws-lc's own randomness: it takes no other.
    pub(super) fn generate(size: KeySize) -> Result<Self> {
        let pair = KeyPair::generate(size).map_err(|_| Error::NoEntropy)?;
        let bits = u32::try_from(size.len().saturating_mul(8)).map_err(|_| Error::Malformed)?;
        Ok(Self { pair, bits })
    }

    pub(super) fn public(&self) -> Result<KeyData> {
        self.with_numbers(|numbers| {
            let number = Mpint::from_positive_bytes;
            RsaPublicKey::new(number(numbers.e), number(numbers.n)).map(KeyData::Rsa).map_err(|_| Error::Malformed)
        })
    }

    /// As long as the modulus.
    pub(super) fn sign(&self, data: &[u8], hash: Hash) -> Result<Vec<u8>> {
        let padding = match hash {
            Hash::Sha1 => return self.sign_sha1(data),
            Hash::Sha256 => &RSA_PKCS1_SHA256,
            Hash::Sha512 => &RSA_PKCS1_SHA512,
        };
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(padding, &SystemRandom::new(), data, &mut signature).map_err(|_| Error::Signing)?;
        Ok(signature)
    }

    /// RSASSA-PKCS1-v1_5 (RFC 8017 section 8.2.1). Without the Chinese remainder theorem: it takes four times as long,
    /// and an error on the way cannot give a prime away.
    fn sign_sha1(&self, data: &[u8]) -> Result<Vec<u8>> {
        let length = self.pair.public_modulus_len();
        let digest = [&SHA1_INFO[..], &Sha1::digest(data)].concat();
        let mut encoded = vec![0xff; length.saturating_sub(digest.len())];
        if let [first, second, .., last] = encoded.as_mut_slice() {
            (*first, *second, *last) = (0, 1, 0);
        }
        encoded.extend_from_slice(&digest);
        self.with_numbers(|numbers| {
            let signature = power(&encoded, numbers.d, numbers.n)?;
            PublicKeyComponents { n: numbers.n, e: numbers.e }
                .verify(&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, data, &signature)
                .map_err(|_| Error::Signing)?;
            Ok(signature)
        })
    }

    /// The private key as DER of PKCS#8 (RFC 5958): what `openssl pkcs8 -topk8 -nocrypt` writes.
    pub(super) fn pkcs8(&self) -> Result<Zeroizing<Vec<u8>>> {
        let document = self.pair.as_der().map_err(|_| Error::Malformed)?;
        Ok(Zeroizing::new(document.as_ref().to_vec()))
    }

    /// See [`super::SoftKey::decrypt`].
    pub(super) fn decrypt(&self, input: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let key = PrivateDecryptingKey::from_pkcs8(&self.pkcs8()?).map_err(|_| Error::Malformed)?;
        let key = Pkcs1PrivateDecryptingKey::new(key).map_err(|_| Error::Malformed)?;
        let mut buffer = Zeroizing::new(vec![0; key.min_output_size()]);
        let length = key.decrypt(input, &mut buffer).map_err(|_| Error::Mismatch)?.len();
        buffer.truncate(length);
        Ok(buffer)
    }

    /// Hands the numbers to `work`, out of a buffer that wipes itself.
    pub(super) fn with_numbers<T>(&self, work: impl FnOnce(&Numbers<'_>) -> Result<T>) -> Result<T> {
        let document = self.pair.as_der().map_err(|_| Error::Malformed)?;
        let info = PrivateKeyInfoRef::from_der(document.as_ref()).map_err(|_| Error::Malformed)?;
        work(&Numbers::from_der(info.private_key.as_bytes())?)
    }
}

impl<'a> Numbers<'a> {
    /// An `RSAPrivateKey` (RFC 8017 appendix A.1.2) of two primes.
    pub(super) fn from_der(document: &'a [u8]) -> Result<Self> {
        let read = || -> der::Result<Self> {
            let mut reader = SliceReader::new(document)?;
            let numbers = reader.sequence(|reader| -> der::Result<Self> {
                u8::decode(reader)?;
                let mut next = || UintRef::decode(reader).map(|number| number.as_bytes());
                let (n, e, d, p, q) = (next()?, next()?, next()?, next()?, next()?);
                let (_d_p, _d_q, iqmp) = (next()?, next()?, next()?);
                Ok(Self { n, e, d, p, q, iqmp })
            })?;
            reader.finish()?;
            Ok(numbers)
        };
        let numbers = read().map_err(|_| Error::Malformed)?;
        let Self { n, e, d, p, q, iqmp } = numbers;
        let [n, e, d, p, q, iqmp] = [n, e, d, p, q, iqmp].map(magnitude);
        let all = (|| Some(Self { n: n?, e: e?, d: d?, p: p?, q: q?, iqmp: iqmp? }))();
        all.ok_or(Error::Malformed)
    }
}

/// Of a modulus without leading zeros, if it is one that is taken.
fn bits(modulus: &[u8]) -> Result<u32> {
    let length = u32::try_from(modulus.len()).map_err(|_| Error::Malformed)?;
    let bits = length.saturating_mul(8).saturating_sub(modulus.first().map_or(0, |first| first.leading_zeros()));
    match bits {
        _ if bits < *BITS.start() => Err(Error::RsaTooSmall { bits }),
        _ if bits > *BITS.end() => Err(Error::RsaTooLarge { bits }),
        _ => Ok(bits),
    }
}

/// d mod (prime − 1), in constant time: aws-lc asks for it, SSH does not send it.
fn exponent(d: &[u8], prime: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let mut less_one = Zeroizing::new(prime.to_vec());
    match less_one.last_mut() {
        Some(last) if *last & 1 == 1 => *last &= 0xfe,
        _ => return Err(Error::Mismatch),
    }
    let mut modulus = number(&less_one)?;
    let divisor = NonZero::new(modulus.clone()).into_option().ok_or(Error::Mismatch);
    let mut d = number(d)?;
    let remainder = divisor.map(|mut divisor| {
        let mut remainder = d.rem(&divisor);
        let bytes = Zeroizing::new(remainder.to_be_bytes().into_vec());
        remainder.zeroize();
        divisor.zeroize();
        bytes
    });
    modulus.zeroize();
    d.zeroize();
    remainder
}

/// base to the exponent, modulo an odd modulus and as long as that, in constant time for moduli of one length.
fn power(base: &[u8], exponent: &[u8], modulus: &[u8]) -> Result<Vec<u8>> {
    let bits = u32::try_from(modulus.len().saturating_mul(8)).map_err(|_| Error::Malformed)?;
    let number = |bytes| BoxedUint::from_be_slice(bytes, bits).map_err(|_| Error::Malformed);
    let odd = Odd::new(number(modulus)?).into_option().ok_or(Error::Malformed)?;
    let base = BoxedMontyForm::new(number(base)?, &BoxedMontyParams::new_vartime(odd));
    let mut exponent = number(exponent)?;
    let power = base.pow(&exponent).retrieve().to_be_bytes();
    exponent.zeroize();
    // Whole words: longer than a modulus that ends within one.
    let extra = power.len().saturating_sub(modulus.len());
    power.get(extra..).map(<[u8]>::to_vec).ok_or(Error::Malformed)
}

fn number(bytes: &[u8]) -> Result<BoxedUint> {
    let bits = u32::try_from(bytes.len().saturating_mul(8)).map_err(|_| Error::Malformed)?;
    BoxedUint::from_be_slice(bytes, bits).map_err(|_| Error::Malformed)
}
