//! A PIV key, pushed to an EC2 instance, logs in to it.

use crate::agent::Installed;
use crate::home::{Ended, Home, PASSPHRASE};
use crate::instance::{Host, WEB};
use crate::person::Person;
use crate::sandbox::Sandbox;
use crate::terminal::OnTerminal;
use crate::yubikey::Rig;
use std::fs;

const PIN: &str = "123456";

#[test]
fn a_key_of_a_card_is_pushed_and_logs_in() {
    let (sandbox, rig) = (Sandbox::start(), Rig::new());
    let agent = Installed::start(Home::at(&sandbox), &[("PCSCLITE_CSOCK_NAME", rig.pcsc_socket())]);
    agent.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    agent.run(&["access-key", "add", "dev", "--stdin"], &sandbox.access_key()).good();
    let add = ["mfa", "add", "--for", "dev", "--seed-stdin", "--serial", sandbox.text("mfa_serial")];
    agent.run(&add, sandbox.text("mfa_seed")).good();
    let card = rig.yubikey(12_345_678, "5.7.1");
    agent.devices_until(|devices| devices.len() == 1);
    for (slot, kind) in [("9a", "ed25519"), ("82", "rsa-2048"), ("9e", "ecdsa-p256")] {
        agent.run(&["piv", "new", slot, "--type", kind], "").good();
    }
    let host = Host::start(&sandbox);
    let (port, at_web) = (host.port(), host.at(WEB));
    let ssh = |key: &str| -> Ended {
        let own = ["ssh", "--profile", "prod", "--region", "us-east-1", "--port", &port, "--key", key, &at_web, "--"];
        let theirs = ["-F", "none", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR", "echo", "inside"];
        agent.run(&[&own[..], &theirs].concat(), "")
    };
    // Nobody attends: whoever becomes ssh is asked at its own terminal before that.
    let own = ["ssh", "--profile", "prod", "--region", "us-east-1", "--port", &port, "--key", "piv:9a", &at_web, "--"];
    let mut asked =
        OnTerminal::start(agent.terminal_command(&[&own[..], &["-F", "none", "echo", "in", "by", "9a"]].concat()));
    asked.wait_for(&format!("To log in to {WEB}."));
    asked.wait_for("PIV PIN");
    asked.enter_hidden(PIN);
    asked.wait_for("in by 9a");
    Ended::from(asked.end()).good();
    let person = Person::attend(&agent, &[PIN]);
    for key in ["piv:9a", "piv:12345678:82"] {
        assert_eq!(ssh(key).good(), "inside\n", "{key}");
    }
    assert_eq!(person.take("pin_needed").len(), 0, "once for both keys");
    // One that wants it each time is told of.
    agent.run(&["piv", "new", "83", "--pin-policy", "always"], "").good();
    let each = ssh("piv:83");
    assert!(each.stderr.contains("piv:83 wants its PIN now"), "{each:?}");
    assert_eq!((each.good(), person.take("pin_needed").len()), ("inside\n".to_owned(), 1));
    sandbox.advance(61_000);
    assert_eq!(ssh("piv:82").good(), "inside\n", "pushed anew after its life");

    ssh("piv:9e").fault_told(2, "piv:9e is ecdsa-sha2-nistp256");
    let pushes = sandbox.calls("SendSSHPublicKey");
    assert_eq!(pushes, 5);
    card.unplug();
    agent.devices_until(<[_]>::is_empty);
    ssh("piv:9a").fault_told(6, "no ssh key of the vault or of a card that is plugged in is called piv:9a");
    let pinned = fs::read_to_string(agent.file("data/known_instances")).expect("pins");
    assert!(pinned.starts_with(&format!("[{WEB}]:{port} ssh-ed25519 ")), "{pinned}");
}
