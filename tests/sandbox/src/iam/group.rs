//! Groups.

use super::{new_name, page, user};
use crate::call::{Call, Outcome};
use crate::reply::{Refusal, Xml};
use crate::time;
use crate::world::{Group, World};
use std::collections::BTreeSet;

pub(super) fn create(call: &mut Call<'_>) -> Outcome {
    let (name, path) = new_name(call, "GroupName", 128)?;
    call.authorize("iam:CreateGroup", &call.world.arn("iam", &format!("group{path}{name}")))?;
    if call.world.groups.keys().any(|group| group.eq_ignore_ascii_case(&name)) {
        return Err(Refusal::already_exists(format!("Group with name {name} already exists.")));
    }
    let id = call.entropy.unique_id("AGPA");
    let group =
        Group { name: name.clone(), path, id, created: call.now, policies: Vec::new(), members: BTreeSet::new() };
    let mut xml = Xml::default();
    xml.nest("Group", |xml| write(xml, call.world, &group));
    call.world.groups.insert(name, group);
    Ok(Some(xml))
}

pub(super) fn add_user(call: &mut Call<'_>) -> Outcome {
    let name = call.parameters.required("GroupName")?;
    let user = call.parameters.required("UserName")?;
    let arn = call.world.groups.get(name).map(|group| call.world.group_arn(group));
    call.authorize("iam:AddUserToGroup", &arn.unwrap_or_else(|| call.world.arn("iam", &format!("group/{name}"))))?;
    call.world.user(user)?;
    let group = call
        .world
        .groups
        .get_mut(name)
        .ok_or_else(|| Refusal::no_such_entity(format!("The group with name {name} cannot be found.")))?;
    group.members.insert(user.to_owned());
    Ok(None)
}

pub(super) fn list_for_user(call: &mut Call<'_>) -> Outcome {
    let name = call.parameters.required("UserName")?;
    call.authorize("iam:ListGroupsForUser", &user::resource(call.world, name))?;
    call.world.user(name)?;
    let groups: Vec<_> = call.world.groups.values().filter(|group| group.members.contains(name)).collect();
    page::write(call.parameters, "Groups", &groups, |xml, group| write(xml, call.world, group)).map(Some)
}

fn write(xml: &mut Xml, world: &World, group: &Group) {
    xml.text("Path", &group.path)
        .text("GroupName", &group.name)
        .text("GroupId", &group.id)
        .text("Arn", world.group_arn(group))
        .text("CreateDate", time::iso8601(group.created));
}
