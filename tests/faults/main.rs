//! Every fault text of the agent on one page, `page.txt`: made from an error of each kind, written anew with
//! `CLAVIGER_UPDATE=1` and read by a person. And what holds for all of them, whatever the world feeds in.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod elsewhere;
mod hints;
mod made;

use claviger::wire::{Code, Fault};
use std::collections::BTreeSet;
use std::path::Path;

/// A line of a message that a terminal of four lines still shows whole.
const LONGEST: usize = 300;

#[test]
fn the_page_is_as_committed() {
    let mut page = String::new();
    let mut faults = made::faults(&made::plain());
    faults.sort_by_key(|fault| (fault.code.as_str(), fault.message.clone()));
    for fault in faults {
        page.push_str(&format!("{} (exit {})\n  {}\n", fault.code, fault.exit() as u8, fault.message));
        if let Some(hint) = &fault.hint {
            page.push_str(&format!("  try: {hint}\n"));
        }
        page.push('\n');
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/page.txt");
    if std::env::var_os("CLAVIGER_UPDATE").is_some_and(|value| value == "1") {
        std::fs::write(&file, &page).expect("page.txt");
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    let first = page.lines().zip(committed.lines().chain(std::iter::repeat(""))).find(|(now, then)| now != then);
    assert!(page == committed, "page.txt is out of date: {first:?}; CLAVIGER_UPDATE=1 writes it anew");
}

#[test]
fn a_message_is_one_short_line_whatever_is_fed_in() {
    for world in [made::plain(), made::hostile(), made::longest()] {
        for fault in made::faults(&world) {
            check(&fault).unwrap_or_else(|why| panic!("{}: {why}: {}", fault.code, fault.message));
        }
    }
}

#[test]
fn a_bad_message_is_found() {
    let bad = |message: &str| check(&Fault::new(Code::Internal, message)).is_err();
    assert!(bad("ends with a full stop."));
    assert!(bad("Starts with a capital"));
    assert!(bad("two\nlines"));
    assert!(bad("turned \u{202e}round"));
    assert!(bad("an escape \u{1b}[31m"));
    assert!(bad(&"x".repeat(LONGEST + 1)));
    assert!(bad(""));
    assert!(check(&Fault::new(Code::Internal, "ok").hint("a\u{1b}b")).is_err());
    assert!(check(&Fault::new(Code::Internal, "AWS said no")).is_ok());
}

fn check(fault: &Fault) -> Result<(), &'static str> {
    let message = &fault.message;
    let names = ["AWS ", "STS ", "IAM "];
    let capital =
        message.starts_with(|c: char| c.is_uppercase()) && !names.iter().any(|name| message.starts_with(name));
    let unprintable = |text: &str| {
        text.chars().any(|c| {
            c.is_control()
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
        })
    };
    match () {
        () if message.trim().is_empty() => Err("says nothing"),
        () if message.trim() != message => Err("begins or ends with a space"),
        () if capital => Err("begins with a capital"),
        () if message.ends_with('.') => Err("ends with a full stop"),
        () if message.chars().count() > LONGEST => Err("is too long"),
        () if unprintable(message) => Err("holds what a terminal obeys"),
        () if fault.hint.as_deref().is_some_and(|hint| hint.trim().is_empty()) => Err("hints at nothing"),
        () if fault.hint.as_deref().is_some_and(unprintable) => Err("hints at what a terminal obeys"),
        () => Ok(()),
    }
}

/// What a hostile file holds is in a message at most as far as a `Label` goes.
#[test]
fn foreign_text_is_cut_and_never_in_a_command() {
    let canary = made::CANARY;
    let mut shown = 0;
    for fault in made::faults(&made::hostile()) {
        shown += usize::from(fault.message.contains(canary));
        if let Some(hint) = &fault.hint {
            assert!(!hint.contains(canary), "{}: {hint}", fault.code);
        }
    }
    assert!(shown > 5, "the canary is fed into {shown} messages only");
}

#[test]
fn every_code_is_made_here_or_known_to_be_made_elsewhere() {
    let here: BTreeSet<&str> = made::faults(&made::plain()).iter().map(|fault| fault.code.as_str()).collect();
    let mut complaints = Vec::new();
    for code in Code::ALL {
        let places = elsewhere::PLACES.iter().find(|(known, _)| known == code).map(|(_, places)| *places);
        if places.is_none() && !here.contains(code.as_str()) {
            complaints.push(format!("{code}: nobody makes it"));
        }
        for place in places.unwrap_or_default() {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(place);
            let text = std::fs::read_to_string(path).unwrap_or_default();
            if !text.contains(&format!("Code::{code:?}")) {
                complaints.push(format!("{code}: not made in {place}"));
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
