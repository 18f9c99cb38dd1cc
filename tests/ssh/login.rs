//! Logins with each type of key and its certificate, and what runs over them.

use crate::agent::Program;
use crate::host::{HOW, Host, ssh, user};
use crate::stage::{KINDS, Stage};
use std::fs;

on_both!(each_key_logs_in, each_certificate_logs_in, an_rsa_key_signs_by_the_hash_that_is_asked_for, files_are_copied);

fn each_key_logs_in(program: Program) {
    let stage = Stage::new(program);
    stage.keys();
    let authorized: String = KINDS.iter().map(|(name, ..)| stage.read(&format!("{name}.pub"))).collect();
    let _host = Host::start(&stage, "alpha", &authorized);
    for (name, ..) in KINDS {
        let options = ["-o", "IdentitiesOnly=yes", "-i", &stage.path(&format!("{name}.pub"))];
        // The control: without the agent nothing lets in.
        fs::rename(stage.file(name), stage.file("away")).expect("a move");
        ssh(&stage, &options, "alpha", HOW).bad();
        fs::rename(stage.file("away"), stage.file(name)).expect("a move");
        stage.hand_over(&[], name);
        let how = ssh(&stage, &options, "alpha", HOW).good();
        assert_eq!(how.trim(), format!("publickey {}", stage.public(name)));
    }
    // All of them at once, in the agent's order.
    let how = ssh(&stage, &[], "alpha", HOW).good();
    assert_eq!(how.trim(), format!("publickey {}", stage.public("ed25519")));
}

fn each_certificate_logs_in(program: Program) {
    let stage = Stage::new(program);
    stage.key("ca", "ed25519", "256");
    stage.keys();
    let authorized = format!("cert-authority {}\n", stage.public("ca"));
    let _host = Host::start(&stage, "alpha", &authorized);
    let me = user(&stage);
    for (name, ..) in KINDS {
        stage.certify("ca", name, &me);
        stage.hand_over(&[], name);
        let (plain, certificate) = (format!("{name}.pub"), format!("{name}-cert.pub"));
        let only = ["-o", "IdentitiesOnly=yes", "-i", &stage.path(&plain)];
        let file = format!("CertificateFile={}", stage.path(&certificate));
        let how = ssh(&stage, &[&only[..], &["-o", file.as_str()]].concat(), "alpha", HOW).good();
        assert_eq!(how.trim(), format!("publickey {}", stage.public(&format!("{name}-cert"))));
        // The control: the key alone, its certificate out of reach, is not let in.
        fs::rename(stage.file(&certificate), stage.file("away")).expect("a move");
        ssh(&stage, &only, "alpha", HOW).bad();
        fs::rename(stage.file("away"), stage.file(&certificate)).expect("a move");
    }
    assert_eq!(stage.listed().len(), 2 * KINDS.len(), "key and certificate of each");
}

fn an_rsa_key_signs_by_the_hash_that_is_asked_for(program: Program) {
    let stage = Stage::new(program);
    stage.key("rsa", "rsa", "2048");
    let _host = Host::start(&stage, "alpha", &stage.read("rsa.pub"));
    stage.hand_over(&[], "rsa");
    let by = |algorithm: &str| {
        let accepted = format!("PubkeyAcceptedAlgorithms={algorithm}");
        ssh(&stage, &["-o", &accepted], "alpha", HOW)
    };
    by("rsa-sha2-256").good();
    by("rsa-sha2-512").good();
    // With SHA-1, for a server that knows nothing else.
    by("ssh-rsa").good();
}

fn files_are_copied(program: Program) {
    let stage = Stage::new(program);
    stage.key("key", "ed25519", "256");
    let _host = Host::start(&stage, "alpha", &stage.read("key.pub"));
    stage.hand_over(&[], "key");
    let (config, from) = (stage.path("config"), stage.path("from"));
    let bytes: Vec<u8> = (0..200_000_u32).flat_map(|at| (at.wrapping_mul(2_654_435_761)).to_le_bytes()).collect();
    fs::write(&from, &bytes).expect("a file");
    let copied = |name: &str| assert!(fs::read(stage.file(name)).expect("the copy") == bytes, "{name}");

    stage.run(&["scp", "-q", "-F", &config, &from, &format!("alpha:{}", stage.path("there"))]).good();
    copied("there");
    stage.run(&["scp", "-q", "-F", &config, &format!("alpha:{}", stage.path("there")), &stage.path("back")]).good();
    copied("back");

    let batch = format!("put {from} {}\nget {} {}\n", stage.path("put"), stage.path("put"), stage.path("got"));
    stage.run_with(&["sftp", "-q", "-F", &config, "-b", "-", "alpha"], batch.as_bytes()).good();
    copied("put");
    copied("got");
}
