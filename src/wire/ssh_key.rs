//! SSH keys in the vault: how they are made and used, and the rows of their list.

use crate::model::Name;
use crate::secret::{SshKeyFile, text};
use serde::{Deserialize, Serialize};

/// What kind of key is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SshKeyKind {
    /// ECDSA over nistp256 (RFC 5656).
    #[serde(rename = "ecdsa-p256")]
    EcdsaP256,
    /// ECDSA over nistp384.
    #[serde(rename = "ecdsa-p384")]
    EcdsaP384,
    /// ECDSA over nistp521.
    #[serde(rename = "ecdsa-p521")]
    EcdsaP521,
    /// Ed25519 (RFC 8709).
    #[serde(rename = "ed25519")]
    Ed25519,
    /// RSA of 3072 bits (RFC 8332).
    #[serde(rename = "rsa-3072")]
    Rsa3072,
    /// RSA of 4096 bits.
    #[serde(rename = "rsa-4096")]
    Rsa4096,
}

/// How the file of a private key is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SshKeyFormat {
    /// As OpenSSH writes it (PROTOCOL.key).
    #[default]
    Openssh,
    /// PEM of PKCS#1, `RSA PRIVATE KEY`: RSA alone, in the clear.
    Pkcs1,
    /// PEM of PKCS#8, `PRIVATE KEY`: in the clear.
    Pkcs8,
}

impl SshKeyFormat {
    /// Whether it is what is written where none is named.
    pub(super) fn is_usual(&self) -> bool {
        *self == Self::Openssh
    }
}

/// How a key is called and used. All of it may be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshKeyOptions {
    /// Sign also what is neither an authentication request nor an SSHSIG.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub any_data: bool,
    /// Its comment; that of its file, else its name, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Ask a person before each use.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub confirm: bool,
    /// Where it may be used, `[user@]host` or `host>[user@]host` as `ssh-add -h` takes it; anywhere, if left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub destinations: Vec<String>,
    /// Seconds a consent lasts: a use asks once, and the consent holds so long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<u32>,
    /// The SSHSIG namespaces it signs for; `git` and `file`, if left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
}

/// A row of `ssh-key list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshKeyRow {
    /// Its name here.
    pub name: Name,
    /// What it proves, by the name that SSH has for it: `ssh-ed25519`, `ssh-rsa-cert-v01@openssh.com`.
    pub algorithm: String,
    /// The size that OpenSSH shows.
    pub bits: u32,
    /// `SHA256:` and base64 over the public key; a certificate has that of its key.
    pub fingerprint: String,
    /// Its comment.
    pub comment: String,
    /// Signs also what is neither an authentication request nor an SSHSIG.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub any_data: bool,
    /// Asks before each use.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub confirm: bool,
    /// Where it may be used, by the names that were given; anywhere, if none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub destinations: Vec<String>,
    /// Seconds a consent lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<u32>,
    /// The SSHSIG namespaces it signs for.
    pub namespaces: Vec<String>,
    /// The line for `authorized_keys`; left out in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<String>,
    /// When it was added, RFC 3339.
    pub added: String,
}

/// A key as `ssh-key export` shows it.
#[derive(Serialize, Deserialize)]
pub struct SshKeyExport {
    /// The file that OpenSSH would write.
    #[serde(with = "text")]
    pub key: SshKeyFile,
    /// Its certificate's line, if it has one: a file of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
}
