//! GnuPG's own pinentry, on a pseudo-terminal.

use super::{Desk, allowed, question, read_until};
use crate::prompt::{Programs, Unasked, Verdict};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;

/// A screen, the name of its terminal, and that opened here too: else the screen would be gone whenever the program
/// closes it.
pub(super) fn terminal() -> (File, String, OwnedFd) {
    let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&screen).unwrap();
    unlockpt(&screen).unwrap();
    let name = ptsname(&screen, Vec::new()).unwrap().into_string().unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let line = rustix::fs::open(name.as_str(), flags, Mode::empty()).unwrap();
    (File::from(screen), name, line)
}

pub(super) fn on_terminal(desk: &Desk, name: &str) -> Programs {
    let mut programs = Programs { pinentry: Some("/usr/bin/pinentry-tty".into()), ..desk.programs() };
    programs.environment.retain(|(variable, _)| variable != "DISPLAY");
    programs.environment.push(("GPG_TTY".into(), name.into()));
    programs.environment.push(("TERM".into(), "vt100".into()));
    programs
}

#[tokio::test]
async fn a_real_pinentry_asks_on_a_terminal() {
    for (keys, wanted) in [("a", Some(true)), ("r", Some(false))] {
        let desk = Desk::new();
        let (mut screen, name, _line) = terminal();
        let programs = on_terminal(&desk, &name);
        let person = tokio::task::spawn_blocking(move || {
            let seen = read_until(&mut screen, "efuse");
            screen.write_all(keys.as_bytes()).unwrap();
            (seen, screen)
        });
        let verdict = desk.ask(programs).await;
        let (seen, _screen) = person.await.unwrap();
        assert_eq!(allowed(&verdict), wanted, "{keys}: {verdict:?}");
        let question = question();
        for text in [&question.title].into_iter().chain(&question.lines) {
            assert!(seen.contains(text.as_str()), "{seen}");
        }
    }
}

/// With a display, and without a terminal to fall back to.
#[tokio::test]
async fn a_pinentry_that_knows_no_display_is_no_refusal() {
    let desk = Desk::new();
    let programs = Programs { pinentry: Some("/usr/bin/pinentry-tty".into()), ..desk.programs() };
    let verdict = desk.ask(programs.clone()).await;
    assert!(matches!(verdict, Verdict::Unasked(Unasked::NoDisplay)), "{verdict:?}");
    let both = Programs { askpass: desk.askpass("exit 0").askpass, ..programs };
    assert!(matches!(desk.ask(both).await, Verdict::Allowed));
    for (flavour, wanted) in [("tty", None), ("curses", None), ("gnome3:curses", Some(true)), ("qt", Some(true))] {
        let desk = Desk::new();
        let body = format!(
            "echo OK\nwhile read -r line; do case $line in GETINFO*) echo 'D {flavour}' ;; esac; echo OK; done"
        );
        let programs = Programs { pinentry: Some(desk.script("pinentry", &body)), ..desk.programs() };
        assert_eq!(allowed(&desk.ask(programs).await), wanted, "{flavour}");
    }
}
