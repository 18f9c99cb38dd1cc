//! The AWS config and credentials files, and claviger's own profiles file in the same language.
//!
//! Pure: text in, values out; no disk and no clock. Two layers:
//!
//! - [`Document`] is one file as it is written. It keeps every byte, so that an editor can change one line and leave
//!   the rest alone.
//! - [`ProfileSet`] is what the files mean together: profiles, `sso-session` and `services` sections, each value with
//!   the file and line it comes from.
//!
//! The language is the one of the AWS SDKs and Tools Reference Guide ("Shared config and credentials files"), read as
//! botocore reads it where the SDKs differ among themselves, unless that would lose safety. Every such choice is a
//! case file in `tests/vectors/profile`, with the reason in it.

mod document;
mod header;
mod problem;
mod set;
mod stub;
mod value;

#[cfg(test)]
mod cases;
#[cfg(test)]
mod mutations;
#[cfg(test)]
mod properties;

#[cfg(test)]
pub(crate) use cases::case_texts;
#[cfg(test)]
pub(crate) use mutations::{TOKENS, case_entries, parts};

pub use document::{Continuation, Document, Entry, Line, Section};
pub use header::SectionKind;
pub use problem::{Origin, Problem, What};
pub use set::{ProfileSet, Role, SourceFile};
pub use stub::is_own_stub;
pub use value::{Profile, Value, is_secret_key};

/// What the parser takes, and why no more.
pub mod limits {
    /// Bytes of one file, checked by whoever reads it: 10,000 profiles of 1,600 bytes.
    pub const FILE_BYTES: usize = 16 * 1024 * 1024;

    /// Bytes of one line without its ending: twice the longest command line of Windows. The longest value AWS itself
    /// hands out, a session token, stays under 4 KiB.
    pub const LINE_BYTES: usize = 64 * 1024;

    /// Lines that continue one value, or sub-properties under one key: `services` names about 400 services.
    /// There is one level of nesting; deeper indentation does not make a deeper level.
    pub const CONTINUATION_LINES: usize = 1024;

    /// Problems reported of one file: a person repairs the first few, and a binary file has one in every line.
    pub const PROBLEMS: usize = 20;
}
