//! `claviger ssh-key`: what it reads, asks, sends and prints.

use crate::agent::Home;
use crate::program::{OnTerminal, ended, run, shell};
use crate::{no_request, status};
use claviger::model::Name;
use claviger::secret::SecretText;
use claviger::wire::{
    Code, Fault, Reply, Request, SlotProof, SshKeyExport, SshKeyKind, SshKeyOptions, SshKeyRow, TrashKind,
};
use std::os::unix::fs::PermissionsExt;

const LINE: &str = "ssh-ed25519 AAAA github";
const FILE: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n";

fn row(name: &Name) -> SshKeyRow {
    SshKeyRow {
        name: name.clone(),
        algorithm: "ssh-ed25519".to_owned(),
        bits: 256,
        fingerprint: "SHA256:abc".to_owned(),
        comment: "github".to_owned(),
        any_data: false,
        confirm: false,
        destinations: Vec::new(),
        lifetime: None,
        namespaces: vec!["git".to_owned(), "file".to_owned()],
        public: Some(LINE.to_owned()),
        added: "2026-11-22T01:00:00Z".to_owned(),
    }
}

#[test]
fn a_new_key_prints_its_line_and_what_restricts_it_is_sent() {
    let home = Home::new();
    home.serve("run", |request, _| match request {
        Request::Status {} => Ok(status("unlocked")),
        Request::SshKeyNew { name, kind, options } if name.as_str() == "plain" => {
            assert_eq!((*kind, options), (SshKeyKind::Ed25519, &SshKeyOptions::default()));
            Ok(Reply::SshKey(row(name)))
        }
        Request::SshKeyNew { name, kind, options } => {
            let wanted = SshKeyOptions {
                any_data: true,
                comment: Some("ada".to_owned()),
                confirm: true,
                destinations: ["ada@db", "a>b"].map(str::to_owned).into(),
                lifetime: Some(600),
                namespaces: vec!["git".to_owned()],
            };
            assert_eq!((*kind, options), (SshKeyKind::Rsa4096, &wanted));
            Ok(Reply::SshKey(row(name)))
        }
        Request::SshKeyPublic { name } => Ok(Reply::SshKey(row(name))),
        Request::SshKeyRemove { .. } => Ok(Reply::Done {}),
        Request::TrashRestore { kind, .. } => {
            assert_eq!(*kind, Some(TrashKind::SshKey));
            Ok(Reply::Done {})
        }
        other => no_request(other),
    });
    let made =
        |name: &str| ended(0, "ssh-ed25519 AAAA github\n", &format!("SSH key {name} (SHA256:abc) is in the vault.\n"));
    assert_eq!(run(&home, &["ssh-key", "new", "plain"], ""), made("plain"));
    let words = "ssh-key new prod --type rsa-4096 --comment ada --confirm --lifetime 10m --destination ada@db \
                 --destination a>b --namespace git --any-data";
    assert_eq!(run(&home, &words.split_whitespace().collect::<Vec<_>>(), ""), made("prod"));
    assert_eq!(run(&home, &["ssh-key", "public", "prod"], ""), ended(0, "ssh-ed25519 AAAA github\n", ""));
    let removed =
        "SSH key prod is in the vault's trash for 30 days. Back with: claviger trash restore prod --kind ssh-key\n";
    assert_eq!(run(&home, &["ssh-key", "remove", "prod"], ""), ended(0, "", removed));
    assert_eq!(run(&home, &["trash", "restore", "prod", "--kind", "ssh-key"], "").exit, 0);
    for words in [&["ssh-key", "new", "x", "--type", "dsa"][..], &["ssh-key", "new", "x", "--lifetime", "soon"]] {
        assert_eq!(run(&home, words, "").exit, 2, "{words:?}");
    }
}

#[test]
fn a_list_is_asked_for_page_by_page() {
    let home = Home::new();
    home.serve("run", |request, _| match request {
        Request::SshKeyList { skip } => {
            let names = ["one", "two", "three"];
            let rows = names.iter().skip(*skip).take(2).map(|name| {
                let name: Name = name.parse().expect("a name");
                let restricted = name.as_str() == "two";
                let lifetime = restricted.then_some(600);
                let destinations = if restricted { vec!["a>ada@b".to_owned()] } else { Vec::new() };
                SshKeyRow { public: None, confirm: name.as_str() == "three", lifetime, destinations, ..row(&name) }
            });
            Ok(Reply::SshKeys(rows.collect()))
        }
        other => no_request(other),
    });
    insta::assert_snapshot!(run(&home, &["ssh-key", "list"], "").stdout, @"
    NAME   TYPE     BITS  FINGERPRINT  USE                                          ADDED                 COMMENT
    one    ed25519  256   SHA256:abc   signs git file                               2026-11-22 01:00 UTC  github
    two    ed25519  256   SHA256:abc   asks for 10 min, to a>ada@b, signs git file  2026-11-22 01:00 UTC  github
    three  ed25519  256   SHA256:abc   asks, signs git file                         2026-11-22 01:00 UTC  github
    ");
    let json = run(&home, &["ssh-key", "list", "--json"], "").stdout;
    let rows: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((rows.as_array().map(Vec::len), rows[2]["name"].as_str()), (Some(3), Some("three")));
}

#[test]
fn a_key_comes_from_a_file_or_stdin_with_its_passphrase_and_certificate() {
    let home = Home::new();
    home.serve("run", |request, _| match request {
        Request::Status {} => Ok(status("unlocked")),
        Request::SshKeyAdd { name, key, key_passphrase, certificate, options } => {
            assert_eq!((key.expose(), options), (FILE, &SshKeyOptions::default()));
            let passphrase = key_passphrase.as_ref().map(SecretText::expose);
            match name.as_str() {
                "plain" => assert_eq!((passphrase, certificate.as_deref()), (None, None)),
                "certified" => assert_eq!((passphrase, certificate.as_deref()), (None, Some("a line\n"))),
                _ if passphrase == Some("good") => {}
                _ if passphrase.is_none() => return Err(Fault::new(Code::SshKeyPassphraseNeeded, "it is encrypted")),
                _ => return Err(Fault::new(Code::SshKeyPassphraseWrong, "that does not open it")),
            }
            Ok(Reply::SshKey(row(name)))
        }
        other => no_request(other),
    });
    std::fs::write(home.path().join("key"), FILE).expect("a file");
    std::fs::write(home.path().join("key-cert.pub"), "a line\n").expect("a file");
    let line = |words: &str| shell(&home, &format!("\"$claviger\" ssh-key add {words}"));
    let stored = |name: &str| ended(0, "", &format!("SSH key {name} (SHA256:abc) is in the vault.\n"));
    assert_eq!(line("plain key"), stored("plain"));
    assert_eq!(line("plain --stdin <key"), stored("plain"));
    assert_eq!(line("certified key --certificate key-cert.pub"), stored("certified"));
    assert_eq!(line("locked --stdin --key-passphrase-fd 3 <key 3<<'E'\ngood\nE"), stored("locked"));
    let needed = "claviger: it is encrypted\nhint: claviger ssh-key add NAME FILE --key-passphrase-fd 3\n";
    assert_eq!(line("locked key"), ended(4, "", needed));
    assert_eq!(
        line("locked key --key-passphrase-fd 0 <key"),
        ended(5, "", "claviger: that does not open it\nhint: ssh-keygen -y -f FILE\n")
    );
    for (words, said) in [
        ("x", "<FILE> is missing"),
        ("x key --stdin", "exclude each other"),
        ("x nothing", "nothing cannot be read"),
        ("x .", ". cannot be read"),
        ("x --stdin --key-passphrase-fd 0 <key", "--stdin and --key-passphrase-fd read the same file descriptor"),
        ("x --stdin --passphrase-fd 0 <key", "--stdin and --passphrase-fd read the same file descriptor"),
    ] {
        let ended = line(words);
        assert!(ended.exit == 2 && ended.stderr.contains(said), "{words}: {ended:?}");
    }
    let key = home.path().join("key").display().to_string();
    let mut person = OnTerminal::start(&home, &["ssh-key", "add", "locked", &key]);
    person.wait_for("Passphrase of ");
    person.enter_hidden("bad");
    person.wait_for("That does not open it; try again.");
    person.wait_for("Passphrase of ");
    person.enter_hidden("good");
    let ended = person.end();
    assert_eq!((ended.exit, ended.stdout.as_str()), (0, ""));
    assert!(ended.stderr.ends_with("SSH key locked (SHA256:abc) is in the vault.\r\n"), "{}", ended.stderr);
}

#[test]
fn a_list_that_is_too_wide_for_the_terminal_has_more_lines_and_none_that_breaks() {
    let home = Home::new();
    home.serve("run", |request, _| match request {
        Request::SshKeyList { skip: 0 } => Ok(Reply::SshKeys(vec![SshKeyRow {
            fingerprint: format!("SHA256:{}", "x".repeat(43)),
            ..row(&"github".parse().expect("a name"))
        }])),
        Request::SshKeyList { .. } => Ok(Reply::SshKeys(Vec::new())),
        other => no_request(other),
    });
    let shown = OnTerminal::start_all(&home, &["ssh-key", "list"]).end().stderr.replace('\r', "");
    insta::assert_snapshot!(shown, @"
    NAME    TYPE     BITS  FINGERPRINT
        USE             ADDED                 COMMENT
    github  ed25519  256   SHA256:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
        signs git file  2026-11-22 01:00 UTC  github
    ");
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    let piped = run(&home, &["ssh-key", "list"], "").stdout;
    assert_eq!(piped.lines().count(), 2, "a program gets a line for each: {piped}");
}

#[test]
fn a_person_who_mistypes_the_passphrase_of_the_vault_may_try_again() {
    let home = Home::new();
    home.serve("run", |request, _| match request {
        Request::Status {} => Ok(status("unlocked")),
        Request::SshKeyExport { proof: SlotProof::Passphrase(passphrase), .. } if passphrase.expose() == "good" => {
            Ok(Reply::SshKeyExport(SshKeyExport { key: SecretText::from_text(FILE.to_owned()), certificate: None }))
        }
        Request::SshKeyExport { .. } => Err(Fault::new(Code::VaultWrongProof, "that opens no slot")),
        other => no_request(other),
    });
    let export = |wrong: &[&str], last: &str| {
        let mut person = OnTerminal::start(&home, &["ssh-key", "export", "plain"]);
        for passphrase in wrong {
            person.wait_for("Passphrase: ");
            person.enter_hidden(passphrase);
            person.wait_for("that opens no slot; try again.");
        }
        person.wait_for("Passphrase: ");
        person.enter_hidden(last);
        person.end()
    };
    let opened = export(&["bad"], "good");
    assert_eq!((opened.exit, opened.stdout.as_str()), (0, FILE), "{}", opened.stderr);
    let refused = export(&["bad", "worse"], "worst");
    assert!(refused.exit == 5 && refused.stdout.is_empty(), "{}", refused.stderr);
    assert!(refused.stderr.contains("claviger: that opens no slot\r\n"), "{}", refused.stderr);
}

#[test]
fn an_export_goes_to_stdout_or_to_a_new_file_of_its_own() {
    let home = Home::new();
    home.serve("run", |request, _| match request {
        Request::Status {} => Ok(status("unlocked")),
        Request::SshKeyExport { name, key_passphrase, proof: SlotProof::Passphrase(passphrase), .. } => {
            assert_eq!(passphrase.expose(), "good");
            assert_eq!(key_passphrase.as_ref().map(SecretText::expose), (name.as_str() == "own").then_some("mine"));
            let certificate = (name.as_str() == "certified").then(|| "a line".to_owned());
            Ok(Reply::SshKeyExport(SshKeyExport { key: SecretText::from_text(FILE.to_owned()), certificate }))
        }
        other => no_request(other),
    });
    let export =
        |words: &str| shell(&home, &format!("echo good | \"$claviger\" ssh-key export --passphrase-fd 0 {words}"));
    assert_eq!(export("plain"), ended(0, FILE, ""));
    let file = home.path().join("out");
    assert_eq!(export("certified --out out"), ended(0, "", "The key is written. It is in the clear.\n"));
    assert_eq!(std::fs::read_to_string(&file).expect("a file"), FILE);
    assert_eq!(std::fs::metadata(&file).expect("a file").permissions().mode() & 0o7777, 0o600);
    assert_eq!(std::fs::read_to_string(home.path().join("out-cert.pub")).expect("a file"), "a line\n");
    let taken = export("plain --out out");
    assert!(taken.exit == 1 && taken.stderr.contains("there is a file of that name"), "{taken:?}");
    std::fs::remove_file(&file).expect("removed");
    assert_eq!(export("plain --out out").exit, 1, "its certificate would be overwritten");
    let nowhere = export("plain --out /nowhere/out");
    assert!(nowhere.exit == 1 && nowhere.stderr.contains("/nowhere/out cannot be written"), "{nowhere:?}");
    let own = export("own --key-passphrase-fd 3 --out own 3<<'E'\nmine\nE");
    assert_eq!(own, ended(0, "", "The key is written. It is encrypted.\n"));
}
