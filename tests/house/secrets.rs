//! Nothing that prints itself holds a secret.

use crate::tree::{File, product, shipped};

/// Types that say what they hold; `src/secret.rs` keeps them from printing, and a plain field must not take their place.
const TYPES: [&str; 9] = [
    "EndpointToken",
    "Passphrase",
    "RecoveryCode",
    "SecretAccessKey",
    "SessionToken",
    "TotpSeed",
    "TotpSeedText",
    "TokenCode",
    "TypedAnswer",
];

/// Names that a plain field with a secret tends to have.
const NAMES: [&str; 10] = [
    "password",
    "passphrase",
    "pin",
    "recovery",
    "secret",
    "secret_access_key",
    "seed",
    "session_token",
    "token",
    "key_material",
];

/// Types such a field would have.
const PLAIN: [&str; 6] = ["String", "Vec<u8>", "[u8", "&str", "Option<String>", "Zeroizing<"];

#[test]
fn no_debug_beside_a_secret() {
    let complaints: Vec<String> = product().iter().flat_map(complaints).collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

fn complaints(file: &File) -> Vec<String> {
    let text = shipped(&file.text);
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (number, line) in
        lines.iter().enumerate().filter(|(_, line)| line.contains("derive(") && line.contains("Debug"))
    {
        let indent = &line[..line.len() - line.trim_start().len()];
        let end = format!("{indent}}}");
        let item = lines[number + 1..].iter().take_while(|line| **line != end && !line.trim().is_empty());
        found.extend(
            item.filter(|line| holds(line))
                .map(|field| format!("{}:{}: derives Debug and holds `{}`", file.path, number + 1, field.trim())),
        );
    }
    found
}

/// Whether a line of a type has a field or variant that is a secret, by its type or its name.
fn holds(line: &str) -> bool {
    let line = line.trim().trim_start_matches("pub ").trim_start_matches("pub(crate) ");
    if line.starts_with("//") || line.starts_with('#') {
        return false;
    }
    let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    // A bare variant is a name and holds nothing.
    let bare = words.len() <= 2 && !line.contains(['(', '{', ':']);
    let typed = !bare && words.iter().any(|word| TYPES.contains(word));
    let plain = line
        .split_once(": ")
        .is_some_and(|(name, kind)| NAMES.contains(&name.trim()) && PLAIN.iter().any(|plain| kind.starts_with(plain)));
    typed || plain
}

#[test]
fn a_printable_secret_is_found() {
    let found = |text: &str| complaints(&File { path: "x.rs".to_owned(), text: text.to_owned() }).len();
    assert_eq!(found("#[derive(Clone, Debug)]\npub struct A {\n    pub secret: String,\n}\n"), 1);
    assert_eq!(found("#[derive(Debug)]\nenum A {\n    B {\n        seed: Vec<u8>,\n    },\n}\n"), 1);
    assert_eq!(found("#[derive(Debug)]\nstruct A(Option<TotpSeed>);\n"), 1);
    assert_eq!(found("#[derive(Debug)]\nenum A {\n    RecoveryCode {\n        code: String,\n    },\n}\n"), 1);
    assert_eq!(found("#[derive(Debug)]\nenum A {\n    Passphrase,\n    Recovery,\n}\n"), 0);
    assert_eq!(found("#[derive(Debug)]\nstruct A {\n    code: Code,\n    token_file: String,\n}\n"), 0);
    assert_eq!(found("#[derive(Clone)]\nstruct A {\n    secret: String,\n}\n"), 0);
}
