//! Users.

use super::{new_name, page};
use crate::call::{Call, Outcome};
use crate::reply::{Refusal, Xml};
use crate::time;
use crate::world::{User, World};

pub(super) fn create(call: &mut Call<'_>) -> Outcome {
    let (name, path) = new_name(call, "UserName", 64)?;
    call.authorize("iam:CreateUser", &call.world.arn("iam", &format!("user{path}{name}")))?;
    if call.world.users.keys().any(|user| user.eq_ignore_ascii_case(&name)) {
        return Err(Refusal::already_exists(format!("User with name {name} already exists.")));
    }
    let id = call.entropy.unique_id("AIDA");
    let user = User {
        name: name.clone(),
        path,
        id,
        created: call.now,
        policies: Vec::new(),
        password: None,
        earlier_passwords: Vec::new(),
    };
    let mut xml = Xml::default();
    xml.nest("User", |xml| write(xml, call.world, &user));
    call.world.users.insert(name, user);
    Ok(Some(xml))
}

pub(super) fn show(call: &mut Call<'_>) -> Outcome {
    let name = call.user_name()?;
    let resource = resource(call.world, &name);
    call.authorize("iam:GetUser", &resource)?;
    let user = call.world.user(&name)?;
    let mut xml = Xml::default();
    xml.nest("User", |xml| write(xml, call.world, user));
    Ok(Some(xml))
}

pub(super) fn list(call: &mut Call<'_>) -> Outcome {
    call.authorize("iam:ListUsers", &call.world.arn("iam", "user/"))?;
    let prefix = call.parameters.text("PathPrefix").unwrap_or("/");
    let users: Vec<_> = call.world.users.values().filter(|user| user.path.starts_with(prefix)).collect();
    page::write(call.parameters, "Users", &users, |xml, user| write(xml, call.world, user)).map(Some)
}

/// The ARN that policies are held against, also of a user who is not there.
pub(super) fn resource(world: &World, name: &str) -> String {
    world.users.get(name).map_or_else(|| world.arn("iam", &format!("user/{name}")), |user| world.user_arn(user))
}

fn write(xml: &mut Xml, world: &World, user: &User) {
    xml.text("Path", &user.path)
        .text("UserName", &user.name)
        .text("UserId", &user.id)
        .text("Arn", world.user_arn(user))
        .text("CreateDate", time::iso8601(user.created));
}
