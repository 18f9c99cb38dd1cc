//! The case files of `tests/vectors/profile`; its README says what they look like.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Document, Problem, Profile, ProfileSet, Role, SourceFile};

const PARTS: [(&str, Role); 3] = [("config", Role::Config), ("credentials", Role::Credentials), ("own", Role::Own)];

#[derive(Default)]
struct Case {
    expect: String,
    comment: String,
    parts: BTreeMap<String, String>,
}

#[test]
fn every_case_file_reads_as_it_says() {
    let (mut ok, mut error) = (0, 0);
    for path in folder() {
        let case = Case::read(&path);
        let (verdict, result) = case.run();
        assert_eq!(case.expect, verdict, "{}:\n{result}", path.display());
        assert_eq!(case.parts["result"], result, "{}", path.display());
        *(if verdict == "ok" { &mut ok } else { &mut error }) += 1;
    }
    assert!(ok >= 110 && error >= 24, "{ok} ok and {error} error cases are fewer than there were");
}

#[test]
fn every_case_file_is_a_whole_document() {
    for path in folder() {
        for (part, text) in &Case::read(&path).parts {
            assert!(Document::parse(text).to_string() == *text, "{}, {part}", path.display());
        }
    }
}

/// The three files of every case, for those who edit such files.
pub(crate) fn case_texts() -> Vec<[Option<String>; 3]> {
    let texts = |case: Case| PARTS.map(|(part, _)| case.parts.get(part).cloned());
    folder().iter().map(|path| texts(Case::read(path))).collect()
}

#[test]
fn no_file_lies_beside_the_cases_unread() {
    let all = std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap());
    let others: Vec<_> = all
        .filter(|entry| {
            !entry.file_type().unwrap().is_file() || entry.path().extension().is_none_or(|end| end != "case")
        })
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(others, ["README.md"]);
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/profile")
}

fn folder() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> = entries.filter(|path| path.extension().is_some_and(|end| end == "case")).collect();
    cases.sort();
    cases
}

impl Case {
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        let mut case = Self::default();
        let mut part: Option<&mut String> = None;
        for line in text.split_inclusive('\n') {
            let content = line.trim_end_matches('\n');
            if let Some(name) = content.strip_prefix("--- ") {
                assert!(["config", "credentials", "own", "result"].contains(&name), "{}: {name}", path.display());
                assert!(!case.parts.contains_key(name), "{}: {name} twice", path.display());
                part = Some(case.parts.entry(name.to_owned()).or_default());
            } else if let Some(part) = &mut part {
                part.push_str(line);
            } else if let Some(comment) = content.strip_prefix("comment: ") {
                case.comment.push_str(comment);
            } else if let Some(expect) = content.strip_prefix("expect: ") {
                case.expect = expect.to_owned();
            } else {
                assert_eq!(content, "", "{}: a header is 'expect: ' or 'comment: '", path.display());
            }
        }
        assert!(!case.comment.is_empty(), "{}: no comment", path.display());
        assert!(["ok", "error"].contains(&case.expect.as_str()), "{}: no 'expect: ok|error'", path.display());
        assert!(case.parts.contains_key("result"), "{}: no result", path.display());
        for (name, text) in &mut case.parts {
            if name != "result" {
                *text = unescaped(text);
            }
        }
        case
    }

    fn run(&self) -> (&'static str, String) {
        let file = |(name, role)| {
            Some(SourceFile { path: Arc::from(Path::new(name)), role, text: self.parts.get(name)?.as_str() })
        };
        let files: Vec<_> = PARTS.into_iter().filter_map(file).collect();
        let mut out = String::new();
        match ProfileSet::load(&files) {
            Ok(set) => {
                set.profiles().for_each(|profile| show(&mut out, "profile", profile));
                set.sso_sessions().for_each(|section| show(&mut out, "sso-session", section));
                set.services().for_each(|section| show(&mut out, "services", section));
                set.ignored().iter().for_each(|problem| show_problem(&mut out, problem));
                ("ok", out)
            }
            Err(problems) => {
                problems.iter().for_each(|problem| show_problem(&mut out, problem));
                ("error", out)
            }
        }
    }
}

fn show(out: &mut String, kind: &str, profile: &Profile) {
    let at = |origin: &super::Origin| format!("{}:{}", origin.file.display(), origin.line);
    writeln!(out, "{} [{kind} {}]", at(profile.origin()), profile.name()).unwrap();
    for (key, value) in profile.keys() {
        writeln!(out, "{}", format!("{} {key} = {}", at(&value.origin), escaped(value.expose())).trim_end()).unwrap();
        for (sub_key, value) in profile.sub_values(key) {
            let line = format!("{} {key} > {sub_key} = {}", at(&value.origin), escaped(value.expose()));
            writeln!(out, "{}", line.trim_end()).unwrap();
        }
    }
}

fn show_problem(out: &mut String, problem: &Problem) {
    writeln!(out, "{}:{} {:?}", problem.origin.file.display(), problem.origin.line, problem.what).unwrap();
}

fn escaped(text: &str) -> String {
    let escape = |character| match character {
        '\\' => "\\\\".to_owned(),
        '\n' => "\\n".to_owned(),
        '\t' => "\\t".to_owned(),
        _ if character.is_control() || ('\u{200b}'..='\u{202e}').contains(&character) => {
            format!("\\u{{{:x}}}", u32::from(character))
        }
        _ => character.to_string(),
    };
    text.chars().map(escape).collect()
}

/// `\r \n \t \s \0 \\`, `\u{hex}`, `\{text*count}`, and at a line's end `\` for no line end.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        out.push_str(plain);
        let (kind, after) = escape.split_at(1);
        rest = after;
        match kind {
            "r" => out.push('\r'),
            "n" => out.push('\n'),
            "t" => out.push('\t'),
            "s" => out.push(' '),
            "0" => out.push('\0'),
            "\\" => out.push('\\'),
            "\n" => {}
            "u" => {
                let (hex, after) = after[1..].split_once('}').unwrap();
                out.push(char::from_u32(u32::from_str_radix(hex, 16).unwrap()).unwrap());
                rest = after;
            }
            "{" => {
                let (fill, after) = after.split_once('}').unwrap();
                let (text, count) = fill.split_once('*').unwrap();
                out.push_str(&unescaped(text).repeat(count.parse().unwrap()));
                rest = after;
            }
            other => panic!("unknown escape {other}"),
        }
    }
    out + rest
}
