//! EC2 Instance Connect, version 2018-04-02: keys that let in for a minute.

use crate::call::{Call, Outcome, invalid_action};
use crate::query::Shape;
use crate::reply::{Refusal, Service};
use crate::ssh_key::PublicKey;
use crate::world::InstanceState;
use crate::world::region::{PUSHED_KEY_LIFE, PushedKey};

/// Lengths of RSA keys in bits. The user guide speaks of 2048 and 4096, its own example makes one of 3072.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// Runs an action.
pub(crate) fn perform(action: &str, call: &mut Call<'_>) -> Outcome {
    match action {
        "SendSSHPublicKey" => send(call),
        other => Err(invalid_action(other, Service::InstanceConnect.version())),
    }
}

/// SendSSHPublicKey: the key lets this user in for 60 seconds. Others that were pushed before live on.
fn send(call: &mut Call<'_>) -> Outcome {
    let parameters = call.parameters;
    let (id, user) = (parameters.text("InstanceId"), parameters.text("InstanceOSUser"));
    let (material, zone) = (parameters.text("SSHPublicKey"), parameters.text("AvailabilityZone"));
    let mut shape = Shape::default();
    shape.required("InstanceId", id);
    shape.length("InstanceId", id, 10, 32);
    if let Some(id) = id.filter(|id| !is_instance_id(id)) {
        shape.fails("InstanceId", id, "Member must satisfy regular expression pattern: ^i-[a-f0-9]+$");
    }
    shape.required("InstanceOSUser", user);
    shape.length("InstanceOSUser", user, 1, 32);
    if let Some(user) = user.filter(|user| !is_user(user)) {
        shape.fails(
            "InstanceOSUser",
            user,
            "Member must satisfy regular expression pattern: ^[A-Za-z_][A-Za-z0-9@._-]*$",
        );
    }
    shape.required("SSHPublicKey", material);
    shape.length("SSHPublicKey", material, 80, 4096);
    shape.length("AvailabilityZone", zone, 6, 32);
    shape.verdict()?;
    let (id, user) = (id.unwrap_or_default().to_owned(), user.unwrap_or_default().to_owned());

    let region = call.region.clone();
    let arn = format!("arn:{}:ec2:{region}:{}:instance/{id}", call.world.partition, call.world.account);
    let instance = call.world.ec2.regions.get(&region).and_then(|region| region.instances.get(&id));
    let mut context = call.context();
    context.set("ec2:osuser", &user);
    for (key, value) in instance.iter().flat_map(|instance| &instance.tags) {
        context.set(&format!("ec2:ResourceTag/{key}"), value);
        context.set(&format!("aws:ResourceTag/{key}"), value);
    }
    call.authorize_with("ec2-instance-connect:SendSSHPublicKey", &arn, &context)?;
    let key = material.and_then(|line| PublicKey::read(line.as_bytes()));
    let key = key.filter(|key| key.rsa_bits().is_none_or(|bits| RSA_BITS.contains(&bits))).ok_or_else(|| {
        invalid("Invalid input parameter received for Illegal argument exception: SSH Public key is invalid")
    })?;
    let instance = instance
        .ok_or_else(|| Refusal::new(400, "EC2InstanceNotFoundException", "The specified instance was not found."))?;
    if zone.is_some_and(|zone| zone != instance.availability_zone) {
        return Err(invalid("The instance is not in the specified Availability Zone"));
    }
    if instance.state != InstanceState::Running {
        return Err(Refusal::new(
            400,
            "EC2InstanceStateInvalidException",
            "Unable to connect because the instance is not in a valid state. Connecting to a stopped or terminated instance \
             is not supported. If the instance is stopped, start your instance, and try to connect again.",
        ));
    }
    let pushed = PushedKey { instance: id, line: key.line(&user), user, expires: call.now + PUSHED_KEY_LIFE };
    let now = call.now;
    call.world.ec2.pushed.retain(|key| now < key.expires);
    call.world.ec2.pushed.push(pushed);
    Ok(None)
}

fn is_instance_id(id: &str) -> bool {
    id.strip_prefix("i-").is_some_and(|digits| {
        !digits.is_empty() && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// A name of a user, or digits with something else after them; `$` may be the last (the API's pattern).
fn is_user(user: &str) -> bool {
    let inside = user.strip_suffix('$').unwrap_or(user);
    let allowed = inside.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"@._-".contains(&byte));
    let begins = inside.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    allowed && begins && !inside.bytes().all(|byte| byte.is_ascii_digit())
}

fn invalid(message: &str) -> Refusal {
    Refusal::new(400, "InvalidArgsException", message)
}
