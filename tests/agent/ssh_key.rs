//! SSH keys in the vault, by the real programs: what ssh-keygen, OpenSSL and PuTTY wrote goes in, and what comes out
//! ssh-keygen reads.

use crate::home::{Agent, Ended, Home, PASSPHRASE, run};
use crate::needles::Needles;
use serde_json::Value;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the encrypted files of the vectors are under.
const KEY_PASSPHRASE: &str = "correct horse\n";

fn vector(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/ssh-keys").join(name);
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A home with an open vault.
fn ready() -> (Home, Agent) {
    let home = Home::new();
    let agent = home.start();
    home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    (home, agent)
}

impl Home {
    fn ssh_key(&self, words: &[&str], stdin: &str) -> Ended {
        self.run(&[&["ssh-key"], words].concat(), stdin)
    }

    /// A file that OpenSSH takes as a key's.
    fn key_file(&self, name: &str, text: &str) -> String {
        self.write(name, text);
        fs::set_permissions(self.file(name), Permissions::from_mode(0o600)).expect("chmod");
        self.file(name).display().to_string()
    }

    fn ssh_keys(&self) -> Value {
        serde_json::from_str(&self.ssh_key(&["list", "--json"], "").good()).expect("JSON")
    }
}

fn ssh_keygen(words: &[&str]) -> String {
    let mut command = Command::new("ssh-keygen");
    run(command.args(words).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/nowhere"), "").good()
}

/// Bits and fingerprint as ssh-keygen shows them of a public line.
fn shown(home: &Home, line: &str) -> (u64, String) {
    let said = ssh_keygen(&["-l", "-f", &home.key_file("shown.pub", line)]);
    let mut words = said.split(' ');
    (words.next().and_then(|bits| bits.parse().ok()).expect("bits"), words.next().expect("a fingerprint").to_owned())
}

#[test]
fn a_new_key_of_each_type_is_one_that_ssh_keygen_knows() {
    let (home, _agent) = ready();
    for (kind, algorithm, bits) in [
        ("ed25519", "ssh-ed25519", 256),
        ("ecdsa-p256", "ecdsa-sha2-nistp256", 256),
        ("ecdsa-p384", "ecdsa-sha2-nistp384", 384),
        ("ecdsa-p521", "ecdsa-sha2-nistp521", 521),
        ("rsa-3072", "ssh-rsa", 3072),
    ] {
        let line = home.ssh_key(&["new", kind, "--type", kind, "--comment", "ada at home"], "").good();
        assert!(line.starts_with(&format!("{algorithm} ")) && line.ends_with(" ada at home\n"), "{line}");
        assert_eq!(home.ssh_key(&["public", kind], "").good(), line);
        let rows = home.ssh_keys();
        let row = rows.as_array().expect("rows").iter().find(|row| row["name"] == kind).expect("its row").clone();
        let (size, fingerprint) = shown(&home, &line);
        assert_eq!((size, row["bits"].as_u64()), (bits, Some(bits)), "{kind}");
        assert_eq!(row["fingerprint"], fingerprint.as_str(), "{kind}");
        let file = home.ssh_key(&["export", kind, "--passphrase-fd", "0"], PASSPHRASE).good();
        assert_eq!(ssh_keygen(&["-y", "-f", &home.key_file("exported", &file)]), line);
    }
    let table = home.ssh_key(&["list"], "").good();
    assert!(table.starts_with("NAME") && table.contains("ecdsa") && table.contains("signs git file"), "{table}");
    home.ssh_key(&["new", "ed25519"], "").fault_told(5, "an ssh key is stored as ed25519 already");
    home.ssh_key(&["public", "nobody"], "").fault_told(6, "no ssh key is stored as nobody");
}

#[test]
fn keys_of_every_tool_go_in_and_come_out_the_same() {
    let (home, _agent) = ready();
    for name in ["ed25519.openssh", "rsa-2048.pem", "ecdsa-256.pkcs8", "ecdsa-384.ppk"] {
        let key = name.split('.').next().expect("a key");
        home.ssh_key(&["add", key, "--stdin"], &vector(name)).good();
        let public = home.ssh_key(&["public", key], "").good();
        let words = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ").trim().to_owned();
        assert_eq!(words(&public), words(&vector(&format!("{key}.pub"))), "{name}");
        let file = home.ssh_key(&["export", key, "--passphrase-fd", "0"], PASSPHRASE).good();
        let again = ssh_keygen(&["-y", "-f", &home.key_file("exported", &file)]);
        assert_eq!(again, public, "{name}");
    }
    // One that ssh-keygen makes and encrypts here, and a file of each tool that the vectors have under a passphrase.
    let made = home.file("made").display().to_string();
    ssh_keygen(&["-q", "-t", "ed25519", "-a", "4", "-N", "correct horse", "-C", "made here", "-f", &made]);
    let add = ["add", "made", &made, "--key-passphrase-fd", "0"];
    home.ssh_key(&add[..3], "").fault_told(4, "a passphrase is needed");
    home.ssh_key(&add, "wrong\n").fault_told(5, "the passphrase does not open the private key");
    home.ssh_key(&add, KEY_PASSPHRASE).good();
    assert_eq!(home.ssh_key(&["public", "made"], "").good(), home.file_text("made.pub"));
    for name in ["rsa-2048-encrypted.pem", "ecdsa-521-encrypted.pkcs8", "ed25519-encrypted.ppk"] {
        let file = home.key_file(name, &vector(name));
        let add = ["add", name, &file, "--key-passphrase-fd", "0"];
        home.ssh_key(&add, "wrong\n").fault_told(5, "does not open");
        match name {
            "ecdsa-521-encrypted.pkcs8" => drop(home.ssh_key(&add, KEY_PASSPHRASE).good()),
            _ => home.ssh_key(&add, KEY_PASSPHRASE).fault_told(5, "this ssh key is stored as"),
        }
    }
    for (text, exit, words) in [
        ("", 2, "not a private key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n", 2, "the key is malformed"),
        (&vector("ed25519.pub"), 2, "a public key, not a private key"),
        (&vector("refused-dsa.openssh"), 5, "keys of the type dsa are not supported"),
        (&vector("refused-des3.pem"), 5, "ssh-keygen -p -f FILE"),
        (&vector("refused-rsa-1024.pem"), 5, "fewer than 2048"),
    ] {
        home.ssh_key(&["add", "junk", "--stdin"], text).fault_told(exit, words);
    }
    assert_eq!(home.ssh_keys().as_array().map(Vec::len), Some(6));
}

impl Home {
    fn file_text(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).expect("a file")
    }
}

#[test]
fn a_certificate_is_kept_with_its_key_and_an_expired_one_refused() {
    let (home, _agent) = ready();
    let key = home.key_file("key", &vector("ed25519.openssh"));
    let good = home.key_file("key-cert.pub", &vector("ed25519-cert.pub"));
    let other = home.key_file("other-cert.pub", &vector("rsa-2048-cert.pub"));
    home.ssh_key(&["add", "work", &key, "--certificate", &other], "").fault_told(5, "belongs to another key");
    let authority = home.key_file("ca", &vector("ecdsa-256.openssh"));
    home.key_file("old.pub", &vector("ed25519.pub"));
    let old = home.file("old.pub").display().to_string();
    ssh_keygen(&["-q", "-s", &authority, "-I", "id", "-n", "ada", "-V", "20200101:20200102", &old]);
    let expired = home.file("old-cert.pub").display().to_string();
    home.ssh_key(&["add", "work", &key, "--certificate", &expired], "").fault_told(5, "the certificate has expired");
    home.ssh_key(&["add", "work", &key, "--certificate", &key], "").fault_told(2, "the certificate is not a line");
    // The one beside it is not taken by itself.
    home.ssh_key(&["add", "plain", &key], "").good();
    assert_eq!(home.ssh_keys()[0]["algorithm"], "ssh-ed25519");
    home.ssh_key(&["add", "work", &key, "--certificate", &good], "").good();
    assert_eq!(home.ssh_key(&["public", "work"], "").good().trim(), vector("ed25519-cert.pub").trim());
    let out = home.file("out").display().to_string();
    home.ssh_key(&["export", "work", "--out", &out, "--passphrase-fd", "0"], PASSPHRASE).good();
    assert_eq!(home.file_text("out-cert.pub").trim(), vector("ed25519-cert.pub").trim());
    assert_eq!(ssh_keygen(&["-y", "-f", &out]), vector("ed25519.pub"));
    let mode = fs::metadata(&out).expect("a file").permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let again = ["export", "work", "--out", &out, "--passphrase-fd", "0"];
    home.ssh_key(&again, PASSPHRASE).fault_told(1, "there is a file of that name already");
}

#[test]
fn rules_are_kept_and_hosts_looked_up_in_the_known_hosts_of_the_user() {
    let (home, _agent) = ready();
    let host = |name: &str, key: &str| format!("{name} {}", vector(key));
    home.write(".ssh/known_hosts", &host("bastion.example", "ed25519.pub"));
    home.write(".ssh/known_hosts2", &host("@cert-authority *.corp.example", "rsa-2048.pub"));
    let hashed = home.file(".ssh/known_hosts").display().to_string();
    ssh_keygen(&["-q", "-H", "-f", &hashed]);
    assert!(home.file_text(".ssh/known_hosts").starts_with("|1|"));
    let new = |rest: &[&str]| home.ssh_key(&[&["new", "prod"], rest].concat(), "");
    new(&["--destination", "db.example"]).fault_told(6, "no host key of db.example is known");
    assert!(new(&["--destination", "[db.example]:22"]).stderr.contains("hint: ssh -p 22 db.example\n"));
    let hostile = new(&["--destination", "-oProxyCommand=id"]);
    assert!(!hostile.stderr.contains("hint: ssh"), "{hostile:?}");
    new(&["--destination", "ada@"]).fault_told(2, "a destination is [user@]host");
    new(&["--namespace", "a b"]).fault_told(2, "a namespace is");
    new(&["--lifetime", "0s"]).fault_told(2, "a consent lasts");
    let options = [
        "--confirm",
        "--lifetime",
        "10m",
        "--destination",
        "bastion.example",
        "--destination",
        "bastion.example>ada@db.corp.example",
        "--namespace",
        "git",
        "--any-data",
    ];
    new(&options).good();
    let row = &home.ssh_keys()[0];
    assert_eq!(row["destinations"], serde_json::json!(["bastion.example", "bastion.example>ada@db.corp.example"]));
    assert_eq!((row["confirm"].as_bool(), row["lifetime"].as_u64()), (Some(true), Some(600)));
    assert_eq!((row["any_data"].as_bool(), &row["namespaces"]), (Some(true), &serde_json::json!(["git"])));
    let table = home.ssh_key(&["list"], "").good();
    assert!(table.contains("asks for 10 min, to bastion.example bastion.example>ada@db.corp.example"), "{table}");
}

#[test]
fn a_removed_key_comes_back_and_a_locked_vault_gives_none() {
    let (home, _agent) = ready();
    let line = home.ssh_key(&["new", "laptop"], "").good();
    assert!(line.ends_with(" laptop\n"), "its name is its comment: {line}");
    let removed = home.ssh_key(&["remove", "laptop"], "");
    assert!(removed.stderr.contains("claviger trash restore laptop --kind ssh-key"), "{removed:?}");
    removed.good();
    home.ssh_key(&["remove", "laptop"], "").fault_told(6, "no ssh key is stored as laptop");
    let rows: Value = serde_json::from_str(&home.run(&["trash", "list", "--json"], "").good()).expect("JSON");
    assert_eq!(rows[0]["kind"], "ssh_key");
    home.run(&["trash", "restore", "laptop", "--kind", "mfa"], "").fault_told(6, "nothing named laptop");
    home.run(&["trash", "restore", "laptop", "--kind", "ssh-key", "--as", "back"], "").good();
    assert_eq!(home.ssh_key(&["public", "back"], "").good(), line);
    home.run(&["lock"], "").good();
    let key = vector("rsa-2048.openssh");
    for (words, stdin) in [
        (&["list"][..], ""),
        (&["public", "back"], ""),
        (&["new", "x"], ""),
        (&["remove", "back"], ""),
        (&["add", "x", "--stdin"], &key),
    ] {
        home.ssh_key(words, stdin).fault_of_person();
    }
    home.ssh_key(&["export", "back", "--passphrase-fd", "0"], "wrong\n").fault_told(5, "opens no slot");
    home.run(&["agent", "stop"], "").good();
    let _agent = home.start();
    home.unlock().good();
    assert_eq!(home.ssh_key(&["public", "back"], "").good(), line, "the vault has it");
}

#[test]
fn an_export_may_have_a_passphrase_of_its_own() {
    let (home, _agent) = ready();
    home.ssh_key(&["new", "laptop", "--type", "ecdsa-p256"], "").good();
    home.write("own", "battery staple\n");
    home.write("vault", PASSPHRASE);
    let out = home.file("out").display().to_string();
    let mut shell = home.program_command("/bin/sh".as_ref());
    shell.args(["-c", "exec \"$0\" \"$@\" 3<own 4<vault"]).arg(crate::home::program("claviger"));
    shell.args(["ssh-key", "export", "laptop", "--key-passphrase-fd", "3", "--passphrase-fd", "4", "--out", &out]);
    run(&mut shell, "").good();
    let public = home.ssh_key(&["public", "laptop"], "").good();
    assert_eq!(ssh_keygen(&["-y", "-P", "battery staple", "-f", &out]), public);
    let mut wrong = Command::new("ssh-keygen");
    assert_ne!(run(wrong.args(["-y", "-P", "", "-f", &out]), "").exit, Some(0), "the control");
    home.ssh_key(&["export", "laptop", "--key-passphrase-fd", "0", "--passphrase-fd", "0"], "a\nb\n")
        .fault_told(2, "read the same file descriptor");
}

/// The private half stands nowhere but where it is exported to.
#[test]
fn the_private_half_is_in_no_log_no_record_and_no_message() {
    let (home, _agent) = ready();
    let text = vector("ed25519.openssh");
    let imported = claviger_agent::ssh::key::import(text.as_bytes(), None);
    let fields =
        imported.unwrap_or_else(|error| panic!("{error}")).key.encode().unwrap_or_else(|error| panic!("{error}"));
    // The last 64 bytes are seed and public half.
    let seed = &fields[fields.len() - 64..fields.len() - 32];
    let seed = Needles::of(seed);
    let path = home.key_file("key", &text);
    let mut said = Vec::new();
    for (words, stdin) in [
        (&["add", "one", &path][..], ""),
        (&["add", "two", &path], ""),
        (&["add", "two", "--stdin"], &text[..text.len() / 2]),
        (&["add", "two", &path, "--certificate", &path], ""),
        (&["add", &path, "two"], ""),
        (&["list"], ""),
        (&["list", "--json"], ""),
        (&["public", "one"], ""),
        (&["remove", "one"], ""),
        (&["export", "one", "--passphrase-fd", "0"], PASSPHRASE),
    ] {
        let ended = home.ssh_key(words, stdin);
        said.push((words.join(" "), ended.stdout, ended.stderr));
    }
    home.run(&["trash", "restore", "one"], "").good();
    let exported = home.ssh_key(&["export", "one", "--passphrase-fd", "0"], PASSPHRASE).good();
    let armour = Needles::of(exported.lines().nth(4).expect("a line of it").as_bytes());
    assert!(armour.find(exported.as_bytes()).is_some(), "the control");
    for (words, stdout, stderr) in &said {
        for needles in [&seed, &armour] {
            assert_eq!(needles.find(stdout.as_bytes()), None, "stdout of {words}");
            assert_eq!(needles.find(stderr.as_bytes()), None, "stderr of {words}");
        }
    }
    let mut looked = 0;
    let mut folders: Vec<PathBuf> = vec![home.file("data"), home.file("run")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(bytes) = fs::read(&path) {
                looked += 1;
                for needles in [&seed, &armour] {
                    assert_eq!(needles.find(&bytes), None, "{}", path.display());
                }
            }
        }
    }
    assert!(looked >= 3, "vault, state and record: {looked} files");
    let record = home.run(&["audit", "log", "--event", "ssh_key", "--json"], "").good();
    for event in ["ssh_key.add", "ssh_key.remove", "ssh_key.export"] {
        assert!(record.contains(event), "{event}: {record}");
    }
    assert!(record.contains("\"one\"") && record.contains("ssh_key.exists"), "{record}");
}
