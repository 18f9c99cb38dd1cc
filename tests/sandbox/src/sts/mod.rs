//! AWS Security Token Service, version 2011-06-15.

mod assume_role;
mod identity;
mod session;

use crate::call::{Call, Outcome, invalid_action};
use crate::reply::Service;

/// Runs an action.
pub(crate) fn perform(action: &str, call: &mut Call<'_>) -> Outcome {
    match action {
        "AssumeRole" => assume_role::assume_role(call),
        "GetAccessKeyInfo" => identity::access_key_info(call),
        "GetCallerIdentity" => identity::caller_identity(call),
        "GetFederationToken" => session::federation_token(call),
        "GetSessionToken" => session::session_token(call),
        other => Err(invalid_action(other, Service::Sts.version())),
    }
}
