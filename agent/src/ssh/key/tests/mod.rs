//! Keys of the real tools (`tests/vectors/ssh-keys`, made by OpenSSH 9.2, OpenSSL 3.0 and PuTTY 0.78), by name: the key,
//! then how its file is written. `-encrypted` ones are under [`PASSPHRASE`], `refused-` ones are not held.

mod damage;
mod ec2;
mod files;
mod made;
mod signatures;
mod tools;
mod wire;

use super::{Error, Result, SoftKey, import};
use claviger::secret::{Passphrase, SecretText};
use std::path::PathBuf;

const PASSPHRASE: &str = "correct horse";

/// The plain keys, each with a certificate, and what `ssh-add` sends of both.
const KEYS: [&str; 6] = ["ecdsa-256", "ecdsa-384", "ecdsa-521", "ed25519", "rsa-2048", "rsa-3072"];

fn folder() -> PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/ssh-keys")
}

fn vector(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn text(name: &str) -> String {
    String::from_utf8(vector(name)).unwrap().trim_end().to_owned()
}

fn passphrase() -> Passphrase {
    Passphrase::from_text(PASSPHRASE.to_owned())
}

/// A key as `ssh-add` sends it, `-cert` for its certificate.
fn added(name: &str) -> SoftKey {
    SoftKey::decode(&mut vector(&format!("{name}.identity")).as_slice())
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// [`SoftKey`] has no `Debug`, so `unwrap_err` does not serve.
fn refusal<T>(outcome: Result<T>) -> Error {
    outcome.err().expect("refused")
}
