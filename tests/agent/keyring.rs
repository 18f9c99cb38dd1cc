//! The keyring slot over a real gnome-keyring on a private bus: it opens the vault without being a person, and whatever
//! happens to it, the next slot is there.

use crate::bus::{Bus, Then, faulty_wire};
use crate::home::{Home, PASSPHRASE};
use crate::sandbox::Sandbox;
use crate::wire::Wire;
use claviger::secret::Secret;
use claviger_agent::keyring::{Error, Item, KeyStore, SecretService};
use claviger_agent::testing::FakeClock;
use claviger_agent::world::{SessionBus, WallTime};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

const SLOT: Item = Item { vault_id: [9; 16], slot: 3 };

/// A home with a vault that the keyring opens, and an agent that runs.
fn with_slot(home: &Home) {
    home.run(&["init", "--passphrase-fd", "0", "--keyring"], PASSPHRASE).good();
}

fn vault(home: &Home) -> (String, Option<String>) {
    let status = home.status();
    (status["vault"].as_str().expect("text").to_owned(), status["locked_by"].as_str().map(str::to_owned))
}

fn warning(home: &Home) -> String {
    home.status()["warnings"][0].as_str().unwrap_or_default().to_owned()
}

fn key_of(line: &str) -> Value {
    serde_json::from_str::<Value>(line).expect("JSON")["AccessKeyId"].clone()
}

#[test]
fn a_keyring_opens_the_vault_after_a_restart_and_is_no_person() {
    let sandbox = Sandbox::start();
    let home = Home::at(&sandbox);
    let bus = Bus::start(home.path(), "bus.sock");
    let _keyring = bus.keyring();
    with_slot(&home);
    home.run(&["access-key", "add", "dev", "--stdin"], &sandbox.access_key()).good();
    let add = ["mfa", "add", "--for", "dev", "--seed-stdin", "--serial", sandbox.text("mfa_serial")];
    home.run(&add, sandbox.text("mfa_seed")).good();
    let key = key_of(&home.run(&["process", "prod"], "").good());
    let codes = sandbox.codes();
    for _ in 0..2 {
        home.kill_agent();
        assert_eq!(key_of(&home.run(&["process", "prod"], "").good()), key, "the sealed session serves");
        assert_eq!((vault(&home).0.as_str(), home.status()["presence_left"].clone()), ("unlocked", Value::Null));
        assert_eq!(home.status()["warnings"], json!([]));
    }
    let code = home.run(&["mfa", "code"], "");
    assert_eq!((code.exit, code.stdout.as_str()), (Some(4), ""), "{code:?}");
    assert!(code.stderr.contains("person"), "{code:?}");
    // Open by the keyring, and still only a person's proof gives a secret out or changes a slot.
    let mut wire = home.connect();
    for proof in [json!({"keyring": {}}), json!({"passphrase": ""})] {
        for (id, request) in [
            json!({"access_key_export": {"name": "dev", "proof": proof}}),
            json!({"slot_add": {"proof": proof, "slot": {"keyring": {}}}}),
            json!({"slot_remove": {"proof": proof, "slot": 1}}),
        ]
        .iter()
        .enumerate()
        {
            wire.request(id as u64 + 2, request);
            let answer = wire.hear();
            assert!(answer["fault"].is_object(), "{answer}");
        }
    }
    assert_eq!(sandbox.codes(), codes);
    // The wrong guess is forgotten with its agent.
    home.kill_agent();
    home.unlock().good();
    assert!(home.status()["presence_left"].as_u64().is_some());
    home.run(&["mfa", "code"], "").good();
}

#[test]
fn after_a_lock_by_command_the_keyring_opens_nothing_until_a_person_has() {
    let home = Home::new();
    let bus = Bus::start(home.path(), "bus.sock");
    let _keyring = bus.keyring();
    with_slot(&home);
    let list = ["access-key", "list"];
    home.run(&["lock"], "").good();
    home.run(&list, "").fault_of_person();
    home.kill_agent();
    home.run(&list, "").fault_of_person();
    home.run(&["agent", "restart"], "").good();
    home.run(&list, "").fault_of_person();
    assert_eq!(home.status()["warnings"], json!([]), "that is no failure of the keyring");
    home.unlock().good();
    home.kill_agent();
    home.run(&list, "").good();
}

#[test]
fn an_idle_vault_is_opened_again() {
    let home = Home::new();
    let bus = Bus::start(home.path(), "bus.sock");
    let _keyring = bus.keyring();
    with_slot(&home);
    home.kill_agent();
    home.write("config/config.toml", "[vault]\nargon2_memory_mib = 64\n[lock]\nidle = \"1s\"\n");
    home.run(&["access-key", "list"], "").good();
    let mut wire = home.connect();
    for _ in 0..2 {
        while vault(&home) != ("locked".to_owned(), Some("idle".to_owned())) {
            std::thread::yield_now();
        }
        assert!(wire.ask(2, &json!({"access_key_list": {}}))["reply"].is_object());
    }
}

#[test]
fn whatever_is_wrong_with_the_keyring_the_passphrase_is_next_and_status_says_why() {
    let home = Home::new();
    let mut bus = Bus::start(home.path(), "bus.sock");
    let mut keyring = Some(bus.keyring());
    with_slot(&home);
    let prompts = bus.prompter();
    let before = home.data();
    let list = ["access-key", "list"];
    for wrong in ["is damaged", "is gone", "it is locked", "no Secret Service answers", "no Secret Service answers"] {
        home.kill_agent();
        match wrong {
            "is damaged" => {
                home.run(&list, "").good();
                home.kill_agent();
                bus.replace_secret(&bus.items()[0], b"another secret");
            }
            "is gone" => bus.delete_item(&bus.items()[0]),
            "it is locked" => bus.lock_keyring(),
            _ => match keyring.take() {
                Some(keyring) => keyring.kill(),
                None => bus.kill(),
            },
        }
        home.run(&list, "").fault_of_person();
        assert!(warning(&home).contains(wrong), "{wrong}: {}", warning(&home));
        assert_eq!(vault(&home), ("locked".to_owned(), Some("start".to_owned())));
        home.unlock().good();
        home.run(&list, "").good();
    }
    assert_eq!(prompts.load(Ordering::SeqCst), 0, "a request never brings up a question of the desktop");
    let names = |files: &[(String, Vec<u8>)]| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let mut after = home.data();
    after.retain(|(name, _)| !name.ends_with("/state"));
    let mut kept = before;
    kept.retain(|(name, _)| !name.ends_with("/state"));
    assert_eq!((names(&after), after == kept), (names(&kept), true), "nothing else holds the secret now");
}

#[test]
fn a_question_of_the_desktop_that_is_dismissed_adds_no_slot() {
    let home = Home::new();
    let bus = Bus::start(home.path(), "bus.sock");
    let _keyring = bus.keyring();
    home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    let prompts = bus.prompter();
    bus.lock_keyring();
    // The state holds the head of the record, which goes on.
    let vault = || home.data().into_iter().filter(|(name, _)| !name.ends_with("/state")).collect::<Vec<_>>();
    let before = vault();
    let refused = home.run(&["slot", "add", "keyring", "--passphrase-fd", "0"], PASSPHRASE);
    assert_eq!((refused.exit, refused.stdout.as_str()), (Some(1), ""), "{refused:?}");
    assert!(refused.stderr.contains("dismissed"), "{refused:?}");
    assert!(vault() == before, "nothing is half written");
    assert_ne!(prompts.load(Ordering::SeqCst), 0, "here a person waits, and is asked");
}

#[test]
fn a_slot_and_its_item_come_and_go_together() {
    let home = Home::new();
    let bus = Bus::start(home.path(), "bus.sock");
    let keyring = bus.keyring();
    home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    assert!(bus.items().is_empty(), "nobody is asked where a machine gives the passphrase");
    let slots = |home: &Home| -> Vec<String> {
        let rows: Value = serde_json::from_str(&home.run(&["slot", "list", "--json"], "").good()).expect("JSON");
        rows.as_array().expect("rows").iter().map(|row| row["kind"].as_str().expect("a kind").to_owned()).collect()
    };
    let wrong = home.run(&["slot", "add", "keyring", "--passphrase-fd", "0"], "wrong");
    assert_eq!((wrong.exit, bus.items().len()), (Some(5), 0), "no item without a proof: {wrong:?}");
    home.kill_agent();
    home.unlock().good();
    home.run(&["slot", "add", "keyring", "--passphrase-fd", "0"], PASSPHRASE).good();
    assert_eq!(
        (slots(&home), bus.items().len()),
        (["passphrase", "recovery", "keyring"].map(str::to_owned).to_vec(), 1)
    );
    home.run(&["slot", "remove", "3", "--passphrase-fd", "0"], PASSPHRASE).good();
    assert_eq!((slots(&home).len(), bus.items().len()), (2, 0));
    // An item that cannot be reached is said, and the slot goes all the same.
    home.run(&["slot", "add", "keyring", "--passphrase-fd", "0"], PASSPHRASE).good();
    keyring.kill();
    home.run(&["slot", "remove", "3", "--passphrase-fd", "0"], PASSPHRASE).good();
    assert_eq!(slots(&home).len(), 2);
    assert!(warning(&home).contains("not its item"), "{}", warning(&home));
    // The item without its slot opens nothing.
    let _keyring = bus.keyring();
    home.kill_agent();
    home.run(&["access-key", "list"], "").fault_of_person();
}

#[test]
fn init_asks_only_where_a_keyring_answers_and_takes_no_for_an_answer() {
    let init = json!({"init": {"passphrase": "correct horse"}});
    for (service, answer, slots) in [(true, "y", 3), (true, "", 2), (true, "maybe", 2), (false, "", 2)] {
        let home = Home::new();
        let bus = Bus::start(home.path(), "bus.sock");
        let _keyring = service.then(|| bus.keyring());
        let _agent = home.start();
        let mut wire = Wire::silent(&home.file("run/agent.sock"));
        wire.say(&json!({"id": 1, "hello": {"protocol": 1, "client": "test/0", "answers": true}}));
        assert!(wire.hear()["hello"].is_object());
        wire.request(2, &init);
        let mut event = wire.hear();
        if service {
            let prompt = event["event"]["question"]["prompt"].as_str().expect("a question").to_owned();
            assert!(prompt.contains("malware") && prompt.ends_with("[y/N]") && prompt.len() < 200, "{prompt}");
            wire.say(&json!({"id": 2, "answer": {"value": answer}}));
            event = wire.hear();
        }
        let code = event["event"]["recovery_code"]["code"].clone();
        wire.say(&json!({"id": 2, "answer": {"value": code}}));
        assert!(wire.hear()["reply"].is_object());
        let found = wire.ask(3, &json!({"slot_list": {}}));
        assert_eq!(found["reply"]["slots"].as_array().map(Vec::len), Some(slots), "{service} {answer}");
    }
    let home = Home::new();
    let refused = home.run(&["init", "--passphrase-fd", "0", "--keyring"], PASSPHRASE);
    assert_eq!((refused.exit, home.file("data/vault").exists()), (Some(1), false), "{refused:?}");
    assert!(refused.stderr.contains("no Secret Service answers"), "{refused:?}");
}

#[test]
fn a_connection_that_ends_or_falls_silent_at_any_message_leaves_the_passphrase() {
    let home = Home::new();
    let bus = Bus::start(home.path(), "real.sock");
    let _keyring = bus.keyring();
    let (_, _told) = faulty_wire(&bus, "bus.sock", usize::MAX, Then::Cut);
    with_slot(&home);
    let mut messages = 0;
    loop {
        home.kill_agent();
        let (_, _told) = faulty_wire(&bus, "bus.sock", messages, Then::Cut);
        let listed = home.run(&["access-key", "list"], "");
        if listed.exit == Some(0) {
            break;
        }
        listed.fault_of_person();
        assert!(!warning(&home).is_empty(), "after {messages} messages");
        home.unlock().good();
        messages += 1;
    }
    // Greeting, hello to the bus, session, search, secret.
    assert!(messages >= 5, "{messages}");
    for silent_after in [0, messages - 1] {
        home.kill_agent();
        let (_, told) = faulty_wire(&bus, "bus.sock", silent_after, Then::Silent);
        home.run(&["access-key", "list"], "").fault_of_person();
        told.recv().expect("it was the silence");
        assert!(warning(&home).contains("did not answer in time"), "{}", warning(&home));
        home.unlock().good();
    }
}

#[test]
fn however_many_requests_need_the_vault_a_silent_keyring_is_asked_once_and_left() {
    let home = Home::new();
    let bus = Bus::start(home.path(), "real.sock");
    let _keyring = bus.keyring();
    let (_, _told) = faulty_wire(&bus, "bus.sock", usize::MAX, Then::Cut);
    with_slot(&home);
    home.kill_agent();
    let (_, told) = faulty_wire(&bus, "bus.sock", 2, Then::Silent);
    let agent = home.start();
    let open = || std::fs::read_dir(format!("/proc/{}/fd", agent.pid())).expect("as root").count();
    let mut wire = home.connect();
    let before = open();
    let requests: Vec<String> =
        (2..32).map(|id| format!("{}\n", json!({"id": id, "request": {"access_key_list": {}}}))).collect();
    wire.send(requests.concat().as_bytes());
    for _ in &requests {
        let answer = wire.hear();
        assert_eq!(answer["fault"]["code"], "vault.locked", "{answer}");
    }
    assert_eq!(told.try_iter().count(), 1);
    // Its connection goes with the attempt.
    while open() > before {
        std::thread::yield_now();
    }
}

#[test]
fn each_call_of_the_keyring_ends_at_its_deadline_whichever_message_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let bus = Bus::start(folder.path(), "real.sock");
    let _keyring = bus.keyring();
    let secret = Secret::new([5; 32]);
    type Call = fn(&SecretService, &Secret<[u8; 32]>, &Bus) -> Result<(), Error>;
    let calls: [(&str, Call); 4] = [
        ("keep", |keyring, secret, bus| bus.block_on(keyring.keep(SLOT, secret))),
        ("read", |keyring, secret, bus| {
            bus.block_on(keyring.read(&[SLOT])).map(|(item, found)| {
                assert!(item == SLOT && found.expose() == secret.expose());
            })
        }),
        ("answers", |keyring, _, bus| bus.block_on(keyring.answers())),
        ("forget", |keyring, _, bus| bus.block_on(keyring.forget(SLOT))),
    ];
    for (name, call) in calls {
        let mut messages = 0;
        loop {
            let mut cut = None;
            for then in [Then::Silent, Then::Cut] {
                let (path, told) = faulty_wire(&bus, "wire.sock", messages, then);
                let clock = FakeClock::at(WallTime(0));
                clock.hold();
                let keyring = SecretService::new(SessionBus::Socket(path), clock.clone());
                if then == Then::Silent {
                    let clock = clock.clone();
                    // Past the deadline as soon as a message is lost, and no sooner.
                    std::thread::spawn(move || told.recv().map(|()| clock.advance_millis(60_000)));
                }
                let ended = call(&keyring, &secret, &bus);
                if let Err(error) = ended {
                    assert_eq!(error == Error::TimedOut, then == Then::Silent, "{name} after {messages}: {error:?}");
                }
                cut = Some(ended);
            }
            if cut == Some(Ok(())) {
                break;
            }
            messages += 1;
        }
        assert!(messages >= 3, "{name} took {messages}");
    }
}
