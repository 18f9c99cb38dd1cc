//! The AWS files and claviger's own under a long run of damaged inputs.

use super::{Document, ProfileSet, Role, SourceFile, is_own_stub, limits};
use crate::testing::mutation::CANARY;
use crate::testing::parsers::{Parser, Verdict};
use std::path::Path;
use std::sync::Arc;

/// The words of the language, for those who edit such files too.
pub(crate) const TOKENS: &[&[u8]] = &[
    b"[",
    b"]",
    b"[profile ",
    b"[default]\n",
    b"[profile default]\n",
    b"[sso-session ",
    b"[services ",
    b"[DEFAULT]\n",
    b"=",
    b":",
    b"#",
    b";",
    b" #",
    b"\n",
    b"\r\n",
    b"\r",
    b"\n ",
    b"\n\t",
    b"\"",
    b"[]\n",
    b"= x\n",
    b" = x\n",
    b"nonsense\n",
    b"source_profile = ",
    b"role_arn = arn:aws:iam::123456789012:role/r\n",
    b"credential_process = claviger process a\n",
    b"aws_secret_access_key = s\n",
    b"s3 =\n  a = b\n",
    b"\n--- credentials\n",
    b"\n--- own\n",
];

/// What stands before `--- credentials`, between that and `--- own`, and after it.
pub(crate) fn parts(text: &str) -> [&str; 3] {
    let (config, rest) = text.split_once("\n--- credentials\n").unwrap_or((text, ""));
    let (credentials, own) = rest.split_once("\n--- own\n").unwrap_or((rest, ""));
    [config, credentials, own]
}

/// The case files of the parser as entries.
pub(crate) fn case_entries() -> Vec<Vec<u8>> {
    let entry = |texts: [Option<String>; 3]| {
        texts.map(Option::unwrap_or_default).join("\n--- \n").replacen("\n--- \n", "\n--- credentials\n", 1).replacen(
            "\n--- \n",
            "\n--- own\n",
            1,
        )
    };
    super::case_texts().into_iter().map(|texts| entry(texts).into_bytes()).filter(|text| text.len() < 20_000).collect()
}

fn load(text: &str) -> Verdict {
    let parts = parts(text);
    for part in parts {
        let document = Document::parse(part);
        assert!(document.to_string() == part, "not what was read");
        assert!(document.problems.len() <= limits::PROBLEMS);
        is_own_stub(part);
    }
    let roles = [Role::Config, Role::Credentials, Role::Own];
    let files =
        parts.into_iter().zip(roles).map(|(text, role)| SourceFile { path: Arc::from(Path::new("f")), role, text });
    match ProfileSet::load(&files.collect::<Vec<_>>()) {
        Ok(set) => {
            let said: String = set.ignored().iter().map(|problem| format!("{problem} {problem:?}")).collect();
            assert!(!said.to_ascii_uppercase().contains(CANARY), "repeated in what is ignored");
            for profile in set.profiles().chain(set.sso_sessions()).chain(set.services()) {
                assert!(!profile.name().is_empty() && !profile.name().chars().any(char::is_control));
                for (key, value) in profile.keys() {
                    assert!(!key.is_empty() && !value.expose().contains('\0'));
                }
            }
            if let Some(profile) = set.profiles().next() {
                assert_eq!(set.nearest(profile.name(), 1), [profile.name()]);
            }
            Verdict::Accepted
        }
        Err(problems) => {
            let kind = problems.first().map(|problem| format!("{:?}", problem.what)).unwrap_or_default();
            let said = problems.iter().map(|problem| format!("{problem} {problem:?}\n")).collect();
            Verdict::Refused { kind, said }
        }
    }
}

#[test]
fn profile_files_withstand_damage() {
    let mut more = case_entries();
    more.push(["[default]\nk =\n", &" a = b\n".repeat(limits::CONTINUATION_LINES)].concat().into_bytes());
    more.push(["[default]\nk = ", &"x".repeat(limits::LINE_BYTES - 4), "\n"].concat().into_bytes());
    let parser = Parser {
        name: "profiles",
        more,
        tokens: TOKENS,
        taken: 200,
        refusals: &[
            "EmptyKey",
            "EmptySectionName",
            "EmptySubKey",
            "LineTooLong",
            "NoSection",
            "NotAProperty",
            "NotASubProperty",
            "NulByte",
            "SectionNotClosed",
            "TooManyContinuationLines",
        ],
        parse: &|input| match std::str::from_utf8(input) {
            Ok(text) => load(text),
            Err(_) => Verdict::none("not text"),
        },
    };
    parser.withstands_damage();
}
