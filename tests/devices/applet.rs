//! The device helper on a card's OATH applet: each operation, and what is left of it when the card is pulled.

use crate::home::program;
use crate::yubikey::{Bad, Card, Rig};
use claviger::secret::{DeviceSecret, Pin, SecretText};
use claviger_agent::device::oath::{Account, Answer as OathAnswer, Hash, Kind, NewAccount, Operation as Oath, Verb};
use claviger_agent::device::{Address, Answer, Bytes, Devices, Error, Found, Notice, Operation, Thing};
use claviger_agent::world::{BootTime, BoxFuture, Clock, WallTime, World};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use tokio::runtime::Runtime;
use tokio::sync::{Notify, mpsc};

/// Until the helper has noticed a card.
const PATIENCE_MILLIS: u64 = 60_000;

/// A device room whose helper sees the cards of a rig.
struct Room {
    runtime: Runtime,
    devices: Arc<Devices>,
}

impl Room {
    fn new(rig: &Rig) -> Self {
        Self::with_clock(rig, World::real().clock)
    }

    fn with_clock(rig: &Rig, clock: Arc<dyn Clock>) -> Self {
        let script = rig.file("helper");
        let (socket, helper) = (rig.pcsc_socket(), program("claviger-device-helper"));
        let text =
            format!("#!/bin/sh\nexport PCSCLITE_CSOCK_NAME='{}'\nexec '{}'\n", socket.display(), helper.display());
        fs::write(&script, text).expect("a script");
        fs::set_permissions(&script, Permissions::from_mode(0o755)).expect("chmod");
        let runtime = Runtime::new().expect("a runtime");
        let devices = runtime.block_on(async { Devices::new(clock, script) });
        Self { runtime, devices }
    }

    /// The card, once the helper has seen it, or that it is gone.
    fn seen(&self, is_there: bool) -> Option<Found> {
        let clock = World::real().clock;
        let end = clock.boot().plus_millis(PATIENCE_MILLIS);
        loop {
            let present = self.runtime.block_on(self.devices.present()).expect("devices").devices;
            let card = present.into_iter().find(|found| matches!(found.address, Address::Card(_)));
            if card.is_some() == is_there {
                return card;
            }
            assert!(clock.boot() < end, "the card was not seen to come or go");
            std::thread::yield_now();
        }
    }

    fn found(&self) -> Found {
        self.seen(true).expect("a card")
    }

    fn run(&self, found: &Found, verb: Verb) -> Result<OathAnswer, Error> {
        self.run_with(found, verb, mpsc::unbounded_channel().0)
    }

    fn run_with(&self, found: &Found, verb: Verb, notices: mpsc::UnboundedSender<Notice>) -> Result<OathAnswer, Error> {
        let operation = Operation::Oath(Oath { access: None, verb });
        match self.runtime.block_on(self.devices.run(found, operation, notices))? {
            Answer::Oath(answer) => Ok(answer),
            Answer::Nothing {} => Ok(OathAnswer::Accounts(Vec::new())),
            _ => panic!("another answer"),
        }
    }

    fn next_code(&self, found: &Found, account: &str) -> Result<String, Error> {
        match self.run(found, Verb::NextCode { name: name(account) })? {
            OathAnswer::Code(code) => Ok(code.expose().to_owned()),
            _ => panic!("another answer"),
        }
    }

    fn accounts(&self, found: &Found) -> Vec<Account> {
        match self.run(found, Verb::List {}).expect("a list") {
            OathAnswer::Accounts(accounts) => accounts,
            _ => panic!("another answer"),
        }
    }

    fn names(&self, found: &Found) -> Vec<String> {
        let text = |account: Account| String::from_utf8(account.name.0).expect("text");
        self.accounts(found).into_iter().map(text).collect()
    }

    fn remove(&self, found: &Found, account: &str) {
        let removed = self.run(found, Verb::Delete { name: name(account) }).map(drop);
        assert!(matches!(removed, Ok(()) | Err(Error::NotThere(Thing::Account))), "{removed:?}");
    }
}

fn name(text: &str) -> Bytes {
    Bytes(text.as_bytes().to_vec())
}

fn put(account: &str) -> Verb {
    Verb::Put(NewAccount {
        name: name(account),
        kind: Kind::Totp,
        hash: Hash::Sha1,
        digits: 6,
        seed: DeviceSecret::from_text("3132333435363738393031323334353637383930".to_owned()),
        touch: false,
        counter: 0,
    })
}

/// The same as one that counts.
fn counting(account: &str, digits: u8, counter: u32, touch: bool) -> Verb {
    let Verb::Put(totp) = put(account) else { panic!("an account") };
    Verb::Put(NewAccount { kind: Kind::Hotp, digits, counter, touch, ..totp })
}

/// An operation, what has to be there for it, and whether it has been done.
struct Case {
    what: &'static str,
    verb: fn() -> Verb,
    prepare: fn(&Room, &Found),
    is_done: fn(&Room, &Found) -> bool,
}

const CASES: [Case; 6] = [
    Case {
        what: "code",
        verb: || Verb::Code { name: name("one"), time: 59 },
        prepare: |_, _| {},
        is_done: |_, _| true,
    },
    Case { what: "list", verb: || Verb::List {}, prepare: |_, _| {}, is_done: |_, _| true },
    Case {
        what: "put",
        verb: || put("new"),
        prepare: |room, found| room.remove(found, "new"),
        is_done: |room, found| room.names(found).iter().any(|name| name == "new"),
    },
    Case {
        what: "delete",
        verb: || Verb::Delete { name: name("new") },
        prepare: |room, found| {
            room.remove(found, "new");
            drop(room.run(found, put("new")).expect("an account"));
        },
        is_done: |room, found| !room.names(found).iter().any(|name| name == "new"),
    },
    Case {
        what: "rename",
        verb: || Verb::Rename { from: name("old"), to: name("new") },
        prepare: |room, found| {
            room.remove(found, "new");
            room.remove(found, "old");
            drop(room.run(found, put("old")).expect("an account"));
        },
        is_done: |room, found| room.names(found).iter().any(|name| name == "new"),
    },
    Case { what: "password", verb: || Verb::SetPassword(None::<Pin>), prepare: |_, _| {}, is_done: |_, _| true },
];

/// The numbers of the APDUs that an operation takes.
fn apdus(room: &Room, card: &Card, found: &Found, case: &Case) -> u64 {
    (case.prepare)(room, found);
    let before = card.apdus();
    drop(room.run(found, (case.verb)()).expect(case.what));
    let count = card.apdus() - before;
    assert!((case.is_done)(room, found), "{}", case.what);
    count
}

#[test]
fn a_card_pulled_at_any_command_is_gone_and_serves_again_once_it_is_back() {
    let rig = Rig::new();
    let card = rig.yubikey(11_111_111, "5.7.1");
    let room = Room::new(&rig);
    let mut found = room.found();
    for account in ["one", "two"] {
        drop(room.run(&found, put(account)).expect("an account"));
    }
    for case in &CASES {
        let count = apdus(&room, &card, &found, case);
        assert!(count >= 2, "{}: {count}", case.what);
        for next in 1..=count {
            for after in [false, true] {
                (case.prepare)(&room, &found);
                if after {
                    card.cut_after(next)
                } else {
                    card.cut_at(next)
                }
                let said = room.run(&found, (case.verb)()).map(drop);
                assert_eq!(said, Err(Error::Gone), "{} {next} of {count}", case.what);
                // A reader that came back before it was missed is the same one to pcscd's clients.
                room.seen(false);
                card.plug();
                found = room.found();
                let done = (case.is_done)(&room, &found);
                // Reads are neither done nor undone; a change is its last command.
                let reads = ["code", "list", "password"].contains(&case.what);
                assert!(reads || done == (after && next == count), "{} {next} of {count}", case.what);
            }
        }
        assert_eq!(apdus(&room, &card, &found, case), count, "it works as before");
    }
    assert!(["one", "two"].iter().all(|kept| room.names(&found).iter().any(|name| name == kept)));
    let Ok(OathAnswer::Code(code)) = room.run(&found, Verb::Code { name: name("one"), time: 59 }) else {
        panic!("no code")
    };
    // RFC 6238 appendix B, the last six of eight digits.
    assert_eq!(code.expose(), "287082");
}

#[test]
fn an_applet_that_answers_badly_is_an_error() {
    let rig = Rig::new();
    let card = rig.yubikey(11_111_111, "5.4.3");
    let room = Room::new(&rig);
    let found = room.found();
    drop(room.run(&found, put("one")).expect("an account"));
    let code = || room.run(&found, Verb::Code { name: name("one"), time: 59 }).map(drop);
    for manner in [Bad::Garbage, Bad::Short, Bad::Empty, Bad::Endless61, Bad::Status(0x6f00)] {
        // All of it, and each instruction alone: SELECT, LIST, CALCULATE ALL.
        for only in [None, Some(0xa4), Some(0xa1)] {
            card.answer(Some(manner), only);
            let listed = room.run(&found, Verb::List {}).map(drop);
            // Asked for the rest of an answer that it did not give, the applet refuses.
            let bad = matches!(listed, Err(Error::BadAnswer(_) | Error::AppletMissing(_) | Error::Unsupported(_)));
            assert!(bad, "{manner:?} {only:?}: {listed:?}");
            card.answer(None, None);
            code().expect("right again");
        }
    }
}

/// RFC 4226 appendix D: the codes of the seed above, by their counters.
const COUNTED: [&str; 10] =
    ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"];

#[test]
fn a_counter_moves_once_for_each_code_that_is_asked_for_and_never_otherwise() {
    let rig = Rig::new();
    let card = rig.yubikey(11_111_111, "5.7.1");
    let room = Room::new(&rig);
    let mut found = room.found();
    drop(room.run(&found, put("one")).expect("an account"));
    drop(room.run(&found, counting("count", 6, 0, false)).expect("an account"));
    assert_eq!(room.next_code(&found, "count").as_deref(), Ok(COUNTED[0]));
    // What lists, and what asks for the code of an account of the other kind, moves none.
    assert_eq!(room.accounts(&found).iter().map(|account| account.kind).collect::<Vec<_>>(), [Kind::Totp, Kind::Hotp]);
    drop(room.run(&found, Verb::Code { name: name("one"), time: 59 }).expect("a code"));
    let by_time = room.run(&found, Verb::Code { name: name("count"), time: 59 }).map(drop);
    assert_eq!(by_time, Err(Error::AccountCounts));
    assert_eq!(room.next_code(&found, "one"), Err(Error::NotThere(Thing::Account)));
    assert_eq!(room.next_code(&found, "nobody"), Err(Error::NotThere(Thing::Account)));
    let before = card.apdus();
    assert_eq!(room.next_code(&found, "count").as_deref(), Ok(COUNTED[1]));
    let count = card.apdus() - before;
    let mut counter = 2;
    for next in 1..=count {
        for after in [false, true] {
            if after {
                card.cut_after(next)
            } else {
                card.cut_at(next)
            }
            assert_eq!(room.next_code(&found, "count"), Err(Error::Gone), "{next} of {count}");
            room.seen(false);
            card.plug();
            found = room.found();
            // The one that was lost on its way was made; nothing else was, and nothing was tried again.
            counter += usize::from(after && next == count);
            assert_eq!(room.next_code(&found, "count").as_deref(), Ok(COUNTED[counter]), "{next} of {count} {after}");
            counter += 1;
        }
    }
    drop(room.run(&found, counting("late", 8, 9, false)).expect("an account"));
    // The same table, with more of its digits.
    assert_eq!(room.next_code(&found, "late").as_deref(), Ok("45520489"));
    drop(room.run(&found, Verb::Rename { from: name("late"), to: name("later") }).expect("renamed"));
    assert_eq!(room.next_code(&found, "later").as_deref(), Ok("72403154"), "its counter came with it");
}

/// A clock that stands still: what half a second is waited for comes when a test says so, and nothing else ever.
#[derive(Default)]
struct HalfSecond(Notify);

impl Clock for HalfSecond {
    fn wall(&self) -> WallTime {
        WallTime(0)
    }

    fn boot(&self) -> BootTime {
        BootTime(0)
    }

    fn boot_id(&self) -> Option<String> {
        None
    }

    fn slept_millis(&self) -> i64 {
        0
    }

    fn disturbed(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }

    fn sleep_until(&self, deadline: BootTime) -> BoxFuture<'_, ()> {
        if deadline == BootTime(500) { Box::pin(self.0.notified()) } else { Box::pin(std::future::pending()) }
    }
}

#[test]
fn a_touch_that_a_counting_account_does_not_tell_of_is_told_once_it_does_not_answer() {
    let rig = Rig::new();
    let card = rig.yubikey(11_111_111, "5.7.1");
    let clock = Arc::new(HalfSecond::default());
    let room = Room::with_clock(&rig, clock.clone());
    let found = room.found();
    for (account, touch) in [("quick", false), ("touched", true)] {
        drop(room.run(&found, counting(account, 6, 0, touch)).expect("an account"));
    }
    let (notices, mut heard) = mpsc::unbounded_channel();
    drop(room.run_with(&found, Verb::NextCode { name: name("quick") }, notices).expect("a code"));
    assert_eq!(room.runtime.block_on(heard.recv()), None, "nothing was told");
    card.touch_by_hand();
    let (notices, mut heard) = mpsc::unbounded_channel();
    let code = std::thread::scope(|scope| {
        let code = scope.spawn(|| room.run_with(&found, Verb::NextCode { name: name("touched") }, notices));
        card.wait_for_touch();
        assert!(heard.try_recv().is_err(), "not yet");
        clock.0.notify_one();
        assert_eq!(room.runtime.block_on(heard.recv()), Some(Notice::Touch));
        assert!(card.touch());
        code.join().expect("the helper")
    });
    let Ok(OathAnswer::Code(code)) = code else { panic!("no code") };
    assert_eq!(code.expose(), COUNTED[0]);
    // Nobody touches it: no code was made.
    card.touch_never();
    assert_eq!(room.next_code(&found, "touched"), Err(Error::TouchTimeout));
    card.touch_at_once();
    assert_eq!(room.next_code(&found, "touched").as_deref(), Ok(COUNTED[1]));
}
