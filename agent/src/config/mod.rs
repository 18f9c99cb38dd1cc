//! config.toml: as written, then resolved with every default filled in. Pure; the roof reads the file.

mod duration;
mod file;

pub use file::ConfigError;

use claviger::model::Region;
use std::path::PathBuf;

/// The settings, none left open. `docs/reference/config.md` is this struct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `[aws] config_file`: in place of `~/.aws/config`.
    pub aws_config_file: PathBuf,
    /// `[aws] credentials_file`: in place of `~/.aws/credentials`.
    pub aws_credentials_file: PathBuf,
    /// `[aws] region`: where a profile names none.
    pub region: Option<Region>,
    /// What decides where secrets may go and what may run.
    pub security: Security,
    /// `[mfa] presence`: milliseconds after a human act in which a soft code may be spent. Default 8 h.
    pub presence_millis: u64,
    /// `[mfa] session`: seconds an MFA session lives, 1800 to 129600 (STS API, GetSessionToken). Default 12 h.
    pub session_seconds: u32,
    /// `[lock] idle`: milliseconds without a request after which the vault locks. Default 8 h.
    pub idle_lock_millis: u64,
    /// `[lock] screen`: lock the vault when the user's screen is locked. Default true.
    pub lock_on_screen_lock: bool,
    /// `[lock] suspend`: lock the vault before the machine sleeps. Default true.
    pub lock_on_suspend: bool,
    /// `[vault] argon2_memory_mib`: memory of a new passphrase slot, 64 to 1024. Default 256.
    pub argon2_memory_mib: u32,
}

/// The settings that decide where secrets may go and what may run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Security {
    /// `[endpoints] allow`: endpoints outside AWS's own, each as `scheme://host:port`.
    pub endpoints_allowed: Vec<String>,
    /// `[endpoints] sts`: in place of the regional endpoints of STS.
    pub sts_endpoint: Option<String>,
    /// `[endpoints] iam`: in place of the partition's endpoint of IAM.
    pub iam_endpoint: Option<String>,
    /// `[commands] allow`: the only `credential_process` commands that the agent runs, each exactly as in the profile.
    pub commands_allowed: Vec<String>,
    /// `[network]`: how AWS is reached.
    pub network: Network,
}

/// How AWS is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// `[network] proxy`: an HTTP proxy that is asked to CONNECT, `http://host:port`.
    pub proxy: Option<String>,
    /// `[network] no_proxy`: hosts and domains that are reached without it.
    pub no_proxy: Vec<String>,
    /// `[network] ca_bundle`: a PEM file of certificates trusted besides the system's.
    pub ca_bundle: Option<PathBuf>,
}

impl Config {
    /// Resolves the text of config.toml; None where there is no file. Relative paths lie under `home`, and a
    /// leading `~/` means it.
    pub fn resolve(text: Option<&str>, home: &std::path::Path) -> Result<Self, ConfigError> {
        file::resolve(text.unwrap_or_default(), home)
    }
}
