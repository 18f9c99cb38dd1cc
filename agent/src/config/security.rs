//! The settings that take effect only as accepted, as text for the vault and as lines for people. Every field of
//! [`Security`] is pinned and shown by its name in serde: a new one needs no code here.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// The settings that decide where secrets may go and what may run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Security {
    /// `[endpoints] allow`: endpoints outside AWS's own, each as `scheme://host:port`.
    #[serde(rename = "endpoints.allow")]
    pub endpoints_allowed: Vec<String>,
    /// `[endpoints] sts`: in place of the regional endpoints of STS.
    #[serde(rename = "endpoints.sts")]
    pub sts_endpoint: Option<String>,
    /// `[endpoints] iam`: in place of the partition's endpoint of IAM.
    #[serde(rename = "endpoints.iam")]
    pub iam_endpoint: Option<String>,
    /// `[endpoints] ec2`: in place of the regional endpoints of EC2.
    #[serde(rename = "endpoints.ec2")]
    pub ec2_endpoint: Option<String>,
    /// `[endpoints] ec2_instance_connect`: in place of the regional endpoints of EC2 Instance Connect.
    #[serde(rename = "endpoints.ec2_instance_connect")]
    pub ec2_instance_connect_endpoint: Option<String>,
    /// `[commands] allow`: the only `credential_process` commands that the agent runs, each exactly as in the profile.
    #[serde(rename = "commands.allow")]
    pub commands_allowed: Vec<String>,
    /// `[network]`: how AWS is reached.
    pub network: Network,
    /// `[prompt]`: the programs that ask a person.
    pub prompt: Prompt,
    /// `[sources]`: where this machine's own credentials are.
    pub sources: Sources,
}

/// The programs that ask a person, each by its absolute path: what they say is taken for the person's word. `none` is
/// no program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Prompt {
    /// `[prompt] askpass`: a program as OpenSSH's `SSH_ASKPASS` names it.
    pub askpass: Option<PathBuf>,
    /// `[prompt] pinentry`: a pinentry of GnuPG.
    pub pinentry: Option<PathBuf>,
}

/// What a setting says of a program that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromptProgram<'a> {
    /// This one.
    At(&'a Path),
    /// Nothing: the system's own, where that is needed.
    Default,
    /// None is run.
    Off,
}

impl Prompt {
    /// What stands for no program.
    pub const NONE: &'static str = "none";

    /// What is said of askpass programs.
    pub fn askpass(&self) -> PromptProgram<'_> {
        Self::program(self.askpass.as_deref())
    }

    /// What is said of pinentries.
    pub fn pinentry(&self) -> PromptProgram<'_> {
        Self::program(self.pinentry.as_deref())
    }

    fn program(setting: Option<&Path>) -> PromptProgram<'_> {
        match setting {
            None => PromptProgram::Default,
            Some(path) if path == Path::new(Self::NONE) => PromptProgram::Off,
            Some(path) => PromptProgram::At(path),
        }
    }
}

/// Where this machine's own credentials are, for `credential_source`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sources {
    /// `[sources] container_uri`: the container endpoint, as a URL or as the path that ECS gives.
    pub container_uri: Option<String>,
    /// `[sources] container_token_file`: the file whose content goes with each request to it.
    pub container_token_file: Option<PathBuf>,
    /// `[sources] imds_endpoint`: in place of `http://169.254.169.254`.
    pub imds_endpoint: Option<String>,
}

/// How AWS is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Network {
    /// `[network] proxy`: an HTTP proxy that is asked to CONNECT, `http://host:port`.
    pub proxy: Option<String>,
    /// `[network] no_proxy`: hosts and domains that are reached without it.
    pub no_proxy: Vec<String>,
    /// `[network] ca_bundle`: a PEM file of certificates trusted besides the system's.
    pub ca_bundle: Option<PathBuf>,
}

/// Security settings as a person accepts them: with the content of the CA bundle, so that neither the path nor the
/// file behind it changes anything by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Accepted {
    /// The settings.
    pub security: Security,
    /// What `[network] ca_bundle` held, PEM.
    pub ca_bundle: Option<String>,
}

impl Accepted {
    /// As the vault keeps it: JSON.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From the vault. What cannot be read allows nothing.
    pub fn from_text(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// Every setting that is not left at nothing: its key as in config.toml, and its value; a list has a row for each.
    pub fn rows(&self) -> Vec<(String, String)> {
        let mut rows = Vec::new();
        flatten(&serde_json::to_value(&self.security).unwrap_or_default(), "", &mut rows);
        if let Some(pem) = &self.ca_bundle {
            rows.push((key("network.ca_bundle"), format!("SHA-256 {}", HEXLOWER.encode(&Sha256::digest(pem)))));
        }
        rows
    }
}

fn flatten(value: &Value, path: &str, rows: &mut Vec<(String, String)>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| flatten(value, path, rows)),
        Value::Null => {}
        Value::Object(members) => {
            for (name, value) in members {
                flatten(value, &if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, rows);
            }
        }
        Value::String(text) => rows.push((key(path), text.clone())),
        Value::Bool(_) | Value::Number(_) => rows.push((key(path), value.to_string())),
    }
}

/// `section.key` as config.toml has it.
fn key(path: &str) -> String {
    path.split_once('.').map_or_else(|| path.to_owned(), |(section, key)| format!("[{section}] {key}"))
}

#[cfg(test)]
mod tests {
    use super::{Accepted, Network, Prompt, Security, Sources};

    fn full() -> Accepted {
        Accepted {
            security: Security {
                endpoints_allowed: vec!["http://127.0.0.1:1".to_owned(), "https://sts.example:443".to_owned()],
                sts_endpoint: Some("http://127.0.0.1:1".to_owned()),
                iam_endpoint: Some("http://127.0.0.1:2".to_owned()),
                ec2_endpoint: Some("http://127.0.0.1:4".to_owned()),
                ec2_instance_connect_endpoint: Some("http://127.0.0.1:5".to_owned()),
                commands_allowed: vec!["/usr/bin/true \"a\"".to_owned()],
                network: Network {
                    proxy: Some("http://proxy.example:3128".to_owned()),
                    no_proxy: vec!["corp.example".to_owned()],
                    ca_bundle: Some("/etc/corp.pem".into()),
                },
                prompt: Prompt {
                    askpass: Some("/usr/bin/ssh-askpass".into()),
                    pinentry: Some("/usr/bin/pinentry".into()),
                },
                sources: Sources {
                    container_uri: Some("/v2/credentials/1".to_owned()),
                    container_token_file: Some("/run/token".into()),
                    imds_endpoint: Some("http://127.0.0.1:3".to_owned()),
                },
            },
            ca_bundle: Some("PEM".to_owned()),
        }
    }

    #[test]
    fn what_is_accepted_comes_back_from_its_text_and_what_cannot_be_read_allows_nothing() {
        assert_eq!(Accepted::from_text(&full().to_text()), full());
        for text in ["", "[]", "{\"security\":{\"endpoints.allow\":\"x\"}}"] {
            assert_eq!(Accepted::from_text(text), Accepted::default(), "{text}");
        }
        let newer = "{\"security\":{\"endpoints.sts\":\"https://x\",\"rules\":[1]}}";
        assert_eq!(Accepted::from_text(newer).security.sts_endpoint.as_deref(), Some("https://x"));
    }

    #[test]
    fn every_field_has_a_row_named_as_in_the_file() {
        let rows = full().rows();
        let keys: Vec<&str> = rows.iter().map(|(key, _)| key.as_str()).collect();
        let mut sorted = keys.clone();
        sorted.sort_unstable();
        let wanted = [
            "[commands] allow",
            "[endpoints] allow",
            "[endpoints] allow",
            "[endpoints] ec2",
            "[endpoints] ec2_instance_connect",
            "[endpoints] iam",
            "[endpoints] sts",
            "[network] ca_bundle",
            "[network] ca_bundle",
            "[network] no_proxy",
            "[network] proxy",
            "[prompt] askpass",
            "[prompt] pinentry",
            "[sources] container_token_file",
            "[sources] container_uri",
            "[sources] imds_endpoint",
        ];
        assert_eq!(sorted, wanted);
        assert!(rows.iter().any(|(_, value)| value.starts_with("SHA-256 ")));
        assert_eq!(Accepted::default().rows(), []);
    }
}
