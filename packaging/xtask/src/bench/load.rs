//! Cached answers to many clients at once, against a bare server that only reads and writes lines.

use super::figure::{Finding, Gate, Ratio, pairs};
use crate::run::{Failure, Outcome};
use crate::stage::Stage;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Connections, each with one request in flight.
const CLIENTS: &str = "256";
/// Requests of one run.
const REQUESTS: &str = "50000";
/// Runs of each.
const RUNS: usize = 10;

/// Answers in a second, the agent's and the bare server's.
pub(super) fn measure(stage: &Stage) -> Outcome<Vec<Finding>> {
    let agent = stage.home().join("run/agent.sock");
    let (_, bytes) = load(stage, &agent)?;
    let bare = Bare::start(stage, bytes)?;
    let rate = |socket: &Path| load(stage, socket).map(|(rate, _)| rate);
    Ok(vec![Finding::Ratio(Ratio {
        name: format!("cached answers to {CLIENTS} clients, each recorded"),
        against: "a bare server of lines".to_owned(),
        unit: "a second",
        pairs: pairs(RUNS, || rate(&agent), || rate(&bare.socket))?,
        gate: Gate::AtLeast(0.5),
    })])
}

/// Answers in a second, and the length of one. An answer that is none is a failure.
fn load(stage: &Stage, socket: &Path) -> Outcome<(f64, u64)> {
    let words = ["--profile", "prod", "--clients", CLIENTS, "--requests", REQUESTS];
    let output = stage.command("claviger-load").arg(socket).args(words).stdin(Stdio::null()).output();
    let output = output.map_err(Failure::from("claviger-load"))?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let figures = number(&told, "per_second").zip(number(&told, "answer_bytes")).filter(|_| output.status.success());
    let (rate, bytes) = figures.ok_or_else(|| Failure::new(format!("claviger-load: {}: {told}", output.status)))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a length")]
    let bytes = bytes as u64;
    Ok((rate, bytes))
}

/// The number under a key of a flat JSON object.
pub(super) fn number(line: &str, key: &str) -> Option<f64> {
    let (_, rest) = line.split_once(&format!("\"{key}\":"))?;
    rest.trim_start().split([',', '}']).next()?.trim().parse().ok()
}

/// The bare server, until dropped.
struct Bare {
    child: Child,
    socket: PathBuf,
}

impl Bare {
    fn start(stage: &Stage, bytes: u64) -> Outcome<Self> {
        let socket = stage.folder().join("bare.sock");
        let mut command: Command = stage.command("claviger-load");
        command.arg("echo").arg(&socket).args(["--bytes", &bytes.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(Failure::from("claviger-load echo"))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            let _ = BufReader::new(stdout).read_line(&mut line);
        }
        let bare = Self { child, socket };
        if line.trim() == "ready" { Ok(bare) } else { Err(Failure::new("claviger-load echo does not listen")) }
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = (self.child.kill(), self.child.wait());
    }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn a_number_is_read_by_its_own_name() {
        let line = r#"{"requests":5,"per_second": 31250.5,"answer_bytes":898}"#;
        assert_eq!((number(line, "per_second"), number(line, "answer_bytes")), (Some(31250.5), Some(898.0)));
        assert_eq!(number(line, "second"), None);
    }
}
