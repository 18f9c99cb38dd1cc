//! The lock of `ssh-add -x`: a passphrase of its own, which has nothing to do with the vault's.

use crate::world::{BootTime, Entropy};
use argon2::{Algorithm, Argon2, Params, Version};
use claviger::secret::Secret;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// What a guess costs: 19 MiB and 2 passes (OWASP's least for Argon2id), some 30 ms. Whoever reads the agent's memory to
/// guess elsewhere has the keys already.
const COST: (u32, u32) = (19 * 1024, 2);
/// How much longer each wrong passphrase makes the next one wait (OpenSSH: 100 ms), and at most.
const WAIT_MILLIS: (u64, u64) = (100, 10_000);

/// Locked or not.
#[derive(Default)]
pub struct SoftLock {
    held: Option<Bolt>,
    failures: u64,
    not_before: Option<BootTime>,
}

/// What a passphrase is compared with.
#[derive(Clone)]
pub struct Bolt {
    salt: [u8; 16],
    digest: Zeroizing<[u8; 32]>,
}

impl SoftLock {
    /// Whether it is locked.
    pub fn is_locked(&self) -> bool {
        self.held.is_some()
    }

    /// Locks; false where it is locked already.
    pub fn lock(&mut self, bolt: Bolt) -> bool {
        let free = !self.is_locked();
        if free {
            self.held = Some(bolt);
        }
        free
    }

    /// Its bytes, for [`SoftLock::restore`]. None where nothing is locked.
    pub fn encoded(&self) -> Option<Zeroizing<Vec<u8>>> {
        self.held.as_ref().map(|bolt| Zeroizing::new([bolt.salt.as_slice(), bolt.digest.as_slice()].concat()))
    }

    /// Locks with the passphrase that another lock had; false where the bytes are none.
    pub fn restore(&mut self, bytes: &[u8]) -> bool {
        let parts = bytes.split_first_chunk::<16>();
        let bolt = parts
            .and_then(|(salt, digest)| Some(Bolt { salt: *salt, digest: Zeroizing::new(digest.try_into().ok()?) }));
        bolt.is_some_and(|bolt| self.lock(bolt))
    }

    /// When a passphrase may be tried, and what it is compared with; None where nothing is locked.
    pub fn guess(&self) -> Option<(Option<BootTime>, Bolt)> {
        Some((self.not_before, self.held.clone()?))
    }

    /// Takes the outcome of a guess: opens, or makes the next one wait.
    pub fn judge(&mut self, right: bool, now: BootTime) {
        if right {
            *self = Self::default();
        } else {
            self.failures = self.failures.saturating_add(1);
            let (each, most) = WAIT_MILLIS;
            self.not_before = Some(now.plus_millis(self.failures.saturating_mul(each).min(most)));
        }
    }
}

impl Bolt {
    /// Of a passphrase. Takes tens of milliseconds, as does the comparison. None where the machine has no randomness.
    pub fn of(passphrase: &Secret<Vec<u8>>, entropy: &dyn Entropy) -> Option<Self> {
        let mut salt = [0; 16];
        entropy.fill(&mut salt).ok()?;
        Some(Self { salt, digest: stretched(passphrase, &salt)? })
    }

    /// Whether this is the passphrase.
    pub fn is(&self, passphrase: &Secret<Vec<u8>>) -> bool {
        stretched(passphrase, &self.salt).is_some_and(|digest| digest.as_slice().ct_eq(self.digest.as_slice()).into())
    }
}

fn stretched(passphrase: &Secret<Vec<u8>>, salt: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let params = Params::new(COST.0, COST.1, 1, Some(32)).ok()?;
    let mut digest = Zeroizing::new([0; 32]);
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_into(passphrase.expose(), salt, digest.as_mut_slice()).ok()?;
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::{Bolt, SoftLock};
    use crate::world::{BootTime, World};
    use claviger::secret::Secret;

    fn typed(text: &str) -> Secret<Vec<u8>> {
        Secret::new(text.as_bytes().to_vec())
    }

    #[test]
    fn only_its_passphrase_opens_it_and_each_wrong_one_makes_the_next_wait_longer() {
        let mut lock = SoftLock::default();
        let bolt = |text| Bolt::of(&typed(text), &*World::real().entropy).expect("a bolt");
        assert!(lock.guess().is_none());
        assert!(lock.lock(bolt("right")) && lock.is_locked());
        assert!(!lock.lock(bolt("other")), "locked twice");
        let mut waits = Vec::new();
        for _ in 0..3 {
            let (not_before, bolt) = lock.guess().expect("locked");
            waits.push(not_before);
            lock.judge(bolt.is(&typed("wrong")), BootTime(0));
        }
        assert!(lock.is_locked());
        assert_eq!(waits, [None, Some(BootTime(100)), Some(BootTime(200))]);
        let (_, bolt) = lock.guess().expect("locked");
        lock.judge(bolt.is(&typed("right")), BootTime(0));
        assert!(!lock.is_locked() && lock.guess().is_none());
    }
}
