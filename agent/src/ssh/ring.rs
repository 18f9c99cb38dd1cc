//! The keys that `ssh-add` has left in memory, each under the constraints it came with.

use super::codec::fields::{put_string, string};
use super::key::{self, SoftKey};
use super::{Binding, Constraints, Error, limits};
use crate::world::{BootTime, WallTime};
use std::sync::Arc;
use zeroize::Zeroizing;

/// A key of the ring.
pub struct HeldKey {
    /// It.
    pub key: SoftKey,
    /// What its owner calls it.
    pub comment: Box<[u8]>,
    /// What it came with.
    pub constraints: Constraints,
    until: Option<BootTime>,
}

/// The keys, oldest first.
#[derive(Default)]
pub struct Ring {
    keys: Vec<Arc<HeldKey>>,
    /// What was sealed by a lock, and returns.
    sealed: Vec<Vec<u8>>,
}

/// Why a key cannot be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// More than [`limits::KEYS`], or more than a client could be told of.
    #[error("the agent holds as many keys as it can list")]
    Full,
    /// It is held already, with destinations that hide it from this connection.
    #[error("the key is held already, and hidden from this connection")]
    Hidden,
}

impl Ring {
    /// Holds a key from now on; one of the same public half, or certificate, is replaced in its place.
    ///
    /// # Errors
    /// [`RingError::Full`]; [`RingError::Hidden`] where the connection may not see the one there is.
    pub fn add(
        &mut self,
        (key, comment, constraints): (SoftKey, &[u8], Constraints),
        binding: &Binding,
        (now, wall): (BootTime, WallTime),
    ) -> Result<(), RingError> {
        self.expire(now);
        let until = constraints.lifetime.map(|seconds| now.plus_millis(u64::from(seconds).saturating_mul(1000)));
        let held = HeldKey { key, comment: comment.into(), constraints, until };
        let (full, room) = (self.keys.len() >= limits::KEYS, self.has_room(&held));
        match self.keys.iter_mut().find(|other| other.key.blob() == held.key.blob()) {
            Some(other) if !other.constraints.visible(binding, wall) => return Err(RingError::Hidden),
            _ if !room => return Err(RingError::Full),
            Some(other) => *other = Arc::new(held),
            None if full => return Err(RingError::Full),
            None => self.keys.push(Arc::new(held)),
        }
        Ok(())
    }

    /// The key of this blob.
    pub fn find(&mut self, blob: &[u8], now: BootTime) -> Option<Arc<HeldKey>> {
        self.expire(now);
        self.keys.iter().find(|held| held.key.blob() == blob).cloned()
    }

    /// The keys that a connection may see.
    pub fn visible(&mut self, binding: &Binding, (now, wall): (BootTime, WallTime)) -> Vec<Arc<HeldKey>> {
        self.expire(now);
        self.keys.iter().filter(|held| held.constraints.visible(binding, wall)).cloned().collect()
    }

    /// Lets go of a key; false where the connection sees none of this blob.
    pub fn remove(&mut self, blob: &[u8], binding: &Binding, (now, wall): (BootTime, WallTime)) -> bool {
        self.expire(now);
        let before = self.keys.len();
        self.keys.retain(|held| held.key.blob() != blob || !held.constraints.visible(binding, wall));
        self.keys.len() < before
    }

    /// Lets go of all, sealed ones too.
    pub fn clear(&mut self) {
        self.keys.clear();
        self.sealed.clear();
    }

    /// How many there are, with those that a lock has put aside.
    pub fn count(&mut self, now: BootTime) -> usize {
        self.expire(now);
        self.keys.len().saturating_add(self.sealed.len())
    }

    /// When the next key's lifetime ends.
    pub fn next_end(&self) -> Option<BootTime> {
        self.keys.iter().filter_map(|held| held.until).min()
    }

    /// Lets go of keys whose lifetime is over.
    pub fn expire(&mut self, now: BootTime) {
        self.keys.retain(|held| held.until.is_none_or(|until| until > now));
    }

    /// The keys as bytes that [`Ring::restore`] takes.
    pub fn encoded(&mut self, now: BootTime) -> Vec<Zeroizing<Vec<u8>>> {
        self.expire(now);
        self.keys.iter().filter_map(|held| held.encode().ok()).collect()
    }

    /// What locks have put aside.
    pub fn sealed(&self) -> &[Vec<u8>] {
        &self.sealed
    }

    /// Takes a key from its bytes; false where they are none.
    pub fn restore(&mut self, fields: &[u8]) -> bool {
        HeldKey::decode(fields).map(|held| self.keys.push(Arc::new(held))).is_ok()
    }

    /// Takes what a lock has put aside, for [`Ring::take_back`].
    pub fn restore_sealed(&mut self, sealed: Vec<u8>) {
        self.sealed.push(sealed);
    }

    /// Puts the keys aside as bytes that `seal` has made unreadable; one of which it makes none stays as it is.
    pub fn put_aside(&mut self, now: BootTime, seal: impl Fn(&[u8]) -> Option<Vec<u8>>) {
        self.expire(now);
        for held in std::mem::take(&mut self.keys) {
            match held.encode().ok().and_then(|fields| seal(&fields)) {
                Some(sealed) => self.sealed.push(sealed),
                None => self.keys.push(held),
            }
        }
    }

    /// Takes back what was put aside and `open` can read; a key that was added meanwhile stays as it is, and so does
    /// what cannot be read.
    pub fn take_back(&mut self, now: BootTime, open: impl Fn(&[u8]) -> Option<Zeroizing<Vec<u8>>>) {
        let sealed = std::mem::take(&mut self.sealed);
        let mut back = Vec::new();
        for bytes in sealed {
            match open(&bytes).and_then(|fields| HeldKey::decode(&fields).ok()) {
                Some(held) => back.push(Arc::new(held)),
                None => self.sealed.push(bytes),
            }
        }
        back.retain(|held| self.keys.iter().all(|other| other.key.blob() != held.key.blob()));
        self.keys.splice(0..0, back);
        self.expire(now);
    }

    /// Whether it could be listed with the others, those of its own blob aside.
    fn has_room(&self, held: &HeldKey) -> bool {
        let weight = |held: &HeldKey| held.key.blob().len().saturating_add(held.comment.len()).saturating_add(8);
        let others = self.keys.iter().filter(|other| other.key.blob() != held.key.blob());
        let all = others.map(|held| weight(held)).sum::<usize>();
        all.saturating_add(weight(held)) <= super::codec::Reply::LIST_ROOM
    }
}

impl HeldKey {
    fn encode(&self) -> key::Result<Zeroizing<Vec<u8>>> {
        let (fields, constraints) = (self.key.encode()?, self.constraints.encode());
        let until = self.until.map_or(0, |until| until.0).to_be_bytes();
        let parts: [&[u8]; 4] = [&fields, &self.comment, &constraints, &until];
        // As long as it will be: growing would leave a copy behind.
        let mut to = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len().saturating_add(4)).sum()));
        parts.iter().for_each(|part| put_string(&mut to, part));
        Ok(to)
    }

    fn decode(mut from: &[u8]) -> key::Result<Self> {
        let key = SoftKey::decode(&mut string(&mut from)?)?;
        let comment = string(&mut from)?.into();
        let constraints = Constraints::decode(string(&mut from)?)?;
        let until = string(&mut from)?.try_into().map_err(|_| Error::Truncated)?;
        let until = Some(u64::from_be_bytes(until)).filter(|until| *until > 0).map(BootTime);
        Ok(Self { key, comment, constraints, until })
    }
}

#[cfg(test)]
mod tests {
    use super::{Ring, RingError};
    use crate::ssh::key::{NewKey, SoftKey};
    use crate::ssh::{Binding, Constraints, limits};
    use crate::world::{BootTime, WallTime, World};
    use zeroize::Zeroizing;

    const WALL: WallTime = WallTime(0);

    fn new_key() -> SoftKey {
        SoftKey::generate(NewKey::Ed25519, &*World::real().entropy).expect("a key")
    }

    fn same(key: &SoftKey) -> SoftKey {
        SoftKey::decode(&mut key.encode().expect("fields").as_slice()).expect("the key")
    }

    fn held(lifetime: Option<u32>) -> Constraints {
        Constraints { lifetime, ..Constraints::default() }
    }

    #[test]
    fn a_lifetime_ends_a_key_and_adding_it_again_begins_another() {
        let (mut ring, key, unbound) = (Ring::default(), new_key(), Binding::default());
        let at = |millis| (BootTime(millis), WALL);
        ring.add((same(&key), b"one", held(Some(10))), &unbound, at(1_000)).expect("room");
        assert_eq!(ring.next_end(), Some(BootTime(11_000)));
        assert!(ring.find(key.blob(), BootTime(10_999)).is_some());
        assert!(ring.find(key.blob(), BootTime(11_000)).is_none() && ring.keys.is_empty());
        ring.add((same(&key), b"one", held(Some(0))), &unbound, at(1_000)).expect("room");
        assert!(ring.visible(&unbound, at(1_000)).is_empty(), "no lifetime is over at once");
        ring.add((same(&key), b"one", held(Some(10))), &unbound, at(20_000)).expect("room");
        ring.add((same(&key), b"two", held(None)), &unbound, at(21_000)).expect("room");
        let found = ring.visible(&unbound, at(1 << 40));
        assert_eq!(found.iter().map(|held| &*held.comment).collect::<Vec<_>>(), [b"two"], "replaced, not added");
        assert!(ring.remove(key.blob(), &unbound, at(0)) && !ring.remove(key.blob(), &unbound, at(0)));
    }

    #[test]
    fn a_full_ring_refuses_and_keeps_what_it_has() {
        let (mut ring, unbound) = (Ring::default(), Binding::default());
        let key = new_key();
        // What a client reads is 256 KiB.
        let comment = vec![b'x'; limits::COMMENT];
        let room = (0..limits::KEYS)
            .map(|_| ring.add((new_key(), &comment, Constraints::default()), &unbound, (BootTime(0), WALL)))
            .take_while(Result::is_ok)
            .count();
        assert!((50..70).contains(&room), "{room}");
        let refused = ring.add((same(&key), &comment, Constraints::default()), &unbound, (BootTime(0), WALL));
        assert_eq!(refused, Err(RingError::Full));
        assert_eq!(ring.visible(&unbound, (BootTime(0), WALL)).len(), room);
    }

    #[test]
    fn what_a_lock_puts_aside_returns_with_all_it_had() {
        let (mut ring, unbound) = (Ring::default(), Binding::default());
        let (first, second, third) = (new_key(), new_key(), new_key());
        let constraints = Constraints { confirm: true, lifetime: Some(100), ..Constraints::default() };
        ring.add((same(&first), b"first", constraints.clone()), &unbound, (BootTime(0), WALL)).expect("room");
        ring.add((same(&second), b"second", Constraints::default()), &unbound, (BootTime(0), WALL)).expect("room");
        let flip = |bytes: &[u8]| bytes.iter().map(|byte| byte ^ 0x55).collect::<Vec<u8>>();
        ring.put_aside(BootTime(1), |_| None);
        assert!(ring.sealed().is_empty() && ring.find(first.blob(), BootTime(1)).is_some(), "nothing is lost");
        ring.put_aside(BootTime(1), |bytes| Some(flip(bytes)));
        assert!(ring.keys.is_empty() && ring.sealed().len() == 2 && ring.find(first.blob(), BootTime(1)).is_none());
        ring.add((same(&second), b"newer", Constraints::default()), &unbound, (BootTime(2), WALL)).expect("room");
        ring.add((same(&third), b"third", Constraints::default()), &unbound, (BootTime(2), WALL)).expect("room");
        ring.take_back(BootTime(3), |_| None);
        assert!(!ring.sealed().is_empty(), "the wrong vault loses nothing");
        ring.take_back(BootTime(3), |bytes| Some(Zeroizing::new(flip(bytes))));
        let names = |ring: &mut Ring, now| {
            let visible = ring.visible(&unbound, (BootTime(now), WALL));
            visible.iter().map(|held| String::from_utf8_lossy(&held.comment).into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(&mut ring, 4), ["first", "newer", "third"]);
        let found = ring.find(first.blob(), BootTime(4)).expect("the first");
        assert_eq!(found.constraints, constraints);
        assert_eq!(names(&mut ring, 100_000), ["newer", "third"], "its lifetime went on");
    }
}
