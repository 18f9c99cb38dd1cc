//! Signatures of files and of commits, with keys that the agent alone has.

use crate::agent::Program;
use crate::stage::{KINDS, Stage};
use std::fs;

on_both!(files_are_signed, a_commit_is_signed);

fn files_are_signed(program: Program) {
    let stage = Stage::new(program);
    stage.keys();
    stage.key("ca", "ed25519", "256");
    stage.certify("ca", "ed25519", "ada");
    stage.write("data", "what is signed\n");
    let data = stage.read("data");
    for (name, ..) in KINDS {
        stage.hand_over(&["-q"], name);
    }
    let verify = |namespace: &str, data: &str| {
        let (signers, signature) = (stage.path("signers"), stage.path("data.sig"));
        let words = ["ssh-keygen", "-Y", "verify", "-f", &signers, "-I", "ada", "-n", namespace, "-s", &signature];
        stage.run_with(&words, data.as_bytes())
    };
    for (name, ..) in KINDS {
        for hash in ["sha256", "sha512"] {
            let hash = format!("hashalg={hash}");
            let public = stage.path(&format!("{name}.pub"));
            stage
                .run(&["ssh-keygen", "-Y", "sign", "-n", "file", "-O", &hash, "-f", &public, &stage.path("data")])
                .good();
            stage.write("signers", &format!("ada {}\n", stage.public(name)));
            verify("file", &data).good();
            // The controls.
            verify("email", &data).bad();
            verify("file", "something else").bad();
            fs::remove_file(stage.file("data.sig")).expect("the signature");
        }
    }
    // By the certificate, which is what the signature holds then.
    let certificate = stage.path("ed25519-cert.pub");
    stage.run(&["ssh-keygen", "-Y", "sign", "-n", "file", "-f", &certificate, &stage.path("data")]).good();
    stage.write("signers", &format!("ada cert-authority {}\n", stage.public("ca")));
    verify("file", &data).good();
}

fn a_commit_is_signed(program: Program) {
    let stage = Stage::new(program);
    ["key", "other"].iter().for_each(|name| stage.key(name, "ed25519", "256"));
    stage.hand_over(&["-q"], "key");
    let folder = stage.path("tree");
    let signing = format!("user.signingkey={}", stage.path("key.pub"));
    let signers = format!("gpg.ssh.allowedSignersFile={}", stage.path("signers"));
    let settings = [
        "user.name=Ada",
        "user.email=ada@example.com",
        "gpg.format=ssh",
        "init.defaultBranch=main",
        &signing,
        &signers,
    ];
    let git = |words: &[&str]| {
        let mut all = vec!["git", "-C", &folder];
        settings.iter().for_each(|setting| all.extend(["-c", setting]));
        stage.run(&[&all, words].concat())
    };
    fs::create_dir(&folder).expect("a folder");
    git(&["init", "-q"]).good();
    git(&["commit", "-q", "-S", "--allow-empty", "-m", "signed"]).good();
    git(&["tag", "-s", "-m", "signed", "one"]).good();
    stage.write("signers", &format!("ada@example.com namespaces=\"git\" {}\n", stage.public("key")));
    let told = git(&["verify-commit", "HEAD"]);
    assert!(told.stderr.contains("Good \"git\" signature for ada@example.com"), "{told:?}");
    git(&["verify-commit", "HEAD"]).good();
    git(&["verify-tag", "one"]).good();
    // The control: another key has not signed it.
    stage.write("signers", &format!("ada@example.com {}\n", stage.public("other")));
    git(&["verify-commit", "HEAD"]).bad();
}
