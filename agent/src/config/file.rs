//! config.toml as written. Unknown keys are mistakes, so that a misspelt rule never passes for a rule.

use super::duration::Duration;
use super::{Config, Network, NoProxy, Prompt, Security, Sources, proxy_address};
use claviger::model::Region;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// What is wrong with config.toml: where, and the rule that is broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {rule}")]
pub struct ConfigError {
    /// Counted from 1.
    pub line: usize,
    /// The rule, never the input.
    pub rule: String,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct ConfigFile {
    aws: Aws,
    commands: Commands,
    endpoints: Endpoints,
    lock: Lock,
    mfa: Mfa,
    network: NetworkTable,
    prompt: PromptTable,
    sources: SourcesTable,
    ssh: Ssh,
    vault: Vault,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Aws {
    config_file: Option<PathBuf>,
    credentials_file: Option<PathBuf>,
    region: Option<toml::Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Commands {
    allow: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Endpoints {
    allow: Vec<String>,
    ec2: Option<String>,
    ec2_instance_connect: Option<String>,
    iam: Option<String>,
    sts: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Lock {
    idle: Option<toml::Spanned<Duration>>,
    screen: Option<bool>,
    suspend: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Mfa {
    presence: Option<toml::Spanned<Duration>>,
    session: Option<toml::Spanned<Duration>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct NetworkTable {
    ca_bundle: Option<PathBuf>,
    no_proxy: Vec<toml::Spanned<String>>,
    proxy: Option<toml::Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct PromptTable {
    askpass: Option<toml::Spanned<PathBuf>>,
    pinentry: Option<toml::Spanned<PathBuf>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct SourcesTable {
    container_token_file: Option<PathBuf>,
    container_uri: Option<String>,
    imds_endpoint: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Ssh {
    upstream: Vec<PathBuf>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Vault {
    argon2_memory_mib: Option<toml::Spanned<u32>>,
}

const HOUR: u64 = 3_600_000;

pub(super) fn resolve(text: &str, home: &Path) -> Result<Config, ConfigError> {
    let file: ConfigFile = toml::from_str(text).map_err(|error| ConfigError {
        line: line_of(text, error.span().map_or(0, |span| span.start)),
        rule: rule_of(error.message()),
    })?;
    let at = |position: usize, rule: &str| ConfigError { line: line_of(text, position), rule: rule.to_owned() };
    let at_home = |path: PathBuf| home.join(path.strip_prefix("~").map(Path::to_path_buf).unwrap_or(path));
    let under_home = |path: Option<PathBuf>, default: &str| path.map_or_else(|| home.join(default), at_home);
    let region = match file.aws.region {
        Some(region) => {
            let start = region.span().start;
            Some(region.into_inner().parse::<Region>().map_err(|invalid| at(start, invalid.0))?)
        }
        None => None,
    };
    let within = |value: Option<toml::Spanned<Duration>>, default: u64, least: u64, most: u64, rule: &str| match value {
        Some(value) if (least..=most).contains(&value.get_ref().0) => Ok(value.into_inner().0),
        Some(value) => Err(at(value.span().start, rule)),
        None => Ok(default),
    };
    let session = within(file.mfa.session, 12 * HOUR, HOUR / 2, 36 * HOUR, "[mfa] session is 30m to 36h")?;
    let proxy = match file.network.proxy {
        Some(proxy) => {
            proxy_address(proxy.get_ref()).map_err(|rule| at(proxy.span().start, rule))?;
            Some(proxy.into_inner())
        }
        None => None,
    };
    let no_proxy = file.network.no_proxy.into_iter().map(|entry| {
        NoProxy::check(entry.get_ref()).map_err(|rule| at(entry.span().start, rule))?;
        Ok(entry.into_inner())
    });
    let no_proxy = no_proxy.collect::<Result<_, ConfigError>>()?;
    let program = |program: Option<toml::Spanned<PathBuf>>| match program {
        Some(path) if !path.get_ref().is_absolute() && path.get_ref() != Path::new(Prompt::NONE) => {
            Err(at(path.span().start, "[prompt] programs are named by absolute paths, or are \"none\""))
        }
        other => Ok(other.map(toml::Spanned::into_inner)),
    };
    let prompt = Prompt { askpass: program(file.prompt.askpass)?, pinentry: program(file.prompt.pinentry)? };
    let argon2_memory_mib = match file.vault.argon2_memory_mib {
        Some(memory) if (64..=1024).contains(memory.get_ref()) => memory.into_inner(),
        Some(memory) => return Err(at(memory.span().start, "[vault] argon2_memory_mib is 64 to 1024")),
        None => 256,
    };
    Ok(Config {
        aws_config_file: under_home(file.aws.config_file, ".aws/config"),
        aws_credentials_file: under_home(file.aws.credentials_file, ".aws/credentials"),
        region,
        security: Security {
            endpoints_allowed: file.endpoints.allow,
            sts_endpoint: file.endpoints.sts,
            iam_endpoint: file.endpoints.iam,
            ec2_endpoint: file.endpoints.ec2,
            ec2_instance_connect_endpoint: file.endpoints.ec2_instance_connect,
            commands_allowed: file.commands.allow,
            network: Network { proxy, no_proxy, ca_bundle: file.network.ca_bundle.map(at_home) },
            prompt,
            sources: Sources {
                container_uri: file.sources.container_uri,
                container_token_file: file.sources.container_token_file.map(at_home),
                imds_endpoint: file.sources.imds_endpoint,
            },
        },
        presence_millis: within(file.mfa.presence, 8 * HOUR, 0, 168 * HOUR, "[mfa] presence is at most 7d")?,
        session_seconds: u32::try_from(session / 1000).unwrap_or(43_200),
        idle_lock_millis: within(file.lock.idle, 8 * HOUR, 1000, 168 * HOUR, "[lock] idle is 1s to 7d")?,
        lock_on_screen_lock: file.lock.screen.unwrap_or(true),
        lock_on_suspend: file.lock.suspend.unwrap_or(true),
        ssh_upstream: file.ssh.upstream.into_iter().map(at_home).collect(),
        argon2_memory_mib,
    })
}

fn line_of(text: &str, position: usize) -> usize {
    text.bytes().take(position).filter(|byte| *byte == b'\n').count().saturating_add(1)
}

/// The parser's own words, without the input that it repeats: what stands before the first quote, and, in the sentences
/// of serde that end with what was expected, that end. A key may have quotes of its own, so no quote closes another.
fn rule_of(message: &str) -> String {
    const SENTENCES: [&str; 5] =
        ["unknown field `", "unknown variant `", "invalid type: ", "invalid value: ", "invalid length "];
    let first = message.lines().next().unwrap_or_default();
    let Some((before, _)) = first.split_once(['`', '"']) else { return first.to_owned() };
    let expected = SENTENCES.iter().any(|sentence| first.starts_with(sentence)).then(|| message.rfind(", expected "));
    let end = expected.flatten().and_then(|at| message.get(at..)).unwrap_or_default();
    format!("{before}…{end}")
}

#[cfg(test)]
mod tests {
    use super::{Config, resolve};
    use std::path::Path;

    fn fault(text: &str) -> (usize, String) {
        let error = resolve(text, Path::new("/home/ada")).unwrap_err();
        (error.line, error.rule)
    }

    #[test]
    fn no_file_is_the_defaults() {
        let config = Config::resolve(None, Path::new("/home/ada")).unwrap();
        assert_eq!(config.aws_config_file, Path::new("/home/ada/.aws/config"));
        assert_eq!(
            (config.presence_millis, config.session_seconds, config.argon2_memory_mib),
            (28_800_000, 43_200, 256)
        );
        assert_eq!((config.lock_on_suspend, config.lock_on_screen_lock), (true, true));
    }

    #[test]
    fn every_key_is_read() {
        let text = "[aws]\nconfig_file = \"~/a\"\ncredentials_file = \"/b\"\nregion = \"eu-west-1\"\n[endpoints]\nallow = [\"http://127.0.0.1:1\"]\nsts = \"http://127.0.0.1:1\"\niam = \"http://127.0.0.1:1\"\n[mfa]\npresence = \"1h\"\nsession = \"36h\"\n[lock]\nidle = \"5m\"\nsuspend = false\nscreen = false\n[vault]\nargon2_memory_mib = 64\n[sources]\ncontainer_uri = \"/x\"\ncontainer_token_file = \"~/t\"\nimds_endpoint = \"http://127.0.0.1:1\"\n[prompt]\naskpass = \"/a\"\npinentry = \"/p\"\n";
        let config = resolve(text, Path::new("/home/ada")).unwrap();
        assert_eq!(config.aws_config_file, Path::new("/home/ada/a"));
        assert_eq!(config.aws_credentials_file, Path::new("/b"));
        assert_eq!((config.idle_lock_millis, config.session_seconds), (300_000, 129_600));
        let prompt = config.security.prompt;
        assert_eq!(prompt.askpass.as_deref(), Some(Path::new("/a")));
        assert_eq!(prompt.pinentry.as_deref(), Some(Path::new("/p")));
        let sources = config.security.sources;
        assert_eq!(sources.container_token_file.as_deref(), Some(Path::new("/home/ada/t")));
        assert_eq!(sources.container_uri.as_deref(), Some("/x"));
        assert_eq!(sources.imds_endpoint.as_deref(), Some("http://127.0.0.1:1"));
        assert_eq!((config.lock_on_suspend, config.lock_on_screen_lock), (false, false));
    }

    #[test]
    fn mistakes_name_line_and_rule_and_never_the_input() {
        assert_eq!(fault("[mfa]\nsession = \"40h\"\n"), (2, "[mfa] session is 30m to 36h".to_owned()));
        assert_eq!(fault("\n[aws]\nregion = \"NOT A REGION\"\n").0, 3);
        let (line, rule) = fault("[endpoints]\nallow_canary = [\"x\"]\n");
        assert_eq!(line, 2);
        assert!(!rule.contains("canary") && rule.contains("`allow`"), "{rule}");
        let (_, rule) = fault("[\"a`canary\"]\nb = 1\n");
        assert!(!rule.contains("canary") && rule.contains("`vault`"), "{rule}");
        let (_, rule) = fault("[vault]\nargon2_memory_mib = \"canary\"\n");
        assert!(!rule.contains("canary"), "{rule}");
        assert_eq!(fault("[vault]\nargon2_memory_mib = 1\n").0, 2);
        let (line, rule) = fault("[network]\nproxy = \"http://ada:canary@proxy.example:3128\"\n");
        assert_eq!(line, 2);
        assert!(rule.contains("no secret belongs in config.toml") && !rule.contains("canary"), "{rule}");
        for path in ["pinentry", "~/pinentry", "./canary", ""] {
            let (line, rule) = fault(&format!("[prompt]\n\npinentry = \"{path}\"\n"));
            assert_eq!(
                (line, rule.as_str()),
                (3, "[prompt] programs are named by absolute paths, or are \"none\""),
                "{path}"
            );
        }
        assert_eq!(fault("[network]\nno_proxy = [\"a.example\",\n\"https://b\"]\n").0, 3);
    }
}
