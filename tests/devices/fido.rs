//! The software FIDO2 key by libfido2's `fido2-token` and by OpenSSH: that it is a security key.

use crate::softkey::{Bridge, Ended, Softkey};
use crate::terminal::OnTerminal;
use rustix::process::{Pid, Signal, kill_process};
use std::process::{Command, Stdio};

const PIN: &str = "1234-abc";
const NEW: &[(&str, &str)] = &[("Enter new PIN for", PIN), ("Enter the same PIN again", PIN)];

impl Bridge {
    /// What `fido2-token -I` tells of a key.
    fn token(&self, key: &Softkey) -> String {
        self.run(&["fido2-token", "-I", &key.node]).good()
    }

    fn tokens(&self) -> Vec<String> {
        let listed = self.run(&["fido2-token", "-L"]).good();
        listed.lines().filter_map(|line| Some(line.split_once(':')?.0.to_owned())).collect()
    }

    /// Runs a program to its end on a terminal; answers each of these questions once, in turn, with what is not shown.
    pub(crate) fn answer(&self, words: &[&str], answers: &[(&str, &str)]) -> Ended {
        let mut run = OnTerminal::start(self.command_with(&["setsid", "--wait", "--ctty"], words));
        for (question, answer) in answers {
            run.wait_for(question);
            run.enter_hidden(answer);
        }
        run.end().into()
    }

    pub(crate) fn set_pin(&self, key: &Softkey) {
        self.answer(&["fido2-token", "-S", &key.node], NEW).good();
    }

    /// Lists resident keys, which takes the PIN.
    pub(crate) fn resident(&self, key: &Softkey, pin: &str) -> Ended {
        self.answer(&["fido2-token", "-L", "-r", &key.node], &[("Enter PIN for", pin)])
    }

    /// A program of OpenSSH that asks for the PIN by SSH_ASKPASS and gets it.
    fn ssh(&self, words: &[&str]) -> Command {
        self.script("askpass", &format!("echo {PIN}"));
        let mut command = self.command(words);
        command.env("SSH_ASKPASS", self.path("askpass")).env("SSH_ASKPASS_REQUIRE", "force");
        command
    }

    /// `ssh-keygen`'s new key in a file of this name.
    pub(crate) fn keygen(&self, name: &str, kind: &str, options: &[&str]) -> Ended {
        let path = self.path(name);
        let words = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", name, "-f", &path];
        let options = options.iter().flat_map(|option| ["-O", option]);
        self.ssh(&words.into_iter().chain(options).collect::<Vec<_>>()).output().expect("its end").into()
    }

    pub(crate) fn signing(&self, name: &str) -> Command {
        self.write("data", "what is signed\n");
        let _ = std::fs::remove_file(self.file("data.sig"));
        self.ssh(&["ssh-keygen", "-q", "-Y", "sign", "-n", "test", "-f", &self.path(name), &self.path("data")])
    }

    fn sign(&self, name: &str) -> Ended {
        self.signing(name).output().expect("its end").into()
    }

    /// `ssh-keygen -Y verify` of what was signed last.
    pub(crate) fn verify(&self, name: &str, data: &str) -> Ended {
        self.write("signers", &format!("me {}", self.read(&format!("{name}.pub"))));
        self.write("read", data);
        let words = "ssh-keygen -Y verify -n test -I me -f signers -s data.sig < read";
        self.run(&["sh", "-c", words])
    }

    /// A signature that verifies, and does not over anything else.
    fn signs(&self, name: &str) {
        self.sign(name).good();
        self.verify(name, "what is signed\n").good();
        self.verify(name, "what was signed\n").bad("Could not verify signature");
    }
}

/// How often the PIN may still be wrong.
fn tries(token: &str) -> &str {
    token.lines().find_map(|line| line.strip_prefix("pin retries: ")).expect("a number")
}

#[test]
fn keys_are_listed_while_they_are_plugged_in() {
    let bridge = Bridge::start();
    assert!(bridge.tokens().is_empty());
    let mut first = bridge.key("FIRST", &[]);
    let second = bridge.key("SECOND", &["--vendor=1050", "--product=0407", "--name=another key"]);
    assert_eq!(bridge.tokens(), ["/dev/hidraw0", "/dev/hidraw1"]);
    let told = bridge.token(&first);
    for words in ["version strings: U2F_V2, FIDO_2_0, FIDO_2_1", "hmac-secret", "es256", "eddsa", "pin retries: 8"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert!(bridge.run(&["fido2-token", "-L"]).good().contains("vendor=0x1050, product=0x0407 (claviger another key)"));
    first.unplug();
    assert_eq!(bridge.tokens(), ["/dev/hidraw1"]);
    bridge.run(&["fido2-token", "-I", &first.node]).bad("fido_dev_open");
    first.plug();
    assert_eq!(bridge.tokens(), ["/dev/hidraw0", "/dev/hidraw1"]);
    bridge.token(&first);
    assert_eq!((first.figure("boots"), second.figure("boots")), ("2".to_owned(), "1".to_owned()));
    // Without the rig's environment there are no such keys.
    let mut outside = bridge.command(&["fido2-token", "-I", &second.node]);
    let outside = outside.env_remove("LD_PRELOAD").output().expect("its end");
    assert!(!outside.status.success());
}

#[test]
fn a_pin_is_set_changed_and_counted_over_power_cycles_until_a_reset() {
    let bridge = Bridge::start();
    let mut key = bridge.key("ONE", &[]);
    assert!(bridge.token(&key).contains("noclientPin"));
    bridge.set_pin(&key);
    assert!(bridge.token(&key).contains(", clientPin"));
    let change = ["fido2-token", "-C", &key.node.clone()];
    let answers =
        [("Enter current PIN for", PIN), ("Enter new PIN for", "654321"), ("Enter the same PIN again", "654321")];
    bridge.answer(&change, &answers).good();
    bridge.resident(&key, "654321").good();
    for (left, before) in [("8", "5"), ("5", "2")] {
        assert_eq!(tries(&bridge.token(&key)), left);
        bridge.resident(&key, PIN).bad("FIDO_ERR_PIN_INVALID");
        bridge.resident(&key, PIN).bad("FIDO_ERR_PIN_INVALID");
        bridge.resident(&key, PIN).bad("FIDO_ERR_PIN_AUTH_BLOCKED");
        // Not even the right one, until the power was off.
        bridge.resident(&key, "654321").bad("FIDO_ERR_PIN_AUTH_BLOCKED");
        key.cycle();
        assert_eq!(tries(&bridge.token(&key)), before);
    }
    bridge.resident(&key, PIN).bad("FIDO_ERR_PIN_INVALID");
    bridge.resident(&key, PIN).bad("FIDO_ERR_PIN_BLOCKED");
    assert_eq!(tries(&bridge.token(&key)), "0");
    key.cycle();
    bridge.resident(&key, "654321").bad("FIDO_ERR_PIN_BLOCKED");
    bridge.run(&["fido2-token", "-R", &key.node]).good();
    let told = bridge.token(&key);
    assert!(told.contains("noclientPin") && tries(&told) == "8", "{told}");
}

#[test]
fn a_pin_counts_down_to_the_right_one() {
    let bridge = Bridge::start();
    let key = bridge.key("ONE", &[]);
    bridge.set_pin(&key);
    bridge.resident(&key, "wrong").bad("FIDO_ERR_PIN_INVALID");
    assert_eq!(tries(&bridge.token(&key)), "7");
    bridge.resident(&key, PIN).good();
    assert_eq!(tries(&bridge.token(&key)), "8");
}

#[test]
fn openssh_makes_keys_signs_and_verifies() {
    let bridge = Bridge::start();
    let key = bridge.key("ONE", &[]);
    bridge.set_pin(&key);
    for kind in ["ed25519-sk", "ecdsa-sk"] {
        let (one, other) = (format!("application=ssh:{kind}"), format!("application=ssh:{kind}-both"));
        let ways: [(&str, &[&str]); 4] = [
            ("plain", &[]),
            ("resident", &["resident", &one]),
            ("verified", &["verify-required"]),
            ("both", &["resident", "verify-required", &other, "user=ada"]),
        ];
        for (way, options) in ways {
            let name = format!("{kind}-{way}");
            bridge.keygen(&name, kind, options).good();
            bridge.signs(&name);
        }
    }
    let listed = bridge.resident(&key, PIN).good();
    assert_eq!(listed.matches("ssh:").count(), 4, "{listed}");
    // One key's signature is not another's.
    bridge.verify("ecdsa-sk-plain", "what is signed\n").bad("Could not verify signature");
}

#[test]
fn resident_keys_are_downloaded_after_a_power_cycle() {
    let bridge = Bridge::start();
    let mut key = bridge.key("ONE", &[]);
    bridge.set_pin(&key);
    bridge.keygen("made", "ed25519-sk", &["resident"]).good();
    key.cycle();
    let loaded = bridge.ssh(&["ssh-keygen", "-K", "-N", ""]).output().expect("its end");
    Ended::from(loaded).good();
    let words = |text: String| text.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let made = words(bridge.read("made.pub"));
    assert_eq!(words(bridge.read("id_ed25519_sk_rk.pub")).trim(), made.trim());
    bridge.signs("id_ed25519_sk_rk");
    bridge.signs("made");
}

#[test]
fn a_touch_is_waited_for() {
    let bridge = Bridge::start();
    let key = bridge.key("ONE", &["--up-timeout-ms=700"]);
    bridge.keygen("plain", "ed25519-sk", &[]).good();
    key.touch("never");
    bridge.sign("plain").bad("Couldn't sign message");
    assert_eq!(key.figure("waiting"), "false");
    key.touch("delay 50");
    bridge.signs("plain");
}

#[test]
fn a_touch_comes_when_the_test_says_so() {
    let bridge = Bridge::start();
    let key = bridge.key("ONE", &[]);
    bridge.keygen("plain", "ed25519-sk", &[]).good();
    key.touch("manual");
    assert_eq!(key.ask("press"), "err no touch is waited for");
    let mut client = bridge.signing("plain").stderr(Stdio::null()).spawn().expect("ssh-keygen");
    key.wait_touch();
    assert!(client.try_wait().expect("its state").is_none());
    // libfido2 locks the node, and tries for some twenty seconds where somebody else has.
    let lock = ["flock", "--nonblock", &key.node, "true"];
    bridge.run(&lock).bad("");
    let next = bridge.spawn(&["fido2-token", "-I", &key.node]);
    key.press();
    assert!(client.wait().expect("its end").success());
    bridge.verify("plain", "what is signed\n").good();
    assert!(Ended::from(next.wait_with_output().expect("its end")).good().contains("FIDO_2_1"));
    bridge.run(&lock).good();
}

#[test]
fn a_key_that_is_pulled_fails_its_client_and_works_again_afterwards() {
    let bridge = Bridge::start();
    let mut key = bridge.key("ONE", &[]);
    bridge.keygen("plain", "ed25519-sk", &[]).good();
    key.touch("manual");
    let mut client = bridge.signing("plain").stderr(Stdio::null()).spawn().expect("ssh-keygen");
    key.wait_touch();
    key.unplug();
    assert_eq!(client.wait().expect("its end").code(), Some(255));
    key.touch("auto");
    key.plug();
    bridge.signs("plain");
    // At every report of a getInfo, either way.
    let before = (key.reports(), key.figure("answers").parse::<u64>().expect("a number"));
    bridge.token(&key);
    let after = (key.reports(), key.figure("answers").parse::<u64>().expect("a number"));
    let (reports, answers) = (after.0 - before.0, after.1 - before.1);
    assert!(reports >= 2 && answers >= 2, "{reports} {answers}");
    for report in 1..=reports {
        key.cut(report);
        let _ = bridge.run(&["fido2-token", "-I", &key.node]);
        key.wait_unplugged();
        key.plug();
    }
    for report in 1..=answers {
        key.cut_answer(report);
        let _ = bridge.run(&["fido2-token", "-I", &key.node]);
        if report <= 2 {
            key.wait_unplugged();
        }
        // A slow key sends keepalives: there may be fewer reports this time.
        key.cycle();
    }
    bridge.signs("plain");
}

#[test]
fn a_client_that_dies_leaves_nothing_for_the_next() {
    let bridge = Bridge::start();
    let key = bridge.key("ONE", &[]);
    bridge.keygen("plain", "ed25519-sk", &[]).good();
    key.touch("manual");
    let mut client = bridge.signing("plain").stderr(Stdio::null()).spawn().expect("ssh-keygen");
    key.wait_touch();
    kill_process(Pid::from_child(&client), Signal::TERM).expect("kill");
    client.wait().expect("its end");
    key.press();
    key.touch("auto");
    bridge.token(&key);
    bridge.signs("plain");
}

#[test]
fn a_silent_key_and_one_that_answers_nonsense() {
    let bridge = Bridge::start();
    let mut key = bridge.key("ONE", &[]);
    for how in ["garbage", "short"] {
        key.answer(how);
        // libfido2 takes it for a U2F key then.
        let told = bridge.token(&key);
        assert!(told.contains("nocbor") && !told.contains("version strings"), "{told}");
    }
    for fault in ["answer wrong-channel", "mute on"] {
        key.tell(fault);
        let before = key.reports();
        let client = bridge.spawn(&["fido2-token", "-I", &key.node]);
        // An INIT, and on a channel that is given, the next command.
        key.wait_reports(before + if fault == "mute on" { 1 } else { 2 });
        key.unplug();
        let ended = Ended::from(client.wait_with_output().expect("its end"));
        assert!(!ended.stdout.contains("version strings"), "{ended:?}");
        key.answer("off");
        key.mute(false);
        key.plug();
        bridge.token(&key);
    }
}

#[test]
fn two_programs_on_one_key() {
    let ask = |bridge: &Bridge, how: &str| {
        let key = bridge.key("ONE", &[]);
        bridge.run(&["python3", "-c", include_str!("openers.py"), &key.node, how]).good()
    };
    assert_eq!(ask(&Bridge::start(), "shared"), "1\n");
    assert_eq!(ask(&Bridge::with_copies(), "own"), "2\n");
    // A second program is on the key while the first waits for a touch, and gets all that the first gets.
    let bridge = Bridge::with_copies();
    let key = bridge.key("ONE", &[]);
    bridge.keygen("plain", "ed25519-sk", &[]).good();
    key.touch("manual");
    let mut client = bridge.signing("plain").stderr(Stdio::null()).spawn().expect("ssh-keygen");
    key.wait_touch();
    bridge.run(&["flock", "--nonblock", &key.node, "true"]).good();
    let told = bridge.token(&key);
    assert!(told.contains("nocbor"), "the key is busy, and libfido2 goes on without: {told}");
    key.press();
    assert!(client.wait().expect("its end").success());
    bridge.verify("plain", "what is signed\n").good();
    assert!(bridge.token(&key).contains("FIDO_2_1"));
}
