//! How often people are asked, for whom they are not, and who shares an answer.

use super::clients::{next, of_session, waiting};
use super::notices::{Bus, Told, desktop};
use super::pins::pin;
use super::{Desk, allowed, poll_once, question, typed, yes};
use crate::ask::{Asking, Audience};
use crate::prompt::limits::BUS_MILLIS;
use crate::prompt::{NoPin, Prompts, Question, Same, Unasked, Verdict};
use crate::world::SessionBus;
use claviger::secret::SecretText;
use std::sync::Arc;

/// Asks, and what comes of it where it is answered at once.
async fn answered(prompts: &Arc<Prompts>, audience: &Audience) -> Option<bool> {
    allowed(&prompts.confirm(&question(), audience).await)
}

/// Why nobody is asked.
async fn why(prompts: &Arc<Prompts>, audience: &Audience) -> &'static str {
    match prompts.confirm(&question(), audience).await {
        Verdict::Unasked(Unasked::Silent) => "silent",
        Verdict::Unasked(Unasked::Blocked) => "blocked",
        Verdict::Unasked(Unasked::Weary) => "weary",
        Verdict::Unasked(Unasked::TooMany) => "too many",
        _ => "asked",
    }
}

#[tokio::test]
async fn nobody_is_asked_until_they_give_in() {
    let desk = Desk::new();
    let no = desk.prompts(desk.askpass("echo x >> \"$HOME/ran\"; exit 1"));
    let (tiresome, other) = (of_session(1), of_session(2));
    for _ in 0..2 {
        assert_eq!(answered(&no, &tiresome).await, Some(false));
    }
    assert_eq!(why(&no, &tiresome).await, "silent");
    assert!(matches!(no.pin(&pin(), &tiresome).await, Err(NoPin::Unasked(Unasked::Silent))));
    assert_eq!(answered(&no, &other).await, Some(false), "another session");
    for _ in 0..3 {
        desk.clock.advance_millis(59_999);
        assert_eq!(why(&no, &tiresome).await, "silent");
        desk.clock.advance_millis(1);
        assert_eq!(answered(&no, &tiresome).await, Some(false));
    }
    desk.clock.advance_millis(24 * 3_600_000);
    assert_eq!(why(&no, &tiresome).await, "blocked");
    assert_eq!(desk.read("ran").lines().count(), 6, "whoever is not asked sees nothing");
    assert_eq!(answered(&no, &other).await, Some(false));
    // Lifted by whoever wants to be asked, and by whoever opens the vault.
    drop(no.attend());
    assert_eq!(answered(&no, &tiresome).await, Some(false));
    for _ in 0..4 {
        answered(&no, &tiresome).await;
        desk.clock.advance_millis(60_000);
    }
    assert_eq!(why(&no, &tiresome).await, "blocked");
    no.forgive();
    assert_eq!(answered(&no, &tiresome).await, Some(false));
}

#[tokio::test]
async fn what_nobody_answers_counts_and_what_nobody_could_does_not() {
    let desk = Desk::new();
    let silent = desk.prompts(desk.programs());
    let tiresome = of_session(1);
    let attending = silent.attend();
    let question = question();
    for withdrawn in [true, true, true, true, false] {
        let mut asked = Box::pin(silent.confirm(&question, &tiresome));
        assert!(poll_once(&mut asked).is_none());
        if !withdrawn {
            desk.clock.advance_millis(120_000);
            assert!(matches!(asked.await, Verdict::Unasked(Unasked::TimedOut)));
        }
    }
    assert_eq!(why(&silent, &tiresome).await, "weary");
    desk.clock.advance_millis(180_000);
    // The control: it is asked, and waits.
    let mut asked = Box::pin(silent.confirm(&question, &tiresome));
    assert!(poll_once(&mut asked).is_none());
    assert!(attending.answer(attending.shown_number(), yes(true)));
    assert!(matches!(asked.await, Verdict::Allowed));
    // Where nobody can be asked, nobody is tired.
    let deaf = desk.prompts(desk.programs());
    for _ in 0..10 {
        assert!(matches!(deaf.confirm(&question, &tiresome).await, Verdict::Unasked(Unasked::Nobody)));
    }
}

#[tokio::test]
async fn a_yes_forgives_and_is_no_flood() {
    let desk = Desk::new();
    let body = "echo x >> \"$HOME/count\"; test $(($(wc -l < \"$HOME/count\") % 2)) = 0";
    let prompts = desk.prompts(desk.askpass(body));
    let audience = of_session(1);
    for number in 1..=20 {
        assert_eq!(answered(&prompts, &audience).await, Some(number % 2 == 0));
    }
}

#[tokio::test]
async fn five_a_minute_are_refused_of_all_sessions_together() {
    let desk = Desk::new();
    let prompts = desk.prompts(desk.askpass("exit 1"));
    for session in 0..5 {
        assert_eq!(answered(&prompts, &of_session(session)).await, Some(false));
    }
    for session in [5, 0] {
        assert_eq!(why(&prompts, &of_session(session)).await, "too many");
    }
    desk.clock.advance_millis(60_000);
    assert_eq!(answered(&prompts, &of_session(5)).await, Some(false));
}

#[tokio::test]
async fn whoever_waits_is_asked_at_their_terminal_though_the_others_are_left_alone() {
    let desk = Desk::new();
    let prompts = desk.prompts(desk.askpass("echo x >> \"$HOME/ran\"; exit 1"));
    let attending = prompts.attend();
    for session in 0..5 {
        let (audience, background) = (of_session(session), question());
        let mut asked = Box::pin(prompts.confirm(&background, &audience));
        assert!(poll_once(&mut asked).is_none());
        assert!(attending.answer(attending.shown_number(), yes(false)));
        assert!(matches!(asked.await, Verdict::Refused));
    }
    let ran = desk.read("ran");
    assert_eq!(why(&prompts, &of_session(9)).await, "too many");
    let (audience, mut upcalls) = waiting();
    let question = pin();
    // As often as they like: it tires nobody else.
    for _ in 0..10 {
        let mut asked = Box::pin(prompts.pin(&question, &audience));
        assert!(poll_once(&mut asked).is_none());
        let (shown, answer) = next(&mut upcalls);
        assert_eq!(attending.shown(), None, "those who attend see nothing of it");
        assert!(!attending.answer(shown.number, typed("654321")), "and cannot answer it");
        answer.send(typed("")).await.unwrap();
        assert!(matches!(asked.await, Err(NoPin::Refused)));
    }
    let mut asked = Box::pin(prompts.pin(&question, &audience));
    assert!(poll_once(&mut asked).is_none());
    next(&mut upcalls).1.send(typed("123456")).await.unwrap();
    assert_eq!(asked.await.unwrap().expose(), "123456");
    // What they leave to others is refused: that is no way around.
    let mut asked = Box::pin(prompts.pin(&question, &audience));
    assert!(poll_once(&mut asked).is_none());
    drop(next(&mut upcalls));
    assert!(matches!(asked.await, Err(NoPin::Unasked(Unasked::TooMany))));
    assert_eq!(desk.read("ran"), ran);
    // The control: once they may be asked again, the others see it, and a program is run.
    drop(attending);
    let attending = prompts.attend();
    let mut asked = Box::pin(prompts.pin(&question, &audience));
    assert!(poll_once(&mut asked).is_none());
    drop(next(&mut upcalls));
    assert!(attending.shown().is_some());
    assert!(matches!(asked.await, Err(NoPin::Refused)));
    assert_ne!(desk.read("ran"), ran);
}

#[tokio::test]
async fn one_that_is_left_again_and_again_to_others_counts() {
    let desk = Desk::new();
    let prompts = desk.prompts(desk.askpass("exit 1"));
    let (audience, mut upcalls) = waiting();
    let question = pin();
    for refused in [false, false, true] {
        let mut asked = Box::pin(prompts.pin(&question, &audience));
        assert!(poll_once(&mut asked).is_none());
        drop(next(&mut upcalls));
        let left_alone = matches!(asked.await, Err(NoPin::Unasked(Unasked::Silent)));
        assert_eq!(left_alone, refused);
    }
}

#[tokio::test]
async fn the_desktop_says_once_that_nobody_is_asked_any_more() {
    let desk = Desk::new();
    let bus = Bus::start(desk.folder.path());
    let (_connection, mut told) = desktop(&bus).await;
    let prompts = desk.prompts(desk.askpass("exit 1"));
    prompts.set_desktop(SessionBus::Socket(bus.socket.clone()));
    // The bus takes its own time.
    desk.clock.hold();
    let tiresome = of_session(1);
    for _ in 0..5 {
        assert!(told.try_recv().is_err());
        desk.clock.advance_millis(60_000);
        assert_eq!(answered(&prompts, &tiresome).await, Some(false));
    }
    let Some(Told::Shown { summary, body, .. }) = told.recv().await else { panic!("nothing is told") };
    assert_eq!(summary, "claviger asks for a program no more");
    assert_eq!(
        body,
        "Asked by a program that has ended.\nFive questions of its session were refused. claviger prompts lifts that."
    );
    assert_eq!(why(&prompts, &tiresome).await, "blocked");
    // It is told before the answer to that is back, which would come too late after a minute.
    while desk.clock.wakes_within(BUS_MILLIS) {
        tokio::task::yield_now().await;
    }
    desk.clock.advance_millis(60_000);
    assert!(matches!(told.recv().await, Some(Told::Closed(_))));
    assert!(told.try_recv().is_err());
}

fn same(purpose: &str, lasts: bool) -> Same {
    Same { purpose: purpose.to_owned(), lasts }
}

fn lines(asking: &Asking) -> Vec<String> {
    let Asking::Confirm(Question { lines, .. }) = asking else { panic!("no question") };
    lines.clone()
}

#[tokio::test]
async fn those_who_ask_for_the_same_get_one_question_and_its_answer() {
    for answer in [true, false] {
        let desk = Desk::new();
        let prompts = desk.prompts(desk.programs());
        let attending = prompts.attend();
        let (question, audience) = (question(), of_session(1));
        let (a, b, other) = (same("a", true), same("a", true), same("b", true));
        let mut first = Box::pin(prompts.confirm_together(&question, &a, &audience));
        let mut second = Box::pin(prompts.confirm_together(&question, &b, &audience));
        let mut another = Box::pin(prompts.confirm_together(&question, &other, &audience));
        for asked in [&mut first, &mut second, &mut another] {
            assert!(poll_once(asked).is_none());
        }
        let shown = attending.shown().unwrap();
        assert!(attending.answer(shown.number, yes(answer)));
        assert_eq!(allowed(&first.await), Some(answer));
        assert_eq!(allowed(&second.await), Some(answer));
        assert!(poll_once(&mut another).is_none(), "another purpose has its own");
        assert!(attending.shown_number() > shown.number);
    }
}

#[tokio::test]
async fn a_yes_that_does_not_last_is_for_those_that_the_question_counts() {
    let desk = Desk::new();
    let prompts = desk.prompts(desk.programs());
    let attending = prompts.attend();
    let (question, audience) = (question(), of_session(1));
    let (block, each) = (same("block", false), same("each", false));
    let mut blocking = Box::pin(prompts.confirm_together(&question, &block, &audience));
    assert!(poll_once(&mut blocking).is_none());
    let mut waiting: Vec<_> = (0..4).map(|_| Box::pin(prompts.confirm_together(&question, &each, &audience))).collect();
    for asked in &mut waiting {
        assert!(poll_once(asked).is_none());
    }
    // One gives up before it is shown.
    drop(waiting.pop());
    assert!(attending.answer(attending.shown_number(), yes(true)));
    assert!(matches!(blocking.await, Verdict::Allowed));
    assert!(poll_once(&mut waiting[0]).is_none());
    let shown = attending.shown().unwrap();
    assert_eq!(lines(&shown.asking).last().unwrap(), "2 more requests for the same wait for this answer.");
    // One that comes while it is shown has its own.
    let mut late = Box::pin(prompts.confirm_together(&question, &each, &audience));
    assert!(poll_once(&mut late).is_none());
    assert!(attending.answer(shown.number, yes(true)));
    for asked in waiting {
        assert!(matches!(asked.await, Verdict::Allowed));
    }
    assert!(poll_once(&mut late).is_none());
    let shown = attending.shown().unwrap();
    assert_eq!(lines(&shown.asking), question.lines);
    assert!(attending.answer(shown.number, yes(false)));
    assert!(matches!(late.await, Verdict::Refused));
}

#[tokio::test]
async fn where_the_one_who_asked_goes_the_others_ask_for_themselves() {
    let desk = Desk::new();
    let prompts = desk.prompts(desk.programs());
    let attending = prompts.attend();
    let (question, audience, same) = (question(), of_session(1), same("a", true));
    let mut first = Box::pin(prompts.confirm_together(&question, &same, &audience));
    let mut second = Box::pin(prompts.confirm_together(&question, &same, &audience));
    assert!(poll_once(&mut first).is_none() && poll_once(&mut second).is_none());
    let number = attending.shown_number();
    drop(first);
    assert!(poll_once(&mut second).is_none());
    assert!(attending.shown_number() > number);
    assert!(attending.answer(attending.shown_number(), yes(true)));
    assert!(matches!(second.await, Verdict::Allowed));
}
