//! PIV by the agent: keys that a card makes log in to a real sshd; PINs, touches, and cards that are pulled, held or bad.

use crate::agent::Installed;
use crate::home::{Ended, PASSPHRASE, run};
use crate::person::Person;
use crate::wire::Wire;
use crate::yubikey::{Bad, Card, Rig, python};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

pub(crate) const SERIAL: u32 = 12_345_678;
pub(crate) const PIN: &str = "123456";

/// An agent with an open vault, and a card in its reader.
pub(crate) fn stage(firmware: &str) -> (Rig, Installed, Card) {
    let rig = Rig::new();
    let agent = Installed::open(&[("PCSCLITE_CSOCK_NAME", rig.pcsc_socket())]);
    let key = rig.yubikey(SERIAL, firmware);
    agent.devices_until(|devices| devices.len() == 1);
    (rig, agent, key)
}

/// Has the card make a key; its public line, in a file too.
pub(crate) fn make(agent: &Installed, slot: &str, options: &[&str]) -> String {
    let line = agent.run(&[&["piv", "new", slot], options].concat(), "").good();
    agent.write(&format!("{slot}.pub"), &line);
    line
}

/// A program at the agent's socket.
pub(crate) fn at_agent(agent: &Installed, words: &[&str]) -> Command {
    let mut command = Command::new("timeout");
    command.arg("120").args(words).current_dir(agent.path()).env("SSH_AUTH_SOCK", agent.file("run/ssh.sock"));
    command
}

pub(crate) fn openssh(agent: &Installed, words: &[&str], stdin: &str) -> Ended {
    run(&mut at_agent(agent, words), stdin)
}

/// Signs with a key of the agent, by ssh-keygen; OpenSSH has the last word.
pub(crate) fn sign(agent: &Installed, slot: &str) -> Ended {
    let public = format!("{slot}.pub");
    let signed = openssh(agent, &["ssh-keygen", "-Y", "sign", "-n", "file", "-f", &public], "data");
    if signed.exit == Some(0) {
        agent.write("signature", &signed.stdout);
        agent.write("signers", &format!("ada {}", fs::read_to_string(agent.file(&public)).expect("a key")));
        let check = ["ssh-keygen", "-Y", "verify", "-f", "signers", "-I", "ada", "-n", "file", "-s", "signature"];
        openssh(agent, &check, "data").good();
    }
    signed
}

/// Logs in to an sshd that lets this key in, and no other.
pub(crate) fn login(agent: &Installed, slot: &str) -> Ended {
    ssh(agent, slot, &[], &["echo", "here"], "")
}

/// Runs a command there, with these options of ssh.
fn ssh(agent: &Installed, slot: &str, options: &[&str], there: &[&str], stdin: &str) -> Ended {
    if rustix::process::geteuid().is_root() {
        fs::create_dir_all("/run/sshd").expect("/run/sshd");
    }
    let at = |name: &str| agent.file(name).display().to_string();
    if !agent.file("host").exists() {
        openssh(agent, &["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "host"], "").good();
    }
    let config = format!(
        "HostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nPermitRootLogin yes\nPrintLastLog no\n",
        at("host"),
        at(&format!("{slot}.pub")),
    );
    agent.write("sshd_config", &config);
    let proxy = format!("ProxyCommand=/usr/sbin/sshd -i -f {}", at("sshd_config"));
    let identity = at(&format!("{slot}.pub"));
    let host = ["-F", "none", "-o", &proxy, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"];
    let how = ["-o", "BatchMode=yes", "-o", "LogLevel=ERROR", "-o", "IdentitiesOnly=yes", "-i", &identity];
    openssh(agent, &[&["ssh"], &host[..], &how[..], options, &["host"], there].concat(), stdin)
}

/// It failed by itself.
#[track_caller]
pub(crate) fn bad(ended: Ended) {
    assert!(ended.exit.is_some_and(|code| !matches!(code, 0 | 101 | 124..=137)), "{ended:?}");
}

fn cards(agent: &Installed) -> Value {
    serde_json::from_str(&agent.run(&["piv", "list", "--json"], "").good()).expect("JSON")
}

fn tries(agent: &Installed) -> u64 {
    agent.devices()[0]["pin_tries"].as_u64().expect("a number")
}

#[test]
fn keys_of_a_card_log_in() {
    let (rig, agent, key) = stage("5.7.1");
    let person = Person::attend(&agent, &[PIN]);
    let keys = [
        ("9a", vec![]),
        ("9c", vec!["--type", "ecdsa-p384", "--pin-policy", "always"]),
        ("9e", vec!["--type", "ecdsa-p256", "--pin-policy", "never", "--touch-policy", "always"]),
        ("82", vec!["--type", "rsa-2048"]),
    ];
    let lines: Vec<String> = keys.iter().map(|(slot, options)| make(&agent, slot, options)).collect();
    assert!(lines[0].starts_with("ssh-ed25519 ") && lines[0].ends_with(" piv 12345678 9a\n"), "{lines:?}");
    let listed = openssh(&agent, &["ssh-add", "-L"], "").good();
    assert_eq!(listed, lines.concat(), "listed without a question");
    assert!(person.take("pin_needed").is_empty());

    assert_eq!(login(&agent, "9a").good(), "here\n");
    let asked = person.take("pin_needed");
    assert_eq!((asked.len(), &asked[0]["device"]), (1, &"YubiKey (serial 12345678)".into()), "{asked:?}");
    assert_eq!((&asked[0]["wanted"], &asked[0]["tries_left"]), (&"PIV PIN".into(), &3.into()));
    // Once is for every key that wants it once.
    assert_eq!(login(&agent, "9a").good(), "here\n");
    assert_eq!(login(&agent, "82").good(), "here\n");
    assert_eq!(person.take("pin_needed").len(), 0);
    for _ in 0..2 {
        assert_eq!(login(&agent, "9c").good(), "here\n");
        assert_eq!(person.take("pin_needed").len(), 1, "always");
    }
    key.touch_at_once();
    assert_eq!(login(&agent, "9e").good(), "here\n");
    assert_eq!((person.take("touch_needed").len(), person.take("pin_needed").len()), (1, 0));
    key.touch_never();
    assert_ne!(login(&agent, "9e").exit, Some(0), "nobody touched it");
    key.touch_at_once();

    agent.run(&["lock"], "").good();
    assert!(!openssh(&agent, &["ssh-add", "-L"], "").stdout.contains("ssh-"), "a locked vault lists none");
    agent.run(&["unlock", "--passphrase-fd", "0"], PASSPHRASE).good();
    assert_eq!(login(&agent, "9a").good(), "here\n");
    assert_eq!(person.take("pin_needed").len(), 1, "a lock forgets the PIN");
    let record = agent.run(&["audit", "log", "--json", "--event", "ssh.signed"], "").good();
    assert!(record.contains("\"piv 12345678 9a\""), "{record}");

    let info = run(rig.command(python("ykman")).args(["piv", "info"]), "").good();
    for wanted in ["Slot 9A", "Slot 9C", "Slot 9E", "Slot 82", "ED25519", "ECCP384", "ECCP256", "RSA2048"] {
        assert!(info.contains(wanted), "{wanted}: {info}");
    }
    let listed = cards(&agent);
    let slots: Vec<&str> =
        listed[0]["keys"].as_array().expect("keys").iter().filter_map(|key| key["slot"].as_str()).collect();
    assert_eq!(slots, ["9a", "9c", "9e", "82"]);
    assert_eq!(listed[0]["keys"][1]["pin_policy"], "always");
    assert_eq!(listed[0]["keys"][2]["touch_policy"], "always");
    assert_eq!(listed[0]["keys"][0]["generated"], true);
    agent.run(&["piv", "new", "9a"], "").fault_told(5, "already");
    agent.run(&["piv", "new", "9a", "--replace"], "").good();
}

#[test]
fn older_firmware_logs_in_with_p256_and_rsa() {
    let (_rig, agent, _key) = stage("5.4.3");
    let person = Person::attend(&agent, &[PIN]);
    for kind in ["ecdsa-p256", "rsa-2048"] {
        make(&agent, "9a", &["--type", kind, "--replace"]);
        assert_eq!(login(&agent, "9a").good(), "here\n", "{kind}");
    }
    assert_eq!(person.take("pin_needed").len(), 1);
    agent.run(&["piv", "new", "9c", "--type", "ed25519"], "").fault_told(7, "firmware 5.7.0 can");
}

#[test]
fn a_forwarded_agent_asks_each_time() {
    let (_rig, agent, _key) = stage("5.4.3");
    make(&agent, "9a", &["--type", "ecdsa-p256", "--pin-policy", "never"]);
    let person = Person::attend(&agent, &[PIN]);
    let public = agent.file("9a.pub").display().to_string();
    let sign_there = || ssh(&agent, "9a", &["-A"], &["ssh-keygen", "-Y", "sign", "-n", "file", "-f", &public], "data");
    for _ in 0..2 {
        assert!(sign_there().good().contains("BEGIN SSH SIGNATURE"));
        let asked = person.take("confirm_needed");
        assert_eq!(asked.len(), 1, "{asked:?}");
        assert!(asked[0].to_string().contains("piv 12345678 9a"), "{asked:?}");
    }
    person.says("n");
    let refused = sign_there();
    assert!(refused.exit != Some(0) && refused.stderr.contains("refused"), "{refused:?}");
    assert_eq!(person.take("confirm_needed").len(), 1);
    // Here nobody is asked.
    sign(&agent, "9a").good();
    assert!(person.take("confirm_needed").is_empty());
}

#[test]
fn pins_are_counted_and_never_spent_unasked() {
    let (_rig, agent, _key) = stage("5.4.3");
    make(&agent, "9a", &["--type", "ecdsa-p256"]);
    let person = Person::attend(&agent, &["999999", "999999", PIN]);
    sign(&agent, "9a").good();
    let asked = person.take("pin_needed");
    assert_eq!(asked.len(), 3);
    assert_eq!(asked[1]["tries_left"], 2, "{asked:?}");
    assert_eq!(asked[2]["tries_left"], 2, "the same wrong one was not sent again: {asked:?}");
    assert_eq!(tries(&agent), 3);

    let change =
        |verb: &[&str], old: &str, new: &str| agent.run(&[&["piv"], verb].concat(), &format!("{old}\n{new}\n"));
    let by_pin = ["pin", "--pin-fd", "0", "--new-pin-fd", "0"];
    change(&by_pin, "111111", "654321").fault_told(5, "the PIN is wrong");
    change(&by_pin, "222222", "654321").fault_told(5, "the PIN is wrong");
    assert_eq!(tries(&agent), 1);
    person.says("n");
    change(&by_pin, "333333", "654321").fault_told(5, "declined");
    assert_eq!(tries(&agent), 1, "the last try is a person's");
    assert_eq!(person.take("confirm_needed").len(), 1);
    person.says("y");
    change(&by_pin, PIN, "654321").good();
    assert_eq!(tries(&agent), 3);
    for wrong in ["111111", "222222", "333333"] {
        bad(change(&by_pin, wrong, "654321"));
    }
    agent.run(&["device", "list"], "").good();
    change(&by_pin, "654321", PIN).fault_told(7, "the PIN is blocked");
    bad(sign(&agent, "9a"));
    change(&["pin", "--unblock", "--pin-fd", "0", "--new-pin-fd", "0"], "12345678", PIN).good();
    change(&["puk", "--puk-fd", "0", "--new-puk-fd", "0"], "12345678", "87654321").good();
    change(&["pin", "--pin-fd", "0", "--new-pin-fd", "0"], PIN, "1").fault_told(2, "shorter than 6");
    let long = "1".repeat(65);
    for (old, new) in [(PIN, &*long), (&long, PIN)] {
        change(&by_pin, old, new).fault_told(2, "longer than 8 bytes");
    }
    assert_eq!(tries(&agent), 3, "what cannot be a PIN costs no try");
    sign(&agent, "9a").good();
    let record = agent.run(&["audit", "log", "--json", "--event", "piv"], "").good();
    assert!(record.contains("piv.change") && record.contains("piv.new") && !record.contains("654321"), "{record}");
}

/// As often as it is tried: each attempt starts a program or two, so that pcscd has long told of what was plugged in.
pub(crate) fn attempts() -> impl Iterator<Item = usize> {
    0..5000
}

#[test]
fn a_card_may_be_pulled_at_every_command() {
    let (_rig, agent, key) = stage("5.4.3");
    make(&agent, "9a", &["--type", "ecdsa-p256", "--pin-policy", "never"]);
    let pid = agent.pid();
    for (what, most) in [("sign", 20), ("list", 200)] {
        let act = || match what {
            "sign" => sign(&agent, "9a"),
            _ => agent.run(&["piv", "list", "--json"], ""),
        };
        let works = |said: &Ended| said.exit == Some(0) && (what == "sign" || said.stdout.contains("\"9a\""));
        assert!(works(&act()));
        let before = key.apdus();
        assert!(works(&act()));
        let commands = key.apdus() - before;
        assert!((3..=most).contains(&commands), "{what}: {commands}");
        for next in 1..=commands {
            key.cut_at(next);
            // pcscd may yet tell of the plug before this one: then the card is not seen, and not cut.
            let is_seen = |said: &Ended| said.stdout != "[]\n" && !said.stderr.contains("No private key");
            let said = attempts()
                .map(|_| act())
                .find(is_seen)
                .unwrap_or_else(|| panic!("{what} {next}: the card is not seen: {:?}; {:?}", act(), agent.devices()));
            let told = said.stdout.contains("device.not_present") || said.exit != Some(0);
            assert!(told && !said.stderr.contains("panic"), "{what} {next}: {said:?}");
            key.plug();
            // pcscd tells of a change when it has seen it.
            let again = || attempts().any(|_| works(&act()));
            assert!(again(), "{what} {next}: {:?}; {:?}; {:?}", act(), agent.devices(), cards(&agent));
        }
    }
    assert_eq!(agent.pid(), pid, "the same agent");
}

#[test]
fn bad_cards_are_faults() {
    let (_rig, agent, key) = stage("5.7.1");
    make(&agent, "9a", &["--pin-policy", "never"]);
    for manner in [Bad::Garbage, Bad::Short, Bad::Empty, Bad::Endless61, Bad::Status(0x6f00)] {
        key.answer(Some(manner), None);
        let said = agent.run(&["piv", "list", "--json"], "");
        assert!(said.stdout.contains("\"device.") || said.stderr.contains("device."), "{manner:?}: {said:?}");
        bad(sign(&agent, "9a"));
        key.answer(None, None);
        // One instruction alone: the signature itself.
        key.answer(Some(manner), Some(0x87));
        bad(sign(&agent, "9a"));
        key.answer(None, None);
        sign(&agent, "9a").good();
    }
}

/// Somebody who has the card to themselves, once the agent lets go of it, or in a transaction.
fn holder(rig: &Rig, how: &str) -> Child {
    let script = format!(
        "import sys\nfrom smartcard.scard import *\n_, context = SCardEstablishContext(SCARD_SCOPE_USER)\n\
         _, readers = SCardListReaders(context, [])\nerror = 1\n\
         while error: error, card, _ = SCardConnect(context, readers[0], {}, SCARD_PROTOCOL_T0 | SCARD_PROTOCOL_T1)\n{}\nprint('held', flush=True)\nsys.stdin.read()\n",
        if how == "exclusive" { "SCARD_SHARE_EXCLUSIVE" } else { "SCARD_SHARE_SHARED" },
        if how == "exclusive" { "" } else { "assert SCardBeginTransaction(card) == 0" },
    );
    let mut command = rig.command(python("python3"));
    let mut child = command.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("stdout")).read_line(&mut line).expect("a line");
    assert_eq!(line, "held\n");
    child
}

#[test]
fn others_come_between_hold_it_and_let_go() {
    let (mut rig, agent, _key) = stage("5.4.3");
    make(&agent, "9a", &["--type", "ecdsa-p256"]);
    let person = Person::attend(&agent, &[PIN]);
    sign(&agent, "9a").good();
    for foreign in ["00A4040007A0000005272101", "00A4040005A000000308"] {
        run(rig.command("opensc-tool").args(["-c", "default", "-s", foreign]), "").good();
        sign(&agent, "9a").good();
    }
    assert_eq!(person.take("pin_needed").len(), 1, "others take no PIN away");
    for how in ["exclusive", "transaction"] {
        let mut other = holder(&rig, how);
        let said = agent.run(&["piv", "list", "--device", "12345678"], "");
        assert!(said.stderr.contains("another program holds the device"), "{how}: {said:?}");
        bad(sign(&agent, "9a"));
        drop(other.stdin.take());
        other.wait().expect("its end");
        sign(&agent, "9a").good();
    }
    rig.kill_pcscd();
    agent.devices_until(<[_]>::is_empty);
    agent.run(&["piv", "list"], "").fault_told(7, "pcscd does not run");
    rig.start_pcscd();
    agent.devices_until(|devices| devices.len() == 1);
    sign(&agent, "9a").good();
}

/// The management key that YubiKeys come with (Yubico, PIV introduction).
pub(crate) const FACTORY: &str = "010203040506070801020304050607080102030405060708";

/// Yubico's own program, where the agent's files are.
pub(crate) fn ykman(rig: &Rig, agent: &Installed, words: &str) -> Ended {
    run(rig.command(python("ykman")).args(words.split_whitespace()).current_dir(agent.path()), "")
}

fn openssl(agent: &Installed, words: &str) -> String {
    openssh(agent, &[&["openssl"], &words.split_whitespace().collect::<Vec<_>>()[..]].concat(), "").good()
}

#[test]
fn certificates_go_in_and_out() {
    for firmware in ["5.4.3", "5.7.1"] {
        let (rig, agent, _key) = stage(firmware);
        let certificate =
            |options: &[&str], stdin: &str| agent.run(&[&["piv", "certificate", "9a"], options].concat(), stdin);
        let exported = || ykman(&rig, &agent, "piv certificates export 9a -");
        make(&agent, "9a", &["--type", "ecdsa-p256", "--pin-policy", "never"]);
        certificate(&[], "").fault_told(6, "no such certificate");
        ykman(&rig, &agent, "piv keys export 9a public.pem").good();
        ykman(&rig, &agent, &format!("piv certificates generate -m {FACTORY} -P {PIN} -s CN=ada 9a public.pem")).good();
        let ada = certificate(&[], "").good();
        assert_eq!(ada, exported().good(), "what ykman wrote");
        assert_eq!(cards(&agent)[0]["keys"][0]["certificate"], "CN=ada");

        certificate(&["--remove"], "").good();
        bad(exported());
        assert_eq!(cards(&agent)[0]["keys"][0]["certificate"], Value::Null);
        agent.write("ada.pem", &ada);
        openssl(&agent, "x509 -in ada.pem -outform DER -out ada.der");
        for (file, stdin) in [("ada.der", ""), ("ada.pem", ""), ("-", &*ada)] {
            let path = if file == "-" { file.to_owned() } else { agent.file(file).display().to_string() };
            certificate(&["--import", &path], stdin).good();
            assert_eq!(exported().good(), ada, "{file}");
            certificate(&["--remove"], "").good();
        }
        certificate(&["--import", "-"], &ada).good();

        openssl(&agent, "req -x509 -newkey ed25519 -nodes -keyout bob.key -subj /CN=bob -out bob.pem");
        let bob = fs::read_to_string(agent.file("bob.pem")).expect("a certificate");
        certificate(&["--import", "-"], &bob).fault_told(5, "its public key is another");
        for none in ["nothing", &format!("{ada}{ada}"), &ada.replace("MII", "MIJ")] {
            certificate(&["--import", "-"], none).fault_told(5, "not one X.509 certificate");
        }
        let long = format!("/CN=long -addext nsComment={}", "a".repeat(3000));
        openssl(&agent, &format!("req -x509 -key bob.key -subj {long} -out long.pem"));
        let long = fs::read_to_string(agent.file("long.pem")).expect("a certificate");
        certificate(&["--import", "-"], &long).fault_told(7, "more than the device takes");
        agent.run(&["piv", "certificate", "9c", "--import", "-"], &ada).fault_told(6, "no such key");
        assert_eq!(exported().good(), ada, "what was refused changed nothing");

        agent.write("chain.pem", &certificate(&["--attest"], "").good());
        let public = fs::read_to_string(agent.file("public.pem")).expect("a key");
        assert_eq!(openssl(&agent, "x509 -in chain.pem -noout -pubkey"), public, "the first is of the key");
        let chain = fs::read_to_string(agent.file("chain.pem")).expect("two certificates");
        let (_, card) = chain.split_once("-----END CERTIFICATE-----\n").expect("two");
        agent.write("card.pem", card);
        openssl(&agent, "verify -partial_chain -trusted card.pem chain.pem");
        openssl(&agent, "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out in.key");
        ykman(&rig, &agent, &format!("piv keys import -m {FACTORY} 9c in.key")).good();
        agent.run(&["piv", "certificate", "9c", "--attest"], "").fault_told(6, "no such attestation");
        let record = agent.run(&["audit", "log", "--json", "--event", "piv.certificate"], "").good();
        assert!(record.contains("\"piv 12345678 9a\"") && record.contains("device.certificate_refused"), "{record}");
    }
}

#[test]
fn certificates_that_are_compressed_or_missing_are_told() {
    let (rig, agent, _key) = stage("5.4.3");
    make(&agent, "9a", &["--type", "ecdsa-p256", "--pin-policy", "never"]);
    let certificate = |options: &[&str]| agent.run(&[&["piv", "certificate", "9a"], options].concat(), "");
    ykman(&rig, &agent, "piv keys export 9a public.pem").good();
    ykman(&rig, &agent, &format!("piv certificates generate -m {FACTORY} -P {PIN} -s CN=ada 9a public.pem")).good();
    let plain = certificate(&[]).good();
    agent.write("ada.pem", &plain);
    ykman(&rig, &agent, &format!("piv certificates import --compress -m {FACTORY} 9a ada.pem")).good();
    ykman(&rig, &agent, "piv objects export 5fc105 object").good();
    let object = fs::read(agent.file("object")).expect("an object");
    assert!(object.windows(2).any(|two| two == [0x1f, 0x8b]), "it is compressed: {object:?}");
    assert_eq!(certificate(&[]).good(), plain);
    assert_eq!(cards(&agent)[0]["keys"][0]["certificate"], "CN=ada");
    // An object that says that it is compressed, and is not: 53 { 70 { "nothing" }, 71 { 1 }, fe {} }.
    agent.write("bad", "p\u{7}nothingq\u{1}\u{1}");
    ykman(&rig, &agent, &format!("piv objects import -m {FACTORY} 5fc105 bad")).good();
    certificate(&[]).fault_told(7, "a certificate badly compressed");
    certificate(&["--attest"]).good();
    ykman(&rig, &agent, &format!("piv certificates delete -m {FACTORY} f9")).good();
    certificate(&["--attest"]).fault_told(6, "no such attestation");
    // The key signs on.
    certificate(&["--remove"]).good();
    sign(&agent, "9a").good();
}

#[test]
fn management_keys_are_changed() {
    for (firmware, kind) in [("5.4.3", "TDES"), ("5.7.1", "AES192")] {
        let (rig, agent, key) = stage(firmware);
        let generate = |key: &str| ykman(&rig, &agent, &format!("piv keys generate -a ECCP256 -m {key} 9a public.pem"));
        // A client that leaves once it is shown, one that declines, and one that has something else: nothing is set.
        for answer in [None, Some(Value::Null), Some(FACTORY.into())] {
            let mut wire = Wire::silent(&agent.file("run/agent.sock"));
            wire.say(&json!({"id": 1, "hello": {"protocol": 1, "client": "test/0"}}));
            wire.hear();
            wire.request(2, &json!({"piv_management_key": {}}));
            assert_eq!(wire.hear()["event"]["management_key"]["key"].as_str().map(str::len), Some(48));
            if let Some(value) = answer {
                wire.say(&json!({"id": 2, "answer": {"value": value}}));
                assert_eq!(wire.hear()["fault"]["code"], "prompt.refused");
            }
            drop(wire);
        }
        generate(FACTORY).good();
        let told = agent.run(&["piv", "management-key"], "").good();
        let first = told.strip_suffix('\n').expect("a line");
        assert!(first.len() == 48 && first.bytes().all(|byte| byte.is_ascii_hexdigit()), "{first:?}");
        generate(first).good();
        bad(generate(FACTORY));
        let about = ykman(&rig, &agent, "piv info").good();
        assert!(about.contains(kind), "{firmware}: {about}");
        let new = ["piv", "new", "9c", "--type", "ecdsa-p256", "--management-key-fd", "0"];
        agent.run(&new, FACTORY).fault_told(5, "the management key is not the right one");
        agent.run(&new, first).good();

        let second = "00112233445566778899aabbccddeeff0123456789abcdef";
        let person = Person::attend(&agent, &[first]);
        let change = |options: &[&str], stdin: &str| {
            agent.run(&[&["piv", "management-key", "--stdin"], options].concat(), stdin)
        };
        for unfit in ["00", "", "x", &"00".repeat(32)] {
            change(&[], unfit).fault_told(2, "that has 48 base16 digits");
        }
        assert!(person.take("pin_needed").is_empty(), "nobody is asked for nothing");
        change(&[], &second.to_uppercase()).good();
        let asked = person.take("pin_needed");
        assert_eq!((asked.len(), &asked[0]["wanted"]), (1, &"PIV management key".into()), "{asked:?}");
        generate(second).good();
        bad(generate(first));
        change(&["--management-key-fd", "0"], &format!("{first}\n{first}\n")).fault_told(5, "not the right one");
        key.touch_at_once();
        change(&["--management-key-fd", "0", "--touch"], &format!("{second}\n{FACTORY}\n")).good();
        assert!(person.take("touch_needed").is_empty());
        agent.run(&["piv", "new", "9d", "--type", "ecdsa-p256"], "").good();
        assert_eq!(person.take("touch_needed").len(), 1);
        let record = agent.run(&["audit", "log", "--json", "--event", "piv.management_key"], "").good();
        assert!(record.contains("\"piv 12345678 management key\"") && !record.contains(second), "{record}");
    }
}
