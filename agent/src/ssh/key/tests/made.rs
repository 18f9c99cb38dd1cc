//! Keys made here, and files written here.

use super::super::{Curve, NewKey};
use super::{Error, KEYS, SoftKey, added, import, passphrase, refusal};
use crate::testing::FakeEntropy;
use crate::world::{Entropy, World};
use claviger::secret::{Passphrase, SecretText};
use std::io;

const NEW: [NewKey; 5] = [
    NewKey::Ed25519,
    NewKey::Ecdsa(Curve::P256),
    NewKey::Ecdsa(Curve::P384),
    NewKey::Ecdsa(Curve::P521),
    NewKey::Rsa3072,
];

struct NoEntropy;

impl Entropy for NoEntropy {
    fn fill(&self, _: &mut [u8]) -> io::Result<()> {
        Err(io::ErrorKind::Other.into())
    }
}

/// Gives a scalar beyond the order of each curve first.
struct Ones(std::sync::atomic::AtomicUsize, u8);

impl Entropy for Ones {
    fn fill(&self, buffer: &mut [u8]) -> io::Result<()> {
        let count = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        buffer.fill(if count == 0 { 0xff } else { self.1 });
        Ok(())
    }
}

#[test]
fn new_keys_come_from_the_given_randomness() {
    for new in NEW {
        let make = |seed| SoftKey::generate(new, &*FakeEntropy::seeded(seed)).unwrap();
        let (key, other) = (make(1), make(2));
        assert_ne!(key.blob(), other.blob(), "{new:?}");
        let decoded = SoftKey::decode(&mut key.encode().unwrap().as_slice()).unwrap();
        assert_eq!(decoded.blob(), key.blob(), "{new:?}");
        if new != NewKey::Rsa3072 {
            assert_eq!(key.blob(), make(1).blob(), "{new:?}");
            assert_eq!(refusal(SoftKey::generate(new, &NoEntropy)), Error::NoEntropy, "{new:?}");
        }
    }
    assert_eq!(SoftKey::generate(NewKey::Rsa4096, &NoEntropy).unwrap().bits(), 4096, "by aws-lc's own randomness");
}

#[test]
fn a_scalar_beyond_the_order_is_drawn_again() {
    for curve in [Curve::P256, Curve::P384, Curve::P521] {
        let entropy = Ones(0.into(), 1);
        assert!(SoftKey::generate(NewKey::Ecdsa(curve), &entropy).is_ok(), "{curve:?}");
        assert_eq!(entropy.0.into_inner(), 2, "{curve:?}");
        assert_eq!(refusal(SoftKey::generate(NewKey::Ecdsa(curve), &Ones(0.into(), 0))), Error::NoEntropy, "zeros");
    }
}

#[test]
fn what_is_exported_is_imported_again() {
    let entropy = World::real().entropy;
    for name in KEYS {
        let key = added(name);
        for passphrase in [None, Some(passphrase())] {
            // Debug builds are slow at bcrypt: one key of each kind is enough.
            if passphrase.is_some() && !["ed25519", "rsa-2048"].contains(&name) {
                continue;
            }
            let file = key.export("Ada Lovelace, büro", passphrase.as_ref(), &*entropy).unwrap();
            let again = import(file.as_bytes(), passphrase.as_ref()).unwrap();
            assert_eq!(again.comment, "Ada Lovelace, büro");
            assert_eq!(again.key.encode().unwrap(), key.encode().unwrap(), "{name}");
            if passphrase.is_some() {
                assert_eq!(refusal(import(file.as_bytes(), None)), Error::PassphraseNeeded);
                let wrong = Passphrase::from_text(String::new());
                assert_eq!(refusal(import(file.as_bytes(), Some(&wrong))), Error::PassphraseWrong);
            }
        }
    }
    let one = added("ed25519").export("", Some(&passphrase()), &*FakeEntropy::seeded(1)).unwrap();
    let other = added("ed25519").export("", Some(&passphrase()), &*FakeEntropy::seeded(2)).unwrap();
    assert_ne!(*one, *other, "salted by the given randomness");
    assert_eq!(refusal(added("ed25519").export("", Some(&passphrase()), &NoEntropy)), Error::NoEntropy);
    let certified = added("ed25519-cert").export("", None, &NoEntropy).unwrap();
    assert_eq!(*certified, *added("ed25519").export("", None, &NoEntropy).unwrap(), "without its certificate");
}
