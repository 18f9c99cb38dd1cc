//! The SSH agent's office: what a client's bytes say, what its connection is bound to, whether a key's constraints
//! permit what is asked, and the keys themselves (RFC 9987, OpenSSH's PROTOCOL.agent).
//!
//! Nothing here has a socket or a clock. What a message says and this room does
//! not know is refused by name, never passed over: a constraint that is not understood must not be dropped.

mod binding;
pub mod codec;
mod constraint;
mod error;
mod host_key;
pub mod key;
mod known_hosts;
pub mod limits;
mod lock;
#[cfg(test)]
mod mutations;
mod pattern;
mod payload;
mod ring;
#[cfg(test)]
mod tests;
mod verify;

pub use binding::{Binding, BindingState, Hop};
pub use constraint::{Constraints, Destination, HopKey, Place, Route};
pub use error::Error;
pub use host_key::{HostKey, fingerprint};
pub use known_hosts::name_of;
pub use lock::{Bolt, SoftLock};
pub use payload::{Payload, SignatureRequest, UserauthRequest};
pub use ring::{HeldKey, Ring, RingError};
