//! The agent's protocol by hand: frames, keys, bindings and logins, good and forged.

use claviger_agent::ssh::key::{NewKey, SoftKey};
use claviger_agent::ssh::{Constraints, Destination, HopKey, Place};
use claviger_agent::world::World;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

pub(crate) const FAILURE: u8 = 5;
pub(crate) const SUCCESS: u8 = 6;
pub(crate) const LIST: u8 = 11;
pub(crate) const IDENTITIES: u8 = 12;
pub(crate) const SIGNED: u8 = 14;
pub(crate) const EXTENSION_FAILURE: u8 = 28;
/// What stands for the end of the connection where types are compared.
pub(crate) const CLOSED: u8 = 0;

/// A connection to an agent.
pub(crate) struct Raw(UnixStream);

impl Raw {
    pub(crate) fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).expect("the agent");
        // Whoever waits so long waits for a hang.
        stream.set_read_timeout(Some(Duration::from_mins(1))).expect("a limit");
        stream.set_write_timeout(Some(Duration::from_mins(1))).expect("a limit");
        Self(stream)
    }

    /// Bytes as they are. The agent may have closed already: the next answer tells.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes);
    }

    /// The next answer without its length word; none at the end of the connection.
    pub(crate) fn hear(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 4];
        if let Err(error) = self.0.read_exact(&mut length) {
            assert!(error.kind() != std::io::ErrorKind::WouldBlock, "no answer for a minute");
            return None;
        }
        let length = usize::try_from(u32::from_be_bytes(length)).expect("a length");
        assert!((1..=256 * 1024).contains(&length), "{length}");
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).expect("the rest of an answer");
        Some(body)
    }

    pub(crate) fn ask(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        self.send(&string(message));
        self.hear()
    }

    /// The type of the answer.
    pub(crate) fn kind(&mut self, message: &[u8]) -> u8 {
        self.ask(message).map_or(CLOSED, |answer| answer[0])
    }

    /// Whether this key or certificate is listed.
    pub(crate) fn lists(&mut self, key: &SoftKey) -> bool {
        let answer = self.ask(&[LIST]).expect("a list");
        assert_eq!(answer[0], IDENTITIES);
        let blob = string(key.blob());
        answer.windows(blob.len()).any(|part| part == blob)
    }

    /// How many identities are listed.
    pub(crate) fn count(&mut self) -> u32 {
        let answer = self.ask(&[LIST]).expect("a list");
        assert_eq!(answer[0], IDENTITIES);
        u32::from_be_bytes(answer[1..5].try_into().expect("a count"))
    }
}

/// A length and the bytes: a `string` of SSH, and a message as it is sent.
pub(crate) fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("a length").to_be_bytes();
    [&length[..], bytes].concat()
}

/// A message of strings.
pub(crate) fn message(kind: u8, strings: &[&[u8]]) -> Vec<u8> {
    let mut body = vec![kind];
    strings.iter().for_each(|bytes| body.extend(string(bytes)));
    body
}

pub(crate) fn new_key() -> SoftKey {
    SoftKey::generate(NewKey::Ed25519, &*World::real().entropy).expect("a key")
}

/// ADD_IDENTITY.
pub(crate) fn add(key: &SoftKey) -> Vec<u8> {
    [&[17], &key.encode().expect("its fields")[..], &string(b"comment")].concat()
}

/// ADD_ID_CONSTRAINED, with the constraints as bytes.
pub(crate) fn add_constrained(key: &SoftKey, constraints: &[u8]) -> Vec<u8> {
    let mut message = add(key);
    message[0] = 25;
    message.extend_from_slice(constraints);
    message
}

/// The constraint that a key be used for this host alone, from the agent's machine.
pub(crate) fn only_to(host: &SoftKey) -> Vec<u8> {
    let keys = vec![HopKey { blob: host.key_blob().into(), authority: false }];
    let to = Place { host: "alpha".into(), keys };
    Constraints { destinations: vec![Destination { from: None, to, user: None }], ..Constraints::default() }.encode()
}

/// `session-bind@openssh.com`, as a client sends that has seen this host key.
pub(crate) fn bind(host: &SoftKey, session: &[u8], forwarding: bool) -> Vec<u8> {
    let signature = host.sign(session, 0).expect("a signature");
    bind_of(host.key_blob(), session, &signature, forwarding)
}

/// The same of any parts.
pub(crate) fn bind_of(key: &[u8], session: &[u8], signature: &[u8], forwarding: bool) -> Vec<u8> {
    let mut body = message(27, &[b"session-bind@openssh.com", key, session, signature]);
    body.push(forwarding.into());
    body
}

/// SIGN_REQUEST of any data.
pub(crate) fn sign(key: &SoftKey, data: &[u8]) -> Vec<u8> {
    [message(13, &[key.blob(), data]), vec![0; 4]].concat()
}

/// SIGN_REQUEST of a login with this key, to this host.
pub(crate) fn login(key: &SoftKey, host: &SoftKey, session: &[u8]) -> Vec<u8> {
    let mut data = string(session);
    data.push(50);
    for text in [&b"ada"[..], b"ssh-connection", b"publickey-hostbound-v00@openssh.com"] {
        data.extend(string(text));
    }
    data.push(1);
    [&b"ssh-ed25519"[..], key.key_blob(), host.key_blob()].iter().for_each(|bytes| data.extend(string(bytes)));
    sign(key, &data)
}
