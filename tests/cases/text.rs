//! Plans and faults as a person reads them in a review.

use crate::given::Given;
use claviger::model::Label;
use claviger::wire::Fault;
use claviger_agent::session::{Base, Call, Delivery, Mfa, Plan, RoleRequest, Step};
use std::collections::BTreeMap;
use std::fmt::Write;

/// All of `expect.txt`.
pub(crate) fn page(given: &Given) -> String {
    let mut page = String::new();
    if !given.about.is_empty() {
        page.push_str(&format!("# {}\n\n", given.about));
    }
    for profile in &given.asked {
        let refreshing = outcome(&given.plan(profile, Delivery::Refreshing));
        let frozen = outcome(&given.plan(profile, Delivery::Frozen));
        page.push_str(&format!("[{}]\n", Label(profile)));
        if refreshing == frozen {
            page.push_str(&format!("both:\n{refreshing}\n"));
        } else {
            page.push_str(&format!("refreshing:\n{refreshing}frozen:\n{frozen}\n"));
        }
    }
    if given.every {
        page.push_str(&census(given));
    }
    page
}

/// How many of all profiles are planned, and what the others meet.
fn census(given: &Given) -> String {
    let mut counts = BTreeMap::new();
    for profile in given.all() {
        let key = given
            .plan(profile, Delivery::Refreshing)
            .map_or_else(|fault| fault.code.to_string(), |_| "planned".to_owned());
        *counts.entry(key).or_insert(0) += 1;
    }
    counts.iter().map(|(key, count)| format!("{count} {key}\n")).collect()
}

fn outcome(planned: &Result<Plan, Fault>) -> String {
    match planned {
        Ok(plan) => self::plan(plan),
        Err(fault) => {
            let hint = fault.hint.as_ref().map(|hint| format!("    try: {hint}\n")).unwrap_or_default();
            format!("  {} (exit {}): {}\n{hint}", fault.code, fault.exit() as u8, fault.message)
        }
    }
}

fn plan(plan: &Plan) -> String {
    let serials = |serials: &[_]| serials.iter().map(ToString::to_string).collect::<Vec<String>>().join(", ");
    let mfa = match &plan.mfa {
        Mfa::None => "without MFA".to_owned(),
        Mfa::Held(held) => format!("codes of {}", serials(held)),
        Mfa::Typed(serial) => format!("typed codes of {serial}"),
    };
    let mut text = match &plan.base {
        Base::AccessKey(access_key) => format!("  access key {access_key}, {mfa}\n"),
        Base::Source(source) => format!("  {} at {}, {mfa}\n", source.setting(), source.place()),
    };
    for (number, step) in plan.steps.iter().enumerate() {
        text.push_str(&self::step(number + 1, step));
    }
    for note in &plan.notes {
        writeln!(text, "  note: {note}").expect("a string");
    }
    text
}

fn step(number: usize, step: &Step) -> String {
    let code = if step.with_code { ", with a code" } else { "" };
    let at = format!("{} s at {} for {}{code}", step.seconds, step.endpoint, step.endpoint.signing_region());
    match &step.call {
        Call::SessionToken => format!("  {number} GetSessionToken {at}\n"),
        Call::Source => {
            format!("  {number} the source, used at {} for {}{code}\n", step.endpoint, step.endpoint.signing_region())
        }
        Call::AssumeRole(request) => format!("  {number} AssumeRole {} {at}\n{}", request.role, settings(request)),
    }
}

fn settings(request: &RoleRequest) -> String {
    let mut text = format!("      session name {}\n", request.session_name);
    let mut line = |name: &str, value: &str| writeln!(text, "      {name} {}", short(value)).expect("a string");
    if let Some(id) = &request.external_id {
        line("external id", id);
    }
    if let Some(policy) = &request.policy {
        line("policy", policy);
    }
    for arn in &request.policy_arns {
        line("policy ARN", arn.as_str());
    }
    for (key, value) in &request.tags {
        let transitive = if request.transitive_tag_keys.contains(key) { " (transitive)" } else { "" };
        line("tag", &format!("{key} = {value}{transitive}"));
    }
    if let Some(identity) = &request.source_identity {
        line("source identity", identity);
    }
    text
}

fn short(value: &str) -> String {
    let count = value.chars().count();
    let shown = value.replace('\n', "␊");
    if count <= 120 { shown } else { format!("{}… ({count} characters)", shown.chars().take(40).collect::<String>()) }
}
