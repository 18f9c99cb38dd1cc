//! The network: signed calls to AWS over one HTTP joint, and the AWS files.
//!
//! A call goes `sts`, `iam`, `ec2` → `call` (retries, clock) → `sign`, `query`, `xml` (pure) → [`Http`] → `hyper_http`.
//! An [`Endpoint`] exists only if [`EndpointRules`] allow it, so no call can leave for any other host.

mod call;
mod ec2;
mod endpoint;
mod error;
#[cfg(any(test, feature = "test-seams"))]
pub mod fake;
mod files;
mod http;
mod hyper_http;
mod iam;
mod instance_connect;
mod json;
pub mod profile;
mod query;
mod sign;
mod skew;
mod sts;
#[cfg(test)]
mod tests;
mod xml;

pub use call::AwsEdge;
pub use ec2::{CreatedKeyPair, Ec2Access, Instance, InstanceState, InstanceWanted, KeyPair, KeyPairType, Tags};
pub use endpoint::{Endpoint, EndpointRules, Replacements, Service};
pub use error::Error;
pub use files::{AwsFiles, FilesError};
pub use http::{ANSWER_LIMIT, Http, HttpError, HttpRequest, HttpResponse, NetworkFault, Unplugged};
pub use hyper_http::{HyperHttp, LazyHttp, NetworkSettingsError};
pub use iam::{IamAccess, KeyAtAws, KeyStatus, LastUse, NewAccessKey, NewDevice, PasswordPolicy, VirtualDevice};
pub use instance_connect::{PUSHED_KEY_MILLIS, PushedKey};
pub use sign::SigningCredentials;
pub use sts::{AssumeRole, AssumedRole, Caller, MfaProof, SessionCredentials};
