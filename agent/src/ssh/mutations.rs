//! This room under long runs of damaged inputs: the talk of real clients, from the bytes of the socket to what a
//! connection is bound to and a key permits.

use super::codec::fields::put_string;
use super::codec::{Extension, Frames, Request};
use super::tests::{Host, NOW, skip_key, talk};
use super::{Binding, BindingState, Constraints, Error, HostKey, Payload, limits};
use crate::testing::parsers::{Parser, Verdict};

/// Numbers, types and names of the protocol.
const TOKENS: &[&[u8]] = &[
    b"\0\0\0\0",
    b"\0\0\0\x01",
    b"\0\0\0\x20",
    b"\0\0\0\x33",
    b"\0\x03\xff\xff",
    b"\0\x04\0\0",
    b"\0\x04\0\x01",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\0\0\0\x01\x0b",
    b"\0\0\0\x01\x13",
    b"\0\0\0\x01\x09",
    b"\x0d",
    b"\x11",
    b"\x19",
    b"\x1b",
    b"\x01\0\0\0\x3c",
    b"\x02",
    b"\xff",
    b"\0\0\0\x0bssh-ed25519",
    b"\0\0\0\x07ssh-rsa",
    b"\0\0\0\x13ecdsa-sha2-nistp256",
    b"\0\0\0\x20ssh-ed25519-cert-v01@openssh.com",
    b"\0\0\0\x18session-bind@openssh.com",
    b"\0\0\0\x05query",
    b"\0\0\0\x24restrict-destination-v00@openssh.com",
    b"\0\0\0\x20associated-certs-v00@openssh.com",
    b"\0\0\0\x17sk-provider@openssh.com",
    b"\0\0\0\x09publickey",
    b"\0\0\0\x23publickey-hostbound-v00@openssh.com",
    b"\0\0\0\x0essh-connection",
    b"SSHSIG",
    b"\0\0\0\x06sha512",
];

/// A stream as a client's connection would be served, with keys in the agent. The verdict of its last message.
fn served(input: &[u8], keys: &[Constraints]) -> Verdict {
    let (mut frames, mut binding) = (Frames::default(), Binding::default());
    let mut verdict = Verdict::none("no message");
    for mut chunk in input.chunks(4096) {
        while !chunk.is_empty() {
            let frame = match frames.take(&mut chunk) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => return Verdict::refused(&error),
            };
            assert!((1..=limits::MESSAGE).contains(&frame.len()));
            verdict = match answered(&frame, &mut binding, keys) {
                Ok(()) => Verdict::Accepted,
                Err(error) => Verdict::refused(&error),
            };
        }
    }
    verdict
}

fn answered(frame: &[u8], binding: &mut Binding, keys: &[Constraints]) -> Result<(), Error> {
    let before = binding.state();
    match Request::parse(frame)? {
        Request::Add(add) => {
            let (_, comment, constraints) = add.decode(skip_key)?;
            assert!(comment.len() <= limits::COMMENT && constraints.destinations.len() <= limits::DESTINATIONS);
            assert!(Constraints::decode(&constraints.encode()) == Ok(constraints), "a second meaning");
        }
        Request::Extension(Extension::SessionBind(fields)) => {
            let bound = binding.bind(fields);
            assert_eq!(bound.is_err(), binding.state() == BindingState::Tainted);
            assert!(before != BindingState::Tainted || bound.is_err(), "a taint is for good");
            assert!(before != BindingState::Forwarded || !binding.state().may_change(), "no way back");
            assert!(binding.hops().len() <= limits::BINDINGS);
            bound?;
        }
        Request::Sign { key, data, .. } => {
            let payload = Payload::parse(data, key);
            for constraints in keys {
                let permitted = constraints.permit(binding, &payload, NOW);
                let Ok(Some(_)) = permitted else { continue };
                let last = binding.hops().last().expect("bound");
                let Payload::Userauth(request) = &payload else { panic!("not identified") };
                assert!(!last.forwarding && *last.session_id == *request.session_id);
                assert!(binding.state() != BindingState::Tainted && constraints.visible(binding, NOW));
            }
        }
        _ => {}
    }
    Ok(())
}

/// Constraints of every kind that was recorded.
fn keys() -> Vec<Constraints> {
    let names = ["add-ed25519", "add-destination", "add-route", "add-user", "add-authority"];
    names.map(|name| super::tests::constraints(&talk(name)[0])).into()
}

#[test]
fn connections_of_the_agent_withstand_damage() {
    let keys = keys();
    let mut long = Vec::new();
    put_string(&mut long, &[&b"\x0d\0\0\0\x01k\0\x03\xff\0"[..], &vec![b'd'; 0x3_ff00], b"\0\0\0\0"].concat());
    let parser = Parser {
        name: "ssh-request",
        more: vec![long],
        tokens: TOKENS,
        taken: 100,
        refusals: &["FrameEmpty", "FrameTooLong", "SignatureInvalid", "Tainted", "Trailing", "Truncated", "no message"],
        parse: &|input| served(input, &keys),
    };
    parser.withstands_damage();
}

/// Each alone and as long as it came: on a connection that comes through one host, and on one that does not.
#[test]
fn messages_of_the_agent_withstand_damage() {
    let keys = keys();
    let mut forwarded = Binding::default();
    forwarded.bind(&Host::new(1).bind(b"session", true)).expect("bound");
    let parser = Parser {
        name: "ssh-message",
        more: super::tests::every_message(),
        tokens: TOKENS,
        taken: 100,
        refusals: &["ConstraintUnknown", "KeyMalformed", "KeyUnsupported", "SignatureInvalid", "Trailing", "Truncated"],
        parse: &|input| {
            let outcomes = [Binding::default(), forwarded.clone()].map(|mut on| answered(input, &mut on, &keys));
            match outcomes {
                [Ok(()), Ok(())] => Verdict::Accepted,
                [Err(error), _] | [_, Err(error)] => Verdict::refused(&error),
            }
        },
    };
    parser.withstands_damage();
}

#[test]
fn constraints_of_keys_withstand_damage() {
    let constraints = ["add-rsa-lifetime", "add-confirm", "add-destination", "add-route", "add-user", "add-authority"];
    let parser = Parser {
        name: "ssh-constraints",
        more: constraints.map(|name| super::tests::constraints(&talk(name)[0]).encode()).into(),
        tokens: TOKENS,
        taken: 30,
        refusals: &["ConstraintTwice", "ConstraintUnknown", "KeyMalformed", "Trailing", "Truncated"],
        parse: &|input| match Constraints::decode(input) {
            Ok(constraints) => {
                assert!(Constraints::decode(&constraints.encode()) == Ok(constraints), "a second meaning");
                Verdict::Accepted
            }
            Err(error) => Verdict::refused(&error),
        },
    };
    parser.withstands_damage();
}

#[test]
fn host_keys_withstand_damage() {
    let keys = ["alpha", "ca-rsa", "ca-ecdsa", "host-by-ed25519", "host-by-rsa", "host-by-ecdsa", "host-by-sk-ecdsa"];
    let own = (0..4).map(|seed| Host::new(seed).blob());
    let parser = Parser {
        name: "ssh-host-key",
        more: keys.into_iter().map(super::tests::public).chain(own).collect(),
        tokens: TOKENS,
        taken: 20,
        refusals: &["KeyMalformed", "KeyUnsupported", "SignatureInvalid"],
        parse: &|input| match HostKey::decode(input) {
            Ok(key) => {
                assert!(key.blob() == input && HostKey::decode(key.blob()) == Ok(key));
                Verdict::Accepted
            }
            Err(error) => Verdict::refused(&error),
        },
    };
    parser.withstands_damage();
}

#[test]
fn what_is_to_be_signed_withstands_damage() {
    let requests: Vec<(Vec<u8>, Vec<u8>)> = [
        ("login-alpha", 2),
        ("login-omega", 2),
        ("login-rsa", 2),
        ("login-usercert", 2),
        ("authority-alpha", 2),
        ("sshsig", 1),
    ]
    .map(|(name, at)| {
        let message = talk(name).swap_remove(at);
        let Ok(Request::Sign { key, data, .. }) = Request::parse(&message) else { panic!("{name}") };
        (key.to_vec(), data.to_vec())
    })
    .into();
    let parser = Parser {
        name: "ssh-payload",
        more: requests.iter().map(|(_, data)| data.clone()).collect(),
        tokens: TOKENS,
        taken: 30,
        refusals: &["raw"],
        parse: &|input| {
            let mut verdict = Verdict::none("raw");
            for (key, _) in &requests {
                match Payload::parse(input, key) {
                    Payload::Raw => continue,
                    Payload::Signature(request) => {
                        assert!(!request.namespace.is_empty() && input.starts_with(b"SSHSIG"))
                    }
                    Payload::Userauth(request) => {
                        assert!(!request.session_id.is_empty() && !request.user.contains(&0));
                        assert!(input.windows(key.len()).any(|part| part == key), "another key");
                    }
                }
                verdict = Verdict::Accepted;
            }
            verdict
        },
    };
    parser.withstands_damage();
}
