//! config.toml on the disk, and the CA bundle that it names.

use super::{Accepted, Config, ConfigError};
use crate::world::{Stamp, World};
use std::io;
use std::path::PathBuf;

/// Longest config.toml: a thousand rules are far less.
const CONFIG_LIMIT: u64 = 128 * 1024;
/// Longest CA bundle: four times the system's. Its content is kept in the vault.
const BUNDLE_LIMIT: u64 = 1024 * 1024;

/// The file, and the home that its relative paths lie under.
pub struct ConfigSource {
    world: World,
    path: PathBuf,
    home: PathBuf,
}

/// Which versions of config.toml and of the CA bundle there are.
pub type ConfigStamps = [Option<Stamp>; 2];

/// Why the file, or the bundle it names, is not used.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A mistake.
    #[error("{0}")]
    Mistake(#[from] ConfigError),
    /// Not UTF-8.
    #[error("not UTF-8")]
    NotText,
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(#[from] io::Error),
}

impl ConfigSource {
    /// The file at this path; it need not exist.
    pub fn new(world: World, path: PathBuf, home: PathBuf) -> Self {
        Self { world, path, home }
    }

    /// Where it is.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// What it says now; the defaults where there is none.
    pub fn read(&self) -> Result<Config, SourceError> {
        let bytes = self.world.disk.read_linked(&self.path, CONFIG_LIMIT)?;
        let text = bytes.map(String::from_utf8).transpose().map_err(|_| SourceError::NotText)?;
        Ok(Config::resolve(text.as_deref(), &self.home)?)
    }

    /// The security settings that it asks for, with the content of the bundle.
    pub fn asked(&self, config: &Config) -> Result<Accepted, SourceError> {
        let ca_bundle = match &config.security.network.ca_bundle {
            Some(path) => {
                let bytes = self.world.disk.read_linked(path, BUNDLE_LIMIT)?;
                let bytes = bytes.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
                Some(String::from_utf8(bytes).map_err(|_| SourceError::NotText)?)
            }
            None => None,
        };
        Ok(Accepted { security: config.security.clone(), ca_bundle })
    }

    /// Looks at the files without reading them.
    pub fn stamps(&self, config: &Config) -> ConfigStamps {
        let stamp = |path: &PathBuf| self.world.disk.stamp(path).ok().flatten();
        [stamp(&self.path), config.security.network.ca_bundle.as_ref().and_then(stamp)]
    }
}
