//! What is kept: backups and the trash.

use crate::model::Name;
use serde::{Deserialize, Serialize};

/// What a removed item was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrashKind {
    /// An access key.
    AccessKey,
    /// An authenticator.
    Authenticator,
    /// An SSH key.
    SshKey,
}

/// A row of `trash list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrashRow {
    /// The name it had.
    pub name: Name,
    /// What it was; absent where only a newer claviger knows it.
    pub kind: Option<TrashKind>,
    /// When it was removed, RFC 3339.
    pub removed: String,
    /// When it goes for good, RFC 3339.
    pub until: String,
}

/// The open vault is an older version than one that is remembered: it is read-only until a person accepts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OlderVault {
    /// How often the open one had been saved.
    pub generation: u64,
    /// When it was saved, RFC 3339.
    pub saved: String,
    /// How often the latest one that is remembered had been.
    pub known_generation: u64,
    /// When that was saved, RFC 3339.
    pub known_saved: String,
    /// Who remembers it: `the audit record`, `the runtime folder`.
    pub known_by: Vec<String>,
    /// Names these two versions, for vault_accept.
    pub digest: String,
}
