//! A room imports from lower floors only, never sideways.

use crate::tree::{File, code, product, shipped};

/// The daemon's floors, from the ground; `agent/src/lib.rs` draws them. Rooms that are yet to come have their floor.
const AGENT: &[&[&str]] = &[
    &["world"],
    &["config", "ask"],
    &["aws", "device", "vault", "keyring", "logind", "prompt", "audit"],
    &["consent", "source", "mfa"],
    &["session", "ssh"],
    &["jobs"],
    &["server"],
    &["main", "lib", "run", "harden", "standalone", "ssh_agent", "helper", "device_helper", "testing", "weak"],
];

/// The root crate's; `src/lib.rs` draws them. Each floor has one room.
const ROOT: &[&[&str]] = &[&["secret"], &["model"], &["paths"], &["wire"], &["client"], &["cli"], &["main", "lib"]];

/// The lowest floor of the daemon that may speak the wire's types: offices speak `model`.
const WIRE_FROM: usize = 5;

/// The items of a crate's front door that every room may use.
const FRONT_DOOR: [&str; 1] = ["VERSION"];

#[test]
fn rooms_import_from_lower_floors_only() {
    let complaints: Vec<String> = product().iter().flat_map(complaints).collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

fn complaints(file: &File) -> Vec<String> {
    let (floors, inner) = match file.path.strip_prefix("agent/src/") {
        Some(inner) => (AGENT, inner),
        None => (ROOT, file.path.strip_prefix("src/").unwrap_or(&file.path)),
    };
    let parts: Vec<&str> = inner.trim_end_matches(".rs").split('/').filter(|part| *part != "mod").collect();
    let room = parts[0];
    let Some(own) = floor(floors, room) else { return vec![format!("{}: the room {room} has no floor", file.path)] };
    if own == floors.len() - 1 {
        return Vec::new();
    }
    let mut complaints = Vec::new();
    let mut complain = |number: usize, what: String| complaints.push(format!("{}:{}: {what}", file.path, number + 1));
    for (number, line) in shipped(&file.text).lines().map(code).enumerate() {
        for used in imports(line, parts.len()) {
            match floor(floors, used) {
                Some(_) if used == room => {}
                Some(other) if other == own => complain(number, format!("{room} imports {used}, sideways")),
                Some(other) if other > own => complain(number, format!("{room} imports {used}, upwards")),
                Some(_) => {}
                None if FRONT_DOOR.contains(&used) => {}
                None => complain(number, format!("{room} imports {used}, which has no floor")),
            }
        }
        if floors == AGENT {
            if line.contains("claviger::cli") && !line.contains("claviger::client") {
                complain(number, format!("{room} imports the command line"));
            }
            if own < WIRE_FROM && line.contains("claviger::wire") {
                complain(number, format!("{room} speaks the wire's types"));
            }
        }
    }
    complaints
}

fn floor(floors: &[&[&str]], room: &str) -> Option<usize> {
    floors.iter().position(|rooms| rooms.contains(&room))
}

/// The first names after `crate::`, and after as many `super::` as lead to the crate from a module this deep.
fn imports(line: &str, depth: usize) -> Vec<&str> {
    let supers = "super::".repeat(depth);
    let mut found = Vec::new();
    for path in ["crate::", supers.as_str()] {
        for (at, _) in line.match_indices(path) {
            let before = line[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':' || c == '$') {
                continue;
            }
            let rest = &line[at + path.len()..];
            match rest.strip_prefix('{') {
                Some(group) => found.extend(names(group)),
                None => found.extend(name(rest)),
            }
        }
    }
    found
}

fn name(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    Some(&text[..end]).filter(|name| !name.is_empty())
}

/// The first names of a group `a::b, c::{d, e}, f}`.
fn names(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                found.extend(name(group[start..at].trim_start()));
                start = at + 1;
            }
            _ => {}
        }
        if c == '}' && depth == 0 && start > at {
            break;
        }
    }
    found
}

#[test]
fn a_wrong_import_is_found() {
    let found = |path: &str, text: &str| complaints(&File { path: path.to_owned(), text: text.to_owned() }).len();
    assert_eq!(found("agent/src/vault/file.rs", "use crate::aws::Http;\n"), 1, "sideways");
    assert_eq!(found("agent/src/vault/mod.rs", "use crate::session::Plan;\n"), 1, "upwards");
    assert_eq!(found("agent/src/vault/mod.rs", "use super::session::Plan;\n"), 1, "upwards by super");
    assert_eq!(found("agent/src/vault/file.rs", "use super::super::server::Door;\n"), 1, "upwards by two supers");
    assert_eq!(
        found("agent/src/mfa/mod.rs", "use crate::{vault::{Item, Store}, source, world::World};\n"),
        1,
        "in a group"
    );
    assert_eq!(found("agent/src/mfa/mod.rs", "fn f() -> crate::jobs::Job {}\n"), 1, "outside use");
    assert_eq!(found("agent/src/session/run.rs", "use claviger::wire::Fault;\n"), 1, "wire below the jobs");
    assert_eq!(found("agent/src/attic/mod.rs", ""), 1, "no floor");
    assert_eq!(found("agent/src/vault/mod.rs", "use crate::run;\n"), 1, "the front door");
    assert_eq!(found("src/wire/mod.rs", "use crate::client::Client;\n"), 1, "the root crate");

    assert_eq!(found("agent/src/mfa/mod.rs", "use crate::{vault::Store, mfa::totp};\n"), 0);
    assert_eq!(found("agent/src/mfa/totp.rs", "use super::Authenticator;\nuse $crate::jobs::x;\n"), 0);
    assert_eq!(found("agent/src/server/mod.rs", "use claviger::wire::Fault;\nuse crate::jobs::x;\n"), 0);
    assert_eq!(
        found("agent/src/vault/mod.rs", "// crate::server\n#[cfg(test)]\nmod tests {\n    use crate::testing;\n}\n"),
        0
    );
    assert_eq!(found("agent/src/main.rs", "use crate::server::x;\n"), 0);
    assert_eq!(found("src/cli/mod.rs", "use crate::{VERSION, wire::Fault};\n"), 0);
}
