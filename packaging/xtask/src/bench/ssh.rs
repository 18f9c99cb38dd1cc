//! Signatures and lists of our SSH agent against OpenSSH's, over their sockets, in one run.

use super::figure::{Finding, Gate, Ratio, Single, pairs};
use super::load::number;
use crate::run::{Failure, Job, Outcome, write};
use crate::stage::Stage;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The peer.
const STOCK: &str = "/usr/bin/ssh-agent";
/// Runs of each.
const RUNS: usize = 10;
/// Comment, type and size of a key, and how many signatures a run makes: about a second of OpenSSH's.
const KEYS: [(&str, &str, &str, &str); 3] =
    [("ed25519", "ed25519", "256", "1000"), ("ecdsa-p256", "ecdsa", "256", "1000"), ("rsa-3072", "rsa", "3072", "300")];
/// Clients, each with one request in flight, and how many times as many answers ours gives at least.
const CLIENTS: [(&str, f64); 2] = [("1", 1.0), ("64", 1.5)];
/// Keys of a list.
const LISTED: usize = 100;

/// Answers in a second, and what a waiting confirmation costs others.
pub(super) fn measure(stage: &Stage) -> Outcome<Vec<Finding>> {
    let folder = stage.folder().join("ssh");
    crate::run::make_folder(&folder)?;
    let askpass = asking(&folder)?;
    let own = Agent::start(stage, "claviger-ssh-agent", &folder.join("own.sock"), &askpass)?;
    let stock = Agent::start(stage, STOCK, &folder.join("stock.sock"), &askpass)?;
    let mut findings = Vec::new();
    for (name, kind, bits, requests) in KEYS {
        let path = key(&folder, name, kind, bits)?;
        own.add(stage, &[], &path)?;
        stock.add(stage, &[], &path)?;
        for (clients, gate) in CLIENTS {
            let rate = |agent: &Agent| load(stage, agent, name, clients, requests, "per_second");
            let name = format!("{name} signatures, clients: {clients}");
            let pairs = pairs(RUNS, || rate(&own), || rate(&stock))?;
            findings.push(ratio(name, "ssh-agent", "a second", pairs, Gate::AtLeast(gate)));
        }
    }
    findings.push(waiting(stage, &folder, &own)?);
    stock.add(stage, &[], &folder.join("careful"))?;
    for at in KEYS.len() + 1..LISTED {
        let path = key(&folder, &format!("key-{at}"), "ed25519", "256")?;
        own.add(stage, &[], &path)?;
        stock.add(stage, &[], &path)?;
    }
    let rate = |agent: &Agent| load(stage, agent, "list", "1", "5000", "per_second");
    let pairs = pairs(RUNS, || rate(&own), || rate(&stock))?;
    findings.push(ratio(format!("lists of {LISTED} SSH keys"), "ssh-agent", "a second", pairs, Gate::AtLeast(1.0)));
    findings.push(Finding::Single(Single {
        name: "the SSH agent with these keys, in memory".to_owned(),
        value: own.resident()?,
        unit: "MiB",
        gate: Gate::None,
    }));
    Ok(findings)
}

fn ratio(name: String, against: &str, unit: &'static str, pairs: Vec<(f64, f64)>, gate: Gate) -> Finding {
    Finding::Ratio(Ratio { name, against: against.to_owned(), unit, pairs, gate })
}

/// A program that is to ask a person: it says that it does, and waits for an answer in its folder.
fn asking(folder: &Path) -> Outcome<PathBuf> {
    let program = folder.join("askpass");
    let text = format!("#!/bin/sh\necho asked > '{0}/asked'\nread -r answer < '{0}/gate'\nexit 1\n", folder.display());
    write(&program, &text)?;
    let done = std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755));
    done.map_err(Failure::from("askpass"))?;
    Job::new(["mkfifo"]).and([folder.join("gate")]).stdout()?;
    Ok(program)
}

/// How long others wait for their signatures while a person is asked for one, against the same without.
fn waiting(stage: &Stage, folder: &Path, own: &Agent) -> Outcome<Finding> {
    let path = key(folder, "careful", "ed25519", "256")?;
    own.add(stage, &["-c"], &path)?;
    let p99 = || load(stage, own, "ed25519", "16", "5000", "p99_us");
    let beside = || {
        let mut asker = own.command(stage, "ssh-add");
        asker.arg("-T").arg(path.with_extension("pub")).stdout(Stdio::null()).stderr(Stdio::null());
        let mut asker = asker.spawn().map_err(Failure::from("ssh-add -T"))?;
        while !folder.join("asked").exists() && asker.try_wait().is_ok_and(|ended| ended.is_none()) {
            std::thread::yield_now();
        }
        let measured = p99();
        let pending = asker.try_wait().is_ok_and(|ended| ended.is_none());
        if pending {
            write(&folder.join("gate"), "no\n")?;
        }
        let _ = (asker.wait(), std::fs::remove_file(folder.join("asked")));
        if pending { measured } else { Err(Failure::new("the confirmation did not wait")) }
    };
    let name = "p99 of 16 clients' ed25519 signatures while one waits for a confirmation".to_owned();
    Ok(ratio(name, "the same without", "us", pairs(RUNS, beside, p99)?, Gate::None))
}

/// A new key; its comment is its name.
fn key(folder: &Path, name: &str, kind: &str, bits: &str) -> Outcome<PathBuf> {
    let path = folder.join(name);
    Job::new(["ssh-keygen", "-q", "-t", kind, "-b", bits, "-N", "", "-C", name, "-f"]).and([&path]).stdout()?;
    Ok(path)
}

/// A figure of a run of the load program. An answer that is none is a failure.
fn load(stage: &Stage, agent: &Agent, ask: &str, clients: &str, requests: &str, figure: &str) -> Outcome<f64> {
    let mut command = stage.command("claviger-load");
    command.arg("ssh").arg(&agent.socket).args([ask, "--clients", clients, "--requests", requests]);
    let output = command.stdin(Stdio::null()).output().map_err(Failure::from("claviger-load ssh"))?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let value = number(&told, figure).filter(|_| output.status.success());
    value.ok_or_else(|| {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Failure::new(format!("claviger-load ssh {ask}: {}: {told}{said}", output.status))
    })
}

/// An agent, until dropped.
struct Agent {
    child: Child,
    socket: PathBuf,
}

impl Agent {
    fn start(stage: &Stage, program: &str, socket: &Path, askpass: &Path) -> Outcome<Self> {
        let mut command = stage.command(program);
        command.env("SSH_ASKPASS", askpass).env("SSH_ASKPASS_REQUIRE", "force").env("DISPLAY", ":99");
        // Its own home: the stage's agent is another.
        command.env("CLAVIGER_HOME", socket.with_extension("home"));
        command.args(["-D", "-a"]).arg(socket).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(Failure::from(program))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            let _ = BufReader::new(stdout).read_line(&mut line);
        }
        let agent = Self { child, socket: socket.to_owned() };
        if line.contains("SSH_AUTH_SOCK") { Ok(agent) } else { Err(Failure::new(format!("{program} does not listen"))) }
    }

    /// A program that has this agent.
    fn command(&self, stage: &Stage, program: &str) -> Command {
        let mut command = stage.command("/usr/bin/env");
        command.arg(program).env("SSH_AUTH_SOCK", &self.socket).stdin(Stdio::null());
        command
    }

    fn add(&self, stage: &Stage, options: &[&str], key: &Path) -> Outcome {
        let output = self.command(stage, "ssh-add").args(options).arg("-q").arg(key).output();
        let output = output.map_err(Failure::from("ssh-add"))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(Failure::new(format!("ssh-add: {said}"))) }
    }

    /// MiB of VmRSS.
    fn resident(&self) -> Outcome<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.map_err(Failure::from("the agent's status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib: Option<f64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        kib.map(|kib| kib / 1024.0).ok_or_else(|| Failure::new("the agent's status has no VmRSS"))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = (self.child.kill(), self.child.wait());
    }
}
