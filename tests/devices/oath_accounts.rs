//! The accounts of YubiKeys by verbs: listed, coded, renamed, deleted, beside ykman and beside the vault's authenticators.

use crate::home::Ended;
use crate::oath::{CARD, Stage};
use crate::person::Person;
use crate::yubikey::{Bad, Card, Rig, python};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};

/// The seed of RFC 4226 and RFC 6238, in base32; its codes by their counters (RFC 4226 appendix D).
const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const COUNTED: [&str; 6] = ["755224", "287082", "359152", "969429", "338314", "254676"];
/// Instructions of the applet (Yubico, YKOATH protocol).
const DELETE: u8 = 0x02;
const RENAME: u8 = 0x05;
const CALCULATE: u8 = 0xa2;

fn ykman(rig: &Rig, words: &[&str]) -> String {
    let output = rig.command(python("ykman")).arg("oath").args(words).output().expect("ykman");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn add(rig: &Rig, options: &[&str]) {
    ykman(rig, &[&["accounts", "add", "-f"], options, &[SEED]].concat());
}

impl Stage {
    fn oath(&self, words: &[&str]) -> Ended {
        self.agent.run(&[&["oath"], words].concat(), "")
    }

    fn cards(&self) -> Vec<Value> {
        serde_json::from_str(&self.oath(&["list", "--json"]).good()).expect("JSON")
    }

    /// The accounts of the one card, by their names.
    fn accounts(&self) -> Vec<(String, Value)> {
        let cards = self.cards();
        assert_eq!((cards.len(), &cards[0]["serial"], &cards[0]["fault"]), (1, &json!(CARD), &Value::Null));
        let accounts = cards[0]["accounts"].as_array().expect("accounts").clone();
        accounts.into_iter().map(|account| (account["name"].as_str().expect("a name").to_owned(), account)).collect()
    }

    /// The account that makes the codes of the authenticator.
    fn used(&self) -> Vec<String> {
        let used = self.accounts().into_iter().filter(|(_, account)| account["authenticator"] == "key");
        used.map(|(name, _)| name).collect()
    }

    fn plug(&self) {
        // A reader that came back before it was missed is the same one to pcscd's clients.
        self.agent.devices_until(<[Value]>::is_empty);
        self.card.plug();
        self.agent.devices_until(|devices| devices.first().is_some_and(|device| device["serial"] == CARD));
    }

    /// The APDUs of a run that ends well.
    fn apdus(&self, words: &[&str]) -> u64 {
        let before = self.card.apdus();
        self.oath(words).good();
        self.card.apdus() - before
    }
}

#[test]
fn what_ykman_makes_is_used_here_and_what_is_done_here_ykman_sees() {
    let stage = Stage::new();
    add(&stage.rig, &["GitHub:ada"]);
    add(&stage.rig, &["-t", "-i", "Shop", "touched"]);
    add(&stage.rig, &["-P", "60", "-a", "SHA256", "-d", "8", "-i", "Bank", "ada"]);
    add(&stage.rig, &["-o", "HOTP", "counted"]);
    let accounts = stage.accounts();
    let of = |name: &str| accounts.iter().find(|(known, _)| known == name).map(|(_, account)| account.clone());
    let account = |name: &str, rest: Value| {
        let mut wanted = json!({"name": name});
        wanted.as_object_mut().expect("an object").extend(rest.as_object().expect("an object").clone());
        assert_eq!(of(name), Some(wanted));
    };
    account("GitHub:ada", json!({"kind": "totp", "hash": "sha1", "period": 30, "touch": false}));
    account("Shop:touched", json!({"kind": "totp", "hash": "sha1", "period": 30, "touch": true}));
    account("60/Bank:ada", json!({"kind": "totp", "hash": "sha256", "period": 60, "touch": false}));
    account("counted", json!({"kind": "hotp", "hash": "sha1"}));
    assert_eq!(accounts.len(), 4);
    // One counter for both, and no list moves it.
    let theirs = || ykman(&stage.rig, &["accounts", "code", "-s", "counted"]);
    let ours = || stage.oath(&["code", "counted"]).good().trim().to_owned();
    assert_eq!(ours(), COUNTED[0]);
    assert_eq!(theirs(), COUNTED[1]);
    stage.accounts();
    ykman(&stage.rig, &["accounts", "code"]);
    assert_eq!([ours(), ours()], [COUNTED[2], COUNTED[3]]);
    assert_eq!(theirs(), COUNTED[4]);
    // Theirs lie between two of ours, and one of the two is of the same step.
    for (name, digits) in [("60/Bank:ada", 8), ("Shop:touched", 6), ("GitHub:ada", 6)] {
        let code = || stage.oath(&["code", name]).good().trim().to_owned();
        let query = name.trim_start_matches("60/");
        let (before, between, after) = (code(), ykman(&stage.rig, &["accounts", "code", "-s", query]), code());
        assert_eq!(between.len(), digits, "{name}");
        assert!([before, after].contains(&between), "{name}");
    }
    // Renamed and deleted by either.
    stage.oath(&["rename", "GitHub:ada", "GitHub:ada@work"]).good();
    stage.oath(&["rename", "60/Bank:ada", "60/Bank:eve"]).good();
    stage.oath(&["delete", "Shop:touched"]).good();
    let listed = ykman(&stage.rig, &["accounts", "list"]);
    assert_eq!(listed.lines().collect::<Vec<_>>(), ["60/Bank:eve", "counted", "GitHub:ada@work"]);
    ykman(&stage.rig, &["accounts", "rename", "-f", "counted", "Token:counted"]);
    ykman(&stage.rig, &["accounts", "delete", "-f", "Bank:eve"]);
    assert_eq!(
        stage.accounts().iter().map(|(name, _)| &**name).collect::<Vec<_>>(),
        ["GitHub:ada@work", "Token:counted"]
    );
    assert_eq!(stage.oath(&["code", "Token:counted"]).good().trim(), COUNTED[5]);
    // The record has what was done, and no code.
    let record = stage.agent.run(&["audit", "log", "--json"], "").good();
    for (event, name) in [("oath.code", "counted"), ("oath.rename", "GitHub:ada"), ("oath.delete", "Shop:touched")] {
        assert!(record.contains(event) && record.contains(&format!("oath {CARD} {name}")), "{event}: {record}");
    }
    assert!(!COUNTED.iter().any(|code| record.contains(code)), "{record}");
}

#[test]
fn names_are_meant_to_the_byte() {
    let stage = Stage::new();
    // PUT of names that no text has, by APDUs: HOTP, six digits, the seed of the RFCs.
    let put = |name: &[u8]| {
        let key = format!("73161106{}", data_encoding::HEXUPPER.encode(b"12345678901234567890"));
        let body = format!("71{:02X}{}{key}", name.len(), data_encoding::HEXUPPER.encode(name));
        let apdu = format!("00010000{:02X}{body}", body.len() / 2);
        let mut tool = stage.rig.command("opensc-tool");
        let sent =
            tool.args(["-c", "default", "-s", "00A4040007A0000005272101", "-s", &apdu]).output().expect("a tool");
        let told = String::from_utf8_lossy(&sent.stdout).into_owned();
        assert_eq!(told.matches("SW1=0x90, SW2=0x00").count(), 2, "{told}");
    };
    let names: [(&[u8], &str); 6] = [
        (b"ada", "ada"),
        (b"ada ", "ada\\x20"),
        (b"Ada", "Ada"),
        (b"a\xffda", "a\\xffda"),
        (b"CORP\\ada", "CORP\\\\ada"),
        ("a\u{202e}da\n".as_bytes(), "a\\xe2\\x80\\xaeda\\x0a"),
    ];
    names.iter().for_each(|(name, _)| put(name));
    assert_eq!(stage.accounts().iter().map(|(name, _)| &**name).collect::<Vec<_>>(), names.map(|(_, text)| text));
    assert!(stage.oath(&["list"]).good().contains("a\\xe2\\x80\\xaeda\\x0a"));
    // Each by its own name: no counter but its own moves.
    for (_, text) in names {
        assert_eq!(stage.oath(&["code", text]).good().trim(), COUNTED[0], "{text}");
    }
    stage.oath(&["code", "ad"]).fault_told(6, "claviger oath list");
    stage.oath(&["code", "CORP\\ada"]).fault_told(2, "is not valid");
    stage.oath(&["code", &"x".repeat(65)]).fault_told(2, "is not valid");
    stage.oath(&["rename", "a\\xffda", "ada"]).fault_told(5, "one of that name");
    stage.oath(&["rename", "a\\xffda", "b\\xfe"]).good();
    stage.oath(&["delete", "ada\\x20"]).good();
    let left = stage.accounts();
    assert!(left.iter().any(|(name, _)| name == "b\\xfe") && left.iter().any(|(name, _)| name == "ada"), "{left:?}");
    assert_eq!(left.len(), 5);
    // ykman fails on every command where there is such a name.
    stage.oath(&["delete", "b\\xfe"]).good();
    // A name that says another period would change the codes of an account that goes by time.
    add(&stage.rig, &["GitHub:ada"]);
    add(&stage.rig, &["-P", "60", "Bank:ada"]);
    stage.oath(&["rename", "GitHub:ada", "60/GitHub:ada"]).fault_told(2, "must begin with no number");
    stage.oath(&["rename", "60/Bank:ada", "Bank:ada"]).fault_told(2, "must begin with 60/");
}

#[test]
fn the_account_of_an_authenticator_is_the_authenticators() {
    let stage = Stage::new();
    add(&stage.rig, &["-o", "HOTP", "counted"]);
    add(&stage.rig, &["-a", "SHA256", "strong"]);
    let options = ["--no-touch", "--no-verify", "--account", "AWS:ada"];
    stage.add(&[&["--name", "key"], &options[..]].concat()).good();
    assert_eq!(stage.used(), ["AWS:ada"]);
    // AWS takes no counted codes, and none of another hash.
    for account in ["counted", "strong"] {
        let words = ["mfa", "add", "--for", "dev", "--device", "--no-verify", "--account", account, "--serial"];
        let serial = "arn:aws:iam::123456789012:mfa/other";
        stage.agent.run(&[&words[..], &[serial]].concat(), "").fault_told(5, "of SHA-1 and 30 seconds alone");
        let enroll = ["mfa", "enroll", "dev", "--name", "other", "--device", "--account", account];
        stage.agent.run(&enroll, "").fault_told(5, "one of that name");
    }
    assert_eq!(stage.oath(&["code", "counted"]).good().trim(), COUNTED[0], "nobody else has asked it");
    // Its codes are counted by the ledger, and its seed is not to be lost.
    stage.oath(&["code", "AWS:ada"]).fault_told(5, "claviger mfa code key");
    stage.oath(&["delete", "AWS:ada"]).fault_told(5, "claviger mfa deactivate key");
    // It may be called something else, and goes on.
    stage.oath(&["rename", "AWS:ada", "Amazon:ada"]).good();
    assert_eq!(stage.used(), ["Amazon:ada"]);
    stage.agent.run(&["mfa", "code", "key"], "").good();
    // Also while it is in the trash.
    stage.agent.run(&["mfa", "remove", "key"], "").good();
    stage.oath(&["rename", "Amazon:ada", "Work:ada"]).good();
    stage.agent.run(&["trash", "restore", "key"], "").good();
    assert_eq!(stage.used(), ["Work:ada"]);
    stage.agent.run(&["mfa", "remove", "key"], "").good();
    stage.oath(&["delete", "Work:ada"]).good();
    assert_eq!(stage.accounts().len(), 2);
}

#[test]
fn one_that_is_pulled_at_any_command_leaves_card_and_vault_in_step() {
    let stage = Stage::new();
    let options = ["--name", "key", "--no-touch", "--no-verify", "--account", "AWS:0"];
    stage.add(&options).good();
    let commands = stage.apdus(&["rename", "AWS:0", "AWS:1"]);
    assert!(commands >= 5, "{commands}");
    let (pid, mut number) = (stage.agent.pid(), 1);
    let name = |number: u32| format!("AWS:{number}");
    for next in 1..=commands {
        for after in [false, true] {
            let (from, to) = (name(number), name(number + 1));
            if after {
                stage.card.cut_after(next)
            } else {
                stage.card.cut_at(next)
            }
            stage.oath(&["rename", &from, &to]).fault_told(7, "the device was removed");
            stage.plug();
            let is_done = after && next == commands;
            if is_done {
                // The vault does not know which name it is, and finds it.
                stage.agent.run(&["mfa", "code", "key"], "").good();
            }
            number += u32::from(is_done);
            assert_eq!(stage.used(), [name(number)], "{next} of {commands} {after}");
        }
    }
    // The same again, cut off before and after the card has it, and gone on from there by either name.
    for (after, begins) in [(false, 0), (true, 1)] {
        let (from, to) = (name(number), name(number + 1));
        if after {
            stage.card.cut_after(commands)
        } else {
            stage.card.cut_at(commands)
        }
        stage.oath(&["rename", &from, &to]).fault_told(7, "the device was removed");
        stage.plug();
        stage.oath(&["rename", &name(number + begins), &name(number + begins + 1)]).good();
        number += begins + 1;
        assert_eq!(stage.used(), [name(number)]);
    }
    // Of one that the vault does not know nothing is noted, and a deletion is its last command.
    add(&stage.rig, &["-o", "HOTP", "counted"]);
    let vault = || std::fs::read(stage.agent.file("data/vault")).expect("a vault");
    let before = vault();
    let deletion = stage.apdus(&["delete", "counted"]);
    for next in 1..=deletion {
        for after in [false, true] {
            add(&stage.rig, &["-o", "HOTP", "counted"]);
            if after {
                stage.card.cut_after(next)
            } else {
                stage.card.cut_at(next)
            }
            stage.oath(&["delete", "counted"]).fault_told(7, "the device was removed");
            stage.plug();
            let is_there = stage.accounts().iter().any(|(name, _)| name == "counted");
            assert_eq!(is_there, !(after && next == deletion), "{next} of {deletion} {after}");
        }
    }
    assert!(vault() == before, "the vault is untouched");
    assert_eq!(stage.agent.pid(), pid, "the same agent");
}

#[test]
fn a_counted_code_is_asked_for_once_whatever_becomes_of_it() {
    let stage = Stage::new();
    add(&stage.rig, &["-o", "HOTP", "counted"]);
    // So that it has said what it is.
    stage.accounts();
    let commands = stage.apdus(&["code", "counted"]);
    // Its last command, done and not answered: that code is gone, and nothing is tried again.
    stage.card.cut_after(commands);
    stage.oath(&["code", "counted"]).fault_told(7, "the device was removed");
    stage.plug();
    stage.accounts();
    stage.card.cut_at(commands);
    stage.oath(&["code", "counted"]).fault_told(7, "the device was removed");
    stage.plug();
    assert_eq!(stage.oath(&["code", "counted"]).good().trim(), COUNTED[2]);
    // Done, and answered badly.
    for (manner, instruction, words) in [
        (Bad::Garbage, CALCULATE, &["code", "counted"][..]),
        (Bad::Status(0x6f00), CALCULATE, &["code", "counted"]),
        (Bad::Status(0x6f00), RENAME, &["rename", "counted", "other"]),
        (Bad::Status(0x6f00), DELETE, &["delete", "other"]),
    ] {
        stage.card.answer(Some(manner), Some(instruction));
        stage.oath(words).fault_told(7, "what its specification does not have");
        stage.card.answer(None, Some(instruction));
    }
    assert!(stage.accounts().is_empty());
}

#[test]
fn a_touch_of_a_counting_account_is_told() {
    let stage = Stage::new();
    add(&stage.rig, &["-o", "HOTP", "-t", "counted"]);
    stage.card.touch_by_hand();
    let mut code = stage.spawn(&["oath", "code", "counted"]);
    stage.card.wait_for_touch();
    let mut stderr = BufReader::new(code.stderr.take().expect("stderr"));
    let mut line = String::new();
    stderr.read_line(&mut line).expect("a line");
    assert!(line.contains("Touch") && line.contains("To show a code of counted"), "{line}");
    assert!(stage.card.touch());
    let mut told = String::new();
    code.stdout.take().expect("stdout").read_to_string(&mut told).expect("text");
    assert!(code.wait().expect("its end").success(), "{told}");
    assert_eq!(told.trim(), COUNTED[0]);
    stage.card.touch_never();
    stage.oath(&["code", "counted"]).fault_told(4, "not touched in time");
    stage.card.touch_at_once();
    assert_eq!(stage.oath(&["code", "counted"]).good().trim(), COUNTED[1]);
}

#[test]
fn a_password_is_asked_for_until_it_is_right_and_then_no_more() {
    let stage = Stage::new();
    add(&stage.rig, &["-o", "HOTP", "counted"]);
    ykman(&stage.rig, &["access", "change", "-n", "hunter2"]);
    stage.oath(&["code", "counted"]).fault_told(4, "");
    let listed = stage.cards();
    assert!(listed[0]["fault"]["code"].is_string() && listed[0]["accounts"] == json!([]), "{listed:?}");
    let person = Person::attend(&stage.agent, &["hunter1", "hunter2"]);
    assert_eq!(stage.accounts().len(), 1);
    assert_eq!(person.take("pin_needed").len(), 2);
    assert_eq!(stage.oath(&["code", "counted"]).good().trim(), COUNTED[0]);
    stage.oath(&["rename", "counted", "renamed"]).good();
    assert!(person.take("pin_needed").is_empty(), "the vault knows it");
    // Changed behind its back.
    ykman(&stage.rig, &["access", "change", "-p", "hunter2", "-n", "hunter3"]);
    person.types(&["hunter3"]);
    stage.oath(&["delete", "renamed"]).good();
    assert_eq!(person.take("pin_needed").len(), 1);
    assert!(stage.accounts().is_empty());
    assert!(person.take("pin_needed").is_empty());
    stage.agent.run(&["lock"], "").good();
    stage.oath(&["list"]).fault_told(3, "");
}

#[test]
fn one_of_several_cards_is_named_and_an_old_one_renames_nothing() {
    let stage = Stage::new();
    add(&stage.rig, &["-o", "HOTP", "counted"]);
    let old: Card = stage.rig.yubikey(22_222_222, "5.2.7");
    stage.agent.devices_until(|devices| devices.len() == 2);
    stage.oath(&["code", "counted"]).fault_told(2, "claviger device list");
    let of = |card: u32, words: &[&str]| stage.oath(&[words, &["--device", &card.to_string()]].concat());
    assert_eq!(of(CARD, &["code", "counted"]).good().trim(), COUNTED[0]);
    of(22_222_222, &["code", "counted"]).fault_told(6, "no such account");
    of(33_333_333, &["code", "counted"]).fault_told(7, "no such device is plugged in");
    let listed = stage.cards();
    let serials: Vec<_> = listed.iter().map(|card| card["serial"].as_u64()).collect();
    assert_eq!(serials, [Some(u64::from(CARD)), Some(22_222_222)]);
    assert!(of(22_222_222, &["list"]).good().lines().count() == 1, "its head alone");
    stage.card.unplug();
    stage.agent.devices_until(|devices| devices.len() == 1);
    add(&stage.rig, &["-o", "HOTP", "counted"]);
    stage.oath(&["rename", "counted", "other"]).fault_told(7, "firmware 5.3.1 can");
    assert_eq!(stage.oath(&["code", "counted"]).good().trim(), COUNTED[0]);
    stage.oath(&["delete", "counted"]).good();
    drop(old);
    stage.agent.devices_until(<[Value]>::is_empty);
    stage.oath(&["code", "counted"]).fault_told(7, "no such device is plugged in");
    assert!(stage.oath(&["list"]).stderr.contains("No YubiKey"));
}
