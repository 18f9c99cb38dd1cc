//! One fetch per session, however many wait. The fetch is the daemon's: it goes on when the one who asked leaves.

use super::base::Base;
use super::cache::{HAND_OUT_MILLIS, Session};
use super::office::Office;
use super::plan::{Call, Mfa, Plan, RoleRequest, Step};
use super::spend::Code;
use super::{Error, SessionKey, entry, signing};
use crate::ask::{Asker, Audience, Listener};
use crate::aws::{self, AssumeRole, AssumedRole, SessionCredentials};
use crate::world::{BoxFuture, Defence, with_wiped_stack};
use claviger::model::{Arn, MfaSerial, Name};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// Renew in the background from here on, so that nobody waits at the 15 minutes.
pub(super) const RENEW_MILLIS: u64 = 20 * 60_000;
/// A session that only signs the next AssumeRole needs no more than the time of the call, and a little.
pub(super) const SIGN_WITH_MILLIS: u64 = 60_000;

type Outcome = Result<Arc<Session>, Arc<Error>>;

/// Why a fetch was started.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Occasion {
    /// A session is renewed while it still serves: with what is in memory, and never with a code.
    Background,
    /// Somebody asked.
    Request,
}

/// A fetch under way.
pub(super) struct Flight {
    occasion: Occasion,
    outcome: watch::Receiver<Option<Outcome>>,
    audience: Arc<Audience>,
    task: AbortHandle,
}

impl Flight {
    fn is_over(&self) -> bool {
        self.task.is_finished()
    }

    pub(super) fn abort(self) {
        self.task.abort();
    }
}

/// Who waits for a fetch.
#[derive(Clone)]
pub(super) enum Waiter {
    Request(Listener),
    Fetch(Arc<Audience>),
}

impl Waiter {
    fn asker(&self) -> Option<Asker> {
        match self {
            Self::Request(listener) => listener.asker(),
            Self::Fetch(audience) => audience.asker(),
        }
    }
}

impl From<Listener> for Waiter {
    fn from(listener: Listener) -> Self {
        Self::Request(listener)
    }
}

impl Office {
    /// The session of a plan's step: from memory, or by joining or starting its fetch.
    pub(super) fn obtain(
        self: &Arc<Self>,
        plan: Arc<Plan>,
        index: usize,
        waiter: Waiter,
    ) -> BoxFuture<'static, Outcome> {
        let office = self.clone();
        Box::pin(async move {
            let key = SessionKey::of(&plan, index);
            let last = index.saturating_add(1) == plan.steps.len();
            office.judge(&plan, index, &key).await.map_err(Arc::new)?;
            loop {
                let (mut outcome, occasion) = match office.join(&plan, index, key, last, waiter.clone()) {
                    Joined::Fresh(session) => return Ok(session),
                    Joined::Flight(outcome, occasion) => (outcome, occasion),
                };
                let told = outcome.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
                let result = match told {
                    // It had no more than memory; a request may do more.
                    Some(Err(_)) if occasion == Occasion::Background => continue,
                    Some(result) => result,
                    // The fetch was aborted by a lock.
                    None => Err(Arc::new(Error::Locked)),
                };
                // A failed renewal never takes away a session that still works.
                return result.or_else(|error| {
                    let now = office.world.clock.boot();
                    office.desk().cache.fresh(&key, now, SIGN_WITH_MILLIS).ok_or(error)
                });
            }
        })
    }

    fn join(self: &Arc<Self>, plan: &Arc<Plan>, index: usize, key: SessionKey, last: bool, waiter: Waiter) -> Joined {
        let now = self.world.clock.boot();
        let mut desk = self.reopened();
        let held = if last { desk.cache.to_hand_out(&key, now) } else { desk.cache.fresh(&key, now, SIGN_WITH_MILLIS) };
        if let Some(session) = held {
            // In the background only where no code can be needed: the session before it is at hand.
            let is_at_hand = |before| desk.cache.fresh(&SessionKey::of(plan, before), now, SIGN_WITH_MILLIS).is_some();
            if last
                && session.left(now) < RENEW_MILLIS
                && !desk.flights.contains_key(&key)
                && index.checked_sub(1).is_some_and(is_at_hand)
            {
                let flight = self.start(plan.clone(), (index, key), (Occasion::Background, None), desk.locks);
                desk.flights.insert(key, flight);
            }
            return Joined::Fresh(session);
        }
        // A fetch that ended without landing was a defect; it must not stand in the way for ever.
        if desk.flights.get(&key).is_some_and(Flight::is_over) || !Defence::SingleFlight.stands() {
            desk.flights.remove(&key);
        }
        let locks = desk.locks;
        let asker = waiter.asker();
        let start = || self.start(plan.clone(), (index, key), (Occasion::Request, asker), locks);
        let flight = desk.flights.entry(key).or_insert_with(start);
        match waiter {
            Waiter::Request(listener) => flight.audience.join(listener),
            Waiter::Fetch(audience) => flight.audience.join_all(audience),
        }
        Joined::Flight(flight.outcome.clone(), flight.occasion)
    }

    /// Starts the fetch. The caller holds the desk, so the task cannot remove its flight before it is entered.
    fn start(
        self: &Arc<Self>,
        plan: Arc<Plan>,
        (index, key): (usize, SessionKey),
        (occasion, asker): (Occasion, Option<Asker>),
        locks: u64,
    ) -> Flight {
        let (sender, outcome) = watch::channel(None);
        let audience = Arc::new(Audience::default());
        let (office, heard) = (self.clone(), audience.clone());
        let leave = self.custody.leave();
        let fetch = async move {
            let result = office.recorded(&plan, index, (occasion, asker), &heard).await;
            if office.land(key, locks, &result) {
                drop(sender.send(Some(result)));
            }
        };
        let task = tokio::spawn(async move {
            let _leave = leave;
            with_wiped_stack(fetch).await;
        });
        Flight { occasion, outcome, audience, task: task.abort_handle() }
    }

    /// Ends a flight and keeps what it brought; false where a lock or a logout came first. To abort a task does not stop it in the
    /// middle of a poll, and what was wiped must not come back.
    fn land(&self, key: SessionKey, locks: u64, result: &Outcome) -> bool {
        {
            let mut desk = self.desk();
            if desk.locks != locks || desk.flights.remove(&key).is_none() {
                return false;
            }
            if let Ok(session) = result {
                desk.unjudged.remove(&key);
                desk.cache.insert(key, session.clone(), self.world.clock.boot());
                self.seal(key, session);
            }
        }
        true
    }

    /// Fetches on the record: nothing is asked of STS before that is written down, and nothing handed on before what
    /// came of it is.
    async fn recorded(
        self: &Arc<Self>,
        plan: &Arc<Plan>,
        index: usize,
        (occasion, asker): (Occasion, Option<Asker>),
        audience: &Arc<Audience>,
    ) -> Outcome {
        let mut entry = entry::begun(plan, index);
        if occasion == Occasion::Background {
            entry = entry.reason("renewed before its end");
        } else if let Some(asker) = asker {
            entry = entry.peer(asker());
        }
        let act = self.journal.begin(entry).await.map_err(|error| Arc::new(error.into()))?;
        let result = self.fetch(plan, index, occasion, audience).await;
        match &result {
            Ok(session) => act.done(entry::given(plan, index, session), Some(session.principal.clone())).await,
            Err(error) => act.failed(entry::words(error)).await,
        }
        result
    }

    async fn fetch(
        self: &Arc<Self>,
        plan: &Arc<Plan>,
        index: usize,
        occasion: Occasion,
        audience: &Arc<Audience>,
    ) -> Outcome {
        let Some(step) = plan.steps.get(index) else {
            return Err(Arc::new(Error::Locked));
        };
        match (&step.call, index.checked_sub(1)) {
            (Call::AssumeRole(request), Some(before)) if occasion == Occasion::Background => {
                self.renew_role(plan, step, request, before).await
            }
            (Call::AssumeRole(request), Some(before)) => self.next_role(plan, step, request, before, audience).await,
            (Call::AssumeRole(request), None) => self.first_role(plan, step, request, audience).await.map_err(Arc::new),
            (Call::SessionToken, _) => self.session_token(plan, step, audience).await.map_err(Arc::new),
            (Call::Source, _) => self.source_session(plan).await.map_err(Arc::new),
        }
    }

    /// AssumeRole with the session before it; once more from the start where AWS no longer takes that session.
    async fn next_role(
        self: &Arc<Self>,
        plan: &Arc<Plan>,
        step: &Step,
        request: &RoleRequest,
        before: usize,
        audience: &Arc<Audience>,
    ) -> Outcome {
        let mut again = true;
        loop {
            let base = self.obtain(plan.clone(), before, Waiter::Fetch(audience.clone())).await?;
            match self.aws.assume_role(base.signing(), &step.endpoint, &assume(request, step.seconds)).await {
                Ok(assumed) => return Ok(Arc::new(self.role_session(&plan.base, assumed))),
                Err(error) if again && refuses_the_session(&error) => {
                    again = false;
                    self.drop_session(&SessionKey::of(plan, before));
                }
                Err(error) => return Err(Arc::new(error.into())),
            }
        }
    }

    /// AssumeRole with the session before it, if that is in memory and AWS takes it.
    async fn renew_role(&self, plan: &Plan, step: &Step, request: &RoleRequest, before: usize) -> Outcome {
        let key = SessionKey::of(plan, before);
        let base = self.desk().cache.fresh(&key, self.world.clock.boot(), SIGN_WITH_MILLIS);
        let base = base.ok_or_else(|| Arc::new(Error::PresenceNeeded))?;
        match self.aws.assume_role(base.signing(), &step.endpoint, &assume(request, step.seconds)).await {
            Ok(assumed) => Ok(Arc::new(self.role_session(&plan.base, assumed))),
            Err(error) => {
                if refuses_the_session(&error) {
                    self.drop_session(&key);
                }
                Err(Arc::new(error.into()))
            }
        }
    }

    /// AssumeRole by the access key itself: frozen credentials for longer than an hour.
    async fn first_role(
        self: &Arc<Self>,
        plan: &Plan,
        step: &Step,
        request: &RoleRequest,
        audience: &Arc<Audience>,
    ) -> Result<Arc<Session>, Error> {
        // A source's plan begins with the source's own step.
        let Base::AccessKey(access_key) = &plan.base else { return Err(Error::Locked) };
        let mut codes = self.codes(plan, step, audience)?;
        loop {
            let code = codes.next().await?;
            let key = self.custody.signing_key(access_key)?;
            let mut call = assume(request, step.seconds);
            call.mfa = code.as_ref().map(Code::proof);
            let answer = self.aws.assume_role(signing(&key), &step.endpoint, &call).await;
            let proof = code.as_ref().map(Code::spent);
            if let Some(assumed) = codes.settle(code, answer)? {
                return Ok(Arc::new(Session { proof, ..self.role_session(&plan.base, assumed) }));
            }
        }
    }

    async fn session_token(
        self: &Arc<Self>,
        plan: &Plan,
        step: &Step,
        audience: &Arc<Audience>,
    ) -> Result<Arc<Session>, Error> {
        let Base::AccessKey(access_key) = &plan.base else { return Err(Error::Locked) };
        let mut codes = self.codes(plan, step, audience)?;
        loop {
            let code = codes.next().await?;
            let key = self.custody.signing_key(access_key)?;
            let proof = code.as_ref().map(Code::proof);
            let answer = self.aws.get_session_token(signing(&key), &step.endpoint, step.seconds, proof).await;
            let proof = code.as_ref().map(Code::spent);
            if let Some(credentials) = codes.settle(code, answer)? {
                let session = self.user_session(access_key, credentials, step.with_code);
                return Ok(Arc::new(Session { proof, ..session }));
            }
        }
    }

    /// The session of an access key's user.
    pub(super) fn user_session(&self, access_key: &Name, credentials: SessionCredentials, mfa: bool) -> Session {
        let knowledge = self.custody.knowledge();
        let user = knowledge.access_keys.get(access_key).and_then(Option::as_ref);
        let user_name = user.map_or_else(|| access_key.to_string(), ToString::to_string);
        let principal = if mfa { user_name } else { format!("{user_name} (without MFA)") };
        self.session(Some(access_key), credentials, principal, user)
    }

    fn role_session(&self, base: &Base, assumed: AssumedRole) -> Session {
        self.session(base.access_key(), assumed.credentials, assumed.arn.to_string(), Some(&assumed.arn))
    }

    /// A session from what STS gave, its end put on the boot clock.
    fn session(
        &self,
        access_key: Option<&Name>,
        credentials: SessionCredentials,
        principal: String,
        arn: Option<&Arn>,
    ) -> Session {
        Session {
            access_key_id: credentials.access_key_id,
            secret: credentials.secret,
            token: credentials.token,
            expiration: credentials.expiration,
            ends: self.deadline(credentials.left_millis),
            principal,
            account: arn.and_then(Arn::account),
            access_key: access_key.cloned(),
            hand_out_millis: HAND_OUT_MILLIS,
            request_id: credentials.request_id,
            proof: None,
        }
    }
}

enum Joined {
    Fresh(Arc<Session>),
    Flight(watch::Receiver<Option<Outcome>>, Occasion),
}

fn refuses_the_session(error: &aws::Error) -> bool {
    matches!(error, aws::Error::Expired { .. } | aws::Error::InvalidCredentials { .. })
}

fn assume(request: &RoleRequest, duration: u32) -> AssumeRole<'_> {
    AssumeRole {
        role: &request.role,
        session_name: &request.session_name,
        duration,
        external_id: request.external_id.as_deref(),
        policy: request.policy.as_deref(),
        policy_arns: &request.policy_arns,
        tags: &request.tags,
        transitive_tag_keys: &request.transitive_tag_keys,
        source_identity: request.source_identity.as_deref(),
        mfa: None,
    }
}

impl Plan {
    /// The devices in the vault that may give the code.
    pub(super) fn held(&self) -> &[MfaSerial] {
        match &self.mfa {
            Mfa::Held(serials) => serials,
            Mfa::None | Mfa::Typed(_) => &[],
        }
    }
}
