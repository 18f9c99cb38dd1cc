//! Endpoints: a profile's credentials over loopback HTTP, for programs that can fetch them no other way.
//!
//! One listener for each `exec`, on a port of its own, with one profile; it ends with the process that asked for it.
//! A request is answered from what the office has: nothing here prompts. Every request stands before [`checks`], and
//! nothing of headers, bodies, tokens or URLs is logged.
//!
//! `open` opens and closes, `serve` accepts, `uid` tells whose connection it is, `answer` is the way of one request,
//! `container` and `imds` are the two protocols, `owner` watches the process, `handover` is for a planned restart.

mod answer;
mod checks;
mod container;
mod handover;
mod imds;
#[cfg(test)]
mod mutations;
mod open;
mod owner;
mod record;
mod serve;
mod token;
mod uid;

pub use open::Endpoints;
pub(super) use open::Opening;

use std::io;

/// Most endpoints at once: a parallel build starts a few dozen `exec`; each takes a handful of descriptors.
const ENDPOINTS_LIMIT: usize = 256;
/// Most connections of one endpoint at once: what is in memory is answered in a millisecond.
const CONNECTIONS_LIMIT: usize = 32;
/// A connection that has asked for nothing for so long makes room where there are as many as that. In a crowd of
/// threads an interpreter takes its time between connecting and asking.
const SILENT_MILLIS: u64 = 500;
/// Connections of other users that are answered with a refusal at once; further ones are closed without a word.
const FOREIGN_LIMIT: usize = 4;
/// Most bytes of a request's head: a token of 43 characters and what an SDK says of itself fit many times.
const HEAD_LIMIT: usize = 8 * 1024;
/// Most headers of a request: SDKs send about ten.
const HEADERS_LIMIT: usize = 32;
/// Within this the head must be there: a program on the same machine has written it before it is accepted.
const HEAD_MILLIS: u64 = 2_000;
/// Within this a connection is over, the answer taken.
const WHOLE_MILLIS: u64 = 5_000;
/// Wrong tokens until an endpoint closes. SDKs try three times, so a few programs may be mistaken; a guesser may not try on.
const FAILURES_LIMIT: u32 = 20;
/// Most IMDS tokens at once; the oldest goes. Each SDK client in each process asks for one.
const TOKENS_LIMIT: usize = 64;
/// Longest linger that may be asked for: a day. What runs longer has a process to belong to.
pub(super) const LINGER_LIMIT_SECONDS: u64 = 86_400;
/// Endpoints closed for wrong tokens that `status` remembers.
const CLOSED_LIMIT: usize = 8;
/// How long a container request may wait for a fetch: botocore gives up after two seconds.
const CONTAINER_MILLIS: u64 = 1_500;
/// How long an IMDS request may: SDKs give up after one second, and try once.
const IMDS_MILLIS: u64 = 700;

/// Why an endpoint was not opened.
#[derive(Debug, thiserror::Error)]
pub(in crate::server) enum Error {
    /// The kernel gives no randomness.
    #[error("there is no randomness for the token")]
    NoEntropy(#[source] io::Error),
    /// The process that asks cannot be watched: it has gone, or lives in another process namespace.
    #[error("the process that asks cannot be watched")]
    NoOwner,
    /// No port on the loopback.
    #[error("the endpoint cannot listen")]
    NotListening(#[source] io::Error),
    /// The token's file.
    #[error("the token cannot be written")]
    TokenUnsaved(#[source] io::Error),
    /// As many as are allowed.
    #[error("at most {ENDPOINTS_LIMIT} endpoints are open at once")]
    TooMany,
}
