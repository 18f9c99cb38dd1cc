//! Amazon EC2, version 2016-11-15: key pairs, and what is to be known of the instances launched with them.

mod filter;
mod instance;
mod key_pair;
mod password;
mod region;
mod tag;

use crate::call::{Call, Outcome};
use crate::policy::Context;
use crate::query::Parameters;
use crate::reply::Refusal;
use crate::world::region::Tags;

/// What each action takes, apart from what all take. EC2 refuses the rest, which other services ignore.
const ACTIONS: [(&str, &[&str]); 8] = [
    ("CreateKeyPair", &["KeyName", "KeyType", "KeyFormat", "TagSpecification"]),
    ("CreateTags", &["ResourceId", "Tag"]),
    ("DeleteKeyPair", &["KeyName", "KeyPairId"]),
    ("DescribeInstances", &["InstanceId", "Filter", "MaxResults", "NextToken", "IncludeManagedResources"]),
    ("DescribeKeyPairs", &["KeyName", "KeyPairId", "Filter", "IncludePublicKey"]),
    ("DescribeRegions", &["RegionName", "Filter", "AllRegions"]),
    ("GetPasswordData", &["InstanceId"]),
    ("ImportKeyPair", &["KeyName", "PublicKeyMaterial", "TagSpecification"]),
];

/// Runs an action.
pub(crate) fn perform(action: &str, call: &mut Call<'_>) -> Outcome {
    let Some((_, known)) = ACTIONS.iter().find(|(name, _)| *name == action) else {
        let message = format!("The action {action} is not valid for this web service.");
        return Err(Refusal::new(400, "InvalidAction", message));
    };
    check_names(call.parameters, known)?;
    match action {
        "CreateKeyPair" => key_pair::create(call),
        "CreateTags" => tag::create(call),
        "DeleteKeyPair" => key_pair::delete(call),
        "DescribeInstances" => instance::describe(call),
        "DescribeKeyPairs" => key_pair::describe(call),
        "DescribeRegions" => region::describe(call),
        "GetPasswordData" => password::show(call),
        _ => key_pair::import(call),
    }
}

/// Refuses parameters that the action does not take.
fn check_names(parameters: &Parameters, known: &[&str]) -> Result<(), Refusal> {
    let is_common = |name: &str| ["Action", "Version", "DryRun"].contains(&name) || name.starts_with("X-Amz-");
    let unknown = |name: &&str| {
        let stem = name.split('.').next().unwrap_or_default();
        !is_common(name) && !known.contains(&stem)
    };
    match parameters.names().find(unknown) {
        Some(name) => Err(Refusal::new(400, "UnknownParameter", format!("The parameter {name} is not recognized"))),
        None => Ok(()),
    }
}

/// Ok where the caller may and wants the action done. What is said to a dry run is an error as well.
fn allow(call: &Call<'_>, action: &str, resource: &str, context: &Context) -> Result<(), Refusal> {
    authorize(call, action, resource, context)?;
    match call.parameters.flag("DryRun")? {
        Some(true) => {
            let message = "Request would have succeeded, but DryRun flag is set.";
            Err(Refusal::new(412, "DryRunOperation", message))
        }
        _ => Ok(()),
    }
}

/// Ok where the caller may.
fn authorize(call: &Call<'_>, action: &str, resource: &str, context: &Context) -> Result<(), Refusal> {
    call.authorize_with(action, resource, context).map_err(|refusal| {
        let message = format!("You are not authorized to perform this operation. {}", refusal.message);
        Refusal::new(403, "UnauthorizedOperation", message)
    })
}

/// The ARN of something in the call's region.
fn arn(call: &Call<'_>, resource: &str) -> String {
    format!("arn:{}:ec2:{}:{}:{resource}", call.world.partition, call.region, call.world.account)
}

/// The facts of a call about a resource with these tags.
fn context_of(call: &Call<'_>, tags: &Tags) -> Context {
    let mut context = call.context();
    for (key, value) in tags {
        context.set(&format!("ec2:ResourceTag/{key}"), value);
        context.set(&format!("aws:ResourceTag/{key}"), value);
    }
    context
}

fn required<'a>(parameters: &'a Parameters, name: &str) -> Result<&'a str, Refusal> {
    let missing = || Refusal::new(400, "MissingParameter", format!("The request must contain the parameter {name}"));
    parameters.text(name).filter(|value| !value.is_empty()).ok_or_else(missing)
}

fn invalid(name: &str, value: &str, rule: &str) -> Refusal {
    let message = format!("Value ({value}) for parameter {name} is invalid. {rule}");
    Refusal::new(400, "InvalidParameterValue", message)
}
