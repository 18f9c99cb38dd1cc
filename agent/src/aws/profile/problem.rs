//! Where something stands, and what is wrong with it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use claviger::model::Label;
use thiserror::Error;

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The file, as its reader named it.
    pub file: Arc<Path>,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}, line {}", Label(&self.file.to_string_lossy()), self.line)
    }
}

/// One thing wrong in a file. It says where and what, never what the line holds: that may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{origin}: {what}")]
pub struct Problem {
    /// Where.
    pub origin: Origin,
    /// What.
    pub what: What,
}

/// What can be wrong with a line. Those that `ProfileSet::ignored` lists leave the file readable, the others do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum What {
    /// In the config file a section other than `default` says what it is. Ignored, as the AWS tools do.
    #[error("section ignored: in the config file it needs the word 'profile' before its name")]
    BareSection,
    /// `[default]` beside `[profile default]`. Ignored, as the SDKs do.
    #[error("section ignored: [profile default] in the same file replaces [default]")]
    DefaultReplaced,
    /// `= value`.
    #[error("there is no key before the '='")]
    EmptyKey,
    /// `[]`.
    #[error("the section has no name")]
    EmptySectionName,
    /// `= value` under a key.
    #[error("there is no key before the '=' of a sub-property")]
    EmptySubKey,
    /// A key with a character no AWS tool looks for. Ignored, as the SDKs do.
    #[error("key ignored: it may hold only letters, digits and _-/.%@:+")]
    InvalidKey,
    /// A section name that the SDKs don't take. Ignored, as they do.
    #[error("section ignored: its name may hold only letters, digits and _-/.%@:+, or spaces where it is quoted")]
    InvalidName,
    /// Over [`super::limits::LINE_BYTES`].
    #[error("the line is longer than 64 KiB")]
    LineTooLong,
    /// A property before the first section.
    #[error("there is no section above this line")]
    NoSection,
    /// A line that is neither a section, a property nor a comment.
    #[error("expected 'key = value'")]
    NotAProperty,
    /// A line under an empty key that is not a sub-property.
    #[error("expected 'key = value' of a sub-property")]
    NotASubProperty,
    /// A NUL in the text: other readers would cut the value there.
    #[error("the line holds a NUL byte")]
    NulByte,
    /// `[profile x]`, `[sso-session x]` or `[services x]` in the credentials file. Ignored, as the SDKs do.
    #[error("section ignored: the credentials file holds only profiles, under their bare name")]
    PrefixedSection,
    /// `[name` or text after the `]`.
    #[error("the section line does not end with ']'")]
    SectionNotClosed,
    /// `[DEFAULT]`, which Python's parser would add to every profile, and no SDK does. Ignored.
    #[error("section ignored: [DEFAULT] is not [default]")]
    SharedDefaults,
    /// Over [`super::limits::CONTINUATION_LINES`].
    #[error("the value has more than 1024 lines")]
    TooManyContinuationLines,
}
