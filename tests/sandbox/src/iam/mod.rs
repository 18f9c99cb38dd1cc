//! AWS Identity and Access Management, version 2010-05-08.

mod access_key;
mod group;
mod mfa;
mod page;
mod password;
mod role;
mod user;

use crate::call::{Call, Outcome, invalid_action};
use crate::query::Shape;
use crate::reply::{Refusal, Service};
use crate::world::Principal;

/// Runs an action.
pub(crate) fn perform(action: &str, call: &mut Call<'_>) -> Outcome {
    refuse_bare_sessions(call)?;
    match action {
        "AddUserToGroup" => group::add_user(call),
        "ChangePassword" => password::change(call),
        "CreateAccessKey" => access_key::create(call),
        "CreateGroup" => group::create(call),
        "CreateRole" => role::create(call),
        "CreateUser" => user::create(call),
        "CreateVirtualMFADevice" => mfa::create(call),
        "DeactivateMFADevice" => mfa::deactivate(call),
        "DeleteAccessKey" => access_key::delete(call),
        "DeleteVirtualMFADevice" => mfa::delete(call),
        "EnableMFADevice" => mfa::enable(call),
        "GetAccessKeyLastUsed" => access_key::last_used(call),
        "GetAccountPasswordPolicy" => password::show_policy(call),
        "GetRole" => role::show(call),
        "GetUser" => user::show(call),
        "ListAccessKeys" => access_key::list(call),
        "ListGroupsForUser" => group::list_for_user(call),
        "ListMFADevices" => mfa::list(call),
        "ListRoles" => role::list(call),
        "ListUsers" => user::list(call),
        "ListVirtualMFADevices" => mfa::list_virtual(call),
        "ResyncMFADevice" => mfa::resync(call),
        "UpdateAccessKey" => access_key::update(call),
        "UpdateAccountPasswordPolicy" => password::update_policy(call),
        "UpdateAssumeRolePolicy" => role::update_trust(call),
        other => Err(invalid_action(other, Service::Iam.version())),
    }
}

/// Sessions of GetSessionToken without MFA, and of GetFederationToken, may not call IAM (STS API reference). IAM says
/// so with InvalidClientTokenId, as if it did not know them.
fn refuse_bare_sessions(call: &Call<'_>) -> Result<(), Refusal> {
    let Some(session) = &call.caller.session else { return Ok(()) };
    match call.caller.principal {
        Principal::User(_) if session.mfa_at.is_none() => Err(Refusal::invalid_token()),
        Principal::Federated { .. } => Err(Refusal::invalid_token()),
        _ => Ok(()),
    }
}

/// A new name of at most so many word characters and `+=,.@-`, and its path.
fn new_name(call: &Call<'_>, field: &str, most: usize) -> Result<(String, String), Refusal> {
    let name = call.parameters.required(field)?;
    let path = call.parameters.text("Path").unwrap_or("/");
    let mut shape = Shape::default();
    shape.length(field, Some(name), 1, most);
    shape.characters(field, Some(name), "+=,.@-");
    shape.length("Path", Some(path), 1, 512);
    let plain = path.chars().all(|c| c.is_ascii_graphic());
    if !plain || !path.starts_with('/') || !path.ends_with('/') {
        shape.fails(
            "Path",
            path,
            "Member must satisfy regular expression pattern: (\\u002F)|(\\u002F[\\u0021-\\u007E]+\\u002F)",
        );
    }
    shape.verdict()?;
    Ok((name.to_owned(), path.to_owned()))
}
