//! Fault scripts.

use crate::reply::{Refusal, Service, failure, response};
use crate::time;
use bytes::Bytes;
use http::{HeaderValue, Response, header};
use serde::{Deserialize, Serialize};

/// A fault for the next requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The action that it strikes; none means every one.
    #[serde(default)]
    pub action: Option<String>,
    /// The region of the signature's scope that it strikes; none means every one.
    #[serde(default)]
    pub region: Option<String>,
    /// How many requests it strikes.
    #[serde(default = "once")]
    pub times: u32,
    /// What happens.
    pub kind: FaultKind,
}

/// What a fault does to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Not done: an HTML page with status 200.
    CaptivePortal,
    /// Done after so many milliseconds of the machine's time, or once released; hanging until then. Strikes beside another
    /// fault. Only over the server.
    DelayMillis(u64),
    /// Done, but the credentials ended an hour ago by what the reply says.
    ExpirationInPast,
    /// Held until released, then done as usual. Only over the server.
    Hang,
    /// Not done: status 200 and one MiB of a reply that never gets to its point.
    HugeBody,
    /// Done, but this element is missing from the reply.
    MissingField(String),
    /// Done, but its reply is held until released. Only over the server.
    Mute,
    /// Not done: 307 to this address.
    Redirect(String),
    /// Not done: this error, in the shape of the service.
    Refuse {
        /// The HTTP status.
        status: u16,
        /// AWS's error code.
        code: String,
        /// The message.
        message: String,
    },
    /// The connection is reset; `done` says whether the action was done first. Only over the server.
    Reset {
        /// Whether the action is done before its reply is lost.
        done: bool,
    },
    /// Not done: Throttling with this status, 400, 429 or 503.
    Throttle(u16),
    /// Done, but the body ends after so many bytes. Over the server the connection ends there as well.
    Truncate(usize),
    /// Not done: status 200 and XML of another kind.
    WrongXml,
}

impl Fault {
    /// A fault for the next request of this action.
    pub fn next(action: &str, kind: FaultKind) -> Self {
        Self { action: Some(action.to_owned()), region: None, times: 1, kind }
    }

    /// Every request of a region takes so long, until the faults are cleared.
    pub fn latency(region: &str, millis: u64) -> Self {
        Self { action: None, region: Some(region.to_owned()), times: u32::MAX, kind: FaultKind::DelayMillis(millis) }
    }

    pub(super) fn strikes(&self, action: &str, region: Option<&str>) -> bool {
        self.action.as_deref().is_none_or(|wanted| wanted == action)
            && (self.region.is_none() || self.region.as_deref() == region)
    }
}

/// The reply of a fault that keeps the action from being done; None for the others.
pub(crate) fn instead(kind: &FaultKind, service: Service, request_id: &str) -> Option<Response<Bytes>> {
    Some(match kind {
        FaultKind::CaptivePortal => response(
            200,
            "text/html; charset=utf-8",
            "<!DOCTYPE html>\n<html><head><title>Welcome</title></head><body><form>Please sign in<br></form></body></html>\n",
        ),
        FaultKind::HugeBody => {
            let mut body = b"<AssumeRoleResponse><!--".to_vec();
            body.resize(1 << 20, b'x');
            response(200, "text/xml", body)
        }
        FaultKind::Redirect(location) => {
            let mut response = response(307, "text/html", "");
            if let Ok(location) = HeaderValue::from_str(location) {
                response.headers_mut().insert(header::LOCATION, location);
            }
            response
        }
        FaultKind::Refuse { status, code, message } => {
            failure(service, &Refusal::new(*status, code.clone(), message.as_str()), request_id)
        }
        FaultKind::Throttle(status) => {
            let refusal = match status {
                503 => Refusal::new(503, "ServiceUnavailable", "Service Unavailable"),
                429 => Refusal::new(429, "TooManyRequestsException", "Too Many Requests"),
                other => Refusal::new(*other, "Throttling", "Rate exceeded"),
            };
            failure(service, &refusal.worded(service), request_id)
        }
        FaultKind::WrongXml => {
            response(200, "text/xml", "<?xml version=\"1.0\"?>\n<Catalogue><Book>Emma</Book></Catalogue>\n")
        }
        FaultKind::DelayMillis(_)
        | FaultKind::ExpirationInPast
        | FaultKind::Hang
        | FaultKind::MissingField(_)
        | FaultKind::Mute
        | FaultKind::Reset { .. }
        | FaultKind::Truncate(_) => return None,
    })
}

/// Changes the reply of an action that was done.
pub(crate) fn distort(kind: &FaultKind, reply: Response<Bytes>, now: i64) -> Response<Bytes> {
    let (parts, body) = reply.into_parts();
    let text = String::from_utf8_lossy(&body).into_owned();
    let body = match kind {
        FaultKind::ExpirationInPast => {
            let past = format!("<Expiration>{}</Expiration>", time::iso8601(now - 3_600_000));
            Bytes::from(replace_element(&text, "Expiration", &past))
        }
        FaultKind::MissingField(name) => Bytes::from(replace_element(&text, name, "")),
        FaultKind::Truncate(at) => body.slice(..body.len().min(*at)),
        _ => body,
    };
    Response::from_parts(parts, body)
}

/// The text with the first element of this name replaced.
fn replace_element(text: &str, name: &str, by: &str) -> String {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    match text.split_once(&open).and_then(|(before, rest)| Some((before, rest.split_once(&close)?.1))) {
        Some((before, after)) => format!("{before}{by}{after}"),
        None => text.to_owned(),
    }
}

fn once() -> u32 {
    1
}
