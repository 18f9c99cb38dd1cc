//! `claviger process`: the credential_process contract of the AWS SDKs. The hot path: no terminal, no stdin, one write, one answer.

use crate::cli::args::profile_or_default;
use crate::cli::desk;
use crate::cli::exit::Outcome;
use crate::cli::hot::{DEFAULT_WAIT, wait_seconds};
use crate::cli::ui::{self, Progress};
use crate::client::{Client, WipedBuffer};
use crate::secret::SecretText;
use crate::wire::{Code, Credentials, Fault, Reply, Request};
use serde::Serialize;
use std::time::Duration;

/// How much longer than `--wait` a silent agent is waited for: it keeps that time itself, unless it hangs.
const GRACE: Duration = Duration::from_secs(5);

/// The verb's name.
pub(in crate::cli) const NAME: &str = "process";

/// `process`, as typed.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) struct Process {
    pub(in crate::cli) profile: Option<String>,
    pub(in crate::cli) wait: u64,
}

/// Print credentials as JSON, for credential_process in ~/.aws/config
///
/// Prints the JSON that the AWS SDKs expect and nothing else. Never asks anything: where a person is needed it fails at once with
/// one line that says what to do.
#[derive(clap::Args)]
#[command(after_help = "\
Example, in ~/.aws/config:
  [profile prod]
  credential_process = claviger process prod")]
pub(in crate::cli) struct Verb {
    /// The AWS profile [default: AWS_PROFILE, else default]
    profile: Option<String>,
    /// The longest wait for anything: a code, AWS, an answer elsewhere
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_WAIT, value_parser = wait_seconds)]
    wait: u64,
}

impl From<Verb> for Process {
    fn from(verb: Verb) -> Self {
        Self { profile: verb.profile, wait: verb.wait }
    }
}

/// Prints the credentials of a profile.
pub(in crate::cli) fn run(process: &Process) -> Outcome {
    match ask(process)? {
        Reply::Credentials(credentials) => print(&credentials),
        _ => Err(desk::unexpected()),
    }
}

fn ask(process: &Process) -> Result<Reply, Fault> {
    let limit = Duration::from_secs(process.wait).saturating_add(GRACE);
    let mut client = Client::connect_or_start(&desk::paths()?, desk::hello(false), Some(limit))?;
    client.limit_silence(limit)?;
    let profile = profile_or_default(process.profile.as_deref());
    let mut progress = None;
    client.ask(&Request::Credentials { profile, wait: process.wait, frozen: false }, &mut |event| {
        progress.get_or_insert_with(Progress::on_terminal_only).event(&event);
        Ok(None)
    })
}

/// SDK reference guide, process credential provider, version 1.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Output<'a> {
    version: u8,
    access_key_id: &'a str,
    secret_access_key: &'a str,
    session_token: &'a str,
    expiration: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<&'a str>,
}

fn print(credentials: &Credentials) -> Outcome {
    let output = Output {
        version: 1,
        access_key_id: credentials.access_key_id.as_str(),
        secret_access_key: credentials.secret_access_key.expose(),
        session_token: credentials.session_token.expose(),
        expiration: &credentials.expiration,
        account_id: credentials.account_id.as_ref().map(|account| account.as_str()),
    };
    let mut json = WipedBuffer::with_capacity(2048);
    serde_json::to_writer(&mut json, &output)
        .map_err(|_| Fault::new(Code::Internal, "the credentials cannot be written as JSON"))?;
    json.extend(b"\n");
    ui::data(json.as_slice())
}
