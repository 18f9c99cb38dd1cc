//! A stage for demo and bench: the sandbox, a claviger home of its own and the agent in it. Everything it starts, it
//! ends; everything it writes lies in one temporary folder.

use crate::run::{Failure, Job, Outcome, make_folder, say, write};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// The passphrase of the stage's vault; nothing real is in it.
pub(crate) const PASSPHRASE: &str = "correct horse battery staple";

/// The stage.
pub(crate) struct Stage {
    binaries: PathBuf,
    folder: PathBuf,
    sandbox: Child,
    cast: Cast,
    profiles: usize,
}

/// Who plays: what the sandbox was set up with, as it says in its first line.
pub(crate) struct Cast {
    pub(crate) url: String,
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    pub(crate) serial: String,
    pub(crate) seed: String,
    pub(crate) role: String,
}

impl Cast {
    fn parse(line: &str) -> Option<Self> {
        Some(Self {
            url: field(line, "endpoint")?,
            access_key_id: field(line, "access_key_id")?,
            secret_access_key: field(line, "secret_access_key")?,
            serial: field(line, "mfa_serial")?,
            seed: field(line, "mfa_seed")?,
            role: field(line, "prod-admin")?,
        })
    }
}

/// The string under a key of a flat JSON object without escapes.
fn field(line: &str, key: &str) -> Option<String> {
    let (_, rest) = line.split_once(&format!("\"{key}\""))?;
    let value = rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
    value.split_once('"').map(|(value, _)| value.to_owned())
}

impl Stage {
    /// Starts the sandbox and writes the configuration: `prod` is a role behind the access key `dev`.
    pub(crate) fn set(name: &str, binaries: &Path) -> Outcome<Self> {
        Self::with_profiles(name, binaries, 2)
    }

    /// The same with so many profiles, those two included.
    pub(crate) fn with_profiles(name: &str, binaries: &Path, profiles: usize) -> Outcome<Self> {
        let folder = std::env::temp_dir().join(format!("claviger-{name}-{}", std::process::id()));
        let made = std::fs::DirBuilder::new().mode(0o700).create(&folder);
        made.map_err(Failure::from(format!("cannot make {}", folder.display())))?;
        let mut sandbox = Command::new(binaries.join("claviger-sandbox"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(Failure::from("cannot run claviger-sandbox"))?;
        let mut line = String::new();
        if let Some(stdout) = sandbox.stdout.take() {
            let _ = BufReader::new(stdout).read_line(&mut line);
        }
        let Some(cast) = Cast::parse(&line) else {
            let _ = (sandbox.kill(), sandbox.wait(), std::fs::remove_dir_all(&folder));
            return Err(Failure::new("claviger-sandbox did not say who plays"));
        };
        let stage = Self { binaries: binaries.to_path_buf(), folder, sandbox, cast, profiles };
        stage.configure()?;
        Ok(stage)
    }

    fn configure(&self) -> Outcome {
        let (url, aws) = (&self.cast.url, self.aws_config());
        let config = format!(
            "[aws]\nconfig_file = \"{}\"\n\n[endpoints]\nallow = [\"{url}\"]\nsts = \"{url}\"\niam = \"{url}\"\nec2 = \"{url}\"\n\
             ec2_instance_connect = \"{url}\"\n",
            aws.display()
        );
        make_folder(&self.home().join("config"))?;
        write(&self.home().join("config/config.toml"), &config)?;
        let mut profiles = format!(
            "[profile dev]\nregion = us-east-1\n\n[profile prod]\nrole_arn = {}\nsource_profile = dev\nregion = us-east-1\n",
            self.cast.role
        );
        for number in 2..self.profiles {
            let role = &self.cast.role;
            let more = format!("\n[profile p{number}]\nrole_arn = {role}\nsource_profile = dev\nregion = us-east-1\n");
            profiles.push_str(&more);
        }
        write(&aws, &profiles)
    }

    /// How many profiles the AWS files have.
    pub(crate) fn profiles(&self) -> usize {
        self.profiles
    }

    /// The agent's process id.
    pub(crate) fn agent(&self) -> Outcome<u32> {
        let status = self.claviger(&["status", "--json"], "")?.stdout;
        let status = String::from_utf8_lossy(&status).into_owned();
        let number = status.split_once("\"pid\":").and_then(|(_, rest)| rest.split(',').next()?.trim().parse().ok());
        number.ok_or_else(|| Failure::new("claviger status --json names no pid"))
    }

    /// What the sandbox was set up with.
    pub(crate) fn cast(&self) -> &Cast {
        &self.cast
    }

    /// The folder all of it lies in.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// `CLAVIGER_HOME`.
    pub(crate) fn home(&self) -> PathBuf {
        self.folder.join("claviger")
    }

    /// `AWS_CONFIG_FILE`.
    pub(crate) fn aws_config(&self) -> PathBuf {
        self.folder.join("aws-config")
    }

    /// Where a program of the stage is.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.binaries.join(name)
    }

    /// `PATH`, with the stage's programs first.
    pub(crate) fn path(&self) -> String {
        format!("{}:{}", self.binaries.display(), std::env::var("PATH").unwrap_or_default())
    }

    /// A program of the stage, or one by its path, in an environment that holds nothing of the person's own.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.binaries.join(program));
        command
            .env_clear()
            .env("PATH", self.path())
            .env("HOME", &self.folder)
            .env("CLAVIGER_HOME", self.home())
            .env("AWS_CONFIG_FILE", self.aws_config())
            .current_dir(&self.folder);
        command
    }

    /// Runs `claviger` with these words and this text on its stdin.
    pub(crate) fn claviger(&self, words: &[&str], input: &str) -> Outcome<Output> {
        let line = Job::new(["claviger"]).and(words).line();
        let ran = || {
            let mut child = self
                .command("claviger")
                .args(words)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()?;
            if let Some(mut stdin) = child.stdin.take() {
                // A program that wants no input may have ended already; its exit code tells.
                let _ = stdin.write_all(input.as_bytes());
            }
            child.wait_with_output()
        };
        let output = ran().map_err(Failure::from(&line))?;
        if output.status.success() {
            return Ok(output);
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(Failure::new(format!("{line}\n  {}\n  {said}", output.status)))
    }

    /// The acts that lead to a working profile `prod`, in the order a person types them.
    pub(crate) fn acts(&self) -> Vec<Act> {
        let Cast { access_key_id, secret_access_key, serial, seed, .. } = &self.cast;
        vec![
            Act::new("init --passphrase-fd 0", "< passphrase", PASSPHRASE),
            Act::new("access-key add dev --stdin", "< access-key", &format!("{access_key_id}\n{secret_access_key}\n")),
            Act::new(&format!("mfa add --for dev --name phone --serial {serial} --seed-stdin"), "< seed", seed),
            Act::new("login prod", "", ""),
        ]
    }
}

/// One command of `claviger` and what it is given on stdin.
pub(crate) struct Act {
    pub(crate) words: String,
    pub(crate) redirect: &'static str,
    pub(crate) input: String,
}

impl Act {
    pub(crate) fn new(words: &str, redirect: &'static str, input: &str) -> Self {
        Self { words: words.to_owned(), redirect, input: input.to_owned() }
    }

    /// The line as a person types it.
    pub(crate) fn line(&self) -> String {
        format!("claviger {} {}", self.words, self.redirect).trim_end().to_owned()
    }

    /// Plays it.
    pub(crate) fn play(&self, stage: &Stage) -> Outcome<Output> {
        stage.claviger(&self.words.split(' ').collect::<Vec<_>>(), &self.input)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Err(failure) = self.claviger(&["agent", "stop"], "") {
            say(&format!("the agent could not be stopped: {failure}"));
        }
        let _ = (self.sandbox.kill(), self.sandbox.wait());
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use super::{Act, Cast, field};

    #[test]
    fn the_cast_is_read_from_one_line_and_nothing_may_be_missing() {
        let line = r#"{"endpoint":"http://127.0.0.1:1","access_key_id":"A","secret_access_key":"s","mfa_serial":"m",
            "mfa_seed": "B","roles":{"prod-admin" : "r"}}"#;
        let cast = Cast::parse(line).expect("cast");
        assert_eq!((cast.url.as_str(), cast.seed.as_str(), cast.role.as_str()), ("http://127.0.0.1:1", "B", "r"));
        assert!(Cast::parse(&line.replace("mfa_seed", "seed")).is_none());
        assert_eq!(field(r#"{"a":1}"#, "a"), None);
    }

    #[test]
    fn an_act_is_shown_as_it_is_typed() {
        assert_eq!(Act::new("login prod", "", "").line(), "claviger login prod");
        assert_eq!(
            Act::new("init --passphrase-fd 0", "< passphrase", "x").line(),
            "claviger init --passphrase-fd 0 < passphrase"
        );
    }
}
