//! The agent about itself.

use serde::{Deserialize, Serialize};

/// How a restart ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restarted {
    /// The process that serves now.
    pub pid: u32,
    /// Its name and version, such as `claviger-agent/0.1.0`.
    pub agent: String,
    /// Why a vault that was open is locked now; absent where it is as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked: Option<String>,
}
