//! Passwords of Windows instances.

use super::instance::{check_ids, unknown};
use super::{allow, arn, context_of, required};
use crate::call::{Call, Outcome};
use crate::reply::Xml;
use crate::time;

/// GetPasswordData: empty until the instance has made its password, and for Linux for ever.
pub(super) fn show(call: &mut Call<'_>) -> Outcome {
    let id = required(call.parameters, "InstanceId")?;
    check_ids(&[id])?;
    let instance = call.world.ec2.regions.get(&call.region).and_then(|region| region.instances.get(id));
    let tags = instance.map(|instance| instance.tags.clone()).unwrap_or_default();
    allow(call, "ec2:GetPasswordData", &arn(call, &format!("instance/{id}")), &context_of(call, &tags))?;
    let instance = instance.ok_or_else(|| unknown(&[id]))?;
    let ready = instance.password.as_ref().filter(|(_, from)| call.now >= *from);
    let mut xml = Xml::default();
    xml.text("instanceId", id);
    xml.text("timestamp", time::iso8601_millis(ready.map_or(call.now, |(_, from)| *from)));
    // Windows writes it to the console between two line ends, and EC2 passes it on so.
    xml.text("passwordData", ready.map(|(under_key, _)| format!("\r\n{under_key}\r\n")).unwrap_or_default());
    Ok(Some(xml))
}
