//! The life of keys and devices by the real programs: enrolled, resynchronized, deactivated, replaced, changed; and an agent
//! that is killed in the middle of it.

use crate::home::{Ended, Home, PASSPHRASE, kill, program, run};
use crate::sandbox::Sandbox;
use crate::terminal::OnTerminal;
use serde_json::{Value, json};
use std::process::{Child, Stdio};

/// Milliseconds of a TOTP step.
const STEP: i64 = 30_000;
const SERIAL: &str = "arn:aws:iam::123456789012:mfa/ada";

/// A home with an access key and nothing else of ada's.
fn with_key(sandbox: &Sandbox) -> Home {
    let home = Home::at(sandbox);
    home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    home.run(&["access-key", "add", "dev", "--stdin"], &sandbox.access_key()).good();
    home
}

impl Home {
    fn rows(&self, words: &[&str]) -> Value {
        let text = self.run(&[words, &["--json"]].concat(), "").good();
        serde_json::from_str(&text).expect("JSON")
    }

    /// What an access key is and what AWS says of it.
    fn key(&self) -> Value {
        self.rows(&["access-key", "list"])[0].clone()
    }

    /// AWS's clock goes on by so many steps, and the agent has seen it: no step is left to wait for.
    fn later(&self, sandbox: &Sandbox, steps: i64) {
        sandbox.set_offset(steps * STEP);
        assert_eq!(self.key()["at_aws"]["active"], true);
    }

    pub(crate) fn warned_of(&self, words: &str) -> bool {
        self.status()["warnings"].as_array().expect("warnings").iter().any(|warning| {
            let text = warning.as_str().expect("text");
            text.contains(words)
        })
    }

    fn spawn(&self, words: &[&str]) -> Child {
        let mut client = self.command("claviger");
        client.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        client.spawn().expect("the client")
    }

    /// Kills the agent while a call of this action is under way, done by AWS or not, and opens the vault with another.
    fn cut_off(&self, sandbox: &Sandbox, words: &[&str], (action, kind): (&str, &str)) {
        sandbox.fault(action, 1, &json!(kind));
        let client = self.spawn(words);
        sandbox.wait_hanging(1);
        self.kill_agent();
        let ended = Ended::from(client.wait_with_output().expect("its end"));
        assert_ne!(ended.exit, Some(0), "{action} {kind}: {ended:?}");
        sandbox.release();
        sandbox.clear_faults();
        self.unlock().good();
    }
}

impl Sandbox {
    /// Calls of an action that did something.
    fn done(&self, action: &str) -> usize {
        self.ends(action).iter().filter(|status| **status == 200).count()
    }
}

#[test]
fn a_device_is_enrolled_used_listed_resynchronized_and_taken_away() {
    let sandbox = Sandbox::start();
    let home = with_key(&sandbox);
    let enrolled = home.run(&["mfa", "enroll", "dev"], "");
    assert!(enrolled.stderr.contains(&format!("Device ada ({SERIAL}) is assigned; its seed is in the vault.")));
    assert!(enrolled.stderr.contains("Logged in with it until"), "{enrolled:?}");
    enrolled.good();
    assert_eq!((sandbox.codes(), sandbox.done("EnableMFADevice")), (1, 1), "two for IAM, one for the session");
    // The session of the enrolment serves: no code is spent for what needs one.
    home.run(&["login", "prod"], "").good();
    assert_eq!((sandbox.codes(), sandbox.reused()), (1, 0));
    let row = home.rows(&["mfa", "list"])[0].clone();
    assert_eq!((&row["name"], &row["serial"]), (&json!("ada"), &json!(SERIAL)));
    assert_eq!((row["card"].as_u64(), row["access_key"].as_str()), (None, Some("dev")));
    // A name that is taken is refused before AWS is asked for anything that changes something.
    let made = sandbox.calls("CreateVirtualMFADevice");
    home.run(&["mfa", "enroll", "dev", "--name", "ada"], "").fault_told(5, "already");
    home.run(&["mfa", "enroll", "dev", "--name", "ada-phone"], "").fault_told(5, "--name");
    home.run(&["mfa", "enroll", "nobody"], "").fault_told(6, "nobody");
    home.run(&["mfa", "enroll", "dev", "--undo"], "").fault_told(6, "no enrolment was begun for dev");
    assert_eq!(sandbox.calls("CreateVirtualMFADevice"), made);

    home.later(&sandbox, 20);
    home.run(&["logout", "--all"], "").good();
    home.run(&["login", "prod"], "").good();
    home.later(&sandbox, 40);
    home.run(&["mfa", "resync", "ada"], "").good();
    assert_eq!(sandbox.ends("ResyncMFADevice"), [200]);
    home.run(&["mfa", "resync", "nobody"], "").fault_told(6, "nobody");

    // AWS has another device of hers: this one is not the last.
    home.run(&["mfa", "deactivate", "ada"], "").good();
    assert_eq!((sandbox.done("DeactivateMFADevice"), sandbox.done("DeleteVirtualMFADevice")), (1, 1));
    assert_eq!(home.rows(&["mfa", "list"]), json!([]));
    assert_eq!(home.rows(&["trash", "list"])[0]["name"], "ada");
    let listed = home.run(&["mfa", "list"], "");
    assert!(listed.stderr.contains("No MFA device is stored.\nhint: claviger mfa enroll PROFILE"), "{listed:?}");
    assert_eq!(listed.good(), "");
    home.run(&["mfa", "deactivate", "ada"], "").fault_told(6, "ada");
    // It comes back to a user who has no such device any more, which is told.
    let restored = home.run(&["trash", "restore", "ada"], "");
    assert!(restored.stderr.contains("If it was taken away at AWS meanwhile"), "{restored:?}");
    restored.good();
}

#[test]
fn the_last_device_is_taken_away_only_where_a_person_says_so() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    home.run(&["mfa", "deactivate", "ada-phone"], "").fault_told(4, "--last");
    let mut asked = OnTerminal::start(home.terminal_command(&["mfa", "deactivate", "ada-phone"]));
    asked.wait_for("ada-phone is the last MFA device of its user at AWS. Take it away? [y/N]");
    asked.enter("n");
    let declined = Ended::from(asked.end());
    assert!(declined.exit == Some(4) && declined.stdout.contains("nothing was changed"), "{declined:?}");
    assert!(!declined.stdout.contains("hint:"), "{declined:?}");
    assert_eq!(sandbox.calls("DeactivateMFADevice"), 0);
    let mut asked = OnTerminal::start(home.terminal_command(&["mfa", "deactivate", "ada-phone"]));
    asked.wait_for("Take it away? [y/N]");
    asked.enter("y");
    Ended::from(asked.end()).good();
    assert_eq!(sandbox.done("DeactivateMFADevice"), 1);
    // Nothing is left; the next one is her only one, and goes without a question where that is said.
    home.run(&["mfa", "enroll", "dev", "--name", "next"], "").good();
    home.run(&["mfa", "deactivate", "next", "--last"], "").good();
    assert_eq!(home.rows(&["mfa", "list"]), json!([]));
}

#[test]
fn an_access_key_is_replaced_with_one_key_with_two_and_with_the_old_one_kept() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    home.run(&["process", "prod"], "").good();
    let first = home.key()["access_key_id"].clone();
    let rotated = home.run(&["access-key", "rotate", "dev"], "");
    let said = rotated.stderr.contains(&format!("The old key {} is deleted at AWS", first.as_str().expect("an id")));
    assert!(said, "{rotated:?}");
    rotated.good();
    let second = home.key()["access_key_id"].clone();
    assert_ne!(first, second);
    home.run(&["logout", "--all"], "").good();
    home.later(&sandbox, 20);
    home.run(&["process", "prod"], "").good();
    assert_eq!(sandbox.codes(), 2, "the device stays as it is");

    home.run(&["access-key", "rotate", "dev", "--keep-old"], "").good();
    let third = home.key()["access_key_id"].clone();
    assert_eq!(home.key()["at_aws"]["active"], true);
    // The old one is inactive, and in the way of a third.
    let second = second.as_str().expect("an id");
    let two = home.run(&["access-key", "rotate", "dev"], "");
    two.fault_told(5, &format!("{second}, which is inactive"));
    assert!(two.stderr.contains(&format!("hint: claviger access-key rotate --delete-other {second} dev")), "{two:?}");
    home.run(&["access-key", "rotate", "dev", "--delete-other", "AKIAIOSFODNN7EXAMPLE"], "")
        .fault_told(6, "no access key");
    let own = third.as_str().expect("an id");
    home.run(&["access-key", "rotate", "dev", "--delete-other", own], "").fault_told(5, "is the one in use as dev");
    assert_eq!(home.key()["access_key_id"], third);
    home.run(&["access-key", "rotate", "dev", "--delete-other", second], "").good();
    assert_eq!(sandbox.done("CreateAccessKey"), 3);
    assert_eq!(sandbox.done("DeleteAccessKey"), 3);
    home.run(&["whoami", "prod"], "").good();
    home.run(&["access-key", "rotate", "nobody"], "").fault_told(6, "nobody");

    // What AWS does not let go of is told as that, and not as a key that was not replaced.
    let before = home.key()["access_key_id"].clone();
    let refuse = json!({"refuse": {"status": 403, "code": "AccessDenied", "message": "User is not authorized"}});
    sandbox.fault("DeleteAccessKey", 1, &refuse);
    let stands = home.run(&["access-key", "rotate", "dev"], "");
    let now = home.key()["access_key_id"].clone();
    let (now, before) = (now.as_str().expect("an id"), before.as_str().expect("an id"));
    assert_ne!(now, before);
    stands.fault_told(5, &format!("access key dev is now {now}; the old one {before} still stands inactive"));
    assert!(stands.stderr.contains("hint: claviger access-key rotate dev"), "{stands:?}");
    home.run(&["access-key", "rotate", "dev"], "").good();
    assert_eq!((home.key()["access_key_id"].as_str(), sandbox.done("DeleteAccessKey")), (Some(now), 4));
}

#[test]
fn the_list_tells_what_aws_says_and_does_not_wait_for_an_aws_that_says_nothing() {
    let sandbox = Sandbox::start();
    let home = with_key(&sandbox);
    let row = home.key();
    assert_eq!((&row["name"], &row["age_days"]), (&json!("dev"), &json!(0)));
    assert_eq!((&row["at_aws"]["active"], &row["fault"]), (&json!(true), &Value::Null), "{row}");
    let page = home.run(&["access-key", "list"], "").good();
    assert!(page.contains("LAST USED") && page.contains(" active "), "{page}");
    let (asked, offline) = (sandbox.calls("ListAccessKeys"), home.rows(&["access-key", "list", "--offline"]));
    assert_eq!((&offline[0]["name"], &offline[0]["at_aws"]), (&json!("dev"), &Value::Null));
    assert_eq!(sandbox.calls("ListAccessKeys"), asked, "nobody was asked");

    sandbox.fault("ListAccessKeys", 100, &json!("hang"));
    let row = home.key();
    assert_eq!((&row["at_aws"], &row["fault"]["code"]), (&Value::Null, &json!("aws.timed_out")), "{row}");
    let listed = home.run(&["access-key", "list"], "");
    assert!(listed.stderr.contains("AWS says nothing of dev: AWS did not answer in time"), "{listed:?}");
    assert!(listed.good().contains(" unknown "));
    sandbox.clear_faults();
    sandbox.release();
    assert_eq!(home.key()["at_aws"]["active"], true);
    home.run(&["lock"], "").good();
    home.run(&["access-key", "list"], "").fault_of_person();
}

/// The client with these on descriptors 3 and 4.
fn given(home: &Home, words: &[&str], secrets: [&str; 2]) -> Ended {
    home.write("three", secrets[0]);
    home.write("four", secrets[1]);
    let mut shell = home.program_command("/bin/sh".as_ref());
    shell.args(["-c", "exec \"$0\" \"$@\" 3<three 4<four"]).arg(program("claviger")).args(words);
    run(&mut shell, "")
}

#[test]
fn a_console_password_is_changed_to_a_given_one_and_to_a_made_one() {
    let sandbox = Sandbox::start();
    let home = with_key(&sandbox);
    let change = ["password", "change", "dev", "--old-fd", "3", "--new-fd", "4"];
    let before = sandbox.text("password");
    given(&home, &change, ["not it", "Next-password-1"]).fault_told(5, "");
    given(&home, &change, [before, "x"]).fault_told(5, "");
    given(&home, &change, [before, "Next-password-1"]).good();
    // The control: it is another now.
    given(&home, &change, [before, "Next-password-2"]).fault_told(5, "");
    let made = given(&home, &["password", "change", "dev", "--old-fd", "3", "--generate"], ["Next-password-1", ""]);
    assert!(made.stderr.contains("AWS has taken the new password."), "{made:?}");
    let made = made.good();
    let made = made.trim_end();
    assert!(made.len() >= 16 && !made.contains(' '), "not long");
    given(&home, &change, [made, "Next-password-3"]).good();
    home.run(&["password", "change", "dev"], "").fault_told(2, "--old-fd N");
    let mut typed = OnTerminal::start(home.terminal_command(&["password", "change", "dev"]));
    for (question, answer) in [
        ("Password of now: ", "Next-password-3"),
        ("New password: ", "Next-password-4"),
        ("again: ", "Next-password-5"),
        ("The two differ.", ""),
        ("New password: ", "Next-password-4"),
        ("again: ", "Next-password-4"),
    ] {
        typed.wait_for(question);
        if !answer.is_empty() {
            typed.enter_hidden(answer);
        }
    }
    let ended = Ended::from(typed.end());
    assert!(ended.exit == Some(0) && !ended.stdout.contains("Next-password"), "{ended:?}");
}

#[test]
fn an_agent_killed_in_the_middle_of_an_enrolment_has_lost_nothing() {
    for (action, kind) in
        [("CreateVirtualMFADevice", "hang"), ("CreateVirtualMFADevice", "mute"), ("EnableMFADevice", "mute")]
    {
        let sandbox = Sandbox::start();
        let home = with_key(&sandbox);
        home.cut_off(&sandbox, &["mfa", "enroll", "dev"], (action, kind));
        assert!(home.warned_of("the enrolment of device ada was cut off: claviger mfa enroll dev"), "{action} {kind}");
        home.run(&["mfa", "enroll", "dev", "--name", "other"], "").fault_told(5, "--undo");
        home.run(&["mfa", "enroll", "dev"], "").good();
        assert!(!home.warned_of("enrolment"));
        // One device is hers, and none is nobody's.
        let (made, gone) = (sandbox.done("CreateVirtualMFADevice"), sandbox.done("DeleteVirtualMFADevice"));
        assert_eq!((made - gone, sandbox.done("EnableMFADevice")), (1, 1), "{action} {kind}");
        home.run(&["login", "prod"], "").good();
        assert_eq!(sandbox.reused(), 0, "{action} {kind}");
    }
}

#[test]
fn an_enrolment_that_was_cut_off_is_taken_back() {
    let sandbox = Sandbox::start();
    let home = with_key(&sandbox);
    home.cut_off(&sandbox, &["mfa", "enroll", "dev"], ("EnableMFADevice", "mute"));
    home.run(&["mfa", "enroll", "dev", "--undo"], "").good();
    assert_eq!((sandbox.done("DeactivateMFADevice"), sandbox.done("DeleteVirtualMFADevice")), (1, 1));
    assert!(!home.warned_of("enrolment"));
    home.run(&["mfa", "enroll", "dev"], "").good();
}

#[test]
fn an_agent_killed_in_the_middle_of_a_rotation_has_lost_no_key() {
    for (action, kind) in [
        ("CreateAccessKey", "hang"),
        ("CreateAccessKey", "mute"),
        ("UpdateAccessKey", "mute"),
        ("DeleteAccessKey", "mute"),
    ] {
        let sandbox = Sandbox::start();
        let home = Home::ready(&sandbox, &[]);
        let old = home.key()["access_key_id"].clone();
        home.cut_off(&sandbox, &["access-key", "rotate", "dev"], (action, kind));
        assert!(home.warned_of("the rotation of dev was cut off: claviger access-key rotate dev"), "{action} {kind}");
        home.run(&["access-key", "rotate", "dev"], "").good();
        assert!(!home.warned_of("rotation"));
        let (made, gone) = (sandbox.done("CreateAccessKey"), sandbox.done("DeleteAccessKey"));
        assert_eq!(made, gone, "{action} {kind}: one key, as before");
        let row = home.key();
        assert!(row["access_key_id"] != old && row["at_aws"]["active"] == true, "{action} {kind}: {row}");
        home.run(&["process", "prod", "--wait", "60"], "").good();
        // Nobody was asked twice for the same.
        assert_eq!(sandbox.reused(), 0);
        kill(home.pid());
    }
}

/// The modules that a terminal shows, two a character: whether each is dark.
fn modules(screen: &str) -> Vec<Vec<bool>> {
    let mut rows = Vec::new();
    for line in screen.lines().filter_map(|line| line.strip_prefix("\x1b[30;47m")) {
        let line: Vec<char> = line.trim_end().trim_end_matches("\x1b[0m").chars().collect();
        rows.push(line.iter().map(|character| "▀█".contains(*character)).collect());
        rows.push(line.iter().map(|character| "▄█".contains(*character)).collect());
    }
    rows
}

#[test]
fn the_seed_is_shown_once_as_a_qr_code_and_taken_from_the_screen() {
    let sandbox = Sandbox::start();
    let home = with_key(&sandbox);
    home.run(&["mfa", "enroll", "dev", "--qr"], "").fault_told(2, "no terminal to show the QR code on; leave out --qr");
    assert_eq!(sandbox.calls("CreateVirtualMFADevice"), 0, "there is no terminal to show it on");
    let mut shown = OnTerminal::start(home.terminal_command(&["mfa", "enroll", "dev", "--qr"]));
    shown.wait_for("The QR code needs 57 columns and 33 lines.");
    shown.resize(80, 40);
    shown.enter("");
    shown.wait_for("\x1b[?1049h");
    let screen = shown.wait_for("Return takes it from the screen: ").replace('\r', "");
    // What is typed to end the process ends nothing while it stands there.
    shown.enter("\x03");
    shown.wait_for("\x1b[2J\x1b[H\x1b[?1049l");
    Ended::from(shown.end()).good();

    let uri = home.run(&["mfa", "export", "ada", "--passphrase-fd", "0"], PASSPHRASE).good();
    let code = qrcodegen::QrCode::encode_text(uri.trim_end(), qrcodegen::QrCodeEcc::Low).expect("it fits");
    let modules = modules(&screen);
    let size = usize::try_from(code.size()).expect("a size") + 8;
    assert_eq!((modules.len(), modules[0].len()), (size.next_multiple_of(2), size));
    let at = |place: usize| i32::try_from(place).expect("small") - 4;
    for (y, row) in modules.iter().enumerate() {
        for (x, dark) in row.iter().enumerate() {
            assert_eq!(*dark, code.get_module(at(x), at(y)), "{x},{y}");
        }
    }
}
