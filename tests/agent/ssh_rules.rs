//! What a key of the vault does by claviger's rules, and one of ssh-add does not: by messages made by hand.

use crate::home::{Home, PASSPHRASE};
use crate::raw::{FAILURE, Raw, SIGNED, SUCCESS, add, message, sign};
use crate::ssh::{records, socket};
use claviger_agent::ssh::key::{NewKey, RSA_SHA2_512, SoftKey};
use claviger_agent::world::World;

/// A key that is not known anywhere yet.
fn new_key(kind: NewKey) -> SoftKey {
    SoftKey::generate(kind, &*World::real().entropy).expect("a key")
}

/// Stores it in the vault under this name.
fn keep(home: &Home, name: &str, key: &SoftKey, options: &[&str]) {
    let file = key.export(name, None, &*World::real().entropy).expect("a file");
    home.run(&[&["ssh-key", "add", name, "--stdin"], options].concat(), &file).good();
}

#[test]
fn a_key_of_the_vault_never_signs_with_sha_1_and_one_of_ssh_add_does() {
    let home = Home::new();
    home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    let (kept, held) = (new_key(NewKey::Rsa3072), new_key(NewKey::Rsa3072));
    keep(&home, "work", &kept, &["--any-data"]);
    let mut raw = Raw::connect(&socket(&home));
    assert_eq!(raw.kind(&sign(&kept, b"data")), FAILURE);
    let with_sha_2 = [message(13, &[kept.blob(), b"data"]), RSA_SHA2_512.to_be_bytes().to_vec()].concat();
    assert_eq!(raw.kind(&with_sha_2), SIGNED, "the control");
    let refused = records(&home, "ssh.refused");
    assert_eq!(refused[0]["error"], "key: rsa signatures over sha-1 are not made with this key");
    assert_eq!(refused.len(), 1);

    assert_eq!(raw.kind(&add(&held)), SUCCESS);
    let answer = raw.ask(&sign(&held, b"data")).expect("an answer");
    // As OpenSSL makes it, which a test of the key's own room looks at.
    assert_eq!(answer[5..], held.sign_as_openssh(b"data", 0).expect("a signature")[..]);
}
