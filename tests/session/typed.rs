//! Codes of a device that only a person has.

use crate::rig::{PRESENCE, Rig, phone, quiet, settle};
use claviger::secret::{SecretText, TypedAnswer};
use claviger_agent::ask::{Listener, Upcall};
use claviger_agent::session::{Error, Session};
use claviger_sandbox::Seed;
use std::sync::Arc;
use tokio::sync::mpsc::{Sender, UnboundedReceiver};
use tokio::task::JoinHandle;

type End = UnboundedReceiver<Upcall>;
type Answer = Sender<Option<TypedAnswer>>;
type Asked = JoinHandle<Result<Arc<Session>, Arc<Error>>>;

/// The phone is not in the vault, but the profile names it.
fn rig() -> Rig {
    let profile = "[typed]\nclaviger_access_key = ada\nrole_arn = arn:aws:iam::123456789012:role/prod-admin\n\
                   mfa_serial = arn:aws:iam::123456789012:mfa/ada-phone\n";
    let rig = Rig::with(Seed::demo(7), profile);
    rig.edit(|items| items.authenticators.clear());
    rig.clock.advance_millis(PRESENCE);
    assert_eq!(rig.office.presence_left(), None);
    rig
}

impl Rig {
    /// A request of somebody who can answer, or not.
    fn request(&self, answers: bool) -> (Asked, End) {
        let (listener, end) = Listener::new(answers);
        let (office, plan) = (self.office.clone(), self.plan("typed"));
        (tokio::spawn(async move { office.credentials(plan, listener).await }), end)
    }

    /// The code that the phone shows now.
    fn shown(&self) -> String {
        self.code(i64::try_from((self.passed() + 500) / 30_000).unwrap())
    }

    fn tokens(&self) -> u64 {
        self.calls("GetSessionToken")
    }
}

async fn question(end: &mut End) -> Answer {
    match end.recv().await {
        Some(Upcall::Question { prompt, answer }) => {
            assert_eq!(prompt, "code of arn:aws:iam::123456789012:mfa/ada-phone for typed");
            answer
        }
        _ => panic!("a question"),
    }
}

async fn say(answer: Answer, text: &str) {
    answer.send(Some(TypedAnswer::from_text(text.to_owned()))).await.unwrap();
}

async fn code_needed(asked: Asked) {
    match asked.await.unwrap().err().as_deref() {
        Some(Error::CodeNeeded(serial)) => assert_eq!(*serial, phone()),
        Some(other) => panic!("{other:?}"),
        None => panic!("a session"),
    }
}

#[tokio::test]
async fn where_nobody_can_be_asked_that_is_told_at_once() {
    let rig = rig();
    rig.clock.hold();
    let (asked, mut end) = rig.request(false);
    code_needed(asked).await;
    assert!(end.try_recv().is_err(), "who cannot answer is not asked");
    assert_eq!(rig.network.count(), 0);
    quiet().await;
    assert_eq!(rig.network.count(), 0);
}

#[tokio::test]
async fn an_answer_is_used_and_is_a_human_act() {
    let rig = rig();
    let (asked, mut end) = rig.request(true);
    say(question(&mut end).await, &format!(" {} \n", rig.shown())).await;
    assert!(asked.await.unwrap().is_ok());
    assert_eq!(rig.office.presence_left(), Some(PRESENCE));
    assert_eq!((rig.tokens(), rig.steps().len()), (1, 1));
}

#[tokio::test]
async fn of_two_who_wait_one_may_decline() {
    let rig = rig();
    let ((first, mut first_end), (second, mut second_end)) = (rig.request(true), rig.request(true));
    let declined = question(&mut first_end).await;
    declined.send(None).await.unwrap();
    drop(declined);
    say(question(&mut second_end).await, &rig.shown()).await;
    let (first, second) = (first.await.unwrap().ok().unwrap(), second.await.unwrap().ok().unwrap());
    assert_eq!(first.access_key_id, second.access_key_id);
    assert_eq!((rig.tokens(), rig.calls("AssumeRole")), (1, 1));
}

#[tokio::test]
async fn where_all_decline_a_code_is_still_needed() {
    let rig = rig();
    let ((first, mut first_end), (second, mut second_end)) = (rig.request(true), rig.request(true));
    for end in [&mut first_end, &mut second_end] {
        question(end).await.send(None).await.unwrap();
    }
    code_needed(first).await;
    code_needed(second).await;
    assert_eq!((rig.network.count(), rig.office.presence_left()), (0, None));
}

#[tokio::test]
async fn what_is_no_code_is_asked_again_and_never_sent() {
    let rig = rig();
    let (asked, mut end) = rig.request(true);
    for wrong in ["12345", "abcdef"] {
        say(question(&mut end).await, wrong).await;
    }
    say(question(&mut end).await, &rig.shown()).await;
    assert!(asked.await.unwrap().is_ok());
    assert_eq!((rig.tokens(), rig.network.codes().len()), (1, 1));
}

#[tokio::test]
async fn three_answers_that_are_no_codes_are_enough() {
    let rig = rig();
    let (asked, mut end) = rig.request(true);
    for wrong in ["", "1234567", "١٢٣٤٥٦"] {
        say(question(&mut end).await, wrong).await;
    }
    code_needed(asked).await;
    assert_eq!((rig.network.count(), rig.office.presence_left()), (0, None), "and no presence");
}

#[tokio::test]
async fn a_refused_code_is_asked_once_more() {
    let rig = rig();
    let (asked, mut end) = rig.request(true);
    let wrong = rig.code(-100);
    for _ in 0..2 {
        say(question(&mut end).await, &wrong).await;
    }
    match asked.await.unwrap().err().as_deref() {
        Some(Error::CodeRefused { held: false, serial }) => assert_eq!(*serial, phone()),
        other => panic!("{:?}", other.map(ToString::to_string)),
    }
    assert_eq!((rig.tokens(), rig.office.sessions().len()), (2, 0));
    let (asked, mut end) = rig.request(true);
    say(question(&mut end).await, &wrong).await;
    say(question(&mut end).await, &rig.shown()).await;
    assert!(asked.await.unwrap().is_ok());
    assert_eq!(rig.tokens(), 4);
}

#[tokio::test]
async fn an_asker_who_leaves_is_no_answer() {
    let rig = rig();
    let (asked, mut end) = rig.request(true);
    let answer = question(&mut end).await;
    drop((answer, end));
    code_needed(asked).await;
    let (asked, end) = rig.request(true);
    drop(end);
    code_needed(asked).await;
    assert_eq!(rig.network.count(), 0);
}

#[tokio::test]
async fn when_the_first_asker_leaves_the_other_one_answers() {
    let rig = rig();
    let ((first, mut first_end), (second, mut second_end)) = (rig.request(true), rig.request(true));
    drop(question(&mut first_end).await);
    first.abort();
    drop(first_end);
    settle().await;
    say(question(&mut second_end).await, &rig.shown()).await;
    assert!(second.await.unwrap().is_ok());
    assert_eq!(rig.tokens(), 1);
}
