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
