//! `claviger process`, to the letter of the credential_process contract.

use crate::agent::{Home, Line};
use crate::program::{OnTerminal, ended, run, shell};
use claviger::secret::SecretText;
use claviger::wire::{Code, Credentials, Event, Fault, Reply, Request};

fn credentials(account: Option<&str>) -> Reply {
    Reply::Credentials(Credentials {
        access_key_id: "ASIAIOSFODNN7EXAMPLE".parse().expect("an id"),
        secret_access_key: SecretText::from_text("a/b+c\"d".to_owned()),
        session_token: SecretText::from_text("t".repeat(9000)),
        expiration: "2026-11-22T01:00:00Z".to_owned(),
        account_id: account.map(|account| account.parse().expect("an account")),
        region: None,
    })
}

fn waiting(line: &mut Line) {
    line.event(Event::WaitingForCode { serial: "arn:aws:iam::123456789012:mfa/ada".to_owned(), seconds: 9 });
}

#[test]
fn stdout_is_the_json_and_nothing_else() {
    let home = Home::new();
    home.serve("run", |request, line| {
        assert!(!line.hello.answers, "process never asks a person");
        let Request::Credentials { profile, wait, .. } = request else { panic!("{}", request.name()) };
        waiting(line);
        match (profile.as_str(), wait) {
            ("prod", 15) => Ok(credentials(Some("123456789012"))),
            ("default", 3) | ("from-environment", 15) => Ok(credentials(None)),
            other => panic!("{other:?}"),
        }
    });
    let start = r#"{"Version":1,"AccessKeyId":"ASIAIOSFODNN7EXAMPLE","SecretAccessKey":"a/b+c\"d","SessionToken":""#
        .to_owned()
        + &"t".repeat(9000);
    let bare = start.clone() + "\",\"Expiration\":\"2026-11-22T01:00:00Z\"}\n";
    let full = start + "\",\"Expiration\":\"2026-11-22T01:00:00Z\",\"AccountId\":\"123456789012\"}\n";
    assert_eq!(run(&home, &["process", "prod"], ""), ended(0, &full, ""));
    assert_eq!(run(&home, &["process", "--wait=3"], ""), ended(0, &bare, ""));
    assert_eq!(shell(&home, "AWS_PROFILE=from-environment \"$claviger\" process"), ended(0, &bare, ""));
}

#[test]
fn a_failure_is_one_line_on_stderr_with_code_and_hint() {
    let home = Home::new();
    home.serve("run", |request, line| match request {
        Request::Credentials { profile, .. } if profile == "locked" => {
            // Even with a passphrase at hand nothing is asked and no vault opened.
            Err(Fault::new(Code::VaultLocked, "the vault is locked"))
        }
        Request::Credentials { .. } => {
            waiting(line);
            Err(Fault::new(Code::ProfileNotFound, "no profile \u{1b}[31mprdo\nx").hint("claviger login prod"))
        }
        other => panic!("{}", other.name()),
    });
    let locked = ended(3, "", "claviger: vault.locked: the vault is locked (try: claviger unlock)\n");
    assert_eq!(run(&home, &["process", "locked"], "good\n"), locked);
    let unknown = ended(6, "", "claviger: profile.not_found: no profile ?[31mprdo?x (try: claviger login prod)\n");
    assert_eq!(run(&home, &["process", "prdo"], ""), unknown);
    let usage = ended(2, "", "claviger: usage: there is no option --wat (try: claviger process --help)\n");
    assert_eq!(run(&home, &["process", "--wat=3"], ""), usage);
    assert_eq!(run(&home, &["process", "--help"], "").exit, 0);
}

#[test]
fn an_agent_that_breaks_off_or_talks_nonsense_is_a_fault() {
    use std::io::{Read, Write};
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;
    for (answer, said) in [
        (&b""[..], "claviger: agent.not_running: the agent went away before it answered (try: claviger agent start)\n"),
        (
            b"{\"id\":1,\"hello\":{\"protocol\":9,\"agent\":\"x\"}}\n",
            "claviger: wire.protocol: the agent speaks another version of the protocol (try: claviger agent restart)\n",
        ),
        (
            b"SECRET\n",
            "claviger: wire.protocol: the agent speaks another version of the protocol (try: claviger agent restart)\n",
        ),
        (
            b"{\"id\":0,\"fault\":{\"code\":\"agent.busy\",\"message\":\"the agent is busy\"}}\n",
            "claviger: agent.busy: the agent is busy\n",
        ),
    ] {
        let home = Home::new();
        let folder = home.path().join("run");
        std::fs::create_dir(&folder).expect("a folder");
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).expect("chmod");
        let listener = UnixListener::bind(folder.join("agent.sock")).expect("a socket");
        std::fs::set_permissions(folder.join("agent.sock"), std::fs::Permissions::from_mode(0o600)).expect("chmod");
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(answer);
            }
        });
        assert_eq!(run(&home, &["process"], ""), ended(1, "", said));
    }
}

#[test]
fn on_a_terminal_the_wait_is_shown_and_erased() {
    let home = Home::new();
    home.serve("run", |_, line| {
        waiting(line);
        Ok(credentials(None))
    });
    let ended = OnTerminal::start(&home, &["process"]).end();
    assert_eq!((ended.exit, ended.stdout.lines().count()), (0, 1));
    // On a busy machine the line may have counted down in between.
    assert!(ended.stderr.starts_with("\r\u{1b}[Kwaiting 9 s for the next code of ada"), "{}", ended.stderr);
    assert!(ended.stderr.ends_with("\r\u{1b}[K"), "{}", ended.stderr);
}
