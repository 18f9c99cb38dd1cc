//! Office of STS sessions: plan, then run.
//!
//! [`plan`] turns a profile into steps without I/O; [`Office`] runs them, one fetch per [`SessionKey`] however many
//! wait, and keeps what it gets. Nothing here prompts by itself or spends a code without a person's presence.

mod base;
mod cache;
mod entry;
mod error;
mod hardware;
mod judge;
mod key;
mod obtain;
mod office;
mod pair;
mod pins;
pub mod plan;
mod plans;
mod resolve;
mod seal;
mod settings;
mod spend;
mod user;
mod view;

pub use base::Base;
pub use cache::Session;
pub use error::Error;
pub use hardware::{Hardware, asked_by, is_touched, named};
pub use key::SessionKey;
pub use office::{Limits, Office};
pub use pins::ProfileChange;
pub use plan::{Call, Delivery, Mfa, Plan, RoleRequest, Step};
pub use plans::Planned;
pub use view::{ProfileView, SessionView};

use crate::aws::SigningCredentials;
use crate::vault::SigningKey;

/// An access key as the network signs with it.
pub fn signing(key: &SigningKey) -> SigningCredentials<'_> {
    SigningCredentials { access_key_id: &key.access_key_id, secret: &key.secret, token: None }
}
