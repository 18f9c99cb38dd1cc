//! Nothing that prints itself holds a secret.

use crate::tree::{File, code, product, shipped};
use claviger::model::SlotProof;
use claviger::secret::{
    EndpointToken, Passphrase, Pin, RecoveryCode, Secret, SecretAccessKey, SessionToken, SshKeyFile, SshPrivateKey,
    TokenCode, TotpSeed, TotpSeedText, TypedAnswer,
};
use claviger::wire::{AgentLine, AgentMessage, ClientLine, ClientMessage, Credentials, Event, NewSlot, Reply, Request};
use std::fmt::{Debug, Display};
use std::hash::Hash;
use std::marker::PhantomData;

/// Types that say what they hold; `src/secret.rs` keeps them from printing, and a plain field must not take their place.
const TYPES: [&str; 12] = [
    "EndpointToken",
    "Passphrase",
    "Pin",
    "RecoveryCode",
    "SecretAccessKey",
    "SessionToken",
    "SshKeyFile",
    "SshPrivateKey",
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

/// Asks the compiler whether a type has a trait: where the bound holds, the type's own constant hides that of `_Absent`.
/// One of the two is never used: hence the names.
macro_rules! has {
    ($kind:ty: $bound:path) => {{
        trait _Absent {
            const _HAS: bool = false;
        }
        struct Ask<T>(PhantomData<T>);
        impl<T: $bound> Ask<T> {
            const _HAS: bool = true;
        }
        impl<T> _Absent for Ask<T> {}
        <Ask<$kind>>::_HAS
    }};
}

macro_rules! bare {
    ($($kind:ty),* $(,)?) => {
        [$((
            stringify!($kind),
            [
                ("Debug", has!($kind: Debug)),
                ("Display", has!($kind: Display)),
                ("Clone", has!($kind: Clone)),
                ("PartialEq", has!($kind: PartialEq)),
                ("PartialOrd", has!($kind: PartialOrd)),
                ("Hash", has!($kind: Hash)),
                ("Serialize", has!($kind: serde::Serialize)),
                ("AsRef<str>", has!($kind: AsRef<str>)),
                ("AsRef<[u8]>", has!($kind: AsRef<[u8]>)),
                ("Into<String>", has!($kind: Into<String>)),
            ],
        )),*]
    };
}

#[test]
fn a_secret_has_one_way_out() {
    let types = bare!(
        EndpointToken,
        Passphrase,
        Pin,
        RecoveryCode,
        SecretAccessKey,
        SessionToken,
        SshKeyFile,
        SshPrivateKey,
        TokenCode,
        TotpSeed,
        TotpSeedText,
        TypedAnswer,
        Secret<String>,
        Secret<Vec<u8>>,
        Secret<[u8; 32]>,
    );
    for (kind, traits) in types {
        let has: Vec<&str> = traits.iter().filter(|(_, has)| *has).map(|(name, _)| *name).collect();
        assert!(has.is_empty(), "{kind} is {has:?}");
    }
    for kind in TYPES {
        assert!(types.iter().any(|(known, _)| *known == kind), "{kind} is not asked");
    }
    // The compiler says so where a type has them all.
    let [(_, traits)] = bare!(String);
    assert!(traits.iter().all(|(_, has)| *has), "{traits:?}");
}

#[test]
fn what_carries_secrets_over_the_wire_does_not_print_itself() {
    let printable = [
        has!(AgentLine: Debug),
        has!(AgentMessage: Debug),
        has!(ClientLine: Debug),
        has!(ClientMessage: Debug),
        has!(Credentials: Debug),
        has!(Event: Debug),
        has!(NewSlot: Debug),
        has!(Reply: Debug),
        has!(Request: Debug),
        has!(SlotProof: Debug),
    ];
    assert_eq!(printable, [false; 10]);
}

/// What prints or logs its arguments.
const PRINTERS: [&str; 15] = [
    "trace!(",
    "debug!(",
    "info!(",
    "warn!(",
    "error!(",
    "event!(",
    "span!(",
    "print!(",
    "println!(",
    "dbg!(",
    "panic!(",
    "assert!(",
    "assert_eq!(",
    "assert_ne!(",
    "unreachable!(",
];

#[test]
fn no_log_takes_a_secret() {
    let complaints: Vec<String> = product().iter().flat_map(printed).collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// The macros that print what `.expose()` gave them, and those that print a whole request or reply.
fn printed(file: &File) -> Vec<String> {
    let text: String = shipped(&file.text).lines().flat_map(|line| [code(line), "\n"]).collect();
    let mut found = Vec::new();
    for printer in PRINTERS {
        for (at, _) in text.match_indices(printer) {
            let arguments = arguments(&text[at + printer.len()..]);
            if arguments.contains(".expose()") {
                let line = text[..at].lines().count();
                found.push(format!("{}:{line}: {printer} takes what expose gives", file.path));
            }
        }
    }
    found
}

/// Up to the parenthesis that closes.
fn arguments(text: &str) -> &str {
    let mut depth = 1;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[..at];
        }
    }
    text
}

#[test]
fn a_secret_in_a_log_is_found() {
    let found = |text: &str| printed(&File { path: "x.rs".to_owned(), text: text.to_owned() }).len();
    assert_eq!(found("fn a() {\n    tracing::info!(key = %b.expose(), \"x\");\n}\n"), 1);
    assert_eq!(found("fn a() {\n    eprintln!(\n        \"{}\",\n        f(b.expose())\n    );\n}\n"), 1);
    assert_eq!(found("fn a() {\n    tracing::info!(\"x\");\n    f(b.expose());\n}\n"), 0);
    assert_eq!(found("fn a() {\n    // tracing::info!(b.expose())\n}\n"), 0);
}
