//! Signatures, by another library's verifier.

use super::super::fields::{magnitude, positive, string};
use super::super::{RSA_SHA2_256, RSA_SHA2_512};
use super::{Error, KEYS, SoftKey, added, refusal};
use crate::ssh::key::NewKey;
use crate::testing::{figure, rounds};
use crate::world::World;
use rustix::time::{ClockId, clock_gettime};
use ssh_key::public::KeyData;
use ssh_key::{PublicKey, Signature};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// Whether this is the key's signature of the data, as ssh-key sees it, and the name it has.
fn holds(key: &SoftKey, data: &[u8], blob: &[u8]) -> Option<String> {
    let public = PublicKey::from_bytes(key.key_blob()).unwrap();
    let signature = Signature::try_from(blob).ok()?;
    let key: &KeyData = public.key_data();
    ed25519_dalek::Verifier::verify(key, data, &signature).ok()?;
    Some(signature.algorithm().to_string())
}

fn flags(name: &str) -> &'static [(u32, &'static str)] {
    let rsa = &[
        (RSA_SHA2_256, "rsa-sha2-256"),
        (RSA_SHA2_512, "rsa-sha2-512"),
        (RSA_SHA2_256 | RSA_SHA2_512, "rsa-sha2-256"),
    ];
    match name {
        "ecdsa-256" => &[(0, "ecdsa-sha2-nistp256"), (RSA_SHA2_512, "ecdsa-sha2-nistp256")],
        "ecdsa-384" => &[(0, "ecdsa-sha2-nistp384")],
        "ecdsa-521" => &[(0, "ecdsa-sha2-nistp521")],
        "ed25519" => &[(0, "ssh-ed25519"), (RSA_SHA2_256, "ssh-ed25519")],
        _ => rsa,
    }
}

#[test]
fn signatures_hold_and_have_the_name_of_the_plain_key() {
    for name in KEYS {
        for key in [added(name), added(&format!("{name}-cert"))] {
            for data in [&b""[..], b"data", &[7; 70_000]] {
                for (flags, algorithm) in flags(name) {
                    let blob = key.sign(data, *flags).unwrap();
                    assert_eq!(holds(&key, data, &blob).as_deref(), Some(*algorithm), "{name}");
                    // Controls: other data, another bit of the signature.
                    assert_eq!(holds(&key, b"other data", &blob), None, "{name}");
                    let mut other = blob.clone();
                    *other.last_mut().unwrap() ^= 1;
                    assert_eq!(holds(&key, data, &other), None, "{name}");
                }
            }
        }
    }
}

/// OpenSSL makes the same of it: this signature has no randomness in it.
fn by_openssl(key: &SoftKey, data: &[u8]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let (file, signed) = (folder.path().join("key"), folder.path().join("data"));
    std::fs::write(&file, key.export("", None, &*World::real().entropy).unwrap().as_bytes()).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let pem = ["-q", "-p", "-N", "", "-P", "", "-m", "PEM", "-f"];
    assert!(Command::new("ssh-keygen").args(pem).arg(&file).status().unwrap().success());
    std::fs::write(&signed, data).unwrap();
    let made = Command::new("openssl").args(["dgst", "-sha1", "-sign"]).arg(&file).arg(&signed).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    made.stdout
}

#[test]
fn sha_1_is_signed_with_where_openssh_does() {
    let made = SoftKey::generate(NewKey::Rsa3072, &*World::real().entropy).unwrap();
    for (name, key) in [("2048", added("rsa-2048")), ("3072", added("rsa-3072-cert")), ("made", made)] {
        for data in [&b""[..], b"data", &[7; 70_000]] {
            assert_eq!(refusal(key.sign(data, 0)), Error::Sha1, "{name}");
            let blob = key.sign_as_openssh(data, 0).unwrap();
            let mut rest = blob.as_slice();
            assert_eq!(string(&mut rest), Ok(&b"ssh-rsa"[..]));
            assert_eq!(string(&mut rest).unwrap(), by_openssl(&key, data), "{name}");
            assert!(rest.is_empty());
        }
    }
    let ed25519 = added("ed25519");
    assert_eq!(ed25519.sign_as_openssh(b"data", 0), ed25519.sign(b"data", 0), "it means nothing to others");
}

#[test]
fn unknown_flags_are_refused() {
    for name in KEYS {
        for flags in [1, 3, 8, 0x8000_0000] {
            assert_eq!(refusal(added(name).sign(b"data", flags)), Error::FlagsUnknown, "{name} {flags}");
            assert_eq!(refusal(added(name).sign_as_openssh(b"data", flags)), Error::FlagsUnknown, "{name} {flags}");
        }
    }
}

/// r and s as mpints: with a leading zero where the first bit is set, and without any other. Once in 256 one is shorter.
#[test]
fn the_numbers_of_an_ecdsa_signature_are_mpints() {
    let (key, mut shorter, mut signed) = (added("ecdsa-256"), 0, 0);
    for number in 0..rounds(600, 20_000) {
        let data = number.to_be_bytes();
        let blob = key.sign(&data, 0).unwrap();
        let mut rest = blob.as_slice();
        assert_eq!(string(&mut rest), Ok(&b"ecdsa-sha2-nistp256"[..]));
        let mut numbers = string(&mut rest).unwrap();
        assert!(rest.is_empty());
        for _ in 0..2 {
            let raw = string(&mut &*numbers).unwrap();
            let plain = positive(&mut numbers).unwrap();
            assert!(raw.len() == plain.len() + usize::from(plain[0] & 0x80 != 0));
            assert_eq!(magnitude(plain), Some(plain));
            shorter += usize::from(plain.len() < 32);
            signed += usize::from(raw.len() == 33);
        }
        assert!(numbers.is_empty());
    }
    assert!(shorter > 0 && signed > 0, "{shorter} shorter, {signed} with a sign");
}

#[test]
fn ed25519_signs_as_rfc_8032_says() {
    // Section 7.1, test 2.
    let hex = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
    let seed = hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
    let public = hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
    let signature = hex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    );
    let key = super::super::Ed25519::new(&seed).unwrap();
    assert_eq!(key.sign(&[0x72]).to_vec(), signature);
    assert_eq!(key.pair().split_at(32).1, public);
}

/// A figure, no more: the gate is a row of `cargo xtask bench`.
#[test]
fn signatures_per_second() {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        f64::from(i32::try_from(time.tv_sec).unwrap()) + f64::from(i32::try_from(time.tv_nsec).unwrap()) / 1e9
    };
    for name in KEYS {
        let (key, flags) = (added(name), flags(name)[0].0);
        let count = rounds(5, 2000);
        let begun = now();
        for _ in 0..count {
            key.sign(&[7; 400], flags).unwrap();
        }
        let rate = f64::from(u32::try_from(count).unwrap()) / (now() - begun);
        figure(&format!("signatures a second, one thread, {name}"), format!("{rate:.0}"));
    }
    for name in ["rsa-2048", "rsa-3072"] {
        let (key, count) = (added(name), rounds(5, 200));
        let begun = now();
        for _ in 0..count {
            key.sign_as_openssh(&[7; 400], 0).unwrap();
        }
        let rate = f64::from(u32::try_from(count).unwrap()) / (now() - begun);
        figure(&format!("signatures a second, one thread, {name} with SHA-1"), format!("{rate:.0}"));
    }
}
