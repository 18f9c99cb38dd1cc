//! Damaged frames, one after another, with keys loaded: an answer to each or the end of its connection, memory that
//! does not grow, and keys that sign afterwards.

use crate::agent::Program;
use crate::raw::{FAILURE, Raw, SIGNED, SUCCESS, add, bind, new_key, sign, string};
use crate::stage::Stage;
use claviger_agent::ssh::key::{Curve, NewKey, SoftKey};
use claviger_agent::testing::mutation::{extremes, input};
use claviger_agent::testing::{figure, rounds};
use claviger_agent::world::World;
use std::fs;

/// How much more the agent may hold at the end: a full ring of the keys that were damaged into others.
const ROOM_KIB: u64 = 16 * 1024;
/// Names, numbers and lengths of the protocol.
const TOKENS: &[&[u8]] = &[
    b"\0\0\0\x01",
    b"\xff\xff\xff\xff",
    b"\0\x04\0\0",
    b"\0\0\0\0",
    b"\x0d",
    b"\x11",
    b"\x19",
    b"\x1b",
    b"\0\0\0\x0bssh-ed25519",
    b"\0\0\0\x07ssh-rsa",
    b"\0\0\0\x13ecdsa-sha2-nistp256",
    b"\0\0\0\x18session-bind@openssh.com",
    b"\0\0\0\x24restrict-destination-v00@openssh.com",
    b"\0\0\0\x17sk-provider@openssh.com",
];

/// Messages that clients have sent.
fn corpus() -> Vec<Vec<u8>> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpora/ssh-request");
    let mut paths: Vec<_> = fs::read_dir(folder).expect("the corpus").flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let mut messages = Vec::new();
    for path in paths {
        let stream = fs::read(path).expect("a talk");
        let mut rest = stream.as_slice();
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let (message, after) = after.split_at(u32::from_be_bytes(*length) as usize);
            messages.push(message.to_vec());
            rest = after;
        }
    }
    messages
}

fn resident(stage: &Stage) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", stage.agent.pid())).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.split_whitespace().next().and_then(|value| value.parse().ok()).expect("a number")
}

/// What sends the frames: as a client of this machine, or as the far side of a forwarded agent.
struct Sender<'a> {
    stage: &'a Stage,
    host: Option<&'a SoftKey>,
    raw: Raw,
    ended: usize,
}

impl<'a> Sender<'a> {
    fn new(stage: &'a Stage, host: Option<&'a SoftKey>) -> Self {
        let mut sender = Self { stage, host, raw: Raw::connect(&stage.agent.socket), ended: 0 };
        sender.begin();
        sender
    }

    fn begin(&mut self) {
        if let Some(host) = self.host {
            assert_eq!(self.raw.kind(&bind(host, b"session", true)), SUCCESS);
        }
    }

    /// Sends a frame; the type of its answer, if there is one. A connection that has ended is made anew.
    fn send(&mut self, frame: &[u8]) -> Option<u8> {
        let answer = self.raw.ask(frame);
        if answer.is_none() {
            self.ended += 1;
            self.raw = Raw::connect(&self.stage.agent.socket);
            self.begin();
        }
        answer.map(|answer| answer[0])
    }
}

#[test]
fn damaged_frames_do_no_harm() {
    let stage = Stage::new(Program::Claviger);
    let entropy = World::real().entropy;
    let kinds = [NewKey::Ed25519, NewKey::Ecdsa(Curve::P256), NewKey::Ecdsa(Curve::P521), NewKey::Rsa3072];
    let keys = kinds.map(|kind| SoftKey::generate(kind, &*entropy).expect("a key"));
    let mut other = Raw::connect(&stage.agent.socket);
    keys.iter().for_each(|key| assert_eq!(other.kind(&add(key)), SUCCESS));
    let (host, corpus, count) = (new_key(), corpus(), rounds(10_000, 1_000_000));
    let (mut near, mut far) = (Sender::new(&stage, None), Sender::new(&stage, Some(&host)));
    let (mut refused, mut before) = (0, 0);
    let damaged = (0..count).map(|seed| input(seed as u64, &corpus, TOKENS).0);
    for (at, frame) in extremes().chain(damaged).enumerate() {
        // What would lock the agent or take its keys away comes from where it may not.
        let sender = if matches!(frame.first(), Some(18 | 19 | 22 | 23)) { &mut far } else { &mut near };
        refused += usize::from(matches!(sender.send(&frame), Some(FAILURE)));
        if at % 1000 == 999 {
            let data = [&[13], &string(keys[0].blob())[..], &string(b"data"), &[0; 4]].concat();
            assert_eq!(other.kind(&data), SIGNED, "{at}: others are served");
        }
        if at == count / 2 {
            before = resident(&stage);
        }
    }
    let after = resident(&stage);
    // RSA signs with a hash that is named.
    let signs = |raw: &mut Raw, key: &SoftKey| {
        let mut request = sign(key, b"data");
        *request.last_mut().expect("flags") = 4;
        raw.kind(&request)
    };
    for key in &keys {
        assert_eq!(signs(&mut other, key), SIGNED, "{}", key.algorithm());
    }
    assert!(refused > count / 3, "{refused} of {count} were refused: the damage is damage");
    assert!(after <= before + ROOM_KIB, "{before} KiB, then {after} KiB");
    figure("damaged frames with keys loaded, all answered or ended", count);
    figure("of them refused", refused);
    figure("connections that ended by them", near.ended + far.ended);
    figure("KiB that the second half cost", after.saturating_sub(before));
}
