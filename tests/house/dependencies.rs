//! What the product is made of, as a list and a number in a diff.

use crate::tree::{committed, files};
use std::collections::BTreeSet;

#[test]
fn the_dependencies_are_the_ones_agreed_on() {
    let mut text = String::new();
    for file in
        files(&["Cargo.toml", "agent/Cargo.toml", "tests/sandbox/Cargo.toml", "packaging/xtask/Cargo.toml"], ".toml")
    {
        for (section, name) in direct(&file.text) {
            text.push_str(&format!("{} {section} {name}\n", file.path));
        }
    }
    for (package, role) in [("claviger", "the client"), ("claviger-agent", "the agent")] {
        text.push_str(&format!("packages in {role}, on Linux: {}\n", shipped(package)));
    }
    let lock = files(&["Cargo.lock"], ".lock");
    let total: usize = lock.iter().map(|file| locked(&file.text)).sum();
    text.push_str(&format!("locked packages: {total}\n"));
    committed("tests/house/dependencies.txt", &text);
}

#[test]
fn the_task_runner_has_none() {
    let manifest = files(&["packaging/xtask/Cargo.toml"], ".toml");
    assert_eq!(manifest.iter().flat_map(|file| direct(&file.text)).count(), 0, "cargo xtask must be there at once");
}

/// Section and name of each direct dependency of a manifest.
fn direct(manifest: &str) -> Vec<(&str, &str)> {
    let mut section = "";
    let mut found = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']');
        } else if section.ends_with("dependencies") && !section.starts_with("workspace") && !line.starts_with('#') {
            let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
            found.extend((!name.is_empty()).then_some((section, name)));
        }
    }
    found
}

/// How many packages a program is built from, itself and those of its macros and build scripts included.
fn shipped(package: &str) -> usize {
    let tree = std::process::Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges", "normal,build", "--prefix", "none", "--no-dedupe"])
        .args(["--target", "x86_64-unknown-linux-gnu", "--format", "{p}", "--package", package])
        .current_dir(crate::tree::root())
        .output()
        .expect("cargo tree");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    String::from_utf8_lossy(&tree.stdout).lines().map(str::to_owned).collect::<BTreeSet<_>>().len()
}

fn locked(lock: &str) -> usize {
    lock.lines().filter(|line| *line == "[[package]]").count()
}

#[test]
fn a_new_dependency_is_seen() {
    let manifest = "[package]\nname = \"x\"\n[workspace.dependencies]\nhidden = \"1\"\n[dependencies]\n# why\nserde.workspace = true\n\
                    clap = { optional = true }\n[target.'cfg(unix)'.dev-dependencies]\nnix = \"1\"\n[lints]\nworkspace = true\n";
    let found: Vec<&str> = direct(manifest).into_iter().map(|(_, name)| name).collect();
    assert_eq!(found, ["serde", "clap", "nix"]);
    assert_eq!(locked("[[package]]\nname = \"a\"\n\n[[package]]\n"), 2);
}
