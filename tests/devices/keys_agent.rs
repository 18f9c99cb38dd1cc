//! The agent on software FIDO2 keys.

use crate::agent::Installed;
use crate::home::{Home, PASSPHRASE, program};
use crate::softkey::Bridge;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

impl Bridge {
    /// What makes the agent's helper see the keys.
    pub(crate) fn exports(&self) -> [(&'static str, PathBuf); 2] {
        self.environment().map(|(name, value)| (name, PathBuf::from(value)))
    }
}

#[test]
fn keys_are_listed_as_they_come_and_go() {
    let bridge = Bridge::start();
    let agent = Installed::start(Home::new(), &bridge.exports());
    assert!(agent.devices().is_empty());
    let mut first = bridge.key("FIRST", &[]);
    let listed = agent.devices_until(|devices| devices.len() == 1);
    assert_eq!((&listed[0]["kind"], &listed[0]["applets"]), (&"fido".into(), &serde_json::json!(["fido2"])));
    assert_eq!(listed[0]["notes"], serde_json::json!(["no PIN is set", "FIDO_2_3"]));
    assert_eq!(listed[0].get("pin_tries"), None);
    bridge.set_pin(&first);
    assert_eq!(agent.devices()[0]["pin_tries"], 8);
    let second = bridge.key("SECOND", &["--name=another key"]);
    let listed = agent.devices_until(|devices| devices.len() == 2);
    assert!(listed[1]["product"].as_str().is_some_and(|name| name.contains("another key SECOND")), "{listed:?}");
    first.unplug();
    let listed = agent.devices_until(|devices| devices.len() == 1);
    assert!(listed[0]["product"].as_str().is_some_and(|name| name.contains("SECOND")), "{listed:?}");
    first.plug();
    let listed = agent.devices_until(|devices| devices.len() == 2);
    assert!(listed.iter().all(|row| row.get("fault").is_none()), "{listed:?}");
    drop((first, second));
    agent.devices_until(<[_]>::is_empty);
}

#[test]
fn a_mute_key_is_told_of_and_the_agent_serves_on() {
    let bridge = Bridge::start();
    let agent = Installed::open(&bridge.exports());
    let (mute, _other) = (bridge.key("MUTE", &[]), bridge.key("OTHER", &[]));
    agent.devices_until(|devices| devices.len() == 2);
    let pid = agent.pid();
    mute.mute(true);
    let listed = agent.devices();
    assert_eq!(listed[0]["fault"]["code"], "device.timed_out", "{listed:?}");
    assert_eq!(listed[1].get("fault"), None, "{listed:?}");
    mute.mute(false);
    assert_eq!(agent.devices()[0].get("fault"), None);
    agent.run(&["status"], "").good();
    assert_eq!(agent.pid(), pid);
}

#[test]
fn a_node_that_this_user_may_not_open_is_told_of() {
    let bridge = Bridge::start();
    // The superuser may open anything, so the helper is somebody else.
    let helper = bridge.file("helper");
    fs::copy(program("claviger-device-helper"), &helper).expect("a copy");
    let ordinary = if rustix::process::geteuid().is_root() {
        "setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --bounding-set=-all "
    } else {
        ""
    };
    let words = format!("{ordinary}'{}'", helper.display());
    let agent = Installed::start_with(Home::new(), &bridge.exports(), &words);
    agent.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    let key = bridge.key("ONE", &[]);
    let listed = agent.devices_until(|devices| devices.len() == 1);
    assert_eq!(listed[0].get("fault"), None, "it may open this one: {listed:?}");
    let folder = bridge.environment().into_iter().find(|(name, _)| *name == "UMOCKDEV_DIR").expect("a folder").1;
    let node = Path::new(folder).join(key.node.trim_start_matches('/'));
    let mode = |mode| fs::set_permissions(&node, Permissions::from_mode(mode)).expect("chmod");
    mode(0o000);
    let listed = agent.devices();
    assert_eq!(listed[0]["fault"]["code"], "device.not_permitted", "{listed:?}");
    agent.run(&["fido", "new", "work"], "").fault_told(7, "this user may not open the device");
    assert!(agent.run(&["doctor"], "").stdout.contains("this user may not open the device"));
    mode(0o600);
    assert_eq!(agent.devices()[0].get("fault"), None);
}
