//! A thousand cold requests at once, and what happens to people and networks on the way to the answer: by seed.

use crate::network::Way;
use crate::rig::{PRESENCE, Rig, quiet, rig, until};
use claviger::secret::{SecretText, TypedAnswer};
use claviger_agent::ask::{Listener, Upcall};
use claviger_agent::aws;
use claviger_agent::session::{Error, Session};
use claviger_agent::testing::{figure, rounds};
use claviger_agent::vault::{self, LockedBy};
use claviger_agent::world::Clock;
use claviger_sandbox::Seed;
use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

const CROWD: usize = 1000;
/// Those at whose client a person sits, where a code must be typed.
const PEOPLE: usize = 5;
/// The longest wait of those who do not wait for long.
const WAIT_MILLIS: u64 = 1000;

/// What an asker got; None where it gave up in time.
type Got = Option<Result<Arc<Session>, Arc<Error>>>;

/// What happens while the call is on its way, or the question stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mishap {
    Nothing,
    Refused(&'static str),
    Declined,
    Locked,
    LoggedOut,
}

/// How long an asker stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stays,
    /// As its connection ends, or it cancels: the request's task is aborted.
    HangsUp,
    /// It said how long it would wait.
    GivesUp(u64),
}

/// Repeatable choices (SplitMix64).
struct Dice(u64);

impl Dice {
    fn of(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }
}

struct Crowd {
    rig: Rig,
    /// Whether a person must type the code.
    typed: bool,
    fates: Vec<Fate>,
    mishap: Mishap,
    asked: Arc<AtomicUsize>,
}

#[test]
fn a_thousand_who_leave_wait_and_are_refused_cost_one_prompt_one_call_and_one_code() {
    let seeds = rounds(12, 1000);
    for seed in 0..seeds as u64 {
        let mut dice = Dice(seed);
        let typed = dice.of(3) == 0;
        // One thread where a person is asked: whoever joins after the question is not asked any more.
        let mut runtime = if typed {
            tokio::runtime::Builder::new_current_thread()
        } else {
            tokio::runtime::Builder::new_multi_thread()
        };
        let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(Crowd::by(&mut dice, typed).live(seed));
    }
    figure("seeds of 1,000 cold requests, cancel, timeout, hang-up, refusal, lock and logout mixed in", seeds);
}

impl Crowd {
    fn by(dice: &mut Dice, typed: bool) -> Self {
        let rig = if typed { without_phone() } else { rig() };
        let mishap = match (dice.of(6), typed) {
            (0 | 1, _) => Mishap::Nothing,
            (2, true) => Mishap::Declined,
            (2 | 3, _) => Mishap::Refused(["GetSessionToken", "AssumeRole"][usize::from(dice.of(2) == 0)]),
            (4, _) => Mishap::Locked,
            _ => Mishap::LoggedOut,
        };
        // From nobody leaves to everybody leaves.
        let leaving = [0, 1, 10, 50, 90, 99, 100][usize::try_from(dice.of(7)).unwrap()];
        let mut fate = |_| match (dice.of(100) < leaving, dice.of(2)) {
            (false, _) => Fate::Stays,
            (true, 0) => Fate::HangsUp,
            (true, _) => Fate::GivesUp(1 + dice.of(WAIT_MILLIS - 1)),
        };
        let mut fates: Vec<Fate> = (0..CROWD).map(&mut fate).collect();
        // The first one leads: it leaves in every other seed where anybody does.
        if leaving > 0 && leaving < 100 {
            fates[0] = if leaving % 2 == 0 { Fate::HangsUp } else { Fate::Stays };
        }
        Self { rig, typed, fates, mishap, asked: Arc::default() }
    }

    async fn live(self, seed: u64) {
        let what = format!("seed {seed}: {:?}, typed {}, leader {:?}", self.mishap, self.typed, self.fates[0]);
        self.rig.clock.hold();
        self.rig.network.close();
        if let Mishap::Refused(action) = self.mishap {
            self.rig.network.script(action, Way::Answer(403, DENIED.to_owned()));
        }
        let (mut askers, mut people) = (Vec::new(), Vec::new());
        for (at, fate) in self.fates.iter().enumerate() {
            let (listener, end) = Listener::new(self.typed && at < PEOPLE);
            askers.push(Some(tokio::spawn(self.ask(*fate, listener))));
            people.extend((self.typed && at < PEOPLE).then_some((at, end)));
        }
        until("all have asked", || self.asked.load(Ordering::Acquire) == CROWD).await;
        let questions = self.questions(&mut people).await;
        if !self.typed {
            self.rig.network.arrived(1).await;
        }

        for (asker, fate) in askers.iter_mut().zip(&self.fates) {
            if *fate == Fate::HangsUp {
                asker.take().unwrap().abort();
            }
        }
        people.retain(|(at, _)| self.fates[*at] != Fate::HangsUp);
        self.rig.clock.advance_millis(WAIT_MILLIS);
        for (asker, _) in askers.iter_mut().zip(&self.fates).filter(|(_, fate)| matches!(fate, Fate::GivesUp(_))) {
            assert!(finish(asker.take().unwrap()).await.is_none(), "{what}: it gives up in time");
        }
        people.retain(|(at, _)| self.fates[*at] == Fate::Stays);

        let answered = self.answer(questions, &people).await;
        match self.mishap {
            Mishap::Locked => self.rig.lock(LockedBy::Command),
            Mishap::LoggedOut => drop(self.rig.office.forget(&self.rig.plan(self.profile()))),
            _ => {}
        }
        self.rig.network.open();
        let mut got = Vec::new();
        for asker in askers.into_iter().flatten() {
            got.push(finish(asker).await.expect("no limit of its own"));
        }
        drop(people);
        quiet().await;
        self.judge(&got, answered, &what);
        self.again(&what).await;
    }

    fn profile(&self) -> &'static str {
        if self.typed { "typed" } else { "prod" }
    }

    fn ask(&self, fate: Fate, listener: Listener) -> impl Future<Output = Got> + use<> {
        let (office, plan) = (self.rig.office.clone(), self.rig.plan(self.profile()));
        let (asked, clock) = (self.asked.clone(), self.rig.clock.clone());
        let until = clock.boot().plus_millis(if let Fate::GivesUp(millis) = fate { millis } else { 0 });
        async move {
            let mut work = pin!(office.credentials(plan, listener));
            let mut first = true;
            let work = std::future::poll_fn(|context| {
                let state: Poll<_> = work.as_mut().poll(context);
                if std::mem::take(&mut first) {
                    asked.fetch_add(1, Ordering::Release);
                }
                state
            });
            tokio::select! {
                biased;
                got = work => Some(got),
                () = clock.sleep_until(until), if matches!(fate, Fate::GivesUp(_)) => None,
            }
        }
    }

    /// Each person is asked once; None where no code is typed at all.
    async fn questions(&self, people: &mut [(usize, UnboundedReceiver<Upcall>)]) -> Vec<(usize, Answer)> {
        let mut questions = Vec::new();
        for (at, end) in people {
            match end.recv().await {
                Some(Upcall::Question { answer, .. }) => questions.push((*at, answer)),
                _ => panic!("a question"),
            }
        }
        questions
    }

    /// The first person who is still there types the code, or all of them decline. Whether a code was typed.
    async fn answer(&self, questions: Vec<(usize, Answer)>, people: &[(usize, UnboundedReceiver<Upcall>)]) -> bool {
        let shown = self.rig.code(i64::try_from((self.rig.passed() + 500) / 30_000).unwrap());
        let mut code = (self.mishap != Mishap::Declined).then_some(shown);
        let mut answered = false;
        for (_, answer) in questions.into_iter().filter(|(at, _)| people.iter().any(|(person, _)| person == at)) {
            let said = code.take().map(TypedAnswer::from_text);
            answered |= said.is_some();
            // Who declines when another has answered is not heard any more.
            let _ = answer.send(said).await;
        }
        if answered {
            self.rig.network.arrived(1).await;
        }
        answered
    }

    fn judge(&self, got: &[Result<Arc<Session>, Arc<Error>>], answered: bool, what: &str) {
        let network = &self.rig.network;
        let calls = [network.seen("GetSessionToken").len(), network.seen("AssumeRole").len()];
        let kept = self.rig.office.sessions().len();
        let all = |test: fn(&Error) -> bool| {
            let told = got.iter().all(|got| got.as_ref().err().is_some_and(|error| test(error)));
            assert!(told, "{what}: a refusal is told to all who wait");
        };
        if self.typed && !answered {
            // What ends the fetch may come before it hears that nobody is left to type.
            match self.mishap {
                Mishap::Locked | Mishap::LoggedOut => all(|error| {
                    matches!(error, Error::CodeNeeded(_) | Error::Locked | Error::Vault(vault::Error::Locked))
                }),
                _ => all(|error| matches!(error, Error::CodeNeeded(_))),
            }
            assert_eq!((calls, kept), ([0, 0], 0), "{what}");
            return;
        }
        assert!(calls[0] == 1 && network.codes().len() == 1, "{what}: one call with a code: {calls:?}");
        match self.mishap {
            Mishap::Nothing | Mishap::Declined => {
                let ids: BTreeSet<_> = got
                    .iter()
                    .map(|got| got.as_ref().unwrap_or_else(|error| panic!("{what}: {error:?}")))
                    .map(|session| (session.access_key_id.to_string(), session.token.expose().to_owned()))
                    .collect();
                assert_eq!((ids.len(), calls, kept), (usize::from(!got.is_empty()), [1, 1], 2), "{what}");
            }
            Mishap::Refused(action) => {
                all(|error| matches!(error, Error::Aws(aws::Error::AccessDenied { .. })));
                let wanted = if action == "AssumeRole" { ([1, 1], 1) } else { ([1, 0], 0) };
                assert_eq!((calls, kept), wanted, "{what}: nothing of it is kept");
            }
            Mishap::Locked => {
                all(|error| matches!(error, Error::Locked | Error::Vault(vault::Error::Locked)));
                assert_eq!((calls, kept), ([1, 0], 0), "{what}");
            }
            Mishap::LoggedOut => {
                all(|error| matches!(error, Error::Locked));
                assert_eq!((calls, kept), ([1, 0], 1), "{what}: the session of the user alone");
            }
        }
    }

    /// Whatever happened, the next ones are served, by no more than is missing.
    async fn again(self, what: &str) {
        if self.mishap == Mishap::Locked {
            self.rig.unlock().unwrap();
        }
        self.rig.clock.release();
        // A refusal that nobody met, since everybody left before a code was typed.
        self.rig.network.unscript();
        let before = self.rig.network.count();
        let mut askers = Vec::new();
        for _ in 0..10 {
            let (listener, end) = Listener::new(self.typed);
            askers.push((tokio::spawn(self.ask(Fate::Stays, listener)), end));
        }
        let (mut ids, mut shown) = (BTreeSet::new(), None);
        for (asker, mut end) in askers {
            let mut asker = pin!(asker);
            let got = loop {
                tokio::select! {
                    biased;
                    got = &mut asker => break got.unwrap(),
                    Some(Upcall::Question { answer, .. }) = end.recv() => {
                        let step = i64::try_from((self.rig.passed() + 500) / 30_000).unwrap();
                        // One of them types it, and the code after the one that was used.
                        if shown.replace(step).is_none() {
                            self.rig.clock.advance_millis(30_000);
                            let code = TypedAnswer::from_text(self.rig.code(step + 1));
                            answer.send(Some(code)).await.unwrap();
                        }
                    }
                }
            };
            let session = got.expect("no limit").unwrap_or_else(|error| panic!("{what}: {error:?}"));
            ids.insert(session.access_key_id.to_string());
        }
        quiet().await;
        let calls = self.rig.network.count() - before;
        assert!(ids.len() == 1 && calls <= 2, "{what}: {ids:?}, {calls} calls");
        assert_eq!(self.rig.office.sessions().len(), 2, "{what}");
        self.rig.no_code_twice();
    }
}

type Answer = tokio::sync::mpsc::Sender<Option<TypedAnswer>>;

/// As STS says it (STS API, common errors).
const DENIED: &str = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
    <Code>AccessDenied</Code><Message>not authorized</Message></Error><RequestId>1</RequestId></ErrorResponse>";

/// What an asker got, if it ends; a hang is a failure.
async fn finish(asker: JoinHandle<Got>) -> Got {
    until("an answer", || asker.is_finished()).await;
    asker.await.unwrap()
}

/// The phone is not in the vault, but the profile names it.
fn without_phone() -> Rig {
    let profile = "[typed]\nclaviger_access_key = ada\nrole_arn = arn:aws:iam::123456789012:role/prod-admin\n\
                   mfa_serial = arn:aws:iam::123456789012:mfa/ada-phone\n";
    let rig = Rig::with(Seed::demo(7), profile);
    rig.edit(|items| items.authenticators.clear());
    rig.clock.advance_millis(PRESENCE);
    rig
}
