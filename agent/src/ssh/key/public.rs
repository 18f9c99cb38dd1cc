//! What others may see of a key.

use super::kind::KeyType;
use super::{PrivateHalf, SoftKey};
use data_encoding::BASE64;
use ssh_key::HashAlg;

impl SoftKey {
    /// Its type.
    pub fn kind(&self) -> KeyType {
        match &self.private {
            PrivateHalf::Ecdsa(key) => KeyType::Ecdsa(key.curve),
            PrivateHalf::Ed25519(_) => KeyType::Ed25519,
            PrivateHalf::Rsa(_) => KeyType::Rsa,
            PrivateHalf::Security(key) => KeyType::Security(key.kind),
        }
    }

    /// The name of what it proves: of its certificate if it has one, else of its type.
    pub fn algorithm(&self) -> &'static str {
        match self.certificate {
            Some(_) => self.kind().certificate_name(),
            None => self.kind().name(),
        }
    }

    /// What the agent lists and is asked by: the certificate if it has one, else the public key (RFC 4253 section 6.6).
    pub fn blob(&self) -> &[u8] {
        self.certificate.as_ref().map_or(&self.key_blob, |certificate| &certificate.blob)
    }

    /// The public key alone.
    pub fn key_blob(&self) -> &[u8] {
        &self.key_blob
    }

    /// `SHA256:` and unpadded base64 over the public key, as OpenSSH writes it; a certificate has that of its key.
    pub fn fingerprint(&self) -> String {
        self.public.fingerprint(HashAlg::Sha256).to_string()
    }

    /// The size that OpenSSH shows.
    pub fn bits(&self) -> u32 {
        match &self.private {
            PrivateHalf::Ecdsa(key) => key.curve.bits(),
            PrivateHalf::Ed25519(_) | PrivateHalf::Security(_) => 256,
            PrivateHalf::Rsa(key) => key.bits,
        }
    }

    /// A line for `authorized_keys` or a `.pub` file, without its end; of the certificate if there is one. A control
    /// character in the comment becomes a question mark: it could begin another line.
    pub fn line(&self, comment: &str) -> String {
        let blob = BASE64.encode(self.blob());
        let comment = comment.replace(char::is_control, "?");
        format!("{} {blob} {comment}", self.algorithm()).trim_end().to_owned()
    }
}
