//! The documents say what the code does.

use crate::tree::{File, committed, files, product, root, shipped};
use claviger::wire::Code;
use std::collections::BTreeSet;

#[test]
fn every_fault_is_documented() {
    committed("docs/reference/faults.md", &faults());
}

fn faults() -> String {
    let mut page = "# Faults\n\nEvery failure that claviger reports has one of these codes. A code keeps its meaning; \
                    the message beside it says what happened this time, and the hint is the command to type next.\n\n\
                    | code | exit | what it means | hint |\n|---|---|---|---|\n"
        .to_owned();
    for code in Code::ALL {
        let hint = code.hint().map(|hint| format!("`{hint}`")).unwrap_or_default();
        page.push_str(&format!("| `{code}` | {} | {} | {hint} |\n", code.exit() as u8, code.meaning()));
    }
    page.push_str(
        "\n## Exit codes\n\n| exit | what it means |\n|---|---|\n| 0 | done |\n| 1 | a fault with no more specific \
         code |\n| 2 | the command line or an input is wrong |\n| 3 | the vault is locked |\n| 4 | a person is needed |\n\
         | 5 | refused, by AWS or by a rule here |\n| 6 | no such thing |\n| 7 | a device |\n| 8 | the network, or AWS \
         beyond it |\n\nThis page is generated: `CLAVIGER_UPDATE=1 cargo test -p claviger --test house`.\n",
    );
    page
}

#[test]
fn the_catalogue_is_in_order_and_a_code_is_unique() {
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    let unique: BTreeSet<&str> = codes.iter().copied().collect();
    assert_eq!(unique.len(), codes.len());
    for code in Code::ALL {
        let (first, name) = (code.meaning().chars().next(), code.meaning().split(' ').next().unwrap_or_default());
        let lower = first.is_some_and(char::is_lowercase) || name.chars().all(char::is_uppercase);
        assert!(lower, "{code}: lower case, but for names");
        assert!(!code.meaning().ends_with('.'), "{code}: no full stop");
    }
}

#[test]
fn every_limit_is_documented_with_its_reason() {
    let limits: Vec<Limit> = product().iter().flat_map(limits).collect();
    let bare: Vec<&str> =
        limits.iter().filter(|limit| limit.reason.is_empty()).map(|limit| limit.name.as_str()).collect();
    assert!(bare.is_empty(), "no doc comment says why: {}", bare.join(", "));
    let mut page =
        "# Limits\n\nWhat claviger takes at most, and why. All of them are constants: none can be configured \
                    away.\n\n| limit | value | what and why | where |\n|---|---|---|---|\n"
            .to_owned();
    for Limit { name, value, reason, path } in &limits {
        page.push_str(&format!("| `{name}` | `{value}` | {} | {path} |\n", reason.replace('|', "\\|")));
    }
    page.push_str("\nThis page is generated: `CLAVIGER_UPDATE=1 cargo test -p claviger --test house`.\n");
    committed("docs/reference/limits.md", &page);
}

struct Limit {
    name: String,
    value: String,
    reason: String,
    path: String,
}

/// The constants of a file that are limits by their name.
fn limits(file: &File) -> Vec<Limit> {
    let text = shipped(&file.text);
    let mut found = Vec::new();
    let mut reason: Vec<&str> = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(doc) = line.strip_prefix("///") {
            reason.push(doc.trim());
            continue;
        }
        let constant =
            line.trim_start_matches("pub ").trim_start_matches("pub(crate) ").trim_start_matches("pub(super) ");
        if let Some((name, rest)) = constant.strip_prefix("const ").and_then(|rest| rest.split_once(": ")) {
            let limit =
                name.split('_').any(|word| ["LIMIT", "LIMITS", "MAX", "MOST", "CAP", "LONGEST"].contains(&word));
            if let Some((_, value)) = rest.split_once(" = ").filter(|_| limit) {
                let value = value.trim_end_matches(';').to_owned();
                found.push(Limit { name: name.to_owned(), value, reason: reason.join(" "), path: file.path.clone() });
            }
        }
        reason.clear();
    }
    found
}

#[test]
fn the_protocol_page_names_every_message() {
    let page = std::fs::read_to_string(root().join("docs/PROTOCOL.md")).expect("docs/PROTOCOL.md");
    let missing: Vec<String> = messages().into_iter().filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "docs/PROTOCOL.md does not name: {}", missing.join(", "));
    assert!(page.contains(&format!("protocol {}", claviger::wire::PROTOCOL)), "the protocol's number");
    let example = std::fs::read_to_string(root().join("docs/examples/status.py")).expect("example");
    assert!(page.contains(example.trim_end()), "docs/PROTOCOL.md shows another example than docs/examples/status.py");
}

/// The names on the wire: the variants of requests, replies and events.
fn messages() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (path, kind) in [("request.rs", "Request"), ("reply.rs", "Reply"), ("mod.rs", "Event")] {
        let text = std::fs::read_to_string(root().join("src/wire").join(path)).expect(path);
        names.extend(variants(&text, kind));
    }
    names
}

fn variants(text: &str, kind: &str) -> Vec<String> {
    let lines = text.lines().skip_while(|line| *line != format!("pub enum {kind} {{")).skip(1);
    lines
        .take_while(|line| *line != "}")
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with(char::is_uppercase))
        .map(|line| snake(line.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default()))
        .collect()
}

fn snake(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

#[test]
fn links_lead_somewhere() {
    let complaints: Vec<String> =
        files(&["docs", "README.md", "CHANGELOG.md"], ".md").iter().flat_map(dead_links).collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

fn dead_links(file: &File) -> Vec<String> {
    let folder = root().join(&file.path);
    let folder = folder.parent().expect("folder");
    let links = file.text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    links
        .filter(|link| !link.contains("://") && !link.starts_with("mailto:"))
        .filter(|link| {
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = folder.join(path);
            let text = if path.is_empty() { Ok(file.text.clone()) } else { std::fs::read_to_string(&target) };
            let found = |text: &str| text.lines().any(|line| line.starts_with('#') && anchor(line) == heading);
            !target.exists() || (!heading.is_empty() && !text.is_ok_and(|text| found(&text)))
        })
        .map(|link| format!("{}: {link} leads nowhere", file.path))
        .collect()
}

/// A heading as an anchor.
fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    heading
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[test]
fn the_changelog_has_a_place_for_the_next_entry() {
    let changelog = std::fs::read_to_string(root().join("CHANGELOG.md")).expect("CHANGELOG.md");
    assert!(changelog.lines().any(|line| line == "## [Unreleased]"), "CHANGELOG.md has no Unreleased");
}

#[test]
fn stale_documents_are_found() {
    let file = |path: &str, text: &str| File { path: path.to_owned(), text: text.to_owned() };
    let found = limits(&file(
        "x.rs",
        "/// Why\n/// so.\npub const LINE_LIMIT: usize = 256 * 1024;\nconst MAX_X: u8 = 1;\nconst LIMITED: u8 = 1;\n",
    ));
    assert_eq!(found.len(), 2);
    assert_eq!(
        (found[0].value.as_str(), found[0].reason.as_str(), found[1].reason.as_str()),
        ("256 * 1024", "Why so.", "")
    );
    assert_eq!(
        variants(
            "pub enum Event {\n    /// a\n    TouchNeeded {\n        Field: u8,\n    },\n    Done,\n}\n    Not,\n",
            "Event"
        ),
        ["touch_needed", "done"]
    );
    assert!(messages().contains("access_key_add") && messages().contains("waiting_for_code"));
    let links =
        file("docs/x.md", "[a](nowhere.md) [b](../README.md) [c](https://x) [d](#no-such) [e](#yes-1)\n# Yes 1\n");
    assert_eq!(dead_links(&links).len(), 2, "{:?}", dead_links(&links));
}
