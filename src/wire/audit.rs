//! Answers about the audit record.

use crate::model::AuditRecord;
use serde::{Deserialize, Serialize};

/// A page of the record, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditPage {
    /// The records; a page that is not the last may have none.
    pub records: Vec<AuditRecord>,
    /// What to ask the next page with; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What is known of an id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditStory {
    /// The records that name it and those of the same acts, oldest first; of hand-outs the first and the last.
    pub records: Vec<AuditRecord>,
    /// How often credentials with this id were handed out.
    pub served: u64,
}

/// What a look at the whole record found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditVerdict {
    /// Files read.
    pub files: u64,
    /// Records that hold.
    pub records: u64,
    /// Number of the first.
    pub first: Option<u64>,
    /// Number of the last; 0 where there is none.
    pub last: u64,
    /// Records that say that others are missing for a known reason: a full disk, a lost head.
    pub gaps: u64,
    /// Torn last lines that were cut off after a crash.
    pub recovered: u64,
    /// Records up to this one were deleted because they were old.
    pub retired: u64,
    /// Whether the seals were checked. Without it, the vault not open since the agent's start, only form and order were.
    pub sealed: bool,
    /// The first line that is not as it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bad: Option<AuditBad>,
}

/// A line that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditBad {
    /// The file's name in the record's folder.
    pub file: String,
    /// Its line, from 1.
    pub line: u64,
    /// What is wrong, one line.
    pub what: String,
}
