//! Where a call may go. Pure.

use super::Error;
use claviger::model::aws::PARTITIONS;
use claviger::model::{Label, Partition, Region};
use std::collections::BTreeMap;
use std::fmt;
use url::Url;

/// A service this room speaks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// Elastic Compute Cloud: an endpoint a region.
    Ec2,
    /// EC2 Instance Connect: an endpoint a region.
    Ec2InstanceConnect,
    /// Identity and Access Management: one endpoint a partition.
    Iam,
    /// Security Token Service: always the regional endpoint.
    Sts,
}

impl Service {
    /// The name in host names and in signatures.
    pub fn id(self) -> &'static str {
        match self {
            Self::Ec2 => "ec2",
            Self::Ec2InstanceConnect => "ec2-instance-connect",
            Self::Iam => "iam",
            Self::Sts => "sts",
        }
    }

    /// What stands before the operation in `x-amz-target`, of those that speak JSON; None of those with forms.
    pub(super) fn json_target(self) -> Option<&'static str> {
        match self {
            Self::Ec2InstanceConnect => Some("AWSEC2InstanceConnectService"),
            Self::Ec2 | Self::Iam | Self::Sts => None,
        }
    }
}

/// An endpoint that the rules allow. Made by [`EndpointRules`] alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: Url,
    signing_region: Region,
}

impl Endpoint {
    /// The whole URL.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The host, made printable; with the port where it is not the scheme's own.
    pub fn host(&self) -> String {
        host_and_port(&self.url)
    }

    /// The region that the signature names.
    pub fn signing_region(&self) -> &Region {
        &self.signing_region
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        Label(self.url.as_str()).fmt(out)
    }
}

/// Which endpoints calls may go to: AWS's own for the service, over TLS, and those listed by name.
///
/// AWS's suffixes alone are not trusted: customers' buckets, gateways and hosts live under them too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointRules {
    allow: Vec<Allowed>,
    replaced: BTreeMap<Service, Url>,
}

/// What replaces AWS's own endpoints for every profile, as the configuration says it.
pub type Replacements<'a> = &'a [(Service, Option<&'a str>)];

#[derive(Debug, Clone, PartialEq, Eq)]
struct Allowed {
    scheme: String,
    host: String,
    port: u16,
}

impl EndpointRules {
    /// The rules of a configuration: `allow` lists origins (`https://host:port`); what replaces AWS's own endpoints
    /// needs an entry in `allow` like any other. Plain `http` is possible only by an entry that says `http`. Refuses
    /// what is no URL of http or https, and user, path (in `allow`), query, fragment.
    pub fn new(allow: &[String], replacements: Replacements<'_>) -> Result<Self, Error> {
        let replaced = replacements.iter().filter_map(|(service, url)| Some((*service, parse((*url)?))));
        Ok(Self {
            allow: allow.iter().map(|entry| Allowed::parse(entry)).collect::<Result<_, _>>()?,
            replaced: replaced.map(|(service, url)| Ok((service, url?))).collect::<Result<_, Error>>()?,
        })
    }

    /// The STS endpoint of a region; `given` is the profile's own URL, if it has one.
    pub fn sts(&self, region: &Region, given: Option<&str>) -> Result<Endpoint, Error> {
        self.regional(Service::Sts, region, given)
    }

    /// The endpoint of a service in a region; `given` is the profile's own URL, if it has one. IAM has one a partition:
    /// [`EndpointRules::iam`].
    pub fn regional(&self, service: Service, region: &Region, given: Option<&str>) -> Result<Endpoint, Error> {
        let suffix = Partition::of_region(region).dns_suffix;
        match self.replacement(service, given)? {
            Some(url) => self.checked(service, url, region),
            None => self.checked(service, parse(&format!("https://{}.{region}.{suffix}", service.id()))?, region),
        }
    }

    /// The IAM endpoint of a partition; `given` is the profile's own URL, if it has one.
    pub fn iam(&self, partition: Partition, given: Option<&str>) -> Result<Endpoint, Error> {
        let region = own_region(partition)?;
        match self.replacement(Service::Iam, given)? {
            Some(url) => self.checked(Service::Iam, url, &region),
            None => self.checked(Service::Iam, parse(&format!("https://{}", iam_host(partition)))?, &region),
        }
    }

    fn replacement(&self, service: Service, given: Option<&str>) -> Result<Option<Url>, Error> {
        Ok(given.map(parse).transpose()?.or_else(|| self.replaced.get(&service).cloned()))
    }

    fn checked(&self, service: Service, url: Url, region: &Region) -> Result<Endpoint, Error> {
        if let Some(named) = aws_region(service, &url) {
            let signing_region = named.unwrap_or_else(|| region.clone());
            return Ok(Endpoint { url, signing_region });
        }
        if self.allow.iter().any(|entry| entry.matches(&url)) {
            return Ok(Endpoint { url, signing_region: region.clone() });
        }
        let shown = format!("{}://{}", url.scheme(), host_and_port(&url));
        Err(Error::EndpointNotAllowed { host: Label(&shown).to_string() })
    }
}

impl Allowed {
    fn parse(entry: &str) -> Result<Self, Error> {
        let url = parse(entry)?;
        if url.path() != "/" {
            return Err(Error::EndpointInvalid { why: "an entry of [endpoints] allow is scheme, host and port" });
        }
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(Error::EndpointInvalid { why: NO_HOST });
        };
        Ok(Self { scheme: url.scheme().to_owned(), host: host.to_owned(), port })
    }

    fn matches(&self, url: &Url) -> bool {
        self.scheme == url.scheme()
            && Some(self.host.as_str()) == url.host_str()
            && Some(self.port) == url.port_or_known_default()
    }
}

const NO_HOST: &str = "an endpoint names a host";

fn parse(text: &str) -> Result<Url, Error> {
    let invalid = |why| Error::EndpointInvalid { why };
    // The parser would skip them, and the URL shown would not be the one written.
    if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
        return Err(invalid("an endpoint has no space, control character or backslash"));
    }
    let url = Url::parse(text).map_err(|_| invalid("an endpoint is a URL such as https://host:port"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid("an endpoint begins with https:// or http://"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(invalid(NO_HOST));
    }
    if !url.username().is_empty() || url.password().is_some() || text.contains('@') {
        return Err(invalid("an endpoint names no user"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("an endpoint has no query and no fragment"));
    }
    Ok(url)
}

/// Whether the URL is one of AWS's own endpoints for the service, over TLS on its own port; and the region it names.
fn aws_region(service: Service, url: &Url) -> Option<Option<Region>> {
    if url.scheme() != "https" || url.port().is_some() || url.path() != "/" {
        return None;
    }
    let host = url.host_str()?;
    if service == Service::Iam
        && let Some(partition) = PARTITIONS.iter().find(|partition| iam_host(**partition) == host)
    {
        return own_region(*partition).ok().map(Some);
    }
    if service == Service::Sts && host == "sts.amazonaws.com" {
        return "us-east-1".parse().ok().map(Some);
    }
    PARTITIONS
        .iter()
        .find_map(|partition| regional(service, host.strip_suffix(partition.dns_suffix)?.strip_suffix('.')?))
}

/// `sts.REGION`, `sts-fips.REGION`, and the private endpoint `vpce-ID.sts.REGION.vpce` (AWS PrivateLink guide).
fn regional(service: Service, name: &str) -> Option<Option<Region>> {
    let labels: Vec<&str> = name.split('.').collect();
    let (service_label, region) = match labels.as_slice() {
        [service_label, region] => (*service_label, *region),
        [private, service_label, region, "vpce"] if private.starts_with("vpce-") => (*service_label, *region),
        _ => return None,
    };
    let named = service_label == service.id() || service_label.strip_suffix("-fips") == Some(service.id());
    (named && like_a_region(region)).then(|| region.parse().ok())
}

/// Letters, a dash, words, a dash, digits: `eu-central-1`, but neither `s3` nor `s3-eu-west-1`, under which a bucket
/// may be called `sts`.
fn like_a_region(label: &str) -> bool {
    let letters = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase());
    let mut words: Vec<&str> = label.split('-').collect();
    let number = words.pop().unwrap_or_default();
    words.len() >= 2
        && words.into_iter().all(letters)
        && !number.is_empty()
        && number.chars().all(|c| c.is_ascii_digit())
}

/// IAM's host in a partition (AWS General Reference, IAM endpoints; botocore's endpoint table for the closed ones).
fn iam_host(partition: Partition) -> String {
    match partition.id {
        "aws" => "iam.amazonaws.com".to_owned(),
        "aws-us-gov" => "iam.us-gov.amazonaws.com".to_owned(),
        _ => format!("iam.{}.{}", partition.default_region, partition.dns_suffix),
    }
}

fn own_region(partition: Partition) -> Result<Region, Error> {
    partition.default_region.parse().map_err(|_| Error::EndpointInvalid { why: "the partition has no region" })
}

fn host_and_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let shown = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    Label(&shown).to_string()
}
