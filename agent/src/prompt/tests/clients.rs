//! Clients that wait for an answer, beside those that attend and a program.

use super::pins::pin;
use super::{Desk, allowed, meanwhile, nobody, poll_once, process, question, typed, yes};
use crate::ask::{Asked, Asking, Audience, Display, Listener, Upcall};
use crate::prompt::{NoPin, PinQuestion, Question, Unasked, Verdict};
use crate::world::ended;
use claviger::model::AuditPeer;
use claviger::secret::{SecretText, TypedAnswer};
use std::sync::Arc;
use tokio::sync::mpsc::{Sender, UnboundedReceiver};

/// A client that waits, and can be asked.
pub(super) fn waiting() -> (Audience, UnboundedReceiver<Upcall>) {
    let (listener, upcalls) = Listener::new(true);
    (Audience::of(listener), upcalls)
}

pub(super) fn next(upcalls: &mut UnboundedReceiver<Upcall>) -> (Asked, Sender<Option<TypedAnswer>>) {
    match upcalls.try_recv() {
        Ok(Upcall::Prompt { asked, answer }) => (asked, answer),
        _ => panic!("no question"),
    }
}

/// Whose session this is.
pub(super) fn of_session(leader: i32) -> Audience {
    Audience::silent(Arc::new(move || AuditPeer { leader: Some(leader), ..AuditPeer::default() }))
}

#[tokio::test]
async fn whoever_waits_is_asked_and_no_program_until_they_decline() {
    let desk = Desk::new();
    let prompts = desk.prompts(desk.askpass("touch \"$HOME/ran\"; echo 654321"));
    let (audience, mut upcalls) = waiting();
    let question = pin();
    let mut asked = Box::pin(prompts.pin(&question, &audience));
    assert!(poll_once(&mut asked).is_none());
    let (shown, answer) = next(&mut upcalls);
    assert_eq!(*shown.asking, Asking::Secret(question.clone()));
    answer.send(typed("123456")).await.unwrap();
    assert_eq!(asked.await.unwrap().expose(), "123456");
    assert!(!desk.file("ran").exists());
    // What is too long is asked for again, and says so.
    let mut asked = Box::pin(prompts.pin(&question, &audience));
    assert!(poll_once(&mut asked).is_none());
    let (first, answer) = next(&mut upcalls);
    answer.send(typed("123456789")).await.unwrap();
    assert!(poll_once(&mut asked).is_none());
    let (second, answer) = next(&mut upcalls);
    assert!(second.number > first.number);
    let problem = Some("It has at most 8 characters.".to_owned());
    assert_eq!(*second.asking, Asking::Secret(PinQuestion { problem, ..question.clone() }));
    // Left to others: then it is the program's.
    answer.send(None).await.unwrap();
    drop(answer);
    assert_eq!(asked.await.unwrap().expose(), "654321");
    assert!(desk.file("ran").exists());
    // One that goes leaves it to others too, and an empty answer is a refusal.
    let mut asked = Box::pin(prompts.pin(&question, &audience));
    assert!(poll_once(&mut asked).is_none());
    drop(next(&mut upcalls));
    assert_eq!(asked.await.unwrap().expose(), "654321");
    let mut asked = Box::pin(prompts.pin(&question, &audience));
    assert!(poll_once(&mut asked).is_none());
    next(&mut upcalls).1.send(typed("")).await.unwrap();
    assert!(matches!(asked.await, Err(NoPin::Refused)));
}

#[tokio::test]
async fn yes_and_no_are_asked_of_whoever_waits_likewise() {
    let desk = Desk::new();
    let prompts = desk.prompts(desk.programs());
    let question = question();
    for answer in [true, false] {
        let (audience, mut upcalls) = waiting();
        let mut asked = Box::pin(prompts.confirm(&question, &audience));
        assert!(poll_once(&mut asked).is_none());
        let (shown, sender) = next(&mut upcalls);
        assert_eq!(*shown.asking, Asking::Confirm(question.clone()));
        sender.send(yes(answer)).await.unwrap();
        assert_eq!(allowed(&asked.await), Some(answer));
    }
    // One without a person is not asked.
    let (listener, mut upcalls) = Listener::new(false);
    let verdict = prompts.confirm(&question, &Audience::of(listener)).await;
    assert!(matches!(verdict, Verdict::Unasked(Unasked::Nobody)) && upcalls.try_recv().is_err());
}

#[tokio::test]
async fn whoever_answers_first_ends_it_everywhere() {
    for by_program in [false, true] {
        let desk = Desk::new();
        let fifo = desk.fifo();
        let body = "echo $$ > \"$HOME/fifo\"; read -r line < \"$HOME/go\"; echo 222222";
        let prompts = desk.prompts(desk.askpass(body));
        assert!(std::process::Command::new("mkfifo").arg(desk.file("go")).status().unwrap().success());
        let mut attending = prompts.attend();
        assert_eq!(attending.changed().await, None);
        let question = pin();
        let mut asked = Box::pin(prompts.pin(&question, nobody()));
        let program = process(meanwhile(&mut asked, fifo).await.trim());
        let shown = attending.changed().await.unwrap();
        if by_program {
            std::fs::write(desk.file("go"), "x\n").unwrap();
        } else {
            assert!(attending.answer(shown.number, typed("111111")));
        }
        assert_eq!(asked.await.unwrap().expose(), if by_program { "222222" } else { "111111" });
        assert!(!attending.answer(shown.number, typed("333333")));
        assert_eq!(attending.changed().await, None, "it is over");
        ended(program).await;
    }
    // One that attends, before one that waits.
    let desk = Desk::new();
    let prompts = desk.prompts(desk.programs());
    let (attending, (audience, mut upcalls)) = (prompts.attend(), waiting());
    let question = pin();
    let mut asked = Box::pin(prompts.pin(&question, &audience));
    assert!(poll_once(&mut asked).is_none());
    let (shown, answer) = next(&mut upcalls);
    assert!(attending.answer(shown.number, typed("111111")));
    assert_eq!(asked.await.unwrap().expose(), "111111");
    answer.closed().await;
}

#[tokio::test]
async fn a_program_is_shown_where_its_client_is() {
    let desk = Desk::new();
    let variables = "\"$DISPLAY $WAYLAND_DISPLAY $XAUTHORITY $DBUS_SESSION_BUS_ADDRESS\"";
    let mut programs = desk.askpass(&format!("echo {variables} > \"$HOME/heard\""));
    for (name, value) in
        [("WAYLAND_DISPLAY", "wayland-0"), ("XAUTHORITY", "/a"), ("DBUS_SESSION_BUS_ADDRESS", "unix:x")]
    {
        programs.environment.push((name.into(), value.into()));
    }
    let some = |text: &str| Some(text.to_owned());
    for (display, wanted) in [
        (None, ":7 wayland-0 /a unix:x"),
        (Display::of(some(":9"), None, some("/b"), None), ":9  /b unix:x"),
        (Display::of(None, some("wayland-5"), None, some("unix:y")), " wayland-5  unix:y"),
    ] {
        let (listener, _) = Listener::new(false);
        let audience = Audience::of(listener.at(display.map(Arc::new)));
        let verdict = desk.prompts(programs.clone()).confirm(&question(), &audience).await;
        assert!(matches!(verdict, Verdict::Allowed));
        assert_eq!(desk.read("heard").trim_end_matches('\n'), wanted);
    }
}

#[tokio::test]
async fn no_text_can_draw_or_push_the_question_away() {
    let desk = Desk::new();
    let prompts = desk.prompts(desk.programs());
    let attending = prompts.attend();
    let lines = vec![format!("a\u{1b}[2J\n\u{202e}{}", "x".repeat(1000)); 100];
    let hostile = Question { title: "Sign\u{7}?".to_owned(), lines };
    let mut asked = Box::pin(prompts.confirm(&hostile, nobody()));
    assert!(poll_once(&mut asked).is_none());
    let Asking::Confirm(shown) = &*attending.shown().unwrap().asking else { panic!("no question") };
    assert_eq!((shown.title.as_str(), shown.lines.len()), ("Sign??", 17));
    assert!(shown.lines.iter().all(|line| line.chars().count() <= 301 && !line.contains(['\u{1b}', '\n', '\u{202e}'])));
}
