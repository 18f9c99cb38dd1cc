//! Instances, as far as one needs to know them to get in.

use super::{Act, Ec2Access, PAGE_LIMIT, items, shown, tags};
use crate::aws::Error;
use crate::aws::call::AwsEdge;
use crate::aws::query::Reply;
use crate::aws::xml::Element;
use claviger::model::{InstanceId, Label};

/// Instances of a page. EC2 does not take it together with ids.
const PAGE: &str = "1000";

/// Which instances: by ids, by filters, or all that there are. EC2 refuses ids that it does not know.
#[derive(Debug, Clone, Default)]
pub struct InstanceWanted {
    /// These; all, if none.
    pub ids: Vec<InstanceId>,
    /// Names and values of filters (EC2 API, DescribeInstances): each must be met, by one of its values.
    pub filters: Vec<(&'static str, Vec<String>)>,
}

/// An instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// Its tag `Name`, made printable.
    pub name: Option<String>,
    /// The name of the key pair that it was launched with, as EC2 has it; the pair may be another by now, or gone.
    pub key_name: Option<String>,
    /// Where it is in its life.
    pub state: InstanceState,
    /// Its address within its network.
    pub private_ip: Option<String>,
    /// Its address for the world.
    pub public_ip: Option<String>,
    /// The name of its private address.
    pub private_dns: Option<String>,
    /// The name of its public address.
    pub public_dns: Option<String>,
    /// Such as `eu-central-1a`.
    pub availability_zone: Option<String>,
    /// Its network.
    pub vpc_id: Option<String>,
    /// Its part of that network.
    pub subnet_id: Option<String>,
    /// Whether it runs Windows: EC2 names no other platform.
    pub windows: bool,
}

/// Where an instance is in its life (EC2 API, InstanceState).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceState {
    /// It starts.
    Pending,
    /// It runs.
    Running,
    /// On its way to the end.
    ShuttingDown,
    /// It can be started again.
    Stopped,
    /// On its way to `Stopped`.
    Stopping,
    /// It was; EC2 lists it for an hour.
    Terminated,
    /// One that EC2 did not have when this was written.
    Unknown,
}

impl InstanceState {
    /// As EC2 has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::ShuttingDown => "shutting-down",
            Self::Stopped => "stopped",
            Self::Stopping => "stopping",
            Self::Terminated => "terminated",
            Self::Unknown => "unknown",
        }
    }

    /// Whether it is over, or soon will be: nobody gets in any more.
    pub fn is_over(self) -> bool {
        matches!(self, Self::ShuttingDown | Self::Terminated)
    }

    fn of(name: &str) -> Self {
        match name {
            "pending" => Self::Pending,
            "running" => Self::Running,
            "shutting-down" => Self::ShuttingDown,
            "stopped" => Self::Stopped,
            "stopping" => Self::Stopping,
            "terminated" => Self::Terminated,
            _ => Self::Unknown,
        }
    }
}

impl AwsEdge {
    /// DescribeInstances, all pages: `InvalidInstanceID.NotFound` is a refusal where an id is wanted that there is not.
    pub async fn describe_instances(
        &self,
        access: Ec2Access<'_>,
        wanted: &InstanceWanted,
    ) -> Result<Vec<Instance>, Error> {
        const ACTION: &str = "ec2:DescribeInstances";
        let mut found = Vec::new();
        let mut next: Option<String> = None;
        for _ in 0..PAGE_LIMIT {
            let mut act = Act::of(ACTION)
                .with_each("InstanceId", wanted.ids.iter().map(InstanceId::as_str))
                .with_filters(wanted.filters.iter().map(|(name, values)| (*name, values.as_slice())));
            if wanted.ids.is_empty() {
                act = act.with("MaxResults", PAGE);
            }
            if let Some(next) = next {
                act = act.with("NextToken", next);
            }
            let reply = self.ec2(access, act).await?;
            for reservation in items(reply.root(), "reservationSet") {
                for item in items(reservation, "instancesSet") {
                    found.push(instance(&reply, item)?);
                }
            }
            next = reply.root().text("nextToken").map(str::to_owned);
            if next.is_none() {
                return Ok(found);
            }
        }
        Err(Error::BadAnswer { action: ACTION, why: "the list has no end" })
    }
}

fn instance(reply: &Reply, item: &Element) -> Result<Instance, Error> {
    let state = item.child("instanceState").ok_or_else(|| reply.bad("an instance has no state"))?;
    let text = |name| shown(item, name);
    Ok(Instance {
        id: reply.noun(item, "instanceId")?,
        name: tags(item).get("Name").map(|name| Label(name).to_string()),
        key_name: item.text("keyName").map(str::to_owned),
        state: InstanceState::of(reply.field(state, "name")?),
        private_ip: text("privateIpAddress"),
        public_ip: text("ipAddress"),
        private_dns: text("privateDnsName"),
        public_dns: text("dnsName"),
        availability_zone: item.child("placement").and_then(|placement| shown(placement, "availabilityZone")),
        vpc_id: text("vpcId"),
        subnet_id: text("subnetId"),
        windows: item.text("platform").is_some_and(|platform| platform.eq_ignore_ascii_case("windows")),
    })
}
