//! `claviger exec`: a command with the credentials of a profile, in place of this process.

use crate::cli::args::{Proof, name_one, profile_or_default};
use crate::cli::desk::{Desk, foreign, paths, unexpected};
use crate::cli::environment::{self, Variable};
use crate::cli::exit::{Failure, Outcome};
use crate::cli::hot::{DEFAULT_PATIENT_WAIT, linger_seconds, wait_seconds};
use crate::cli::render::minute;
use crate::cli::{stand_in, ui};
use crate::model::{Label, Region};
use crate::secret::SecretText;
use crate::wire::{Code, Credentials, EndpointKind, Fault, OpenEndpoint, Reply, Request, Setting};
use clap::ValueHint;
use rustix::fs::{Access, access};
use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, IsTerminal};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The verb's name.
pub(in crate::cli) const NAME: &str = "exec";

// As env(1), timeout(1) and docker(1) have them, and the shell.
const CLAVIGER_FAILED: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// Where SHELL names none.
const DEFAULT_SHELL: &str = "/bin/sh";

/// Run a command with the credentials of a profile
///
/// The command finds an endpoint on this machine that serves fresh credentials for as long as it runs. AWS variables of the
/// shell that could win over it are taken away. Without a command it runs your shell.
///
/// Exit code: the command's own; 125 where claviger failed, 126 where the command cannot be run, 127 where it is not found.
#[derive(clap::Args, Debug, PartialEq, Eq)]
#[command(after_help = "\
Examples:
  claviger exec prod -- aws s3 ls
  claviger exec prod --env -- s3cmd ls
  claviger exec prod --linger 2h -- sh -c 'nohup ./report &'
  claviger exec prod")]
pub(in crate::cli) struct Exec {
    /// The AWS profile [default: AWS_PROFILE, else default]
    pub(in crate::cli) profile: Option<String>,
    /// Set AWS_ACCESS_KEY_ID and the like, which end with the session and are not renewed
    #[arg(long, conflicts_with_all = ["imds", "linger"])]
    pub(in crate::cli) env: bool,
    /// Serve as EC2's instance metadata service does, for tools that know no container endpoint
    #[arg(long)]
    pub(in crate::cli) imds: bool,
    /// Keep the endpoint for so long after the command has ended: 90s, 15m, 2h
    #[arg(long, value_name = "DURATION", value_parser = linger_seconds)]
    pub(in crate::cli) linger: Option<u64>,
    /// The longest wait for anything: a code, AWS, an answer
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_PATIENT_WAIT, value_parser = wait_seconds)]
    pub(in crate::cli) wait: u64,
    /// The region of the command [default: the profile's]
    #[arg(long)]
    pub(in crate::cli) region: Option<Region>,
    #[command(flatten)]
    pub(in crate::cli) proof: Proof,
    /// The command and its arguments [default: your shell]
    #[arg(last = true, value_name = "CMD", value_hint = ValueHint::CommandName)]
    pub(in crate::cli) command: Vec<OsString>,
}

/// A failure before the command ran has one exit code, whatever its kind.
pub(in crate::cli) fn own_failure(failure: Failure) -> Failure {
    match failure {
        Failure::Fault(fault) => Failure::Exec { fault, exit: CLAVIGER_FAILED },
        other => other,
    }
}

impl Exec {
    /// Becomes the command. Returns only where that cannot be.
    pub(in crate::cli) fn run(mut self) -> Outcome {
        if self.command.is_empty() {
            let shell = std::env::var_os("SHELL").filter(|shell| !shell.is_empty());
            self.command.push(shell.unwrap_or_else(|| DEFAULT_SHELL.into()));
        }
        let Some((program, arguments)) = self.command.split_first() else { return Err(unexpected()) };
        // A slip of the fingers should not cost a code.
        look_up(program)?;
        let profile = profile_or_default(self.profile.as_deref());
        let outcome = if self.env { self.frozen(&profile) } else { self.endpoint(&profile) };
        let mut variables = outcome.map_err(name_one(self.profile.as_deref()))?;
        variables.push(Variable::new(environment::PROFILE, profile));

        let mut command = Command::new(program);
        command.args(arguments);
        for (name, value) in std::env::vars_os() {
            let around = name == "AWS_SHARED_CREDENTIALS_FILE" && stand_in::is_ours(&paths()?, &value);
            if around || environment::is_stale(&name) {
                command.env_remove(name);
            }
        }
        command.envs(variables.iter().map(|Variable { name, value }| (name, value.as_str())));
        let error = command.exec();
        Err(match error.kind() {
            ErrorKind::NotFound => not_found(program),
            _ => not_executable(program),
        })
    }

    /// The agent watches this process, which is the command's from here on.
    fn endpoint(&self, profile: &str) -> Result<Vec<Variable>, Fault> {
        let kind = if self.imds { EndpointKind::Imds } else { EndpointKind::Container };
        let request = Request::EndpointOpen { profile: profile.to_owned(), kind, linger: self.linger, wait: self.wait };
        let mut desk = Desk::open(&self.proof)?;
        let (endpoint, settings) = (desk.ask(&request)?, settings(&mut desk, profile));
        let Reply::Endpoint(OpenEndpoint { url, token, token_file, region }) = endpoint else {
            return Err(foreign());
        };
        let mut variables = match (kind, token) {
            (EndpointKind::Imds, _) => vec![
                Variable::new("AWS_EC2_METADATA_SERVICE_ENDPOINT", url),
                Variable::new("AWS_EC2_METADATA_V1_DISABLED", "true"),
            ],
            (EndpointKind::Container, Some(token)) => vec![
                Variable::new("AWS_CONTAINER_CREDENTIALS_FULL_URI", url),
                Variable::new("AWS_CONTAINER_AUTHORIZATION_TOKEN", token.expose()),
                // Some SDKs go on to the machine's own role where the endpoint fails: somebody else's credentials.
                Variable::new("AWS_EC2_METADATA_DISABLED", "true"),
            ],
            (EndpointKind::Container, None) => return Err(foreign()),
        };
        if let Some(file) = token_file {
            variables.push(Variable::new("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", text(&file)?));
        }
        variables.extend(environment::region(self.region.as_ref().or(region.as_ref())));
        let file = stand_in::write(&paths()?, profile, &settings)?;
        variables.push(Variable::new("AWS_SHARED_CREDENTIALS_FILE", text(&file)?));
        variables.push(Variable::new("AWS_PROFILE", stand_in::PROFILE));
        Ok(variables)
    }

    fn frozen(&self, profile: &str) -> Result<Vec<Variable>, Fault> {
        let credentials = credentials(profile, self.wait, &self.proof)?;
        if std::io::stderr().is_terminal() {
            ui::say(&ending(&credentials));
        }
        let mut variables = environment::frozen(&credentials);
        variables.extend(environment::region(self.region.as_ref().or(credentials.region.as_ref())));
        Ok(variables)
    }
}

/// Frozen credentials, with what they cost said first.
pub(super) fn credentials(profile: &str, wait: u64, proof: &Proof) -> Result<Credentials, Fault> {
    let request = Request::Credentials { profile: profile.to_owned(), wait, frozen: true };
    let mut desk = Desk::open(proof)?;
    for note in costs(&mut desk, profile) {
        ui::say(&format!("{}: {}", Label(profile), Label(&note)));
    }
    match desk.ask(&request)? {
        Reply::Credentials(credentials) => Ok(credentials),
        _ => Err(foreign()),
    }
}

/// When frozen credentials end.
pub(super) fn ending(credentials: &Credentials) -> String {
    format!("These credentials end at {} and are not renewed.", Label(&minute(&credentials.expiration)))
}

/// What `profile explain` notes on the frozen way. What is wrong with the profile the request itself will say.
fn costs(desk: &mut Desk<'_>, profile: &str) -> Vec<String> {
    match desk.ask(&Request::ProfileExplain { profile: profile.to_owned() }) {
        Ok(Reply::Explanation(explanation)) => {
            explanation.notes.iter().filter_map(|note| note.strip_prefix("frozen: ")).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

/// The profile's settings. A profile that is an access key alone has none.
fn settings(desk: &mut Desk<'_>, profile: &str) -> Vec<Setting> {
    match desk.ask(&Request::ProfileShow { profile: profile.to_owned() }) {
        Ok(Reply::Settings(settings)) => settings,
        _ => Vec::new(),
    }
}

fn text(path: &Path) -> Result<&str, Fault> {
    path.to_str().ok_or_else(|| Fault::new(Code::AgentRuntimeFolder, "the path of the agent's folder is not UTF-8"))
}

/// Whether there is such a program, as execvp(3) would find it.
pub(super) fn look_up(program: &OsStr) -> Outcome {
    if program.as_encoded_bytes().contains(&b'/') {
        return if executable(program.as_ref()) {
            Ok(())
        } else if Path::new(program).exists() {
            Err(not_executable(program))
        } else {
            Err(not_found(program))
        };
    }
    // Without PATH the C library has its own list.
    let Some(path) = std::env::var_os("PATH") else { return Ok(()) };
    let mut candidates: Vec<PathBuf> = std::env::split_paths(&path).map(|folder| folder.join(program)).collect();
    if program.is_empty() {
        candidates.clear();
    }
    if candidates.iter().any(|candidate| executable(candidate)) {
        Ok(())
    } else if candidates.iter().any(|candidate| candidate.is_file()) {
        Err(not_executable(program))
    } else {
        Err(not_found(program))
    }
}

fn executable(path: &Path) -> bool {
    path.is_file() && access(path, Access::EXEC_OK).is_ok()
}

fn not_found(program: &OsStr) -> Failure {
    let name = program.to_string_lossy();
    exec_failure(format!("there is no program {}", Label(&name)), NOT_FOUND)
}

fn not_executable(program: &OsStr) -> Failure {
    let name = program.to_string_lossy();
    exec_failure(format!("{} cannot be run", Label(&name)), NOT_EXECUTABLE)
}

fn exec_failure(message: String, exit: u8) -> Failure {
    Failure::Exec { fault: Fault { code: Code::Usage, message, hint: None }, exit }
}
