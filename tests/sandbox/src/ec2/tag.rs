//! Tags.

use super::{allow, arn, context_of, invalid};
use crate::call::{Call, Outcome};
use crate::policy::Context;
use crate::query::Parameters;
use crate::reply::{Refusal, Xml};
use crate::world::region::Tags;

/// Tags that a resource may have (EC2 user guide, tag restrictions).
const QUOTA: usize = 50;

/// CreateTags, for key pairs and instances.
pub(super) fn create(call: &mut Call<'_>) -> Outcome {
    let parameters = call.parameters;
    let ids = parameters.numbered("ResourceId", "");
    super::required(parameters, "ResourceId.1").map_err(|refusal| named(refusal, "resourceIdSet"))?;
    let added = read(parameters, "Tag")?;
    super::required(parameters, "Tag.1.Key").map_err(|refusal| named(refusal, "tagSet"))?;
    for id in &ids {
        let (resource, tags) = find(call, id)?;
        allow(call, "ec2:CreateTags", &arn(call, &resource), &asked(context_of(call, tags), &added))?;
        if added.keys().filter(|key| !tags.contains_key(*key)).count() + tags.len() > QUOTA {
            return Err(Refusal::new(
                400,
                "TagLimitExceeded",
                "The maximum number of Tags for a resource has been reached.",
            ));
        }
    }
    let region = call.world.ec2.region(&call.region);
    for id in ids {
        if let Some(pair) = region.key_pairs.values_mut().find(|pair| pair.id == id) {
            pair.tags.extend(added.clone());
        } else if let Some(instance) = region.instances.get_mut(id) {
            instance.tags.extend(added.clone());
        }
    }
    Ok(None)
}

/// The resource of this id as ARNs name it, and its tags.
fn find<'a>(call: &'a Call<'_>, id: &str) -> Result<(String, &'a Tags), Refusal> {
    let region = call.world.ec2.regions.get(&call.region);
    let kind = id.split_once('-').map(|(kind, _)| kind);
    match kind {
        Some("key") => region
            .and_then(|region| region.key_pairs.values().find(|pair| pair.id == id))
            .map(|pair| (format!("key-pair/{}", pair.name), &pair.tags))
            .ok_or_else(|| super::key_pair::unknown("key pair ID", id)),
        Some("i") => region
            .and_then(|region| region.instances.get(id))
            .map(|instance| (format!("instance/{id}"), &instance.tags))
            .ok_or_else(|| super::instance::unknown(&[id])),
        _ => Err(Refusal::new(400, "InvalidID", format!("The ID '{id}' is not valid"))),
    }
}

/// The tags that a call gives to the key pair it makes.
pub(super) fn of_new_key_pair(parameters: &Parameters) -> Result<Tags, Refusal> {
    let kinds = parameters.numbered("TagSpecification", ".ResourceType");
    if let Some(kind) = kinds.iter().find(|kind| **kind != "key-pair") {
        let message = format!("'{kind}' is not a valid taggable resource type for this operation.");
        return Err(Refusal::new(400, "InvalidParameterValue", message));
    }
    match kinds.len() {
        0 => Ok(Tags::new()),
        1 => read(parameters, "TagSpecification.1.Tag"),
        _ => {
            let message = "The same resource type may not be specified more than once in tag specifications";
            Err(Refusal::new(400, "InvalidParameterValue", message))
        }
    }
}

/// Adds what conditions may ask about the tags that a call would give.
pub(super) fn asked(mut context: Context, added: &Tags) -> Context {
    for (key, value) in added {
        context.set(&format!("aws:RequestTag/{key}"), value);
    }
    if !added.is_empty() {
        context.set_all("aws:TagKeys", added.keys().cloned().collect());
    }
    context
}

pub(super) fn write(xml: &mut Xml, tags: &Tags) {
    if tags.is_empty() {
        return;
    }
    xml.nest("tagSet", |xml| {
        for (key, value) in tags {
            xml.nest("item", |xml| {
                xml.text("key", key).text("value", value);
            });
        }
    });
}

fn read(parameters: &Parameters, name: &str) -> Result<Tags, Refusal> {
    let mut tags = Tags::new();
    for (index, key) in parameters.numbered(name, ".Key").into_iter().enumerate() {
        let value = parameters.text(&format!("{name}.{}.Value", index + 1)).unwrap_or_default();
        if key.is_empty() {
            return Err(invalid("key", key, "Tag keys cannot be empty"));
        }
        if key.chars().count() > 128 {
            return Err(invalid("key", key, "Tag key exceeds the maximum length of 128 characters"));
        }
        if value.chars().count() > 256 {
            return Err(invalid("value", value, "Tag value exceeds the maximum length of 256 characters"));
        }
        if key.to_lowercase().starts_with("aws:") {
            return Err(invalid("key", key, "Tag keys starting with 'aws:' are reserved for internal use"));
        }
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            let message = format!("Duplicate tag key '{key}' specified.");
            return Err(Refusal::new(400, "InvalidParameterValue", message));
        }
    }
    if tags.len() > QUOTA {
        return Err(Refusal::new(
            400,
            "TagLimitExceeded",
            "The maximum number of Tags for a resource has been reached.",
        ));
    }
    Ok(tags)
}

fn named(refusal: Refusal, set: &str) -> Refusal {
    Refusal { message: format!("The request must contain the parameter {set}"), ..refusal }
}
