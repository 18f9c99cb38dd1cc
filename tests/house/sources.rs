//! What no source may hold. Each pattern is put together from parts, so that this file does not hold it.

use crate::tree::{File, code, files, root};

#[test]
fn sources_are_finished_and_name_no_machine() {
    let files: Vec<File> = [".rs", ".py", ".toml", ".md", ".service", ".socket", "/run"]
        .iter()
        .flat_map(|ending| {
            files(
                &["src", "agent", "tests", "packaging", "docs", "README.md", "CHANGELOG.md", "Cargo.toml", ".ci"],
                ending,
            )
        })
        .collect();
    let complaints: Vec<String> = files.iter().flat_map(complaints).collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    assert!(files.len() > 30, "the walk finds the sources");
}

/// The one place that may wait for time to pass: the daemon's own clock.
const CLOCK: &str = "agent/src/world/real.rs";

fn complaints(file: &File) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in file.text.lines().enumerate() {
        let mut complain = |what: &str| found.push(format!("{}:{}: {what}", file.path, number + 1));
        if machines().iter().any(|machine| line.contains(machine.as_str())) {
            complain("names a folder of one machine");
        }
        if file.path.ends_with(".rs") {
            let line = code(line);
            for (pattern, what) in unfinished() {
                if line.contains(&pattern) && !(file.path == CLOCK && what.starts_with("sleeps")) {
                    complain(what);
                }
            }
        }
        if file.path.ends_with(".py") && line.contains(&["time.", "sleep("].concat()) {
            complain("sleeps: wait for the event instead");
        }
    }
    found
}

fn unfinished() -> [(String, &'static str); 6] {
    [
        (["to", "do!("].concat(), "is unfinished"),
        (["un", "implemented!("].concat(), "is unfinished"),
        (["#[", "ignore"].concat(), "is a test that does not run"),
        (["thread::", "sleep("].concat(), "sleeps: wait for the event instead"),
        (["time::", "sleep("].concat(), "sleeps: wait for the event instead"),
        (["#[", "allow("].concat(), "use #[expect(…, reason = …)]"),
    ]
}

/// This checkout's folder and the home of whoever runs the test, where they are more than a top-level name.
fn machines() -> Vec<String> {
    let home = std::env::var("HOME").unwrap_or_default();
    let mut machines = vec![format!("{}/", root().display())];
    machines.extend((home.len() > 1).then(|| format!("{}/", home.trim_end_matches('/'))));
    machines
}

#[test]
fn each_pattern_is_found() {
    let found = |path: &str, text: String| complaints(&File { path: path.to_owned(), text }).len();
    for (pattern, _) in unfinished() {
        assert_eq!(found("x.rs", format!("    {pattern}\n")), 1, "{pattern}");
        assert_eq!(found("x.rs", format!("// {pattern}\n")), 0, "{pattern} in a comment");
    }
    assert_eq!(found("x.md", format!("see {}/target\n", root().display())), 1);
    assert_eq!(found("x.py", ["time.", "sleep(1)\n"].concat()), 1);
}
