//! The drill: a backup brings everything back on a machine that has nothing else, and the trash gives back what was
//! removed.

use crate::home::{Home, PASSPHRASE, program};
use crate::sandbox::Sandbox;
use serde_json::Value;

const BY_PASSPHRASE: [&str; 2] = ["--passphrase-fd", "0"];

fn code_of(backup: &str) -> String {
    format!("{}\n", backup.trim())
}

#[test]
fn a_backup_brings_everything_back_where_nothing_else_is_left() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    home.run(&["process", "prod"], "").good();
    let file = home.file("claviger.backup");
    let path = file.to_str().expect("a path");
    let backup = [&["backup", path][..], &BY_PASSPHRASE].concat();
    home.run(&backup, "not the passphrase\n").fault_told(5, "opens no slot");
    assert!(!file.exists(), "a backup without a proof");
    // A wrong guess makes the next one wait; a person starts again.
    home.run(&["agent", "stop"], "").good();
    home.unlock().good();
    let code = code_of(&home.run(&backup, PASSPHRASE).good());
    home.run(&backup, PASSPHRASE).fault_told(5, "a file of that name");
    let bytes = std::fs::read(&file).expect("the backup");

    // Another machine: only the backup and its code.
    let other = Home::at(&sandbox);
    std::fs::write(other.file("b"), &bytes).expect("the backup");
    let from = other.file("b");
    let restore = |code: &str| {
        other.write("code", code);
        other.write("new", "a new passphrase\n");
        let mut shell = other.program_command("/bin/sh".as_ref());
        shell.args(["-c", "exec \"$0\" restore \"$1\" --recovery-fd 3 --passphrase-fd 4 3<code 4<new"]);
        crate::home::run(shell.arg(program("claviger")).arg(&from), "")
    };
    restore("AAAA-BBBB").fault_told(5, "opens no slot");
    assert_eq!(other.status()["vault"], "absent");
    other.run(&["agent", "stop"], "").good();
    restore(&code).good();
    assert_eq!(other.status()["vault"], "unlocked");
    // The ledger was burned ahead: the current code and the next are not shown again.
    other.run(&["mfa", "code", "--now"], "").fault_told(4, "");
    let before = sandbox.codes();
    let session: Value =
        serde_json::from_str(&other.run(&["process", "prod", "--wait", "90"], "").good()).expect("JSON");
    assert!(session["AccessKeyId"].as_str().expect("an id").starts_with("ASIA"));
    assert_eq!(sandbox.codes(), before + 1, "one new code");
    restore(&code).fault_told(5, "there is a vault already");
    other.run(&["lock"], "").good();
    other.run(&["unlock", "--passphrase-fd", "0"], "a new passphrase\n").good();
}

#[test]
fn what_was_removed_comes_back_from_the_trash_until_it_is_emptied() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    home.run(&["mfa", "remove", "ada-phone"], "").good();
    home.run(&["access-key", "remove", "dev"], "").good();
    let rows: Value = serde_json::from_str(&home.run(&["trash", "list", "--json"], "").good()).expect("JSON");
    let row = |index: usize| (rows[index]["name"].as_str().expect("a name"), rows[index]["kind"].as_str());
    assert_eq!((row(0), row(1)), (("dev", Some("access_key")), ("ada-phone", Some("authenticator"))));
    home.run(&["trash", "restore", "ada-phone"], "").fault_told(6, "no access key is stored as dev");
    home.run(&["trash", "restore", "nobody"], "").fault_told(6, "nothing named nobody");
    home.run(&["trash", "restore", "dev"], "").good();
    home.run(&["trash", "restore", "ada-phone", "--as", "phone"], "").good();
    assert!(home.run(&["mfa", "list"], "").good().contains("phone"));
    home.run(&["process", "prod", "--wait", "60"], "").good();
    home.run(&["mfa", "remove", "phone"], "").good();
    home.run(&["trash", "empty", "--passphrase-fd", "0"], "wrong\n").fault_told(5, "opens no slot");
    home.run(&["agent", "stop"], "").good();
    home.unlock().good();
    home.run(&["trash", "empty", "--passphrase-fd", "0"], PASSPHRASE).good();
    home.run(&["trash", "restore", "phone"], "").fault_told(6, "nothing named phone");
}
