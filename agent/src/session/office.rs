//! The office itself: what it holds, and what the doors and jobs ask of it.

use super::cache::{Cache, Session};
use super::judge::Failed;
use super::obtain::{Flight, RENEW_MILLIS, SIGN_WITH_MILLIS};
use super::pins::Pinning;
use super::plan::{Call, Delivery, Plan};
use super::plans::{Planned, Plans};
use super::seal::{self, Sealed};
use super::spend::Turnstiles;
use super::{Error, Hardware, SessionKey};
use crate::ask::{Listener, Notice};
use crate::audit::Journal;
use crate::aws::profile::ProfileSet;
use crate::aws::{AwsEdge, Caller, Endpoint, SessionCredentials};
use crate::mfa::Presence;
use crate::source::Sources;
use crate::vault::Custody;
use crate::world::{BootTime, Defence, World};
use claviger::model::{Name, Region};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// The settings of the office, from config.toml.
#[derive(Clone)]
pub struct Limits {
    /// `[mfa] presence`, in milliseconds.
    pub presence_millis: u64,
    /// `[mfa] session`, in seconds.
    pub session_seconds: u32,
    /// `[aws] region`.
    pub region: Option<Region>,
}

/// Obtains, keeps, renews and forgets STS sessions.
pub struct Office {
    pub(super) world: World,
    pub(super) aws: AwsEdge,
    pub(super) custody: Arc<Custody>,
    pub(super) presence: Presence,
    pub(super) turnstiles: Turnstiles,
    pub(super) sources: Sources,
    pub(super) hardware: Hardware,
    pub(super) pinning: Arc<Pinning>,
    limits: RwLock<Arc<Limits>>,
    pub(super) plans: Plans,
    pub(super) journal: Arc<Journal>,
    desk: Mutex<Desk>,
    /// Held while AWS is asked for the time; why it was not told, where the last call failed.
    pub(super) judging: tokio::sync::Mutex<Option<Failed>>,
}

/// What changes, behind one lock that is held for a few lines and never across an await.
#[derive(Default)]
pub(super) struct Desk {
    pub(super) cache: Cache,
    pub(super) flights: HashMap<SessionKey, Flight>,
    /// How often it was locked: what a flight brings from before a lock is not kept.
    pub(super) locks: u64,
    /// The opening of the vault whose sealed sessions were restored last.
    reopened: u64,
    /// Sealed sessions of another boot, before AWS has told the time: not handed out, and not dropped.
    pub(super) unjudged: BTreeMap<SessionKey, Arc<Session>>,
    forgotten: Forgotten,
}

/// What was forgotten while the vault was locked, so that the next unlock does not bring it back.
#[derive(Default)]
struct Forgotten {
    all: bool,
    keys: HashSet<SessionKey>,
}

impl Office {
    /// An office with no sessions.
    pub fn new(
        world: World,
        aws: AwsEdge,
        custody: Arc<Custody>,
        (sources, hardware): (Sources, Hardware),
        limits: Limits,
        journal: Arc<Journal>,
    ) -> Arc<Self> {
        let (presence, turnstiles, desk) = (Presence::default(), Turnstiles::default(), Mutex::default());
        let (pinning, limits, plans) = (Arc::default(), RwLock::new(Arc::new(limits)), Plans::default());
        let judging = tokio::sync::Mutex::default();
        Arc::new(Self {
            world,
            aws,
            custody,
            presence,
            turnstiles,
            sources,
            hardware,
            pinning,
            limits,
            plans,
            journal,
            desk,
            judging,
        })
    }

    /// The devices.
    pub fn hardware(&self) -> &Hardware {
        &self.hardware
    }

    /// From now on by these settings.
    pub fn set_limits(&self, limits: Limits) {
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(limits);
    }

    pub(super) fn limits(&self) -> Arc<Limits> {
        self.limits.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The credentials of a plan, from memory where more than 15 minutes are left. The fetch goes on when the
    /// caller leaves. What the profile obtains is pinned at its first success, and refused once it is something else.
    pub async fn credentials(
        self: &Arc<Self>,
        plan: impl Into<Arc<Plan>>,
        listener: Listener,
    ) -> Result<Arc<Session>, Arc<Error>> {
        let plan = plan.into();
        let vault = self.vault_number();
        let pinned = self.check_pin(&plan)?;
        let last = plan.steps.len().saturating_sub(1);
        let session = self.obtain(plan.clone(), last, listener.into()).await?;
        if !pinned {
            self.pin(&plan, vault).await?;
        }
        if session.is_long_lived() { Err(Arc::new(Error::LongLived)) } else { Ok(session) }
    }

    /// The session a plan ends with, where memory has it and there is nothing else to do for it: it is far from its end,
    /// and the profile is pinned.
    pub fn at_hand(&self, planned: &Planned) -> Option<Arc<Session>> {
        let Planned { key, is_pinned: true, .. } = planned else { return None };
        let desk = self.reopened();
        let held = desk.cache.fresh(key, self.world.clock.boot(), RENEW_MILLIS);
        held.filter(|session| !session.is_long_lived() && !desk.unjudged.contains_key(key))
    }

    /// The session a plan ends with, if memory has one that still works; nobody is asked for it.
    pub fn remembered(&self, plan: &Plan) -> Option<Arc<Session>> {
        self.check_pin(plan).ok().filter(|pinned| *pinned)?;
        let key = SessionKey::of(plan, plan.steps.len().saturating_sub(1));
        let held = self.reopened().cache.fresh(&key, self.world.clock.boot(), SIGN_WITH_MILLIS);
        held.filter(|session| !session.is_long_lived())
    }

    /// Who a session acts as (STS API, GetCallerIdentity).
    pub async fn caller(&self, session: &Session, endpoint: &Endpoint) -> Result<Caller, Error> {
        Ok(self.aws.get_caller_identity(session.signing(), endpoint).await?)
    }

    /// The network, for jobs that sign with an access key.
    pub fn aws(&self) -> &AwsEdge {
        &self.aws
    }

    /// The vault's keeper.
    pub fn custody(&self) -> &Arc<Custody> {
        &self.custody
    }

    /// `[mfa] session`, in seconds.
    pub fn session_seconds(&self) -> u32 {
        self.limits().session_seconds
    }

    /// A person has just done something.
    pub fn mark_presence(&self) {
        self.presence.mark(self.world.clock.boot());
    }

    /// Milliseconds for which a soft code may be spent without a person.
    pub fn presence_left(&self) -> Option<u64> {
        self.presence.left(self.world.clock.boot(), self.limits().presence_millis)
    }

    /// When a person was last here, and AWS's clock less the boot clock in milliseconds: what a successor cannot learn
    /// without a person or a call.
    pub fn learnt(&self) -> (Option<BootTime>, Option<i64>) {
        (self.presence.last(), self.aws.clock_offset())
    }

    /// Goes on from what a predecessor had learnt.
    pub fn relearn(&self, presence: Option<BootTime>, clock_offset: Option<i64>) {
        if let Some(last) = presence {
            self.presence.mark(last);
        }
        if let Some(offset) = clock_offset {
            self.aws.set_clock_offset(offset);
        }
    }

    /// Keeps the session that proved a new device, as the MFA session of its access key: the proof cost a code, and
    /// no second one shall be needed.
    pub fn adopt(&self, profiles: &ProfileSet, access_key: &Name, credentials: SessionCredentials) {
        let Ok(plan) = self.plan(profiles, access_key.as_str(), Delivery::Refreshing) else { return };
        if plan.base.access_key() == Some(access_key)
            && plan.steps.first().is_some_and(|step| step.call == Call::SessionToken)
        {
            let session = self.user_session(access_key, credentials, true);
            self.keep(SessionKey::of(&plan, 0), Arc::new(session));
        }
    }

    /// Brings back the sealed sessions after an unlock, unless memory has a newer one, or they were forgotten meanwhile.
    /// Once for each opening: whoever asks first after it does this, so that nobody spends a code for a session that is
    /// about to come back.
    pub fn reopen(&self) {
        drop(self.reopened());
    }

    /// The desk with the sealed sessions of the last opening.
    pub(super) fn reopened(&self) -> MutexGuard<'_, Desk> {
        let mut desk = self.desk();
        let openings = self.custody.openings();
        let judged = !desk.unjudged.is_empty() && self.aws.clock_offset().is_some();
        if (desk.reopened != openings || judged) && self.custody.is_unlocked() {
            desk.reopened = openings;
            self.restore_sealed(&mut desk);
        }
        desk
    }

    fn restore_sealed(&self, desk: &mut Desk) {
        let (now, boot) = (self.world.clock.boot(), self.world.clock.boot_id());
        let known = self.aws.clock_offset().is_some() || !Defence::SealedTime.stands();
        let aws_now = known.then(|| self.aws.corrected_now());
        let forgotten = std::mem::take(&mut desk.forgotten);
        desk.unjudged.clear();
        for (key, bytes) in self.custody.sealed_sessions() {
            let key = SessionKey(key);
            if forgotten.all || forgotten.keys.contains(&key) {
                self.custody.forget_session(&key.0);
                continue;
            }
            match seal::read(&bytes, aws_now, now, boot.as_deref()) {
                Sealed::Lives(session) => desk.cache.restore(key, session),
                Sealed::Unjudged(session) => drop(desk.unjudged.insert(key, Arc::new(session))),
                Sealed::Ended => drop(self.custody.forget_session(&key.0)),
            }
        }
    }

    /// Ends all work in hand. With `wipe` the sessions leave memory; they stay sealed in the state.
    pub fn lock(&self, wipe: bool) {
        let mut desk = self.desk();
        desk.locks = desk.locks.wrapping_add(1);
        for (_, flight) in desk.flights.drain() {
            flight.abort();
        }
        desk.cache.drop_long_lived();
        // They stay sealed.
        desk.unjudged.clear();
        if wipe {
            desk.cache.clear();
        }
    }

    /// Lets go of all that came from the vault, between its end and the beginning of another: nothing that was obtained
    /// with it, or is under way, gets into that one.
    pub fn leave_vault(&self) {
        self.lock(true);
        self.leave_pins();
    }

    /// Forgets the session that a plan ends with. True where there was one.
    pub fn forget(&self, plan: &Plan) -> bool {
        let key = SessionKey::of(plan, plan.steps.len().saturating_sub(1));
        if let Some(flight) = self.desk().flights.remove(&key) {
            flight.abort();
        }
        self.drop_session(&key)
    }

    /// Forgets every session; says how many were live.
    pub fn forget_all(&self) -> usize {
        let now = self.world.clock.boot();
        self.abort_all();
        if !self.custody.is_unlocked() {
            self.desk().forgotten.all = true;
        }
        let keys = self.keys(|session| session.left(now) > 0);
        for key in &self.keys(|_| true) {
            self.drop_session(key);
        }
        keys.len()
    }

    /// Forgets every session obtained with an access key.
    pub fn forget_access_key(&self, name: &Name) {
        self.abort_all();
        for key in &self.keys(|session| session.access_key.as_ref() == Some(name)) {
            self.drop_session(key);
        }
    }

    /// The keys of such sessions, those among them that wait for AWS's time.
    fn keys(&self, such: impl Fn(&Session) -> bool) -> Vec<SessionKey> {
        let desk = self.desk();
        let all = desk.cache.all().chain(&desk.unjudged);
        all.filter(|(_, session)| such(session)).map(|(key, _)| *key).collect()
    }

    /// Seconds AWS's clock is ahead of this machine's, once measured.
    pub fn clock_skew(&self) -> Option<i64> {
        self.aws.skew_millis().map(|millis| millis / 1000)
    }

    /// Ends the fetches under way: what they would bring is to be forgotten.
    fn abort_all(&self) {
        for (_, flight) in self.desk().flights.drain() {
            flight.abort();
        }
    }

    pub(super) fn drop_session(&self, key: &SessionKey) -> bool {
        let unsealed = self.custody.forget_session(&key.0);
        let mut desk = self.desk();
        if !unsealed {
            desk.forgotten.keys.insert(*key);
        }
        let waited = desk.unjudged.remove(key).is_some();
        desk.cache.remove(key) || waited
    }

    fn keep(&self, key: SessionKey, session: Arc<Session>) {
        self.seal(key, &session);
        self.desk().cache.insert(key, session, self.world.clock.boot());
    }

    pub(super) fn seal(&self, key: SessionKey, session: &Session) {
        if let Some(bytes) = seal::write(session, self.world.clock.boot_id().as_deref()) {
            self.custody.seal_session(key.0, bytes);
        }
    }

    pub(super) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The boot-clock time at which `millis` will have passed.
    pub(super) fn deadline(&self, millis: u64) -> BootTime {
        self.world.clock.boot().plus_millis(millis)
    }
}

/// The notice for a wait until `until`.
pub(super) fn waiting(serial: &claviger::model::MfaSerial, until: BootTime) -> Notice {
    Notice::WaitingForCode { serial: serial.clone(), until }
}
