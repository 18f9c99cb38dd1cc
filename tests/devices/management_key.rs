//! A management key that a card keeps behind its PIN: set here or by ykman, used here and by ykman.

use crate::person::Person;
use crate::piv::{FACTORY, PIN, attempts, bad, stage, ykman};

#[test]
fn a_management_key_behind_the_pin_is_used_with_the_pin() {
    for firmware in ["5.4.3", "5.7.1"] {
        let (rig, agent, _key) = stage(firmware);
        let generate = |with: &str| ykman(&rig, &agent, &format!("piv keys generate -a ECCP256 {with} 9a public.pem"));
        let new = || agent.run(&["piv", "new", "9c", "--type", "ecdsa-p256", "--replace"], "");
        let protect = |options: &[&str], stdin: &str| {
            agent.run(&[&["piv", "management-key", "--protect"], options].concat(), stdin)
        };
        // As ykman sets it, and a card from yubikey-agent comes.
        ykman(&rig, &agent, &format!("piv access change-management-key --protect -f -m {FACTORY} -P {PIN}")).good();
        let person = Person::attend(&agent, &["654321", PIN]);
        new().good();
        let asked = person.take("pin_needed");
        let told: Vec<_> = asked.iter().map(|asked| (&asked["wanted"], &asked["tries_left"])).collect();
        assert_eq!(told, [(&"PIV PIN".into(), &3.into()), (&"PIV PIN".into(), &2.into())], "{asked:?}");
        protect(&[], "").fault_told(5, "keeps a management key behind its PIN already");
        person.take("pin_needed");
        // One that is printed takes its place.
        let shown = agent.run(&["piv", "management-key"], "").good();
        assert_eq!(person.take("pin_needed").len(), 1);
        generate(&format!("-m {}", shown.trim())).good();
        // And the other way round.
        let said = protect(&["--management-key-fd", "0"], &shown);
        assert!(said.stderr.contains("which the card keeps behind its PIN"), "{said:?}");
        assert_eq!(said.good(), "", "nobody is shown it");
        assert_eq!(person.take("pin_needed").len(), 1);
        bad(generate(&format!("-m {}", shown.trim())));
        generate(&format!("-P {PIN}")).good();
        new().good();
        assert_eq!(person.take("pin_needed")[0]["wanted"], "PIV PIN");
        let about = ykman(&rig, &agent, "piv info").good();
        assert!(about.contains("Management key is stored on the YubiKey, protected by PIN"), "{about}");
    }
}

#[test]
fn a_card_that_is_pulled_while_its_management_key_goes_behind_the_pin_has_one_that_is_known() {
    let (_rig, agent, key) = stage("5.7.1");
    let _person = Person::attend(&agent, &[PIN]);
    let protect = || agent.run(&["piv", "management-key", "--protect"], "");
    let back = || agent.run(&["piv", "management-key", "--stdin"], FACTORY);
    protect().good();
    back().good();
    let before = key.apdus();
    protect().good();
    let commands = key.apdus() - before;
    back().good();
    assert!((10..=80).contains(&commands), "{commands}");
    let mut behind = 0_u64;
    for next in 1..=commands {
        key.cut_at(next);
        // pcscd may yet tell of the plug before this one: then the card is not seen, and not cut.
        let is_seen = |said: &crate::home::Ended| !said.stderr.contains("no PIV card") && said.exit != Some(0);
        assert!(attempts().any(|_| is_seen(&protect())), "{next}: the card is not cut");
        key.plug();
        agent.devices_until(|devices| devices.len() == 1);
        // The one that it comes with or the one behind the PIN, and no other is asked for: it goes behind the PIN now, or is there.
        let is_so = |said: &crate::home::Ended| said.exit == Some(0) || said.stderr.contains("already");
        let again = attempts().map(|_| protect()).find(is_so).unwrap_or_else(|| panic!("{next}: {:?}", protect()));
        behind += u64::from(again.exit != Some(0));
        assert!(attempts().any(|_| back().exit == Some(0)), "{next}: {:?}", back());
    }
    assert!(behind > 0 && behind < commands, "{behind} of {commands}");
}
