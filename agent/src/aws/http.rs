//! The one joint to the network.

use crate::world::BoxFuture;
use ::http::{HeaderMap, Method};
use std::fmt;
use url::Url;
use zeroize::Zeroizing;

/// Sends one request and reads the whole answer. Follows no redirect, retries nothing and ends by itself:
/// an implementation bounds both the time and the size of an exchange.
pub trait Http: Send + Sync {
    /// One exchange.
    fn send(&self, request: HttpRequest) -> BoxFuture<'_, Result<HttpResponse, HttpError>>;
}

/// A request. Header values and body may hold secrets and are wiped.
pub struct HttpRequest {
    /// The method.
    pub method: Method,
    /// Where to. The `host` header is made from it.
    pub url: Url,
    /// Names in lower case, and values.
    pub headers: Vec<(&'static str, Zeroizing<String>)>,
    /// The body.
    pub body: Zeroizing<Vec<u8>>,
    /// The longest body of an answer, in bytes.
    pub answer_limit: usize,
}

/// The longest answer in bytes, where a call does not have its own. STS answers in a few KiB, but session tokens have no
/// promised size (STS API, Credentials).
pub const ANSWER_LIMIT: usize = 256 * 1024;

impl HttpRequest {
    /// The value of the first header of this name, given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

/// An answer, whole. Its body may hold secrets and is wiped.
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Zeroizing<Vec<u8>>,
}

impl HttpResponse {
    /// The value of a header, where it is there and printable ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// No byte of the request can have gone out: what it carried is unused.
    #[error("nothing was sent: {0}")]
    NotSent(NetworkFault),
    /// The request may have arrived: what it carried counts as used.
    #[error("the answer was lost: {0}")]
    Unknown(NetworkFault),
}

/// What went wrong on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkFault {
    /// The answer is not HTTP/1.1, or is compressed though nobody asked for that.
    BadAnswer,
    /// The request cannot be written as HTTP.
    BadRequest,
    /// The server's certificate is not valid at this machine's time.
    CertificateDates,
    /// The connection ended before the answer did.
    CutOff,
    /// The name has no address, or nothing accepts the connection.
    NotConnected,
    /// Nothing accepts the connection to the proxy of `[network]`.
    ProxyNotConnected,
    /// The proxy would not connect, or what answered is no proxy.
    ProxyRefused,
    /// No connection through the proxy in time.
    ProxySilent,
    /// No answer in time.
    TimedOut,
    /// The answer is larger than any that AWS gives.
    TooLarge,
    /// The TLS handshake failed for a reason other than the certificate.
    Tls,
    /// The server's certificate is for another name, or nobody trusted has signed it.
    UntrustedCertificate,
}

/// Where there is no network to be had.
pub struct Unplugged;

impl Http for Unplugged {
    fn send(&self, _: HttpRequest) -> BoxFuture<'_, Result<HttpResponse, HttpError>> {
        Box::pin(async { Err(HttpError::NotSent(NetworkFault::NotConnected)) })
    }
}

impl fmt::Display for NetworkFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::BadAnswer => "the answer is not plain HTTP/1.1",
            Self::BadRequest => "the request cannot be written as HTTP",
            Self::CertificateDates => "the server's certificate is not valid at this machine's time",
            Self::CutOff => "the connection ended early",
            Self::NotConnected => "no connection",
            Self::ProxyNotConnected => "the proxy of [network] does not accept the connection",
            Self::ProxyRefused => "the proxy of [network] did not connect to it",
            Self::ProxySilent => "no connection through the proxy of [network] in time",
            Self::TimedOut => "no answer in time",
            Self::TooLarge => "the answer is too large",
            Self::Tls => "the TLS handshake failed",
            Self::UntrustedCertificate => "the server's certificate is not trusted",
        })
    }
}
