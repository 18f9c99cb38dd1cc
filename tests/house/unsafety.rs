//! `unsafe` stands in few files, each named here with what it is for.

use crate::tree::{File, code, files};

/// The files, and why no safe interface does it.
const FILES: [(&str, &str); 4] = [
    ("agent/src/harden.rs", "the environment, inherited descriptors, the allocator that wipes"),
    ("agent/src/testing/counting.rs", "the allocator that counts; in no build that ships"),
    ("agent/src/world/child.rs", "the umask of a child, between fork and exec"),
    ("agent/src/world/memory.rs", "mlock and madvise of what holds a secret"),
];

#[test]
fn unsafe_stands_in_the_named_files_alone() {
    let files = files(&["src", "agent", "tests", "packaging"], ".rs");
    let found: Vec<&str> = files.iter().filter(|file| is_unsafe(file)).map(|file| file.path.as_str()).collect();
    assert_eq!(found, FILES.map(|(path, _)| path));
}

#[test]
fn the_lints_forbid_it_everywhere_else() {
    let manifest = files(&["Cargo.toml"], ".toml");
    assert!(manifest.iter().any(|file| file.text.contains("\nunsafe_code = \"deny\"\n")));
    for member in ["agent", "tests/sandbox", "packaging/xtask"] {
        let manifest = files(&[&format!("{member}/Cargo.toml")], ".toml");
        assert!(manifest.iter().any(|file| file.text.contains("[lints]\nworkspace = true\n")), "{member}");
    }
}

/// The word as code, or the lint turned off.
fn is_unsafe(file: &File) -> bool {
    let word =
        |line: &str| line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == KEYWORD || word == LINT);
    file.text.lines().map(code).any(|line| word(&without_strings(line)))
}

/// Put together, so that this file does not hold them.
const KEYWORD: &str = concat!("un", "safe");
const LINT: &str = concat!("un", "safe_code");

/// The line without what stands between quotes.
fn without_strings(line: &str) -> String {
    line.split('"').step_by(2).collect()
}

#[test]
fn the_word_is_found_as_code_and_not_as_text() {
    let found = |text: String| is_unsafe(&File { path: "x.rs".to_owned(), text });
    assert!(found(format!("fn a() {{ {KEYWORD} {{ b() }} }}\n")));
    assert!(found(format!("#![expect({LINT}, reason = \"x\")]\n")));
    assert!(!found(format!("// {KEYWORD}\n")));
    assert!(!found(format!("let a = \"{KEYWORD} \\n\";\n")));
}
