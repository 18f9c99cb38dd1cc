//! A host's public key or certificate, as a connection is bound to it.

use super::codec::fields::string;
use super::{Error, limits, pattern, verify};
use crate::world::WallTime;
use data_encoding::BASE64_NOPAD;
use sha2::{Digest, Sha256};
use ssh_encoding::{Decode, Encode};
use ssh_key::Algorithm;
use ssh_key::public::KeyData;

/// A host's key. Two are the same where their blobs are; a blob that is not as its fields would be written is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey {
    blob: Box<[u8]>,
    key: KeyData,
    /// The blob of the key that signed it, where it is a certificate.
    authority: Option<Box<[u8]>>,
}

impl HostKey {
    /// Reads a blob (RFC 4253 section 6.6, PROTOCOL.certkeys). The authority's signature of a certificate is verified:
    /// its type, names and time are not, as they depend on what for.
    ///
    /// # Errors
    /// [`Error::KeyMalformed`], also for one over [`limits::PUBLIC_KEY`]; [`Error::KeyUnsupported`];
    /// [`Error::SignatureInvalid`] of the authority's.
    pub fn decode(blob: &[u8]) -> Result<Self, Error> {
        let key = read(blob)?;
        let authority = match &key {
            KeyData::Certificate(certificate) => {
                let (signed, signature) = halves(blob, certificate)?;
                verify::verify(certificate.signature_key(), signed, signature)?;
                Some(certificate.signature_key().encode_vec().map_err(|_| Error::KeyMalformed)?.into())
            }
            _ => None,
        };
        Ok(Self { blob: blob.into(), key, authority })
    }

    /// The blob.
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// What it is, for fingerprints and records.
    pub fn key(&self) -> &KeyData {
        &self.key
    }

    /// The blob of the key that signed it, where it is a certificate.
    pub fn authority(&self) -> Option<&[u8]> {
        self.authority.as_deref()
    }

    /// Verifies a signature blob of this key over a message.
    ///
    /// # Errors
    /// [`Error::SignatureInvalid`], [`Error::KeyUnsupported`], [`Error::Truncated`], [`Error::Trailing`].
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), Error> {
        let key = match &self.key {
            KeyData::Certificate(certificate) => certificate.public_key(),
            key => key,
        };
        verify::verify(key, message, signature)
    }

    /// Whether it is a host certificate for this host at this time: by a name of its own, in which `*` and `?` stand
    /// for others. One that names no host is for none, as since OpenSSH 10.3; one with a critical option is for none.
    pub(super) fn certifies(&self, host: &str, now: WallTime) -> bool {
        let KeyData::Certificate(certificate) = &self.key else { return false };
        let now = u64::try_from(now.seconds()).unwrap_or(0);
        let named = |name: &String| pattern::matches(host.as_bytes(), name.as_bytes());
        certificate.cert_type().is_host()
            && (certificate.valid_after()..certificate.valid_before()).contains(&now)
            && certificate.critical_options().is_empty()
            && certificate.valid_principals().iter().any(named)
    }
}

/// As `ssh-keygen -l` shows it: SHA-256 over the blob of the public key, for a certificate over that of its key. Of what
/// is no key, or of a type that is not known, over all of it.
pub fn fingerprint(blob: &[u8]) -> String {
    let plain = match read(blob) {
        Ok(KeyData::Certificate(certificate)) => certificate.public_key().encode_vec().ok(),
        _ => None,
    };
    format!("SHA256:{}", BASE64_NOPAD.encode(&Sha256::digest(plain.as_deref().unwrap_or(blob))))
}

/// Refuses a blob of a known type that is no key of it. Certificates and types that are not known pass: such a blob can
/// only be compared.
pub(super) fn check(blob: &[u8]) -> Result<(), Error> {
    let kind = std::str::from_utf8(string(&mut &*blob)?).map_err(|_| Error::KeyMalformed)?;
    match Algorithm::new(kind) {
        Ok(Algorithm::Other(_)) | Err(_) => Ok(()),
        Ok(_) => read(blob).map(drop),
    }
}

/// Reads a public key or certificate blob of a known type; signatures are not verified. The one place that calls
/// ssh-key with bytes of someone else.
pub(super) fn read(blob: &[u8]) -> Result<KeyData, Error> {
    // Certificates nest, and are read by recursion.
    if blob.len() > limits::PUBLIC_KEY {
        return Err(Error::KeyMalformed);
    }
    let key = KeyData::decode(&mut &*blob).map_err(|_| Error::KeyMalformed)?;
    if key.is_other() {
        return Err(Error::KeyUnsupported);
    }
    let canonical = key.encode_vec().map_err(|_| Error::KeyMalformed)?;
    if canonical == blob { Ok(key) } else { Err(Error::KeyMalformed) }
}

/// What the authority signed, and its signature: all fields but the last, and the last.
fn halves<'a>(blob: &'a [u8], certificate: &ssh_key::Certificate) -> Result<(&'a [u8], &'a [u8]), Error> {
    let signature = certificate.signature().encoded_len().map_err(|_| Error::KeyMalformed)?;
    let signed = blob.len().checked_sub(signature.saturating_add(4)).ok_or(Error::KeyMalformed)?;
    let (signed, mut rest) = blob.split_at_checked(signed).ok_or(Error::KeyMalformed)?;
    Ok((signed, string(&mut rest)?))
}
