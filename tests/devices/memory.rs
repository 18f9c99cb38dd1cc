//! What is left of a PIN in the memory of the agent and of its device helpers.

use crate::agent::Installed;
use crate::person::Person;
use crate::scanner::Canaries;
use crate::softkey::Bridge;
use crate::together::{ended, start_signing};

/// As long as a scan of memory wants it.
const PIN: &str = "a stile of 7 yards, in Sedbergh";

#[test]
fn a_pin_that_was_used_is_in_no_memory_afterwards() {
    let mut canaries = Canaries::default();
    canaries.add("PIN", PIN.as_bytes());
    let bridge = Bridge::start();
    let key = bridge.key("ONE", &[]);
    let agent = Installed::open(&bridge.exports());
    agent.devices_until(|devices| devices.len() == 1);
    agent.run(&["fido", "pin", "--set", "--new-pin-fd", "0"], PIN).good();
    let new = ["fido", "new", "work", "--resident", "--verify-required", "--pin-fd", "0"];
    agent.write("work.pub", &agent.run(&new, PIN).good());
    agent.run(&["fido", "list", "--pin-fd", "0"], PIN).good();
    // Typed by somebody who attends, as at a terminal.
    let person = Person::attend(&agent, &[PIN]);
    key.touch("manual");
    let signing = start_signing(&agent, "work");
    key.wait_touch();
    let finds = canaries.in_process(agent.pid());
    assert!(!finds.is_empty(), "the control: it is in hand, and found");
    key.press();
    ended(signing).good();
    assert_eq!(person.take("pin_needed").len(), 1, "it was asked for");
    assert!(!agent.helpers().is_empty(), "the helper that had it lives");
    let finds = canaries.in_process(agent.pid());
    assert!(finds.is_empty(), "{finds:?}");
}
