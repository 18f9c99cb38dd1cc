//! `claviger process`: the contract, a crowd of them, and an STS that misbehaves.

use crate::home::{Home, program};
use crate::sandbox::Sandbox;
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};

#[test]
fn it_prints_one_line_of_json_and_reads_nothing() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    for _ in 0..2 {
        let ended = home.run(&["process", "prod"], "not read\n");
        assert_eq!(ended.stderr, "");
        let line = ended.good();
        assert!(line.ends_with("}\n") && line.lines().count() == 1, "{line}");
        let said: Value = serde_json::from_str(&line).expect("JSON");
        let keys: Vec<&str> = said.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(keys, ["AccessKeyId", "AccountId", "Expiration", "SecretAccessKey", "SessionToken", "Version"]);
        assert_eq!((&said["Version"], &said["AccountId"]), (&json!(1), &json!("123456789012")));
        let shape: String = said["Expiration"].as_str().expect("text").replace(|c: char| c.is_ascii_digit(), "0");
        assert_eq!(shape, "0000-00-00T00:00:00Z");
    }
    // Without an end of its stdin it ends all the same, and leaves there what was there.
    let (mut reader, mut writer) = std::io::pipe().expect("a pipe");
    std::io::Write::write_all(&mut writer, b"untouched").expect("written");
    let mut client = home.command("claviger");
    let output = client.args(["process", "prod"]).stdin(reader.try_clone().expect("a copy")).output().expect("its end");
    assert!(output.status.success());
    let mut left = [0; 9];
    reader.read_exact(&mut left).expect("bytes");
    assert_eq!(&left, b"untouched");
    // A spent code, a missing profile, a locked vault: at once, and never a question.
    home.run(&["process", "nope"], "").fault(6, "profile.not_found");
    assert!(home.run(&["process", "prdo"], "").stderr.contains("near it: prod"));
}

/// Clients that wait at a gate and then start together.
struct Crowd<'a> {
    home: &'a Home,
    clients: Vec<Child>,
}

impl<'a> Crowd<'a> {
    fn gather(home: &'a Home, count: usize) -> (Self, impl FnOnce() -> File + use<>) {
        let gate = home.file("gate");
        let made = Command::new("mkfifo").arg(&gate).status().expect("mkfifo");
        assert!(made.success());
        let (mut ready, at_gate) = std::io::pipe().expect("a pipe");
        let script = "echo; exec <\"$0\" >\"$2\" 2>\"$2.err\"; exec \"$1\" process prod --wait 300";
        let clients: Vec<Child> = (0..count)
            .map(|number| {
                let mut shell = Command::new("sh");
                shell.args(["-c", script]).arg(&gate).arg(program("claviger")).arg(home.file(&format!("out.{number}")));
                shell.env_clear().env("CLAVIGER_HOME", home.path()).env("PATH", "/usr/bin:/bin");
                shell.stdin(Stdio::null()).stdout(at_gate.try_clone().expect("a copy")).spawn().expect("a shell")
            })
            .collect();
        drop(at_gate);
        ready.read_exact(&mut vec![0; count]).expect("all at the gate");
        let open = move || File::options().write(true).open(&gate).expect("the gate");
        (Self { home, clients }, open)
    }

    /// What each of them printed.
    fn answers(self) -> BTreeSet<String> {
        let mut answers = BTreeSet::new();
        for (number, mut client) in self.clients.into_iter().enumerate() {
            let status = client.wait().expect("its end");
            let read = |name: String| std::fs::read_to_string(self.home.file(&name)).expect("output");
            assert!(status.success(), "{status}: {}", read(format!("out.{number}.err")));
            assert_eq!(read(format!("out.{number}.err")), "");
            answers.insert(read(format!("out.{number}")));
        }
        answers
    }
}

fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, rustix::process::Rlimit { current: limit.maximum, ..limit }).expect("a limit");
}

#[test]
fn a_thousand_cold_processes_get_equal_credentials_for_one_code() {
    raise_descriptors();
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &["--no-verify"]);
    let saved = home.generation();
    let (crowd, open) = Crowd::gather(&home, 1000);
    let gate = open();
    let answers = crowd.answers();
    drop(gate);
    assert_eq!(home.generation(), saved + 1, "the profile is pinned in one save");
    assert_eq!(answers.len(), 1);
    assert!(answers.iter().all(|answer| answer.starts_with("{\"Version\":1,")), "{answers:?}");
    assert_eq!((sandbox.codes(), sandbox.calls("GetSessionToken"), sandbox.calls("AssumeRole")), (1, 1, 1));
}

#[test]
fn the_first_to_ask_may_be_killed_and_the_others_are_served_by_its_fetch() {
    raise_descriptors();
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &["--no-verify"]);
    let (crowd, open) = Crowd::gather(&home, 200);
    sandbox.fault("GetSessionToken", 1, &json!("hang"));
    let mut first = Command::new(program("claviger"));
    first.args(["process", "prod"]).env_clear().env("CLAVIGER_HOME", home.path());
    let mut first = first.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the client");
    sandbox.wait_hanging(1);
    first.kill().expect("kill");
    assert_eq!(first.wait().expect("its end").code(), None);
    let gate = open();
    sandbox.release();
    let answers = crowd.answers();
    drop(gate);
    assert_eq!(answers.len(), 1);
    assert_eq!((sandbox.codes(), sandbox.calls("GetSessionToken"), sandbox.calls("AssumeRole")), (1, 1, 1));
}

#[test]
fn a_misbehaving_sts_is_a_fault_in_one_line_and_the_agent_serves_on() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    let pid = home.pid();
    let elsewhere = Sandbox::start();
    let redirect = json!({"redirect": format!("{}/", elsewhere.text("endpoint"))});
    let cases: [(Value, &str, i32); 9] = [
        (json!("captive_portal"), "aws.bad_answer", 8),
        (json!("wrong_xml"), "aws.bad_answer", 8),
        (json!("huge_body"), "aws.bad_answer", 8),
        (redirect, "aws.bad_answer", 8),
        (json!("expiration_in_past"), "aws.bad_answer", 8),
        (json!({"missing_field": "SessionToken"}), "aws.bad_answer", 8),
        (json!({"truncate": 100}), "aws.unreachable", 8),
        (json!({"reset": {"done": false}}), "aws.unreachable", 8),
        (json!({"throttle": 400}), "aws.throttled", 8),
    ];
    let mut wrong = Vec::new();
    for (kind, code, exit) in &cases {
        sandbox.fault("AssumeRole", 10, kind);
        let ended = home.run(&["process", "prod", "--wait", "60"], "");
        sandbox.clear_faults();
        let told = format!("claviger: {code}: ");
        if !ended.stderr.starts_with(&told)
            || ended.exit != Some(*exit)
            || !ended.stdout.is_empty()
            || ended.stderr.lines().count() != 1
        {
            wrong.push(format!("{kind}: wanted {code}: {ended:?}"));
        }
        home.run(&["process", "prod"], "").good();
        home.run(&["logout", "prod"], "").good();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(elsewhere.state()["calls"], json!({}), "a redirect is not followed");

    sandbox.fault("AssumeRole", 1, &json!("hang"));
    home.run(&["process", "prod", "--wait", "1"], "").fault(4, "request.timed_out");
    sandbox.release();
    home.run(&["process", "prod"], "").good();
    assert_eq!((home.pid(), sandbox.codes()), (pid, 1));
}

#[test]
fn a_role_that_may_not_be_assumed_and_an_endpoint_that_is_not_allowed_are_refusals() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    let profiles = "\
[profile stranger]
role_arn = arn:aws:iam::123456789012:role/partner
source_profile = dev
[profile elsewhere]
role_arn = arn:aws:iam::123456789012:role/plain
source_profile = dev
endpoint_url = http://127.0.0.1:1
[profile a]
role_arn = arn:aws:iam::123456789012:role/plain
source_profile = b
[profile b]
role_arn = arn:aws:iam::123456789012:role/plain
source_profile = a
[profile other-device]
role_arn = arn:aws:iam::123456789012:role/plain
source_profile = dev
mfa_serial = arn:aws:iam::999999999999:mfa/other
";
    home.write("config/profiles", profiles);
    home.run(&["process", "stranger"], "").fault(5, "aws.access_denied");
    home.run(&["process", "elsewhere"], "").fault(5, "endpoint.not_allowed");
    home.run(&["process", "a"], "").fault(2, "profile.loop");
    home.run(&["process", "other-device"], "").fault(5, "mfa.contradicts");
    assert!(Path::new(&home.file("data/vault")).is_file());
    home.configure(&sandbox);
    home.run(&["process", "audit"], "").good();
    assert_eq!(sandbox.codes(), 1);
}
