//! The AWS query protocol: form bodies out, XML in. Pure.

use super::Error;
use super::http::HttpResponse;
use super::xml::Element;
use claviger::model::Label;
use std::borrow::Cow;
use zeroize::Zeroizing;

/// Error codes that say what stands in the way (IAM and EC2 API references, each action's "Errors" and "Error codes").
const REFUSALS: &[&str] = &[
    "ConcurrentModification",
    "DeleteConflict",
    "DryRunOperation",
    "EC2InstanceNotFound",
    "EC2InstanceStateInvalid",
    "EC2InstanceTypeInvalid",
    "EC2InstanceUnavailable",
    "EntityAlreadyExists",
    "EntityTemporarilyUnmodifiable",
    "IncorrectInstanceState",
    "InvalidInstanceID.Malformed",
    "InvalidInstanceID.NotFound",
    "InvalidKey.Format",
    "InvalidKeyPair.Duplicate",
    "InvalidKeyPair.NotFound",
    "InvalidUserType",
    "KeyPairLimitExceeded",
    "LimitExceeded",
    "NoSuchEntity",
    "PasswordPolicyViolation",
    "UnmodifiableEntity",
];

/// The parameters of a call, in the order they are written.
#[derive(Default)]
pub(super) struct Parameters<'a>(Vec<(Cow<'static, str>, Cow<'a, str>)>);

impl<'a> Parameters<'a> {
    pub(super) fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Cow<'a, str>>) -> Self {
        self.0.push((name.into(), value.into()));
        self
    }

    pub(super) fn with_some(self, name: &'static str, value: Option<&'a str>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// `PREFIX.member.1`, `PREFIX.member.2` … (AWS query protocol, lists).
    pub(super) fn with_members(self, prefix: &'static str, values: impl Iterator<Item = &'a str>) -> Self {
        values.enumerate().fold(self, |list, (at, value)| list.with(format!("{prefix}.member.{}", at + 1), value))
    }

    /// The parameters, in order.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The `application/x-www-form-urlencoded` body.
    pub(super) fn encode(&self) -> Zeroizing<Vec<u8>> {
        // Nothing grows past this, so no copy of a secret stays behind in an outgrown buffer.
        let most = self.0.iter().map(|(name, value)| 2 + 3 * (name.len() + value.len())).sum();
        let mut body = Zeroizing::new(Vec::with_capacity(most));
        for (name, value) in &self.0 {
            if !body.is_empty() {
                body.push(b'&');
            }
            for part in form_urlencoded::byte_serialize(name.as_bytes()) {
                body.extend_from_slice(part.as_bytes());
            }
            body.push(b'=');
            for part in form_urlencoded::byte_serialize(value.as_bytes()) {
                body.extend_from_slice(part.as_bytes());
            }
        }
        body
    }
}

/// What the answers of one call are read against.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    /// Such as `sts:AssumeRole`.
    pub(super) action: &'static str,
    /// The endpoint's host.
    pub(super) host: &'a str,
    /// Texts that went out and must not come back in a message.
    pub(super) secrets: &'a [&'a str],
    /// The most elements of an answer.
    pub(super) elements: usize,
}

/// A good answer.
pub(super) struct Reply {
    action: &'static str,
    root: Element,
    /// AWS's request id, where it has the form of one.
    pub(super) request_id: Option<String>,
}

/// What an answer turned out to be.
pub(super) enum Answer {
    /// AWS did it.
    Done(Reply),
    /// AWS refused, in AWS's own form.
    Refused(Error),
    /// Not AWS's form.
    Foreign(Error),
}

impl Reading<'_> {
    pub(super) fn read(self, response: &HttpResponse) -> Answer {
        let bad = |why| Error::BadAnswer { action: self.action, why };
        let status = response.status;
        let root = match Element::parse(&response.body, self.elements) {
            Ok(root) => root,
            Err(why) => return Answer::Foreign(self.without_a_document(status).unwrap_or_else(|| bad(why))),
        };
        // EC2's has another name (EC2 API reference, "API error response").
        if root.name() == "ErrorResponse" || (root.name() == "Response" && root.child("Errors").is_some()) {
            return match self.refusal(status, &root) {
                Some(error) => Answer::Refused(error),
                None => Answer::Foreign(bad("an error without a code")),
            };
        }
        if status != 200 {
            return Answer::Foreign(self.without_a_document(status).unwrap_or_else(|| bad("the status is not 200")));
        }
        if root.name().strip_suffix("Response") != Some(self.operation()) {
            return Answer::Foreign(bad("it answers something else"));
        }
        let request_id = root.child("ResponseMetadata").and_then(|metadata| metadata.text("RequestId"));
        let request_id = request_id.or_else(|| root.text("requestId"));
        let request_id = request_id.or_else(|| response.header("x-amzn-requestid")).filter(|id| like_an_id(id));
        let request_id = request_id.map(str::to_owned);
        Answer::Done(Reply::new(self.action, root, request_id))
    }

    fn operation(&self) -> &'static str {
        self.action.rsplit(':').next().unwrap_or_default()
    }

    /// What a status says alone: load balancers answer without XML.
    pub(super) fn without_a_document(&self, status: u16) -> Option<Error> {
        let action = self.action;
        match status {
            429 => Some(Error::Throttled { action }),
            500..=599 => Some(Error::ServiceError { action, error_code: "no code".to_owned(), status }),
            300..=399 => Some(Error::BadAnswer { action, why: "it is a redirect" }),
            _ => None,
        }
    }

    fn refusal(&self, status: u16, root: &Element) -> Option<Error> {
        let error = root.child("Errors").unwrap_or(root).child("Error")?;
        Some(self.refused(status, error.text("Code")?, error.text("Message").unwrap_or_default()))
    }

    /// The error codes of AWS (API references, "Common errors" and each action's "Errors").
    pub(super) fn refused(&self, status: u16, code: &str, said: &str) -> Error {
        let action = self.action;
        let message = self.shown(said);
        match code.strip_suffix("Exception").unwrap_or(code) {
            known if let Some(code) = REFUSALS.iter().find(|code| **code == known) => {
                Error::Refused { action, code, message }
            }
            "InvalidAuthenticationCode" => Error::CodeRefused { message },
            "AccessDenied" if said.contains("MultiFactorAuthentication failed") => Error::CodeRefused { message },
            "AccessDenied" | "Auth" | "UnauthorizedOperation" => Error::AccessDenied { action, message },
            "RequestExpired" | "RequestTimeTooSkewed" => Error::ClockSkew { action, skew_millis: None },
            "SignatureDoesNotMatch" | "InvalidSignature" if about_time(said) => {
                Error::ClockSkew { action, skew_millis: None }
            }
            "ExpiredToken" => Error::Expired { action },
            "AuthFailure"
            | "IncompleteSignature"
            | "InvalidAccessKeyId"
            | "InvalidClientTokenId"
            | "InvalidSignature"
            | "InvalidToken"
            | "MissingAuthenticationToken"
            | "NotAuthorized"
            | "SignatureDoesNotMatch"
            | "UnrecognizedClient" => Error::InvalidCredentials { action, error_code: self.shown(code) },
            "FilterLimitExceeded"
            | "InvalidArgs"
            | "InvalidInput"
            | "InvalidNextToken"
            | "InvalidParameter"
            | "InvalidParameterCombination"
            | "InvalidParameterValue"
            | "MalformedPolicyDocument"
            | "MissingParameter"
            | "PackedPolicyTooLarge"
            | "TagLimitExceeded"
            | "UnknownParameter"
            | "ValidationError"
            | "Validation" => Error::InvalidRequest { action, message },
            "OptInRequired" | "RegionDisabled" => Error::RegionDisabled { host: self.host.to_owned() },
            "Throttling"
            | "Throttled"
            | "ThrottledException"
            | "RequestLimitExceeded"
            | "RequestThrottled"
            | "SlowDown"
            | "TooManyRequests"
            | "PriorRequestNotComplete" => Error::Throttled { action },
            _ if status == 429 => Error::Throttled { action },
            _ => Error::ServiceError { action, error_code: self.shown(code), status },
        }
    }

    /// The text as a person may see it; nothing where it repeats a secret of the request.
    fn shown(&self, text: &str) -> String {
        let repeats = self.secrets.iter().any(|secret| !secret.is_empty() && text.contains(secret));
        if repeats { String::new() } else { Label(text.trim()).to_string() }
    }
}

impl Reply {
    pub(super) fn new(action: &'static str, root: Element, request_id: Option<String>) -> Self {
        Self { action, root, request_id }
    }

    /// The `…Result` element.
    pub(super) fn result(&self) -> Result<&Element, Error> {
        let operation = self.action.rsplit(':').next().unwrap_or_default();
        let mut results = self.root.children().iter();
        let result = results.find(|child| child.name().strip_suffix("Result") == Some(operation));
        result.ok_or_else(|| self.bad("it has no result"))
    }

    /// The root, of services that have no `…Result` (EC2).
    pub(super) fn root(&self) -> &Element {
        &self.root
    }

    /// The text of a field that AWS always gives.
    pub(super) fn field<'a>(&self, parent: &'a Element, name: &str) -> Result<&'a str, Error> {
        parent.text(name).ok_or_else(|| self.bad("a field is missing, doubled or empty"))
    }

    /// The same as a noun.
    pub(super) fn noun<T: std::str::FromStr>(&self, parent: &Element, name: &str) -> Result<T, Error> {
        self.field(parent, name)?.parse().map_err(|_| self.bad("a field does not have AWS's form"))
    }

    pub(super) fn bad(&self, why: &'static str) -> Error {
        Error::BadAnswer { action: self.action, why }
    }
}

fn about_time(message: &str) -> bool {
    message.starts_with("Signature expired") || message.starts_with("Signature not yet current")
}

pub(super) fn like_an_id(text: &str) -> bool {
    text.len() <= 128 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}
