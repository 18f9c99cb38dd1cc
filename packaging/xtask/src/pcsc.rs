//! The virtual YubiKey and its reader (tests/rigs/yubikey): built, and put where the tests of devices find them.

use crate::run::{Job, Outcome, copy_program, make_folder, root, target};
use std::path::PathBuf;

/// Where the rig's sources are.
fn source() -> PathBuf {
    root().join("tests/rigs/yubikey")
}

/// Builds the cards, and the two libraries for pcscd.
pub(crate) fn build() -> Outcome {
    let (plain, folder) = (target().join("plain"), target().join("yubikey"));
    make_folder(&plain)?;
    let build = Job::cargo("build --quiet --locked --manifest-path").and([source().join("Cargo.toml")]);
    build.and(["--target-dir"]).and([&folder]).run()?;
    for program in ["claviger-virtual-yubikey", "claviger-nitrokey-card"] {
        copy_program(&folder.join("debug").join(program), &plain)?;
    }
    library("bus")?;
    library("reader")
}

fn library(name: &str) -> Outcome {
    let made = target().join("plain").join(format!("lib{name}.so"));
    let compiler = ["cc", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-I/usr/include/PCSC", "-o"];
    Job::new(compiler).and([made]).and([source().join("pcscd").join(format!("{name}.c"))]).run()
}

/// The cards' own tests.
pub(crate) fn test() -> Outcome {
    let test = Job::cargo("test --quiet --locked --manifest-path").and([source().join("Cargo.toml")]);
    test.and(["--target-dir"]).and([target().join("yubikey")]).run()
}
