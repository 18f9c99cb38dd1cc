//! The far side of a forwarded agent, and clients that lie about where they come from: they list and sign what they may
//! and change nothing. OpenSSH's agent, which lets a forwarded connection change it, shows that each attack works where
//! nothing stands against it.

use crate::agent::Program;
use crate::raw::{
    CLOSED, EXTENSION_FAILURE, FAILURE, LIST, Raw, SIGNED, SUCCESS, add, add_constrained, bind, bind_of, login,
    message, new_key, only_to, sign, string,
};
use crate::stage::Stage;
use claviger_agent::ssh::key::SoftKey;

on_both!(
    a_forwarded_connection_lists_and_signs_and_no_more,
    a_key_goes_where_it_may_and_signs_logins_alone,
    constraints_that_nobody_knows_refuse_the_key,
    a_forged_binding_taints_the_connection,
);

/// What a far side may try, by name; with what a client of this machine is answered.
fn changes(stage: &Stage, key: &SoftKey) -> Vec<(&'static str, Vec<u8>, u8)> {
    let library = b"/usr/lib/x86_64-linux-gnu/libc.so.6";
    let of_a_library = |kind| message(kind, &[library, b"1234"]);
    stage.write("pin", "1234");
    vec![
        ("add", add(key), SUCCESS),
        ("add constrained", add_constrained(&new_key(), &[1, 0, 0, 255, 255]), SUCCESS),
        ("remove", message(18, &[key.blob()]), SUCCESS),
        ("lock", message(22, &[b"mine now"]), SUCCESS),
        ("unlock", message(23, &[b"mine now"]), SUCCESS),
        ("add of a library", of_a_library(20), FAILURE),
        ("remove of a library", of_a_library(21), FAILURE),
        ("constrained add of a library", [of_a_library(26), vec![1, 0, 0, 255, 255]].concat(), FAILURE),
        ("an extension", message(27, &[b"unlock@example.com", b"now"]), FAILURE),
        ("a type that is to come", vec![200], FAILURE),
        ("remove all", vec![19], SUCCESS),
    ]
}

fn a_forwarded_connection_lists_and_signs_and_no_more(program: Program) {
    let stage = Stage::new(program);
    let (host, kept) = (new_key(), new_key());
    let tainted = bind_of(host.key_blob(), b"session", &host.sign(b"another", 0).expect("a signature"), true);
    for (far, first) in [("forwarded", bind(&host, b"session", true)), ("tainted", tainted)] {
        let mut near = Raw::connect(&stage.agent.socket);
        assert_eq!(near.kind(&add(&kept)), SUCCESS);
        let mut raw = Raw::connect(&stage.agent.socket);
        assert_eq!(raw.kind(&first) == SUCCESS, far == "forwarded");
        let new = new_key();
        for (name, message, locally) in changes(&stage, &new) {
            let answer = raw.kind(&message);
            let wanted = if program.is_ours() { FAILURE } else { locally };
            assert_eq!(answer, wanted, "{far}: {name}");
        }
        if !program.is_ours() {
            assert_eq!(near.count(), 0, "{far}: the attack works where nothing stands against it");
            continue;
        }
        assert!(near.count() == 1 && near.lists(&kept) && !near.lists(&new), "{far}");
        // What it may do, and goes on doing.
        assert!(raw.lists(&kept), "{far}");
        assert_eq!(raw.kind(&login(&kept, &host, b"session")), SIGNED, "{far}");
    }
    // The control: whoever is here may.
    let mut near = Raw::connect(&stage.agent.socket);
    for (name, message, locally) in changes(&stage, &new_key()) {
        assert_eq!(near.kind(&message), locally, "here: {name}");
    }
    assert_eq!(near.count(), 0);
}

fn a_key_goes_where_it_may_and_signs_logins_alone(program: Program) {
    let stage = Stage::new(program);
    let (alpha, beta, key, free) = (new_key(), new_key(), new_key(), new_key());
    let connect = || Raw::connect(&stage.agent.socket);
    assert_eq!(connect().kind(&add_constrained(&key, &only_to(&alpha))), SUCCESS);
    assert_eq!(connect().kind(&add(&free)), SUCCESS);

    let mut raw = connect();
    assert!(raw.lists(&key), "a client of this machine sees it");
    assert_eq!(raw.kind(&login(&key, &alpha, b"one")), FAILURE, "a connection that is not bound");
    assert_eq!(raw.kind(&bind(&alpha, b"one", false)), SUCCESS);
    assert_eq!(raw.kind(&login(&key, &alpha, b"one")), SIGNED, "the control");
    assert_eq!(raw.kind(&login(&key, &alpha, b"two")), FAILURE, "another session");
    assert_eq!(raw.kind(&login(&key, &beta, b"one")), FAILURE, "another host");
    let namespace = [&b"SSHSIG"[..], &string(b"file"), &string(b""), &string(b"sha256"), &string(&[7; 32])].concat();
    for data in [&b"raw"[..], b"", &namespace] {
        assert_eq!(raw.kind(&sign(&key, data)), FAILURE, "no login");
        assert_eq!(raw.kind(&sign(&free, data)), SIGNED, "a key without destinations obeys no rule, as in OpenSSH");
    }
    let mut cut = login(&key, &alpha, b"one");
    cut.truncate(cut.len() - 8);
    assert_eq!(raw.kind(&cut), FAILURE, "a message cut short");
    assert_eq!(raw.kind(&login(&key, &alpha, b"one")), SIGNED, "and goes on");

    // Through a host from where it leads nowhere, and through one that it may not be used for.
    for (host, what) in [(&alpha, "from the host itself"), (&beta, "from elsewhere")] {
        let mut raw = connect();
        assert_eq!(raw.kind(&bind(host, b"forwarded", true)), SUCCESS);
        assert!(!raw.lists(&key) && raw.lists(&free), "{what}");
        assert_eq!(raw.kind(&login(&key, &alpha, b"forwarded")), FAILURE, "{what}");
        assert_eq!(raw.kind(&bind(&alpha, b"onward", false)), SUCCESS);
        assert_eq!(raw.kind(&login(&key, &alpha, b"onward")), FAILURE, "{what}");
        assert_eq!(raw.kind(&login(&free, &alpha, b"onward")), SIGNED, "{what}");
    }
    assert_eq!(raw.kind(&sign(&new_key(), b"data")), FAILURE, "a key that is not there");
}

fn constraints_that_nobody_knows_refuse_the_key(program: Program) {
    let stage = Stage::new(program);
    let mut raw = Raw::connect(&stage.agent.socket);
    let extension = |name: &[u8], rest: &[u8]| [&[255], &string(name)[..], rest].concat();
    for constraints in [
        vec![3, 0, 0, 0, 1],
        vec![9],
        extension(b"restrict-nothing@example.com", b""),
        extension(b"sk-provider@openssh.com", &string(b"/lib/x86_64-linux-gnu/libc.so.6")),
        [&only_to(&new_key())[..], &[2, 2, 9]].concat(),
        vec![1, 0, 0],
        vec![255],
    ] {
        let key = new_key();
        assert_eq!(raw.kind(&add_constrained(&key, &constraints)), FAILURE, "{constraints:?}");
        assert!(!raw.lists(&key), "{constraints:?}");
    }
    // The control.
    let key = new_key();
    assert_eq!(
        raw.kind(&add_constrained(&key, &[&only_to(&new_key())[..], &[2, 1, 0, 0, 255, 255]].concat())),
        SUCCESS
    );
    assert!(raw.lists(&key));
}

/// What OpenSSH refuses since version 10.
const OPENSSH_10: &str = "a session of 129 bytes";

/// Bindings that end with one that must not be taken.
fn forged(alpha: &SoftKey, beta: &SoftKey) -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let signature = alpha.sign(b"session", 0).expect("a signature");
    let good = bind(alpha, b"session", true);
    let long = [b's'; 129];
    let unknown = message(0, &[b"ssh-unheard-of", b"key"]).split_off(1);
    let mut seventeen: Vec<Vec<u8>> = (0..17).map(|at| bind(alpha, &[b's', at], true)).collect();
    let last = seventeen.split_off(17 - 1);
    vec![
        ("another signature", vec![bind_of(alpha.key_blob(), b"other session", &signature, true)]),
        ("another key", vec![bind_of(beta.key_blob(), b"session", &signature, true)]),
        ("an empty signature", vec![bind_of(alpha.key_blob(), b"session", b"", true)]),
        ("the session of another host", vec![good.clone(), bind(beta, b"session", true)]),
        ("after an authentication", vec![bind(alpha, b"session", false), bind(alpha, b"later", true)]),
        ("the seventeenth", [seventeen, last].concat()),
        (OPENSSH_10, vec![bind(alpha, &long, true)]),
        ("a host key of an unknown type", vec![bind_of(&unknown, b"session", &signature, true)]),
        ("no host key", vec![bind_of(b"", b"session", &signature, true)]),
        ("cut short", vec![good[..good.len() - 1].to_vec()]),
        ("no fields", vec![message(27, &[b"session-bind@openssh.com"])]),
    ]
}

fn a_forged_binding_taints_the_connection(program: Program) {
    let stage = Stage::new(program);
    let (alpha, beta, key, free) = (new_key(), new_key(), new_key(), new_key());
    let mut near = Raw::connect(&stage.agent.socket);
    assert_eq!(near.kind(&add_constrained(&key, &only_to(&alpha))), SUCCESS);
    assert_eq!(near.kind(&add(&free)), SUCCESS);
    let mut healed = 0;
    for (name, binds) in forged(&alpha, &beta) {
        let mut raw = Raw::connect(&stage.agent.socket);
        let (last, before) = binds.split_last().expect("one");
        for bind in before {
            assert_eq!(raw.kind(bind), SUCCESS, "{name}");
        }
        // Older agents say FAILURE of an extension too, and take a long session.
        let refused = raw.kind(last);
        let older = !program.is_ours() && (refused == FAILURE || name == OPENSSH_10);
        assert!(refused == EXTENSION_FAILURE || older, "{name}: {refused}");
        assert!(!raw.lists(&key) && raw.lists(&free) || !program.is_ours(), "{name}");
        // A good one after it does not heal the connection.
        let again = raw.kind(&bind(&alpha, b"and now", false));
        let signed = raw.kind(&login(&key, &alpha, b"and now"));
        if program.is_ours() {
            assert_eq!((again, signed), (EXTENSION_FAILURE, FAILURE), "{name}");
            assert!(!raw.lists(&key) && raw.lists(&free), "{name}");
            assert_eq!(raw.kind(&add(&new_key())), FAILURE, "{name}");
            assert_eq!(raw.kind(&[19]), FAILURE, "{name}");
        } else {
            healed += u8::from((again, signed) == (SUCCESS, SIGNED));
        }
        assert_eq!(near.count(), 2, "{name}");
    }
    if !program.is_ours() {
        assert!(healed > 3, "the control: OpenSSH takes a good binding after a forged one");
    }
    // The control: without a forged one before it, the same binding is taken and the key signs.
    let mut raw = Raw::connect(&stage.agent.socket);
    assert_eq!(raw.kind(&bind(&alpha, b"and now", false)), SUCCESS);
    assert_eq!(raw.kind(&login(&key, &alpha, b"and now")), SIGNED);
    assert!(raw.lists(&key));
}

#[test]
fn every_type_without_a_body_is_answered_and_others_are_served() {
    let stage = Stage::new(Program::Claviger);
    let key = new_key();
    let mut other = Raw::connect(&stage.agent.socket);
    let mut raw = Raw::connect(&stage.agent.socket);
    for kind in 0..=255_u8 {
        assert_eq!(other.kind(&add(&key)), SUCCESS);
        let wanted: &[u8] = match kind {
            LIST => &[crate::raw::IDENTITIES],
            19 => &[SUCCESS],
            27 => &[FAILURE, EXTENSION_FAILURE],
            _ => &[FAILURE],
        };
        let answer = raw.kind(&[kind]);
        assert!(wanted.contains(&answer), "{kind}: {answer}");
        assert_eq!(other.kind(&sign(&key, b"data")), if kind == 19 { FAILURE } else { SIGNED }, "{kind}");
    }
    // The extensions are named.
    let told = raw.ask(&message(27, &[b"query"])).expect("an answer");
    assert_eq!(told, message(29, &[b"query", b"session-bind@openssh.com"]));
}

#[test]
fn a_frame_without_an_end_is_in_nobodys_way_and_one_without_a_type_ends_the_connection() {
    let stage = Stage::new(Program::Claviger);
    let key = new_key();
    let mut other = Raw::connect(&stage.agent.socket);
    assert_eq!(other.kind(&add(&key)), SUCCESS);
    let mut halves: Vec<Raw> = (1..20).map(|_| Raw::connect(&stage.agent.socket)).collect();
    let whole = string(&sign(&key, b"data"));
    for (at, half) in halves.iter_mut().enumerate() {
        half.send(&whole[..at * whole.len() / 20]);
        assert_eq!(other.kind(&sign(&key, b"data")), SIGNED, "{at}");
    }
    // And is answered once its end comes, however it is cut.
    for (at, half) in halves.iter_mut().enumerate() {
        half.send(&whole[at * whole.len() / 20..]);
        assert_eq!(half.hear().map_or(CLOSED, |answer| answer[0]), SIGNED, "{at}");
    }
    // Two in one write are answered in order.
    let mut raw = Raw::connect(&stage.agent.socket);
    raw.send(&[string(&[LIST]), whole.clone(), string(&[200])].concat());
    let answers: Vec<u8> = (0..3).map(|_| raw.hear().map_or(CLOSED, |answer| answer[0])).collect();
    assert_eq!(answers, [crate::raw::IDENTITIES, SIGNED, FAILURE]);

    for length in [0, 256 * 1024 + 1, u32::MAX] {
        let mut raw = Raw::connect(&stage.agent.socket);
        raw.send(&length.to_be_bytes());
        assert_eq!(raw.hear(), None, "{length}");
        assert_eq!(other.kind(&sign(&key, b"data")), SIGNED, "{length}");
    }
    // The longest that is taken: it is read to its end, and is no request.
    let mut raw = Raw::connect(&stage.agent.socket);
    assert_eq!(raw.kind(&vec![200; 256 * 1024]), FAILURE);
    assert_eq!(raw.count(), 1, "and goes on");
}
