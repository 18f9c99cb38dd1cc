//! A planned restart: the keys of `ssh-add` and their lock go to the successor.

use super::Door;
use crate::server::succession::Packet;
use zeroize::Zeroizing;

/// A key, readable: only for a successor that may have the master key too.
const KEY: &str = "ssh_key";
/// A key that was put aside by a lock.
const SEALED: &str = "ssh_key_sealed";
/// The lock of `ssh-add -x`.
const LOCK: &str = "ssh_lock";

impl Door {
    /// What the successor takes over. Keys go readable to one that `trusted` says may have them, else as `seal` makes
    /// them: where that makes nothing they are let go of, as with ssh-agent's end.
    pub(in crate::server) fn belongings(&self, trusted: bool, seal: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Vec<Packet> {
        let mut ring = self.ring();
        let keys = ring.encoded(self.world.clock.boot());
        let sealed = ring.sealed().iter().map(|bytes| packet(SEALED, Zeroizing::new(bytes.clone())));
        let mut packets: Vec<Packet> = sealed.collect();
        packets.extend(keys.into_iter().filter_map(|key| {
            if trusted { Some(packet(KEY, key)) } else { Some(packet(SEALED, Zeroizing::new(seal(&key)?))) }
        }));
        packets.extend(self.soft_lock().encoded().map(|lock| packet(LOCK, lock)));
        let fits = |packet: &Packet| packet.name.len().saturating_add(packet.bytes.len()) <= Packet::LIMIT;
        let before = packets.len();
        packets.retain(fits);
        if packets.len() < before {
            tracing::warn!("a key of ssh-add is too long to be handed over");
        }
        packets
    }

    /// Takes over what a predecessor passed; false where the packet is none of the SSH agent's.
    pub(in crate::server) fn inherit(&self, packet: &Packet) -> bool {
        let taken = match packet.name.as_str() {
            KEY => self.ring().restore(&packet.bytes),
            SEALED => {
                self.ring().restore_sealed(packet.bytes.to_vec());
                true
            }
            LOCK => self.soft_lock().restore(&packet.bytes),
            _ => return false,
        };
        if !taken {
            tracing::warn!(name = packet.name, "a packet of the agent before cannot be read");
        }
        self.added.notify_one();
        true
    }
}

fn packet(name: &str, bytes: Zeroizing<Vec<u8>>) -> Packet {
    Packet { name: name.to_owned(), bytes, descriptor: None }
}
