//! Who asks EC2: the session of a profile, in regions of its partition.

use super::Regional;
use crate::aws::profile::ProfileSet;
use crate::aws::{AwsEdge, Ec2Access, Endpoint, Service};
use crate::jobs::Error;
use crate::session::{Office, Session};
use claviger::model::Region;
use futures_util::StreamExt;
use futures_util::stream;
use std::future::Future;
use std::sync::Arc;

/// Regions that are asked at once: all that there are, and no more connections than a small machine bears.
const REGIONS_AT_ONCE: usize = 40;
/// Most regions of one request: AWS has some forty.
pub const REGIONS_LIMIT: usize = 100;

/// A profile at work.
#[derive(Clone)]
pub struct Account {
    office: Arc<Office>,
    session: Arc<Session>,
    profiles: Arc<ProfileSet>,
    profile: String,
}

/// A region, and where it is asked.
pub struct Place {
    /// The region.
    pub region: Region,
    endpoint: Endpoint,
}

impl Account {
    /// The session of a profile.
    pub fn new(office: Arc<Office>, session: Arc<Session>, profiles: Arc<ProfileSet>, profile: String) -> Self {
        Self { office, session, profiles, profile }
    }

    /// A region's endpoint, if the rules allow it.
    pub fn place(&self, region: &Region) -> Result<Place, Error> {
        let endpoint = self.office.regional_endpoint(&self.profiles, &self.profile, (Service::Ec2, region))?;
        Ok(Place { region: region.clone(), endpoint })
    }

    /// Every region that the account has enabled, asked in this one.
    pub async fn regions(&self, from: &Region) -> Result<Vec<Region>, Error> {
        let place = self.place(from)?;
        Ok(self.aws().describe_regions(self.access(&place)).await?)
    }

    pub(super) fn aws(&self) -> &AwsEdge {
        self.office.aws()
    }

    pub(super) fn access<'a>(&'a self, place: &'a Place) -> Ec2Access<'a> {
        Ec2Access { by: self.session.signing(), at: &place.endpoint }
    }

    /// The same in every region, all at once: what each said, in the order of the regions. `done` hears how many have
    /// answered.
    pub(super) async fn each<T, F: Future<Output = Result<T, Error>>>(
        &self,
        regions: &[Region],
        done: &(dyn Fn(usize) + Send + Sync),
        work: impl Fn(Place) -> F,
    ) -> Vec<Regional<T>> {
        let begin = |(number, region): (usize, &Region)| {
            let place = self.place(region);
            let begun = place.map(&work);
            let region = region.clone();
            async move {
                let outcome = match begun {
                    Ok(work) => work.await,
                    Err(error) => Err(error),
                };
                (number, region, outcome)
            }
        };
        let regions: Vec<_> = regions.iter().enumerate().map(begin).collect();
        let mut answers = stream::iter(regions).buffer_unordered(REGIONS_AT_ONCE);
        let mut found = Vec::new();
        while let Some(answer) = answers.next().await {
            found.push(answer);
            done(found.len());
        }
        found.sort_by_key(|(number, ..)| *number);
        found.into_iter().map(|(_, region, outcome)| (region, outcome)).collect()
    }
}
