//! Regions.

use super::allow;
use super::filter::Filters;
use crate::call::{Call, Outcome};
use crate::reply::{Refusal, Xml};
use crate::world::region::Tags;
use crate::world::{DEFAULT_REGIONS, OPT_IN_REGIONS};
use std::collections::BTreeSet;

/// DescribeRegions: those that are enabled; with AllRegions the others as well.
pub(super) fn describe(call: &mut Call<'_>) -> Outcome {
    let parameters = call.parameters;
    let filters = Filters::read(parameters, &["endpoint", "opt-in-status", "region-name"])?;
    let wanted = parameters.numbered("RegionName", "");
    let all = parameters.flag("AllRegions")?.unwrap_or(false);
    allow(call, "ec2:DescribeRegions", "*", &call.context())?;
    let enabled = &call.world.ec2.enabled;
    let mut names: BTreeSet<&str> = enabled.iter().map(String::as_str).collect();
    if all {
        names.extend(DEFAULT_REGIONS.iter().chain(&OPT_IN_REGIONS));
    }
    if let Some(name) = wanted.iter().find(|name| !names.contains(**name)) {
        return Err(Refusal::new(400, "InvalidParameterValue", format!("Region not found: {name}")));
    }
    let suffix = if call.world.partition == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" };
    let (mut xml, no_tags) = (Xml::default(), Tags::new());
    xml.nest("regionInfo", |xml| {
        for name in names.into_iter().filter(|name| wanted.is_empty() || wanted.contains(name)) {
            let is_enabled = enabled.iter().any(|enabled| enabled == name);
            let status = match (DEFAULT_REGIONS.contains(&name), is_enabled) {
                (_, false) => "not-opted-in",
                (true, true) => "opt-in-not-required",
                (false, true) => "opted-in",
            };
            let endpoint = format!("ec2.{name}.{suffix}");
            let passes = filters.pass(&no_tags, |property| match property {
                "endpoint" => Some(&endpoint),
                "opt-in-status" => Some(status),
                _ => Some(name),
            });
            if passes {
                xml.nest("item", |xml| {
                    xml.text("regionName", name).text("regionEndpoint", &endpoint).text("optInStatus", status);
                });
            }
        }
    });
    Ok(Some(xml))
}
