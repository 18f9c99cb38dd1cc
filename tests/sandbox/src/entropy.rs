//! Repeatable identifiers and secrets: everything follows from one number. Never for real keys.

use data_encoding::{BASE32_NOPAD, BASE64, HEXLOWER};
use sha2::{Digest, Sha256};

/// A stream of bytes that depends on its label and seed alone.
pub(crate) struct Entropy {
    label: &'static str,
    seed: u64,
    counter: u64,
}

impl Entropy {
    pub(crate) fn new(label: &'static str, seed: u64) -> Self {
        Self { label, seed, counter: 0 }
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let mut hash = Sha256::new();
            hash.update(self.label.as_bytes());
            hash.update(self.seed.to_be_bytes());
            hash.update(self.counter.to_be_bytes());
            self.counter = self.counter.wrapping_add(1);
            bytes.extend_from_slice(&hash.finalize());
        }
        bytes.truncate(length);
        bytes
    }

    /// `AKIA` or `ASIA` and 16 characters.
    pub(crate) fn access_key_id(&mut self, prefix: &str) -> String {
        format!("{prefix}{}", BASE32_NOPAD.encode(&self.bytes(10)))
    }

    /// `AIDA`, `AROA` or `AGPA` and 17 characters (IAM user guide, unique identifiers).
    pub(crate) fn unique_id(&mut self, prefix: &str) -> String {
        let mut text = BASE32_NOPAD.encode(&self.bytes(11));
        text.truncate(17);
        format!("{prefix}{text}")
    }

    /// `key-0`, `r-0` and the like, and 16 hexadecimal digits.
    pub(crate) fn resource_id(&mut self, prefix: &str) -> String {
        format!("{prefix}-0{}", HEXLOWER.encode(&self.bytes(8)))
    }

    /// 40 characters of base64.
    pub(crate) fn secret_access_key(&mut self) -> String {
        BASE64.encode(&self.bytes(30))
    }

    /// Some hundred characters, like those of regional endpoints.
    pub(crate) fn session_token(&mut self) -> String {
        format!("IQoJb3JpZ2luX2Vj{}", BASE64.encode(&self.bytes(480)))
    }

    /// 40 bytes: AWS hands out seeds of 64 base32 characters.
    pub(crate) fn mfa_seed(&mut self) -> Vec<u8> {
        self.bytes(40)
    }

    /// The shape of a UUID.
    pub(crate) fn request_id(&mut self) -> String {
        let hex = HEXLOWER.encode(&self.bytes(16));
        let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
        format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
    }
}
