//! Vault slots of PIV cards: a key in a retired slot, made by the card or there already, attested or not.

use crate::agent::Installed;
use crate::home::{PASSPHRASE, run};
use crate::person::Person;
use crate::softkey::Bridge;
use crate::yubikey::{Card, Rig, python};
use serde_json::Value;
use std::fs;
use std::process::Command;

const SERIAL: u32 = 12_345_678;
const PIN: &str = "123456";

/// An agent with an open vault, and a card in its reader.
fn stage(firmware: &str) -> (Rig, Installed, Card) {
    let rig = Rig::new();
    let agent = Installed::open(&[("PCSCLITE_CSOCK_NAME", rig.pcsc_socket())]);
    let card = rig.yubikey(SERIAL, firmware);
    card.touch_at_once();
    agent.devices_until(|devices| devices.len() == 1);
    (rig, agent, card)
}

fn tries(agent: &Installed) -> Value {
    agent.devices()[0]["pin_tries"].clone()
}

#[test]
fn a_card_opens_the_vault_with_its_pin_and_a_touch() {
    let (rig, agent, card) = stage("5.7.1");
    let person = Person::attend(&agent, &[PIN]);
    agent.add_slot(&["piv", "--label", "the card"]).good();
    assert_eq!(person.take("touch_needed").len(), 1);
    let slots = agent.slots();
    let device = &slots[2]["device"];
    assert_eq!((&slots[2]["kind"], &device["label"]), (&"piv".into(), &"the card".into()), "{slots:?}");
    assert_eq!((&device["serial"], &device["piv_slot"]), (&SERIAL.into(), &"82".into()), "{slots:?}");
    assert_eq!(device["firmware"], serde_json::json!([5, 7, 1]));
    assert_eq!((&device["pin_policy"], &device["touch_policy"]), (&"once".into(), &"always".into()), "{slots:?}");
    assert_eq!(device["attested"], true, "{slots:?}");

    agent.run(&["lock"], "").good();
    person.take("pin_needed");
    agent.run(&["unlock"], "").good();
    let asked = person.take("pin_needed");
    assert_eq!((asked.len(), &asked[0]["wanted"], &asked[0]["tries_left"]), (1, &"PIV PIN".into(), &3.into()));
    assert_eq!(person.take("touch_needed").len(), 1);
    // It is for nothing else: SSH does not see it. The control is another key in such a slot.
    agent.run(&["piv", "new", "83", "--type", "ecdsa-p256"], "").good();
    let listed = run(Command::new("ssh-add").arg("-L").env("SSH_AUTH_SOCK", agent.file("run/ssh.sock")), "").good();
    assert!(listed.contains("piv 12345678 83") && !listed.contains("piv 12345678 82"), "{listed}");
    // The key's policy is once; a proof asks for the PIN all the same.
    agent.run(&["trash", "empty"], "").good();
    assert_eq!(person.take("pin_needed").len(), 1);

    // Wrong ones are counted and shown, and the vault is not touched.
    agent.run(&["lock"], "").good();
    let before = agent.vault();
    person.types(&["000000", PIN]);
    agent.run(&["unlock"], "").good();
    let asked = person.take("pin_needed");
    assert_eq!((&asked[0]["tries_left"], &asked[1]["tries_left"]), (&3.into(), &2.into()), "{asked:?}");
    assert_eq!(tries(&agent), 3);
    agent.run(&["lock"], "").good();
    person.types(&["000000", "111111", "222222"]);
    person.says("n");
    let said = agent.run(&["unlock"], "");
    assert!(said.exit != Some(0) && !agent.is_open(), "{said:?}");
    assert_eq!(tries(&agent), 1, "the last try is not used");
    assert_eq!(agent.vault(), before);

    // Blocked by somebody else: told, with what to do.
    let mut ykman = rig.command(python("ykman"));
    let _ = run(ykman.args(["piv", "access", "change-pin", "-P", "999999", "-n", "123123"]), "");
    assert_eq!(tries(&agent), 0);
    let said = agent.run(&["unlock"], "");
    said.fault_told(7, "the PIN is blocked");
    assert!(said.stderr.contains("claviger piv pin --unblock"), "{said:?}");
    agent.run(&["unlock", "--slot", "passphrase"], "").fault_told(2, "");
    agent.run(&["unlock", "--passphrase-fd", "0"], PASSPHRASE).good();
    drop(card);
}

#[test]
fn used_slots_are_left_alone_and_a_key_that_is_there_must_want_pin_and_touch() {
    let (_rig, agent, _card) = stage("5.7.1");
    let _person = Person::attend(&agent, &[PIN]);
    for (slot, options) in [
        ("82", vec!["--type", "ecdsa-p256", "--touch-policy", "cached"]),
        ("83", vec!["--type", "ecdsa-p256", "--touch-policy", "never"]),
        ("84", vec!["--type", "ecdsa-p256", "--pin-policy", "never", "--touch-policy", "always"]),
        ("85", vec!["--type", "ed25519", "--touch-policy", "always"]),
    ] {
        agent.run(&[&["piv", "new", slot], &options[..]].concat(), "").good();
    }
    let before = (agent.run(&["piv", "list", "--json"], "").good(), agent.vault());
    agent.add_slot(&["piv", "--slot", "82"]).fault_told(5, "already");
    for slot in ["83", "84", "85"] {
        agent.add_slot(&["piv", "--slot", slot, "--existing"]).fault_told(5, "not of P-256, or does not want");
    }
    agent.add_slot(&["piv", "--slot", "9a"]).fault_told(2, "82 to 95");
    agent.add_slot(&["piv", "--slot", "f9"]).fault_told(2, "--slot");
    agent.add_slot(&["piv", "--slot", "86", "--existing"]).fault_told(6, "no such key");
    agent.add_slot(&["piv", "--existing"]).fault_told(2, "--slot");
    assert_eq!((agent.run(&["piv", "list", "--json"], "").good(), agent.vault()), before);
    agent.add_slot(&["piv", "--slot", "82", "--existing"]).good();
    // The first one that is free.
    agent.add_slot(&["piv", "--pin-policy", "always", "--touch-policy", "cached"]).good();
    let slots = agent.slots();
    assert_eq!((&slots[2]["device"]["piv_slot"], &slots[3]["device"]["piv_slot"]), (&"82".into(), &"86".into()));
    agent.run(&["lock"], "").good();
    agent.run(&["unlock", "--slot", "4"], "").good();
    agent.run(&["lock"], "").good();
    agent.run(&["unlock", "--slot", "piv"], "").good();
}

#[test]
fn another_card_and_another_key_in_its_place_are_told_apart() {
    let (rig, agent, card) = stage("5.4.3");
    let person = Person::attend(&agent, &[PIN]);
    agent.add_slot(&["piv", "--slot", "95"]).good();
    agent.run(&["lock"], "").good();
    let before = agent.vault();
    card.unplug();
    agent.devices_until(<[_]>::is_empty);
    let other = rig.yubikey(22_222_222, "5.7.1");
    agent.devices_until(|devices| devices.first().is_some_and(|device| device["serial"] == 22_222_222));
    person.take("pin_needed");
    agent.run(&["unlock"], "").fault_told(4, "no device that opens the vault is plugged in");
    other.unplug();
    agent.devices_until(<[_]>::is_empty);
    card.plug();
    agent.devices_until(|devices| devices.first().is_some_and(|device| device["serial"] == SERIAL));
    agent.run(&["unlock"], "").good();
    agent.run(&["lock"], "").good();
    person.take("pin_needed");
    agent.run(&["piv", "new", "95", "--type", "ecdsa-p256", "--touch-policy", "always", "--replace"], "").good();
    agent.run(&["unlock"], "").fault_told(6, "no such key");
    assert!(person.take("pin_needed").is_empty(), "found before a PIN is asked for");
    assert_eq!(agent.vault(), before);
}

#[test]
fn a_card_that_is_pulled_or_bad_leaves_the_vault_as_it_was() {
    let (_rig, agent, card) = stage("5.7.1");
    let _person = Person::attend(&agent, &[PIN]);
    agent.add_slot(&["piv"]).good();
    agent.run(&["lock"], "").good();
    let (before, pid) = (agent.vault(), agent.pid());
    card.touch_by_hand();
    let unlock = agent.unlocking();
    card.wait_for_touch();
    card.unplug();
    let said = unlock.wait_with_output().expect("its end");
    assert_eq!(said.status.code(), Some(4), "{said:?}");
    card.plug();
    card.touch_never();
    agent.devices_until(|devices| devices.first().is_some_and(|device| device["serial"] == SERIAL));
    agent.run(&["unlock"], "").fault_told(4, "not touched in time");
    card.touch_at_once();
    // Each instruction of an unlock answered badly: GENERAL AUTHENTICATE.
    card.answer(Some(crate::yubikey::Bad::Garbage), Some(0x87));
    let said = agent.run(&["unlock"], "");
    assert!(said.exit.is_some_and(|code| code != 0) && !agent.is_open(), "{said:?}");
    card.answer(None, None);
    assert_eq!(agent.vault(), before);
    agent.run(&["unlock"], "").good();
    assert_eq!(agent.pid(), pid);
    // What a card says is not what the slot holds, where somebody changed that.
    agent.run(&["lock"], "").good();
    let changed = crate::slots::with_header(&before, "\"attested\":true", "\"attested\":false");
    fs::write(agent.file("data/vault"), &changed).expect("written");
    agent.run(&["unlock"], "").fault_told(5, "what the device gives does not open the slot");
    fs::write(agent.file("data/vault"), &before).expect("written");
    agent.run(&["unlock"], "").good();
}

#[test]
fn a_card_that_attests_nothing_is_recorded_as_such() {
    let (_rig, agent, _card) = stage("4.2.6");
    let _person = Person::attend(&agent, &[PIN]);
    agent.add_slot(&["piv"]).good();
    assert_eq!(agent.slots()[2]["device"]["attested"], false);
    agent.run(&["lock"], "").good();
    agent.run(&["unlock"], "").good();
}

#[test]
fn a_key_of_both_kinds_is_told_by_its_slot() {
    let (rig, bridge) = (Rig::new(), Bridge::start());
    let mut exports = bridge.exports().to_vec();
    exports.push(("PCSCLITE_CSOCK_NAME", rig.pcsc_socket()));
    let agent = Installed::open(&exports);
    let key = bridge.key("ONE", &[]);
    bridge.set_pin(&key);
    let card = rig.yubikey(SERIAL, "5.7.1");
    card.touch_at_once();
    agent.devices_until(|devices| devices.len() == 2);
    let person = Person::attend(&agent, &["1234-abc"]);
    agent.add_slot(&["fido2"]).good();
    person.types(&[PIN]);
    agent.add_slot(&["piv"]).good();
    agent.run(&["lock"], "").good();
    let said = agent.run(&["unlock"], "");
    said.fault_told(2, "slots 3, 4");
    assert!(said.stderr.contains("claviger unlock --slot 3"), "{said:?}");
    agent.run(&["unlock", "--slot", "piv"], "").good();
    agent.run(&["lock"], "").good();
    person.types(&["1234-abc"]);
    agent.run(&["unlock", "--slot", "3"], "").good();
    agent.run(&["unlock", "--slot", "9"], "").fault_told(6, "no such slot");
}
