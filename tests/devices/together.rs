//! Several devices at once, and others who use them in the same moment.

use crate::agent::Installed;
use crate::cards::FOREIGN;
use crate::home::run;
use crate::person::Person;
use crate::piv::{PIN, SERIAL, at_agent, bad, login, make, openssh, sign};
use crate::softkey::{Bridge, Softkey};
use crate::yubikey::{Card, Rig, python};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

/// A signature that somebody waits for.
pub(crate) fn start_signing(agent: &Installed, name: &str) -> Child {
    agent.write("waiting", "data");
    let data = fs::File::open(agent.file("waiting")).expect("a file");
    let mut command = at_agent(agent, &["ssh-keygen", "-Y", "sign", "-n", "file", "-f", &format!("{name}.pub")]);
    command.stdin(data).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("ssh-keygen")
}

pub(crate) fn ended(child: Child) -> crate::softkey::Ended {
    child.wait_with_output().expect("its end").into()
}

/// A key of a FIDO device in the agent, named as a file of its public half.
fn hand_over(bridge: &Bridge, agent: &Installed, name: &str) {
    bridge.keygen(name, "ed25519-sk", &[]).good();
    openssh(agent, &["ssh-add", "-q", &bridge.path(name)], "").good();
    agent.write(&format!("{name}.pub"), &bridge.read(&format!("{name}.pub")));
}

/// An agent with a YubiKey's key in 9e, a FIDO device's key `fido`, and the vault's own key `soft`.
fn all_kinds() -> (Rig, Bridge, Card, Softkey, Installed) {
    let (rig, bridge) = (Rig::new(), Bridge::start());
    let [preload, nodes] = bridge.exports();
    let agent = Installed::open(&[("PCSCLITE_CSOCK_NAME", rig.pcsc_socket()), preload, nodes]);
    let (card, key) = (rig.yubikey(SERIAL, "5.7.1"), bridge.key("ONE", &[]));
    agent.devices_until(|devices| devices.len() == 2);
    let policies = ["--pin-policy", "never", "--touch-policy", "always"];
    make(&agent, "9e", &[&["--type", "ecdsa-p256"], &policies[..]].concat());
    let soft = agent.run(&["ssh-key", "new", "soft"], "").good();
    agent.write("soft.pub", &soft);
    hand_over(&bridge, &agent, "fido");
    assert_eq!(openssh(&agent, &["ssh-add", "-L"], "").good().lines().count(), 3);
    (rig, bridge, card, key, agent)
}

#[test]
fn a_touch_that_is_waited_for_delays_nobody_else() {
    let (_rig, _bridge, card, key, agent) = all_kinds();
    let others = |names: [&str; 2]| {
        assert_eq!(openssh(&agent, &["ssh-add", "-L"], "").good().lines().count(), 3);
        for name in names {
            sign(&agent, name).good();
        }
        agent.run(&["status"], "").good();
    };
    card.touch_by_hand();
    let waiting = start_signing(&agent, "9e");
    card.wait_for_touch();
    others(["soft", "fido"]);
    assert!(card.touch(), "all of them were done while it waited");
    ended(waiting).good();

    card.touch_at_once();
    key.touch("manual");
    let mut waiting = start_signing(&agent, "fido");
    key.wait_touch();
    others(["soft", "9e"]);
    assert!(waiting.try_wait().expect("its state").is_none(), "it waits still");
    key.press();
    ended(waiting).good();
    // The controls: a touch that does not come ends in no signature.
    card.touch_never();
    key.touch("never");
    for name in ["9e", "fido"] {
        bad(sign(&agent, name));
    }
}

#[test]
fn two_cards_sign_each_with_its_own() {
    let rig = Rig::new();
    // Told so that a key that was made is found by its certificate.
    let nitrokey = rig.nitrokey(Some("5.2.7"));
    run(rig.command(python("python3")).args([FOREIGN, "nitrokey"]), "").good();
    let agent = Installed::open(&[("PCSCLITE_CSOCK_NAME", rig.pcsc_socket())]);
    let yubikey = rig.yubikey(SERIAL, "5.4.3");
    let listed = agent.devices_until(|devices| devices.len() == 2);
    assert!(listed.iter().all(|row| row.get("fault").is_none()), "{listed:?}");
    agent.run(&["piv", "new", "9a"], "").fault_told(2, "more than one device");
    let ours = make(&agent, "9a", &["--device", &SERIAL.to_string(), "--type", "ecdsa-p256"]);
    let keys = openssh(&agent, &["ssh-add", "-L"], "").good();
    let theirs: Vec<&str> = keys.lines().filter(|line| line.trim() != ours.trim()).collect();
    let [theirs] = theirs.as_slice() else { panic!("{keys} {:?}", agent.run(&["piv", "list", "--json"], "")) };
    agent.write("nitrokey.pub", &format!("{theirs}\n"));
    let public = run(rig.command("ssh-keygen").args(["-i", "-m", "PKCS8", "-f", "9a.pem"]), "").good();
    assert!(theirs.starts_with(public.trim()), "what its own program made: {public} {theirs}");

    let person = Person::attend(&agent, &[PIN]);
    for (name, works, rests) in [("nitrokey", &nitrokey, &yubikey), ("9a", &yubikey, &nitrokey)] {
        let (before, resting) = (works.apdus(), rests.apdus());
        sign(&agent, name).good();
        assert_eq!(login(&agent, name).good(), "here\n");
        assert!(works.apdus() > before && rests.apdus() == resting, "{name}: each is asked for its own alone");
        assert_eq!(person.take("pin_needed").len(), 1, "{name}: its own PIN");
    }
    drop(nitrokey);
    agent.devices_until(|devices| devices.len() == 1);
    sign(&agent, "9a").good();
    bad(sign(&agent, "nitrokey"));
}

/// Another program that is connected to the card as well, and does what it is told. It is told at once where it may not.
struct Foreign(Child, ChildStdin, BufReader<ChildStdout>);

impl Foreign {
    fn connect(rig: &Rig) -> Self {
        const SCRIPT: &str = "import sys
from smartcard.scard import *
both = SCARD_PROTOCOL_T0 | SCARD_PROTOCOL_T1
_, context = SCardEstablishContext(SCARD_SCOPE_USER)
_, readers = SCardListReaders(context, [])
error, card, protocol = SCardConnect(context, readers[0], SCARD_SHARE_SHARED, both)
print(SCardGetErrorMessage(error), flush=True)
for line in sys.stdin:
    if line == 'reset\\n':
        error, protocol = SCardReconnect(card, SCARD_SHARE_SHARED, both, SCARD_RESET_CARD)
    else:
        error, _ = SCardTransmit(card, protocol, list(bytes.fromhex(line)))
    print(SCardGetErrorMessage(error), flush=True)
";
        let mut command = rig.command(python("python3"));
        command.args(["-c", SCRIPT]).env("PCSCLITE_NO_BLOCKING", "1").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("python");
        let (stdin, stdout) = (child.stdin.take().expect("stdin"), child.stdout.take().expect("stdout"));
        let mut foreign = Self(child, stdin, BufReader::new(stdout));
        assert_eq!(foreign.heard(), "Command successful.");
        foreign
    }

    fn heard(&mut self) -> String {
        let mut line = String::new();
        self.2.read_line(&mut line).expect("a line");
        line.trim().to_owned()
    }

    fn says(&mut self, line: &str) -> String {
        writeln!(self.1, "{line}").expect("it listens");
        self.heard()
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn nobody_comes_between_a_pin_and_its_signature() {
    const SELECT_OATH: &str = "00A4040007A0000005272101";
    // Selecting another applet, or a reset, takes the PIN away from the signature that is under way.
    const WAYS: [&str; 2] = [SELECT_OATH, "reset"];
    let rig = Rig::new();
    let agent = Installed::open(&[("PCSCLITE_CSOCK_NAME", rig.pcsc_socket())]);
    let card = rig.yubikey(SERIAL, "5.4.3");
    agent.devices_until(|devices| devices.len() == 1);
    make(&agent, "9a", &["--type", "ecdsa-p256"]);
    let person = Person::attend(&agent, &[PIN]);
    sign(&agent, "9a").good();
    let before = card.apdus();
    sign(&agent, "9a").good();
    assert_eq!(card.apdus() - before, 4, "SELECT, GET METADATA, VERIFY, GENERAL AUTHENTICATE");
    let mut foreign = Foreign::connect(&rig);
    for way in WAYS {
        let before = card.apdus();
        card.mute_at(4);
        let waiting = start_signing(&agent, "9a");
        card.wait_for_apdu(before + 4);
        assert_eq!(foreign.says(way), "Sharing violation.", "{way}");
        card.mute(false);
        ended(waiting).good();
        assert_eq!(card.apdus() - before, 4, "{way}: nothing was done twice");
        // The control: between two signatures it may, and the next one finds its way.
        assert_eq!(foreign.says(way), "Command successful.", "{way}");
        sign(&agent, "9a").good();
    }
    assert_eq!(person.take("pin_needed").len(), 1, "the PIN was asked for once");
}

#[test]
fn a_program_that_locks_nothing_spoils_no_signature() {
    // A lock keeps nobody out here, and each hears what the other is answered.
    let bridge = Bridge::with_copies();
    let agent = Installed::open(&bridge.exports());
    let key = bridge.key("ONE", &[]);
    agent.devices_until(|devices| devices.len() == 1);
    hand_over(&bridge, &agent, "fido");
    key.touch("manual");
    // Where two open the node in the same moment the rig may lose an answer, and the signature is given up: once more.
    let begin = || {
        let asked = key.figure("asked");
        until_touch(&key, &asked, start_signing(&agent, "fido"))
    };
    let waiting = (0..3).find_map(|_| begin()).expect("a touch is waited for");
    // It is answered while the key waits: that it is busy, or once ours has been given up.
    assert!(bridge.run(&["fido2-token", "-I", &key.node]).good().contains("proto:"));
    key.ask("press");
    is_right_or_told(&agent, &bridge, ended(waiting));
    // The control: alone it is right.
    key.touch("auto");
    assert!((0..3).any(|_| sign(&agent, "fido").exit == Some(0)), "{}", agent.log());
}

#[test]
fn what_begins_while_another_program_waits_for_its_touch_spoils_neither_signature() {
    let bridge = Bridge::with_copies();
    let agent = Installed::open(&bridge.exports());
    let key = bridge.key("ONE", &[]);
    agent.devices_until(|devices| devices.len() == 1);
    hand_over(&bridge, &agent, "fido");
    bridge.keygen("theirs", "ed25519-sk", &[]).good();
    key.touch("manual");
    let asked = key.figure("asked");
    let begin =
        || until_touch(&key, &asked, bridge.signing("theirs").stderr(Stdio::null()).spawn().expect("ssh-keygen"));
    let mut theirs = (0..3).find_map(|_| begin()).expect("a touch is waited for");
    // It has come to the key: that has heard more.
    let heard = key.reports();
    let mut ours = start_signing(&agent, "fido");
    while key.reports() == heard {
        assert_eq!(ours.try_wait().expect("its state"), None, "it ended without a word to the key: {}", agent.log());
    }
    key.touch("auto");
    key.ask("press");
    if theirs.wait().expect("its end").success() {
        bridge.verify("theirs", "what is signed\n").good();
    }
    is_right_or_told(&agent, &bridge, ended(ours));
    assert!((0..3).any(|_| sign(&agent, "fido").exit == Some(0)), "{}", agent.log());
    assert!((0..3).any(|_| bridge.signing("theirs").output().expect("ssh-keygen").status.success()));
}

/// A signature that the key's public half verifies, or a typed error.
fn is_right_or_told(agent: &Installed, bridge: &Bridge, made: crate::softkey::Ended) {
    let is_told = agent.log().contains("a signature was refused error=device: ");
    assert!(made.exit == Some(0) || is_told, "{made:?} {}", agent.log());
    if made.exit == Some(0) {
        agent.write("signature", &made.stdout);
        agent.write("signers", &format!("ada {}", bridge.read("fido.pub")));
        let check = ["ssh-keygen", "-Y", "verify", "-f", "signers", "-I", "ada", "-n", "file", "-s", "signature"];
        openssh(agent, &check, "data").good();
    }
}

/// Whoever signs, once a touch is waited for; None where it ended before that.
fn until_touch(key: &Softkey, asked: &str, mut signing: Child) -> Option<Child> {
    while key.figure("asked") == asked {
        if signing.try_wait().expect("its state").is_some() {
            return None;
        }
    }
    Some(signing)
}
