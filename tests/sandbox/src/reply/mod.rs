//! Replies: XML, JSON, and the errors in AWS's words.

mod protocol;

pub(crate) use protocol::{Service, failure, success};

use bytes::Bytes;
use http::{Response, StatusCode};
use std::borrow::Cow;

/// An error as AWS answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: Cow<'static, str>,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(status: u16, code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into() }
    }

    pub(crate) fn access_denied(message: impl Into<String>) -> Self {
        Self::new(403, "AccessDenied", message)
    }

    pub(crate) fn invalid_token() -> Self {
        Self::new(403, "InvalidClientTokenId", "The security token included in the request is invalid.")
    }

    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new(400, "ValidationError", message)
    }

    pub(crate) fn malformed_policy(message: impl Into<String>) -> Self {
        Self::new(400, "MalformedPolicyDocument", message)
    }

    pub(crate) fn no_such_entity(message: impl Into<String>) -> Self {
        Self::new(404, "NoSuchEntity", message)
    }

    pub(crate) fn already_exists(message: impl Into<String>) -> Self {
        Self::new(409, "EntityAlreadyExists", message)
    }

    pub(crate) fn limit_exceeded(message: impl Into<String>) -> Self {
        Self::new(409, "LimitExceeded", message)
    }
}

/// The inside of a reply, being written.
#[derive(Default)]
pub(crate) struct Xml(String);

impl Xml {
    /// One element around a text.
    pub(crate) fn text(&mut self, name: &str, value: impl AsRef<str>) -> &mut Self {
        self.0.push_str(&format!("<{name}>"));
        escape(value.as_ref(), &mut self.0);
        self.0.push_str(&format!("</{name}>"));
        self
    }

    /// One element around others.
    pub(crate) fn nest(&mut self, name: &str, inside: impl FnOnce(&mut Xml)) -> &mut Self {
        self.0.push_str(&format!("<{name}>"));
        inside(self);
        self.0.push_str(&format!("</{name}>"));
        self
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

/// A reply with this status, type and body.
pub(crate) fn response(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    response
}

fn escape(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // As it is, readers would make a newline of it.
            '\r' => out.push_str("&#13;"),
            // XML 1.0 has no other control characters.
            '\n' | '\t' => out.push(character),
            control if control.is_control() => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
}
