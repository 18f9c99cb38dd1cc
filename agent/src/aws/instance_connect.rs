//! EC2 Instance Connect: a public key that an instance takes for a minute (EC2 Instance Connect API reference, version
//! 2018-04-02).

use super::Error;
use super::call::{Again, AwsEdge, Call};
use super::endpoint::{Endpoint, Service};
use super::query::Parameters;
use super::sign::SigningCredentials;

/// How long a key that was pushed lets in, in milliseconds (EC2 User Guide, "Connect using EC2 Instance Connect").
pub const PUSHED_KEY_MILLIS: u64 = 60_000;

/// What SendSSHPublicKey is asked.
#[derive(Clone, Copy)]
pub struct PushedKey<'a> {
    /// The instance's id.
    pub instance: &'a str,
    /// The user that the key is for, at most 32 characters.
    pub user: &'a str,
    /// The public key's line: RSA or Ed25519.
    pub line: &'a str,
}

impl AwsEdge {
    /// SendSSHPublicKey: the instance takes the key for 60 s. Says AWS's id of the request.
    pub async fn send_ssh_public_key(
        &self,
        by: SigningCredentials<'_>,
        at: &Endpoint,
        key: PushedKey<'_>,
    ) -> Result<Option<String>, Error> {
        let parameters = Parameters::default()
            .with("InstanceId", key.instance)
            .with("InstanceOSUser", key.user)
            .with("SSHPublicKey", key.line);
        let call = Call {
            service: Service::Ec2InstanceConnect,
            action: "ec2-instance-connect:SendSSHPublicKey",
            endpoint: at,
            credentials: by,
            parameters,
            again: Again::Always,
            secrets: &[],
        };
        let reply = self.call(call).await?;
        match reply.root().text("Success") {
            Some("true") => Ok(reply.request_id),
            _ => Err(reply.bad("it does not say that it was done")),
        }
    }
}
