//! Who asks EC2: the session of a profile, in regions of its partition.

use super::Regional;
use crate::aws::profile::ProfileSet;
use crate::aws::{self, AwsEdge, Ec2Access, Endpoint, Service};
use crate::jobs::Error;
use crate::session::{Office, Session};
use claviger::model::{Partition, Region};
use futures_util::StreamExt;
use futures_util::stream;
use std::future::Future;
use std::sync::Arc;

/// Regions that are asked at once: all that there are, and no more connections than a small machine bears.
const REGIONS_AT_ONCE: usize = 40;
/// Most regions of one request: AWS has some forty.
pub const REGIONS_LIMIT: usize = 100;

/// A region, and the regions that it says are enabled.
type Enabled = (Region, Result<Vec<Region>, Error>);

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
        let (mut told, mut answered) = (Vec::new(), None);
        for (_, region, outcome) in found {
            let outcome = match outcome {
                Err(error) => Err(self.explain_by(&region, error, &mut answered).await),
                outcome => outcome,
            };
            told.push((region, outcome));
        }
        told
    }

    /// What an error of a region means: EC2 answers AuthFailure where the account has not enabled the region, as it answers
    /// credentials that are not valid (EC2 API reference, client error codes), and a region that does not exist has no
    /// endpoint. The partition's own region knows which it is.
    pub async fn explain(&self, region: &Region, error: Error) -> Error {
        self.explain_by(region, error, &mut None).await
    }

    /// The same, asking the partition's own region once for many.
    async fn explain_by(&self, region: &Region, error: Error, answered: &mut Option<Enabled>) -> Error {
        let refused = match &error {
            Error::Aws(aws::Error::InvalidCredentials { error_code, .. }) => error_code == "AuthFailure",
            Error::Aws(aws::Error::Unreachable { .. }) => false,
            _ => return error,
        };
        let home = Partition::of_region(region).region();
        if home == *region {
            return error;
        }
        let enabled = match answered.take() {
            Some((of, enabled)) if of == home => enabled,
            _ => self.regions(&home).await,
        };
        let is_unknown = match &enabled {
            Ok(enabled) => !enabled.contains(region),
            // The credentials are good, and may not ask that.
            Err(Error::Aws(aws::Error::AccessDenied { .. })) => refused,
            Err(_) => false,
        };
        *answered = Some((home, enabled));
        if is_unknown { Error::KeypairRegionUnknown(region.clone()) } else { error }
    }
}
