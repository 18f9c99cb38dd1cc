//! The types of keys, by their names.

use super::error::{Error, Result};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
    EcdsaSigningAlgorithm,
};

/// The type of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    /// RFC 5656.
    Ecdsa(Curve),
    /// RFC 8709.
    Ed25519,
    /// RFC 4253 section 6.6, signatures as in RFC 8332.
    Rsa,
    /// PROTOCOL.u2f: on a FIDO device.
    Security(SecurityType),
}

/// The types of keys on FIDO devices (PROTOCOL.u2f).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecurityType {
    /// Over nistp256.
    Ecdsa,
    /// Ed25519.
    Ed25519,
}

impl SecurityType {
    /// Its name in SSH.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ecdsa => "sk-ecdsa-sha2-nistp256@openssh.com",
            Self::Ed25519 => "sk-ssh-ed25519@openssh.com",
        }
    }
}

/// A curve of RFC 5656 section 10.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// nistp256.
    P256,
    /// nistp384.
    P384,
    /// nistp521.
    P521,
}

/// The types that are known and not held, by the start of their names.
const REFUSED: [(&[u8], &str); 6] = [
    (b"sk-", "security key"),
    (b"webauthn-sk-", "security key"),
    (b"ssh-dss", "dsa"),
    (b"ssh-mldsa", "ml-dsa"),
    (b"ssh-xmss", "xmss"),
    (b"ssh-ed448", "ed448"),
];

impl KeyType {
    /// The type that SSH gives this name, and whether it is the name of a certificate (PROTOCOL.certkeys).
    /// [`Error::UnsupportedType`] for all others.
    pub(super) fn named(name: &[u8]) -> Result<(Self, bool)> {
        Ok(match name {
            b"ssh-ed25519" => (Self::Ed25519, false),
            b"ssh-ed25519-cert-v01@openssh.com" => (Self::Ed25519, true),
            b"ssh-rsa" => (Self::Rsa, false),
            b"ssh-rsa-cert-v01@openssh.com" => (Self::Rsa, true),
            b"ecdsa-sha2-nistp256" => (Self::Ecdsa(Curve::P256), false),
            b"ecdsa-sha2-nistp256-cert-v01@openssh.com" => (Self::Ecdsa(Curve::P256), true),
            b"ecdsa-sha2-nistp384" => (Self::Ecdsa(Curve::P384), false),
            b"ecdsa-sha2-nistp384-cert-v01@openssh.com" => (Self::Ecdsa(Curve::P384), true),
            b"ecdsa-sha2-nistp521" => (Self::Ecdsa(Curve::P521), false),
            b"ecdsa-sha2-nistp521-cert-v01@openssh.com" => (Self::Ecdsa(Curve::P521), true),
            b"sk-ecdsa-sha2-nistp256@openssh.com" => (Self::Security(SecurityType::Ecdsa), false),
            b"sk-ecdsa-sha2-nistp256-cert-v01@openssh.com" => (Self::Security(SecurityType::Ecdsa), true),
            b"sk-ssh-ed25519@openssh.com" => (Self::Security(SecurityType::Ed25519), false),
            b"sk-ssh-ed25519-cert-v01@openssh.com" => (Self::Security(SecurityType::Ed25519), true),
            _ => {
                let known = REFUSED.iter().find(|(start, _)| name.starts_with(start));
                return Err(Error::UnsupportedType { kind: known.map_or("unknown", |(_, kind)| kind) });
            }
        })
    }

    /// Its name in SSH.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ecdsa(Curve::P256) => "ecdsa-sha2-nistp256",
            Self::Ecdsa(Curve::P384) => "ecdsa-sha2-nistp384",
            Self::Ecdsa(Curve::P521) => "ecdsa-sha2-nistp521",
            Self::Ed25519 => "ssh-ed25519",
            Self::Rsa => "ssh-rsa",
            Self::Security(kind) => kind.name(),
        }
    }

    /// The name of its certificates.
    pub(super) fn certificate_name(self) -> &'static str {
        match self {
            Self::Ecdsa(Curve::P256) => "ecdsa-sha2-nistp256-cert-v01@openssh.com",
            Self::Ecdsa(Curve::P384) => "ecdsa-sha2-nistp384-cert-v01@openssh.com",
            Self::Ecdsa(Curve::P521) => "ecdsa-sha2-nistp521-cert-v01@openssh.com",
            Self::Ed25519 => "ssh-ed25519-cert-v01@openssh.com",
            Self::Rsa => "ssh-rsa-cert-v01@openssh.com",
            Self::Security(SecurityType::Ecdsa) => "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
            Self::Security(SecurityType::Ed25519) => "sk-ssh-ed25519-cert-v01@openssh.com",
        }
    }
}

impl Curve {
    /// Its name in the fields of a key.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::P256 => "nistp256",
            Self::P384 => "nistp384",
            Self::P521 => "nistp521",
        }
    }

    /// Bits of its field.
    pub(super) fn bits(self) -> u32 {
        match self {
            Self::P256 => 256,
            Self::P384 => 384,
            Self::P521 => 521,
        }
    }

    /// Bytes of a scalar.
    pub(super) fn scalar_length(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// With the hash that RFC 5656 section 6.2.1 gives it; signatures are r and s, each as long as a scalar.
    pub(super) fn signing(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
            Self::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
            Self::P521 => &ECDSA_P521_SHA512_FIXED_SIGNING,
        }
    }
}
