//! What claviger adds to what a card takes: signatures and codes of a virtual YubiKey, against a bare PC/SC client that
//! has the same card do the same in the same run.

use super::figure::{Finding, Gate, Ratio, Single, Spread, millis, pairs};
use super::load::number;
use crate::pcsc::Rig;
use crate::run::{Failure, Outcome, timed};
use crate::stage::Stage;
use std::cell::Cell;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;

/// Runs of signatures, and signatures of a run.
const RUNS: usize = 40;
const SIGNATURES: &str = "20";
/// Codes: each of an account of its own, as a code is spent once.
const CODES: usize = 30;
/// SELECT, GET METADATA and GENERAL AUTHENTICATE with the P-256 key in 9a.
const SIGN: [&str; 3] = [
    "00a404000ba000000308000010000100",
    "00f7009a",
    "0087119a267c24820081200707070707070707070707070707070707070707070707070707070707070707",
];
/// SELECT and CALCULATE, the least that gives a code: claviger looks whether the account wants a touch as well.
const CODE: [&str; 2] = ["00a4040007a0000005272101", "00a2000113710762656e63682d3074080000000003938700"];

/// Milliseconds beyond the bare operation, of a signature and of a code.
pub(super) fn measure(stage: &Stage, rig: &Rig, load: &Path) -> Outcome<Vec<Finding>> {
    let bare = |rounds: &str, more: &str, apdus: &[&str]| {
        rig.client(&format!("{rounds} {more} {}", apdus.join(" "))).map(|micros| micros / 1000.0)
    };
    let policies = ["--type", "ecdsa-p256", "--pin-policy", "never"];
    stage.claviger(&[&["piv", "new", "9a"], &policies[..]].concat(), "")?;
    let comment = format!("piv {} 9a", rig.serial());
    let signatures = || {
        let mut command = stage.command(&load.display().to_string());
        command.arg("ssh").arg(stage.home().join("run/ssh.sock")).args([&comment, "--requests", SIGNATURES]);
        let output = command.args(["--clients", "1"]).stdin(Stdio::null()).output();
        let output = output.map_err(Failure::from("claviger-load ssh"))?;
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let median = number(&told, "p50_us").filter(|_| output.status.success());
        median.map(|micros| micros / 1000.0).ok_or_else(|| {
            Failure::new(format!("claviger-load ssh: {told}{}", String::from_utf8_lossy(&output.stderr)))
        })
    };
    let signed = pairs(RUNS, signatures, || bare(SIGNATURES, "c0", &SIGN))?;
    let what = "a PIV signature (P-256) by the SSH agent";
    let mut found = told(what, signed, 2.0);

    let codes = Codes::begin(stage)?;
    let coded = pairs(CODES - 1, || codes.next(), || bare("1", "a5", &CODE))?;
    found.extend(told("a code of an OATH applet with 30 accounts", coded, 5.0));
    Ok(found)
}

/// Both medians, and what lies between the two, which has a limit in milliseconds.
fn told(what: &str, pairs: Vec<(f64, f64)>, limit: f64) -> Vec<Finding> {
    let beyond = Spread::of(pairs.iter().map(|(this, bare)| this - bare).collect()).median;
    let against = "a bare PC/SC client".to_owned();
    vec![
        Finding::Ratio(Ratio { name: what.to_owned(), against, unit: "ms", pairs, gate: Gate::None }),
        Finding::Single(Single {
            name: format!("{what}, beyond a bare PC/SC client"),
            value: beyond,
            unit: "ms",
            gate: Gate::AtMost(limit),
        }),
    ]
}

/// Accounts on the card, and a connection to the agent that asks for their codes.
struct Codes {
    stream: UnixStream,
    next: Cell<usize>,
}

impl Codes {
    fn begin(stage: &Stage) -> Outcome<Self> {
        let cast = stage.cast();
        let user = cast.serial.rsplit_once('/').map_or(cast.serial.as_str(), |(before, _)| before);
        for number in 0..CODES {
            let words = format!(
                "mfa add --for dev --device --seed-stdin --no-verify --no-touch --name card-{number} --account bench-{number} \
                 --serial {user}/bench-{number}"
            );
            stage.claviger(&words.split(' ').collect::<Vec<_>>(), &cast.seed)?;
        }
        let socket = stage.home().join("run/agent.sock");
        let stream = UnixStream::connect(&socket).map_err(Failure::from(socket.display()))?;
        let codes = Self { stream, next: Cell::new(0) };
        codes.ask("{\"id\":1,\"hello\":{\"protocol\":1,\"client\":\"bench/0\"}}")?;
        Ok(codes)
    }

    /// Milliseconds until the next account's code is there.
    fn next(&self) -> Outcome<f64> {
        let number = self.next.replace(self.next.get() + 1);
        let request = format!("{{\"id\":2,\"request\":{{\"mfa_code\":{{\"name\":\"card-{number}\",\"now\":true}}}}}}");
        let (answer, time) = timed(|| self.ask(&request));
        let answer = answer?;
        if answer.contains("\"code\":\"") && answer.contains("\"reply\"") {
            Ok(millis(time))
        } else {
            Err(Failure::new(format!("no code: {answer}")))
        }
    }

    /// A line, and the next one that is no event.
    fn ask(&self, line: &str) -> Outcome<String> {
        let failed = || Failure::from("the agent's socket");
        (&self.stream).write_all(format!("{line}\n").as_bytes()).map_err(failed())?;
        let mut lines = BufReader::new(&self.stream);
        loop {
            let mut answer = String::new();
            if lines.read_line(&mut answer).map_err(failed())? == 0 {
                return Err(Failure::new("the agent has closed the connection"));
            }
            if !answer.contains("\"event\"") {
                return Ok(answer);
            }
        }
    }
}
