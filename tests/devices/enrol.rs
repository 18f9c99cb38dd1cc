//! A virtual MFA device made at AWS with its seed on a YubiKey: touched for, backed up, refused, and pulled in the middle.

use crate::agent::Installed;
use crate::home::{Ended, Home, PASSPHRASE};
use crate::sandbox::Sandbox;
use crate::yubikey::{Bad, Card, Rig};
use serde_json::Value;
use std::process::Stdio;

const CARD: u32 = 12_345_678;
/// INS of PUT in the OATH applet (Yubico, YKOATH protocol).
const PUT: u8 = 0x01;
const ENROLL: [&str; 4] = ["mfa", "enroll", "dev", "--device"];

/// An access key in the vault, a YubiKey, and no device of the user's here.
struct Stage {
    sandbox: Sandbox,
    agent: Installed,
    card: Card,
    _rig: Rig,
}

impl Stage {
    fn new() -> Self {
        let rig = Rig::new();
        let card = rig.yubikey(CARD, "5.7.1");
        let sandbox = Sandbox::start();
        let agent = Installed::start(Home::at(&sandbox), &[("PCSCLITE_CSOCK_NAME", rig.pcsc_socket())]);
        agent.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
        agent.run(&["access-key", "add", "dev", "--stdin"], &sandbox.access_key()).good();
        Self { sandbox, agent, card, _rig: rig }
    }

    fn run(&self, words: &[&str]) -> Ended {
        self.agent.run(words, "")
    }

    /// A run that waits for a touch, and gets one.
    fn touched(&self, words: &[&str]) -> Ended {
        let mut command = self.agent.command("claviger");
        command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let client = command.spawn().expect("the client");
        self.card.wait_for_touch();
        assert!(self.card.touch());
        client.wait_with_output().expect("its end").into()
    }

    fn done(&self, action: &str) -> usize {
        self.sandbox.ends(action).iter().filter(|status| **status == 200).count()
    }

    /// Virtual devices that were made and are still there.
    fn at_aws(&self) -> usize {
        self.done("CreateVirtualMFADevice") - self.done("DeleteVirtualMFADevice")
    }

    fn row(&self) -> Value {
        let rows: Value = serde_json::from_str(&self.run(&["mfa", "list", "--json"]).good()).expect("JSON");
        rows[0].clone()
    }

    fn plug(&self) {
        // A reader that came back before it was missed is the same one to pcscd's clients.
        self.agent.devices_until(<[Value]>::is_empty);
        self.card.plug();
        self.agent.devices_until(|devices| devices.first().is_some_and(|device| device["serial"] == CARD));
    }

    fn is_unfinished(&self) -> bool {
        self.run(&["status"]).good().contains("was cut off")
    }
}

#[test]
fn the_seed_is_on_the_card_alone_and_one_touch_has_shown_it() {
    let stage = Stage::new();
    stage.card.touch_by_hand();
    let enrolled = stage.touched(&ENROLL);
    assert!(enrolled.stderr.contains("To see that it gives the codes"), "{enrolled:?}");
    assert!(enrolled.stderr.contains(&format!("its seed is on the YubiKey {CARD} alone")), "{enrolled:?}");
    enrolled.good();
    assert_eq!((stage.row()["card"].as_u64(), stage.row()["backup"].as_bool()), (Some(CARD.into()), None));
    let export = stage.agent.run(&["mfa", "export", "ada", "--passphrase-fd", "0"], PASSPHRASE);
    export.fault_told(5, "is on a YubiKey");
    // The session of the enrolment serves; after a logout the card gives the code for STS.
    stage.run(&["login", "prod"]).good();
    stage.run(&["logout", "--all"]).good();
    let codes = stage.sandbox.codes();
    stage.touched(&["login", "prod"]).good();
    assert_eq!((stage.sandbox.codes(), stage.sandbox.reused()), (codes + 1, 0));
    stage.run(&["logout", "--all"]).good();
    stage.card.unplug();
    stage.run(&["login", "prod"]).fault_told(7, "no such device is plugged in");
}

#[test]
fn one_with_a_backup_is_stood_in_for_where_it_is_pulled() {
    let stage = Stage::new();
    let enrolled = stage.run(&[&ENROLL[..], &["--backup", "--no-touch", "--account", "AWS:ada"]].concat());
    assert!(enrolled.stderr.contains(&format!("its seed is on the YubiKey {CARD} and in the vault")), "{enrolled:?}");
    enrolled.good();
    assert_eq!(stage.row()["backup"], true);
    stage.run(&["logout", "--all"]).good();
    stage.card.unplug();
    stage.run(&["login", "prod"]).good();
    assert_eq!(stage.sandbox.reused(), 0);
    stage.agent.run(&["mfa", "export", "ada", "--passphrase-fd", "0"], PASSPHRASE).good();
}

#[test]
fn a_card_that_has_the_account_or_has_no_room_leaves_nothing_at_aws() {
    let stage = Stage::new();
    let add = ["mfa", "add", "--for", "dev", "--device", "--seed-stdin", "--no-verify", "--account", "AWS:ada"];
    let serial = stage.sandbox.text("mfa_serial").to_owned();
    stage.agent.run(&[&add[..], &["--serial", &serial]].concat(), stage.sandbox.text("mfa_seed")).good();
    let asked = stage.sandbox.calls("CreateVirtualMFADevice");
    stage.run(&[&ENROLL[..], &["--account", "AWS:ada", "--name", "second"]].concat()).fault_told(5, "");
    assert_eq!(stage.sandbox.calls("CreateVirtualMFADevice"), asked, "the card is looked at first");
    // No room: 6A84 (Yubico, YKOATH protocol, PUT).
    stage.card.answer(Some(Bad::Status(0x6a84)), Some(PUT));
    let full = stage.run(&[&ENROLL[..], &["--name", "second"]].concat());
    assert!(full.exit != Some(0) && full.stderr.contains("full"), "{full:?}");
    assert_eq!((stage.done("CreateVirtualMFADevice"), stage.at_aws()), (1, 0));
    assert!(!stage.is_unfinished());
    stage.card.answer(None, Some(PUT));
    stage.run(&[&ENROLL[..], &["--name", "second"]].concat()).good();
    assert_eq!(stage.at_aws(), 1);
}

#[test]
fn one_that_is_pulled_at_any_command_is_finished_or_taken_back() {
    let stage = Stage::new();
    let enroll = [&ENROLL[..], &["--no-touch"]].concat();
    stage.run(&enroll).good();
    let serial = stage.row()["serial"].clone();
    // Its account stays on the card; the next device has a name, and so an account, of its own.
    let (mut next, mut unfinished) = (1, 0);
    loop {
        stage.card.cut_after(next);
        let cut = stage.run(&[&enroll[..], &["--name", "cut"]].concat());
        if cut.exit == Some(0) {
            break;
        }
        cut.fault_told(7, "");
        stage.plug();
        if stage.is_unfinished() {
            unfinished += 1;
            stage.run(&["mfa", "enroll", "dev", "--undo"]).good();
        }
        assert!(!stage.is_unfinished(), "{next}");
        assert_eq!(stage.at_aws(), 1, "{next}: the first one alone");
        assert_eq!(stage.row()["serial"], serial);
        next += 1;
    }
    // An enrolment takes fewer commands than that.
    stage.card.cut_at(1_000_000);
    assert!(next > 4 && unfinished > 0, "the control: {unfinished} of {next} were cut off in the middle");
    stage.run(&["mfa", "deactivate", "cut"]).good();
    // Once more, in its last command, and gone on from there.
    stage.card.cut_after(next - 1);
    stage.run(&[&enroll[..], &["--name", "last"]].concat()).fault_told(7, "");
    stage.plug();
    assert!(stage.is_unfinished());
    // Its account stays as it is until then.
    let cards: Value = serde_json::from_str(&stage.run(&["oath", "list", "--json"]).good()).expect("JSON");
    let names =
        cards[0]["accounts"].as_array().expect("accounts").iter().filter_map(|account| account["name"].as_str());
    let last = names.into_iter().find(|name| name.contains(":last@")).expect("the account");
    for words in [&["delete", last][..], &["rename", last, "AWS:other"], &["code", last]] {
        stage.run(&[&["oath"], words].concat()).fault_told(5, "whose enrolment is not done");
    }
    stage.run(&enroll).good();
    assert!(!stage.is_unfinished());
    assert_eq!((stage.at_aws(), stage.sandbox.reused()), (2, 0));
}
