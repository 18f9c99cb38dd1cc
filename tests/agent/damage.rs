//! Wrong proofs, vaults that cannot be read, and a disk that takes nothing.

use crate::home::{Agent, Home, PASSPHRASE, program};
use crate::sandbox::Sandbox;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::Value;
use std::fs;
use std::process::Command;

/// The fault of a verb for people: exit code and first line; the code is in the agent's log.
fn refused(home: &Home, arguments: &[&str], stdin: &str, exit: i32, code: &str) {
    let ended = home.run(arguments, stdin);
    assert_eq!((ended.exit, ended.stdout.as_str()), (Some(exit), ""), "{ended:?}");
    assert!(ended.stderr.starts_with("claviger: ") && ended.stderr.lines().count() <= 2, "{ended:?}");
    let log = home.log();
    let last = log.lines().rfind(|line| line.contains(" fault ")).unwrap_or_default();
    assert!(last.ends_with(&format!("code={code}")), "wanted {code}: {last}: {ended:?}");
}

#[test]
fn a_wrong_passphrase_opens_nothing_and_the_next_guess_waits() {
    let home = Home::new();
    home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    home.run(&["lock"], "").good();
    let before = home.data();
    let unlock = ["unlock", "--passphrase-fd", "0"];
    refused(&home, &unlock, "correct hors\n", 5, "vault.wrong_proof");
    refused(&home, &unlock, PASSPHRASE, 5, "vault.wait");
    refused(&home, &["unlock", "--recovery", "--passphrase-fd", "0"], "AAAA-BBBB\n", 5, "vault.wait");
    assert_eq!(home.data(), before);
    assert_eq!(home.status()["vault"], "locked");
    // The wait is over after a stop, which costs a person as much.
    home.run(&["agent", "stop"], "").good();
    home.run(&["agent", "start"], "").exit.expect("an end");
    home.unlock().good();
}

#[test]
fn a_vault_that_is_damaged_newer_or_no_vault_is_left_as_it_is() {
    let home = Home::new();
    home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    home.run(&["lock"], "").good();
    let path = home.file("data/vault");
    let good = fs::read(&path).expect("a vault");
    let pid = home.pid();
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let newer = [&good[..6], &[0, 9], &good[8..]].concat();
    let cases: [(Vec<u8>, &str); 9] = [
        (flipped(0), "vault.damaged"),
        (flipped(9), "vault.damaged"),
        (flipped(200), "vault.damaged"),
        (flipped(good.len() / 2), "vault.damaged"),
        (flipped(good.len() - 1), "vault.damaged"),
        (good[..good.len() - 1].to_vec(), "vault.damaged"),
        (newer, "vault.newer"),
        (b"\x7fELF, or whatever this is".repeat(100), "vault.damaged"),
        (Vec::new(), "vault.damaged"),
    ];
    for (bytes, code) in cases {
        fs::write(&path, &bytes).expect("written");
        let before = home.data();
        refused(&home, &["unlock", "--passphrase-fd", "0"], PASSPHRASE, 1, code);
        let ended = home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE);
        assert_eq!((ended.exit, ended.stdout.as_str()), (Some(5), ""), "{ended:?}");
        assert_eq!(home.data(), before);
        assert_eq!(home.status()["vault"], "locked");
    }
    fs::write(&path, &good).expect("written");
    home.unlock().good();
    assert_eq!(home.pid(), pid);
}

#[test]
fn a_full_disk_keeps_the_old_vault_and_spends_no_code() {
    let sandbox = Sandbox::start();
    let home = Home::at(&sandbox);
    // A file that may not grow: with the signal ignored, as by a shell's trap, writing fails as on a full disk.
    let mut agent = Command::new("sh");
    agent.args(["-c", "trap '' XFSZ; exec \"$0\" run --detached"]).arg(program("claviger-agent"));
    agent.env_clear().env("CLAVIGER_HOME", home.path()).env("PATH", "/usr/bin:/bin");
    let mut agent = Agent::spawn(&mut agent);
    assert_eq!(agent.word(), "ready");
    home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    home.run(&["access-key", "add", "dev", "--stdin"], &sandbox.access_key()).good();
    let add = ["mfa", "add", "--for", "dev", "--seed-stdin", "--no-verify", "--serial", sandbox.text("mfa_serial")];
    home.run(&add, sandbox.text("mfa_seed")).good();

    let pid = Pid::from_raw(agent.pid());
    let grow = |limit: Option<u64>| {
        let limit = Rlimit { current: limit, maximum: None };
        prlimit(pid, Resource::Fsize, limit).expect("a limit");
    };
    let before = home.data();
    grow(Some(1));
    let (id, secret) = ("AKIAIOSFODNN7EXAMPLE\n", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n");
    let ended = home.run(&["access-key", "add", "other", "--stdin", "--no-verify"], &format!("{id}{secret}"));
    assert_eq!((ended.exit, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
    // The record comes first: what cannot be written down is not begun.
    assert!(ended.stderr.contains("no room"), "{ended:?}");
    home.run(&["process", "prod"], "").fault(1, "audit.full");
    assert_eq!(sandbox.calls("GetSessionToken"), 0, "no code without its record");
    assert_eq!(home.data(), before);
    let keys: Value = serde_json::from_str(&home.run(&["access-key", "list", "--json"], "").good()).expect("JSON");
    assert_eq!(keys.as_array().map(Vec::len), Some(1));

    grow(None);
    home.run(&["access-key", "add", "other", "--stdin", "--no-verify"], &format!("{id}{secret}")).good();
    home.run(&["process", "prod"], "").good();
    assert_eq!(sandbox.codes(), 1);
    home.run(&["agent", "restart"], "").good();
    home.unlock().good();
    home.run(&["process", "prod"], "").good();
    assert_eq!(sandbox.codes(), 1);
}
