//! As many connections as the agent takes, and one more.

use crate::agent::Program;
use crate::raw::{CLOSED, IDENTITIES, LIST, Raw, SIGNED, SUCCESS, add_constrained, new_key, sign, string};
use crate::stage::{Stage, script, until};
use std::fs;

/// As many as the agent takes at once.
const CONNECTIONS: usize = 256;

#[test]
fn whoever_has_asked_for_nothing_the_longest_gives_way_and_nobody_who_waits() {
    let stage = Stage::with(Program::Claviger, &[], |folder| {
        script(&folder.join("askpass"), "cd \"${0%/*}\" && printf x >> asked && read -r line < gate");
        let askpass = folder.join("askpass").display().to_string();
        vec![("SSH_ASKPASS", askpass), ("SSH_ASKPASS_REQUIRE", "force".to_owned()), ("DISPLAY", ":99".to_owned())]
    });
    stage.run(&["mkfifo", &stage.path("gate")]).good();
    let key = new_key();
    let mut waiting = Raw::connect(&stage.agent.socket);
    assert_eq!(waiting.kind(&add_constrained(&key, &[2])), SUCCESS);
    // From here on it is the one that has said nothing the longest.
    waiting.send(&string(&sign(&key, b"data")));
    until("a person is asked", || !stage.read("asked").is_empty());
    let mut crowd: Vec<Raw> = Vec::new();
    let answered = |raw: &mut Raw| raw.kind(&[LIST]) == IDENTITIES;
    while crowd.len() < CONNECTIONS - 1 {
        crowd.push(Raw::connect(&stage.agent.socket));
        assert!(crowd.last_mut().is_some_and(answered));
    }
    // The first of them speaks again: now the second has been silent the longest.
    assert!(answered(&mut crowd[0]));
    let mut more = Raw::connect(&stage.agent.socket);
    assert!(answered(&mut more), "there is room for one more");
    assert_eq!(crowd[1].kind(&[LIST]), CLOSED);
    assert!(answered(&mut crowd[0]) && answered(&mut crowd[2]) && answered(&mut more));
    // However many come, and stay.
    for _ in 0..CONNECTIONS {
        crowd.push(Raw::connect(&stage.agent.socket));
        assert!(crowd.last_mut().is_some_and(answered));
    }
    fs::write(stage.file("gate"), "go\n").expect("the gate");
    assert_eq!(waiting.hear().map_or(CLOSED, |answer| answer[0]), SIGNED);
}
