//! Who am I, and whose key is this.

use crate::call::{Call, Outcome};
use crate::query::Shape;
use crate::reply::{Refusal, Xml};
use crate::world::Principal;

/// GetCallerIdentity: needs no permission, whatever policies say.
pub(super) fn caller_identity(call: &mut Call<'_>) -> Outcome {
    let mut xml = Xml::default();
    xml.text("Arn", call.world.principal_arn(&call.caller.principal))
        .text("UserId", call.world.principal_id(&call.caller.principal))
        .text("Account", &call.world.account);
    Ok(Some(xml))
}

/// GetAccessKeyInfo: the account of a key, active or not.
pub(super) fn access_key_info(call: &mut Call<'_>) -> Outcome {
    let id = call.parameters.required("AccessKeyId")?;
    let mut shape = Shape::default();
    shape.length("AccessKeyId", Some(id), 16, 128);
    shape.characters("AccessKeyId", Some(id), "");
    shape.verdict()?;
    let of_user_session = call.caller.session.is_some() && matches!(call.caller.principal, Principal::User(_));
    if of_user_session || matches!(call.caller.principal, Principal::Federated { .. }) {
        return Err(Refusal::access_denied("Cannot call GetAccessKeyInfo with session credentials"));
    }
    call.authorize("sts:GetAccessKeyInfo", "*")?;
    if !call.world.access_keys.contains_key(id) && !call.world.sessions.contains_key(id) {
        return Err(Refusal::validation("Invalid access key."));
    }
    let mut xml = Xml::default();
    xml.text("Account", &call.world.account);
    Ok(Some(xml))
}
