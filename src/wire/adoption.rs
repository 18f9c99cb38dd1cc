//! Changes of the AWS files, in two steps: the agent shows what would change, and does it when it is told the digest
//! of what it has shown.

use crate::model::{AccessKeyId, Name};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What is changed, and whether it is only shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The profile; every one that can be, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The client's absolute path, for its line in the AWS files. Not needed to release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<PathBuf>,
    /// Do it: the digest of what was shown. A file that has changed since is a fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apply: Option<String>,
    /// Lines of the diff to pass over.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skip: usize,
}

/// What would change, or has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// What `apply` must say.
    pub digest: String,
    /// Whether it is done.
    pub applied: bool,
    /// How many profiles change.
    pub profiles: usize,
    /// Lines of a unified diff, a page of them, with `(secret)` in place of secrets. Empty once applied.
    pub diff: Vec<String>,
    /// How many lines the whole diff has.
    pub diff_lines: usize,
    /// The access keys that go into the vault, or are there already; the first hundred.
    pub access_keys: Vec<ImportedKey>,
    /// Profiles that stay as they are, of all, and why; the first hundred.
    pub skipped: Vec<SkippedProfile>,
    /// How many those are.
    pub skipped_count: usize,
}

/// An access key of a profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedKey {
    /// The profile.
    pub profile: String,
    /// Its name in the vault.
    pub name: Name,
    /// Its id at AWS.
    pub access_key_id: AccessKeyId,
    /// It was in the vault before.
    pub stored: bool,
}

/// A profile that stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedProfile {
    /// The profile.
    pub profile: String,
    /// The code of the fault.
    pub fault: String,
    /// What it says.
    pub message: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}
