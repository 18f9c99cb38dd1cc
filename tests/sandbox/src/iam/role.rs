//! Roles.

use super::{new_name, page};
use crate::call::{Call, Outcome};
use crate::policy::{Document, Kind};
use crate::query::Shape;
use crate::reply::{Refusal, Xml};
use crate::time;
use crate::world::{Role, World};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

pub(super) fn create(call: &mut Call<'_>) -> Outcome {
    let (name, path) = new_name(call, "RoleName", 64)?;
    let trust_text = call.parameters.required("AssumeRolePolicyDocument")?;
    let longest = call.parameters.number("MaxSessionDuration")?;
    let mut shape = Shape::default();
    shape.range("MaxSessionDuration", longest, 3600, 43_200);
    shape.verdict()?;
    call.authorize("iam:CreateRole", &call.world.arn("iam", &format!("role{path}{name}")))?;
    let trust = Document::parse(trust_text, Kind::Trust)?;
    call.world.check_principals(&trust)?;
    if call.world.roles.keys().any(|role| role.eq_ignore_ascii_case(&name)) {
        return Err(Refusal::already_exists(format!("Role with name {name} already exists.")));
    }
    let role = Role {
        name: name.clone(),
        path,
        id: call.entropy.unique_id("AROA"),
        created: call.now,
        description: call.parameters.text("Description").map(str::to_owned),
        trust_text: trust_text.to_owned(),
        trust,
        max_session_duration: longest.unwrap_or(3600),
        policies: Vec::new(),
    };
    let mut xml = Xml::default();
    xml.nest("Role", |xml| write(xml, call.world, &role));
    call.world.roles.insert(name, role);
    Ok(Some(xml))
}

pub(super) fn show(call: &mut Call<'_>) -> Outcome {
    let name = call.parameters.required("RoleName")?;
    call.authorize("iam:GetRole", &resource(call.world, name))?;
    let role = call.world.role(name)?;
    let mut xml = Xml::default();
    xml.nest("Role", |xml| write(xml, call.world, role));
    Ok(Some(xml))
}

pub(super) fn list(call: &mut Call<'_>) -> Outcome {
    call.authorize("iam:ListRoles", &call.world.arn("iam", "role/"))?;
    let prefix = call.parameters.text("PathPrefix").unwrap_or("/");
    let roles: Vec<_> = call.world.roles.values().filter(|role| role.path.starts_with(prefix)).collect();
    page::write(call.parameters, "Roles", &roles, |xml, role| write(xml, call.world, role)).map(Some)
}

pub(super) fn update_trust(call: &mut Call<'_>) -> Outcome {
    let name = call.parameters.required("RoleName")?;
    let text = call.parameters.required("PolicyDocument")?;
    call.authorize("iam:UpdateAssumeRolePolicy", &resource(call.world, name))?;
    call.world.role(name)?;
    let trust = Document::parse(text, Kind::Trust)?;
    call.world.check_principals(&trust)?;
    if let Some(role) = call.world.roles.get_mut(name) {
        role.trust = trust;
        role.trust_text = text.to_owned();
    }
    Ok(None)
}

fn resource(world: &World, name: &str) -> String {
    world.roles.get(name).map_or_else(|| world.arn("iam", &format!("role/{name}")), |role| world.role_arn(role))
}

fn write(xml: &mut Xml, world: &World, role: &Role) {
    xml.text("Path", &role.path)
        .text("RoleName", &role.name)
        .text("RoleId", &role.id)
        .text("Arn", world.role_arn(role))
        .text("CreateDate", time::iso8601(role.created))
        // IAM answers policies URL-encoded (IAM API, GetRole).
        .text("AssumeRolePolicyDocument", utf8_percent_encode(&role.trust_text, NON_ALPHANUMERIC).to_string())
        .text("MaxSessionDuration", role.max_session_duration.to_string());
    if let Some(description) = &role.description {
        xml.text("Description", description);
    }
}
