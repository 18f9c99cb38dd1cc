//! config.toml: as written, then resolved with every default filled in. Pure but for `source`, which reads it.
//!
//! What decides where secrets may go and what may run ([`Security`]) takes effect only as [`Accepted`].

mod duration;
mod file;
#[cfg(test)]
mod mutations;
mod network;
mod security;
mod source;

pub use file::ConfigError;
pub use network::{NoProxy, proxy_address};
pub use security::{Accepted, Network, Prompt, PromptProgram, Security, Sources};
pub use source::{ConfigSource, ConfigStamps, SourceError};

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
    /// What decides where secrets may go and what may run, as the file asks for it: in force only once accepted.
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
    /// `[ssh] upstream`: the sockets of other SSH agents, whose keys are listed after the agent's own, in order.
    pub ssh_upstream: Vec<PathBuf>,
    /// `[vault] argon2_memory_mib`: memory of a new passphrase slot, 64 to 1024. Default 256.
    pub argon2_memory_mib: u32,
}

impl Config {
    /// Resolves the text of config.toml; None where there is no file. Relative paths lie under `home`, and a
    /// leading `~/` means it.
    pub fn resolve(text: Option<&str>, home: &std::path::Path) -> Result<Self, ConfigError> {
        file::resolve(text.unwrap_or_default(), home)
    }
}
