//! The agent's devices: what is plugged in, what holds it, and what is left when it is pulled.

use crate::agent::Installed;
use crate::home::signal_to;
use crate::yubikey::Rig;
use rustix::process::Signal;
use std::process::Stdio;

#[test]
fn devices_come_and_go() {
    let rig = Rig::new();
    let agent = Installed::open(&[("PCSCLITE_CSOCK_NAME", rig.pcsc_socket())]);
    assert!(agent.devices().is_empty());
    let one = rig.yubikey(11_111_111, "5.7.1");
    let listed = agent.devices_until(|devices| devices.len() == 1);
    assert_eq!(listed[0]["serial"], 11_111_111, "{listed:?}");
    assert_eq!(listed[0]["firmware"], serde_json::json!([5, 7, 1]));
    assert_eq!(listed[0]["applets"], serde_json::json!(["oath", "piv"]));
    assert_eq!((&listed[0]["pin_tries"], &listed[0]["puk_tries"]), (&3.into(), &3.into()));
    let other = rig.yubikey(22_222_222, "4.3.4");
    let listed = agent.devices_until(|devices| devices.len() == 2);
    assert!(listed[1]["notes"][0].as_str().is_some_and(|note| note.contains("ROCA")), "{listed:?}");
    one.unplug();
    let listed = agent.devices_until(|devices| devices.len() == 1);
    assert_eq!(listed[0]["serial"], 22_222_222);
    one.plug();
    agent.devices_until(|devices| devices.len() == 2);
    drop((one, other));
    agent.devices_until(<[_]>::is_empty);
}

#[test]
fn a_helper_that_is_killed_is_started_again() {
    let rig = Rig::new();
    let agent = Installed::open(&[("PCSCLITE_CSOCK_NAME", rig.pcsc_socket())]);
    let _key = rig.yubikey(11_111_111, "5.4.3");
    agent.devices_until(|devices| devices.len() == 1);
    for _ in 0..3 {
        // One watches, one serves the card.
        agent.devices_until(|_| agent.helpers().len() == 2);
        agent.helpers().iter().for_each(|helper| signal_to(*helper, Signal::KILL));
        agent.devices_until(|devices| devices.first().is_some_and(|device| device["serial"] == 11_111_111));
    }
    agent.run(&["lock"], "").good();
    // A lock ends them; the one that only watched may take a moment.
    assert!((0..10_000).any(|_| agent.helpers().is_empty()), "{:?}", agent.helpers());
}

#[test]
fn a_lock_waits_for_no_touch() {
    let rig = Rig::new();
    let agent = Installed::open(&[("PCSCLITE_CSOCK_NAME", rig.pcsc_socket())]);
    let card = rig.yubikey(11_111_111, "5.7.1");
    agent.devices_until(|devices| devices.len() == 1);
    // In the middle of a request that no lock cuts off.
    card.mute(true);
    let mut list = agent.command("claviger");
    list.args(["device", "list", "--json"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let list = list.spawn().expect("the client");
    let apdus = card.apdus();
    card.wait_for_apdu(apdus + 1);
    agent.run(&["lock"], "").good();
    // The list was answered because the helper was ended, not because the card was given up.
    let listed = list.wait_with_output().expect("its end").stdout;
    let listed: serde_json::Value = serde_json::from_slice(&listed).expect("JSON");
    assert_eq!(listed["devices"][0]["fault"]["code"], "request.cancelled", "{listed}");
    card.mute(false);
    agent.devices_until(|devices| devices.first().is_some_and(|device| device["serial"] == 11_111_111));
}

#[test]
fn pcscd_may_end_and_come_back() {
    let mut rig = Rig::new();
    let agent = Installed::open(&[("PCSCLITE_CSOCK_NAME", rig.pcsc_socket())]);
    let _key = rig.yubikey(11_111_111, "5.4.3");
    agent.devices_until(|devices| devices.len() == 1);
    rig.kill_pcscd();
    agent.devices_until(<[_]>::is_empty);
    let said = agent.run(&["device", "list"], "");
    assert!(said.stderr.contains("device.service_missing"), "{said:?}");
    rig.start_pcscd();
    agent.devices_until(|devices| devices.first().is_some_and(|device| device["serial"] == 11_111_111));
}
