//! An error as a value on the wire.

use super::{Code, Exit};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A failure a user can meet: a stable code, one line of what happened, at most one hint of what to type next.
/// Never holds input bytes or a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The stable code.
    pub code: Code,
    /// What happened: one line, lower case, no full stop.
    pub message: String,
    /// The next command to type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Fault {
    /// A fault with the catalogue's own hint, if it has one.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: code.hint().map(str::to_owned) }
    }

    /// The same fault with this hint instead.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The exit code of a command that ends with this fault.
    pub fn exit(&self) -> Exit {
        self.code.exit()
    }
}

/// `code: message`, and the hint in brackets: one line, as SDKs copy it into their own errors.
impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.code, self.message)?;
        match &self.hint {
            Some(hint) => write!(out, " (try: {hint})"),
            None => Ok(()),
        }
    }
}
