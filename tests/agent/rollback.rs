//! An older vault file put back behind the agent's back: noticed by each anchor alone, read-only until a person accepts
//! it; and damage of every file through the real agent.

use crate::home::{Agent, Home, PASSPHRASE};
use crate::installed::{CLOSED, Installed};
use crate::sandbox::Sandbox;
use claviger_agent::testing::{figure, rounds};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

const NEWER: (&str, &str) = ("AKIAIOSFODNN7EXAMPLE\n", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n");

fn add(home: &Home, name: &str) -> crate::home::Ended {
    let (id, secret) = NEWER;
    home.run(&["access-key", "add", name, "--stdin", "--no-verify"], &format!("{id}{secret}"))
}

fn keys(home: &Home) -> usize {
    let keys: Value = serde_json::from_str(&home.run(&["access-key", "list", "--json"], "").good()).expect("JSON");
    keys.as_array().expect("a list").len()
}

/// The file in the runtime folder.
fn runtime_anchor(home: &Home) -> PathBuf {
    let files = fs::read_dir(home.file("run")).expect("a folder").flatten().map(|entry| entry.path());
    files.into_iter().find(|path| path.extension().is_some_and(|end| end == "anchor")).expect("an anchor")
}

/// A home whose vault is one save older than it was, its agent ended; and the older bytes.
fn rolled_back() -> (Home, Vec<u8>) {
    let home = Home::new();
    home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    add(&home, "first").good();
    let older = fs::read(home.file("data/vault")).expect("a vault");
    add(&home, "second").good();
    home.run(&["agent", "stop"], "").good();
    fs::write(home.file("data/vault"), &older).expect("put back");
    (home, older)
}

#[test]
fn an_older_vault_is_noticed_by_each_anchor_alone_and_unnoticed_without_the_defence() {
    for left in ["the audit record", "the runtime folder", "the state file"] {
        let (home, older) = rolled_back();
        let runtime = runtime_anchor(&home);
        for (name, path) in [
            ("the runtime folder", runtime),
            ("the state file", home.file("data/state")),
            ("the audit record", home.file("data/audit")),
        ] {
            if name != left {
                fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path)).expect("removed");
            }
        }
        let told = home.unlock();
        assert_eq!(told.exit, Some(4), "{left}: {told:?}");
        assert!(told.stderr.contains("Known        save ") && told.stderr.contains(left), "{told:?}");
        assert!(told.stderr.ends_with("hint: claviger unlock --accept-older\n"), "{told:?}");
        let status = home.status();
        assert_eq!((&status["vault"], &status["older"]["known_by"]), (&json!("unlocked"), &json!([left])));
        assert!(status["warnings"].to_string().contains("claviger unlock --accept-older"), "{status}");
        assert!(home.run(&["doctor"], "").stdout.contains("--accept-older"));
        add(&home, "third").fault_told(4, "the vault is an older one");
        assert_eq!((keys(&home), fs::read(home.file("data/vault")).expect("a vault")), (1, older), "{left}");
        let export = ["access-key", "export", "first", "--passphrase-fd", "0"];
        home.run(&export, PASSPHRASE).fault_told(4, "the vault is an older one");
        let backup = home.file("b").display().to_string();
        home.run(&["backup", &backup, "--passphrase-fd", "0"], PASSPHRASE).fault_told(4, "an older one");
        // Also after a restart of the agent.
        home.run(&["agent", "stop"], "").good();
        assert_eq!(home.unlock().exit, Some(4));

        let accept = ["unlock", "--accept-older", "--passphrase-fd", "0"];
        let accepted = home.run(&accept, PASSPHRASE);
        assert!(accepted.stderr.contains(left) && accepted.stderr.contains("Accepted"), "{accepted:?}");
        accepted.good();
        assert_eq!(home.status()["older"], Value::Null);
        add(&home, "third").good();
        home.run(&export, PASSPHRASE).good();
        home.run(&["agent", "stop"], "").good();
        home.unlock().good();
        assert!(home.run(&accept, PASSPHRASE).stderr.contains("nothing knows a later one"));
        let log = home.run(&["audit", "log", "--json"], "").good();
        for event in ["vault.rolled_back", "vault.accept", "vault.saved"] {
            assert!(log.contains(event), "{left}: {event}");
        }
    }
    let (home, _) = rolled_back();
    let mut weak = Agent::spawn(&mut home.weak_agent_command("anchors"));
    assert_eq!(weak.word(), "ready");
    home.unlock().good();
    add(&home, "third").good();
    assert_eq!((keys(&home), home.status()["older"].clone()), (2, Value::Null), "the control");
}

#[test]
fn a_locked_agent_remembers_and_an_open_one_overwrites_nothing() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    home.run(&["process", "prod"], "").good();
    let older = fs::read(home.file("data/vault.prev")).expect("a copy");
    let newest = fs::read(home.file("data/vault")).expect("a vault");
    fs::write(home.file("data/vault"), &older).expect("put back");
    add(&home, "other").fault_told(1, "another program has changed the vault");
    assert_eq!(fs::read(home.file("data/vault")).expect("a vault"), older, "untouched");

    home.run(&["lock"], "").good();
    fs::remove_file(home.file("data/state")).expect("removed");
    fs::remove_file(runtime_anchor(&home)).expect("removed");
    assert_eq!(home.unlock().exit, Some(4));
    assert_eq!(home.status()["older"]["known_by"], json!(["the running agent", "the audit record"]));
    // No code is spent and nothing signed with what may be long gone.
    let codes = sandbox.codes();
    home.run(&["process", "prod"], "").fault(4, "vault.rolled_back");
    home.run(&["mfa", "code"], "").fault_told(4, "an older one");
    assert_eq!(sandbox.codes(), codes);

    // The newest one comes back, and all is well.
    home.run(&["lock"], "").good();
    fs::write(home.file("data/vault"), &newest).expect("put back");
    home.unlock().good();
    assert_eq!(home.status()["older"], Value::Null);
    add(&home, "other").good();
}

#[test]
fn a_restart_makes_no_older_vault_the_latest() {
    let installed = Installed::new(CLOSED, None);
    let _first = installed.start();
    let home = &installed.home;
    let add =
        |name| installed.run(&["access-key", "add", name, "--stdin", "--no-verify"], &[NEWER.0, NEWER.1].concat());
    installed.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    add("first").good();
    let older = fs::read(home.file("data/vault")).expect("a vault");
    add("second").good();
    installed.run(&["lock"], "").good();
    fs::write(home.file("data/vault"), &older).expect("put back");
    fs::remove_file(home.file("data/state")).expect("removed");
    fs::remove_file(runtime_anchor(home)).expect("removed");
    let unlock = || installed.run(&["unlock", "--passphrase-fd", "0"], PASSPHRASE);
    assert_eq!(unlock().exit, Some(4));
    let noticed = |what: &str| {
        let status = installed.status();
        let known = json!(["the running agent", "the audit record"]);
        assert_eq!((&status["vault"], &status["older"]["known_by"]), (&json!("unlocked"), &known), "{what}");
        add("third").fault_told(4, "the vault is an older one");
    };
    noticed("before");
    installed.run(&["agent", "restart"], "").good();
    noticed("with the key");
    installed.set_mode("claviger-agent", 0o755);
    installed.run(&["agent", "restart"], "").good();
    assert_eq!((installed.status()["vault"].clone(), unlock().exit), (json!("locked"), Some(4)));
    noticed("without the key");
    installed.run(&["unlock", "--accept-older", "--passphrase-fd", "0"], PASSPHRASE).good();
    add("third").good();
}

#[test]
fn a_backup_that_is_restored_is_no_older_vault() {
    let home = Home::new();
    home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    let copy = home.file("copy");
    fs::copy(home.file("data/vault"), &copy).expect("a copy");
    add(&home, "first").good();
    add(&home, "second").good();
    for lost in [false, true] {
        if lost {
            fs::remove_file(home.file("data/vault")).expect("lost");
        }
        let restore = ["restore", copy.to_str().expect("a path"), "--copy", "--replace", "--passphrase-fd", "0"];
        home.run(&restore, PASSPHRASE).good();
        assert_eq!((keys(&home), home.status()["older"].clone()), (0, Value::Null), "lost: {lost}");
        add(&home, "third").good();
        home.run(&["agent", "stop"], "").good();
        home.unlock().good();
    }
}

#[test]
fn every_damage_of_every_file_is_a_typed_fault_or_ignored_and_the_agent_serves_on() {
    let home = Home::new();
    home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    add(&home, "first").good();
    home.run(&["lock"], "").good();
    let pid = home.pid();
    let mut wire = home.connect();
    let mut next = 1;
    let mut unlock = |wire: &mut crate::wire::Wire| {
        next += 1;
        wire.ask(next, &json!({"unlock": {"proof": {"passphrase": PASSPHRASE.trim_end()}}}))
    };
    let vault = home.file("data/vault");
    let good = fs::read(&vault).expect("a vault");
    // Every bit and every length; usually a few of them, spread over the file.
    let all = good.len() * 9;
    let damaged = |index: usize| -> Vec<u8> {
        if index >= good.len() * 8 {
            return good[..index - good.len() * 8].to_vec();
        }
        let mut bytes = good.clone();
        bytes[index / 8] ^= 1 << (index % 8);
        bytes
    };
    // Each is refused by the stretched passphrase or before it; all of them meet the room itself, which has tests of its own.
    let count = rounds(50, 2_000);
    for round in 0..count {
        let index = round * all / count;
        let bytes = damaged(index);
        fs::write(&vault, &bytes).expect("written");
        let told = unlock(&mut wire);
        let code = told["fault"]["code"].as_str().unwrap_or_default();
        assert!(matches!(code, "vault.damaged" | "vault.newer"), "{index}: {told}");
        assert_eq!(fs::read(&vault).expect("a vault"), bytes, "{index}: untouched");
    }
    figure("damaged vaults refused by the agent", format!("{count} of {all}"));
    fs::write(&vault, &good).expect("written");
    assert!(unlock(&mut wire)["reply"].is_object());

    // What lies beside it: damage is ignored, or told, and the vault opens.
    let audit = fs::read_dir(home.file("data/audit")).expect("a folder").flatten().next().expect("a record").path();
    let beside = [home.file("data/state"), runtime_anchor(&home), audit.join("audit-000001.jsonl")];
    let mut opened = 0;
    for file in &beside {
        let parts = rounds(2, 6).max(2);
        for part in 0..parts {
            assert!(wire.ask(900_000, &json!({"lock": {}}))["reply"].is_object());
            let good = fs::read(file).expect("a file");
            let at = part * good.len().saturating_sub(1) / (parts - 1);
            let mut flipped = good.clone();
            flipped[at] ^= 1;
            let cut = good[..at].to_vec();
            for bytes in [flipped, cut] {
                fs::write(file, bytes).expect("written");
                let told = unlock(&mut wire);
                assert!(told["reply"].is_object(), "{}, {part}: {told}", file.display());
                let status = wire.ask(900_001, &json!({"status": {}}));
                assert_eq!(status["reply"]["status"]["older"], Value::Null, "{}", file.display());
                assert!(wire.ask(900_002, &json!({"lock": {}}))["reply"].is_object());
                opened += 1;
            }
        }
    }
    figure("damaged files beside the vault got over", opened);
    assert_eq!(home.pid(), pid, "the same agent");

    let backup = home.file("copy");
    for at in [0, good.len() / 3, good.len() - 1] {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        fs::write(&backup, &bytes).expect("written");
        let restore = ["restore", backup.to_str().expect("a path"), "--copy", "--replace", "--passphrase-fd", "0"];
        home.run(&restore, PASSPHRASE).fault_told(1, "damaged");
        assert_eq!(fs::read(&backup).expect("a file"), bytes, "untouched");
        fs::write(&backup, &good[..at]).expect("written");
        home.run(&restore, PASSPHRASE).fault_told(1, "damaged");
    }
    home.unlock().good();
    assert_eq!((keys(&home), home.pid()), (1, pid));
}
