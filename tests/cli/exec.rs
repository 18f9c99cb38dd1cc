//! `claviger exec`: what the child finds, and how it ends.

use crate::agent::Home;
use crate::no_request;
use crate::program::{Ended, OnTerminal, ended, run, shell, without_terminal};
use claviger::secret::SecretText;
use claviger::wire::{
    Code, Credentials, EndpointKind, Event, Explanation, Fault, OpenEndpoint, Reply, Request, Setting, SlotProof,
};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const URL: &str = "http://127.0.0.1:4711/";
const TOKEN: &str = "endpoint-token";

fn endpoint(kind: EndpointKind) -> Reply {
    let container = kind == EndpointKind::Container;
    Reply::Endpoint(OpenEndpoint {
        url: URL.to_owned(),
        token: container.then(|| SecretText::from_text(TOKEN.to_owned())),
        token_file: container.then(|| "/run/claviger/token".into()),
        region: Some("eu-central-1".parse().expect("a region")),
    })
}

fn frozen() -> Reply {
    Reply::Credentials(Credentials {
        access_key_id: "ASIAIOSFODNN7EXAMPLE".parse().expect("an id"),
        secret_access_key: SecretText::from_text("a/b+c".to_owned()),
        session_token: SecretText::from_text("session-token".to_owned()),
        expiration: "2026-11-22T01:00:00Z".to_owned(),
        account_id: Some("123456789012".parse().expect("an account")),
        region: Some("eu-central-1".parse().expect("a region")),
    })
}

fn explanation(profile: &str, notes: &[&str]) -> Reply {
    Reply::Explanation(Explanation {
        profile: profile.to_owned(),
        refreshing: Vec::new(),
        frozen: Vec::new(),
        notes: notes.iter().map(|note| (*note).to_owned()).collect(),
    })
}

/// An agent that serves every profile, but for `locked`.
fn serve(home: &Home) {
    home.serve("run", |request, line| match request {
        Request::EndpointOpen { profile, .. } if profile == "locked" => {
            Err(Fault::new(Code::VaultLocked, "the vault is locked"))
        }
        Request::EndpointOpen { profile, .. } if profile == "default" => {
            Err(Fault::new(Code::ProfileNotFound, "no profile is named default"))
        }
        Request::EndpointOpen { kind, linger, wait, .. } => {
            assert!(matches!((linger, wait), (None, 120) | (Some(7200), 3)), "{linger:?} {wait}");
            Ok(endpoint(*kind))
        }
        Request::ProfileShow { .. } => {
            let setting = |key: &str, value: &str| Setting {
                key: key.to_owned(),
                value: value.to_owned(),
                origin: "/home/ada/.aws/config:7".to_owned(),
            };
            let role = setting("role_arn", "arn:aws:iam::123456789012:role/prod");
            Ok(Reply::Settings(vec![role, setting("output", "text")]))
        }
        Request::ProfileExplain { profile } => Ok(explanation(profile, &["frozen: spends one code", "another note"])),
        Request::Credentials { frozen: true, .. } => {
            line.event(Event::WaitingForCode { serial: "arn:aws:iam::123456789012:mfa/ada".to_owned(), seconds: 9 });
            Ok(frozen())
        }
        other => no_request(other),
    });
}

/// What `env -0` printed.
fn variables(page: &str) -> BTreeMap<&str, &str> {
    page.split_terminator('\0').map(|line| line.split_once('=').expect("a variable")).collect()
}

fn expected(home: &Home, own: &[(&'static str, &'static str)]) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> =
        own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    all.insert("CLAVIGER_HOME".to_owned(), home.path().display().to_string());
    all.insert("PATH".to_owned(), "/usr/bin:/bin".to_owned());
    all
}

fn owned(found: BTreeMap<&str, &str>) -> BTreeMap<String, String> {
    found.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Runs it with all that could win over its credentials in the environment.
fn with_stale(home: &Home, arguments: &[&str]) -> Ended {
    let mut command = without_terminal(home, Path::new(env!("CARGO_BIN_EXE_claviger")));
    for name in [
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_SECURITY_TOKEN",
        "AWS_CREDENTIAL_EXPIRATION",
        "AWS_ACCOUNT_ID",
        "AWS_ROLE_ARN",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "AWS_EC2_METADATA_DISABLED",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
        "AWS_BEARER_TOKEN_BEDROCK",
        "AWS_VAULT",
        "AWS_REGION",
        "AWS_SDK_LOAD_CONFIG",
        "AWS_CONFIG_FILE",
    ] {
        command.env(name, "of-before");
    }
    command.args(arguments).output().expect("an end").into()
}

#[test]
fn the_child_finds_a_container_endpoint_and_nothing_that_wins_over_it() {
    let home = Home::new();
    serve(&home);
    let ended = with_stale(&home, &["exec", "prod", "--", "env", "-0"]);
    assert_eq!((ended.exit, ended.stderr.as_str()), (0, ""));
    let mut found = owned(variables(&ended.stdout));
    let stand_in = found.remove("AWS_SHARED_CREDENTIALS_FILE").expect("a stand-in for the credentials file");
    assert_eq!(
        found,
        expected(
            &home,
            &[
                ("AWS_CONFIG_FILE", "of-before"),
                ("AWS_CONTAINER_AUTHORIZATION_TOKEN", TOKEN),
                ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/run/claviger/token"),
                ("AWS_CONTAINER_CREDENTIALS_FULL_URI", URL),
                ("AWS_DEFAULT_REGION", "eu-central-1"),
                ("AWS_EC2_METADATA_DISABLED", "true"),
                ("AWS_PROFILE", "claviger-exec"),
                ("AWS_REGION", "eu-central-1"),
                ("AWS_SDK_LOAD_CONFIG", "of-before"),
                ("CLAVIGER_PROFILE", "prod"),
            ]
        )
    );
    let text = std::fs::read_to_string(&stand_in).expect("the stand-in");
    assert!(text.ends_with("[claviger-exec]\noutput = text\n"), "{text}");
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| std::fs::metadata(path).expect("its mode").permissions().mode() & 0o777;
    let folder = Path::new(&stand_in).parent().expect("its folder");
    assert_eq!((mode(Path::new(&stand_in)), mode(folder)), (0o400, 0o700));
    // Once more, and nothing is left beside it.
    assert_eq!(with_stale(&home, &["exec", "prod", "--", "true"]).exit, 0);
    assert_eq!(std::fs::read_dir(folder).expect("its folder").count(), 1);
}

#[test]
fn the_child_finds_the_metadata_service_or_frozen_variables_where_it_should() {
    let home = Home::new();
    serve(&home);
    let imds = with_stale(&home, &["exec", "prod", "--imds", "--linger=2h", "--wait=3", "--", "env", "-0"]);
    let mut found = owned(variables(&imds.stdout));
    assert!(found.remove("AWS_SHARED_CREDENTIALS_FILE").is_some());
    let both = [
        ("AWS_CONFIG_FILE", "of-before"),
        ("AWS_DEFAULT_REGION", "eu-central-1"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_SDK_LOAD_CONFIG", "of-before"),
        ("CLAVIGER_PROFILE", "prod"),
    ];
    let own = [
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", URL),
        ("AWS_EC2_METADATA_V1_DISABLED", "true"),
        ("AWS_PROFILE", "claviger-exec"),
    ];
    assert_eq!(found, expected(&home, &[&both[..], &own].concat()));

    let frozen = with_stale(&home, &["exec", "prod", "--env", "--", "env", "-0"]);
    let own = [
        ("AWS_ACCESS_KEY_ID", "ASIAIOSFODNN7EXAMPLE"),
        ("AWS_ACCOUNT_ID", "123456789012"),
        ("AWS_CREDENTIAL_EXPIRATION", "2026-11-22T01:00:00Z"),
        ("AWS_SECRET_ACCESS_KEY", "a/b+c"),
        ("AWS_SESSION_TOKEN", "session-token"),
    ];
    assert_eq!(owned(variables(&frozen.stdout)), expected(&home, &[&both[..], &own].concat()));
    assert_eq!(frozen.stderr, "prod: spends one code\nwaiting 9 s for the next code of ada\n");
    let region = with_stale(&home, &["exec", "prod", "--env", "--region", "us-west-2", "--", "printenv", "AWS_REGION"]);
    assert_eq!(region.stdout, "us-west-2\n");
}

#[test]
fn an_exec_in_an_exec_is_scrubbed_afresh() {
    let home = Home::new();
    serve(&home);
    let inner = "\"$claviger\" exec prod -- \"$claviger\" exec other --env -- env -0";
    let ended = shell(&home, inner);
    let found = variables(&ended.stdout);
    let names: Vec<&str> = found.keys().copied().filter(|name| name.starts_with("AWS_")).collect();
    assert_eq!(names.len(), 7, "{names:?}");
    assert_eq!((found["CLAVIGER_PROFILE"], found.get("AWS_PROFILE")), ("other", None));
    // Without a profile of its own it goes by that of the outer one, not by the stand-in.
    let same = shell(&home, "\"$claviger\" exec prod -- \"$claviger\" exec -- printenv CLAVIGER_PROFILE AWS_PROFILE");
    assert_eq!(same, ended_with("prod\nclaviger-exec\n"));
}

fn ended_with(stdout: &str) -> Ended {
    ended(0, stdout, "")
}

#[test]
fn it_ends_as_the_child_does() {
    let home = Home::new();
    serve(&home);
    for code in [0, 1, 3, 125, 255] {
        let script = format!("exit {code}");
        assert_eq!(run(&home, &["exec", "prod", "--", "sh", "-c", &script], ""), ended(code, "", ""));
    }
    // The process that was claviger is the one that a signal ends.
    let signalled = shell(&home, "\"$claviger\" exec prod -- sh -c 'kill -TERM $$'; echo $?");
    assert_eq!(signalled.stdout, "143\n");
    let pid = shell(&home, "sh -c 'echo $$; exec \"$claviger\" exec prod -- sh -c \"echo \\$\\$\"'");
    let pids: Vec<&str> = pid.stdout.lines().collect();
    assert!(pids.len() == 2 && pids[0] == pids[1], "{pids:?}");
    // A child that writes to nobody is ended by SIGPIPE, as everywhere.
    let piped = shell(&home, "{ \"$claviger\" exec prod -- sh -c 'kill -PIPE $$'; echo $? >&2; } | true");
    assert_eq!(piped.stderr, "141\n");
    // Its stdin is its own.
    assert_eq!(run(&home, &["exec", "prod", "--", "cat"], "all of it\n"), ended_with("all of it\n"));
}

#[test]
fn its_own_failures_have_exit_codes_of_their_own() {
    let home = Home::new();
    serve(&home);
    let locked = ended(125, "", "claviger: the vault is locked\nhint: claviger unlock\n");
    assert_eq!(run(&home, &["exec", "locked", "--", "true"], ""), locked);
    let unnamed = "claviger: no profile is given, AWS_PROFILE is not set, and there is no profile default\n\
                   hint: claviger profile list\n";
    assert_eq!(run(&home, &["exec", "--", "true"], ""), ended(125, "", unnamed));
    let usage = ended(
        125,
        "",
        "claviger: there is an argument too many; the command follows on --\nhint: claviger exec --help\n",
    );
    assert_eq!(run(&home, &["exec", "prod", "ls"], ""), usage);
    assert_eq!(run(&home, &["exec", "--env", "--imds", "prod"], "").exit, 125);
    assert_eq!(run(&home, &["exec", "--help"], "").exit, 0);
    let absent = ended(127, "", "claviger: there is no program no-such\n");
    // Nothing is asked of the agent for a program that is not there: `locked` would fail otherwise.
    assert_eq!(run(&home, &["exec", "locked", "--", "no-such"], ""), absent);
    assert_eq!(run(&home, &["exec", "locked", "--", "./no-such"], "").exit, 127);
    assert_eq!(run(&home, &["exec", "locked", "--", ""], "").exit, 127);
    let folder = home.path().to_str().expect("text");
    assert_eq!(run(&home, &["exec", "locked", "--", folder], "").exit, 126);
    let file = home.path().join("file");
    std::fs::write(&file, "no program").expect("a file");
    let told = format!("claviger: {} cannot be run\n", file.display());
    assert_eq!(run(&home, &["exec", "locked", "--", file.to_str().expect("text")], ""), ended(126, "", &told));
    // What only the kernel can tell.
    std::fs::write(&file, "#!/no/such/interpreter\n").expect("a file");
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o700)).expect("chmod");
    assert_eq!(run(&home, &["exec", "prod", "--", file.to_str().expect("text")], "").exit, 127);
}

#[test]
fn arguments_arrive_as_they_are_and_none_is_a_secret() {
    let home = Home::new();
    serve(&home);
    let mut command = without_terminal(&home, Path::new(env!("CARGO_BIN_EXE_claviger")));
    let bytes = OsStr::from_bytes(b"\xff\xfe");
    command.args(["exec", "prod", "--", "cat", "/proc/self/cmdline"]).arg("-").arg("--").arg(bytes).arg("a b").arg("");
    let output = command.stdin(std::process::Stdio::null()).output().expect("an end");
    // cat complains about what are no files; its command line is what counts.
    assert!(output.stdout.starts_with(b"cat\0/proc/self/cmdline\0-\0--\0\xff\xfe\0a b\0\0"), "{:?}", output.stdout);
    assert!(!output.stdout.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes()));
    assert_eq!(
        run(&home, &["exec", "prod", "--", "printf", "<%s>", "--env", "--", "$HOME", "*"], ""),
        ended_with("<--env><--><$HOME><*>")
    );
}

#[test]
fn the_child_inherits_its_descriptors_and_none_of_clavigers() {
    let home = Home::new();
    serve(&home);
    std::fs::write(home.path().join("file"), "seven").expect("a file");
    let list = "sh -c 'ls /proc/$$/fd' 7<file";
    let without = shell(&home, list);
    let with = shell(&home, "\"$claviger\" exec prod -- sh -c 'ls /proc/$$/fd' 7<file");
    assert_eq!(with, without);
    assert!(with.stdout.contains("7\n"));
    assert_eq!(shell(&home, "\"$claviger\" exec prod -- sh -c 'cat <&7' 7<file"), ended_with("seven"));
}

#[test]
fn a_locked_vault_is_opened_before_the_child_starts() {
    use std::sync::atomic::{AtomicBool, Ordering};
    fn serve(home: &Home) {
        let open = AtomicBool::new(false);
        home.serve("run", move |request, line| match request {
            Request::EndpointOpen { .. } if !open.load(Ordering::Relaxed) => {
                Err(Fault::new(Code::VaultLocked, "the vault is locked"))
            }
            Request::Unlock { proof: SlotProof::Passphrase(passphrase) } => {
                assert_eq!(passphrase.expose(), "good");
                open.store(true, Ordering::Relaxed);
                Ok(Reply::Done {})
            }
            Request::EndpointOpen { kind, .. } => {
                if line.hello.answers {
                    let code = line.ask(Event::Question { prompt: "Code of ada".to_owned(), echo: true });
                    assert_eq!(code.as_deref(), Some("123456"));
                }
                Ok(endpoint(*kind))
            }
            Request::ProfileShow { .. } => Err(Fault::new(Code::ProfileNotFound, "an access key alone")),
            other => no_request(other),
        });
    }
    let home = Home::new();
    serve(&home);
    let mut person = OnTerminal::start(&home, &["exec", "prod", "--", "sh", "-c", "read line; echo got $line"]);
    person.wait_for("Passphrase: ");
    person.enter_hidden("good");
    person.wait_for("Code of ada: ");
    person.enter("123456");
    person.enter("the child's");
    let ended = person.end();
    assert_eq!((ended.exit, ended.stdout.as_str()), (0, "got the child's\n"));
    // What stands behind the passphrase is the child's.
    let home = Home::new();
    serve(&home);
    let rest = run(&home, &["exec", "prod", "--passphrase-fd", "0", "--", "cat"], "good\nthe child's\n");
    assert_eq!(rest, ended_with("the child's\n"));
}

#[test]
fn without_a_command_it_is_the_shell() {
    let home = Home::new();
    serve(&home);
    let own = shell(
        &home,
        "printf '#!/bin/sh\\necho shell of $CLAVIGER_PROFILE\\n' > own; chmod +x own; SHELL=./own \"$claviger\" exec prod",
    );
    assert_eq!(own, ended_with("shell of prod\n"));
    assert_eq!(run(&home, &["exec", "prod", "--"], "echo $CLAVIGER_PROFILE\n"), ended_with("prod\n"));
}
