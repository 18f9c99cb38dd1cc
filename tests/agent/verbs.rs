//! Every verb about keys, devices, slots and profiles, by the real programs: what a person keeps, finds again and gets
//! back out.

use crate::home::{Home, PASSPHRASE};
use crate::sandbox::Sandbox;
use serde_json::{Value, json};

impl Home {
    fn json(&self, arguments: &[&str], stdin: &str) -> Value {
        let text = self.run(&[arguments, &["--json"]].concat(), stdin).good();
        serde_json::from_str(&text).expect("JSON")
    }
}

/// A passphrase would open nothing.
#[test]
fn where_there_is_no_vault_nobody_is_asked_to_open_it() {
    let home = Home::new();
    home.write("passphrase", PASSPHRASE);
    for words in [
        &["access-key", "list"][..],
        &["access-key", "remove", "dev"],
        &["audit", "verify"],
        &["mfa", "code"],
        &["mfa", "list"],
        &["ssh-key", "add", "x", "--stdin"],
        &["ssh-key", "export", "x"],
        &["ssh-key", "list"],
        &["ssh-key", "new", "x"],
        &["ssh-key", "public", "x"],
        &["ssh-key", "remove", "x"],
        &["trash", "list"],
        &["trash", "restore", "x"],
        &["unlock"],
    ] {
        // Had it been read, it would not be there for the next.
        let mut shell = home.program_command("/bin/sh".as_ref());
        let line = "exec 3<passphrase; \"$0\" \"$@\" --passphrase-fd 3 </dev/null || code=$?; cat <&3; exit $code";
        shell.args(["-c", line]).arg(crate::home::program("claviger")).args(words);
        let ended = crate::home::run(&mut shell, "");
        let said = ended.stderr.contains("there is no vault") && ended.stderr.contains("claviger init");
        assert!(ended.exit == Some(6) && said && ended.stdout == PASSPHRASE, "{words:?}: {ended:?}");
    }
}

#[test]
fn an_event_that_there_is_not_is_told_with_the_nearest() {
    let home = Home::new();
    home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    let log = |event: &str| home.run(&["audit", "log", "--event", event], "");
    assert!(log("vault").good().contains("vault.create") && log("vault.create").good().contains("vault.create"));
    let misspelt = log("ssh.signd");
    misspelt.fault_told(2, "no event is named ssh.signd: they begin with access_key, agent, audit,");
    assert!(misspelt.stderr.ends_with("hint: claviger audit log --event ssh.signed\n"), "{}", misspelt.stderr);
    let nonsense = log("nonsense");
    assert!(nonsense.stderr.ends_with("hint: claviger audit log\n"), "{}", nonsense.stderr);
}

#[test]
fn the_status_says_what_the_ssh_agent_has() {
    let home = Home::new();
    home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    home.run(&["ssh-key", "new", "laptop"], "").good();
    let socket = home.file("run/ssh.sock").display().to_string();
    let wanted = |locked: bool| json!({"socket": socket, "vault_keys": 1, "added_keys": 0, "locked": locked});
    assert_eq!(home.status()["ssh"], wanted(false));
    assert!(home.run(&["status"], "").good().contains("ssh       1 key of the vault, 0 of ssh-add, at "));
}

const BY_PASSPHRASE: [&str; 2] = ["--passphrase-fd", "0"];

#[test]
fn an_access_key_comes_out_as_it_went_in_and_only_against_a_proof() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    let rows = home.json(&["access-key", "list"], "");
    assert_eq!((rows[0]["name"].as_str(), rows.as_array().map(Vec::len)), (Some("dev"), Some(1)));
    assert_eq!(rows[0]["user"], "arn:aws:iam::123456789012:user/ada");
    let export = [&["access-key", "export", "dev"][..], &BY_PASSPHRASE].concat();
    assert_eq!(home.run(&export, PASSPHRASE).good().trim(), sandbox.access_key().trim());
    home.run(&export, "not the passphrase").fault_told(5, "the passphrase or recovery code opens no slot");
    home.run(&["access-key", "add", "dev", "--stdin"], &sandbox.access_key()).fault_told(5, "already");
    home.run(&["access-key", "remove", "dev"], "").fault_told(5, "belongs to access key dev");
    home.run(&["mfa", "remove", "ada-phone"], "").good();
    home.run(&["access-key", "remove", "dev"], "").good();
    assert_eq!(home.json(&["access-key", "list"], ""), json!([]));
    home.run(&["process", "prod"], "").fault(6, "profile.not_found");
}

#[test]
fn a_seed_comes_out_as_it_went_in_and_a_code_is_shown_once() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &["--no-verify"]);
    let code = home.run(&["mfa", "code", "--now"], "").good();
    assert_eq!(code.trim().len(), 6, "{code}");
    // The step may have passed in between: then there is another code, and never the same.
    let again = home.run(&["mfa", "code", "--now"], "");
    assert!(again.stdout.trim() != code.trim(), "a code was shown twice");
    home.run(&["mfa", "rename", "ada-phone", "phone"], "").good();
    assert_eq!(home.json(&["mfa", "list"], "")[0]["name"], "phone");
    let export = [&["mfa", "export", "phone"][..], &BY_PASSPHRASE].concat();
    let uri = home.run(&export, PASSPHRASE).good();
    assert!(uri.starts_with("otpauth://totp/") && uri.trim().ends_with(sandbox.text("mfa_seed")), "not the seed");
    home.run(&["mfa", "remove", "phone"], "").good();
    assert_eq!(home.json(&["mfa", "list"], ""), json!([]));
    // What was exported can be added again.
    let serial = sandbox.text("mfa_serial");
    home.run(&["mfa", "add", "--for", "dev", "--serial", serial, "--seed-stdin", "--no-verify"], &uri).good();
    home.run(&["process", "prod", "--wait", "60"], "").good();
}

#[test]
fn a_slot_is_added_opens_and_is_gone_once_removed() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    let add = [&["slot", "add", "recovery"][..], &BY_PASSPHRASE].concat();
    let code = home.run(&add, PASSPHRASE).good();
    let rows = home.json(&["slot", "list"], "");
    let kinds: Vec<&str> = rows.as_array().expect("rows").iter().filter_map(|row| row["kind"].as_str()).collect();
    assert_eq!(kinds, ["passphrase", "recovery", "recovery"]);
    home.run(&["lock"], "").good();
    home.run(&["unlock", "--recovery", "--passphrase-fd", "0"], &code).good();
    let session = home.run(&["process", "prod"], "").good();
    let id = rows[2]["id"].to_string();
    let remove = [&["slot", "remove", &id][..], &BY_PASSPHRASE].concat();
    home.run(&remove, PASSPHRASE).good();
    home.run(&["lock"], "").good();
    home.run(&["unlock", "--recovery", "--passphrase-fd", "0"], &code).fault_told(5, "opens no slot");
    let mut opened = home.unlock();
    // After a wrong guess the next one waits a second.
    while opened.exit != Some(0) {
        opened = home.unlock();
    }
    assert_eq!(home.run(&["process", "prod"], "").good(), session, "sessions follow the vault to its new key");
    for (id, exit) in [("99", 6), ("2", 0), ("1", 5)] {
        let ended = home.run(&["slot", "remove", id, "--passphrase-fd", "0"], PASSPHRASE);
        assert_eq!(ended.exit, Some(exit), "{id}: {}", ended.stderr);
    }
    assert_eq!(home.json(&["slot", "list"], "").as_array().map(Vec::len), Some(1), "the last one stays");
}

#[test]
fn logout_forgets_and_the_next_login_asks_aws_again() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    let first = home.json(&["login", "prod"], "");
    assert_eq!(home.json(&["login", "prod"], "")["access_key_id"], first["access_key_id"]);
    home.run(&["logout", "prod"], "").good();
    assert_ne!(home.json(&["login", "prod"], "")["access_key_id"], first["access_key_id"]);
    assert_eq!(home.json(&["whoami", "prod"], "")["account"], "123456789012");
    home.run(&["logout", "--all"], "").good();
    assert_eq!(home.status()["sessions"], json!([]));
    home.run(&["lock"], "").good();
    home.run(&["logout", "--all"], "").fault_told(3, "the vault is locked");
}

#[test]
fn an_idle_vault_locks_itself_and_goes_on_serving_what_it_has() {
    let sandbox = Sandbox::start();
    let home = Home::at(&sandbox);
    let config = std::fs::read_to_string(home.file("config/config.toml")).expect("a file");
    home.write("config/config.toml", &format!("{config}[lock]\nidle = \"2s\"\n"));
    home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    home.run(&["access-key", "add", "dev", "--stdin"], &sandbox.access_key()).good();
    let add = ["mfa", "add", "--for", "dev", "--seed-stdin", "--serial", sandbox.text("mfa_serial")];
    home.run(&add, sandbox.text("mfa_seed")).good();
    let session = home.run(&["process", "prod"], "").good();
    while !home.log().contains("locked by=Idle") {
        std::thread::yield_now();
    }
    let status = home.status();
    assert_eq!((status["vault"].as_str(), status["locked_by"].as_str()), (Some("locked"), Some("idle")));
    assert_eq!(home.run(&["process", "prod"], "").good(), session);
    home.run(&["access-key", "list"], "").fault_told(3, "the vault is locked");
}
