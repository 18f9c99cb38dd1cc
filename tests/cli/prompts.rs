//! `claviger prompts`: a person at a terminal, and an agent that asks, asks no longer, and asks again.

use crate::agent::{Home, Line};
use crate::program::{OnTerminal, run};
use crate::{no_request, status};
use claviger::wire::{Code, Event, Fault, Reply, Request};
use std::sync::Mutex;
use std::sync::mpsc::channel;

fn ask(line: &mut Line, number: u64) {
    let title = "Use the key a\u{1b}da?".to_owned();
    line.event(Event::ConfirmNeeded { number, title, lines: vec!["for git on host".to_owned()] });
}

fn enough() -> Result<Reply, Fault> {
    Err(Fault::new(Code::Internal, "enough"))
}

#[test]
fn questions_are_answered_one_after_the_other() {
    let home = Home::new();
    let (go, gone) = channel::<()>();
    let (tell, told) = channel();
    let gone = Mutex::new(gone);
    home.serve("run", move |request, line| match request {
        Request::Status {} => Ok(status("locked")),
        Request::Prompts {} => {
            assert!(line.hello.answers);
            let go = gone.lock().expect("one test");
            ask(line, 7);
            tell.send(line.hear()).expect("a test");
            ask(line, 8);
            go.recv().expect("a test");
            line.event(Event::ConfirmOver { number: 8 });
            ask(line, 9);
            tell.send(line.hear()).expect("a test");
            // One that is not on the screen.
            line.event(Event::ConfirmOver { number: 9 });
            go.recv().expect("a test");
            enough()
        }
        other => no_request(other),
    });
    let mut person = OnTerminal::start(&home, &["prompts"]);
    person.wait_for("\u{7}\r\nUse the key a?da?\r\n  for git on host\r\nAllow? [y/n] ");
    for answer in ["", "perhaps"] {
        person.enter(answer);
        person.wait_for("Allow? [y/n] ");
    }
    person.enter("Yes");
    assert_eq!(told.recv().expect("an answer"), Some((Some("y".to_owned()), Some(7))));
    person.wait_for("Allow? [y/n] ");
    // Typed by half when the question goes: it is no part of the next answer.
    person.press("y");
    person.wait_for("y");
    go.send(()).expect("the agent");
    person.wait_for("No longer asked: answered elsewhere, or given up.");
    person.wait_for("Allow? [y/n] ");
    person.enter("n");
    assert_eq!(told.recv().expect("an answer"), Some((Some("n".to_owned()), Some(9))));
    // Nothing is asked now.
    person.enter("y");
    go.send(()).expect("the agent");
    person.wait_for("claviger: enough");
    let ended = person.end();
    assert!(ended.exit == 1 && !ended.stderr.contains("No longer asked"), "{ended:?}");
}

#[test]
fn the_end_of_input_ends_it_well() {
    let home = Home::new();
    let (tell, told) = channel();
    home.serve("run", move |request, line| match request {
        Request::Status {} => Ok(status("locked")),
        Request::Prompts {} => {
            ask(line, 7);
            tell.send(line.hear()).expect("a test");
            enough()
        }
        other => no_request(other),
    });
    let mut person = OnTerminal::start(&home, &["prompts"]);
    person.wait_for("Allow? [y/n] ");
    person.press("\u{4}");
    assert_eq!(told.recv().expect("the agent is told"), None);
    assert_eq!(person.end().exit, 0);
}

#[test]
fn without_a_terminal_it_is_refused_and_nobody_asked() {
    let home = Home::new();
    home.serve("run", |request, _| no_request(request));
    let refused = run(&home, &["prompts"], "y\n");
    assert_eq!((refused.exit, refused.stdout.as_str()), (4, ""));
    assert_eq!(refused.stderr, "claviger: questions are answered at a terminal, and stdin is none\n");
}

fn pin(number: u64, problem: Option<&str>) -> Event {
    Event::PinNeeded {
        number,
        device: "YubiKey (serial 1234)".to_owned(),
        wanted: "PIV PIN".to_owned(),
        purpose: "To log in as a\u{1b}da.".to_owned(),
        asked_by: "Asked by ssh.".to_owned(),
        tries_left: Some(2),
        problem: problem.map(str::to_owned),
    }
}

fn touch(number: u64) -> Event {
    Event::TouchNeeded {
        number,
        device: "YubiKey (serial 1234)".to_owned(),
        purpose: "To log in.".to_owned(),
        asked_by: "Asked by ssh.".to_owned(),
    }
}

const PIN: &str = "\u{7}\r\nEnter the PIV PIN of YubiKey (serial 1234)\r\n  To log in as a?da.\r\n  Asked by ssh.\r\n  \
                   2 tries are left.\r\nPIV PIN, or Enter alone to cancel: ";

#[test]
fn a_pin_is_typed_unseen_and_touches_come_and_go() {
    let home = Home::new();
    let (go, gone) = channel::<()>();
    let (tell, told) = channel();
    let gone = Mutex::new(gone);
    home.serve("run", move |request, line| match request {
        Request::Status {} => Ok(status("locked")),
        Request::Prompts {} => {
            let go = gone.lock().expect("one test");
            line.event(pin(7, None));
            tell.send(line.hear()).expect("a test");
            line.event(touch(8));
            line.event(pin(9, Some("The PIN is wrong.")));
            go.recv().expect("a test");
            line.event(Event::TouchOver { number: 8 });
            line.event(Event::PinOver { number: 9 });
            line.event(pin(10, None));
            tell.send(line.hear()).expect("a test");
            ask(line, 11);
            tell.send(line.hear()).expect("a test");
            enough()
        }
        other => no_request(other),
    });
    let mut person = OnTerminal::start(&home, &["prompts"]);
    person.wait_for(PIN);
    person.enter_hidden(" 12 345 ");
    // Exactly as typed.
    assert_eq!(told.recv().expect("an answer"), Some((Some(" 12 345 ".to_owned()), Some(7))));
    person.wait_for("\u{7}Touch your YubiKey (serial 1234): To log in. Asked by ssh.");
    person.wait_for("  The PIN is wrong.\r\n  To log in as a?da.");
    person.wait_for("PIV PIN, or Enter alone to cancel: ");
    go.send(()).expect("the agent");
    person.wait_for("No touch of the YubiKey (serial 1234) is needed any more.");
    person.wait_for("No longer asked: answered elsewhere, or given up.");
    person.wait_for(PIN);
    person.enter_hidden("");
    assert_eq!(told.recv().expect("an answer"), Some((Some(String::new()), Some(10))));
    // What is typed is shown again.
    person.wait_for("Allow? [y/n] ");
    person.enter("y");
    person.wait_for("y\r\n");
    assert_eq!(told.recv().expect("an answer"), Some((Some("y".to_owned()), Some(11))));
    let ended = person.end();
    assert!(ended.exit == 1 && !ended.stderr.contains("345"), "{ended:?}");
}

#[test]
fn whoever_waits_is_asked_and_told_to_touch() {
    let home = Home::new();
    let (go, gone) = channel::<()>();
    let (tell, told) = channel();
    let gone = Mutex::new(gone);
    home.serve("run", move |request, line| match request {
        Request::Status {} => Ok(status("unlocked")),
        Request::Logout { .. } => {
            let go = gone.lock().expect("one test");
            line.event(pin(7, None));
            tell.send(line.hear()).expect("a test");
            line.event(touch(8));
            go.recv().expect("a test");
            line.event(Event::TouchOver { number: 8 });
            line.event(pin(9, None));
            go.recv().expect("a test");
            line.event(Event::PinOver { number: 9 });
            ask(line, 10);
            tell.send(line.hear()).expect("a test");
            Ok(Reply::Done {})
        }
        other => no_request(other),
    });
    let mut person = OnTerminal::start(&home, &["logout", "prod"]);
    person.wait_for(PIN);
    person.enter_hidden("123456");
    assert_eq!(told.recv().expect("an answer"), Some((Some("123456".to_owned()), Some(7))));
    person.wait_for("Touch your YubiKey (serial 1234): To log in. Asked by ssh.");
    go.send(()).expect("the agent");
    person.wait_for("\r\u{1b}[K");
    person.wait_for(PIN);
    // Answered elsewhere, with half of it typed here.
    person.press("12");
    go.send(()).expect("the agent");
    person.wait_for("No longer asked: answered elsewhere, or given up.");
    person.wait_for("Allow? [y/n] ");
    person.enter("n");
    assert_eq!(told.recv().expect("an answer"), Some((Some("n".to_owned()), Some(10))));
    let ended = person.end();
    assert!(ended.exit == 0 && !ended.stderr.contains("123456"), "{ended:?}");
}

#[test]
fn without_a_terminal_a_touch_is_a_line_on_stderr() {
    let home = Home::new();
    home.serve("run", |request, line| match request {
        Request::Logout { .. } => {
            line.event(touch(8));
            line.event(Event::TouchOver { number: 8 });
            Ok(Reply::Done {})
        }
        other => no_request(other),
    });
    let ended = run(&home, &["logout", "prod"], "");
    assert_eq!((ended.exit, ended.stdout.as_str()), (0, ""));
    assert!(
        ended.stderr.starts_with("Touch your YubiKey (serial 1234): To log in. Asked by ssh.\nThe sessions "),
        "{ended:?}"
    );
}
