//! Instances, as far as one needs to know them to get in.

use super::filter::Filters;
use super::{allow, tag};
use crate::call::{Call, Outcome};
use crate::reply::{Refusal, Xml};
use crate::time;
use crate::world::region::Instance;

const FILTERS: [&str; 10] = [
    "availability-zone",
    "dns-name",
    "instance-id",
    "instance-state-name",
    "ip-address",
    "key-name",
    "platform",
    "private-dns-name",
    "private-ip-address",
    "tag-key",
];
/// Instances of one page: bounds of MaxResults, and what is meant without it.
const PAGE: (i64, i64) = (5, 1000);

/// DescribeInstances.
pub(super) fn describe(call: &mut Call<'_>) -> Outcome {
    let parameters = call.parameters;
    let filters = Filters::read(parameters, &FILTERS)?;
    let ids = parameters.numbered("InstanceId", "");
    check_ids(&ids)?;
    let (start, most) = page(call, &ids)?;
    allow(call, "ec2:DescribeInstances", "*", &call.context())?;
    let instances: Vec<&Instance> = match call.world.ec2.regions.get(&call.region) {
        Some(region) => region.instances.values().collect(),
        None => Vec::new(),
    };
    let missing: Vec<&str> =
        ids.iter().filter(|id| instances.iter().all(|instance| instance.id != **id)).copied().collect();
    if !missing.is_empty() {
        return Err(unknown(&missing));
    }
    let region = call.region.as_str();
    let found: Vec<&Instance> = instances
        .into_iter()
        .filter(|instance| ids.is_empty() || ids.contains(&instance.id.as_str()))
        .filter(|instance| passes(&filters, instance, region))
        .collect();
    let end = found.len().min(start.saturating_add(most));
    let mut xml = Xml::default();
    xml.nest("reservationSet", |xml| {
        for instance in found.get(start..end).unwrap_or_default() {
            xml.nest("item", |xml| {
                xml.text("reservationId", &instance.reservation_id).text("ownerId", &call.world.account);
                xml.nest("groupSet", |_| {});
                xml.nest("instancesSet", |xml| {
                    xml.nest("item", |xml| write(xml, instance, region));
                });
            });
        }
    });
    if end < found.len() {
        xml.text("nextToken", format!("page-{end}"));
    }
    Ok(Some(xml))
}

/// Where a page starts and how much it holds.
fn page(call: &Call<'_>, ids: &[&str]) -> Result<(usize, usize), Refusal> {
    let most = call.parameters.number("MaxResults")?;
    if let Some(most) = most {
        if !ids.is_empty() {
            let message = "The parameter instancesSet cannot be used with the parameter maxResults";
            return Err(Refusal::new(400, "InvalidParameterCombination", message));
        }
        if !(PAGE.0..=PAGE.1).contains(&most) {
            let message =
                format!("Value ( {most} ) for parameter maxResults is invalid. Expecting a value between 5 and 1000.");
            return Err(Refusal::new(400, "InvalidParameterValue", message));
        }
    }
    let start = match call.parameters.text("NextToken") {
        None => 0,
        Some(token) => token
            .strip_prefix("page-")
            .and_then(|from| from.parse().ok())
            .ok_or_else(|| Refusal::new(400, "InvalidNextToken", "The specified NextToken is invalid."))?,
    };
    Ok((start, most.unwrap_or(PAGE.1).try_into().unwrap_or(usize::MAX)))
}

/// Refuses ids that are none.
pub(super) fn check_ids(ids: &[&str]) -> Result<(), Refusal> {
    let is_id = |id: &str| {
        id.strip_prefix("i-").is_some_and(|digits| {
            [8, 17].contains(&digits.len()) && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        })
    };
    match ids.iter().find(|id| !is_id(id)) {
        Some(id) => Err(Refusal::new(400, "InvalidInstanceID.Malformed", format!("Invalid id: \"{id}\""))),
        None => Ok(()),
    }
}

/// The answer to instances that are not there.
pub(super) fn unknown(ids: &[&str]) -> Refusal {
    let message = match ids {
        [one] => format!("The instance ID '{one}' does not exist"),
        several => format!("The instance IDs '{}' do not exist", several.join(", ")),
    };
    Refusal::new(400, "InvalidInstanceID.NotFound", message)
}

fn passes(filters: &Filters<'_>, instance: &Instance, region: &str) -> bool {
    let (private_name, public_name) = (private_dns(instance, region), public_dns(instance, region));
    filters.pass(&instance.tags, |property| match property {
        "availability-zone" => Some(&instance.availability_zone),
        "dns-name" => public_name.as_deref(),
        "instance-id" => Some(&instance.id),
        "instance-state-name" => Some(instance.state.name()),
        "ip-address" => instance.public_ip.as_deref(),
        "key-name" => instance.key_name.as_deref(),
        "platform" => instance.windows.then_some("windows"),
        "private-dns-name" => Some(&private_name),
        _ => Some(&instance.private_ip),
    })
}

fn write(xml: &mut Xml, instance: &Instance, region: &str) {
    xml.text("instanceId", &instance.id).text("imageId", "ami-0a11ce00000000000");
    xml.nest("instanceState", |xml| {
        xml.text("code", instance.state.code().to_string()).text("name", instance.state.name());
    });
    xml.text("privateDnsName", private_dns(instance, region));
    xml.text("dnsName", public_dns(instance, region).unwrap_or_default());
    if let Some(name) = &instance.key_name {
        xml.text("keyName", name);
    }
    xml.text("amiLaunchIndex", "0").text("instanceType", "t3.micro");
    xml.text("launchTime", time::iso8601_millis(instance.launched));
    xml.nest("placement", |xml| {
        xml.text("availabilityZone", &instance.availability_zone).text("groupName", "").text("tenancy", "default");
    });
    // Linux has no platform, only details (EC2 API, Instance).
    if instance.windows {
        xml.text("platform", "windows");
    }
    xml.nest("monitoring", |xml| {
        xml.text("state", "disabled");
    });
    xml.text("subnetId", "subnet-0a11ce00000000000").text("vpcId", "vpc-0a11ce00000000000");
    xml.text("privateIpAddress", &instance.private_ip);
    if let Some(address) = &instance.public_ip {
        xml.text("ipAddress", address);
    }
    xml.text("architecture", "x86_64").text("rootDeviceType", "ebs");
    tag::write(xml, &instance.tags);
    xml.text("platformDetails", if instance.windows { "Windows" } else { "Linux/UNIX" });
}

fn private_dns(instance: &Instance, region: &str) -> String {
    let domain = if region == "us-east-1" { "ec2.internal".to_owned() } else { format!("{region}.compute.internal") };
    format!("ip-{}.{domain}", instance.private_ip.replace('.', "-"))
}

fn public_dns(instance: &Instance, region: &str) -> Option<String> {
    let domain = if region == "us-east-1" { "compute-1".to_owned() } else { format!("{region}.compute") };
    let address = instance.public_ip.as_ref()?.replace('.', "-");
    Some(format!("ec2-{address}.{domain}.amazonaws.com"))
}
