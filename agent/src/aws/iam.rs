//! The IAM calls that MFA needs (AWS IAM API reference, version 2010-05-08).

use super::Error;
use super::call::{AwsEdge, Call};
use super::endpoint::{Endpoint, Service};
use super::query::Parameters;
use super::sign::SigningCredentials;
use claviger::model::MfaSerial;

const VERSION: &str = "2010-05-08";
/// IAM allows 8 devices a user, so one page is the rule and this many an endless lie.
const PAGE_LIMIT: usize = 10;

impl AwsEdge {
    /// ListMFADevices of the user who signs. More than 10 pages are a bad answer.
    pub async fn list_mfa_devices(&self, by: SigningCredentials<'_>, at: &Endpoint) -> Result<Vec<MfaSerial>, Error> {
        let mut serials = Vec::new();
        let mut marker: Option<String> = None;
        for _ in 0..PAGE_LIMIT {
            let parameters = Parameters::default()
                .with("Action", "ListMFADevices")
                .with("Version", VERSION)
                .with_some("Marker", marker.as_deref());
            let reply = self
                .call(Call {
                    service: Service::Iam,
                    action: "iam:ListMFADevices",
                    endpoint: at,
                    credentials: by,
                    parameters,
                    code: None,
                })
                .await?;
            let result = reply.result()?;
            let devices = result.child("MFADevices").ok_or_else(|| reply.bad("it has no list of devices"))?;
            for member in devices.children().iter().filter(|child| child.name() == "member") {
                serials.push(reply.noun(member, "SerialNumber")?);
            }
            if result.text("IsTruncated") != Some("true") {
                return Ok(serials);
            }
            marker = Some(reply.field(result, "Marker")?.to_owned());
        }
        Err(Error::BadAnswer { action: "iam:ListMFADevices", why: "the list has no end" })
    }
}
