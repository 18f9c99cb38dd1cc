//! This room beside OpenSSH 9.2: what its programs sent and its agent answered was recorded (`tests/corpora/ssh-request`
//! the one, the tables here and `tests/vectors/ssh/` the other), and is read, bound, permitted and refused here alike.

mod bindings;

pub(super) use bindings::Host;
use bindings::pair;

use super::codec::fields::{put_string, string};
use super::codec::{Extension, Frames, ListedIdentity, Provider, Reply, Request};
use super::{Binding, Constraints, Error, HostKey, Payload, limits};
use crate::world::WallTime;
use std::path::PathBuf;

/// 2026-11-22.
pub(super) const NOW: WallTime = WallTime(1_795_305_600_000);

pub(super) fn data(path: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests").join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every message of the recorded clients.
pub(super) fn every_message() -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/corpora/ssh-request");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().flat_map(|path| messages(&std::fs::read(path).unwrap())).collect()
}

/// The messages of a recorded client.
pub(super) fn talk(name: &str) -> Vec<Vec<u8>> {
    messages(&data(&format!("corpora/ssh-request/{name}.bin")))
}

fn messages(mut stream: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Frames::default();
    let mut found = Vec::new();
    while !stream.is_empty() {
        found.push(frames.take(&mut stream).unwrap().expect("a whole message").to_vec());
    }
    found
}

/// A public key or certificate as ssh-keygen wrote it.
pub(super) fn public(name: &str) -> Vec<u8> {
    let line = String::from_utf8(data(&format!("vectors/ssh/{name}.pub"))).unwrap();
    data_encoding::BASE64.decode(line.split(' ').nth(1).unwrap().trim().as_bytes()).unwrap()
}

/// Passes over the private key of an ADD_IDENTITY of the kinds that were recorded.
pub(super) fn skip_key(from: &mut &[u8]) -> Result<Vec<u8>, Error> {
    let kind = string(from)?.to_vec();
    let fields = match kind.as_slice() {
        b"ssh-ed25519" | b"ecdsa-sha2-nistp256-cert-v01@openssh.com" => 2,
        b"ecdsa-sha2-nistp256" => 3,
        b"ssh-rsa" => 6,
        _ => return Err(Error::KeyUnsupported),
    };
    (0..fields).try_for_each(|_| string(from).map(drop))?;
    Ok(kind)
}

pub(super) fn constraints(message: &[u8]) -> Constraints {
    let Ok(Request::Add(add)) = Request::parse(message) else { panic!("no key") };
    add.decode(skip_key).unwrap().2
}

/// What this room alone would answer a client when the agent has one key with these constraints: types, and 100 with the
/// count for a list.
fn answers(talk: &[Vec<u8>], constraints: &Constraints) -> Vec<u8> {
    let mut binding = Binding::default();
    let answer = |message: &Vec<u8>| match Request::parse(message) {
        Ok(Request::Extension(Extension::SessionBind(fields))) => match binding.bind(fields) {
            Ok(()) => 6,
            Err(_) => 28,
        },
        Ok(Request::List) => 100 + u8::from(constraints.visible(&binding, NOW)),
        Ok(Request::Sign { key, data, .. }) => match constraints.permit(&binding, &Payload::parse(data, key), NOW) {
            Ok(_) => 14,
            Err(_) => 5,
        },
        _ => panic!("not in this talk"),
    };
    talk.iter().map(answer).collect()
}

#[test]
fn logins_are_bound_and_permitted_as_by_openssh() {
    let free = Constraints::default();
    let destination = constraints(&talk("add-destination")[0]);
    let route = constraints(&talk("add-route")[0]);
    let user = constraints(&talk("add-user")[0]);
    let authority = constraints(&talk("add-authority")[0]);
    for (name, constraints, wanted) in [
        ("login-alpha", &free, &[6, 101, 14][..]),
        ("login-beta", &free, &[6, 101, 14]),
        ("login-gamma", &free, &[6, 101, 14]),
        ("login-delta", &free, &[6, 101, 14]),
        ("login-omega", &free, &[6, 101, 14]),
        ("login-rsa", &free, &[6, 101, 14]),
        ("login-usercert", &free, &[6, 101, 14]),
        ("two-hops", &free, &[6, 6, 6, 101, 14]),
        ("sshsig", &free, &[101, 14]),
        ("constrained-alpha", &destination, &[6, 101, 14]),
        ("constrained-beta", &destination, &[6, 100]),
        ("sshsig-constrained", &destination, &[101, 5]),
        ("forward-list-constrained", &destination, &[6, 100]),
        ("route-beta", &route, &[6, 6, 101, 14]),
        ("route-gamma", &route, &[6, 6, 100]),
        ("user-alpha", &user, &[6, 101, 5]),
        ("user-beta", &user, &[6, 101, 14]),
        // `!nobody` and `*,!nobody`: no negation, no lists.
        ("user-gamma", &user, &[6, 101, 5]),
        ("user-delta", &user, &[6, 101, 5]),
        ("authority-alpha", &authority, &[6, 101, 14]),
        ("authority-route", &authority, &[6, 6, 101, 14]),
        ("authority-plain", &authority, &[6, 100]),
    ] {
        assert_eq!(answers(&talk(name), constraints), wanted, "{name}");
    }
}

/// Random constraints, ways, users, sessions and host keys, each put to OpenSSH's agent: a length and its messages, the
/// key's first; a length and the answers.
#[test]
fn random_walks_end_as_in_openssh() {
    let walks = data("vectors/ssh/walks.bin");
    let mut from = walks.as_slice();
    let (mut count, mut signed, mut listed) = (0, 0, 0);
    while !from.is_empty() {
        let messages = messages(string(&mut from).unwrap());
        let wanted = string(&mut from).unwrap();
        let (key, talk) = messages.split_first().unwrap();
        assert_eq!(answers(talk, &constraints(key)), wanted, "walk {count}");
        count += 1;
        signed += usize::from(wanted.ends_with(&[14]));
        listed += usize::from(wanted.contains(&101));
    }
    assert!(count >= 100 && signed > count / 10 && listed < count * 9 / 10, "{count} {signed} {listed}");
}

#[test]
fn what_ssh_add_and_ssh_keygen_send_is_read() {
    for (name, confirm, lifetime, destinations) in [
        ("add-ed25519", false, None, 0),
        ("add-rsa-lifetime", false, Some(3600), 0),
        ("add-confirm", true, None, 0),
        ("add-destination", false, None, 1),
        ("add-route", false, None, 2),
        ("add-user", false, None, 4),
        ("add-authority", false, None, 2),
        ("add-ecdsa-cert", false, None, 0),
        ("forward-remote-add", false, None, 0),
    ] {
        for message in talk(name) {
            let add = match Request::parse(&message).unwrap() {
                Request::Add(add) => add,
                Request::Extension(Extension::SessionBind(_)) if name == "forward-remote-add" => continue,
                _ => panic!("{name}"),
            };
            let (_, comment, read) = add.decode(skip_key).unwrap();
            assert!([&b"ue"[..], b"up", b"ur"].contains(&comment), "{name}");
            assert_eq!(
                (read.confirm, read.lifetime, read.destinations.len()),
                (confirm, lifetime, destinations),
                "{name}"
            );
            assert_eq!(Constraints::decode(&read.encode()), Ok(read), "{name}");
        }
    }
    let [route, onward] = constraints(&talk("add-route")[0]).destinations.try_into().unwrap();
    assert!(route.from.is_none() && route.user.is_none() && &*route.to.host == "alpha");
    assert_eq!(onward.from.map(|place| (place.host, place.keys)), Some(("alpha".into(), route.to.keys)));
    assert_eq!((&*onward.to.host, onward.user.as_deref()), ("beta", Some(&b"root"[..])));
    assert!(constraints(&talk("add-authority")[0]).destinations[0].to.keys[0].authority);

    let one = |name: &str| talk(name).swap_remove(0);
    assert!(matches!(Request::parse(&one("remove")), Ok(Request::Remove { key }) if key.len() == 51));
    assert!(matches!(Request::parse(&one("remove-all")), Ok(Request::RemoveAll)));
    // Of version 1 of SSH; ssh-add sends it too and does not look at the answer.
    assert!(matches!(Request::parse(&talk("remove-all")[1]), Ok(Request::Unknown(9))));
    let is_passphrase = |secret: &claviger::secret::Secret<Vec<u8>>| secret.expose() == b"opensesame";
    assert!(matches!(Request::parse(&one("lock")), Ok(Request::Lock(secret)) if is_passphrase(&secret)));
    assert!(matches!(Request::parse(&one("unlock")), Ok(Request::Unlock(secret)) if is_passphrase(&secret)));
    assert!(matches!(Request::parse(&one("provider")), Ok(Request::Provider(Provider::Add))));
    assert!(matches!(Request::parse(&one("provider-remove")), Ok(Request::Provider(Provider::Remove))));
    assert!(matches!(Request::parse(&one("provider-constrained")), Ok(Request::Provider(Provider::AddConstrained))));
}

#[test]
fn what_is_signed_is_known() {
    let signed = |name: &str, at: usize| {
        let message = talk(name).swap_remove(at);
        let Ok(Request::Sign { key, data, flags }) = Request::parse(&message) else { panic!("{name}") };
        (key.to_vec(), data.to_vec(), flags)
    };
    for (name, algorithm, flags) in [
        ("login-alpha", "ssh-ed25519", 0),
        ("login-rsa", "rsa-sha2-512", 4),
        ("login-usercert", "ecdsa-sha2-nistp256", 0),
    ] {
        let (key, data, got) = signed(name, 2);
        let Payload::Userauth(request) = Payload::parse(&data, &key) else { panic!("{name}") };
        assert_eq!((request.user, request.algorithm, got), (&b"root"[..], algorithm, flags), "{name}");
        assert_eq!(request.host_key, Some(&*public("alpha")));
        assert!(!request.session_id.is_empty());
        assert_eq!(Payload::parse(&data, &public("alpha")), Payload::Raw, "another key");
        let longer = [&data[..], b"x"].concat();
        assert_eq!(Payload::parse(&longer, &key), Payload::Raw, "it goes on");
    }
    let (key, data, _) = signed("sshsig", 1);
    let Payload::Signature(request) = Payload::parse(&data, &key) else { panic!("sshsig") };
    assert_eq!((request.namespace, request.hash, request.digest.len()), ("git", "sha512", 64));
    // The SHA-512 of "hello".
    assert_eq!(data_encoding::HEXLOWER.encode(&request.digest[..4]), "9b71d224");
    let (key, data, _) = signed("test-keys", 0);
    assert_eq!(Payload::parse(&data, &key), Payload::Raw);
}

/// A request to authenticate, plain, with its fields changed.
fn userauth(change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Vec<u8> {
    let text = |text: &str| {
        let mut to = Vec::new();
        put_string(&mut to, text.as_bytes());
        to
    };
    let mut key = Vec::new();
    put_string(&mut key, &public("alpha"));
    let mut fields = vec![
        text("session"),
        vec![50],
        text("ada"),
        text("ssh-connection"),
        text("publickey"),
        vec![1],
        text("ssh-ed25519"),
        key,
    ];
    change(&mut fields);
    fields.concat()
}

#[test]
fn an_authentication_request_that_contradicts_itself_is_raw() {
    let key = public("alpha");
    let field = |text: &[u8]| {
        let mut to = Vec::new();
        put_string(&mut to, text);
        to
    };
    let is_raw = |change: &dyn Fn(&mut Vec<Vec<u8>>)| Payload::parse(&userauth(change), &key) == Payload::Raw;
    assert!(!is_raw(&|_| {}), "the control");
    for (at, value) in [
        (0, field(b"")),
        (1, vec![51]),
        (2, field(b"a\0da")),
        (3, field(b"ssh-userauth")),
        (4, field(b"password")),
        (4, field(b"publickey-hostbound-v00@openssh.com")),
        (5, vec![0]),
        (5, vec![2]),
        (6, field(b"ssh-rsa")),
        (6, field(b"ssh-ed25519-cert-v01@openssh.com")),
        (6, field(b"\xff")),
        (7, field(&public("ca-ed25519"))),
    ] {
        assert!(is_raw(&|fields| fields[at] = value.clone()), "{at} {value:?}");
    }
    for cut in 0..userauth(|_| {}).len() {
        assert_eq!(Payload::parse(&userauth(|_| {})[..cut], &key), Payload::Raw, "{cut}");
    }
    let bound = |host: &[u8]| {
        userauth(|fields| {
            fields[4] = field(b"publickey-hostbound-v00@openssh.com");
            fields.push(field(host));
        })
    };
    assert!(matches!(Payload::parse(&bound(&public("ca-rsa")), &key), Payload::Userauth(_)));
    assert!(matches!(
        Payload::parse(&bound(&pair(b"ssh-mldsa44-ed25519@openssh.com", b"key")), &key),
        Payload::Userauth(_)
    ));
    assert_eq!(Payload::parse(&bound(b"key"), &key), Payload::Raw);
    assert_eq!(Payload::parse(&bound(&key[1..]), &key), Payload::Raw);
}

#[test]
fn a_signature_request_has_no_version_and_a_namespace() {
    let request = |parts: &[&[u8]]| {
        let mut data = b"SSHSIG".to_vec();
        parts.iter().for_each(|part| put_string(&mut data, part));
        data
    };
    let known = |data: &[u8]| matches!(Payload::parse(data, b""), Payload::Signature(_));
    assert!(known(&request(&[b"git", b"", b"sha256", &[7; 32]])));
    assert!(known(&request(&[b"file", b"later", b"sha512", &[7; 64]])), "what is reserved is ignored");
    for parts in [
        &[&b""[..], b"", b"sha256", &[7; 32]][..],
        &[b"git", b"", b"sha256", &[7; 64]],
        &[b"git", b"", b"sha1", &[7; 20]],
        &[b"g\0t", b"", b"sha256", &[7; 32]],
        &[b"\xff", b"", b"sha256", &[7; 32]],
        &[b"git", b"", b"sha256"],
        &[b"git", b"", b"sha256", &[7; 32], b""],
    ] {
        assert!(!known(&request(parts)), "{parts:?}");
    }
    // As the envelope has it.
    let versioned = [b"SSHSIG\0\0\0\x01", &request(&[b"git", b"", b"sha256", &[7; 32]])[6..]].concat();
    assert!(!known(&versioned));
}

#[test]
fn signatures_of_openssh_verify_and_damaged_ones_do_not() {
    let signed = |talked: &str, at: usize| {
        let reply = messages(&data(&format!("vectors/ssh/{talked}.reply"))).swap_remove(at);
        (talk(talked).swap_remove(at), reply)
    };
    for (talked, at) in [("login-alpha", 2), ("login-rsa", 2), ("login-usercert", 2), ("test-keys", 1)] {
        let (request, reply) = signed(talked, at);
        let Ok(Request::Sign { key, data, .. }) = Request::parse(&request) else { panic!("{talked}") };
        let signature = string(&mut &reply[1..]).unwrap();
        assert_eq!(Reply::Signature(signature).encode()[4..], reply);
        let key = HostKey::decode(key).unwrap();
        assert_eq!(key.verify(data, signature), Ok(()), "{talked}");
        assert_eq!(key.verify(&data[1..], signature), Err(Error::SignatureInvalid), "{talked}");
        for at in 0..signature.len() {
            let mut damaged = signature.to_vec();
            damaged[at] ^= 1;
            assert!(key.verify(data, &damaged).is_err(), "{talked} {at}");
        }
    }
    // RSA without flags is SHA-1 for OpenSSH.
    let (request, reply) = signed("test-keys", 2);
    let Ok(Request::Sign { key, data, flags: 0 }) = Request::parse(&request) else { panic!("flags") };
    let signature = string(&mut &reply[1..]).unwrap();
    assert!(signature.starts_with(b"\0\0\0\x07ssh-rsa"));
    assert_eq!(HostKey::decode(key).unwrap().verify(data, signature), Err(Error::SignatureInvalid));
}

#[test]
fn a_list_is_as_openssh_writes_it() {
    let reply = messages(&data("vectors/ssh/list.reply")).swap_remove(0);
    let mut from = &reply[5..];
    let mut identities = Vec::new();
    while !from.is_empty() {
        identities.push(ListedIdentity { key: string(&mut from).unwrap(), comment: string(&mut from).unwrap() });
    }
    assert_eq!(identities.len(), 4);
    assert_eq!(Reply::Identities(&identities).encode()[4..], reply);
}

#[test]
fn certificates_hold_for_their_hosts_by_authorities_of_every_type() {
    let certifies = |name: &str, host: &str| HostKey::decode(&public(name)).map(|key| key.certifies(host, NOW));
    for name in ["host-by-ed25519", "host-by-rsa", "host-by-ecdsa", "host-by-sk-ed25519", "host-by-sk-ecdsa"] {
        for (host, wanted) in [("alpha", true), ("web.example", true), ("beta", false), ("Alpha", false)] {
            assert_eq!(certifies(name, host), Ok(wanted), "{name} {host}");
        }
        let blob = public(name);
        for at in 0..blob.len() {
            let mut damaged = blob.clone();
            damaged[at] ^= 1;
            assert!(HostKey::decode(&damaged).is_err(), "{name} {at}");
        }
    }
    for (name, wanted) in [
        ("host-over", Ok(false)),
        ("host-nameless", Ok(false)),
        ("host-critical", Ok(false)),
        ("user", Ok(false)),
        ("alpha", Ok(false)),
        ("host-by-rsa-sha1", Err(Error::SignatureInvalid)),
    ] {
        assert_eq!(certifies(name, "alpha"), wanted, "{name}");
    }
    let over = HostKey::decode(&public("host-over")).unwrap();
    let seconds = |seconds: i64| WallTime(seconds * 1000);
    let (begins, ends) = (1_546_300_800, 1_577_836_800);
    for (time, wanted) in [(begins - 1, false), (begins, true), (ends - 1, true), (ends, false), (-1, false)] {
        assert_eq!(over.certifies("alpha", seconds(time)), wanted, "{time}");
    }
    assert_eq!(HostKey::decode(&public("host-by-rsa")).unwrap().authority(), Some(&*public("ca-rsa")));
    assert_eq!(HostKey::decode(&public("host-by-ecdsa")).unwrap().authority(), Some(&*public("ca-ecdsa")));
}

/// Certificates whose authority is a certificate are read by recursion: as deep as fits must not end the stack.
#[test]
fn certificates_of_certificates_are_refused() {
    let certificate = public("host-by-ed25519");
    // All fields but the authority, and a signature.
    let (before, signature) = (&certificate[..certificate.len() - 55 - 87], &certificate[certificate.len() - 87..]);
    let (mut nested, mut depth) = (certificate.clone(), 0);
    loop {
        let mut outer = before.to_vec();
        put_string(&mut outer, &nested);
        outer.extend_from_slice(signature);
        if outer.len() > limits::PUBLIC_KEY {
            break;
        }
        (nested, depth) = (outer, depth + 1);
    }
    assert!(depth > 50, "{depth}");
    let decode = move || HostKey::decode(&nested);
    let thread = std::thread::Builder::new().stack_size(1024 * 1024).spawn(decode).unwrap();
    assert_eq!(thread.join().unwrap(), Err(Error::KeyUnsupported));
}

#[test]
fn requests_with_too_little_or_too_much_are_refused() {
    for (message, wanted) in [
        (&b""[..], Error::Truncated),
        (b"\x0b\0", Error::Trailing),
        (b"\x13\0", Error::Trailing),
        (b"\x0d\0\0\0\x01k\0\0\0\x01d\0\0\0\0x", Error::Trailing),
        (b"\x0d\0\0\0\x01k\0\0\0\x01d\0\0\0", Error::Truncated),
        (b"\x12\xff\xff\xff\xffk", Error::Truncated),
        (b"\x16\0\0\0\0", Error::PassphraseEmpty),
        (b"\x17\0\0\0\0", Error::PassphraseEmpty),
        (b"\x16\0\0\0\x01pp", Error::Trailing),
        (b"\x16", Error::Truncated),
        (b"\x1b\0\0\0\x05query\0", Error::Trailing),
        (b"\x1b\0\0\0\x06query", Error::Truncated),
    ] {
        assert_eq!(Request::parse(message).err(), Some(wanted), "{}", message.escape_ascii());
        assert!(!wanted.ends_connection());
    }
    assert!(matches!(Request::parse(b"\x1b\0\0\0\x05query"), Ok(Request::Extension(Extension::Query))));
    assert!(matches!(Request::parse(b"\x1b\0\0\0\x07unknown!"), Ok(Request::Extension(Extension::Unknown))));
    for kind in (0..=255_u8).filter(|kind| ![11, 13, 17, 18, 19, 20, 21, 22, 23, 25, 26, 27].contains(kind)) {
        assert!(matches!(Request::parse(&[kind, 1, 2]), Ok(Request::Unknown(known)) if known == kind), "{kind}");
    }
}

#[test]
fn keys_are_added_whole_or_not_at_all() {
    let plain = talk("add-ed25519").swap_remove(0);
    let add = |message: &[u8]| {
        let Ok(Request::Add(add)) = Request::parse(message) else { panic!("no key") };
        add.decode(skip_key).map(|(_, comment, constraints)| (comment.to_vec(), constraints)).err()
    };
    assert_eq!(add(&plain), None);
    assert_eq!(add(&[&plain[..], b"\x02"].concat()), Some(Error::Trailing), "17 has no constraints");
    let constrained = [b"\x19", &plain[1..]].concat();
    assert_eq!(add(&constrained), None);
    assert_eq!(add(&[&constrained[..], b"\x02"].concat()), None);
    assert_eq!(add(&constrained[..constrained.len() - 1]), Some(Error::Truncated));
    let commented = |comment: &[u8]| {
        let mut message = constrained[..constrained.len() - 6].to_vec();
        put_string(&mut message, comment);
        message
    };
    assert_eq!(add(&commented(&vec![b'c'; limits::COMMENT])), None);
    assert_eq!(add(&commented(&vec![b'c'; limits::COMMENT + 1])), Some(Error::CommentTooLong));
    assert_eq!(add(&commented(b"a\0b")), Some(Error::NullByte));
    let all = talk("add-route").swap_remove(0);
    for cut in 1..all.len() {
        // One that ends before its constraints has none: they are a sequence without a count.
        assert_eq!(add(&all[..cut]).is_none(), cut == before_constraints(&all), "{cut}");
    }
}

/// Where the constraints begin.
fn before_constraints(message: &[u8]) -> usize {
    let mut from = &message[1..];
    skip_key(&mut from).unwrap();
    string(&mut from).unwrap();
    message.len() - from.len()
}
