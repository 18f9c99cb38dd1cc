//! EC2 key pairs of a PIV card, against the sandbox: its keys are imported, listed, and decrypt Windows passwords.

use crate::agent::Installed;
use crate::home::{Home, PASSPHRASE};
use crate::person::Person;
use crate::sandbox::Sandbox;
use crate::yubikey::Rig;
use serde_json::{Value, json};

const SERIAL: u32 = 12_345_678;
const PIN: &str = "123456";
const PROFILE: [&str; 2] = ["--profile", "prod"];

#[test]
fn keys_of_a_card_are_key_pairs_and_decrypt_passwords() {
    let (sandbox, rig) = (Sandbox::start(), Rig::new());
    let agent = Installed::start(Home::at(&sandbox), &[("PCSCLITE_CSOCK_NAME", rig.pcsc_socket())]);
    let _card = rig.yubikey(SERIAL, "5.7.1");
    agent.devices_until(|devices| devices.len() == 1);
    agent.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    agent.run(&["access-key", "add", "dev", "--stdin"], &sandbox.access_key()).good();
    let add = ["mfa", "add", "--for", "dev", "--seed-stdin", "--serial", sandbox.text("mfa_serial")];
    agent.run(&add, sandbox.text("mfa_seed")).good();
    let keypair = |words: &[&str]| agent.run(&[&["keypair"], words, &PROFILE].concat(), "");

    for (slot, kind) in [("9a", "ed25519"), ("9c", "ecdsa-p256"), ("9d", "rsa-2048")] {
        agent.run(&["piv", "new", slot, "--type", kind], "").good();
    }
    keypair(&["import", "card", "--slot", "9a", "--device", "12345678"]).good();
    keypair(&["import", "windows", "--slot", "9d"]).good();
    keypair(&["import", "curve", "--slot", "9c"]).fault_told(5, "no ECDSA");
    keypair(&["import", "empty", "--slot", "9e"]).fault_told(6, "no such key");
    let listed: Value = serde_json::from_str(&keypair(&["list", "--json"]).good()).expect("JSON");
    for (row, slot) in [(0, "9a"), (1, "9d")] {
        let row = &listed["keypairs"][row];
        assert_eq!(row["keys"], json!([{"card": {"device": SERIAL, "slot": slot}}]), "{listed}");
    }

    let instance = "i-0a11ce00000000012";
    sandbox.launch(&json!({
        "region": "eu-central-1", "id": instance, "private_ip": "10.0.9.12", "key_name": "windows",
        "windows_password": "From-A-Card-7"
    }));
    let _person = Person::attend(&agent, &[PIN]);
    assert_eq!(keypair(&["password", instance]).good(), "From-A-Card-7\n", "found by itself");
    assert_eq!(keypair(&["password", instance, "--slot", "9d"]).good(), "From-A-Card-7\n");
    keypair(&["password", instance, "--slot", "9a"]).fault_told(6, "no key here decrypts it");
    let record = agent.run(&["audit", "log", "--json", "--event", "keypair"], "").good();
    assert!(record.contains("keypair.password") && record.contains(instance) && !record.contains("From-A-Card"));
}
