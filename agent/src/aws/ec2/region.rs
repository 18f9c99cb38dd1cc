//! Regions of the account.

use super::{Act, Ec2Access, items};
use crate::aws::Error;
use crate::aws::call::AwsEdge;
use claviger::model::Region;

impl AwsEdge {
    /// DescribeRegions: those that are enabled for the account.
    pub async fn describe_regions(&self, access: Ec2Access<'_>) -> Result<Vec<Region>, Error> {
        let reply = self.ec2(access, Act::of("ec2:DescribeRegions")).await?;
        items(reply.root(), "regionInfo").map(|item| reply.noun(item, "regionName")).collect()
    }
}
