//! Why a session could not be had.

use super::plan::PlanError;
use crate::{audit, aws, vault};
use claviger::model::MfaSerial;

/// Shared by everyone who waited for the same session.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What cannot be recorded is not done.
    #[error("nothing is recorded")]
    Audit(#[from] audit::Error),
    /// AWS, or the way to it.
    #[error("AWS gave no session")]
    Aws(#[from] aws::Error),
    /// A code must be typed, and nobody who waits can.
    #[error("a code of {0} must be typed")]
    CodeNeeded(MfaSerial),
    /// AWS refused the code of a device.
    #[error("AWS refused the code of {serial}")]
    CodeRefused {
        /// The device.
        serial: MfaSerial,
        /// Whether the seed is in the vault; else a person typed the code.
        held: bool,
    },
    /// The vault was locked before the work was done.
    #[error("the vault is locked")]
    Locked,
    /// The profile cannot be planned.
    #[error("the profile has a mistake")]
    Plan(#[from] PlanError),
    /// No human act within `[mfa] presence`.
    #[error("a person must be here")]
    PresenceNeeded,
    /// Every step of the next hour is spent: the clock was wrong, or the ledger was lost.
    #[error("the steps of {0} are spent")]
    StepsSpent(MfaSerial),
    /// The current step is spent and the caller would not wait; milliseconds until the next.
    #[error("the current code is spent")]
    StepSpent(u64),
    /// The vault, or the ledger beside it.
    #[error("the vault failed")]
    Vault(#[from] vault::Error),
}
