//! Why a source gave nothing. Never with what it said: that may hold a secret.

use crate::aws::NetworkFault;
use std::fmt;
use std::io;

/// Why a source gave no credentials.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not what the source is documented to say; and the rule that is broken.
    #[error("{0} gave no credentials: {1}")]
    BadAnswer(Kind, &'static str),
    /// The command ended without success.
    #[error("the credential_process ended with {0}")]
    CommandFailed(Ending),
    /// The command is not there, or may not be run.
    #[error("the credential_process cannot be started")]
    CommandNotStarted(#[source] io::Error),
    /// The command ran too long and was ended.
    #[error("the credential_process did not end within {0} s")]
    CommandTimedOut(u64),
    /// The command wrote too much and was ended.
    #[error("the credential_process wrote more than {0} bytes")]
    CommandTooMuch(usize),
    /// The credentials have ended already.
    #[error("{0} gave credentials that have ended")]
    Ended(Kind),
    /// The source answered, and gives nothing: an HTTP status.
    #[error("{0} refused with status {1}")]
    Refused(Kind, u16),
    /// `[sources] container_token_file` is not there, or not a token.
    #[error("the container's token file cannot be read")]
    TokenFile(#[source] io::Error),
    /// Nothing answers.
    #[error("{0} cannot be reached: {1}")]
    Unreachable(Kind, NetworkFault),
}

/// Which source, as messages name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `credential_source = EcsContainer`.
    Container,
    /// `credential_source = Ec2InstanceMetadata`.
    InstanceMetadata,
    /// `credential_process`.
    Process,
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Container => "the container endpoint",
            Self::InstanceMetadata => "the instance metadata service",
            Self::Process => "the credential_process",
        })
    }
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By itself.
    Exit(i32),
    /// By a signal.
    Signal(i32),
}

impl fmt::Display for Ending {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code) => write!(out, "exit code {code}"),
            Self::Signal(number) => write!(out, "signal {number}"),
        }
    }
}
