//! Packets between two agents under a long run of damaged inputs.

use super::channel::Channel;
use super::{FAILED, READY};
use crate::testing::parsers::{Parser, Verdict};
use claviger::wire::Fault;
use rustix::net::SendFlags;
use std::os::fd::AsFd;
use std::time::Duration;

#[test]
fn packets_of_a_restart_withstand_damage() {
    let (one, end) = Channel::pair(Duration::from_secs(5)).expect("a pair");
    let other = Channel::unchecked(end);
    let parser = Parser {
        name: "succession-packet",
        more: Vec::new(),
        tokens: &[
            b"\n",
            b"ready\n",
            b"socket\n",
            b"failed\n",
            b"end\n",
            b"{",
            b"}",
            b"\"code\":\"internal\"",
            b"\"message\":\"m\"",
            b"null",
        ],
        taken: 200,
        refusals: &["InvalidData", "FileTooLarge", "no fault"],
        parse: &|input| {
            // A packet of nothing is the end of the socket, and one that does not fit leaves nothing behind.
            if input.is_empty()
                || rustix::net::send(one.as_fd(), input, SendFlags::DONTWAIT | SendFlags::NOSIGNAL).is_err()
            {
                return Verdict::none("not sent");
            }
            let packet = match other.receive(Some(Duration::from_secs(5))) {
                Ok(packet) => packet,
                Err(error) => {
                    return Verdict::Refused {
                        kind: format!("{:?}", error.kind()),
                        said: format!("{error} {error:?}"),
                    };
                }
            };
            assert!(!packet.name.contains('\n') && packet.descriptor.is_none());
            let whole = [packet.name.as_bytes(), b"\n", &packet.bytes].concat();
            assert!(whole == input && whole.len() <= 64 * 1024, "not what was sent");
            if packet.name == FAILED && serde_json::from_slice::<Fault>(&packet.bytes).is_err() {
                return Verdict::none("no fault");
            }
            assert!(packet.name != READY || String::from_utf8_lossy(&packet.bytes).len() <= 3 * input.len());
            Verdict::Accepted
        },
    };
    parser.withstands_damage_of(2000);
}
