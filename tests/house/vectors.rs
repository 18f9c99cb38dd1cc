//! No vector, case or script lies about that nothing runs.

use crate::tree::{File, files, paths};

/// Where data of tests lies.
const DATA: [&str; 4] = ["tests/corpora", "tests/vectors", "tests/cases", "tests/golden"];

/// Folders whose scripts `cargo xtask test` finds by itself (`packaging/xtask/src/python.rs`), with their prefix.
const SCRIPTS: [(&str, &str); 4] =
    [("tests/vectors/", ""), ("tests/cases/", ""), ("tests/sandbox/tests/", ""), ("tests/interop/", "test_")];

#[test]
fn nothing_is_forgotten() {
    let sources: Vec<File> =
        [".rs", ".py"].iter().flat_map(|ending| files(&["src", "agent", "tests"], ending)).collect();
    let mut complaints = Vec::new();
    for path in
        DATA.iter().flat_map(|folder| paths(folder)).filter(|path| !path.ends_with(".py") && !path.ends_with(".rs"))
    {
        complaints.extend(forgotten(&path, &sources));
    }
    for path in paths("tests").into_iter().filter(|path| path.ends_with(".py")) {
        complaints.extend(idle(&path, &sources));
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// A data file is used where a source names it, or names the folder it lies in.
fn forgotten(path: &str, sources: &[File]) -> Option<String> {
    let mut parts = path.rsplit('/');
    let name = parts.next().unwrap_or_default();
    let folder = parts.next().unwrap_or_default();
    let names = |file: &&File| {
        file.text.contains(name)
            || file.text.contains(&format!("{folder}\""))
            || file.text.contains(&format!("/{folder}/"))
    };
    if name.ends_with(".md") || sources.iter().any(|file| names(&file)) {
        return None;
    }
    Some(format!("{path}: no test names it or its folder"))
}

/// A script runs by itself, or another imports it, or a Rust test names it.
fn idle(path: &str, sources: &[File]) -> Option<String> {
    let name = path.rsplit('/').next().unwrap_or_default();
    let found = |(folder, prefix): &(&str, &str)| {
        path.strip_prefix(folder).is_some_and(|rest| rest.starts_with(prefix) && !rest.contains('/'))
    };
    let import = format!("import {}", name.trim_end_matches(".py"));
    let named = format!("{name}\"");
    let used = |file: &File| {
        file.text.lines().any(|line| line == import) || (file.path.ends_with(".rs") && file.text.contains(&named))
    };
    if SCRIPTS.iter().any(found) || sources.iter().any(used) {
        return None;
    }
    Some(format!("{path}: cargo xtask test does not run it and no script imports it"))
}

#[test]
fn a_forgotten_file_is_found() {
    let sources =
        [File { path: "tests/x.rs".to_owned(), text: "read(\"tests/vectors/totp\")\nimport rig\n".to_owned() }];
    assert!(forgotten("tests/vectors/piv/one.txt", &sources).is_some());
    assert!(forgotten("tests/vectors/totp/one.txt", &sources).is_none());
    assert!(idle("tests/interop/clients.py", &sources).is_some());
    assert!(idle("tests/interop/rig.py", &sources).is_none() && idle("tests/interop/test_x.py", &sources).is_none());
}
