//! Bytes to requests, and answers to bytes: RFC 9987 sections 4 and 5. A message is a length word and a body; the body
//! is a type byte and fields in the data types of RFC 4251 section 5.

pub(super) mod fields;
mod frame;
mod reply;
mod request;
mod upstream;

pub use frame::{Frame, Frames};
pub use reply::{EXTENSIONS, ListedIdentity, Reply};
pub use request::{AddIdentity, Extension, Provider, Request};
pub use upstream::Upstream;
