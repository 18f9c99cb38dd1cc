//! OpenSSH certificates (PROTOCOL.certkeys).

use super::error::{Error, Result};
use super::kind::KeyType;
use super::{SoftKey, fields};
use crate::ssh::limits;
use ssh_key::public::KeyData;

/// A certificate as it came: what is signed and sent are these bytes, whatever a parser makes of them.
pub(super) struct Certificate {
    pub(super) blob: Vec<u8>,
    pub(super) inner: ssh_key::Certificate,
}

impl Certificate {
    /// Reads it. Whether its authority did sign it, and whether it is still good, is for the server to say.
    pub(super) fn parse(blob: &[u8]) -> Result<Self> {
        let (_, certified) = KeyType::named(fields::string(&mut &*blob)?)?;
        // ssh-key reads a certificate in a certificate by recursion: the length bounds the stack.
        if !certified || blob.len() > limits::PUBLIC_KEY {
            return Err(Error::Malformed);
        }
        let inner = ssh_key::Certificate::from_bytes(blob).map_err(|_| Error::Malformed)?;
        Ok(Self { blob: blob.to_vec(), inner })
    }

    /// The key that it is for.
    pub(super) fn key(&self) -> &KeyData {
        self.inner.public_key()
    }
}

impl SoftKey {
    /// The same key with this certificate, the bytes that `ssh-keygen -s` writes in base64.
    /// [`Error::CertificateOfAnotherKey`] where it is not for this key.
    pub fn with_certificate(self, blob: &[u8]) -> Result<Self> {
        let certificate = Certificate::parse(blob)?;
        if *certificate.key() != self.public {
            return Err(Error::CertificateOfAnotherKey);
        }
        Ok(Self { certificate: Some(certificate), ..self })
    }

    /// What the certificate says, if the key has one. Nothing of it is checked but that it is for this key.
    pub fn certificate(&self) -> Option<&ssh_key::Certificate> {
        self.certificate.as_ref().map(|certificate| &certificate.inner)
    }
}
