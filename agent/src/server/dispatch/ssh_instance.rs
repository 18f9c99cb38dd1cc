//! `ssh_instance`: the way into an EC2 instance.

use super::Obtained;
use crate::aws::{Ec2Access, Service};
use crate::jobs;
use crate::jobs::instance::{address, choose, find};
use crate::server::Server;
use crate::server::conversation::Conversation;
use crate::server::fault;
use crate::server::instance::Target;
use crate::server::ssh::{parent, process};
use crate::session::Delivery;
use claviger::wire::{Code, Fault, Reply, SshInstance, SshInstanceRow, SshLogin};
use std::sync::Arc;

/// Most bytes of what names an instance: the value of a tag (EC2 User Guide, "Tag restrictions").
const INSTANCE_BYTES: usize = 256;
/// Most characters of a user (EC2 Instance Connect API, SendSSHPublicKey).
const USER_LIMIT: usize = 32;

impl Server {
    /// Finds the instance, and has it take the key before anybody connects: its sshd asks for the key before the agent
    /// hears of the login.
    pub(super) async fn ssh_instance(
        self: &Arc<Self>,
        asked: SshInstance,
        conversation: &mut Conversation,
    ) -> Result<Reply, Fault> {
        check(&asked)?;
        let SshInstance { profile, region, instance: wanted, user, key, private, login, wait } = asked;
        self.open_by_keyring().await;
        self.custody.require_unlocked().map_err(fault::vault)?;
        let told = |error: jobs::Error| fault::job_of(&error, &profile);
        let candidates = self.ssh.candidates(self).await;
        // A key that is no good should not cost a code.
        let named = key.as_deref().map(|key| choose(&candidates, Some(key), None)).transpose().map_err(told)?;
        let obtained = self.session_within(&profile, Delivery::Refreshing, wait, conversation).await?;
        let Obtained { session, region: usual } = obtained;
        let region = region.or(usual);
        let region = region.ok_or_else(|| fault::job(jobs::Error::InstanceRegionUnknown(profile.clone())))?;
        let profiles = self.files.load().map_err(fault::files)?;
        let endpoint = self.office.regional_endpoint(&profiles, &profile, (Service::Ec2, &region));
        let endpoint = endpoint.map_err(|error| fault::job(error.into()))?;
        let access = Ec2Access { by: session.signing(), at: &endpoint };
        let found = find(self.office.aws(), access, &wanted).await.map_err(told)?;
        let address = address(&found, private).map_err(told)?.to_owned();
        let key = match named {
            Some(key) => key,
            None => choose(&candidates, None, found.key_name.as_deref()).map_err(told)?,
        };
        let key = key.clone();
        let row = SshInstanceRow {
            id: found.id.clone(),
            name: found.name,
            region: region.clone(),
            address,
            fingerprint: key.fingerprint(),
            key: key.name.clone(),
        };
        let target = Arc::new(Target { profile, region, instance: found.id, user, key });
        let peer = conversation.peer.with_parents();
        let who = match login {
            SshLogin::Caller => process(&peer),
            SshLogin::Parent => parent(&peer),
        };
        self.push_key(&target, &session, peer).await?;
        if let Some(who) = who {
            self.ssh.pushed(who, target);
        }
        Ok(Reply::SshInstance(row))
    }
}

fn check(asked: &SshInstance) -> Result<(), Fault> {
    let users = |c: char| c.is_ascii_alphanumeric() || "@._-$".contains(c);
    let user = &asked.user;
    if user.is_empty() || user.len() > USER_LIMIT || user.starts_with('-') || !user.chars().all(users) {
        return Err(Fault::new(Code::Usage, "a user is 1 to 32 letters, digits and @._-, and does not begin with -"));
    }
    if asked.instance.is_empty() || asked.instance.len() > INSTANCE_BYTES {
        return Err(Fault::new(Code::Usage, "an instance has an id, an address or a name of 1 to 256 bytes"));
    }
    Ok(())
}
