//! What a key of the vault does by claviger's rules, and one of ssh-add does not: by messages made by hand.

use crate::home::{Home, PASSPHRASE};
use crate::prompts::attend;
use crate::raw::{FAILURE, Raw, SIGNED, SUCCESS, add, bind, login, message, sign, string};
use crate::ssh::{records, socket};
use claviger_agent::ssh::key::{NewKey, RSA_SHA2_512, SoftKey};
use claviger_agent::world::World;
use serde_json::{Value, json};

/// A key that is not known anywhere yet.
fn new_key(kind: NewKey) -> SoftKey {
    SoftKey::generate(kind, &*World::real().entropy).expect("a key")
}

/// Stores it in the vault under this name.
fn keep(home: &Home, name: &str, key: &SoftKey, options: &[&str]) {
    let file = key.export(name, None, &*World::real().entropy).expect("a file");
    home.run(&[&["ssh-key", "add", name, "--stdin"], options].concat(), &file).good();
}

#[test]
fn a_key_of_the_vault_never_signs_with_sha_1_and_one_of_ssh_add_does() {
    let home = Home::new();
    home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    let (kept, held) = (new_key(NewKey::Rsa3072), new_key(NewKey::Rsa3072));
    keep(&home, "work", &kept, &["--any-data"]);
    let mut raw = Raw::connect(&socket(&home));
    assert_eq!(raw.kind(&sign(&kept, b"data")), FAILURE);
    let with_sha_2 = [message(13, &[kept.blob(), b"data"]), RSA_SHA2_512.to_be_bytes().to_vec()].concat();
    assert_eq!(raw.kind(&with_sha_2), SIGNED, "the control");
    let refused = records(&home, "ssh.refused");
    assert_eq!(refused[0]["error"], "key: rsa signatures over sha-1 are not made with this key");
    assert_eq!(refused.len(), 1);

    assert_eq!(raw.kind(&add(&held)), SUCCESS);
    let answer = raw.ask(&sign(&held, b"data")).expect("an answer");
    // As OpenSSL makes it, which a test of the key's own room looks at.
    assert_eq!(answer[5..], held.sign_as_openssh(b"data", 0).expect("a signature")[..]);
}

#[test]
fn each_use_of_a_key_of_the_vault_from_another_machine_is_asked_for() {
    let home = Home::new();
    home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    let [key, bastion, host] = [(); 3].map(|()| new_key(NewKey::Ed25519));
    home.write(".ssh/known_hosts", &format!("db.example,192.0.2.7 {}\n", host.line("")));
    // Once agreed to, a use by this machine would not be asked for again.
    keep(&home, "laptop", &key, &["--lifetime", "10m"]);
    let bound = |bindings: &[(&SoftKey, &[u8], bool)]| {
        let mut raw = Raw::connect(&socket(&home));
        for (host, session, forwarding) in bindings {
            assert_eq!(raw.kind(&bind(host, session, *forwarding)), SUCCESS);
        }
        raw
    };
    let mut near = bound(&[(&host, b"one", false)]);
    let mut far = bound(&[(&bastion, b"two", true), (&host, b"one", false)]);
    let asked_for = login(&key, &host, b"one");
    assert_eq!((near.kind(&asked_for), far.kind(&asked_for)), (FAILURE, FAILURE), "nobody is there to ask");

    let mut person = attend(&home);
    person.ask(3, &json!({"status": {}}));
    let mut asked = |raw: &mut Raw, answer: &str| {
        std::thread::scope(|scope| {
            let signing = scope.spawn(|| raw.kind(&asked_for));
            let needed = loop {
                let heard = person.hear();
                if let needed @ Value::Object(_) = &heard["event"]["confirm_needed"] {
                    break needed.clone();
                }
            };
            person.say(&json!({"id": 2, "answer": {"number": needed["number"], "value": answer}}));
            (signing.join().expect("no panic"), needed["lines"].to_string())
        })
    };
    let (signed, lines) = asked(&mut near, "y");
    assert!(signed == SIGNED && lines.contains("To log in as ada at db.example."), "{lines}");
    assert!(!lines.contains("another machine"), "{lines}");
    // Neither that consent nor one of its own does for what comes from elsewhere.
    for (answer, wanted) in [("y", SIGNED), ("y", SIGNED), ("n", FAILURE)] {
        let (signed, lines) = asked(&mut far, answer);
        assert_eq!(signed, wanted);
        assert!(
            lines.contains("at db.example.") && lines.contains("a forwarded agent, from another machine"),
            "{lines}"
        );
    }
    assert_eq!(near.kind(&asked_for), SIGNED, "the control: this machine has that consent");
    let signed = records(&home, "ssh.signed");
    let told = |record: &Value| [&record["ssh"]["binding"], &record["ssh"]["confirmed"]].map(Value::clone);
    let [bound, forwarded, yes] = [json!("bound"), json!("forwarded"), json!(true)];
    let wanted = [[&bound, &yes], [&forwarded, &yes], [&forwarded, &yes], [&bound, &Value::Null]];
    assert_eq!(signed.iter().map(told).collect::<Vec<_>>(), wanted.map(|pair| pair.map(Value::clone)));
}

/// ADD_IDENTITY with a comment as long as may be.
fn add_at_length(key: &SoftKey) -> Vec<u8> {
    [&[17], &key.encode().expect("its fields")[..], &string(&[b'x'; 4096])].concat()
}

#[test]
fn an_agent_that_is_full_refuses_another_key_and_loses_none() {
    let home = Home::new();
    home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    let kept = new_key(NewKey::Ed25519);
    keep(&home, "work", &kept, &["--any-data"]);
    let mut raw = Raw::connect(&socket(&home));
    // What a client reads of a list is 256 KiB.
    let mut held = vec![new_key(NewKey::Ed25519)];
    while raw.kind(&add_at_length(&held[held.len() - 1])) == SUCCESS {
        assert!(held.len() < 100, "no end");
        held.push(new_key(NewKey::Ed25519));
    }
    let refused = held.pop().expect("one too many");
    let whole = |raw: &mut Raw| {
        assert_eq!(raw.count() as usize, held.len() + 1);
        assert!(held.iter().all(|key| raw.kind(&sign(key, b"data")) == SIGNED));
        assert_eq!((raw.kind(&sign(&kept, b"data")), raw.kind(&sign(&refused, b"data"))), (SIGNED, FAILURE));
    };
    assert!(held.len() > 50, "{}", held.len());
    whole(&mut raw);
    // A lock of the vault takes them all, and an unlock brings them all back.
    home.run(&["lock"], "").good();
    assert_eq!((raw.count(), raw.kind(&sign(&held[0], b"data"))), (0, FAILURE));
    home.unlock().good();
    whole(&mut raw);
    // One with less to say makes room.
    assert_eq!((raw.kind(&add(&held[0])), raw.kind(&add_at_length(&refused))), (SUCCESS, SUCCESS));
    assert_eq!(raw.count() as usize, held.len() + 2);
}
