//! The rig by programs that others wrote: Yubico's `ykman` and its library, OpenSC, Yubico's PKCS#11 module, OpenSSH;
//! and the rig's own verbs, seen through them.

use crate::yubikey::{Bad, READER, Rig, python};
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const PIN: &str = "123456";
const MANAGEMENT_KEY: &str = "010203040506070801020304050607080102030405060708";
pub(crate) const FOREIGN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/devices/foreign.py");
/// The seed of RFC 4226 and RFC 6238, in base32.
const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

fn told(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

/// What it says, once it is sure that all went well.
#[track_caller]
fn good(command: &mut Command) -> String {
    let output = command.output().expect("a program");
    assert!(output.status.success(), "{command:?}: {}", told(&output));
    told(&output)
}

/// What it says when it fails by itself.
#[track_caller]
fn bad(command: &mut Command) -> String {
    let output = command.output().expect("a program");
    assert!(output.status.code().is_some_and(|code| !matches!(code, 0 | 124..)), "{command:?}: {}", told(&output));
    told(&output)
}

fn ykman(rig: &Rig, words: &str) -> Command {
    let mut command = rig.command(python("ykman"));
    command.args(words.split_whitespace());
    command
}

fn opensc(rig: &Rig, program: &str, words: &[&str]) -> Command {
    let mut command = rig.command(program);
    command.args(words);
    command
}

/// The readers, by their lines: number, whether a card is in it, name.
fn readers(rig: &Rig) -> Vec<String> {
    let listed = good(&mut opensc(rig, "opensc-tool", &["-l"]));
    listed.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit())).map(squeezed).collect()
}

fn squeezed(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The answers to these APDUs, as OpenSC shows them, in one connection.
fn apdus(rig: &Rig, commands: &[&str]) -> Command {
    let mut command = rig.command("opensc-tool");
    command.args(["-c", "default"]);
    command.args(commands.iter().flat_map(|apdu| ["-s", apdu]));
    command
}

const SELECT_PIV: &str = "00A4040005A000000308";
const SELECT_OATH: &str = "00A4040007A0000005272101";
const VERIFY: &str = "0020008008313233343536FFFF";
const ASK_PIN: &str = "00200080";
const VERSION: &str = "00FD000000";

#[test]
fn oath_by_ykman() {
    let rig = Rig::new();
    let key = rig.yubikey(12_345_678, "5.4.3");
    for options in ["-d 8 one", "-t -i arn:aws:iam::123456789012:mfa/alice touched", "-a SHA256 two", "-o HOTP count"] {
        good(&mut ykman(&rig, &format!("oath accounts add -f {options} {SEED}")));
    }
    let listed = good(&mut ykman(&rig, "oath accounts list"));
    let names: Vec<&str> = listed.lines().collect();
    assert_eq!(names, ["arn:aws:iam::123456789012:mfa/alice:touched", "count", "one", "two"]);
    let codes = good(&mut ykman(&rig, "oath accounts code"));
    let codes: Vec<String> = codes.lines().map(squeezed).collect();
    assert!(codes[0].ends_with("touched [Requires Touch]") && codes[1] == "count [HOTP Account]", "{codes:?}");
    assert!(codes[2].starts_with("one ") && codes[2].len() == 12 && codes[3].len() == 10, "{codes:?}");

    // RFC 4226 appendix D; the counter outlives the plug.
    assert_eq!(good(&mut ykman(&rig, "oath accounts code -s count")).trim(), "755224");
    key.cycle();
    assert_eq!(good(&mut ykman(&rig, "oath accounts code -s count")).trim(), "287082");

    key.touch_by_hand();
    assert!(!key.touch(), "nothing asks for a touch yet");
    let mut waits = ykman(&rig, "oath accounts code -s touched");
    let waits = waits.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("ykman");
    key.wait_for_touch();
    assert!(key.touch());
    let output = waits.wait_with_output().expect("its end");
    assert!(output.status.success() && output.stdout.trim_ascii().len() == 6, "{}", told(&output));
    key.touch_never();
    let late = bad(&mut ykman(&rig, "oath accounts code -s touched"));
    assert!(late.contains("timed out"), "{late}");
    key.touch_later(Duration::from_millis(10));
    good(&mut ykman(&rig, "oath accounts code -s touched"));
    key.touch_at_once();

    good(&mut ykman(&rig, "oath access change -n secret"));
    let refused = bad(&mut ykman(&rig, "oath accounts list -p other"));
    assert!(refused.contains("Wrong password"), "{refused}");
    good(&mut ykman(&rig, "oath accounts delete -f -p secret count"));
    good(&mut ykman(&rig, "oath accounts rename -f -p secret two deux"));
    let left = good(&mut ykman(&rig, "oath accounts list -p secret"));
    assert!(!left.contains("count") && left.contains("deux") && !left.contains("two"), "{left}");
    good(&mut ykman(&rig, "oath reset -f"));
    assert_eq!(good(&mut ykman(&rig, "oath accounts list")), "");
}

#[test]
fn piv_by_ykman() {
    let rig = Rig::new();
    let key = rig.yubikey(12_345_678, "5.7.1");
    let write = format!("-P {PIN} -m {MANAGEMENT_KEY}");
    let about = good(&mut ykman(&rig, "info"));
    assert!(about.contains("Serial number: 12345678") && about.contains("Firmware version: 5.7.1"), "{about}");
    let policies = "--pin-policy ALWAYS --touch-policy CACHED";
    good(&mut ykman(&rig, &format!("piv keys generate -a ED25519 {write} {policies} 9a ed.pem")));
    let asked = good(&mut ykman(&rig, &format!("piv certificates generate {write} -s CN=alice 9a ed.pem")));
    assert!(asked.contains("Touch your YubiKey"), "{asked}");
    let about = good(&mut ykman(&rig, "piv info"));
    for wanted in ["PIN tries remaining: 3/3", "AES192", "Private key type: ED25519", "Subject DN: CN=alice"] {
        assert!(squeezed(&about).contains(wanted), "{about}");
    }
    good(&mut ykman(&rig, "piv keys attest 9a attested.pem"));
    good(&mut ykman(&rig, "piv certificates export f9 authority.pem"));
    let openssl = |words: &str| good(opensc(&rig, "openssl", &words.split(' ').collect::<Vec<_>>()).env("LC_ALL", "C"));
    assert_eq!(openssl("verify -CAfile authority.pem attested.pem"), "attested.pem: OK\n");
    assert_eq!(openssl("x509 -in attested.pem -noout -pubkey"), fs::read_to_string(rig.file("ed.pem")).expect("a key"));
    // A touch is cached, but not beyond the plug.
    key.cycle();
    good(&mut ykman(&rig, "piv reset -f"));
    assert!(!good(&mut ykman(&rig, "piv info")).contains("alice"));
    // Older firmware has neither algorithm nor default.
    drop(key);
    let _old = rig.yubikey(87_654_321, "5.4.3");
    let refused = bad(&mut ykman(&rig, &format!("piv keys generate -a ED25519 {write} 9a ed.pem")));
    assert!(refused.contains("5.7"), "{refused}");
    assert!(squeezed(&good(&mut ykman(&rig, "piv info"))).contains("Management key algorithm: TDES"));
}

#[test]
fn vectors_and_signatures_by_yubicos_library() {
    let rig = Rig::new();
    for firmware in ["5.4.3", "5.7.1"] {
        let _key = rig.yubikey(1, firmware);
        for applet in ["oath", "piv"] {
            let mut script = rig.command(python("python3"));
            assert_eq!(good(script.args([FOREIGN, applet])), "good\n", "{firmware} {applet}");
        }
    }
}

/// A module of PKCS#11 where Debian has it.
fn module(name: &str) -> String {
    let found = ["x86_64", "aarch64"].map(|machine| format!("/usr/lib/{machine}-linux-gnu/{name}"));
    found.into_iter().find(|path| Path::new(path).exists()).unwrap_or_else(|| panic!("{name} is not installed"))
}

/// Signs a hash by PKCS#11; OpenSSL has the last word.
fn signs(rig: &Rig, module: &str, options: &[&str], public: &str) {
    fs::write(rig.file("hash"), [7; 32]).expect("a file");
    let tool = ["--module", module, "--login", "--pin", PIN, "--sign", "--mechanism", "ECDSA"];
    let files = ["--signature-format", "openssl", "--input-file", "hash", "--output-file", "signature"];
    good(&mut opensc(rig, "pkcs11-tool", &[&tool[..], &files[..], options].concat()));
    let verify = ["pkeyutl", "-verify", "-pubin", "-inkey", public, "-in", "hash", "-sigfile", "signature"];
    good(&mut opensc(rig, "openssl", &verify));
    fs::write(rig.file("hash"), [8; 32]).expect("a file");
    bad(&mut opensc(rig, "openssl", &verify));
}

#[test]
fn pkcs11_by_opensc_yubico_and_openssh() {
    let rig = Rig::new();
    let _key = rig.yubikey(12_345_678, "5.4.3");
    let write = format!("-P {PIN} -m {MANAGEMENT_KEY}");
    for (slot, algorithm) in [("9a", "ECCP256"), ("9c", "RSA2048")] {
        good(&mut ykman(&rig, &format!("piv keys generate -a {algorithm} {write} {slot} {slot}.pem")));
        good(&mut ykman(&rig, &format!("piv certificates generate {write} -s CN=alice {slot} {slot}.pem")));
    }
    let modules = [module("opensc-pkcs11.so"), module("libykcs11.so")];
    let mut keys = Vec::new();
    for module in &modules {
        signs(&rig, module, &["--id", "01"], "9a.pem");
        let listed = good(&mut opensc(&rig, "ssh-keygen", &["-D", module]));
        let public = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
        keys.push(
            listed
                .lines()
                .map(public)
                .filter(|key| key.starts_with("ecdsa-") || key.starts_with("ssh-rsa "))
                .take(2)
                .collect::<Vec<_>>(),
        );
        let wrong = ["--module", module, "--login", "--pin", "999999", "--list-objects"];
        let refused = bad(&mut opensc(&rig, "pkcs11-tool", &wrong));
        assert!(refused.contains("CKR_PIN_INCORRECT"), "{refused}");
        assert!(squeezed(&good(&mut ykman(&rig, "piv info"))).contains("PIN tries remaining: 2/3"));
        // The right one gives the tries back.
        signs(&rig, module, &["--id", "01"], "9a.pem");
        assert!(squeezed(&good(&mut ykman(&rig, "piv info"))).contains("PIN tries remaining: 3/3"));
    }
    keys.iter_mut().for_each(|keys| keys.sort());
    assert!(keys[0].len() == 2 && keys[0] == keys[1], "{keys:?}");
    fs::write(rig.file("message"), "message").expect("a file");
    let sign = ["-l", "-p", PIN, "--id", "02", "-s", "-m", "SHA256-RSA-PKCS", "-i", "message", "-o", "signature"];
    good(&mut opensc(&rig, "pkcs11-tool", &sign));
    let verify = ["dgst", "-sha256", "-verify", "9c.pem", "-signature", "signature", "message"];
    good(&mut opensc(&rig, "openssl", &verify));
}

#[test]
fn nitrokeys_applet_by_yubico_and_opensc() {
    let rig = Rig::new();
    // Told so that Yubico's library does not ask for metadata, which this applet has little of.
    let card = rig.nitrokey(Some("5.2.7"));
    assert_eq!(readers(&rig), ["0 Yes Nitrokey Nitrokey 3 00 00"]);
    let about = good(&mut opensc(&rig, "opensc-tool", &["-n"]));
    assert!(about.contains("Personal Identity Verification"), "{about}");
    assert_eq!(good(rig.command(python("python3")).args([FOREIGN, "nitrokey"])), "good\n");
    card.cycle();
    signs(&rig, &module("opensc-pkcs11.so"), &["--id", "01"], "9a.pem");
    let listed = good(&mut opensc(&rig, "ssh-keygen", &["-D", &module("opensc-pkcs11.so")]));
    assert!(listed.starts_with("ecdsa-sha2-nistp256 "), "{listed}");
    drop(card);
    // Its own version.
    let _card = rig.nitrokey(None);
    assert!(good(&mut apdus(&rig, &[SELECT_PIV, VERSION])).contains("06 06 06"));
}

#[test]
fn keys_come_and_go_as_on_a_bus() {
    let mut rig = Rig::new();
    assert!(readers(&rig).is_empty(), "no key, no reader");
    let one = rig.yubikey(11_111_111, "5.4.3");
    assert_eq!(readers(&rig), [format!("0 Yes {READER}")]);
    let two = rig.yubikey(22_222_222, "5.7.1");
    assert_eq!(readers(&rig).len(), 2);
    let listed = good(&mut ykman(&rig, "list --serials"));
    assert!(listed.contains("11111111") && listed.contains("22222222"), "{listed}");
    one.unplug();
    // The reader is gone as soon as pcscd lets go of it, which `plug` waits for.
    two.cycle();
    assert_eq!(readers(&rig).len(), 1);
    two.eject();
    assert!(readers(&rig)[0].starts_with("0 No "), "a reader without its card: {:?}", readers(&rig));
    two.insert();
    two.wait_for_reader();
    one.plug();
    assert_eq!(readers(&rig).iter().filter(|line| line.contains(" Yes ")).count(), 2);

    // Keys outlive pcscd, which outlives nobody.
    let before = rig.pcscd();
    rig.kill_pcscd();
    assert!(good(&mut opensc(&rig, "opensc-tool", &["-l"])).contains("No smart card readers"));
    rig.start_pcscd();
    assert_ne!(rig.pcscd(), before);
    assert_eq!(readers(&rig).len(), 2);
    drop((one, two));
}

#[test]
fn what_is_verified_is_forgotten() {
    let rig = Rig::new();
    let key = rig.yubikey(1, "5.4.3");
    let answers = |commands: &[&str]| {
        let shown = good(&mut apdus(&rig, commands));
        shown.lines().filter_map(|line| line.split("SW1=0x").nth(1)).map(str::to_owned).collect::<Vec<_>>()
    };
    let status = |answers: &[String]| {
        let bytes = |line: &String| line.chars().filter(char::is_ascii_hexdigit).collect::<String>();
        answers.iter().map(|line| bytes(&line.replace("SW2=0x", "")).chars().take(4).collect()).collect::<Vec<String>>()
    };
    let seen = |commands: &[&str]| status(&answers(commands));
    assert_eq!(seen(&[SELECT_PIV, ASK_PIN, VERIFY, ASK_PIN]), ["9000", "63C3", "9000", "9000"]);
    assert_eq!(seen(&[SELECT_PIV, VERIFY, SELECT_OATH, SELECT_PIV, ASK_PIN])[4], "63C3", "another applet");
    assert_eq!(seen(&[SELECT_PIV, VERIFY])[1], "9000");
    key.cycle();
    assert_eq!(seen(&[SELECT_PIV, ASK_PIN])[1], "63C3", "power");
    // A PIN of the wrong length costs a try, and a blocked one stays blocked.
    let wrong = "0020008006313233343536";
    let tries = [SELECT_PIV, wrong, wrong, wrong, VERIFY, ASK_PIN];
    assert_eq!(seen(&tries), ["9000", "63C2", "63C1", "63C0", "6983", "6983"]);
    key.cycle();
    assert_eq!(seen(&[SELECT_PIV, VERIFY])[1], "6983", "tries outlive the plug");
    drop(key);
    // Metadata came with 5.3, attestation with 4.3; the version is told by the applet.
    for (firmware, metadata) in [("4.3.4", "6D00"), ("4.3.5", "6D00"), ("5.2.7", "6D00"), ("5.4.3", "9000")] {
        let _key = rig.yubikey(2, firmware);
        let shown = good(&mut apdus(&rig, &[SELECT_PIV, VERSION]));
        let told: String = firmware.split('.').map(|number| format!("0{number} ")).collect();
        assert!(shown.contains(told.trim_end()), "{firmware}: {shown}");
        assert_eq!(seen(&[SELECT_PIV, "00F7008000"])[1], metadata, "{firmware}");
    }
}

/// The same by pyscard, without a transaction: the status words, or the error on the last line.
fn words(rig: &Rig, commands: &[&str]) -> Command {
    let mut command = rig.command(python("python3"));
    command.args([FOREIGN, "apdus"]).args(commands);
    command
}

#[test]
fn a_card_is_pulled_silenced_and_turned_bad() {
    let rig = Rig::new();
    let key = rig.yubikey(1, "5.4.3");
    let commands = [SELECT_PIV, VERIFY, ASK_PIN];
    for next in 1..=commands.len() {
        key.cut_at(next as u64);
        let told = bad(&mut words(&rig, &commands));
        assert_eq!(told.lines().count(), next, "what came before was answered: {told}");
        key.plug();
        assert_eq!(good(&mut words(&rig, &commands)), "9000\n9000\n9000\n", "{next}: it works again");
    }
    // The last one is obeyed, then the card is gone: the try is spent though nobody is told.
    let wrong = "0020008008393939393939FFFF";
    key.cut_after(2);
    assert!(bad(&mut words(&rig, &[SELECT_PIV, wrong])).starts_with("9000\n"));
    key.plug();
    assert_eq!(good(&mut words(&rig, &[SELECT_PIV, ASK_PIN])), "9000\n63c2\n");

    for bad_manner in [Bad::Garbage, Bad::Short, Bad::Empty, Bad::Endless61, Bad::Status(0x6F00)] {
        key.answer(Some(bad_manner), Some(0x20));
        let told = words(&rig, &[SELECT_PIV, ASK_PIN]).output().expect("python");
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        let wanted = match bad_manner {
            Bad::Garbage => "9000\n277e\n",
            Bad::Short => "9000\n90\n",
            Bad::Empty => "9000\n\n",
            Bad::Endless61 => "9000\n6100\n",
            Bad::Status(_) => "9000\n6f00\n",
        };
        assert_eq!(told, wanted, "{bad_manner:?}");
    }
    key.answer(None, None);
    assert_eq!(good(&mut words(&rig, &[SELECT_PIV, ASK_PIN])), "9000\n63c2\n");

    // Silent for a while, and pulled while it is silent.
    for pulled in [false, true] {
        key.mute(true);
        let before = key.apdus();
        let mut waits = words(&rig, &commands);
        let waits = waits.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("python");
        key.wait_for_apdu(before + 1);
        if pulled {
            key.unplug();
        }
        key.mute(false);
        let output = waits.wait_with_output().expect("its end");
        assert_eq!(output.status.success(), !pulled, "{}", told(&output));
    }
    key.plug();
    assert_eq!(good(&mut words(&rig, &commands)), "9000\n9000\n9000\n");
}
