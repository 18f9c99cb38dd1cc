//! What EC2 makes of keys, and openssl and ssh-keygen with it.

use super::super::{Ec2Fitness, PemForm, ec2_fitness, imported_fingerprint, plain_blob};
use super::{Error, KEYS, SoftKey, added, import, refusal, vector};
use std::io::Write;
use std::process::{Command, Stdio};

/// What a program of the machine says to this input.
fn said(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn digest(hash: &str, input: &[u8]) -> String {
    let said = String::from_utf8(said("openssl", &[hash, "-c"], input)).unwrap();
    said.rsplit("= ").next().unwrap().trim().to_owned()
}

fn openssl_key(name: &str) -> Vec<u8> {
    said("ssh-keygen", &["-e", "-m", "PKCS8", "-f", "/dev/stdin"], &vector(&format!("{name}.pub")))
}

#[test]
fn fingerprints_are_those_of_openssl_and_of_ssh_keygen_for_each_origin() {
    for name in ["rsa-2048", "rsa-3072"] {
        let key = added(name);
        let public = said("openssl", &["pkey", "-pubin", "-outform", "DER"], &openssl_key(name));
        assert_eq!(imported_fingerprint(key.key_blob()).unwrap(), digest("md5", &public), "{name}");
        let pem = key.export_pem(PemForm::Pkcs1).unwrap();
        let private = said("openssl", &["pkcs8", "-topk8", "-nocrypt", "-outform", "DER"], pem.as_bytes());
        assert_eq!(key.created_fingerprint().unwrap(), digest("sha1", &private), "{name}");
    }
    let key = added("ed25519");
    let shown = String::from_utf8(said("ssh-keygen", &["-l", "-f", "/dev/stdin"], &vector("ed25519.pub"))).unwrap();
    let sha256 = shown.split_whitespace().nth(1).unwrap().strip_prefix("SHA256:").unwrap();
    let expected = format!("{sha256}=");
    assert_eq!(imported_fingerprint(key.key_blob()).unwrap(), expected);
    assert_eq!(key.created_fingerprint().unwrap(), expected);
    for name in ["ecdsa-256", "ecdsa-384", "ecdsa-521"] {
        assert!(imported_fingerprint(added(name).key_blob()).is_err() && added(name).created_fingerprint().is_err());
    }
}

/// Of a key that AWS's user guide could have: the numbers of the issue that a peer measured are not public, so openssl's
/// own file is the other opinion.
#[test]
fn a_key_of_openssl_has_the_fingerprint_that_ec2_would_have_given_it() {
    let pem = said("openssl", &["genrsa", "-traditional", "2048"], b"");
    let key = import(&pem, None).unwrap().key;
    let private = said("openssl", &["pkcs8", "-topk8", "-nocrypt", "-outform", "DER"], &pem);
    let public = said("openssl", &["rsa", "-pubout", "-outform", "DER"], &pem);
    assert_eq!(key.created_fingerprint().unwrap(), digest("sha1", &private));
    assert_eq!(imported_fingerprint(key.key_blob()).unwrap(), digest("md5", &public));
    assert_eq!(key.export_pem(PemForm::Pkcs1).unwrap().as_bytes(), pem, "byte for byte");
}

#[test]
fn what_ec2_takes_is_known_before_it_is_asked() {
    for (name, fitness) in [
        ("ed25519", Ec2Fitness::Taken),
        ("rsa-2048", Ec2Fitness::Taken),
        ("rsa-3072", Ec2Fitness::WrongSize(3072)),
        ("ecdsa-256", Ec2Fitness::WrongType),
        ("ecdsa-521", Ec2Fitness::WrongType),
    ] {
        assert_eq!(ec2_fitness(added(name).key_blob()).unwrap(), fitness, "{name}");
        let certified = added(&format!("{name}-cert"));
        assert_eq!(plain_blob(certified.blob()).unwrap(), certified.key_blob(), "{name}");
    }
    assert!(ec2_fitness(b"").is_err());
    assert!(ec2_fitness(&[added("ed25519").key_blob(), &[0]].concat()).is_err());
}

#[test]
fn what_is_exported_in_pem_is_read_by_openssl_and_here() {
    for name in KEYS {
        let key = added(name);
        let pem = key.export_pem(PemForm::Pkcs8).unwrap();
        said("openssl", &["pkey", "-noout", "-check"], pem.as_bytes());
        assert_eq!(import(pem.as_bytes(), None).unwrap().key.encode().unwrap(), key.encode().unwrap(), "{name}");
        match name.starts_with("rsa") {
            true => {
                let pem = key.export_pem(PemForm::Pkcs1).unwrap();
                said("openssl", &["rsa", "-noout", "-check"], pem.as_bytes());
                assert_eq!(import(pem.as_bytes(), None).unwrap().key.encode().unwrap(), key.encode().unwrap());
            }
            false => assert!(matches!(refusal(key.export_pem(PemForm::Pkcs1)), Error::UnsupportedType { .. })),
        }
    }
}

#[test]
fn what_openssl_encrypts_is_decrypted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("public.pem");
    std::fs::write(&file, openssl_key("rsa-2048")).unwrap();
    let arguments = ["pkeyutl", "-encrypt", "-pubin", "-inkey", file.to_str().unwrap()];
    let input = said("openssl", &arguments, b"hunter2-Windows");
    let key: SoftKey = added("rsa-2048");
    assert_eq!(key.decrypt(&input).unwrap().as_slice(), b"hunter2-Windows");
    assert_eq!(refusal(key.decrypt(&input[1..])), Error::Mismatch);
    assert_eq!(refusal(added("rsa-3072").decrypt(&input)), Error::Mismatch, "another key");
    assert!(matches!(refusal(added("ed25519").decrypt(&input)), Error::UnsupportedType { .. }));
}
