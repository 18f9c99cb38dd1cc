//! IAM: a user's MFA devices, access keys and password (AWS IAM API reference, version 2010-05-08).

mod access_key;
mod mfa_device;
mod password;

pub use access_key::{KeyAtAws, KeyStatus, LastUse, NewAccessKey};
pub use mfa_device::{NewDevice, VirtualDevice};
pub use password::PasswordPolicy;

use super::Error;
use super::call::{Again, AwsEdge, Call};
use super::endpoint::{Endpoint, Service};
use super::query::{Parameters, Reply};
use super::sign::SigningCredentials;
use super::xml::Element;
use crate::world::WallTime;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

const VERSION: &str = "2010-05-08";
/// IAM gives 100 of a kind a page, and a user has 8 devices and 2 keys: more pages than this are an endless lie.
const PAGE_LIMIT: usize = 100;

/// Who asks IAM, and where.
#[derive(Clone, Copy)]
pub struct IamAccess<'a> {
    /// What signs.
    pub by: SigningCredentials<'a>,
    /// IAM's endpoint.
    pub at: &'a Endpoint,
}

/// What a call of IAM is.
struct Act<'a> {
    /// Such as `iam:ListMFADevices`.
    action: &'static str,
    parameters: Parameters<'a>,
    again: Again,
    secrets: &'a [&'a str],
}

impl<'a> Act<'a> {
    /// One that may be made again.
    fn of(action: &'static str) -> Self {
        let name = action.rsplit(':').next().unwrap_or_default();
        let parameters = Parameters::default().with("Action", name).with("Version", VERSION);
        Self { action, parameters, again: Again::Always, secrets: &[] }
    }

    fn with(mut self, name: &'static str, value: impl Into<std::borrow::Cow<'a, str>>) -> Self {
        self.parameters = self.parameters.with(name, value);
        self
    }

    fn again(self, again: Again) -> Self {
        Self { again, ..self }
    }
}

impl AwsEdge {
    async fn iam(&self, access: IamAccess<'_>, act: Act<'_>) -> Result<Reply, Error> {
        let Act { action, parameters, again, secrets } = act;
        let IamAccess { by: credentials, at: endpoint } = access;
        self.call(Call { service: Service::Iam, action, endpoint, credentials, parameters, again, secrets }).await
    }

    /// All pages of a list: each member of `list`, read.
    async fn iam_list<T>(
        &self,
        access: IamAccess<'_>,
        list: &'static str,
        act: impl Fn() -> Act<'static>,
        read: impl Fn(&Reply, &Element) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut found = Vec::new();
        let mut marker: Option<String> = None;
        for _ in 0..PAGE_LIMIT {
            let mut page = act();
            if let Some(marker) = marker {
                page = page.with("Marker", marker);
            }
            let reply = self.iam(access, page).await?;
            let result = reply.result()?;
            let members = result.child(list).ok_or_else(|| reply.bad("it has no list"))?.children();
            for member in members.iter().filter(|child| child.name() == "member") {
                found.push(read(&reply, member)?);
            }
            if result.text("IsTruncated") != Some("true") {
                return Ok(found);
            }
            marker = Some(reply.field(result, "Marker")?.to_owned());
        }
        Err(Error::BadAnswer { action: act().action, why: "the list has no end" })
    }
}

/// A time of an answer.
fn time(reply: &Reply, parent: &Element, name: &str) -> Result<WallTime, Error> {
    let text = reply.field(parent, name)?;
    let time = DateTime::from_str(text, Format::DateTimeWithOffset).ok().and_then(|time| time.to_millis().ok());
    time.map(WallTime).ok_or_else(|| reply.bad("a time is none"))
}
