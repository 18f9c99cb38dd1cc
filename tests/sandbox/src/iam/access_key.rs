//! Access keys.

use super::{page, user};
use crate::call::{Call, Outcome};
use crate::query::Shape;
use crate::reply::{Refusal, Xml};
use crate::time;
use crate::world::AccessKey;

/// Access keys a user may have, active or not.
const QUOTA: usize = 2;

pub(super) fn create(call: &mut Call<'_>) -> Outcome {
    let name = call.user_name()?;
    call.authorize("iam:CreateAccessKey", &user::resource(call.world, &name))?;
    call.world.user(&name)?;
    if call.world.access_keys.values().filter(|key| key.user == name).count() >= QUOTA {
        return Err(Refusal::limit_exceeded(format!("Cannot exceed quota for AccessKeysPerUser: {QUOTA}")));
    }
    let key = AccessKey {
        id: call.entropy.access_key_id("AKIA"),
        secret: call.entropy.secret_access_key(),
        user: name,
        active: true,
        created: call.now,
        last_used: None,
        unsettled: call.world.unsettled(call.now),
    };
    let mut xml = Xml::default();
    xml.nest("AccessKey", |xml| {
        xml.text("UserName", &key.user)
            .text("AccessKeyId", &key.id)
            .text("Status", "Active")
            .text("SecretAccessKey", &key.secret)
            .text("CreateDate", time::iso8601(key.created));
    });
    call.world.access_keys.insert(key.id.clone(), key);
    Ok(Some(xml))
}

pub(super) fn update(call: &mut Call<'_>) -> Outcome {
    refuse_implicit_session(call)?;
    let status = call.parameters.required("Status")?;
    let mut shape = Shape::default();
    if !["Active", "Inactive"].contains(&status) {
        shape.fails("Status", status, "Member must satisfy enum value set: [Active, Inactive]");
    }
    shape.verdict()?;
    let id = owned(call, "iam:UpdateAccessKey")?;
    if let Some(key) = call.world.access_keys.get_mut(&id) {
        key.active = status == "Active";
    }
    Ok(None)
}

pub(super) fn delete(call: &mut Call<'_>) -> Outcome {
    let id = owned(call, "iam:DeleteAccessKey")?;
    call.world.access_keys.remove(&id);
    Ok(None)
}

pub(super) fn list(call: &mut Call<'_>) -> Outcome {
    refuse_implicit_session(call)?;
    let name = call.user_name()?;
    call.authorize("iam:ListAccessKeys", &user::resource(call.world, &name))?;
    call.world.user(&name)?;
    let keys: Vec<_> = call.world.access_keys.values().filter(|key| key.user == name).collect();
    let xml = page::write(call.parameters, "AccessKeyMetadata", &keys, |xml, key| {
        xml.text("UserName", &key.user)
            .text("AccessKeyId", &key.id)
            .text("Status", if key.active { "Active" } else { "Inactive" })
            .text("CreateDate", time::iso8601(key.created));
    })?;
    Ok(Some(xml))
}

/// GetAccessKeyLastUsed. IAM shows times of the last hours late; this double shows them at once.
pub(super) fn last_used(call: &mut Call<'_>) -> Outcome {
    let id = key_id(call)?;
    let owner = call.world.access_keys.get(id).map(|key| key.user.clone()).unwrap_or_default();
    call.authorize("iam:GetAccessKeyLastUsed", &user::resource(call.world, &owner))?;
    let key = call.world.access_keys.get(id).ok_or_else(|| unknown(id))?;
    let mut xml = Xml::default();
    xml.text("UserName", &key.user);
    xml.nest("AccessKeyLastUsed", |xml| match &key.last_used {
        Some((at, service, region)) => {
            xml.text("LastUsedDate", time::iso8601(*at)).text("ServiceName", service).text("Region", region);
        }
        None => {
            xml.text("ServiceName", "N/A").text("Region", "N/A");
        }
    });
    Ok(Some(xml))
}

/// The key named by AccessKeyId, where it belongs to the user meant.
fn owned(call: &Call<'_>, action: &str) -> Result<String, Refusal> {
    let id = key_id(call)?;
    let name = call.user_name()?;
    call.authorize(action, &user::resource(call.world, &name))?;
    match call.world.access_keys.get(id) {
        Some(key) if key.user == name => Ok(id.to_owned()),
        _ => Err(unknown(id)),
    }
}

/// AccessKeyId: 16 to 128 word characters.
fn key_id<'a>(call: &Call<'a>) -> Result<&'a str, Refusal> {
    let id = call.parameters.required("AccessKeyId")?;
    let mut shape = Shape::default();
    shape.length("AccessKeyId", Some(id), 16, 128);
    shape.characters("AccessKeyId", Some(id), "");
    shape.verdict()?;
    Ok(id)
}

/// Temporary credentials must say whose keys they mean (IAM API, UpdateAccessKey, ListAccessKeys).
fn refuse_implicit_session(call: &Call<'_>) -> Result<(), Refusal> {
    if call.caller.session.is_some() && call.parameters.text("UserName").is_none() {
        return Err(Refusal::validation("Must specify userName when calling with non-User credentials"));
    }
    Ok(())
}

fn unknown(id: &str) -> Refusal {
    Refusal::no_such_entity(format!("The Access Key with id {id} cannot be found."))
}
