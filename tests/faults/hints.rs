//! A hint that begins with `claviger` is a command line that the built client understands.

use crate::made;
use std::collections::BTreeSet;
use std::process::{Command, Stdio};

/// What the client says of a command line that it does not understand.
const NOT_UNDERSTOOD: [&str; 9] = [
    "there is no option",
    "there is an argument too many",
    "there is no verb",
    "is missing",
    "exclude each other",
    "is given twice",
    "has no value",
    "is not valid",
    "is not understood",
];

#[test]
fn every_hint_is_a_command_that_is_understood() {
    let home = Home::new();
    let mut hints = BTreeSet::new();
    for world in [made::plain(), made::hostile(), made::longest()] {
        hints.extend(made::faults(&world).into_iter().filter_map(|fault| fault.hint));
    }
    let commands: Vec<&String> = hints.iter().filter(|hint| hint.starts_with("claviger")).collect();
    assert!(commands.len() > 10, "only {} commands were found", commands.len());
    let wrong: Vec<String> =
        commands.iter().filter_map(|hint| Some(format!("{hint}\n  {}", home.refusal(hint)?))).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_wrong_command_is_found() {
    let home = Home::new();
    for hint in [
        "claviger slot remove",
        "claviger logn",
        "claviger login --now",
        "claviger login two words",
        "claviger login 'a",
    ] {
        assert!(home.refusal(hint).is_some(), "{hint}");
    }
}

/// A folder with the client alone: it finds no agent to start, so no hint does anything.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let client = folder.path().join("claviger");
        std::fs::copy(env!("CARGO_BIN_EXE_claviger"), client).expect("a copy of the client");
        Self(folder)
    }

    /// Why the client, or the shell, does not understand it.
    fn refusal(&self, hint: &str) -> Option<String> {
        let output = Command::new("/bin/sh")
            .args(["-c", hint])
            .env_clear()
            .env("PATH", self.0.path())
            .env("CLAVIGER_HOME", self.0.path().join("home"))
            .stdin(Stdio::null())
            .output()
            .expect("a shell");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let shell = !said.starts_with("claviger:") && !output.status.success();
        (shell || NOT_UNDERSTOOD.iter().any(|refusal| said.contains(refusal))).then_some(said)
    }
}
