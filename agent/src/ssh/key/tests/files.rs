//! Files of every tool are read, and what is refused is refused by name.

use super::super::import::{Cost, import_within};
use super::{Error, KEYS, SoftKey, folder, import, passphrase, refusal, text, vector};
use claviger::secret::{Passphrase, SecretText};

/// The key that a file holds by its name, where it is one of ours.
fn expected(name: &str) -> Option<&'static str> {
    KEYS.into_iter().find(|key| name.starts_with(key))
}

fn files() -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let others = [".md", ".pub", ".identity", ".fingerprint"];
    names.retain(|name| !others.iter().any(|ending| name.ends_with(ending)));
    names.sort();
    names
}

#[test]
fn every_file_of_the_tools_is_read() {
    let mut read = 0;
    for name in files().into_iter().filter(|name| !name.starts_with("refused-")) {
        let imported = import(&vector(&name), Some(&passphrase())).unwrap_or_else(|error| panic!("{name}: {error}"));
        let Some(key) = expected(&name) else { continue };
        let certified = name.contains("-cert");
        let public = text(&format!("{key}{}.pub", if certified { "-cert" } else { "" }));
        assert_eq!(imported.key.line(&format!("{key}@host")), public, "{name}");
        assert_eq!(imported.key.certificate().is_some(), certified, "{name}");
        let commented = name.ends_with(".openssh") || name.ends_with(".ppk");
        assert_eq!(imported.comment, if commented { format!("{key}@host") } else { String::new() }, "{name}");
        read += 1;
    }
    assert!(read >= 45, "{read}");
}

#[test]
fn keys_of_older_tools_and_odd_bytes_are_read() {
    for (name, bits, kind) in [
        ("compressed-point.pem", 256, "ecdsa-sha2-nistp256"),
        ("without-point.pem", 256, "ecdsa-sha2-nistp256"),
        ("with-parameters.pem", 256, "ecdsa-sha2-nistp256"),
        ("exponent-three.pem", 2048, "ssh-rsa"),
        ("rsa-8192.pem", 8192, "ssh-rsa"),
        ("leading-zero.ppk", 256, "ssh-ed25519"),
        ("trailing-zero.ppk", 256, "ssh-ed25519"),
    ] {
        let key = import(&vector(name), None).unwrap_or_else(|error| panic!("{name}: {error}")).key;
        assert_eq!((key.bits(), key.algorithm()), (bits, kind), "{name}");
        let again = SoftKey::decode(&mut key.encode().unwrap().as_slice()).unwrap();
        assert_eq!(again.blob(), key.blob(), "{name}");
    }
    let points = ["compressed-point.pem", "without-point.pem"].map(|name| import(&vector(name), None).unwrap().key);
    assert!(points.iter().all(|key| key.line("ecdsa-256@host") == text("ecdsa-256.pub")));
}

#[test]
fn an_encrypted_file_asks_for_its_passphrase() {
    let wrong = Passphrase::from_text("correct house".to_owned());
    let mut tried = 0;
    for name in files() {
        let file = vector(&name);
        let encrypted = name.contains("-encrypted") || name == "ed25519-cert.ppk";
        if encrypted {
            assert_eq!(refusal(import(&file, None)), Error::PassphraseNeeded, "{name}");
            assert_eq!(refusal(import(&file, Some(&wrong))), Error::PassphraseWrong, "{name}");
            tried += 1;
        } else if !name.starts_with("refused-") {
            assert!(import(&file, None).is_ok(), "{name}");
        }
    }
    assert!(tried >= 17, "{tried}");
}

#[test]
fn what_is_not_held_is_refused_by_name() {
    let unsupported = |kind| Error::UnsupportedType { kind };
    for (name, error) in [
        ("refused-des3.pem", Error::EncryptionUnsupported),
        ("refused-des3.pkcs8", Error::EncryptionUnsupported),
        ("refused-dsa.openssh", unsupported("dsa")),
        ("refused-dsa.pem", unsupported("dsa")),
        ("refused-ed448.pkcs8", unsupported("unknown")),
        ("refused-pbes1.pkcs8", Error::EncryptionUnsupported),
        ("refused-rsa-1024.openssh", Error::RsaTooSmall { bits: 1024 }),
        ("refused-rsa-1024.pem", Error::RsaTooSmall { bits: 1024 }),
        ("refused-rsa-pss.pkcs8", unsupported("unknown")),
        ("refused-secp256k1.pem", unsupported("ecdsa over another curve")),
        ("ed25519.pub", Error::PublicKeyOnly),
        ("rsa-2048-cert.pub", Error::PublicKeyOnly),
    ] {
        assert_eq!(refusal(import(&vector(name), Some(&passphrase()))), error, "{name}");
    }
    let all: Vec<_> = files().into_iter().filter(|name| name.starts_with("refused-")).collect();
    assert_eq!(all.len(), 10, "{all:?}");
    for (file, error) in [
        (&b""[..], Error::NoPrivateKey),
        (b"[default]\nregion = eu-central-1\n", Error::NoPrivateKey),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", Error::PublicKeyOnly),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", Error::PublicKeyOnly),
        (b"---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n---- END SSH2 PUBLIC KEY ----\n", Error::PublicKeyOnly),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n", Error::Malformed),
        (b"-----BEGIN PRIVATE KEY-----\nA=AA\n-----END PRIVATE KEY-----\n", Error::Malformed),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n", Error::Malformed),
        (b"-----BEGIN PGP PRIVATE KEY-----\nAAAA\n-----END PGP PRIVATE KEY-----\n", unsupported("unknown")),
        (b"PuTTY-User-Key-File-1: ssh-rsa\n", unsupported("ppk of another version")),
        (b"PuTTY-User-Key-File-3: ssh-dss\nEncryption: none\n", unsupported("dsa")),
        (b"SSH PRIVATE KEY FILE FORMAT 1.1\n\0\0", unsupported("ssh-1")),
    ] {
        assert_eq!(refusal(import(file, None)), error, "{:?}", file.escape_ascii().to_string());
    }
}

#[test]
fn lines_may_be_of_any_width_and_end() {
    let original = text("ed25519.openssh");
    let base64: String = original.lines().filter(|line| !line.starts_with('-')).collect();
    let wide = format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{base64}\n-----END OPENSSH PRIVATE KEY-----");
    let narrow = base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect::<Vec<_>>();
    let narrow = wide.replace(&base64, &narrow.join("\n"));
    let indented = original.replace('\n', "\n    ");
    for file in
        [wide, narrow, indented, original.replace('\n', "\r\n"), format!("\u{feff}\n\nmy key:\n{original}\n\nend")]
    {
        let key = import(file.as_bytes(), None).unwrap_or_else(|error| panic!("{error}: {file}")).key;
        assert_eq!(key.line("ed25519@host"), text("ed25519.pub"));
    }
    let putty = text("ed25519-encrypted.ppk").replace('\n', "\r\n");
    assert!(import(putty.as_bytes(), Some(&passphrase())).is_ok());
}

#[test]
fn a_file_cannot_ask_for_any_amount_of_work() {
    let none = Cost { bcrypt_rounds: 0, pbkdf2_rounds: 0, memory: 0, written: 0 };
    let derived = [
        "ed25519-encrypted.openssh",
        "rsa-2048-encrypted.pkcs8",
        "ecdsa-384-encrypted.pkcs8",
        "rsa-2048-encrypted.ppk",
    ];
    for name in derived {
        let refused = import_within(&vector(name), Some(&passphrase()), none);
        assert_eq!(refusal(refused), Error::DerivationTooCostly, "{name}");
    }
    for (from, to) in
        [("Argon2-Memory: 64", "Argon2-Memory: 4294967295"), ("Argon2-Passes: 2", "Argon2-Passes: 4294967295")]
    {
        let file = text("rsa-2048-encrypted.ppk");
        assert!(file.contains(from));
        let refused = import(file.replace(from, to).as_bytes(), Some(&passphrase()));
        assert_eq!(refusal(refused), Error::DerivationTooCostly, "{to}");
    }
}

#[test]
fn a_change_of_a_putty_file_is_seen() {
    for (name, from, to) in [
        ("ed25519.ppk", "Comment: ed25519@host", "Comment: another"),
        ("rsa-2048-2.ppk", "Comment: rsa-2048@host", "Comment: another"),
        ("ecdsa-384.ppk", "ecdsa-sha2-nistp384\n", "ecdsa-sha2-nistp256\n"),
    ] {
        let file = text(name);
        assert!(file.contains(from), "{name}");
        assert_eq!(refusal(import(file.replace(from, to).as_bytes(), None)), Error::Malformed, "{name}");
    }
}
