//! ssh-add and what each of its options does.

use crate::agent::Program;
use crate::stage::{KINDS, Stage, script, until};
use std::fs;

on_both!(
    keys_come_and_go,
    a_lifetime_ends,
    the_agents_lifetime_is_for_keys_without_one,
    a_confirmation_is_asked_for,
    a_lock_hides_the_keys_until_it_is_opened,
    an_expired_certificate_is_held_as_any_other,
    libraries_are_not_loaded,
);

fn keys_come_and_go(program: Program) {
    let stage = Stage::new(program);
    assert_eq!(stage.run(&["ssh-add", "-l"]).exit, Some(1), "no identities");
    stage.keys();
    stage.key("ca", "ed25519", "256");
    for (name, ..) in KINDS {
        stage.run(&["ssh-add", "-q", &stage.path(name)]).good();
    }
    // In the order in which they came, with their comments, byte for byte.
    let lines: String = KINDS.iter().map(|(name, ..)| stage.read(&format!("{name}.pub"))).collect();
    assert_eq!(stage.run(&["ssh-add", "-L"]).good(), lines);
    let prints = |name: &str| stage.run(&["ssh-keygen", "-l", "-f", &stage.path(&format!("{name}.pub"))]).good();
    let fingerprints: String = KINDS.iter().map(|(name, ..)| prints(name)).collect();
    assert_eq!(stage.run(&["ssh-add", "-l"]).good(), fingerprints);
    assert!(stage.run(&["ssh-add", "-l", "-E", "md5"]).good().contains("MD5:"));
    // Older versions of ssh-add test RSA keys with SHA-1.
    assert!(KINDS.iter().all(|(name, ..)| stage.signs(name)));
    // Again, with its certificate, which is an identity of its own.
    stage.certify("ca", "ed25519", "ada");
    stage.run(&["ssh-add", "-q", &stage.path("ed25519")]).good();
    assert_eq!(stage.listed().len(), 7);
    // Key and certificate; then the key alone.
    stage.run(&["ssh-add", "-q", "-d", &stage.path("ed25519")]).good();
    assert!(!stage.listed().contains(&"ed25519".to_owned()) && !stage.signs("ed25519"));
    assert_eq!(stage.listed(), ["p256", "p384", "p521", "rsa2048", "rsa3072"]);
    stage.run(&["ssh-add", "-q", "-k", "-d", &stage.path("p384.pub")]).good();
    stage.run(&["ssh-add", "-d", &stage.path("p384.pub")]).bad();
    assert!(stage.signs("p256") && !stage.signs("p384"));
    // From stdin.
    stage.run_with(&["ssh-add", "-q", "-"], stage.read("ed25519").as_bytes()).good();
    assert!(stage.signs("ed25519"));
    stage.run(&["ssh-add", "-q", "-D"]).good();
    assert!(stage.listed().is_empty() && !stage.signs("p256"));

    let told = stage.run(&["ssh-add", "-Q"]);
    if told.stderr.contains("option -- Q") {
        // An ssh-add that does not know it: hostile.rs asks.
        return;
    }
    assert!(told.good().contains("session-bind@openssh.com"));
}

/// Whether it is still good is for the server to say, and old signatures are made again with old certificates.
fn an_expired_certificate_is_held_as_any_other(program: Program) {
    let stage = Stage::new(program);
    ["ca", "one"].iter().for_each(|name| stage.key(name, "ed25519", "256"));
    let sign = ["ssh-keygen", "-q", "-s", &stage.path("ca"), "-I", "one", "-n", "ada", "-V", "-2d:-1d"];
    stage.run(&[&sign[..], &[&stage.path("one.pub")]].concat()).good();
    stage.run(&["ssh-add", "-q", &stage.path("one")]).good();
    assert_eq!(stage.listed().len(), 2);
}

fn a_lifetime_ends(program: Program) {
    let stage = Stage::new(program);
    ["short", "long", "always"].iter().for_each(|name| stage.key(name, "ed25519", "256"));
    stage.hand_over(&["-q"], "always");
    stage.hand_over(&["-q", "-t", "1h"], "long");
    assert_eq!(stage.listed(), ["always", "long"]);
    stage.hand_over(&["-q", "-t", "1"], "short");
    until("the key is gone", || stage.listed() == ["always", "long"]);
    assert!(!stage.signs("short") && stage.signs("long"));
}

fn the_agents_lifetime_is_for_keys_without_one(program: Program) {
    let stage = Stage::with(program, &["-t", "1"], |_| Vec::new());
    ["short", "long"].iter().for_each(|name| stage.key(name, "ed25519", "256"));
    stage.hand_over(&["-q", "-t", "1h"], "long");
    stage.hand_over(&["-q"], "short");
    until("the key is gone", || stage.listed() == ["long"]);
}

/// An agent that asks this program.
fn asking(program: Program, askpass: &str) -> Stage {
    Stage::with(program, &[], |folder| {
        script(&folder.join("askpass"), askpass);
        let askpass = folder.join("askpass").display().to_string();
        vec![("SSH_ASKPASS", askpass), ("SSH_ASKPASS_REQUIRE", "force".to_owned()), ("DISPLAY", ":99".to_owned())]
    })
}

/// Writes down what it is asked, and agrees where there is a file `yes`.
const ASKPASS: &str = "cd \"${0%/*}\" && printf '%s\\n' \"$1\" >> asked && test -e yes";

fn a_confirmation_is_asked_for(program: Program) {
    let stage = asking(program, ASKPASS);
    stage.key("careful", "ed25519", "256");
    stage.key("free", "ed25519", "256");
    stage.hand_over(&["-q", "-c"], "careful");
    stage.hand_over(&["-q"], "free");
    assert!(stage.signs("free") && stage.read("asked").is_empty(), "nobody was asked for this one");
    assert!(!stage.signs("careful"), "nobody agreed");
    let asked = stage.read("asked");
    assert!(asked.contains("careful"), "{asked}");
    stage.write("yes", "");
    assert!(stage.signs("careful"), "someone agreed");
    assert!(stage.read("asked").len() > asked.len(), "each time");
}

/// OpenSSH's agent answers nobody meanwhile.
#[test]
fn a_pending_confirmation_is_in_nobodys_way() {
    let waits = "cd \"${0%/*}\" && printf 'x' >> asked && read -r line < gate && test \"$line\" = go";
    let stage = asking(Program::Claviger, waits);
    stage.run(&["mkfifo", &stage.path("gate")]).good();
    stage.key("careful", "ed25519", "256");
    stage.key("free", "ed25519", "256");
    stage.hand_over(&["-q", "-c"], "careful");
    stage.hand_over(&["-q"], "free");
    let mut waiting = stage.spawn(&["ssh-add", "-T", &stage.path("careful.pub")]);
    until("a person is asked", || !stage.read("asked").is_empty());
    for _ in 0..3 {
        assert_eq!(stage.listed(), ["careful", "free"]);
        assert!(stage.signs("free"));
    }
    assert!(waiting.try_wait().expect("its state").is_none(), "it waits");
    fs::write(stage.file("gate"), "go\n").expect("the gate");
    assert!(waiting.wait().expect("its end").success());
}

fn a_lock_hides_the_keys_until_it_is_opened(program: Program) {
    let stage = Stage::new(program);
    stage.key("key", "ed25519", "256");
    stage.hand_over(&["-q"], "key");
    script(&stage.file("askpass"), "cat \"${0%/*}/passphrase\"");
    stage.write("passphrase", "opensesame\n");
    let asked = |option: &str| {
        let mut command = stage.command("ssh-add");
        command.arg(option).env("SSH_ASKPASS", stage.file("askpass")).env("SSH_ASKPASS_REQUIRE", "force");
        crate::stage::Ended::from(command.output().expect("its end"))
    };
    assert!(stage.signs("key"));
    asked("-x").good();
    assert!(stage.listed().is_empty() && !stage.signs("key"));
    stage.key("other", "ed25519", "256");
    stage.run(&["ssh-add", "-q", &stage.path("other")]).bad();
    stage.run(&["ssh-add", "-q", "-D"]).bad();
    asked("-x").bad();
    stage.write("passphrase", "open barley\n");
    asked("-X").bad();
    assert!(stage.listed().is_empty());
    stage.write("passphrase", "opensesame\n");
    asked("-X").good();
    assert!(stage.listed() == ["key"] && stage.signs("key"), "nothing was lost");
    asked("-X").bad();
}

fn libraries_are_not_loaded(program: Program) {
    let stage = Stage::new(program);
    stage.key("key", "ed25519", "256");
    stage.hand_over(&["-q"], "key");
    stage.run(&["ssh-add", "-s", "/lib/x86_64-linux-gnu/libc.so.6"]).bad();
    stage.run(&["ssh-add", "-e", "/lib/x86_64-linux-gnu/libc.so.6"]).bad();
    assert_eq!(stage.listed(), ["key"]);
    let maps = fs::read_to_string(format!("/proc/{}/maps", stage.agent.pid()));
    // Ours cannot be looked into by its own user.
    assert!(!maps.unwrap_or_default().contains("pkcs11"));
}
