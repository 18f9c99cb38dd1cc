//! Vault slots of FIDO2 keys: enrolled, lost, pulled, mistyped, tampered with; and a person's presence.

use crate::agent::Installed;
use crate::home::{PASSPHRASE, program};
use crate::person::Person;
use crate::softkey::Bridge;
use claviger::secret::{Pin, SecretText};
use claviger_agent::ask::{Audience, Touch};
use claviger_agent::device::fido::{Answer as FidoAnswer, Operation as Do};
use claviger_agent::device::{Answer, Bytes, Devices, Error, Found, Operation};
use claviger_agent::prompt::{Programs, Prompts};
use claviger_agent::session::Hardware;
use claviger_agent::vault::Fido2Slot;
use claviger_agent::world::World;
use serde_json::Value;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

/// That of `Bridge::set_pin`.
const PIN: &str = "1234-abc";

impl Installed {
    /// The vault file, as it lies there.
    pub(crate) fn vault(&self) -> Vec<u8> {
        fs::read(self.file("data/vault")).expect("a vault")
    }

    /// `slot list`, as a program reads it.
    pub(crate) fn slots(&self) -> Vec<Value> {
        let listed = self.run(&["slot", "list", "--json"], "").good();
        serde_json::from_str(&listed).expect("JSON")
    }

    /// Adds a slot against the passphrase.
    pub(crate) fn add_slot(&self, words: &[&str]) -> crate::home::Ended {
        self.run(&[&["slot", "add", "--passphrase-fd", "0"], words].concat(), PASSPHRASE)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.status()["vault"] == "unlocked"
    }

    /// `claviger unlock` that waits for something.
    pub(crate) fn unlocking(&self) -> Child {
        let mut command = self.command("claviger");
        command.arg("unlock").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the client")
    }
}

/// The file with another header, whose checksum fits: what somebody can write who has no key.
pub(crate) fn with_header(file: &[u8], from: &str, to: &str) -> Vec<u8> {
    let length = usize::try_from(u32::from_be_bytes(file[8..12].try_into().expect("4 bytes"))).expect("a length");
    let text = std::str::from_utf8(&file[12..12 + length]).expect("text");
    assert!(text.contains(from), "{from}: {text}");
    let text = text.replacen(from, to, 1);
    let new_length = u32::try_from(text.len()).expect("a length").to_be_bytes();
    let mut changed = [&file[..8], &new_length, text.as_bytes()].concat();
    changed.extend(checksum(&changed));
    changed.extend_from_slice(&file[12 + length + 32..]);
    changed
}

/// SHA-256, by coreutils.
fn checksum(bytes: &[u8]) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), bytes).expect("written");
    let said = Command::new("sha256sum").arg(file.path()).output().expect("its end");
    data_encoding::HEXLOWER.decode(said.stdout.get(..64).expect("a digest")).expect("base16")
}

/// An agent with an open vault, and a key with a PIN.
fn stage() -> (Bridge, Installed, crate::softkey::Softkey) {
    let bridge = Bridge::start();
    let agent = Installed::open(&bridge.exports());
    let key = bridge.key("ONE", &[]);
    bridge.set_pin(&key);
    agent.devices_until(|devices| devices.len() == 1);
    (bridge, agent, key)
}

#[test]
fn two_keys_are_enrolled_and_one_is_lost() {
    let (bridge, agent, mut one) = stage();
    let person = Person::attend(&agent, &[PIN]);
    agent.add_slot(&["fido2", "--label", "one"]).good();
    let touches = person.take("touch_needed");
    let purposes: Vec<&str> = touches.iter().filter_map(|touch| touch["purpose"].as_str()).collect();
    assert_eq!(purposes.len(), 2, "{touches:?}");
    assert!(purposes[0].contains("first of two") && purposes[1].contains("second of two"), "{purposes:?}");
    assert_eq!(person.take("pin_needed").len(), 1);
    let slots = agent.slots();
    assert_eq!((&slots[2]["kind"], &slots[2]["device"]["label"]), (&"fido2".into(), &"one".into()), "{slots:?}");
    assert!(slots[2]["device"]["model"].as_str().is_some_and(|model| model.len() == 32), "{slots:?}");

    agent.run(&["lock"], "").good();
    assert!(!agent.is_open());
    agent.run(&["unlock"], "").good();
    assert!(agent.is_open());
    let asked = person.take("pin_needed");
    assert_eq!((asked.len(), &asked[0]["wanted"], &asked[0]["tries_left"]), (1, &"FIDO2 PIN".into(), &8.into()));
    let touches = person.take("touch_needed");
    assert_eq!((touches.len(), &touches[0]["purpose"]), (1, &"To open the vault.".into()));

    // Another one; the first is what proves that it may be added.
    let two = bridge.key("TWO", &[]);
    bridge.set_pin(&two);
    agent.devices_until(|devices| devices.len() == 2);
    agent.run(&["slot", "add", "fido2"], "").fault_told(2, "more than one device could be meant");
    agent.run(&["slot", "add", "fido2", "--device", "TWO", "--label", "two"], "").good();
    assert_eq!(agent.slots().len(), 4);
    agent.run(&["lock"], "").good();
    let said = agent.run(&["unlock"], "");
    said.fault_told(2, "slots 3, 4");
    agent.run(&["unlock", "--slot", "4"], "").good();
    agent.run(&["lock"], "").good();
    agent.run(&["unlock", "--device", "ONE"], "").good();

    // The first is lost.
    one.unplug();
    agent.devices_until(|devices| devices.len() == 1);
    agent.run(&["lock"], "").good();
    agent.run(&["unlock", "--slot", "3"], "").fault_told(4, "no device that opens the vault is plugged in");
    agent.run(&["unlock"], "").good();
    agent.run(&["slot", "remove", "3"], "").good();
    assert_eq!(agent.slots().len(), 3);
    agent.run(&["slot", "remove", "4"], "").fault_told(4, "no device");
    one.plug();
    two.unplug();
    agent.devices_until(|devices| devices.len() == 1);
    agent.run(&["lock"], "").good();
    agent.run(&["unlock"], "").fault_told(4, "no device that opens the vault is plugged in");
    agent.run(&["unlock", "--passphrase-fd", "0"], PASSPHRASE).good();
    let record = agent.run(&["audit", "log", "--json", "--event", "vault.unlock"], "").good();
    assert!(record.contains("\"slot\": \"fido2\"") && record.contains("\"slot\": \"device\""), "{record}");
}

#[test]
fn a_key_proves_what_the_passphrase_proves_and_opens_a_locked_vault_on_the_way() {
    let (_bridge, agent, _key) = stage();
    let person = Person::attend(&agent, &[PIN]);
    agent.add_slot(&["fido2"]).good();
    agent.run(&["lock"], "").good();
    person.take("pin_needed");
    agent.run(&["trash", "empty"], "").good();
    assert!(agent.is_open());
    assert_eq!(person.take("pin_needed").len(), 1, "once for both");
    agent.run(&["slot", "remove", "1"], "").good();
    agent.run(&["slot", "remove", "2"], "").fault_told(5, "only devices would open the vault");
    agent.run(&["slot", "remove", "2", "--leave-only-devices"], "").good();
    agent.run(&["slot", "remove", "3"], "").fault_told(4, "no device");
    agent.run(&["lock"], "").good();
    agent.run(&["unlock"], "").good();
}

#[test]
fn wrong_pins_are_counted_and_shown_and_never_block_the_key_unasked() {
    let (bridge, agent, mut key) = stage();
    let person = Person::attend(&agent, &[PIN]);
    agent.add_slot(&["fido2"]).good();
    agent.run(&["lock"], "").good();
    let before = agent.vault();
    person.take("pin_needed");
    let tries = |asked: Vec<Value>| asked.iter().map(|asked| asked["tries_left"].clone()).collect::<Vec<_>>();
    person.types(&["wrong", "wrong again", PIN]);
    let said = agent.run(&["unlock"], "");
    said.fault_told(5, "6 tries are left");
    assert_eq!(tries(person.take("pin_needed")), [8, 7]);
    assert!(!agent.is_open());
    // The control: the right one opens, and the count begins anew.
    person.types(&["wrong", PIN]);
    key.cycle();
    agent.devices_until(|devices| devices.first().is_some_and(|device| device["pin_tries"] == 6));
    agent.run(&["unlock"], "").good();
    let asked = person.take("pin_needed");
    assert_eq!(asked[1]["problem"], "The PIN was wrong.");
    assert_eq!(tries(asked), [6, 5]);
    agent.run(&["lock"], "").good();
    // Down to the last try, which nobody here wants to use.
    person.types(&["wrong"]);
    for left in [6, 4, 2] {
        agent.run(&["unlock"], "").fault_told(5, &format!("{left} tries are left"));
        key.cycle();
        agent.devices_until(|devices| devices.first().is_some_and(|device| device["pin_tries"] == left));
    }
    person.says("n");
    let said = agent.run(&["unlock"], "");
    assert!(said.exit != Some(0) && !agent.is_open(), "{said:?}");
    assert_eq!(agent.devices()[0]["pin_tries"], 1, "the last try is not used");
    assert_eq!(person.take("confirm_needed").len(), 1);
    assert_eq!(agent.vault(), before, "untouched");
    person.says("y");
    person.types(&[PIN]);
    agent.run(&["unlock"], "").good();
    assert_eq!(agent.devices()[0]["pin_tries"], 8);
    drop(bridge);
}

#[test]
fn a_key_without_a_pin_is_refused_and_told_what_to_do() {
    let bridge = Bridge::start();
    let agent = Installed::open(&bridge.exports());
    let key = bridge.key("ONE", &[]);
    agent.devices_until(|devices| devices.len() == 1);
    let before = agent.vault();
    let said = agent.add_slot(&["fido2"]);
    said.fault_told(7, "the device has no PIN yet");
    assert!(said.stderr.contains("claviger fido pin --set"), "{said:?}");
    assert_eq!(agent.vault(), before);
    let said = agent.add_slot(&["fido2", "--label", ""]);
    said.fault_told(2, "a label has 1 to 64 bytes");
    key.unplug();
    agent.devices_until(<[_]>::is_empty);
    agent.add_slot(&["fido2"]).fault_told(7, "no such device is plugged in");
    assert_eq!(agent.vault(), before);
}

#[test]
fn a_key_that_is_pulled_in_the_middle_leaves_the_vault_as_it_was() {
    let (_bridge, agent, mut key) = stage();
    let _person = Person::attend(&agent, &[PIN]);
    let before = agent.vault();
    // While it is enrolled: at the first touch, and at the second.
    for touch in 1..=2 {
        key.touch("manual");
        let mut add = agent.command("claviger");
        add.args(["slot", "add", "fido2", "--passphrase-fd", "0"]).stdin(Stdio::piped());
        let mut add = add.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the client");
        let mut stdin = add.stdin.take().expect("stdin");
        std::io::Write::write_all(&mut stdin, PASSPHRASE.as_bytes()).expect("written");
        drop(stdin);
        for _ in 1..touch {
            key.wait_touch();
            key.press();
        }
        key.wait_touch();
        key.unplug();
        let said = add.wait_with_output().expect("its end");
        let told = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(said.status.code() == Some(7) && told.contains("the device was removed"), "{touch}: {told}");
        key.plug();
        agent.devices_until(|devices| devices.len() == 1);
        assert_eq!(agent.vault(), before, "{touch}");
    }
    key.touch("auto");
    agent.add_slot(&["fido2"]).good();
    let (before, pid) = (agent.vault(), agent.pid());
    agent.run(&["lock"], "").good();
    key.touch("manual");
    let unlock = agent.unlocking();
    key.wait_touch();
    key.unplug();
    let said = unlock.wait_with_output().expect("its end");
    assert_eq!(said.status.code(), Some(4), "{said:?}");
    assert!(!agent.is_open());
    assert_eq!(agent.vault(), before);
    key.plug();
    key.touch("auto");
    agent.devices_until(|devices| devices.len() == 1);
    agent.run(&["unlock"], "").good();
    assert_eq!(agent.pid(), pid, "the same agent");
}

#[test]
fn a_lock_ends_an_unlock_that_waits_for_a_touch() {
    let (_bridge, agent, mut key) = stage();
    let _person = Person::attend(&agent, &[PIN]);
    agent.add_slot(&["fido2"]).good();
    agent.run(&["lock"], "").good();
    key.touch("manual");
    let unlock = agent.unlocking();
    key.wait_touch();
    agent.run(&["lock"], "").good();
    let said = unlock.wait_with_output().expect("its end");
    assert_ne!(said.status.code(), Some(0), "{said:?}");
    assert!(!agent.is_open());
    // It waits on for a touch, since nobody waited until it gave up: its answer would come to whoever opens it next.
    key.cycle();
    key.touch("auto");
    agent.devices_until(|devices| devices.first().is_some_and(|device| device["pin_tries"] == 8));
    agent.run(&["unlock"], "").good();
}

#[test]
fn a_header_that_was_tampered_with_opens_nothing_and_a_restart_changes_nothing() {
    let (_bridge, mut agent, _key) = stage();
    {
        let _person = Person::attend(&agent, &[PIN]);
        agent.add_slot(&["fido2", "--label", "one"]).good();
        agent.run(&["lock"], "").good();
        let whole = agent.vault();
        for (from, to) in [("\"label\":\"one\"", "\"label\":\"two\""), ("\"salt\":\"", "\"salt\":\"AAAA")] {
            let mut changed = with_header(&whole, from, to);
            if from.contains("salt") {
                // As long as it was: of the fido2 slot, the third.
                changed = other_salt(&whole);
            }
            fs::write(agent.file("data/vault"), &changed).expect("written");
            agent.run(&["unlock"], "").fault_told(5, "what the device gives does not open the slot");
            assert!(!agent.is_open());
            assert_eq!(agent.vault(), changed, "left untouched");
        }
        fs::write(agent.file("data/vault"), &whole).expect("written");
        agent.run(&["unlock"], "").good();
    }
    agent.again();
    assert!(!agent.is_open());
    let _person = Person::attend(&agent, &[PIN]);
    agent.devices_until(|devices| devices.len() == 1);
    agent.run(&["unlock"], "").good();
}

/// The vault with another salt for its key.
fn other_salt(file: &[u8]) -> Vec<u8> {
    let length = usize::try_from(u32::from_be_bytes(file[8..12].try_into().expect("4 bytes"))).expect("a length");
    let header: Value = serde_json::from_slice(&file[12..12 + length]).expect("JSON");
    let salt = header["slots"][2]["salt"].as_str().expect("a salt");
    let other = if salt.starts_with('A') { "B" } else { "A" };
    with_header(file, salt, &format!("{other}{}", &salt[1..]))
}

#[test]
fn presence_is_a_touch_of_the_enrolled_key_and_of_no_other() {
    let bridge = Bridge::start();
    let (one, two) = (bridge.key("ONE", &[]), bridge.key("TWO", &[]));
    bridge.set_pin(&one);
    bridge.set_pin(&two);
    let exports = bridge.environment().map(|(name, value)| format!("export {name}='{value}'\n")).concat();
    let helper = program("claviger-device-helper");
    let script = bridge.file("helper");
    fs::write(&script, format!("#!/bin/sh\n{exports}exec '{}'\n", helper.display())).expect("a script");
    fs::set_permissions(&script, Permissions::from_mode(0o755)).expect("chmod");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let hardware = runtime.block_on(async {
        let clock = World::real().clock;
        let prompts = Prompts::new(clock.clone(), Programs::default());
        Hardware { devices: Devices::new(clock, script), prompts }
    });
    let found = |node: &str| -> Found {
        let mut tries = (0..1000).map(|_| runtime.block_on(hardware.devices.present()).expect("devices").devices);
        tries
            .find_map(|seen| {
                let path = claviger_agent::device::Address::Fido(node.to_owned());
                seen.into_iter().find(|found| found.address == path)
            })
            .expect("the key")
    };
    let (first, second) = (found(&one.node), found(&two.node));
    let touch = Touch { device: "the key".to_owned(), purpose: "A test.".to_owned(), asked_by: String::new() };
    let audience = Arc::new(Audience::default());
    let enrol = |device: &Found| {
        let pin = Pin::from_text(PIN.to_owned());
        let operation = Operation::Fido(Do::MakeSecret { application: "claviger:vault".to_owned(), pin });
        let made = runtime.block_on(hardware.run(device, operation, &touch, &audience));
        let Ok(Answer::Fido(FidoAnswer::Enrolled(made))) = made else { panic!("no credential") };
        Fido2Slot {
            application: "claviger:vault".to_owned(),
            credential: made.credential.0,
            label: None,
            model: [0; 16],
            protected: made.protected,
            public: made.public.0.as_slice().try_into().expect("a point"),
            salt: [1; 32],
        }
    };
    let (mine, other) = (enrol(&first), enrol(&second));
    assert!(!mine.protected, "the rig speaks CTAP 2.1, and keeps two secrets");
    let present = |device: &Found, slot: &Fido2Slot| {
        runtime.block_on(hardware.presence(device, slot, (&[5; 32], None), &touch, &audience))
    };
    assert_eq!(present(&first, &mine), Ok(()));
    assert!(matches!(present(&second, &mine), Err(Error::NotThere(_))), "another key");
    // Its signature is not that of the one that was enrolled.
    let forged = Fido2Slot { public: other.public, ..mine.clone() };
    assert!(matches!(present(&first, &forged), Err(Error::BadAnswer(_))));
    one.touch("never");
    assert_eq!(present(&first, &mine), Err(Error::TouchTimeout));
    one.touch("auto");
    assert_eq!(present(&first, &mine), Ok(()));
    // An assertion that was not touched, and one over something else.
    let sign = |touched: bool, data: [u8; 32]| {
        let operation = Operation::Fido(Do::Sign {
            application: mine.application.clone(),
            credential: Bytes(mine.credential.clone()),
            data: Bytes(data.to_vec()),
            touch: touched,
            verify: false,
            pin: None,
        });
        match runtime.block_on(hardware.run(&first, operation, &touch, &audience)) {
            Ok(Answer::Fido(FidoAnswer::Assertion(made))) => made,
            _ => panic!("no assertion"),
        }
    };
    let holds = |made| claviger_agent::session::is_touched(&mine, &[5; 32], &made);
    assert!(holds(sign(true, [5; 32])), "the control");
    assert!(!holds(sign(true, [6; 32])) && !holds(sign(false, [5; 32])));
}

#[test]
fn the_secret_is_another_one_without_the_pin() {
    let (bridge, agent, key) = stage();
    let _person = Person::attend(&agent, &[PIN]);
    agent.add_slot(&["fido2"]).good();
    let vault = agent.vault();
    let length = usize::try_from(u32::from_be_bytes(vault[8..12].try_into().expect("4 bytes"))).expect("a length");
    let header: Value = serde_json::from_slice(&vault[12..12 + length]).expect("JSON");
    let slot = &header["slots"][2];
    let text = |name: &str| slot[name].as_str().expect("text");
    let challenge = data_encoding::BASE64.encode(&[0; 32]);
    let input = format!("{challenge}\n{}\n{}\n{}\n", text("application"), text("credential"), text("salt"));
    bridge.write("assert.in", &input);
    let path = bridge.path("assert.in");
    let secret = |said: String| said.lines().last().expect("a line").to_owned();
    let without = secret(bridge.run(&["fido2-assert", "-G", "-h", "-i", &path, &key.node]).good());
    let words = ["fido2-assert", "-G", "-h", "-v", "-i", &path, &key.node];
    let with = bridge.answer(&words, &[("Enter PIN for", PIN)]).good();
    let with = secret(with.replace('\r', ""));
    assert_eq!(data_encoding::BASE64.decode(with.as_bytes()).expect("base64").len(), 32);
    assert_eq!(data_encoding::BASE64.decode(without.as_bytes()).expect("base64").len(), 32);
    assert_ne!(with, without);
    // What libfido2 has from the key is what opens the vault.
    let opens = |secret: &str| {
        let secret: [u8; 32] =
            data_encoding::BASE64.decode(secret.as_bytes()).expect("base64").try_into().expect("32 bytes");
        let folder = claviger_agent::vault::VaultFolder::new(World::real(), agent.file("data"));
        let answer = claviger::model::SlotAnswer {
            slot: 3,
            kind: claviger::wire::SlotKind::Fido2,
            secret: Arc::new(claviger::secret::Secret::new(secret)),
        };
        folder.open(&claviger::wire::SlotProof::Answered(answer)).is_ok()
    };
    assert!(opens(&with), "the control");
    assert!(!opens(&without));
}
