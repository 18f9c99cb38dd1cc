//! A file that cannot be held in the head is split.

use crate::tree::{File, files, is_test_file, shipped};

/// Lines at which a file is talked about.
const TALK: usize = 400;
/// Lines at which it stops.
const STOP: usize = 600;

#[test]
fn files_fit_in_the_head() {
    let mut files = files(&["src", "agent/src", "tests", "packaging"], ".rs");
    files.retain(|file| !is_test_file(&file.path));
    let long = |limit| files.iter().filter_map(move |file| over(file, limit)).collect::<Vec<_>>();
    println!("worth a talk:\n{}", long(TALK).join("\n"));
    assert!(long(STOP).is_empty(), "{}", long(STOP).join("\n"));
}

fn over(file: &File, limit: usize) -> Option<String> {
    let lines = shipped(&file.text).lines().count();
    (lines > limit).then(|| format!("{}: {lines} lines of at most {limit}", file.path))
}

#[test]
fn a_long_file_is_found_and_its_tests_do_not_count() {
    let file = |text: String| File { path: "x.rs".to_owned(), text };
    assert!(over(&file("x\n".repeat(STOP)), STOP).is_none());
    assert!(over(&file("x\n".repeat(STOP + 1)), STOP).is_some());
    let tests = format!("x\n#[cfg(test)]\nmod tests {{\n{}}}\n", "    x\n".repeat(STOP));
    assert!(over(&file(tests), STOP).is_none());
}
