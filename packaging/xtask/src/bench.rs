//! `bench`: what claviger costs, against the floor and against peers, in one run of the release binaries.
//!
//! Pairs are interleaved, so that a busy machine is as busy for both; a ratio is made within its pair and the median
//! of the ratios counts. Wall times are shown and mean little; ratios travel.

mod devices;
mod figure;
mod keypair;
mod load;
mod own;
mod page;
mod peers;
mod ssh;

use crate::dist;
use crate::pcsc::Rig;
use crate::run::{Failure, Outcome, copy_program, make_folder, root, say, write};
use crate::stage::Stage;
use figure::Finding;
use peers::Peers;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const PAGE: &str = "docs/reference/benchmarks.md";
/// Against `/bin/true`: both take about a millisecond, so many pairs.
const FLOOR_PAIRS: usize = 400;
/// Against a peer that takes a second.
const PEER_PAIRS: usize = 10;
/// The least that any process takes.
const FLOOR: &str = "/bin/true";
/// The warm answer that peers are held against, and how the table names it.
const PROCESS: [&str; 2] = ["process", "prod"];
const WARM: &str = "`claviger process prod`, warm";
/// Profiles in the AWS files: a person's, and those of an organization.
const FEW: usize = 10;
const MANY: usize = 10_000;

/// What can be measured, by name; the measures of one name share what they need.
const MEASURES: [&str; 9] = ["process", "peers", "load", "ssh", "devices", "keypair", "profiles", "rest", "start"];

/// Builds, measures what `only` is part of, and fails where a gate does. The page is written by a run of everything.
pub(crate) fn run(only: Option<&str>) -> Outcome {
    let wanted = |name: &str| only.is_none_or(|word| name.contains(word));
    if !MEASURES.iter().any(|name| wanted(name)) {
        return Err(Failure::new(format!("nothing to measure is called that; there is: {}", MEASURES.join(", "))));
    }
    let binaries = dist::run()?;
    let stage = ready("bench", &binaries, FEW)?;
    let mut findings = Vec::new();
    let mut versions = Vec::new();
    if wanted("process") {
        add(&mut findings, own::warm(&stage)?);
        add(&mut findings, own::verbs(&stage)?);
    }
    if wanted("peers") {
        let peers = Peers::start(&stage)?;
        add(&mut findings, peers.measure(&stage)?);
        versions = peers.versions()?;
    }
    if wanted("load") {
        add(&mut findings, load::measure(&stage)?);
    }
    if wanted("ssh") {
        crate::tools::require("openssh")?;
        add(&mut findings, ssh::measure(&stage)?);
        versions.push(crate::run::Job::new(["sh", "-c", "ssh -V 2>&1"]).stdout()?.trim().to_owned());
    }
    if wanted("devices") {
        add(&mut findings, with_card(&binaries)?);
    }
    if wanted("keypair") {
        // Of its own: its sandbox is slow from then on.
        add(&mut findings, keypair::measure(&ready("bench-regions", &binaries, FEW)?)?);
    }
    if wanted("profiles") {
        let many = ready("bench-many", &binaries, MANY)?;
        add(&mut findings, own::profiles(&stage, &many)?);
    }
    drop(stage);
    if wanted("rest") || wanted("start") {
        let fresh = ready("bench-fresh", &binaries, FEW)?;
        if wanted("rest") {
            add(&mut findings, own::rest(&fresh)?);
        }
        if wanted("start") {
            add(&mut findings, own::start(&fresh)?);
        }
    }
    let page = page::page(&findings, &versions)?;
    say(&page);
    if only.is_none() {
        make_folder(&root().join("docs/reference"))?;
        write(&root().join(PAGE), &page)?;
    }
    let missed: Vec<&str> = findings.iter().filter(|finding| !finding.passes()).map(Finding::name).collect();
    if missed.is_empty() { Ok(()) } else { Err(Failure::new(format!("gate missed: {}", missed.join(", ")))) }
}

/// A stage with so many profiles, its vault open, and one session in memory.
fn ready(name: &str, binaries: &Path, profiles: usize) -> Outcome<Stage> {
    let stage = Stage::with_profiles(name, binaries, profiles)?;
    for act in stage.acts() {
        say(&format!("$ {}", act.line()));
        act.play(&stage)?;
    }
    let warm = stage.claviger(&PROCESS, "")?;
    if String::from_utf8_lossy(&warm.stdout).contains("\"Version\":1") {
        Ok(stage)
    } else {
        Err(Failure::new("claviger process prod gave no credentials"))
    }
}

/// The measures of devices, in an installation whose helper sees a virtual YubiKey and no other.
fn with_card(binaries: &Path) -> Outcome<Vec<Finding>> {
    crate::tools::require("pcscd")?;
    crate::pcsc::build()?;
    let folder = std::env::temp_dir().join(format!("claviger-bench-card-{}", std::process::id()));
    let rig = Rig::start(&folder.join("rig"))?;
    let programs = folder.join("programs");
    make_folder(&programs)?;
    for program in ["claviger", "claviger-agent", "claviger-sandbox"] {
        copy_program(&binaries.join(program), &programs)?;
    }
    // The agent passes no environment on.
    let helper = binaries.join("claviger-device-helper");
    let script = format!("#!/bin/sh\nPCSCLITE_CSOCK_NAME='{}' exec '{}'\n", rig.socket().display(), helper.display());
    let place = programs.join("claviger-device-helper");
    write(&place, &script)?;
    let made = std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o755));
    made.map_err(Failure::from(place.display()))?;
    let stage = ready("bench-devices", &programs, FEW)?;
    let found = devices::measure(&stage, &rig, &binaries.join("claviger-load"));
    drop((stage, rig));
    let _ = std::fs::remove_dir_all(&folder);
    found
}

/// Each is told as soon as it is there.
fn add(findings: &mut Vec<Finding>, found: Vec<Finding>) {
    for finding in &found {
        say(&match finding {
            Finding::Ratio(ratio) => ratio.markdown(),
            Finding::Single(single) => single.markdown(),
        });
    }
    findings.extend(found);
}
