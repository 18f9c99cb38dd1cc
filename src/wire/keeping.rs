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
