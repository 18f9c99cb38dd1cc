//! From a request to its answer. The only place that knows every office and job.

use super::conversation::Conversation;
use super::fault::{self, Subject};
use super::peer::Peer;
use super::{PROFILES_PAGE, Phase, Server, WAIT_LIMIT_SECONDS, explain, record};
use crate::ask::Listener;
use crate::aws::profile::ProfileSet;
use crate::session::{Delivery, Session};
use crate::vault::LockedBy;
use crate::world::rfc3339;
use claviger::model::Region;
use claviger::secret::SecretText;
use claviger::wire::{Code, Credentials, Fault, Reply, Request, SessionRow, Setting, Whoami};
use std::sync::Arc;

mod adoption;
mod audit;
mod config;
mod device;
mod doctor;
mod doctor_devices;
mod endpoint;
mod fido;
mod iam;
mod items;
mod keeping;
mod keypair;
mod mfa_card;
mod oath;
mod piv;
mod prompts;
mod ssh_instance;
mod ssh_key;
mod vault;

pub(super) use adoption::Edits;

fn delivery(frozen: bool) -> Delivery {
    if frozen { Delivery::Frozen } else { Delivery::Refreshing }
}

/// What a profile's user needs.
struct Obtained {
    session: Arc<Session>,
    /// The region that tools use with it.
    region: Option<Region>,
}

impl Server {
    pub(super) async fn dispatch(
        self: &Arc<Self>,
        request: Request,
        conversation: &mut Conversation,
    ) -> Result<Reply, Fault> {
        if *self.phase.borrow() != Phase::Serving {
            return Err(Fault::new(Code::AgentStopping, "the agent is stopping"));
        }
        self.refresh_settings();
        // Looking is not using: a status bar that polls would keep the vault open for ever.
        if !matches!(request, Request::Status {}) {
            self.touch();
        }
        let request = self.with_card(request).await;
        let profile = record::profile_of(&request);
        let act = self.begin_act(&request, conversation).await?;
        let outcome = self.answer(request, conversation).await.map_err(|fault| match fault.code {
            // What there is not cannot be opened.
            Code::VaultLocked => fault::closed(&self.custody),
            _ => fault,
        });
        if let (Some(profile), Err(fault)) = (profile, &outcome) {
            self.record_refused(&profile, fault, conversation.peer.seen());
        }
        self.end_act(act, &outcome, conversation).await;
        outcome
    }

    async fn answer(self: &Arc<Self>, mut request: Request, conversation: &mut Conversation) -> Result<Reply, Fault> {
        if let Err(fault) = self.prove_by_device(&mut request, conversation).await {
            if let Request::Unlock { proof } = &request {
                let kind = record::proof_kind(proof);
                self.record_unlock(kind, Some(&fault), conversation.peer.seen()).await;
            }
            return Err(fault);
        }
        match request {
            Request::AuditLog { .. } | Request::AuditVerify {} | Request::AuditWhy { .. } => {
                self.audit_request(request).await
            }
            Request::ConfigAccept { proof, scope, digest } => {
                self.config_accept(proof, (scope, digest), conversation).await
            }
            Request::ConfigShow { scope } => self.config_show(scope).await,
            Request::Credentials { profile, wait, frozen } => {
                self.credentials(&profile, delivery(frozen), wait, conversation).await
            }
            Request::DeviceList {} => self.device_list().await,
            Request::FidoList { .. } | Request::FidoNew { .. } | Request::FidoPin(_) => {
                self.fido_request(request, conversation).await
            }
            Request::Doctor { profile, variables, live } => self.doctor(profile, variables, live, conversation).await,
            Request::EndpointOpen { profile, kind, linger, wait } => {
                self.endpoint_open((profile, kind), linger, wait, conversation).await
            }
            Request::KeypairCreate(_)
            | Request::KeypairDelete(_)
            | Request::KeypairImport(_)
            | Request::KeypairList(_)
            | Request::KeypairPassword(_)
            | Request::KeypairRotate(_) => self.keypair_request(request, conversation).await,
            Request::Lock {} => {
                self.lock(LockedBy::Command).await;
                Ok(Reply::Done {})
            }
            Request::Login { profile } => self.login(&profile, conversation).await,
            Request::Logout { profile } => self.logout(profile.as_deref(), conversation).await,
            Request::OathCode(_) | Request::OathDelete(_) | Request::OathList { .. } | Request::OathRename(_) => {
                self.oath_request(request, conversation).await
            }
            Request::PivCertificate(_)
            | Request::PivChange(_)
            | Request::PivList { .. }
            | Request::PivManagementKey(_)
            | Request::PivNew(_) => self.piv_request(request, conversation).await,
            Request::ProfileExplain { profile } => self.explain(&profile, conversation),
            Request::ProfileList { skip } => self.profile_list(skip),
            Request::ProfileShow { profile } => self.profile_show(&profile, conversation),
            Request::Prompts {} => self.attend_prompts(conversation).await,
            Request::Restart {} => Ok(Reply::Restarted(self.restart().await?)),
            Request::Status {} => Ok(Reply::Status(self.status(conversation.aws_config_file.as_deref()))),
            Request::Stop {} => {
                self.stop();
                Ok(Reply::Done {})
            }
            Request::Whoami { profile, region } => self.whoami(&profile, region, conversation).await,
            Request::Unlock { proof } => {
                let kind = record::proof_kind(&proof);
                let opened = self.unlock(proof, conversation.leave.clone()).await.map_err(fault::vault);
                self.record_unlock(kind, opened.as_ref().err(), conversation.peer.seen()).await;
                if opened.is_ok() {
                    self.prompts.forgive();
                }
                opened.map(|()| Reply::Done {})
            }
            Request::Init { .. } | Request::SlotAdd { .. } | Request::SlotList {} | Request::SlotRemove { .. } => {
                self.vault_request(request, conversation).await
            }
            Request::Backup { .. }
            | Request::Restore { .. }
            | Request::TrashEmpty { .. }
            | Request::TrashList {}
            | Request::TrashRestore { .. }
            | Request::VaultAccept { .. } => self.keeping_request(request, conversation).await,
            Request::AccessKeyImport { .. } | Request::ProfileAdopt { .. } | Request::ProfileRelease { .. } => {
                self.adoption_request(request).await
            }
            Request::SshInstance(asked) => self.ssh_instance(asked, conversation).await,
            Request::SshKeyAdd { .. }
            | Request::SshKeyExport { .. }
            | Request::SshKeyList { .. }
            | Request::SshKeyNew { .. }
            | Request::SshKeyPublic { .. }
            | Request::SshKeyRemove { .. } => self.ssh_key_request(request, conversation).await,
            Request::AccessKeyRotate(_)
            | Request::MfaDeactivate { .. }
            | Request::MfaEnroll(_)
            | Request::MfaResync { .. }
            | Request::PasswordChange(_)
            | Request::PasswordSuggest { .. } => {
                self.open_by_keyring().await;
                self.custody.require_unlocked().map_err(fault::vault)?;
                self.iam_request(request, conversation).await
            }
            Request::UnlockByKeyring {} => match self.open_by_keyring().await {
                true => Ok(Reply::Done {}),
                false => Err(fault::closed(&self.custody)),
            },
            other => self.item_request(other, conversation).await,
        }
    }

    async fn credentials(
        self: &Arc<Self>,
        profile: &str,
        delivery: Delivery,
        wait: u64,
        conversation: &mut Conversation,
    ) -> Result<Reply, Fault> {
        let obtained = self.session_within(profile, delivery, wait, conversation).await?;
        Ok(self.served(profile, obtained, &conversation.peer))
    }

    /// The answer of a request whose credentials are in memory, with nobody to ask and nothing to wait for. None where
    /// there is more to do than to hand them out.
    pub(super) fn at_hand(&self, request: &Request, peer: &Peer) -> Option<Reply> {
        let Request::Credentials { profile, frozen, .. } = request else { return None };
        if *self.phase.borrow() != Phase::Serving || self.custody.never_opened() {
            return None;
        }
        self.refresh_settings();
        let profiles = self.files.load().ok()?;
        let planned = self.office.planned(&profiles, profile, delivery(*frozen)).ok()?;
        let session = self.office.at_hand(&planned)?;
        self.touch();
        let region = self.region_of(&profiles, profile);
        Some(self.served(profile, Obtained { session, region }, peer))
    }

    /// Hands credentials out, on the record.
    fn served(&self, profile: &str, Obtained { session, region }: Obtained, peer: &Peer) -> Reply {
        self.record_served(profile, &session, peer.seen());
        // Copies of an STS session for the child that asked; long-lived secrets never come this way.
        Reply::Credentials(Credentials {
            access_key_id: session.access_key_id.clone(),
            secret_access_key: SecretText::from_text(session.secret.expose().to_owned()),
            session_token: SecretText::from_text(session.token.expose().to_owned()),
            expiration: rfc3339(session.expiration),
            account_id: session.account.clone(),
            region,
        })
    }

    /// The session of a profile, within so many seconds. The wait is the caller's; the fetch goes on without it, so
    /// that the next call finds the session.
    async fn session_within(
        self: &Arc<Self>,
        profile: &str,
        delivery: Delivery,
        wait: u64,
        conversation: &mut Conversation,
    ) -> Result<Obtained, Fault> {
        let wait = wait.min(WAIT_LIMIT_SECONDS);
        let deadline = self.world.clock.boot().plus_millis(wait.saturating_mul(1000));
        tokio::select! {
            biased;
            session = self.session(profile, delivery, conversation) => session,
            // A renewal that takes too long takes nothing away.
            () = self.world.clock.sleep_until(deadline) => {
                self.remembered(profile, delivery).ok_or_else(|| fault::timed_out(profile, wait))
            }
        }
    }

    async fn login(self: &Arc<Self>, profile: &str, conversation: &mut Conversation) -> Result<Reply, Fault> {
        if self.open_by_keyring().await {
            self.office.mark_presence();
        }
        let Obtained { session, .. } = self.session(profile, Delivery::Refreshing, conversation).await?;
        Ok(Reply::Session(self.row(&session)))
    }

    /// Only while the vault is open: sealed copies that cannot be removed would come back.
    async fn logout(self: &Arc<Self>, profile: Option<&str>, conversation: &Conversation) -> Result<Reply, Fault> {
        self.open_by_keyring().await;
        self.custody.require_unlocked().map_err(fault::vault)?;
        match profile {
            None => drop(self.office.forget_all()),
            Some(profile) => {
                let subject = self.subject(profile, conversation);
                let profiles = self.files.load().map_err(fault::files)?;
                let plan = self
                    .office
                    .plan(&profiles, profile, Delivery::Refreshing)
                    .map_err(|error| fault::session(&error, &subject))?;
                self.office.forget(&plan);
            }
        }
        Ok(Reply::Done {})
    }

    async fn whoami(
        self: &Arc<Self>,
        profile: &str,
        region: Option<Region>,
        conversation: &mut Conversation,
    ) -> Result<Reply, Fault> {
        let Obtained { session, .. } = self.session(profile, Delivery::Refreshing, conversation).await?;
        let subject = self.subject(profile, conversation);
        let profiles = self.files.load().map_err(fault::files)?;
        let asked = |error| fault::session(&error, &subject);
        let endpoint = self.office.call_endpoint(&profiles, profile, region).map_err(asked)?;
        let caller = self.office.caller(&session, &endpoint).await.map_err(asked)?;
        Ok(Reply::Whoami(Whoami { account: caller.account, arn: caller.arn, user_id: caller.user_id }))
    }

    fn explain(&self, profile: &str, conversation: &Conversation) -> Result<Reply, Fault> {
        let profiles = self.files.load().map_err(fault::files)?;
        let subject = self.subject(profile, conversation);
        let plan =
            |delivery| self.office.plan(&profiles, profile, delivery).map_err(|error| fault::session(&error, &subject));
        let frozen = plan(Delivery::Frozen).map_err(|fault| fault.message);
        Ok(Reply::Explanation(explain::explain(plan(Delivery::Refreshing)?, frozen)))
    }

    fn profile_list(&self, skip: usize) -> Result<Reply, Fault> {
        let profiles = self.files.load().map_err(fault::files)?;
        Ok(Reply::Profiles(
            self.office.profile_rows(&profiles, skip, PROFILES_PAGE).into_iter().map(fault::profile_row).collect(),
        ))
    }

    fn profile_show(&self, profile: &str, conversation: &Conversation) -> Result<Reply, Fault> {
        let profiles = self.files.load().map_err(fault::files)?;
        let Some(found) = profiles.profile(profile) else {
            let nearest = profiles.nearest(profile, 3).into_iter().map(str::to_owned).collect();
            return Err(fault::profile_not_found(&self.subject(profile, conversation), nearest));
        };
        let secret = |key: &str| matches!(key, "aws_secret_access_key" | "aws_session_token" | "aws_security_token");
        let setting = |(key, value): (&str, &crate::aws::profile::Value)| Setting {
            key: key.to_owned(),
            value: if secret(key) { "(secret)".to_owned() } else { value.text().to_owned() },
            origin: value.origin.to_string(),
        };
        Ok(Reply::Settings(found.keys().map(setting).collect()))
    }

    /// The session of a profile. Where it needs the vault, and that is locked, the keyring may open it.
    async fn session(
        self: &Arc<Self>,
        profile: &str,
        delivery: Delivery,
        conversation: &mut Conversation,
    ) -> Result<Obtained, Fault> {
        match self.session_as_it_stands(profile, delivery, conversation).await {
            Err(fault) if fault.code == Code::VaultLocked && self.open_by_keyring().await => {
                self.session_as_it_stands(profile, delivery, conversation).await
            }
            outcome => outcome,
        }
    }

    /// The session of a profile; what happens on the way is told to this client.
    async fn session_as_it_stands(
        self: &Arc<Self>,
        profile: &str,
        delivery: Delivery,
        conversation: &mut Conversation,
    ) -> Result<Obtained, Fault> {
        let subject = self.subject(profile, conversation);
        if self.custody.never_opened() {
            return Err(fault::closed(&self.custody));
        }
        let profiles = self.files.load().map_err(fault::files)?;
        let planned =
            self.office.planned(&profiles, profile, delivery).map_err(|error| fault::session(&error, &subject))?;
        let plan = planned.plan.clone();
        let office = self.office.clone();
        let work = |listener: Listener| async move { office.credentials(plan, listener).await };
        let session = conversation.attend(self, work).await;
        let session = session.map_err(|error| fault::session_of(&error, &subject, &profiles))?;
        Ok(Obtained { session, region: self.region_of(&profiles, profile) })
    }

    fn remembered(&self, profile: &str, delivery: Delivery) -> Option<Obtained> {
        let profiles = self.files.load().ok()?;
        let planned = self.office.planned(&profiles, profile, delivery).ok()?;
        let session = self.office.remembered(&planned.plan)?;
        Some(Obtained { session, region: self.region_of(&profiles, profile) })
    }

    /// The region that tools use with a profile's credentials: its own, else `[aws] region`.
    fn region_of(&self, profiles: &ProfileSet, profile: &str) -> Option<Region> {
        let own = profiles.profile(profile).and_then(|profile| profile.value("region")?.text().parse().ok());
        own.or_else(|| self.config().region.clone())
    }

    fn subject(&self, profile: &str, conversation: &Conversation) -> Subject {
        let ours = self.config().aws_config_file.clone();
        let theirs = conversation.aws_config_file.as_deref().filter(|theirs| std::path::Path::new(theirs) != ours);
        Subject { profile: profile.to_owned(), reads: ours, client_reads: theirs.map(str::to_owned) }
    }

    fn row(&self, session: &Session) -> SessionRow {
        SessionRow {
            principal: session.principal.clone(),
            access_key_id: session.access_key_id.clone(),
            expiration: rfc3339(session.expiration),
            seconds_left: session.left(self.world.clock.boot()) / 1000,
        }
    }
}
