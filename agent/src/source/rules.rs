//! What a profile may use as a source. Pure.

use super::command::{Command, CommandRefused};
use super::error::Kind;
use crate::aws::profile::Origin;
use crate::config;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use url::{Host, Url};

/// Where ECS answers relative URIs (AWS SDKs reference, container credential provider).
const ECS: &str = "http://169.254.170.2";
/// The instance metadata service (EC2 user guide, IMDS).
const METADATA: &str = "http://169.254.169.254";
/// Link-local addresses of the container endpoints: ECS, EKS Pod Identity in both families.
const CONTAINER_ADDRESSES: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
];
/// Those of the instance metadata service.
const METADATA_ADDRESSES: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254))];

/// A source that the rules allow. Made by [`SourceRules`] alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `credential_source = EcsContainer`.
    Container(ContainerPlace),
    /// `credential_source = Ec2InstanceMetadata`: where the service is.
    InstanceMetadata(Url),
    /// `credential_process`.
    Process(Command),
}

/// Where the container endpoint is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerPlace {
    pub(super) url: Url,
    pub(super) token_file: Option<PathBuf>,
}

impl Source {
    /// Which.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Container(_) => Kind::Container,
            Self::InstanceMetadata(_) => Kind::InstanceMetadata,
            Self::Process(_) => Kind::Process,
        }
    }

    /// The setting that names it, as AWS writes it.
    pub fn setting(&self) -> &'static str {
        match self {
            Self::Container(_) => "EcsContainer",
            Self::InstanceMetadata(_) => "Ec2InstanceMetadata",
            Self::Process(_) => "credential_process",
        }
    }

    /// All that tells it from another: two sources with the same give the same credentials. Not for people.
    pub fn identity(&self) -> Vec<String> {
        let setting = self.setting().to_owned();
        match self {
            Self::Container(place) => {
                let token = place.token_file.iter().map(|file| format!("{file:?}"));
                [setting, place.url.to_string()].into_iter().chain(token).collect()
            }
            Self::InstanceMetadata(endpoint) => vec![setting, endpoint.to_string()],
            Self::Process(command) => vec![setting, command.text().to_owned()],
        }
    }

    /// Where it is, for people: a host, or the line of the command. Never the command: its words may hold a secret.
    pub fn place(&self) -> String {
        let host = |url: &Url| claviger::model::Label(url.host_str().unwrap_or_default()).to_string();
        match self {
            Self::Container(place) => host(&place.url),
            Self::InstanceMetadata(endpoint) => host(endpoint),
            Self::Process(command) => command.origin().to_string(),
        }
    }
}

/// Which sources there are, from config.toml alone: a profile names one, and never where it is.
#[derive(Debug, Clone)]
pub struct SourceRules {
    commands: Vec<String>,
    container: Option<ContainerPlace>,
    metadata: Url,
}

/// A setting of `[sources]` that breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSources(pub &'static str);

impl SourceRules {
    /// The rules of a configuration. Refuses a container URI with plain `http` to anything but this machine and AWS's
    /// link-local addresses, and an IMDS endpoint that is neither IMDS nor on this machine.
    pub fn new(sources: &config::Sources, commands_allowed: &[String]) -> Result<Self, InvalidSources> {
        let container = sources.container_uri.as_deref().map(container_url).transpose()?;
        let token_file = sources.container_token_file.clone();
        Ok(Self {
            commands: commands_allowed.to_vec(),
            container: container.map(|url| ContainerPlace { url, token_file }),
            metadata: metadata_url(sources.imds_endpoint.as_deref().unwrap_or(METADATA))?,
        })
    }

    /// No command, no container endpoint; instance metadata at AWS's own address.
    #[expect(clippy::expect_used, reason = "AWS's address is a URL")]
    pub fn none() -> Self {
        Self { commands: Vec::new(), container: None, metadata: Url::parse(METADATA).expect("a URL") }
    }

    /// The container endpoint, if config.toml says where it is.
    pub fn container(&self) -> Option<Source> {
        self.container.clone().map(Source::Container)
    }

    /// The instance metadata service.
    pub fn instance_metadata(&self) -> Source {
        Source::InstanceMetadata(self.metadata.clone())
    }

    /// The command of a `credential_process`, if exactly this text is in `[commands] allow`.
    pub fn command(&self, text: &str, origin: &Origin) -> Result<Source, CommandRefused> {
        let command = Command::parse(text, origin)?;
        if self.commands.iter().any(|allowed| allowed == text) {
            Ok(Source::Process(command))
        } else {
            Err(CommandRefused::NotAllowed)
        }
    }
}

fn container_url(text: &str) -> Result<Url, InvalidSources> {
    const RULE: InvalidSources = InvalidSources(
        "container_uri is a path for 169.254.170.2, an https URL, or an http URL of this machine, 169.254.170.2, \
         169.254.170.23 or [fd00:ec2::23]",
    );
    let url = if text.starts_with('/') { parse(&format!("{ECS}{text}")) } else { parse(text) }.ok_or(RULE)?;
    let allowed = url.scheme() == "https" || on_this_machine(&url) || is_one_of(&url, &CONTAINER_ADDRESSES);
    if allowed { Ok(url) } else { Err(RULE) }
}

fn metadata_url(text: &str) -> Result<Url, InvalidSources> {
    const RULE: InvalidSources = InvalidSources(
        "imds_endpoint is http://169.254.169.254, http://[fd00:ec2::254] or an http URL of this machine, without a path",
    );
    let url = parse(text).ok_or(RULE)?;
    let allowed = on_this_machine(&url) || is_one_of(&url, &METADATA_ADDRESSES);
    if allowed && url.scheme() == "http" && url.path() == "/" && url.query().is_none() { Ok(url) } else { Err(RULE) }
}

fn parse(text: &str) -> Option<Url> {
    // The parser would skip them, and the URL used would not be the one written.
    let plain = !text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\' || c == '@');
    let mut url = Url::parse(text).ok().filter(|_| plain)?;
    // Names are not looked up: whoever answers for them would get the token.
    if url.scheme() == "http" && url.host_str() == Some("localhost") {
        url.set_ip_host(IpAddr::V4(Ipv4Addr::LOCALHOST)).ok()?;
    }
    let usable = matches!(url.scheme(), "http" | "https") && url.host().is_some() && url.fragment().is_none();
    usable.then_some(url)
}

fn on_this_machine(url: &Url) -> bool {
    address(url).is_some_and(|address| address.is_loopback())
}

fn is_one_of(url: &Url, addresses: &[IpAddr]) -> bool {
    address(url).is_some_and(|address| addresses.contains(&address))
}

fn address(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Domain(_) => None,
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Source, SourceRules};
    use crate::config::Sources;

    fn container(uri: &str) -> Option<String> {
        let sources = Sources { container_uri: Some(uri.to_owned()), ..Sources::default() };
        match SourceRules::new(&sources, &[]).ok()?.container()? {
            Source::Container(place) => Some(place.url.to_string()),
            Source::InstanceMetadata(_) | Source::Process(_) => None,
        }
    }

    fn metadata(endpoint: &str) -> bool {
        let sources = Sources { imds_endpoint: Some(endpoint.to_owned()), ..Sources::default() };
        SourceRules::new(&sources, &[]).is_ok()
    }

    #[test]
    fn plain_http_goes_to_this_machine_and_the_endpoints_of_aws_alone() {
        for (uri, url) in [
            ("/v2/credentials/1", "http://169.254.170.2/v2/credentials/1"),
            ("http://127.0.0.1:8080/x", "http://127.0.0.1:8080/x"),
            ("http://127.9.9.9/", "http://127.9.9.9/"),
            ("http://[::1]:1/x?y=z", "http://[::1]:1/x?y=z"),
            ("http://localhost:3/x", "http://127.0.0.1:3/x"),
            ("http://169.254.170.23/v1/credentials", "http://169.254.170.23/v1/credentials"),
            ("http://[fd00:ec2::23]/v1/credentials", "http://[fd00:ec2::23]/v1/credentials"),
            ("https://keys.example/x", "https://keys.example/x"),
        ] {
            assert_eq!(container(uri).as_deref(), Some(url));
        }
        for uri in [
            "",
            "v2/credentials",
            "http://keys.example/x",
            "http://host.docker.internal/x",
            "http://localhost.example/",
            "http://169.254.169.254/latest",
            "http://169.254.170.3/",
            "http://10.0.0.1/",
            "http://0.0.0.0/",
            "http://127.0.0.1@keys.example/",
            "http://127.0.0.1 /",
            "http:\\\\127.0.0.1",
            "https://user@keys.example/",
            "ftp://127.0.0.1/",
            "file:///etc/passwd",
            "http://127.0.0.1/#x",
            "//keys.example/x y",
        ] {
            assert_eq!(container(uri), None, "{uri}");
        }
    }

    /// `//host` begins with a slash: it is a path, and the host stays.
    #[test]
    fn a_path_cannot_name_another_host() {
        assert_eq!(container("//keys.example/x").as_deref(), Some("http://169.254.170.2//keys.example/x"));
    }

    #[test]
    fn the_metadata_endpoint_is_imds_or_this_machine() {
        for endpoint in
            ["http://169.254.169.254", "http://169.254.169.254/", "http://[fd00:ec2::254]", "http://127.0.0.1:1"]
        {
            assert!(metadata(endpoint), "{endpoint}");
        }
        for endpoint in
            ["http://169.254.170.2", "https://keys.example", "https://127.0.0.1", "http://127.0.0.1/latest", "x"]
        {
            assert!(!metadata(endpoint), "{endpoint}");
        }
    }
}
