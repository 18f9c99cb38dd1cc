//! Settings: what is in force, and what waits to be accepted.

use serde::{Deserialize, Serialize};

/// What a person looks at, or accepts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfigScope {
    /// Security settings and profiles.
    All {},
    /// A profile whose role or account changed.
    Profile(String),
    /// The security settings of config.toml.
    Settings {},
}

/// Settings and differences.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigView {
    /// The settings in force; a list has a row for each of its values.
    pub settings: Vec<ConfigSetting>,
    /// What would take effect by `config_accept` in this scope.
    pub changes: Vec<ConfigChange>,
    /// How many changes did not fit.
    pub more: usize,
    /// Stands for all changes in this scope: `config_accept` takes it.
    pub digest: String,
    /// Whether the vault has been open, so that what was accepted is known.
    pub compared: bool,
    /// Why config.toml is not used as it stands.
    pub mistake: Option<String>,
}

/// A setting in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigSetting {
    /// As `[section] key`.
    pub key: String,
    /// Its value.
    pub value: String,
    /// `accepted`, `config.toml` or `default`.
    pub source: String,
}

/// Something that waits to be accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigChange {
    /// `security settings`, or `profile NAME`.
    pub subject: String,
    /// The lines that go.
    pub before: Vec<String>,
    /// The lines that come.
    pub after: Vec<String>,
}
