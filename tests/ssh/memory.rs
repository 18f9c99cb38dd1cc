//! What connections cost that promise much and send little.

use crate::agent::Program;
use crate::raw::{LIST, Raw};
use crate::stage::{Stage, until};
use claviger_agent::testing::figure;
use std::fs;

/// As many as the agent takes at once.
const CONNECTIONS: usize = 256;
/// What they may cost together.
const ROOM_KIB: u64 = 1024;

fn resident(stage: &Stage) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", stage.agent.pid())).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.split_whitespace().next().and_then(|value| value.parse().ok()).expect("a number")
}

fn crowd(stage: &Stage) -> Vec<Raw> {
    (0..CONNECTIONS).map(|_| Raw::connect(&stage.agent.socket)).collect()
}

#[test]
fn a_length_word_of_4_gib_costs_nothing() {
    let stage = Stage::new(Program::Claviger);
    let connected = |stage: &Stage| {
        let mut crowd = crowd(stage);
        crowd.iter_mut().for_each(|raw| assert!(raw.ask(&[LIST]).is_some()));
        crowd
    };
    // What connections cost is no promise's: the first crowd pays for it.
    drop(connected(&stage));
    let mut all = connected(&stage);
    let before = resident(&stage);
    for raw in &mut all {
        raw.send(&[&u32::MAX.to_be_bytes()[..], &[13; 16]].concat());
        assert_eq!(raw.hear(), None, "the length word ends the connection");
    }
    let promised = resident(&stage).saturating_sub(before);
    figure("KiB that a length word of 4 GiB costs on 256 connections", promised);
    assert!(promised <= ROOM_KIB, "{promised} KiB");
    drop(all);

    // The longest that may come, and what has come of it.
    let mut all = connected(&stage);
    let before = resident(&stage);
    for raw in &mut all {
        raw.send(&[&(256 * 1024_u32).to_be_bytes()[..], &[13; 16]].concat());
    }
    let half = resident(&stage).saturating_sub(before);
    figure("KiB that a length word of 256 KiB costs on 256 connections", half);
    assert!(half <= ROOM_KIB, "{half} KiB");

    // The control: what is sent is held until its end comes, and the kernel counts it.
    for raw in &mut all {
        raw.send(&[13; 128 * 1024]);
    }
    until("it is held", || resident(&stage).saturating_sub(before) > 10 * ROOM_KIB);
}
