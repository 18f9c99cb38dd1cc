//! `dist`: release binaries, stripped, in `target/dist`, each looked at before it counts; man pages and completions beside them.

use crate::elf::{self, Elf};
use crate::run::{Failure, Job, Outcome, copy_program, make_folder, root, say, target, write};
use std::path::{Path, PathBuf};

/// A text that every build with the feature `test-seams` contains (`agent/src/testing.rs`). Put together here,
/// so that the task runner itself does not contain it.
fn marker() -> String {
    ["claviger", "test", "seams"].join("-")
}

/// What is built, and how; each package has a program of its name.
const PACKAGES: [(&str, Linked); 3] =
    [("claviger", Linked::Static), ("claviger-agent", Linked::Any), ("claviger-sandbox", Linked::Any)];
/// Programs beside those: ssh-agent's place, what speaks to devices, and what `bench` needs.
const FURTHER: [(&str, &str); 3] = [
    ("claviger-agent", "claviger-ssh-agent"),
    ("claviger-agent", "claviger-device-helper"),
    ("claviger-sandbox", "claviger-load"),
];

/// Builds them and checks them; returns their folder.
pub(crate) fn run() -> Outcome<PathBuf> {
    let folder = target().join("dist");
    make_folder(&folder)?;
    let host = host()?;
    for (package, linked) in PACKAGES {
        let (flags, profile) = (flags(linked), linked.profile());
        let words = format!("build --profile {profile} --locked -p {package} --target {host}");
        Job::cargo(&words).with("RUSTFLAGS", &flags).run()?;
        let built = target().join(&host).join(profile);
        if package == "claviger-agent" {
            // Beside the agent, which it is no part of: it alone links libpcsclite and libudev.
            let helper = format!("{words} --features devices --bin claviger-device-helper");
            Job::cargo(&helper).with("RUSTFLAGS", &flags).run()?;
        }
        for program in
            std::iter::once(package).chain(FURTHER.iter().filter(|(of, _)| *of == package).map(|(_, it)| *it))
        {
            inspect(&copy_program(&built.join(program), &folder)?, linked)?;
        }
    }
    pages(&folder)?;
    completions(&folder)?;
    say(&format!("\n{}", folder.display()));
    Ok(folder)
}

/// The man pages as committed: a test of the client holds them to its parser.
fn pages(folder: &Path) -> Outcome {
    let from = root().join("packaging/man");
    let to = folder.join("man/man1");
    make_folder(&to)?;
    let entries = std::fs::read_dir(&from).map_err(Failure::from(format!("cannot read {}", from.display())))?;
    let mut count = 0;
    for page in entries.flatten() {
        let copied = std::fs::copy(page.path(), to.join(page.file_name()));
        copied.map_err(Failure::from(format!("cannot copy {}", page.path().display())))?;
        count += 1;
    }
    say(&format!("  {count:>9} pages  {}", to.display()));
    Ok(())
}

/// Made by the client that ships, under the names that each shell looks for.
fn completions(folder: &Path) -> Outcome {
    let to = folder.join("completions");
    make_folder(&to)?;
    for (shell, name) in
        [("bash", "claviger"), ("zsh", "_claviger"), ("fish", "claviger.fish"), ("powershell", "claviger.ps1")]
    {
        let script = Job::new([folder.join("claviger")]).and(["completion", shell]).stdout()?;
        write(&to.join(name), &script)?;
    }
    say(&format!("  {:>9} shells {}", 4, to.display()));
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Linked {
    Any,
    Static,
}

impl Linked {
    /// What ships as a static program is the client.
    fn profile(self) -> &'static str {
        match self {
            Self::Any => "release",
            Self::Static => "client",
        }
    }
}

/// The explicit `--target` keeps these away from build scripts and proc macros, which must stay dynamic.
/// The builder's folders are cut from panic messages.
fn flags(linked: Linked) -> String {
    let home = std::env::var("CARGO_HOME").or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")));
    let mut flags = vec![format!("--remap-path-prefix={}=claviger", root().display())];
    flags.extend(home.map(|home| format!("--remap-path-prefix={home}=cargo")));
    // Packed relocations are a fortieth of the table that a position independent program reads at its start. A libc.a
    // that does not know them makes a program that cannot start: the completions below would fail.
    let fixed = ["-C target-feature=+crt-static", "-C link-arg=-Wl,-z,pack-relative-relocs"];
    flags.extend(fixed.into_iter().filter(|_| linked == Linked::Static).map(str::to_owned));
    flags.join(" ")
}

fn host() -> Outcome<String> {
    let version = Job::new(["rustc", "-vV"]).stdout()?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Failure::new("rustc -vV names no host"))
}

fn inspect(binary: &Path, linked: Linked) -> Outcome {
    let file = std::fs::read(binary).map_err(Failure::from(format!("cannot read {}", binary.display())))?;
    let complaints = complaints(&file, linked);
    if complaints.is_empty() {
        say(&format!("  {:>9} bytes  {}", file.len(), binary.display()));
        return Ok(());
    }
    let _ = std::fs::remove_file(binary);
    Err(Failure::new(format!("{} {}", binary.display(), complaints.join(", "))))
}

fn complaints(file: &[u8], linked: Linked) -> Vec<&'static str> {
    let mut complaints = Vec::new();
    if has_test_seams(file) {
        complaints.push("contains test seams");
    }
    match elf::read(file) {
        None => complaints.push("is no 64-bit ELF file"),
        Some(Elf { interpreter, position_independent, symbols }) => {
            complaints.extend((linked == Linked::Static && interpreter).then_some("is not static"));
            complaints.extend((!position_independent).then_some("is not position independent"));
            complaints.extend(symbols.then_some("is not stripped"));
        }
    }
    complaints
}

/// Whether a binary was built with the feature `test-seams`.
pub(crate) fn has_test_seams(file: &[u8]) -> bool {
    let marker = marker();
    file.windows(marker.len()).any(|window| window == marker.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::{Linked, complaints, has_test_seams, marker};

    #[test]
    fn a_debug_build_with_the_marker_is_refused_on_every_ground_it_gives() {
        let mut own = std::fs::read(std::env::current_exe().expect("path")).expect("file");
        let found = complaints(&own, Linked::Static);
        assert!(found.contains(&"is not static") && found.contains(&"is not stripped"), "{found:?}");
        assert!(!has_test_seams(&own), "the task runner itself must not contain the marker");
        own.extend_from_slice(marker().as_bytes());
        assert!(complaints(&own, Linked::Any).contains(&"contains test seams"));
        assert_eq!(complaints(b"#!/bin/sh", Linked::Any), ["is no 64-bit ELF file"]);
    }
}
