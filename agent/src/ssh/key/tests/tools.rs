//! OpenSSH's own programs, as they are on this machine: what they send is read, what is made here they take.

use super::super::fields::{Field, write};
use super::{KEYS, PASSPHRASE, SoftKey, added, passphrase, text, vector};
use crate::world::World;
use data_encoding::BASE64;
use sha2::{Digest, Sha512};
use std::fs::Permissions;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn run(command: &mut Command) -> Output {
    let program = command.get_program().to_owned();
    command.stdin(Stdio::null()).output().unwrap_or_else(|error| {
        panic!("{}: {error}; on Debian it comes with apt-get install openssh-client", program.display())
    })
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A file that OpenSSH takes as a key's: nobody else may read it.
fn private(folder: &Path, name: &str, content: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path
}

/// What `ssh-add` sends to an agent that says yes to everything.
fn sent_by_ssh_add(key: &Path, socket: &Path) -> Vec<Vec<u8>> {
    let listener = UnixListener::bind(socket).unwrap();
    let agent = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut frames = Vec::new();
        while let Some(frame) = frame(&mut stream) {
            frames.push(frame);
            stream.write_all(&[0, 0, 0, 1, 6]).unwrap();
        }
        frames
    });
    let output = run(Command::new("ssh-add").arg("-q").arg(key).env("SSH_AUTH_SOCK", socket));
    assert!(output.status.success(), "{}", said(&output));
    agent.join().unwrap()
}

fn frame(stream: &mut UnixStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut frame = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
    stream.read_exact(&mut frame).unwrap();
    Some(frame)
}

#[test]
fn ssh_add_hands_over_every_key_and_its_certificate() {
    for name in KEYS {
        let folder = tempfile::tempdir().unwrap();
        let key = private(folder.path(), "key", &vector(&format!("{name}.openssh")));
        private(folder.path(), "key-cert.pub", &vector(&format!("{name}-cert.pub")));
        let frames = sent_by_ssh_add(&key, &folder.path().join("socket"));
        let keys: Vec<_> = frames.iter().filter_map(|frame| frame.strip_prefix(&[17])).collect();
        assert_eq!(keys.len(), 2, "{name}: SSH_AGENTC_ADD_IDENTITY of the key and of the certificate");
        for (mut frame, public) in keys.into_iter().zip([format!("{name}.pub"), format!("{name}-cert.pub")]) {
            let key = SoftKey::decode(&mut frame).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(key.line(&format!("{name}@host")), text(&public));
        }
    }
}

#[test]
fn ssh_keygen_says_the_same_of_each_key() {
    for name in KEYS {
        for certificate in ["", "-cert"] {
            let key = added(&format!("{name}{certificate}"));
            let folder = tempfile::tempdir().unwrap();
            let public = private(folder.path(), "key.pub", key.line("who").as_bytes());
            let output = run(Command::new("ssh-keygen").arg("-lf").arg(&public));
            let shown = said(&output);
            assert!(shown.starts_with(&format!("{} {} who (", key.bits(), key.fingerprint())), "{name}: {shown}");
            assert_eq!(crate::ssh::fingerprint(key.blob()), key.fingerprint(), "{name}{certificate}");
        }
    }
}

#[test]
fn ssh_keygen_opens_what_is_exported() {
    let entropy = World::real().entropy;
    for name in KEYS {
        let folder = tempfile::tempdir().unwrap();
        let phrase = (name == "ecdsa-384").then(passphrase);
        let file = added(name).export("who", phrase.as_ref(), &*entropy).unwrap();
        let path = private(folder.path(), "key", file.as_bytes());
        let given = if phrase.is_some() { PASSPHRASE } else { "" };
        let output = run(Command::new("ssh-keygen").args(["-y", "-P", given, "-f"]).arg(&path));
        assert_eq!(said(&output).trim_end(), added(name).line("who"));
    }
}

/// An SSHSIG (PROTOCOL.sshsig) around a signature of ours, in its armour.
fn sshsig(key: &SoftKey, namespace: &str, message: &[u8]) -> String {
    let digest = Sha512::digest(message);
    let parts = [namespace.as_bytes(), b"", b"sha512"];
    let mut signed = b"SSHSIG".to_vec();
    signed.extend_from_slice(&write(&parts.map(Field::Text)));
    signed.extend_from_slice(&write(&[Field::Text(&digest)]));
    let flags = if key.algorithm().starts_with("ssh-rsa") { super::super::RSA_SHA2_512 } else { 0 };
    let signature = key.sign(&signed, flags).unwrap();
    let mut blob = b"SSHSIG\0\0\0\x01".to_vec();
    blob.extend_from_slice(&write(&[Field::Text(key.blob())]));
    blob.extend_from_slice(&write(&parts.map(Field::Text)));
    blob.extend_from_slice(&write(&[Field::Text(&signature)]));
    let base64 = BASE64.encode(&blob);
    let lines: Vec<_> = base64.as_bytes().chunks(70).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", lines.join("\n"))
}

#[test]
fn ssh_keygen_verifies_signatures_of_each_key() {
    for name in KEYS {
        let folder = tempfile::tempdir().unwrap();
        let key = added(name);
        let signature = private(folder.path(), "signature", sshsig(&key, "claviger", b"message\n").as_bytes());
        let allowed = format!("ada namespaces=\"claviger\" {}\n", key.line(""));
        let allowed = private(folder.path(), "allowed", allowed.as_bytes());
        let verify = |message: &[u8]| {
            let message = private(folder.path(), "message", message);
            let mut command = Command::new("ssh-keygen");
            command.args(["-Y", "verify", "-I", "ada", "-n", "claviger", "-f"]).arg(&allowed).arg("-s").arg(&signature);
            command.stdin(std::fs::File::open(message).unwrap()).output().unwrap()
        };
        let output = verify(b"message\n");
        assert!(output.status.success(), "{name}: {}", said(&output));
        assert!(!verify(b"another\n").status.success(), "{name}: control");
    }
}
