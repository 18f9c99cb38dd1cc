//! `bench`: what a warm `claviger process` costs, as whole processes, against the floor and against peers, in one run.
//!
//! Pairs are interleaved, so that a busy machine is as busy for both; a ratio is made within its pair and the median
//! of the ratios counts. Wall times are shown and mean little; ratios travel.

use crate::run::{Failure, Job, Outcome, make_folder, root, say, timed, write};
use crate::stage::Stage;
use crate::{dist, python, tools};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PAGE: &str = "docs/reference/benchmarks.md";
/// Against `/bin/true`: both take about a millisecond, so many pairs.
const PAIRS: usize = 400;
/// Against a peer that takes a second.
const PEER_PAIRS: usize = 20;
/// At most this many times `/bin/true`.
const GATE_FLOOR: f64 = 1.5;
/// At least this many times faster than a peer's own export.
const GATE_PEER: f64 = 100.0;
/// What is measured, as the table names it.
const PROCESS: &str = "`claviger process prod`, warm";

/// Builds, measures, writes the page, and fails where a gate does.
pub(crate) fn run() -> Outcome {
    tools::require("aws CLI 2")?;
    let programs = python::environment(&python::CLIENTS)?;
    let stage = Stage::set("bench", &dist::run()?)?;
    for act in stage.acts() {
        say(&format!("$ {}", act.line()));
        act.play(&stage)?;
    }
    let warm = stage.claviger(&["process", "prod"], "")?;
    if !String::from_utf8_lossy(&warm.stdout).contains("\"Version\":1") {
        return Err(Failure::new("claviger process prod gave no credentials"));
    }
    let peers = Peers::start(&stage, &programs)?;
    let rows = measure(&stage, &peers, &programs)?;
    let page = page(&rows)?;
    say(&page);
    make_folder(&root().join("docs/reference"))?;
    write(&root().join(PAGE), &page)?;
    let missed: Vec<&str> = rows.iter().filter(|row| !row.passes()).map(|row| row.name.as_str()).collect();
    if missed.is_empty() { Ok(()) } else { Err(Failure::new(format!("gate missed: {}", missed.join(", ")))) }
}

fn measure(stage: &Stage, peers: &Peers, programs: &Path) -> Outcome<Vec<Row>> {
    let claviger = || quiet(stage.command("claviger").args(["process", "prod"]));
    let floor = || quiet(&mut Command::new("/bin/true"));
    let aws = || quiet(peers.command(Path::new(AWS)).args(["configure", "export-credentials", "--profile", "keys"]));
    let export = ["export", "-n", "prod", "-f", "credential-process"];
    let elhaz = || quiet(peers.command(&programs.join("elhaz")).args(export));
    let program = "import boto3; boto3.Session(profile_name='through').get_credentials().get_frozen_credentials()";
    let boto3 = || quiet(peers.command(&programs.join("python3")).args(["-c", program]));
    let row = |name: &str, gate, pairs| Row { name: name.to_owned(), gate, pairs };
    let faster = || Gate::AtLeast(GATE_PEER);
    Ok(vec![
        row(PROCESS, Gate::AtMost(GATE_FLOOR), pairs(PAIRS, claviger, floor)?),
        row("`aws configure export-credentials` (aws CLI 2)", faster(), pairs(PEER_PAIRS, aws, claviger)?),
        row("`elhaz export -f credential-process`, warm daemon", faster(), pairs(PEER_PAIRS, elhaz, claviger)?),
        row("boto3, a whole program, through `claviger process`", Gate::None, pairs(PEER_PAIRS, boto3, claviger)?),
    ])
}

/// One process, from spawn to its end, without output. An exit code other than 0 is a failure: it measures nothing.
fn quiet(command: &mut Command) -> Outcome<Duration> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let (status, time) = timed(|| command.status());
    let line = format!("{:?}", command.get_program());
    let status = status.map_err(Failure::from(&line))?;
    if status.success() { Ok(time) } else { Err(Failure::new(format!("{line}: {status}"))) }
}

/// Times both, taking turns at going first; the first round warms up and is dropped.
fn pairs(
    count: usize,
    this: impl Fn() -> Outcome<Duration>,
    other: impl Fn() -> Outcome<Duration>,
) -> Outcome<Vec<(Duration, Duration)>> {
    let mut pairs = Vec::with_capacity(count);
    for round in 0..=count {
        let pair = if round.is_multiple_of(2) {
            let first = this()?;
            (first, other()?)
        } else {
            let first = other()?;
            (this()?, first)
        };
        pairs.push(pair);
    }
    pairs.remove(0);
    Ok(pairs)
}

/// What must hold of a row's median ratio.
enum Gate {
    None,
    AtLeast(f64),
    AtMost(f64),
}

struct Row {
    name: String,
    pairs: Vec<(Duration, Duration)>,
    gate: Gate,
}

impl Row {
    fn ratio(&self) -> Spread {
        Spread::of(self.pairs.iter().map(|(this, other)| this.as_secs_f64() / other.as_secs_f64()).collect())
    }

    fn passes(&self) -> bool {
        match self.gate {
            Gate::None => true,
            Gate::AtLeast(bound) => self.ratio().median >= bound,
            Gate::AtMost(bound) => self.ratio().median <= bound,
        }
    }

    fn markdown(&self, other: &str) -> String {
        let (ratio, milliseconds) = (self.ratio(), |pick: fn(&(Duration, Duration)) -> Duration| {
            Spread::of(self.pairs.iter().map(|pair| pick(pair).as_secs_f64() * 1000.0).collect()).median
        });
        let gate = match self.gate {
            Gate::None => String::new(),
            Gate::AtLeast(bound) => format!("at least {bound:.0}"),
            Gate::AtMost(bound) => format!("at most {bound:.1}"),
        };
        format!(
            "| {} | {other} | **{:.2}** | {:.2}–{:.2} | {} | {:.2} | {:.2} | {gate} |",
            self.name,
            ratio.median,
            ratio.least,
            ratio.most,
            self.pairs.len(),
            milliseconds(|pair| pair.0),
            milliseconds(|pair| pair.1),
        )
    }
}

#[derive(Debug, PartialEq)]
struct Spread {
    least: f64,
    median: f64,
    most: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let middle = values.len() / 2;
        let median =
            if values.len().is_multiple_of(2) { (at(middle.wrapping_sub(1)) + at(middle)) / 2.0 } else { at(middle) };
        Self { least: at(0), median, most: at(values.len().wrapping_sub(1)) }
    }
}

fn page(rows: &[Row]) -> Outcome<String> {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let date = Job::new(["date", "-u", "+%Y-%m-%d"]).stdout()?;
    let lines =
        rows.iter().enumerate().map(|(index, row)| row.markdown(if index == 0 { "`/bin/true`" } else { PROCESS }));
    Ok(format!(
        "# Benchmarks\n\n\
         Written by `cargo xtask bench`; repeat with the same command. {date}, {cores} cores, load {load}.\n\n\
         Each figure is a whole process, spawned and waited for by a small parent. Pairs are interleaved and take turns \
         at going first; the ratio is made within a pair. Times are in milliseconds, medians; trust the ratios.\n\n\
         | this | against | ratio, median | least–most | pairs | this ms | against ms | gate |\n\
         |---|---|---|---|---|---|---|---|\n{}\n\n\
         The peers do the cheapest work they have: the aws CLI exports static keys from a file, elhaz answers from its \
         daemon's memory. claviger answers for an assumed role behind MFA from its own.\n",
        lines.collect::<Vec<_>>().join("\n"),
        date = date.trim(),
    ))
}

/// Debian's aws CLI 2: version 1 has no export.
const AWS: &str = "/usr/bin/aws";

/// What the peers need: an emulator for elhaz, its daemon, and a home of their own.
struct Peers {
    home: PathBuf,
    programs: PathBuf,
    path: String,
    claviger_home: PathBuf,
    moto: Child,
}

impl Peers {
    fn start(stage: &Stage, programs: &Path) -> Outcome<Self> {
        let home = stage.folder().join("peers");
        make_folder(&home.join(".elhaz/configs"))?;
        let (moto, url) = moto(programs)?;
        let peers =
            Self { home, programs: programs.to_path_buf(), path: stage.path(), claviger_home: stage.home(), moto };
        let elhaz = format!(
            "AssumeRole:\n  RoleArn: arn:aws:iam::123456789012:role/prod\n  RoleSessionName: bench\nSTS:\n  endpoint_url: \
             {url}\n  region_name: us-east-1\nSession:\n  aws_access_key_id: test\n  aws_secret_access_key: test\n  \
             region_name: us-east-1\n"
        );
        write(&peers.home.join(".elhaz/configs/prod.yaml"), &elhaz)?;
        let config = "[profile keys]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = test\n\n\
                      [profile through]\ncredential_process = claviger process prod\n";
        write(&peers.home.join("config"), config)?;
        for words in [["daemon", "start"].as_slice(), &["daemon", "add", "-n", "prod"]] {
            quiet(peers.command(&programs.join("elhaz")).args(words))?;
        }
        Ok(peers)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", &self.home)
            .env("CLAVIGER_HOME", &self.claviger_home)
            .env("AWS_CONFIG_FILE", self.home.join("config"))
            .env("AWS_SHARED_CREDENTIALS_FILE", self.home.join("credentials"))
            .env("AWS_EC2_METADATA_DISABLED", "true");
        command
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        let _ = quiet(self.command(&self.programs.join("elhaz")).args(["daemon", "stop"]));
        let _ = (self.moto.kill(), self.moto.wait());
    }
}

/// Starts moto on a free port of the loopback and waits for the line that names it.
fn moto(programs: &Path) -> Outcome<(Child, String)> {
    let mut moto = Command::new(programs.join("moto_server"))
        .args(["-H", "127.0.0.1", "-p", "0"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(Failure::from("cannot run moto_server"))?;
    let mut lines = moto.stderr.take().map(|stderr| BufReader::new(stderr).lines());
    let url = lines.as_mut().and_then(|lines| {
        lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.split_once("Running on ").map(|(_, url)| url.trim().to_owned()))
    });
    // Its log is read to the end, so that it never waits for a reader.
    std::thread::spawn(move || lines.into_iter().flatten().for_each(drop));
    match url {
        Some(url) => Ok((moto, url)),
        None => {
            let _ = (moto.kill(), moto.wait());
            Err(Failure::new("moto_server did not start"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Gate, Row, Spread, pairs, quiet};
    use std::process::Command;
    use std::time::Duration;

    #[test]
    fn the_median_is_of_the_ratios() {
        assert_eq!(Spread::of(vec![3.0, 1.0, 2.0]), Spread { least: 1.0, median: 2.0, most: 3.0 });
        assert_eq!(Spread::of(vec![4.0, 1.0, 2.0, 3.0]).median, 2.5);
    }

    #[test]
    fn a_gate_can_be_missed() {
        let millis = Duration::from_millis;
        let row = |gate| Row { name: "x".to_owned(), pairs: vec![(millis(30), millis(10))], gate };
        assert!(row(Gate::AtMost(3.1)).passes() && !row(Gate::AtMost(2.9)).passes());
        assert!(row(Gate::AtLeast(2.9)).passes() && !row(Gate::AtLeast(3.1)).passes());
        assert!(row(Gate::None).markdown("y").contains("| **3.00** | 3.00–3.00 | 1 | 30.00 | 10.00 |"));
    }

    #[test]
    fn a_process_that_fails_measures_nothing() {
        assert!(quiet(&mut Command::new("false")).is_err());
        let truth = || quiet(&mut Command::new("true"));
        assert_eq!(pairs(3, truth, truth).expect("pairs").len(), 3);
    }
}
