//! Everything that a call to AWS ends with, other than its answer.

use super::http::NetworkFault;

/// Why a call gave no answer. Texts of AWS are bounded, printable, and dropped where they might repeat a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The principal may not do that.
    #[error("AWS denied {action}{}", tail(.message))]
    AccessDenied {
        /// Such as `sts:AssumeRole`.
        action: &'static str,
        /// What AWS says; empty where it must not be shown.
        message: String,
    },
    /// An answer that AWS does not give: HTML, JSON, cut off, missing fields, absurd times, a redirect.
    #[error("the answer to {action} is not one that AWS gives: {why}")]
    BadAnswer {
        /// Such as `sts:AssumeRole`.
        action: &'static str,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// The signature's time was refused, and correcting it by the `Date` header did not help.
    #[error("AWS refused the time of {action}{}", difference(.skew_millis))]
    ClockSkew {
        /// Such as `sts:AssumeRole`.
        action: &'static str,
        /// AWS's clock less this machine's, in milliseconds, where it was measured.
        skew_millis: Option<i64>,
    },
    /// The MFA code, or the serial it came with, was refused.
    #[error("AWS refused the MFA code{}", tail(.message))]
    CodeRefused {
        /// What AWS says; empty where it must not be shown.
        message: String,
    },
    /// An endpoint that is no URL, or one with user, query or fragment.
    #[error("an endpoint is not valid: {why}")]
    EndpointInvalid {
        /// The rule that it breaks.
        why: &'static str,
    },
    /// An endpoint that is neither AWS's own nor listed in `[endpoints] allow`.
    #[error("the endpoint {host} is neither AWS's nor in [endpoints] allow")]
    EndpointNotAllowed {
        /// Its scheme, host and port, made printable.
        host: String,
    },
    /// The session that signed has ended.
    #[error("the session that signed {action} has ended")]
    Expired {
        /// Such as `sts:AssumeRole`.
        action: &'static str,
    },
    /// AWS does not know the key or the token, or the secret is another.
    #[error("AWS does not accept the credentials of {action} ({error_code})")]
    InvalidCredentials {
        /// Such as `sts:AssumeRole`.
        action: &'static str,
        /// AWS's error code. Its text is never shown: it may repeat the signed request.
        error_code: String,
    },
    /// AWS finds a parameter invalid.
    #[error("AWS finds a parameter of {action} invalid{}", tail(.message))]
    InvalidRequest {
        /// Such as `sts:AssumeRole`.
        action: &'static str,
        /// What AWS says; empty where it must not be shown.
        message: String,
    },
    /// What stands at AWS does not let it be done, such as a name that is taken.
    #[error("AWS refused {action} ({code}){}", tail(.message))]
    Refused {
        /// Such as `iam:CreateAccessKey`.
        action: &'static str,
        /// AWS's error code, one of those that are known.
        code: &'static str,
        /// What AWS says; empty where it must not be shown.
        message: String,
    },
    /// STS is not enabled in the region.
    #[error("{host} does not serve this account: the region is disabled")]
    RegionDisabled {
        /// The endpoint's host.
        host: String,
    },
    /// A failure on AWS's side, or an error code that nobody here knows.
    #[error("AWS failed at {action} (status {status}, {error_code})")]
    ServiceError {
        /// Such as `sts:AssumeRole`.
        action: &'static str,
        /// AWS's error code, or what stands for it.
        error_code: String,
        /// The status of the answer.
        status: u16,
    },
    /// Too many calls.
    #[error("AWS is throttling {action}")]
    Throttled {
        /// Such as `sts:AssumeRole`.
        action: &'static str,
    },
    /// No answer in time.
    #[error("{host} did not answer in time")]
    TimedOut {
        /// The endpoint's host.
        host: String,
        /// Whether the request may have arrived.
        sent: bool,
    },
    /// No connection, or one that broke.
    #[error("{host} cannot be reached: {fault}")]
    Unreachable {
        /// The endpoint's host.
        host: String,
        /// What went wrong.
        fault: NetworkFault,
        /// Whether the request may have arrived.
        sent: bool,
    },
    /// What was asked cannot be put into a request; nothing was sent.
    #[error("not sent: {why}")]
    Unsendable {
        /// The rule that it breaks.
        why: &'static str,
    },
}

impl Error {
    /// Whether an MFA code in the request must count as sent. False only where no byte can have left this machine.
    pub fn code_counts_as_sent(&self) -> bool {
        match self {
            Self::TimedOut { sent, .. } | Self::Unreachable { sent, .. } => *sent,
            Self::EndpointInvalid { .. } | Self::EndpointNotAllowed { .. } | Self::Unsendable { .. } => false,
            Self::AccessDenied { .. }
            | Self::BadAnswer { .. }
            | Self::ClockSkew { .. }
            | Self::CodeRefused { .. }
            | Self::Expired { .. }
            | Self::InvalidCredentials { .. }
            | Self::InvalidRequest { .. }
            | Self::Refused { .. }
            | Self::RegionDisabled { .. }
            | Self::ServiceError { .. }
            | Self::Throttled { .. } => true,
        }
    }
}

impl Error {
    /// Whether AWS may have done what was asked, though it did not say so.
    pub fn may_be_done(&self) -> bool {
        match self {
            Self::BadAnswer { .. } => true,
            Self::ServiceError { status, .. } => *status >= 500,
            Self::TimedOut { sent, .. } | Self::Unreachable { sent, .. } => *sent,
            Self::AccessDenied { .. }
            | Self::ClockSkew { .. }
            | Self::CodeRefused { .. }
            | Self::EndpointInvalid { .. }
            | Self::EndpointNotAllowed { .. }
            | Self::Expired { .. }
            | Self::InvalidCredentials { .. }
            | Self::InvalidRequest { .. }
            | Self::Refused { .. }
            | Self::RegionDisabled { .. }
            | Self::Throttled { .. }
            | Self::Unsendable { .. } => false,
        }
    }

    /// Whether AWS refused with this error code.
    pub fn is_refusal(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == wanted)
    }
}

fn tail(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

fn difference(skew_millis: &Option<i64>) -> String {
    match skew_millis {
        Some(millis) if *millis < 0 => format!(": this machine's clock is {} s ahead", millis.unsigned_abs() / 1000),
        Some(millis) => format!(": this machine's clock is {} s behind", millis / 1000),
        None => String::new(),
    }
}
