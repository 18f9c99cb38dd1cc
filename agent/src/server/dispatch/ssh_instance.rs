//! `ssh_instance`: the way into an EC2 instance.

use super::Obtained;
use super::piv::refusal;
use crate::ask::{Audience, Listener};
use crate::aws::{Ec2Access, Service};
use crate::device::piv;
use crate::jobs;
use crate::jobs::instance::{Candidate, address, choose, find};
use crate::server::Server;
use crate::server::card::Errand;
use crate::server::conversation::Conversation;
use crate::server::fault;
use crate::server::instance::Target;
use crate::server::ssh::{parent, process};
use crate::session::Delivery;
use crate::ssh::key::CardKey;
use claviger::model::{InstanceId, PinPolicy};
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
        let wants = self.ready(&key, &found.id, conversation).await?;
        let row = SshInstanceRow {
            id: found.id.clone(),
            name: found.name,
            region: region.clone(),
            address,
            fingerprint: key.fingerprint(),
            key: key.name.clone(),
            wants_pin: wants.pin,
            wants_touch: wants.touch,
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

/// What a key wants at the login itself.
#[derive(Default)]
struct Wants {
    pin: bool,
    touch: bool,
}

impl Server {
    /// Asks for the PIN of a card's key that wants it once. Whoever has asked becomes ssh, which has no word of what it wants.
    async fn ready(
        self: &Arc<Self>,
        key: &Candidate,
        instance: &InstanceId,
        conversation: &mut Conversation,
    ) -> Result<Wants, Fault> {
        let is_it = |on_card: &piv::Key| {
            CardKey::new(on_card.algorithm, &on_card.public).is_ok_and(|public| public.blob() == key.blob)
        };
        let cards = self.card_keys().await;
        let found = cards.iter().find_map(|card| Some((card, card.keys.iter().find(|key| is_it(key))?)));
        let Some((card, on_card)) = found else { return Ok(Wants::default()) };
        let touch = on_card.touch_policy.is_some_and(|policy| policy.wants_touch());
        // A card that does not tell its policies has those of its applet: once.
        let once = on_card.pin_policy.is_none_or(|policy| policy == PinPolicy::Once);
        if once {
            let purpose = format!("To log in to {instance}.");
            let peer = conversation.peer.with_parents();
            let work = |listener: Listener| async move {
                let errand = Errand::new(purpose, &peer, Audience::of(listener));
                self.card_pin(card, &errand).await.map_err(|error| refusal(error, &card.card))
            };
            conversation.attend(self, work).await?;
        }
        Ok(Wants { pin: on_card.pin_policy == Some(PinPolicy::Always), touch })
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
