//! A list over many regions, each with a latency of its own, against the slowest region's alone.

use super::figure::{Finding, Gate, Ratio, pairs, whole};
use crate::run::{Failure, Outcome};
use crate::stage::Stage;
use std::io::{Read, Write};
use std::net::TcpStream;

/// The regions that every account has (EC2 user guide, available Regions).
const REGIONS: [&str; 17] = [
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];
/// Milliseconds of the first region, and by how much each is slower than the one before it.
const LATENCY: (usize, usize) = (20, 20);
/// Runs of each.
const RUNS: usize = 20;

/// Every region at once, and the last of them, which is the slowest.
pub(super) fn measure(stage: &Stage) -> Outcome<Vec<Finding>> {
    for (number, region) in REGIONS.iter().enumerate() {
        slow(stage, region, LATENCY.0 + number * LATENCY.1)?;
    }
    let list = |regions: &[&str]| {
        let named = regions.iter().flat_map(|region| ["--region", region]);
        let words = ["keypair", "list", "--profile", "prod"].into_iter().chain(named);
        whole(stage.command("claviger").args(words))
    };
    let slowest = REGIONS.last().copied().unwrap_or_default();
    let pairs = pairs(RUNS, || list(&REGIONS), || list(&[slowest]))?;
    Ok(vec![Finding::Ratio(Ratio {
        name: format!("`claviger keypair list`, {} regions of 20 to 340 ms", REGIONS.len()),
        against: "the slowest of them alone".to_owned(),
        unit: "ms",
        pairs,
        gate: Gate::AtMost(1.5),
    })])
}

/// Has the sandbox take so long over each request to a region.
fn slow(stage: &Stage, region: &str, millis: usize) -> Outcome {
    let failed = Failure::from("the sandbox's control side");
    let address = stage.cast().url.trim_start_matches("http://").to_owned();
    let kind = format!("{{\"region\":\"{region}\",\"times\":{},\"kind\":{{\"delay_millis\":{millis}}}}}", u32::MAX);
    let length = kind.len();
    let head = format!(
        "POST /_sandbox/faults HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    let exchange = || {
        let mut stream = TcpStream::connect(&address)?;
        stream.write_all((head + &kind).as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer: std::io::Result<String> = exchange();
    match answer.map_err(failed)?.starts_with("HTTP/1.1 200") {
        true => Ok(()),
        false => Err(Failure::new("the sandbox does not take the fault")),
    }
}
