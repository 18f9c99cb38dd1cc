//! The parsers under a long run of damaged inputs.

use super::super::fields::{Field, string, write};
use super::super::import::{Cost, import_within};
use super::super::{Error, Result};
use super::{KEYS, SoftKey, added, folder, passphrase, vector};
use crate::testing::parsers::{Parser, Verdict};

/// A key that is taken can be written, and signs.
fn verdict(key: Result<SoftKey>) -> Verdict {
    match key {
        Ok(key) => {
            let again =
                SoftKey::decode(&mut key.encode().unwrap().as_slice()).unwrap_or_else(|error| panic!("{error}"));
            assert!(again.blob() == key.blob() && again.encode().unwrap() == key.encode().unwrap());
            Verdict::Accepted
        }
        Err(error) => Verdict::refused(&error),
    }
}

#[test]
fn the_parser_of_added_keys_withstands_damage() {
    // RSA takes ten times as long to check as the rest; one of each is enough.
    let names = KEYS.iter().filter(|name| **name != "rsa-3072");
    let more = names.flat_map(|name| [format!("{name}.identity"), format!("{name}-cert.identity")]);
    let certified = added("ed25519-cert");
    let foreign = write(&[Field::Text(b"ssh-rsa-cert-v01@openssh.com"), Field::Text(certified.blob())]).to_vec();
    let parser = Parser {
        name: "ssh-added-key",
        more: more.map(|name| vector(&name)).chain([foreign]).collect(),
        tokens: &[
            b"\0\0\0\0",
            b"\0\0\0\x01\x80",
            b"\0\0\0\x20",
            b"\xff\xff\xff\xff",
            b"\0\x03\xff\xff",
            b"ssh-ed25519",
            b"ssh-rsa",
            b"ssh-rsa-cert-v01@openssh.com",
            b"ssh-ed25519-cert-v01@openssh.com",
            b"ecdsa-sha2-nistp256",
            b"ecdsa-sha2-nistp521-cert-v01@openssh.com",
            b"sk-ssh-ed25519@openssh.com",
            b"nistp256",
            b"nistp384",
        ],
        taken: 30,
        refusals: &["CertificateOfAnotherKey", "Malformed", "Mismatch", "UnsupportedType"],
        parse: &|input| {
            let mut rest = input;
            let key = SoftKey::decode(&mut rest);
            assert!(key.is_ok() || rest.len() == input.len());
            if key.is_ok() {
                let _comment = string(&mut rest);
            }
            verdict(key)
        },
    };
    parser.withstands_damage();
}

#[test]
fn the_parser_of_key_files_withstands_damage() {
    // What a passphrase may cost is bounded as for a person, lower: no input is worth a minute here.
    let most = Cost { bcrypt_rounds: 2, pbkdf2_rounds: 2048, memory: 1024, written: 4096 };
    let mut names: Vec<_> =
        std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    // Large keys and derivations take long, and say nothing that the small ones do not.
    let slow = |name: &str| name.contains("8192") || name.contains("3072") || name.ends_with(".identity");
    names.retain(|name| !slow(name));
    names.sort();
    let parser = Parser {
        name: "ssh-key-file",
        more: names.iter().map(|name| vector(name)).collect(),
        tokens: &[
            b"-----BEGIN OPENSSH PRIVATE KEY-----\n",
            b"-----END OPENSSH PRIVATE KEY-----\n",
            b"-----BEGIN RSA PRIVATE KEY-----\n",
            b"-----BEGIN EC PRIVATE KEY-----\n",
            b"-----BEGIN PRIVATE KEY-----\n",
            b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n",
            b"-----",
            b"Proc-Type: 4,ENCRYPTED\n",
            b"DEK-Info: AES-256-CBC,00112233445566778899AABBCCDDEEFF\n",
            b"PuTTY-User-Key-File-2: ssh-rsa\n",
            b"Argon2-Memory: 4294967295\n",
            b"Private-Lines: 99999999\n",
            b"Encryption: aes256-cbc\n",
            b"ssh-ed25519",
            b"AAAA",
            b"====",
            b"\r\n",
        ],
        taken: 10,
        refusals: &["EncryptionUnsupported", "Malformed", "NoPrivateKey", "PassphraseWrong", "PublicKeyOnly"],
        parse: &|input| {
            let given = (input.len() % 4 != 0).then(passphrase);
            let imported = import_within(input, given.as_ref(), most);
            if let Err(error) = &imported {
                assert_ne!(*error, Error::NoEntropy);
            }
            verdict(imported.map(|imported| imported.key))
        },
    };
    parser.withstands_damage();
}

/// The DER inside, whose base64 damage would not leave whole.
#[test]
fn the_parser_of_der_keys_withstands_damage() {
    let named =
        [("EC", "ecdsa-256.pem"), ("EC", "without-point.pem"), ("RSA", "rsa-2048.pem"), ("", "ecdsa-384.pkcs8")];
    let more = named.into_iter().chain([("", "ed25519.pkcs8"), ("", "refused-ed448.pkcs8")]);
    let content = |name: &str| {
        let text = super::text(name);
        let lines: String = text.lines().filter(|line| !line.starts_with('-')).collect();
        data_encoding::BASE64.decode(lines.as_bytes()).unwrap()
    };
    let number = |label| match label {
        "EC" => b'e',
        "RSA" => b'r',
        _ => b'p',
    };
    let parser = Parser {
        name: "ssh-key-der",
        more: more.map(|(label, name)| [vec![number(label)], content(name)].concat()).collect(),
        tokens: &[
            b"\x30",
            b"\x30\x82\x01\x00",
            b"\x02\x01\x00",
            b"\x04\x20",
            b"\xa0\x07\x06\x05",
            b"\x03\x42\x00\x04",
            b"\x02\x00",
        ],
        taken: 20,
        refusals: &["Malformed", "Mismatch", "UnsupportedType"],
        parse: &|input| {
            let Some((first, content)) = input.split_first() else { return Verdict::none("empty") };
            let label = match first {
                b'e' => "EC PRIVATE KEY",
                b'r' => "RSA PRIVATE KEY",
                _ => "PRIVATE KEY",
            };
            let base64 = data_encoding::BASE64.encode(content);
            let file = format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n");
            verdict(super::import(file.as_bytes(), None).map(|imported| imported.key))
        },
    };
    parser.withstands_damage();
}
