//! What others do: aws CLI, boto3, awsume and elhaz, each with the cheapest work it has.

use super::figure::{Finding, Gate, Ratio, pairs, whole};
use super::{PEER_PAIRS, PROCESS, WARM};
use crate::python::{self, Environment};
use crate::run::{Failure, Job, Outcome, make_folder, root, write};
use crate::stage::Stage;
use crate::tools;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Debian's aws CLI 2: version 1 has no export.
const AWS: &str = "/usr/bin/aws";
/// At least this many times what ours takes.
const GATE: Gate = Gate::AtLeast(300.0);
/// The peers from PyPI that a table of versions names.
const NAMED: [&str; 4] = ["awscli", "awsume", "boto3", "elhaz"];
const ENVIRONMENT: &Environment = &python::CLIENTS;
/// What boto3 users run: a program that wants credentials.
const BOTO3: &str = "import boto3, sys; \
                     boto3.Session(profile_name=sys.argv[1]).get_credentials().get_frozen_credentials()";

/// What the peers need: an emulator, elhaz's daemon, and a home of their own.
pub(super) struct Peers {
    home: PathBuf,
    programs: PathBuf,
    path: String,
    claviger_home: PathBuf,
    moto: Child,
    url: String,
}

impl Peers {
    /// Installs them, starts what runs, and lets each fill its cache.
    pub(super) fn start(stage: &Stage) -> Outcome<Self> {
        tools::require("aws CLI 2")?;
        let programs = python::environment(ENVIRONMENT)?;
        let home = stage.folder().join("peers");
        make_folder(&home.join(".elhaz/configs"))?;
        let (moto, url) = moto(&programs)?;
        let peers = Self { home, programs, path: stage.path(), claviger_home: stage.home(), moto, url };
        let elhaz = format!(
            "AssumeRole:\n  RoleArn: arn:aws:iam::123456789012:role/prod\n  RoleSessionName: bench\nSTS:\n  endpoint_url: \
             {}\n  region_name: us-east-1\nSession:\n  aws_access_key_id: test\n  aws_secret_access_key: test\n  \
             region_name: us-east-1\n",
            peers.url
        );
        write(&peers.home.join(".elhaz/configs/prod.yaml"), &elhaz)?;
        let key = "aws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = test\nregion = us-east-1\n";
        let config = format!(
            "[profile keys]\n{key}\n[profile mfa]\n{key}mfa_serial = arn:aws:iam::123456789012:mfa/bench\n\n\
             [profile through]\ncredential_process = claviger process prod\nregion = us-east-1\n"
        );
        write(&peers.home.join("config"), &config)?;
        write(&peers.home.join("credentials"), "")?;
        for words in [["daemon", "start"].as_slice(), &["daemon", "add", "-n", "prod"]] {
            peers.run("elhaz", words)?;
        }
        peers.run("awsumepy", &["mfa", "-s", "--mfa-token", "123456"])?;
        Ok(peers)
    }

    /// All their rows.
    pub(super) fn measure(&self, stage: &Stage) -> Outcome<Vec<Finding>> {
        let ours = || whole(stage.command("claviger").args(PROCESS));
        let against_ours =
            |name: &str, gate, run: &dyn Fn() -> Outcome<f64>| ratio((name, WARM), gate, pairs(PEER_PAIRS, run, ours)?);
        let export = ["configure", "export-credentials", "--profile", "keys"];
        let elhaz = ["export", "-n", "prod", "-f", "credential-process"];
        let configured = ["configure", "get", "aws_access_key_id", "--profile", "keys"];
        let caller = |profile: &'static str| {
            let words = ["sts", "get-caller-identity", "--profile", profile];
            move || self.run("aws", &words)
        };
        let boto3 = |profile: &'static str| move || self.run("python3", &["-c", BOTO3, profile]);
        Ok(vec![
            against_ours("`aws configure export-credentials` (aws CLI 2), static keys", GATE, &|| {
                whole(self.command(Path::new(AWS)).args(export))
            })?,
            against_ours("`elhaz export -f credential-process`, warm daemon", GATE, &|| self.run("elhaz", &elhaz))?,
            against_ours("`awsume -s`, warm cache", Gate::None, &|| self.run("awsumepy", &["mfa", "-s"]))?,
            against_ours("`aws configure get` (aws CLI 1), static keys", Gate::None, &|| self.run("aws", &configured))?,
            against_ours("boto3, a whole program, static keys", Gate::None, &boto3("keys"))?,
            ratio(
                ("boto3, a whole program, through `claviger process`", "the same with static keys"),
                Gate::None,
                pairs(PEER_PAIRS, boto3("through"), boto3("keys"))?,
            )?,
            ratio(
                ("`aws sts get-caller-identity` (aws CLI 1), through `claviger process`", "the same with static keys"),
                Gate::None,
                pairs(PEER_PAIRS, caller("through"), caller("keys"))?,
            )?,
        ])
    }

    /// Which versions these are.
    pub(super) fn versions(&self) -> Outcome<Vec<String>> {
        let aws = Job::new([AWS, "--version"]).stdout()?;
        let pinned = std::fs::read_to_string(root().join(ENVIRONMENT.requirements()));
        let pinned = pinned.map_err(Failure::from(ENVIRONMENT.requirements()))?;
        let named = pinned.lines().filter_map(|line| line.split_once("==")).filter(|(name, _)| NAMED.contains(name));
        let first = aws.split_whitespace().next().unwrap_or_default().replace('/', " ");
        Ok(std::iter::once(first).chain(named.map(|(name, version)| format!("{name} {version}"))).collect())
    }

    fn run(&self, program: &str, words: &[&str]) -> Outcome<f64> {
        whole(self.command(&self.programs.join(program)).args(words))
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
            .env("AWS_ENDPOINT_URL", &self.url)
            .env("AWS_EC2_METADATA_DISABLED", "true");
        command
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        let _ = self.run("elhaz", &["daemon", "stop"]);
        let _ = (self.moto.kill(), self.moto.wait());
    }
}

fn ratio((name, against): (&str, &str), gate: Gate, pairs: Vec<(f64, f64)>) -> Outcome<Finding> {
    Ok(Finding::Ratio(Ratio { name: name.to_owned(), against: against.to_owned(), unit: "ms", pairs, gate }))
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
