//! EC2: regions, key pairs, and what is to be known of instances to get into them (Amazon EC2 API reference, version
//! 2016-11-15). Its answers have no `…Result`; its lists are called `…Set`, their members `item`.

mod instance;
mod key_pair;
mod region;

pub use instance::{Instance, InstanceState, InstanceWanted};
pub use key_pair::{CreatedKeyPair, KeyPair, KeyPairType};

use super::Error;
use super::call::{Again, AwsEdge, Call};
use super::endpoint::{Endpoint, Service};
use super::query::{Parameters, Reply};
use super::sign::SigningCredentials;
use super::xml::Element;
use claviger::model::Label;
use std::borrow::Cow;
use std::collections::BTreeMap;

const VERSION: &str = "2016-11-15";
/// EC2 gives up to 1,000 of a kind a page: more pages than this are an endless lie.
const PAGE_LIMIT: usize = 1000;

/// The tags of a resource, by their keys.
pub type Tags = BTreeMap<String, String>;

/// Who asks EC2, and in which region.
#[derive(Clone, Copy)]
pub struct Ec2Access<'a> {
    /// What signs.
    pub by: SigningCredentials<'a>,
    /// EC2's endpoint of the region.
    pub at: &'a Endpoint,
}

/// What a call of EC2 is.
struct Act<'a> {
    /// Such as `ec2:DescribeKeyPairs`.
    action: &'static str,
    parameters: Parameters<'a>,
    again: Again,
}

impl<'a> Act<'a> {
    /// One that may be made again.
    fn of(action: &'static str) -> Self {
        let name = action.rsplit(':').next().unwrap_or_default();
        let parameters = Parameters::default().with("Action", name).with("Version", VERSION);
        Self { action, parameters, again: Again::Always }
    }

    fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Cow<'a, str>>) -> Self {
        self.parameters = self.parameters.with(name, value);
        self
    }

    /// `PREFIX.1`, `PREFIX.2` …
    fn with_each<T: Into<Cow<'a, str>>>(self, prefix: &'static str, values: impl Iterator<Item = T>) -> Self {
        values.enumerate().fold(self, |act, (at, value)| act.with(format!("{prefix}.{}", at + 1), value))
    }

    /// `Filter.1.Name`, `Filter.1.Value.1` …
    fn with_filters(self, filters: impl Iterator<Item = (&'a str, &'a [String])>) -> Self {
        filters.enumerate().fold(self, |act, (at, (name, values))| {
            let at = at + 1;
            let act = act.with(format!("Filter.{at}.Name"), name);
            values
                .iter()
                .enumerate()
                .fold(act, |act, (number, value)| act.with(format!("Filter.{at}.Value.{}", number + 1), value.as_str()))
        })
    }

    /// The tags of what is made.
    fn with_tags(self, resource: &'static str, tags: &'a Tags) -> Self {
        if tags.is_empty() {
            return self;
        }
        let act = self.with("TagSpecification.1.ResourceType", resource);
        tags.iter().enumerate().fold(act, |act, (at, (key, value))| {
            let at = at + 1;
            act.with(format!("TagSpecification.1.Tag.{at}.Key"), key.as_str())
                .with(format!("TagSpecification.1.Tag.{at}.Value"), value.as_str())
        })
    }

    fn again(self, again: Again) -> Self {
        Self { again, ..self }
    }
}

impl AwsEdge {
    async fn ec2(&self, access: Ec2Access<'_>, act: Act<'_>) -> Result<Reply, Error> {
        let Act { action, parameters, again } = act;
        let Ec2Access { by: credentials, at: endpoint } = access;
        self.call(Call { service: Service::Ec2, action, endpoint, credentials, parameters, again, secrets: &[] }).await
    }

    /// CreateTags: sets these tags of a resource, whatever values it had under these keys.
    pub async fn create_tags(&self, access: Ec2Access<'_>, resource: &str, tags: &Tags) -> Result<(), Error> {
        let act = Act::of("ec2:CreateTags").with("ResourceId.1", resource);
        let act = tags.iter().enumerate().fold(act, |act, (at, (key, value))| {
            act.with(format!("Tag.{}.Key", at + 1), key.as_str()).with(format!("Tag.{}.Value", at + 1), value.as_str())
        });
        self.ec2(access, act).await.map(drop)
    }
}

/// The members of a list; EC2 leaves an empty one out, or has it empty.
fn items<'a>(parent: &'a Element, list: &str) -> impl Iterator<Item = &'a Element> {
    let members = parent.child(list).map(Element::children).unwrap_or_default();
    members.iter().filter(|member| member.name() == "item")
}

/// The tags of a resource. Texts of people: shown made printable, kept as they are.
fn tags(parent: &Element) -> Tags {
    let pair = |item: &Element| Some((item.text("key")?.to_owned(), item.text("value").unwrap_or_default().to_owned()));
    items(parent, "tagSet").filter_map(pair).collect()
}

/// A text that AWS may leave out, made printable.
fn shown(parent: &Element, name: &str) -> Option<String> {
    parent.text(name).map(|text| Label(text).to_string())
}
