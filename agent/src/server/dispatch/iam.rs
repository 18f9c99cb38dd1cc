//! Requests about what an IAM user has at AWS: devices made and taken away, keys replaced, the password.

use super::items::Proved;
use crate::ask::{Audience, Listener};
use crate::aws::profile::ProfileSet;
use crate::aws::{KeyStatus, LastUse};
use crate::jobs::enrolment::{self, Begun, Cards, Failed};
use crate::jobs::iam_user::IamUser;
use crate::jobs::mfa_device::{self, Maker};
use crate::jobs::{self, password, rotation};
use crate::mfa;
use crate::server::conversation::Conversation;
use crate::server::fault::Subject;
use crate::server::{Server, fault};
use crate::session::{Delivery, named};
use crate::vault::OathAccount;
use crate::world::{WallTime, on_wiped_stack, rfc3339};
use claviger::model::{MfaSerial, Name};
use claviger::secret::{DeviceSecret, TotpSeed, TotpSeedText};
use claviger::wire::{
    AccessKeyAtAws, AccessKeyRotated, AccessKeyRow, AccessKeyUse, Fault, MfaEnroll, MfaEnrolled, Reply, Request,
};
use std::sync::Arc;

/// Milliseconds that `access-key list` waits for what AWS says of the keys: a list is for looking.
const LIST_MILLIS: u64 = 5_000;

impl Server {
    pub(super) async fn iam_request(
        self: &Arc<Self>,
        request: Request,
        conversation: &mut Conversation,
    ) -> Result<Reply, Fault> {
        match request {
            Request::AccessKeyRotate(asked) => {
                let wanted = rotation::Wanted { keep_old: asked.keep_old, delete_other: asked.delete_other };
                let server = self.clone();
                let name = asked.name;
                let work = |listener| async move {
                    let user = server.user_of(&name, listener).await?;
                    let rotated = rotation::rotate(&server.office, &server.world, user, wanted).await;
                    let rotation::Rotated { new, old, last_use, deleted } = rotated.map_err(fault::job)?;
                    let old_last_used = last_use.as_ref().map(shown);
                    Ok(Reply::AccessKeyRotated(AccessKeyRotated {
                        name,
                        access_key_id: new,
                        old,
                        old_last_used,
                        deleted,
                    }))
                };
                conversation.attend(self, work).await
            }
            Request::MfaDeactivate { name, last } => self.mfa_deactivate(name, last, conversation).await,
            Request::MfaEnroll(asked) => self.mfa_enroll(asked, conversation).await,
            Request::MfaResync { name } => self.mfa_resync(name, conversation).await,
            Request::PasswordChange(asked) => {
                let (server, subject) = (self.clone(), self.subject(&asked.profile, conversation));
                let work = |listener| async move {
                    let profiles = server.files.load().map_err(fault::files)?;
                    let user = server.user_of_profile(&profiles, &subject, listener).await?;
                    password::change(&server.office, &user, &asked.old, &asked.new).await.map_err(fault::job)
                };
                conversation.attend(self, work).await.map(|()| Reply::Done {})
            }
            Request::PasswordSuggest { profile } => {
                let (server, subject) = (self.clone(), self.subject(&profile, conversation));
                let work = |listener| async move {
                    let profiles = server.files.load().map_err(fault::files)?;
                    let user = server.user_of_profile(&profiles, &subject, listener).await?;
                    let policy = password::policy(&server.office, &user).await.map_err(fault::job)?;
                    password::suggest(&policy, &*server.world.entropy).ok_or_else(fault::internal)
                };
                conversation.attend(self, work).await.map(|password| Reply::Password { password })
            }
            _ => Err(fault::internal()),
        }
    }

    async fn user_of(&self, access_key: &Name, listener: Listener) -> Result<IamUser, Fault> {
        if !self.custody.knowledge().access_keys.contains_key(access_key) {
            return Err(fault::job(jobs::Error::AccessKeyNotFound(access_key.clone())));
        }
        let profiles = self.files.load().map_err(fault::files)?;
        IamUser::of(&self.office, &profiles, access_key, listener).await.map_err(fault::job)
    }

    /// The user that a profile's credentials begin with.
    async fn user_of_profile(
        &self,
        profiles: &ProfileSet,
        subject: &Subject,
        listener: Listener,
    ) -> Result<IamUser, Fault> {
        let plan = self.office.plan(profiles, &subject.profile, Delivery::Refreshing);
        let plan = plan.map_err(|error| fault::session_of(&error, subject, profiles))?;
        let key = plan.base.access_key();
        let key = key.ok_or_else(|| fault::job(jobs::Error::NoAccessKey(subject.profile.clone())))?;
        IamUser::of(&self.office, profiles, key, listener).await.map_err(fault::job)
    }

    async fn mfa_enroll(self: &Arc<Self>, asked: MfaEnroll, conversation: &mut Conversation) -> Result<Reply, Fault> {
        let (server, subject) = (self.clone(), self.subject(&asked.profile, conversation));
        let (show, undo) = (asked.show, asked.undo);
        let work = |listener: Listener| async move {
            let audience = Arc::new(Audience::of(listener.clone()));
            let profiles = server.files.load().map_err(fault::files)?;
            let user = server.user_of_profile(&profiles, &subject, listener).await?;
            if undo {
                return server.enrolment_undone(&user, asked, &audience).await.map(|()| None);
            }
            let begun = server.enrolled(&user, &asked, &audience).await?;
            let made = (asked.profile.as_str(), &begun);
            let session = enrolment::first_session(&server.office, &user, made, &audience).await;
            Ok(Some((user.access_key, begun, session)))
        };
        let Some((access_key, begun, session)) = conversation.attend(self, work).await? else {
            return Ok(Reply::Done {});
        };
        let (mut session_expires, mut session_fault) = (None, None);
        match session {
            Ok(session) => {
                session_expires = Some(rfc3339(session.expiration));
                let proved: Option<Proved> = Some(session);
                self.adopt_proof(&access_key, begun.enrolment.serial.to_string(), proved, conversation)?;
            }
            Err(error) => session_fault = Some(fault::job(error)),
        }
        let Reply::Mfa(device) = self.mfa_row(&begun.name)? else { return Err(fault::internal()) };
        let uri: Option<TotpSeedText> =
            show.then(|| on_wiped_stack(|| mfa::export_uri(&begun.seed, &begun.enrolment.serial)));
        Ok(Reply::MfaEnrolled(MfaEnrolled { device, session_expires, session_fault, uri }))
    }

    /// Makes the device, or goes on from where an earlier run was cut off.
    async fn enrolled(&self, user: &IamUser, asked: &MfaEnroll, audience: &Arc<Audience>) -> Result<Begun, Fault> {
        let (office, world) = (&self.office, &self.world);
        let unfinished = enrolment::unfinished(&self.custody, &user.access_key).map_err(fault::job)?;
        let to_do = match unfinished {
            Some((name, _)) if asked.name.as_ref().is_some_and(|wanted| *wanted != name) => {
                return Err(fault::job(jobs::Error::MfaUnfinished(asked.profile.clone(), name)));
            }
            Some(unfinished) => unfinished,
            None => {
                let (name, serial) = enrolment::choose(office, user, asked.name.clone()).await.map_err(fault::job)?;
                let card = match &asked.device {
                    Some(wanted) => Some(self.account_to_be(wanted, &serial, audience).await?),
                    None => None,
                };
                let keep = asked.device.as_ref().is_none_or(|wanted| wanted.backup);
                (name, enrolment::plan(world, user.access_key.clone(), serial, (card, keep)))
            }
        };
        let cards = OnCards { server: self, audience };
        enrolment::run(office, world, user, to_do, &cards, audience).await.map_err(|failed| match failed {
            Failed::Job(error) => fault::job(error),
            Failed::Card(fault) => fault,
        })
    }

    async fn enrolment_undone(&self, user: &IamUser, asked: MfaEnroll, audience: &Arc<Audience>) -> Result<(), Fault> {
        let unfinished = enrolment::unfinished(&self.custody, &user.access_key).map_err(fault::job)?;
        let Some((name, enrolment)) = unfinished else {
            return Err(fault::job(jobs::Error::MfaNotBegun(asked.profile)));
        };
        if let Some(account) = &enrolment.card {
            self.leave_card(account, audience).await?;
        }
        let undone = enrolment::undo(&self.office, &self.world, user, (&name, &enrolment.serial), true).await;
        undone.map_err(fault::job)
    }

    async fn mfa_resync(self: &Arc<Self>, name: Name, conversation: &mut Conversation) -> Result<Reply, Fault> {
        let device = self.known_device(&name)?;
        let server = self.clone();
        let work = |listener: Listener| async move {
            let audience = Arc::new(Audience::of(listener));
            let profiles = server.files.load().map_err(fault::files)?;
            // A session would cost a code of the device whose codes AWS may not take: only one that is at hand.
            let user = IamUser::at_hand(&server.office, &profiles, &device.access_key).await.map_err(fault::job)?;
            let (office, serial) = (&server.office, &device.serial);
            let seed = device.is_here.then(|| server.custody.seed(serial)).transpose().map_err(fault::vault)?;
            if let Some(seed) = seed {
                let resynced = mfa_device::resync(office, &user, serial, Maker::Seed(&seed), &audience).await;
                return resynced.map_err(fault::job);
            }
            let Some(account) = &device.on_card else { return Err(fault::internal()) };
            let failed = |error| fault::device::fault(&error, Some(&named(Some(account.card))));
            let card = server.devices().card(account.card).await.map_err(failed)?;
            let access = office.oath_access(&card).map_err(|error| fault::job(error.into()))?;
            let maker = Maker::Card { card: &card, account, access: access.as_ref(), audience: &audience };
            mfa_device::resync(office, &user, serial, maker, &audience).await.map_err(fault::job)
        };
        conversation.attend(self, work).await.map(|()| Reply::Done {})
    }

    async fn mfa_deactivate(
        self: &Arc<Self>,
        name: Name,
        last: bool,
        conversation: &mut Conversation,
    ) -> Result<Reply, Fault> {
        let device = self.known_device(&name)?;
        let outcome = self.deactivated(&device, last, conversation).await;
        let Err(jobs::Error::LastDevice(_)) = &outcome else {
            return outcome.map(|()| Reply::Done {}).map_err(fault::job);
        };
        let question = format!("{name} is the last MFA device of its user at AWS. Take it away? [y/N]");
        if !conversation.agrees(&question).await {
            let kept = if conversation.is_answerable() { jobs::Error::LastDeviceKept } else { jobs::Error::LastDevice };
            return Err(fault::job(kept(name)));
        }
        self.deactivated(&device, true, conversation).await.map(|()| Reply::Done {}).map_err(fault::job)
    }

    async fn deactivated(
        self: &Arc<Self>,
        device: &crate::vault::KnownDevice,
        last: bool,
        conversation: &mut Conversation,
    ) -> Result<(), jobs::Error> {
        let (server, device) = (self.clone(), device.clone());
        let work = |listener| async move {
            let profiles = server.files.load().map_err(jobs::Error::Files)?;
            let user = IamUser::of(&server.office, &profiles, &device.access_key, listener).await?;
            let now = server.world.clock.wall();
            mfa_device::deactivate(&server.office, &user, (&device.name, &device.serial), last, now).await
        };
        conversation.attend(self, work).await
    }

    fn known_device(&self, name: &Name) -> Result<crate::vault::KnownDevice, Fault> {
        let knowledge = self.custody.knowledge();
        let device = knowledge.devices.iter().find(|device| device.name == *name);
        device.cloned().ok_or_else(|| fault::job(jobs::Error::MfaNotFound(Some(name.clone()))))
    }

    /// The access keys, with what AWS says of each: all users are asked at once.
    pub(super) async fn access_keys_at_aws(self: &Arc<Self>) -> Result<Vec<AccessKeyRow>, Fault> {
        let mut rows = self.access_key_rows()?;
        let profiles = self.files.load().map_err(fault::files)?;
        let deadline = self.world.clock.boot().plus_millis(LIST_MILLIS);
        let mut asked = Vec::new();
        for row in &rows {
            let (server, profiles, row) = (self.clone(), profiles.clone(), row.clone());
            asked.push(tokio::spawn(async move {
                tokio::select! {
                    known = server.key_at_aws(&profiles, &row) => known,
                    () = server.world.clock.sleep_until(deadline) => {
                        Err(Fault::new(claviger::wire::Code::AwsTimedOut, "AWS did not answer in time"))
                    }
                }
            }));
        }
        for (row, known) in rows.iter_mut().zip(asked) {
            match known.await.map_err(|_| fault::internal())? {
                Ok((known, created)) => {
                    row.at_aws = Some(known);
                    row.age_days = jobs::access_key::age_days(created, self.office.aws().corrected_now());
                }
                Err(fault) => row.fault = Some(fault),
            }
        }
        Ok(rows)
    }

    async fn key_at_aws(&self, profiles: &ProfileSet, row: &AccessKeyRow) -> Result<(AccessKeyAtAws, WallTime), Fault> {
        let user = IamUser::at_hand(&self.office, profiles, &row.name).await.map_err(fault::job)?;
        let aws = self.office.aws();
        let (keys, last_use) = tokio::join!(
            aws.list_access_keys(user.access(), Some(user.name())),
            aws.access_key_last_used(user.access(), &row.access_key_id)
        );
        let keys = keys.map_err(|error| fault::job(error.into()))?;
        let key = keys.into_iter().find(|key| key.access_key_id == row.access_key_id);
        let key = key.ok_or_else(|| fault::job(jobs::Error::NotAKeyOfUser(row.access_key_id.clone())))?;
        let known = AccessKeyAtAws {
            active: key.status == KeyStatus::Active,
            created: rfc3339(key.created),
            last_used: last_use.ok().flatten().as_ref().map(shown),
        };
        Ok((known, key.created))
    }
}

/// The cards as an enrolment needs them.
struct OnCards<'a> {
    server: &'a Server,
    audience: &'a Arc<Audience>,
}

impl Cards for OnCards<'_> {
    type Error = Fault;

    async fn place(
        &self,
        account: &OathAccount,
        seed: &TotpSeed,
        serial: &MfaSerial,
    ) -> Result<Option<(String, DeviceSecret)>, Fault> {
        self.server.enrol_on_card(account, seed, serial, self.audience).await
    }

    async fn leave(&self, account: &OathAccount) -> Result<(), Fault> {
        self.server.leave_card(account, self.audience).await
    }
}

fn shown(last_use: &LastUse) -> AccessKeyUse {
    let LastUse { at, service, region } = last_use;
    AccessKeyUse { at: rfc3339(*at), service: service.clone(), region: region.clone() }
}
