//! The device helper on the software FIDO2 key: each operation, and what is left of it when the key is pulled, mute,
//! busy, or somebody else's.

use crate::home::program;
use crate::softkey::{Bridge, Ended, Softkey};
use claviger::secret::{Pin, SecretText};
use claviger_agent::device::fido::{Algorithm, Answer as FidoAnswer, Assertion, Credential, Operation as Do};
use claviger_agent::device::{
    Address, Answer, Bytes, Devices, Error, Found, Notice, Operation, PinRule, Reference, Thing,
};
use claviger_agent::testing::FakeClock;
use claviger_agent::world::{WallTime, World};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::Arc;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

const PIN: &str = "1234-abc";
/// Until the helper has noticed a key.
const PATIENCE_MILLIS: u64 = 60_000;

/// A device room whose helper sees the keys of a bridge.
struct Room {
    runtime: Runtime,
    devices: Arc<Devices>,
}

impl Room {
    fn new(bridge: &Bridge) -> Self {
        let exports = bridge.environment().map(|(name, value)| format!("export {name}='{value}'\n")).concat();
        let script = bridge.file("helper");
        let helper = program("claviger-device-helper");
        fs::write(&script, format!("#!/bin/sh\n{exports}exec '{}'\n", helper.display())).expect("a script");
        fs::set_permissions(&script, Permissions::from_mode(0o755)).expect("chmod");
        let runtime = Runtime::new().expect("a runtime");
        let devices = runtime.block_on(async { Devices::new(World::real().clock, script) });
        Self { runtime, devices }
    }

    /// The key at a node, once the helper has seen it there.
    fn found(&self, key: &Softkey) -> Found {
        let address = Address::Fido(key.node.clone());
        let clock = World::real().clock;
        let end = clock.boot().plus_millis(PATIENCE_MILLIS);
        loop {
            let seen = self.runtime.block_on(self.devices.present()).expect("devices").devices;
            match seen.into_iter().find(|found| found.address == address) {
                Some(found) => return found,
                None => assert!(clock.boot() < end, "the key at {} was not seen", key.node),
            }
            std::thread::yield_now();
        }
    }

    fn run(&self, found: &Found, operation: Do) -> Result<Answer, Error> {
        self.run_telling(found, operation).0
    }

    /// The same, and how often a touch was waited for.
    fn run_telling(&self, found: &Found, operation: Do) -> (Result<Answer, Error>, usize) {
        let (tell, mut notices) = mpsc::unbounded_channel();
        let done = self.runtime.block_on(self.devices.run(found, Operation::Fido(operation), tell));
        let mut touches = 0;
        while let Ok(Notice::Touch) = notices.try_recv() {
            touches += 1;
        }
        (done, touches)
    }

    fn make(&self, found: &Found, kind: (Algorithm, bool, bool), user: &str) -> Result<Credential, Error> {
        let (algorithm, resident, verify_required) = kind;
        let operation = Do::Make {
            application: "ssh:".to_owned(),
            algorithm,
            resident,
            verify_required,
            user: user.to_owned(),
            challenge: Bytes(vec![7; 32]),
            pin: (resident || verify_required).then(|| pin(PIN)),
        };
        match self.run(found, operation)? {
            Answer::Fido(FidoAnswer::Credential(made)) => Ok(made),
            _ => panic!("another answer"),
        }
    }

    fn sign(&self, found: &Found, made: &Credential, with: Option<&str>) -> Result<Assertion, Error> {
        match self.run(found, sign(made, with))? {
            Answer::Fido(FidoAnswer::Assertion(assertion)) => Ok(assertion),
            _ => panic!("another answer"),
        }
    }

    fn tries(&self, found: &Found) -> Option<u8> {
        match self.run(found, Do::Describe {}) {
            Ok(Answer::Fido(FidoAnswer::Info(info))) => info.pin_tries,
            other => panic!("{:?}", other.err()),
        }
    }
}

fn pin(text: &str) -> Pin {
    Pin::from_text(text.to_owned())
}

fn sign(made: &Credential, with: Option<&str>) -> Do {
    Do::Sign {
        application: made.application.clone(),
        credential: made.handle.clone(),
        data: Bytes(b"what is signed".to_vec()),
        touch: true,
        verify: made.verify_required,
        pin: with.map(pin),
    }
}

const PLAIN: (Algorithm, bool, bool) = (Algorithm::Ed25519, false, false);

#[test]
fn credentials_are_made_used_listed_and_removed() {
    let bridge = Bridge::start();
    let key = bridge.key("ONE", &[]);
    let room = Room::new(&bridge);
    let found = room.found(&key);
    assert!(found.product.contains("ONE") && found.product.contains(&key.node), "{found:?}");
    assert_eq!(room.make(&found, (Algorithm::Ed25519, true, false), "").unwrap_err(), Error::PinNotSet);
    room.run(&found, Do::SetPin { new: pin(PIN) }).expect("a PIN");
    assert_eq!(room.run(&found, Do::SetPin { new: pin(PIN) }).err(), Some(Error::AlreadyThere));
    for (algorithm, length) in [(Algorithm::Ed25519, 32), (Algorithm::EcdsaP256, 65)] {
        for (resident, verify_required) in [(false, false), (true, false), (false, true)] {
            let user = format!("{algorithm:?}");
            let made = room.make(&found, (algorithm, resident, verify_required), &user).expect("a credential");
            assert_eq!(made.public.0.len(), length);
            let with = verify_required.then_some(PIN);
            let assertion = room.sign(&found, &made, with).expect("a signature");
            assert_eq!(assertion.flags, if verify_required { 5 } else { 1 });
            assert!(room.sign(&found, &made, with).expect("another").counter > assertion.counter);
            if verify_required {
                assert_eq!(room.sign(&found, &made, None).err(), Some(Error::PinNeeded(Some(8))));
            } else {
                let holds = |credential: &Bytes| {
                    let application = made.application.clone();
                    room.run_telling(&found, Do::Holds { application, credential: credential.clone() })
                };
                assert!(matches!(holds(&made.handle), (Ok(Answer::Fido(FidoAnswer::Holds(true))), 0)));
                let other = Bytes(made.handle.0.iter().map(|byte| byte ^ 1).collect());
                assert!(matches!(holds(&other), (Ok(Answer::Fido(FidoAnswer::Holds(false))), 0)));
            }
            if resident {
                let again = room.make(&found, (algorithm, resident, verify_required), &user);
                assert_eq!(again.err(), Some(Error::AlreadyThere));
            }
        }
    }
    let resident = || match room.run(&found, Do::Resident { pin: pin(PIN) }) {
        Ok(Answer::Fido(FidoAnswer::Credentials(kept))) => kept,
        other => panic!("{:?}", other.err()),
    };
    let kept = resident();
    assert_eq!(kept.iter().map(|kept| kept.user.as_str()).collect::<Vec<_>>().len(), 2, "{kept:?}");
    let first = kept.first().expect("one").clone();
    assert_eq!(room.sign(&found, &first, None).expect("a signature").flags, 1);
    room.run(&found, Do::Remove { credential: first.handle.clone(), pin: pin(PIN) }).expect("removed");
    assert_eq!(resident().len(), 1);
    assert_eq!(room.sign(&found, &first, None).err(), Some(Error::NotThere(Thing::Credential)));
    assert!(matches!(room.run_telling(&found, Do::Presence {}), (Ok(Answer::Nothing {}), 1)));
}

#[test]
fn a_secret_is_the_same_for_the_same_salt_and_wants_the_pin() {
    let bridge = Bridge::start();
    let key = bridge.key("ONE", &[]);
    let room = Room::new(&bridge);
    let found = room.found(&key);
    let application = || "claviger:vault".to_owned();
    let make = || room.run(&found, Do::MakeSecret { application: application(), pin: pin(PIN) });
    assert_eq!(make().err(), Some(Error::PinNotSet));
    room.run(&found, Do::SetPin { new: pin(PIN) }).expect("a PIN");
    let Ok(Answer::Fido(FidoAnswer::Enrolled(made))) = make() else { panic!("no credential") };
    let credential = made.credential;
    let secret = |salt: u8, with: &str| {
        let (credential, salt) = (credential.clone(), Bytes(vec![salt; 32]));
        match room.run(&found, Do::Secret { application: application(), credential, salt, pin: pin(with) })? {
            Answer::Fido(FidoAnswer::Secret(secret)) => Ok(secret.expose().to_owned()),
            _ => panic!("another answer"),
        }
    };
    let first = secret(1, PIN).expect("a secret");
    assert_eq!(first.len(), 64);
    assert_eq!(secret(1, PIN), Ok(first.clone()));
    assert_ne!(secret(2, PIN).expect("a secret"), first);
    assert_eq!(secret(1, "wrong"), Err(Error::PinWrong { reference: Reference::Pin, left: Some(7) }));
}

#[test]
fn a_pin_is_counted_and_a_key_that_counts_no_more_says_so() {
    let bridge = Bridge::start();
    let mut key = bridge.key("ONE", &[]);
    let room = Room::new(&bridge);
    let found = room.found(&key);
    for (length, rule) in [(3, PinRule::Shorter(4)), (64, PinRule::Longer(63)), (65, PinRule::Longer(63))] {
        let refused = room.run(&found, Do::SetPin { new: pin(&"1".repeat(length)) });
        assert_eq!(refused.err(), Some(Error::PinRefused(Reference::Pin, rule)));
    }
    room.run(&found, Do::SetPin { new: pin(&"1".repeat(63)) }).expect("a PIN of 63 bytes");
    room.run(&found, Do::ChangePin { old: pin(&"1".repeat(63)), new: pin(PIN) }).expect("another");
    let resident = |with: &str| room.run(&found, Do::Resident { pin: pin(with) }).err();
    for long in [64, 65, 1000] {
        let refused = Error::PinRefused(Reference::Pin, PinRule::Longer(63));
        assert_eq!(resident(&"1".repeat(long)), Some(refused));
    }
    assert_eq!(room.tries(&found), Some(8), "what cannot be a PIN costs no try");
    let wrong = |left| Some(Error::PinWrong { reference: Reference::Pin, left: Some(left) });
    assert_eq!(resident("wrong"), wrong(7));
    assert_eq!(resident("wrong"), wrong(6));
    assert_eq!(resident("wrong"), Some(Error::PinPaused));
    assert_eq!(resident(PIN), Some(Error::PinPaused), "not even the right one");
    assert_eq!(room.tries(&found), Some(5));
    key.cycle();
    let found = room.found(&key);
    assert_eq!(room.run(&found, Do::Resident { pin: pin(PIN) }).err(), None);
    assert_eq!(room.tries(&found), Some(8));
}

#[test]
fn a_key_pulled_at_any_report_is_gone_and_serves_again_once_it_is_back() {
    let bridge = Bridge::start();
    let mut key = bridge.key("ONE", &[]);
    let room = Room::new(&bridge);
    let made = room.make(&room.found(&key), PLAIN, "").expect("a credential");
    let operations: [&dyn Fn() -> Do; 3] = [&|| Do::Describe {}, &|| sign(&made, None), &|| Do::Make {
        application: "ssh:".to_owned(),
        algorithm: Algorithm::EcdsaP256,
        resident: false,
        verify_required: false,
        user: String::new(),
        challenge: Bytes(vec![7; 32]),
        pin: None,
    }];
    for operation in operations {
        let answers = |key: &Softkey| key.figure("answers").parse::<u64>().expect("a number");
        let before = (key.reports(), answers(&key));
        room.run(&room.found(&key), operation()).expect("it works");
        let (reports, sent) = (key.reports() - before.0, answers(&key) - before.1);
        assert!(reports >= 2 && sent >= 2, "{reports} {sent}");
        for cut in 1..=reports {
            let found = room.found(&key);
            key.cut(cut);
            assert_eq!(room.run(&found, operation()).err(), Some(Error::Gone), "report {cut} of {reports}");
            key.wait_unplugged();
            key.plug();
        }
        for cut in 1..=sent {
            let found = room.found(&key);
            key.cut_answer(cut);
            let done = room.run(&found, operation());
            // There may be fewer keepalives this time.
            assert!(matches!(done, Err(Error::Gone) | Ok(_)), "answer {cut} of {sent}: {:?}", done.err());
            key.cycle();
        }
        room.run(&room.found(&key), operation()).expect("it works again");
    }
}

#[test]
fn a_touch_is_told_given_up_and_timed_out() {
    let bridge = Bridge::start();
    let key = bridge.key("ONE", &["--up-timeout-ms=700"]);
    let room = Room::new(&bridge);
    let found = room.found(&key);
    let made = room.make(&found, PLAIN, "").expect("a credential");
    key.touch("never");
    assert_eq!(room.run_telling(&found, sign(&made, None)).1, 1);
    assert_eq!(room.sign(&found, &made, None).err(), Some(Error::TouchTimeout));
    drop(key);
    let key = bridge.key("TWO", &["--touch=manual"]);
    let found = room.found(&key);
    let (tell, mut notices) = mpsc::unbounded_channel();
    let (devices, operation) = (room.devices.clone(), Do::Presence {});
    let waiting = room.runtime.spawn({
        let found = found.clone();
        async move { devices.run(&found, Operation::Fido(operation), tell).await.err() }
    });
    assert_eq!(room.runtime.block_on(notices.recv()), Some(Notice::Touch));
    key.wait_touch();
    waiting.abort();
    // Given up on the key as well: it is free for the next.
    room.run(&found, Do::Describe {}).expect("an answer");
    assert_eq!(key.figure("cancels"), "1");
    key.touch("auto");
    room.run(&found, Do::Presence {}).expect("a touch");
}

#[test]
fn a_mute_key_and_one_that_answers_nonsense_are_errors() {
    let bridge = Bridge::start();
    let key = bridge.key("ONE", &[]);
    let room = Room::new(&bridge);
    let found = room.found(&key);
    for how in ["garbage", "short"] {
        key.answer(how);
        let said = room.run(&found, Do::Describe {}).err();
        assert!(matches!(said, Some(Error::BadAnswer(_))), "{how}: {said:?}");
    }
    key.answer("off");
    room.run(&found, Do::Describe {}).expect("right again");
    key.mute(true);
    assert_eq!(room.run(&found, Do::Describe {}).err(), Some(Error::TimedOut));
    key.mute(false);
    room.run(&found, Do::Describe {}).expect("heard again");
}

#[test]
fn a_key_that_falls_silent_is_told_from_one_that_waits_for_a_touch() {
    let bridge = Bridge::start();
    let key = bridge.key("ONE", &[]);
    let mut room = Room::new(&bridge);
    let found = room.found(&key);
    let made = room.make(&found, PLAIN, "").expect("a credential");
    // The agent's own limits never come: what ends is ended by the helper.
    let clock = FakeClock::at(WallTime(1_800_000_000_000));
    clock.hold();
    room.devices = room.runtime.block_on(async { Devices::new(clock, bridge.file("helper")) });
    key.mute(true);
    assert_eq!(room.sign(&found, &made, None).err(), Some(Error::TimedOut));
    key.mute(false);
    room.sign(&found, &made, None).expect("heard again");
    // The control: twice as long without a touch, and a word of it each 100 ms.
    key.touch("delay 4000");
    room.sign(&found, &made, None).expect("a touch");
}

#[test]
fn two_programs_on_one_key() {
    let bridge = Bridge::start();
    let key = bridge.key("ONE", &[]);
    let room = Room::new(&bridge);
    let found = room.found(&key);
    let made = room.make(&found, PLAIN, "").expect("a credential");
    // Somebody has it locked, as libfido2 does while it works.
    let mut holder = bridge.command(&["flock", &key.node, "sh", "-c", "echo held; cat"]);
    let mut holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("flock");
    let mut said = [0; 5];
    std::io::Read::read_exact(&mut holder.stdout.take().expect("stdout"), &mut said).expect("a line");
    assert_eq!(room.sign(&found, &made, None).err(), Some(Error::Held(None)));
    drop(holder.stdin.take());
    assert!(holder.wait().expect("its end").success());
    room.sign(&found, &made, None).expect("a signature");
    // libfido2 again and again beside it, which takes the same lock: each has the key to itself.
    let script = format!("while ! [ -e end ]; do fido2-token -I {} || exit; done", key.node);
    let other = bridge.spawn(&["sh", "-c", &script]);
    let mut signed = 0;
    for _ in 0..20 {
        match room.sign(&found, &made, None) {
            Ok(assertion) => signed += usize::from(assertion.flags == 1 && assertion.signature.0.len() == 64),
            Err(error) => assert_eq!(error, Error::Held(None)),
        }
    }
    bridge.write("end", "");
    let told = Ended::from(other.wait_with_output().expect("its end")).good();
    assert!(told.contains("FIDO_2_1") && signed > 0, "{signed} {told}");
}
