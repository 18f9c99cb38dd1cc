//! The built client against a scripted agent: what it sends, what it says, how it ends.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

mod agent;
mod completion;
mod env;
mod exec;
mod launch;
mod person;
mod process;
mod program;
mod prompts;
mod ssh_key;

use agent::Home;
use claviger::secret::{RecoveryCode, SecretText};
use claviger::wire::{Code, Event, Fault, Reply, Request, Restarted, SlotProof, Status};
use program::{ended, run, shell};

/// A status with this vault.
fn status(vault: &str) -> Reply {
    Reply::Status(Status {
        version: "fake/0".to_owned(),
        pid: 7,
        vault: vault.to_owned(),
        locked_by: None,
        idle_lock_in: None,
        presence_left: None,
        sessions: Vec::new(),
        endpoints: Vec::new(),
        clock_skew: None,
        ssh: None,
        older: None,
        warnings: Vec::new(),
    })
}

fn no_request(request: &Request) -> ! {
    panic!("nobody should ask for {}", request.name())
}

#[test]
fn without_an_agent_status_and_lock_start_none() {
    let home = Home::new();
    let absent = ended(1, "", "claviger: no agent is running\nhint: claviger agent start\n");
    assert_eq!(run(&home, &["status"], ""), absent);
    assert_eq!(run(&home, &["lock"], ""), ended(0, "", "The vault is locked.\n"));
    assert_eq!(run(&home, &["agent", "stop"], ""), ended(0, "", "No agent was running.\n"));
    let nowhere = std::process::Command::new(env!("CARGO_BIN_EXE_claviger"))
        .arg("status")
        .env_clear()
        .output()
        .map(program::Ended::from)
        .expect("an end");
    assert_eq!(nowhere, ended(1, "", "claviger: neither HOME nor CLAVIGER_HOME is an absolute path\n"));
}

#[test]
fn headless_init_prints_the_recovery_code_alone_and_answers_with_it() {
    fn script(request: &Request, line: &mut agent::Line) -> Result<Reply, Fault> {
        match request {
            Request::Status {} => Ok(status("absent")),
            Request::Init { passphrase, .. } => {
                assert_eq!(passphrase.expose(), "correct  horse ");
                let typed = line.ask(Event::RecoveryCode { code: RecoveryCode::from_text("ABCDE-FGHIJ".to_owned()) });
                assert_eq!(typed.as_deref(), Some("ABCDE-FGHIJ"));
                Ok(Reply::Done {})
            }
            other => no_request(other),
        }
    }
    let made = "The vault is made and open. Next: claviger access-key add NAME, or claviger ssh-key new NAME\n";
    let home = Home::new();
    home.serve("run", script);
    // Up to the first newline, and not a byte of it trimmed.
    let headless = run(&home, &["init", "--passphrase-fd", "0"], "correct  horse \nrest");
    assert_eq!(headless, ended(0, "ABCDE-FGHIJ\n", made));
    let by_descriptors = shell(
        &home,
        "printf 'correct  horse ' > passphrase; \"$claviger\" init --passphrase-fd 3 --recovery-fd 4 3<passphrase 4>code && cat code",
    );
    assert_eq!(by_descriptors, ended(0, "ABCDE-FGHIJ\n", made));
    let refused = run(&home, &["init"], "correct horse\n");
    assert_eq!((refused.exit, refused.stdout.as_str()), (2, ""));
    assert!(refused.stderr.contains("give --passphrase-fd N"), "{}", refused.stderr);
    let full = shell(&home, "printf 'correct  horse ' | \"$claviger\" init --passphrase-fd 0 > /dev/full");
    assert_eq!((full.exit, full.stderr.as_str()), (5, "claviger: the recovery code could not be written to stdout\n"));
}

#[test]
fn a_locked_vault_is_opened_where_a_passphrase_is_given_and_the_request_sent_again() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let home = Home::new();
    let open = AtomicBool::new(false);
    home.serve("run", move |request, _| match request {
        Request::Unlock { proof: SlotProof::Passphrase(passphrase) } if passphrase.expose() == "good" => {
            open.store(true, Ordering::Relaxed);
            Ok(Reply::Done {})
        }
        Request::Unlock { .. } => Err(Fault::new(Code::VaultWrongProof, "that opens no slot")),
        Request::AccessKeyList { .. } if open.swap(false, Ordering::Relaxed) => Ok(Reply::AccessKeys(Vec::new())),
        Request::AccessKeyList { .. } => Err(Fault::new(Code::VaultLocked, "the vault is locked")),
        other => no_request(other),
    });
    let locked = ended(3, "", "claviger: the vault is locked\nhint: claviger unlock\n");
    assert_eq!(run(&home, &["access-key", "list"], "good"), locked);
    let list = ["access-key", "list", "--json", "--passphrase-fd", "0"];
    assert_eq!(run(&home, &list, "good\n"), ended(0, "[]\n", ""));
    assert_eq!(run(&home, &list, "bad\n"), ended(5, "", "claviger: that opens no slot\n"));
    assert_eq!(run(&home, &["access-key", "list", "--recovery", "--passphrase-fd", "0"], "good").exit, 5);
}

#[test]
fn an_access_key_goes_from_stdin_to_the_agent_and_back_out_against_a_proof() {
    let home = Home::new();
    home.serve("run", |request, _| match request {
        Request::Status {} => Ok(status("unlocked")),
        Request::AccessKeyAdd { name, access_key_id, secret_access_key, verify } => {
            assert_eq!((name.as_str(), *verify), ("dev", false));
            assert_eq!((access_key_id.as_str(), secret_access_key.expose()), ("AKIAIOSFODNN7EXAMPLE", "wJalr/K7"));
            Ok(Reply::AccessKey(claviger::wire::AccessKeyRow {
                name: name.clone(),
                access_key_id: access_key_id.clone(),
                user: None,
                added: "2026-11-22T01:00:00Z".to_owned(),
                age_days: 0,
                at_aws: None,
                fault: None,
            }))
        }
        Request::AccessKeyExport { proof: SlotProof::Passphrase(passphrase), .. } => {
            assert_eq!(passphrase.expose(), "good");
            Ok(Reply::AccessKeyExport(claviger::wire::AccessKeyExport {
                access_key_id: "AKIAIOSFODNN7EXAMPLE".parse().expect("an id"),
                secret_access_key: SecretText::from_text("wJalr/K7".to_owned()),
            }))
        }
        other => no_request(other),
    });
    let added = run(&home, &["access-key", "add", "dev", "--stdin", "--no-verify"], "AKIAIOSFODNN7EXAMPLE\nwJalr/K7\n");
    assert_eq!(added, ended(0, "", "Access key dev (AKIAIOSFODNN7EXAMPLE) is stored.\n"));
    let exported = run(&home, &["access-key", "export", "dev", "--passphrase-fd", "0"], "good");
    assert_eq!(exported, ended(0, "AKIAIOSFODNN7EXAMPLE\nwJalr/K7\n", ""));
    let twice =
        run(&home, &["access-key", "add", "dev", "--stdin", "--passphrase-fd", "0"], "AKIAIOSFODNN7EXAMPLE\nx\n");
    assert_eq!(twice.exit, 2);
    assert!(twice.stderr.contains("both read stdin"), "{}", twice.stderr);
}

#[test]
fn a_reader_that_has_gone_ends_a_command_quietly() {
    let home = Home::new();
    home.serve("run", |_, _| Ok(status("unlocked")));
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = program::without_terminal(&home, env!("CARGO_BIN_EXE_claviger").as_ref());
    let gone: program::Ended = command.arg("status").stdout(writer).output().expect("an end").into();
    assert_eq!(gone, ended(0, "", ""));
    assert!(run(&home, &["status"], "").stdout.starts_with("agent     fake/0, pid 7\nvault     open\n"));
}

#[test]
fn stop_waits_until_the_agent_has_gone_and_restart_does_so_with_an_old_one() {
    let home = Home::new();
    home.serve("run", |request, _| match request {
        Request::Stop {} => Ok(Reply::Done {}),
        Request::Status {} => Ok(status("locked")),
        // An agent of before this request.
        Request::Restart {} => Err(Fault::new(Code::WireBadLine, "a line of 33 bytes is no message of the protocol")),
        other => no_request(other),
    });
    assert_eq!(run(&home, &["agent", "stop"], ""), ended(0, "", "The agent has stopped.\n"));
    assert_eq!(run(&home, &["agent", "restart"], ""), ended(0, "", "The agent is running (pid 7).\n"));
}

#[test]
fn restart_says_who_serves_now_and_what_became_of_the_vault() {
    let restarted = "The agent has restarted (claviger-agent/9, pid 8).\n";
    let locked = "The vault is locked now: this user can change /x.\nOpen it with: claviger unlock\n";
    for (reason, said) in
        [(None, restarted.to_owned()), (Some("this user can change /x"), restarted.to_owned() + locked)]
    {
        let home = Home::new();
        home.serve("run", move |request, line| match request {
            Request::Restart {} => {
                line.close();
                let (agent, locked) = ("claviger-agent/9".to_owned(), reason.map(str::to_owned));
                Ok(Reply::Restarted(Restarted { pid: 8, agent, locked }))
            }
            other => no_request(other),
        });
        assert_eq!(run(&home, &["agent", "restart"], ""), ended(0, "", &said));
    }
    let home = Home::new();
    home.serve("run", |_, _| Err(Fault::new(Code::AgentRestartFailed, "the agent goes on as it was")));
    let failed = ended(1, "", "claviger: the agent goes on as it was\nhint: claviger status\n");
    assert_eq!(run(&home, &["agent", "restart"], ""), failed);
}

#[test]
fn an_agent_that_ends_is_asked_again_only_where_that_does_no_harm() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    let gone = ended(1, "", "claviger: the agent went away before it answered\nhint: claviger agent start\n");
    let listed = ended(0, "no access keys\n", "");
    // What is asked, how the first agents end, and what comes of it; `None` is an end without a word.
    let stopping = Some(Code::AgentStopping);
    for (arguments, first, asked, wanted) in [
        (&["access-key", "list"][..], None, 3, None),
        (&["access-key", "list"], stopping, 3, None),
        (&["mfa", "remove", "ada"], stopping, 3, Some(ended(0, "", "Removed the authenticator ada.\n"))),
        (&["mfa", "remove", "ada"], None, 1, Some(gone)),
    ] {
        let home = Home::new();
        let count = Arc::new(AtomicU32::new(0));
        let counted = count.clone();
        home.serve("run", move |request, line| {
            if counted.fetch_add(1, Ordering::SeqCst) < 2 {
                line.close();
                match first {
                    Some(code) => return Err(Fault::new(code, "the agent is stopping")),
                    None => line.break_off(),
                }
            }
            match request {
                Request::AccessKeyList { .. } => Ok(Reply::AccessKeys(Vec::new())),
                Request::MfaRemove { .. } => Ok(Reply::Done {}),
                other => no_request(other),
            }
        });
        let said = run(&home, arguments, "");
        assert_eq!(count.load(Ordering::SeqCst), asked, "{arguments:?}: {said:?}");
        assert_eq!(said.exit, wanted.as_ref().unwrap_or(&listed).exit, "{arguments:?}: {said:?}");
        if said.exit != 0 {
            assert_eq!(Some(said), wanted);
        }
    }
}

#[test]
fn a_socket_open_to_others_is_not_spoken_to() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    home.serve("run", |_, _| Ok(status("unlocked")));
    let folder = home.path().join("run");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    let refused = run(&home, &["status"], "");
    let said = format!("claviger: {0} is open to other users\nhint: chmod 700 {0}\n", folder.display());
    assert_eq!(refused, ended(1, "", &said));
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).expect("chmod");
    assert_eq!(run(&home, &["status"], "").exit, 0);
}

#[test]
fn an_agent_of_another_kind_is_told_apart() {
    let home = Home::new();
    home.serve("run", |_, _| Ok(Reply::Done {}));
    let said = "claviger: the agent's answer does not belong to the request\nhint: claviger agent restart\n";
    assert_eq!(run(&home, &["status"], ""), ended(1, "", said));
}
