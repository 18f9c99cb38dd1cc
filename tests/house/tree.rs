//! The project's files, and the parts of a Rust file that ship.

use std::path::{Path, PathBuf};

/// The project's folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file: its path from the root with `/`, and its text.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The text files under these folders or of these names whose path ends so, sorted. Folders of builds and of git are
/// left out.
pub(crate) fn files(starts: &[&str], ending: &str) -> Vec<File> {
    let mut paths = Vec::new();
    for start in starts {
        walk(&root().join(start), &mut paths);
    }
    let mut files: Vec<File> = paths
        .into_iter()
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .filter_map(|path| Some(File { text: std::fs::read_to_string(&path).ok()?, path: relative(&path) }))
        .collect();
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files
}

/// Every file under a folder, text or not, by its path from the root.
pub(crate) fn paths(start: &str) -> Vec<String> {
    let mut paths = Vec::new();
    walk(&root().join(start), &mut paths);
    let mut paths: Vec<String> = paths.iter().map(|path| relative(path)).collect();
    paths.sort();
    paths
}

fn walk(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_file() {
        found.push(path.to_path_buf());
    }
    let Ok(entries) = std::fs::read_dir(path) else { return };
    for entry in entries.flatten() {
        if !["target", ".git", "__pycache__"].contains(&&*entry.file_name().to_string_lossy()) {
            walk(&entry.path(), found);
        }
    }
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).to_string_lossy().replace('\\', "/")
}

/// The Rust files of the two product crates, without files of tests.
pub(crate) fn product() -> Vec<File> {
    let mut files = files(&["src", "agent/src"], ".rs");
    let tests: Vec<String> = files.iter().flat_map(test_modules).collect();
    files.retain(|file| !is_test_file(&file.path) && !tests.iter().any(|test| file.path.starts_with(test.as_str())));
    files
}

/// The modules of tests alone that a file declares (`#[cfg(test)] mod cases;`), as the beginning of their paths.
fn test_modules(file: &File) -> Vec<String> {
    let (folder, name) = file.path.rsplit_once('/').unwrap_or_default();
    let folder = match name {
        "mod.rs" | "lib.rs" | "main.rs" => folder.to_owned(),
        _ => format!("{folder}/{}", name.trim_end_matches(".rs")),
    };
    let lines = file.text.lines().zip(file.text.lines().skip(1)).filter(|(line, _)| *line == "#[cfg(test)]");
    lines
        .filter_map(|(_, item)| item.strip_prefix("mod ")?.strip_suffix(';'))
        .flat_map(|module| [format!("{folder}/{module}.rs"), format!("{folder}/{module}/")])
        .collect()
}

/// Whether a file is of tests alone: `tests.rs`, or in a folder `tests`.
pub(crate) fn is_test_file(path: &str) -> bool {
    let path = path.strip_prefix("tests/").unwrap_or(path);
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

/// The text without what `#[cfg(test)]` and `#[cfg(any(test, …))]` stand before: formatted code, so an item ends at
/// the first line that closes at its own indentation, or in the line it starts in.
pub(crate) fn shipped(text: &str) -> String {
    let mut kept = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let start = line.trim_start();
        if !(start.starts_with("#[cfg(test")
            || start.starts_with("#[cfg(any(test")
            || start.starts_with("#[cfg(all(test"))
        {
            kept.push_str(line);
            kept.push('\n');
            continue;
        }
        let indent = &line[..line.len() - start.len()];
        let item = lines.by_ref().find(|line| !line.trim_start().starts_with("#["));
        let item = item.unwrap_or_default().trim_end();
        if !item.ends_with([';', '}', ',']) {
            let ends = |line: &&str| *line == format!("{indent}}}") || *line == format!("{indent}}};");
            lines.by_ref().find(ends);
        }
    }
    kept
}

/// The line without what follows `//`, unless that stands in a string.
pub(crate) fn code(line: &str) -> &str {
    match line.find("//") {
        Some(at) if line[..at].matches('"').count().is_multiple_of(2) => &line[..at],
        _ => line,
    }
}

/// Compares a committed list with what it should be; with `CLAVIGER_UPDATE=1` writes it instead.
pub(crate) fn committed(path: &str, wanted: &str) {
    let file = root().join(path);
    if std::env::var_os("CLAVIGER_UPDATE").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(file.parent().expect("folder")).expect("folder");
        std::fs::write(&file, wanted).expect(path);
        return;
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    let first = wanted.lines().zip(found.lines().chain(std::iter::repeat(""))).find(|(wanted, found)| wanted != found);
    assert!(
        found == wanted,
        "{path} is out of date (first difference: {first:?}); look at the change, then refresh it with:\n  \
         CLAVIGER_UPDATE=1 cargo test -p claviger --test house"
    );
}

#[test]
fn what_ships_is_told_from_tests() {
    let text = "use a;\n#[cfg(test)]\nmod tests {\n    fn x() {\n    }\n}\nfn b() {\n    #[cfg(test)]\n    hook();\n    c();\n}\n\
                #[cfg(any(test, feature = \"test-seams\"))]\npub mod testing;\nuse d;\n";
    assert_eq!(shipped(text), "use a;\nfn b() {\n    c();\n}\nuse d;\n");
    assert_eq!((code("a // b"), code(r#"x("http://y")"#)), ("a ", r#"x("http://y")"#));
    assert!(is_test_file("agent/src/vault/tests.rs") && !is_test_file("tests/house/size.rs"));
    let parent = File { path: "src/a/mod.rs".to_owned(), text: "#[cfg(test)]\nmod cases;\nmod real;\n".to_owned() };
    assert_eq!(test_modules(&parent), ["src/a/cases.rs", "src/a/cases/"]);
    assert!(product().iter().any(|file| file.path == "src/wire/mod.rs"), "the walk finds the product");
}
