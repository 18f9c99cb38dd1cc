//! Pushing keys to EC2 instances, on the record.

use super::{Server, fault};
use crate::ask::Listener;
use crate::audit::{Entry, Event};
use crate::aws::{self, PushedKey, Service};
use crate::jobs;
use crate::jobs::instance::Candidate;
use crate::session::{Delivery, Session};
use claviger::model::{AuditAws, AuditPeer, AuditSsh, AuditSubject, InstanceId, Region};
use claviger::wire::Fault;
use std::sync::Arc;

/// A key, and where it lets whom in.
pub(super) struct Target {
    /// The profile whose credentials push it.
    pub(super) profile: String,
    /// The region of the instance.
    pub(super) region: Region,
    /// The instance.
    pub(super) instance: InstanceId,
    /// The user on it.
    pub(super) user: String,
    /// The key.
    pub(super) key: Candidate,
}

impl Server {
    /// Has the instance take the key for a minute. What cannot be recorded is not done.
    pub(super) async fn push_key(&self, target: &Target, session: &Session, peer: AuditPeer) -> Result<(), Fault> {
        let profiles = self.files.load().map_err(fault::files)?;
        let place = (Service::Ec2InstanceConnect, &target.region);
        let endpoint = self.office.regional_endpoint(&profiles, &target.profile, place);
        let endpoint = endpoint.map_err(|error| fault::job(error.into()))?;
        let aws = AuditAws {
            access_key_id: Some(session.access_key_id.to_string()),
            endpoint: Some(endpoint.to_string()),
            operation: Some("ec2-instance-connect:SendSSHPublicKey".to_owned()),
            ..AuditAws::default()
        };
        let subject = AuditSubject {
            profile: Some(target.profile.clone()),
            principal: Some(session.principal.clone()),
            ..AuditSubject::default()
        };
        let entry = Entry::new(Event::SshPush).subject(subject).ssh(told(target)).aws(aws.clone()).peer(peer);
        let act = self.journal.begin(entry).await.map_err(|error| fault::audit::audit(&error))?;
        let key = PushedKey { instance: target.instance.as_str(), user: &target.user, line: &target.key.line() };
        match self.office.aws().send_ssh_public_key(session.signing(), &endpoint, key).await {
            Ok(request_id) => {
                act.done(Some(AuditAws { request_id, ..aws }), None).await;
                Ok(())
            }
            Err(error) => {
                let fault = fault::job_of(&refused(error, target), &target.profile);
                act.failed(fault.code.to_string()).await;
                Err(fault)
            }
        }
    }

    /// The same for a login that is under way: by credentials that need nobody.
    pub(super) async fn push_again(self: &Arc<Self>, target: &Target, peer: AuditPeer) -> Result<(), Fault> {
        let profiles = self.files.load().map_err(fault::files)?;
        let job = |error: crate::session::Error| fault::job(error.into());
        let planned = self.office.planned(&profiles, &target.profile, Delivery::Refreshing).map_err(job)?;
        let asker = peer.clone();
        let listener = Listener::nobody().known(Arc::new(move || asker.clone()));
        let session = self.office.credentials(planned.plan.clone(), listener).await;
        let session = session.map_err(|error| fault::session_of(&error, &fault::about(&target.profile), &profiles))?;
        self.push_key(target, &session, peer).await
    }
}

/// What AWS says of the instance, in the words that its own lookup has.
fn refused(error: aws::Error, target: &Target) -> jobs::Error {
    if error.is_refusal("EC2InstanceNotFound") {
        return jobs::Error::InstanceNotFound(target.instance.to_string(), target.region.clone());
    }
    jobs::Error::Aws(error)
}

fn told(target: &Target) -> AuditSsh {
    AuditSsh {
        binding: "unbound".to_owned(),
        host: Some(target.instance.to_string()),
        key: target.key.fingerprint(),
        name: Some(target.key.name.clone()),
        payload: "push".to_owned(),
        user: Some(target.user.clone()),
        ..AuditSsh::default()
    }
}
