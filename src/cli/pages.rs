//! The man pages under `packaging/man` say what `--help` says.

use super::args::Arguments;
use clap::CommandFactory;
use clap_mangen::Man;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/man")
}

/// Pages by file name, as far as they are of a verb.
fn pages(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).map(|entries| entries.flatten().collect::<Vec<_>>()).unwrap_or_default();
    entries
        .iter()
        .map(|entry| {
            (entry.file_name().into_string().expect("a name"), fs::read_to_string(entry.path()).expect("a page"))
        })
        .collect()
}

/// The pages as they should be: one for each verb, and for each verb of a noun.
fn wanted() -> BTreeMap<String, String> {
    let mut root = Arguments::command().version(crate::VERSION);
    root.build();
    let mut pages = BTreeMap::new();
    let mut commands = vec![root];
    while let Some(command) = commands.pop() {
        let page = Man::new(command.clone());
        let name = page.get_filename();
        let mut text = Vec::new();
        page.render(&mut text).expect("a page");
        pages.insert(name.clone(), finished(&name, &String::from_utf8(text).expect("text")));
        commands.extend(command.get_subcommands().filter(|verb| verb.get_name() != "help").cloned());
    }
    pages
}

/// What the generator leaves to its caller: the title line, what the last section is called, and where a command begins.
fn finished(name: &str, page: &str) -> String {
    let title = format!(".TH {} 1 \"\" \"claviger {}\" \"User Commands\"", name.trim_end_matches(".1"), crate::VERSION);
    let mut out = String::new();
    for line in page.replace(".br\n\n.br\n", ".sp\n").lines() {
        match line {
            line if line.starts_with(".TH ") => out.push_str(&title),
            ".SH EXTRA" => out.push_str(".SH EXAMPLES"),
            "Example:" | "Examples:" => continue,
            line if line.starts_with("\\fBclaviger exec\\fR") => {
                out.push_str(line.replace("[\\fICMD\\fR]", "[\\-\\- \\fICMD\\fR]").trim_end());
            }
            line => out.push_str(line.trim_end()),
        }
        out.push('\n');
    }
    out
}

#[test]
fn man_pages_are_up_to_date() {
    let wanted = wanted();
    assert!(wanted.contains_key("claviger.1") && wanted.contains_key("claviger-exec.1"), "{:?}", wanted.keys());
    if std::env::var_os("CLAVIGER_UPDATE").is_some_and(|value| value == "1") {
        let _ = fs::remove_dir_all(folder());
        fs::create_dir_all(folder()).expect("a folder");
        for (name, page) in &wanted {
            fs::write(folder().join(name), page).expect("a page");
        }
    }
    let found = pages(&folder());
    let stale: Vec<&String> = wanted.keys().filter(|name| found.get(*name) != wanted.get(*name)).collect();
    let left: Vec<&String> = found.keys().filter(|name| !wanted.contains_key(*name)).collect();
    assert!(
        stale.is_empty() && left.is_empty(),
        "packaging/man is out of date (stale: {stale:?}; to go: {left:?}); refresh it with:\n  \
         CLAVIGER_UPDATE=1 cargo test -p claviger --lib man_pages"
    );
    let made = tempfile::tempdir().expect("a folder");
    for (name, page) in &wanted {
        let file = made.path().join(name);
        fs::write(&file, page).expect("a page");
        // What a machine has of these reads the pages; none of them is needed to build.
        for program in [&["groff", "-man", "-ww", "-Tutf8", "-z"][..], &["mandoc", "-T", "lint", "-W", "warning"]] {
            let Ok(output) = Command::new(program[0]).args(&program[1..]).arg(&file).output() else { continue };
            let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            // A date would make the pages differ from day to day; the blank line before possible values is the generator's.
            let known = |line: &str| line.contains("missing date") || line.contains("skipping paragraph macro: br");
            let said: Vec<&str> = said.lines().filter(|line| !known(line)).collect();
            assert!(said.is_empty(), "{}: {said:?}", program[0]);
        }
    }
}
