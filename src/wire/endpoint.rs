//! Endpoints as `status` shows them.

use super::EndpointKind;
use serde::{Deserialize, Serialize};

/// An open endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointRow {
    /// The profile it serves.
    pub profile: String,
    /// What it speaks.
    pub kind: EndpointKind,
    /// The process it belongs to.
    pub pid: u32,
    /// Seconds it goes on, once that process has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lingering: Option<u64>,
}
