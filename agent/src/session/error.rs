//! Why a session could not be had.

use super::pins::ProfileChange;
use super::plan::PlanError;
use crate::{audit, aws, device, source, vault};
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
    /// A device that makes codes.
    #[error("the device did not give a code")]
    Device {
        /// Why.
        error: device::Error,
        /// The serial number of the card.
        card: u32,
    },
    /// The command of the profile gives keys that do not end: they are not handed out.
    #[error("the credential_process gives long-lived keys")]
    LongLived,
    /// The vault was locked before the work was done.
    #[error("the vault is locked")]
    Locked,
    /// The profile cannot be planned.
    #[error("the profile has a mistake")]
    Plan(#[from] PlanError),
    /// No human act within `[mfa] presence`.
    #[error("a person must be here")]
    PresenceNeeded,
    /// A source of base credentials.
    #[error("the source gave no credentials")]
    Source(#[from] source::Error),
    /// The profile asks for another role or account than it was pinned to.
    #[error("the profile asks for something else than it did")]
    ProfileChanged(Box<ProfileChange>),
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
