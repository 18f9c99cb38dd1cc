//! Bases besides the vault's access keys, with real commands and endpoints: what may run runs as it should, and nothing
//! else runs.

use crate::home::{Home, PASSPHRASE, wait_gone};
use crate::sandbox::Sandbox;
use crate::wire::Wire;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

const ROLE: &str = "role_arn = arn:aws:iam::123456789012:role/plain\n";

/// A home with an open vault and nothing in it, these profiles, and these lines in config.toml.
fn home(sandbox: &Sandbox, profiles: &str, config: &str) -> Home {
    let home = Home::at(sandbox);
    home.write("config/profiles", profiles);
    let before = fs::read_to_string(home.file("config/config.toml")).expect("config.toml");
    home.write("config/config.toml", &format!("{before}{config}"));
    home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    home
}

/// An executable shell script in the home.
fn script(home: &Home, name: &str, body: &str) {
    home.write(name, &format!("#!/bin/sh\ncd {}\n{body}", home.path().display()));
    home.set_mode(name, 0o755);
}

/// Prints the sandbox's long-lived key, as a command of one's own would.
fn print_keys(sandbox: &Sandbox) -> String {
    let keys = json!({
        "Version": 1,
        "AccessKeyId": sandbox.text("access_key_id"),
        "SecretAccessKey": sandbox.text("secret_access_key"),
    });
    format!("cat <<'END'\n{keys}\nEND\n")
}

fn session_json(end: &str) -> String {
    format!(
        "{{\"Version\":1,\"AccessKeyId\":\"ASIAEXAMPLE000000001\",\"SecretAccessKey\":\"s\",\"SessionToken\":\"t\"{end}}}"
    )
}

/// T16: the command of a profile that nobody has listed is never executed.
#[test]
fn an_unlisted_command_never_runs_and_a_listed_one_runs_once_for_a_thousand_askers() {
    let sandbox = Sandbox::start();
    let home = Home::at(&sandbox);
    let path = home.path().display().to_string();
    let keys = print_keys(&sandbox);
    script(&home, "keys", &format!("echo \"$*\" >> ran\n{keys}"));
    let before = fs::read_to_string(home.file("config/config.toml")).expect("config.toml");
    home.write("config/config.toml", &format!("{before}[commands]\nallow = ['{path}/keys --listed']\n"));
    let unlisted = [
        format!("{path}/keys --unlisted"),
        format!("{path}/keys"),
        format!("{path}/keys --listed extra"),
        format!("{path}/keys  --listed"),
        format!("'{path}/keys' --listed"),
        format!("sh -c '{path}/keys --listed'"),
        format!("{path}/keys --listed; {path}/keys --two"),
        format!("touch {path}/ran"),
    ];
    let mut profiles =
        format!("[ops]\ncredential_process = {path}/keys --listed\n[listed]\nsource_profile = ops\n{ROLE}");
    for (number, command) in unlisted.iter().enumerate() {
        profiles.push_str(&format!(
            "[bad{number}]\ncredential_process = {command}\n[role{number}]\nsource_profile = bad{number}\n{ROLE}"
        ));
    }
    home.write("config/profiles", &profiles);
    home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    for number in 0..unlisted.len() {
        for profile in [format!("bad{number}"), format!("role{number}")] {
            for verb in ["process", "login", "whoami"] {
                let ended = home.run(&[verb, &profile], "");
                assert!(ended.exit == Some(5) && ended.stdout.is_empty(), "{ended:?}");
                assert!(ended.stderr.contains("is not in [commands] allow"), "{ended:?}");
                assert!(!ended.stderr.contains("--"), "the command is not repeated: {}", ended.stderr);
            }
            home.run(&["profile", "show", &profile], "").good();
        }
    }
    let list = home.run(&["profile", "list"], "").good();
    assert!(list.contains("credential_process") && list.contains("command.not_allowed"), "{list}");
    assert!(!home.file("ran").exists(), "a command was run");
    // The control: the one that is listed runs, once.
    let mut wires: Vec<Wire> = (0..20).map(|_| home.connect()).collect();
    for id in 2..52 {
        for wire in &mut wires {
            wire.request(id, &json!({"credentials": {"profile": "listed", "wait": 100}}));
        }
    }
    let mut answers = Vec::new();
    for wire in &mut wires {
        answers.extend((0..50).map(|_| wire.hear()["reply"]["credentials"]["access_key_id"].clone()));
    }
    assert!(answers.len() == 1000 && answers.iter().all(|id| id.is_string() && *id == answers[0]), "{:?}", answers[0]);
    assert_eq!(fs::read_to_string(home.file("ran")).expect("ran"), "--listed\n");
    assert_eq!(sandbox.calls("AssumeRole"), 1);
}

#[test]
fn a_command_runs_without_shell_and_secrets_and_what_it_says_stays_with_it() {
    let sandbox = Sandbox::start();
    let home = Home::at(&sandbox);
    let path = home.path().display().to_string();
    let profiles = [
        ("good", "good ~/x '$HOME;id' \"a b\""),
        ("fails", "fails"),
        ("junk", "junk"),
        ("much", "much"),
        ("gone", "gone"),
    ];
    let mut config = fs::read_to_string(home.file("config/config.toml")).expect("config.toml");
    let commands: Vec<String> = profiles.iter().map(|(_, command)| format!("{path}/{command}")).collect();
    config.push_str(&format!("[commands]\nallow = {}\n", Value::from(commands.clone())));
    home.write("config/config.toml", &config);
    let section =
        |(number, (name, _)): (usize, &(&str, &str))| format!("[{name}]\ncredential_process = {}\n", commands[number]);
    let mut text: String = profiles.iter().enumerate().map(section).collect();
    text.push_str("[keys]\nsource_profile = fails\nrole_arn = arn:aws:iam::123456789012:role/plain\n");
    home.write("config/profiles", &text);
    let session = session_json(",\"Expiration\":\"2099-01-01T00:00:00Z\"");
    script(
        &home,
        "good",
        &format!(
            "printf '%s\\n' \"$@\" > words; env > environment; cat > stdin; umask > umask; ps -o pid=,pgid= $$ > group\n\
             echo canary >&2; mkdir made; touch made/inside\nprintf '%s' '{session}'\n"
        ),
    );
    script(&home, "fails", "echo canary; echo canary >&2; exit 7\n");
    script(&home, "junk", &format!("echo canary; echo '{session}'\n"));
    script(&home, "much", "while :; do echo canarycanarycanarycanarycanary; done\n");
    let mut init = home.command("claviger");
    init.env("AWS_SECRET_ACCESS_KEY", "canary").env("AWS_PROFILE", "good").env("SECRET", "canary").env("USER", "ada");
    crate::home::run(init.args(["init", "--passphrase-fd", "0"]), PASSPHRASE).good();
    let printed: Value = serde_json::from_str(&home.run(&["process", "good"], "").good()).expect("JSON");
    assert_eq!(printed["SessionToken"], "t");
    let read = |name: &str| fs::read_to_string(home.file(name)).expect(name);
    assert_eq!(read("words"), "~/x\n$HOME;id\na b\n");
    let mut names: Vec<String> =
        read("environment").lines().filter_map(|line| Some(line.split_once('=')?.0.to_owned())).collect();
    names.retain(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(&name.as_str()));
    names.sort();
    assert_eq!(names, ["PATH", "USER"], "HOME and LANG are not set here");
    assert_eq!((read("stdin").as_str(), read("umask").trim_start_matches('0').trim()), ("", "77"));
    let group: Vec<i32> = read("group").split_whitespace().map(|number| number.parse().expect("a number")).collect();
    assert_eq!(group[0], group[1], "a process group of its own");
    assert_eq!(fs::metadata(home.file("made")).expect("made").permissions().mode() & 0o777, 0o700);
    for (profile, code, exit) in [
        ("fails", "command.failed", 1),
        ("keys", "command.failed", 1),
        ("junk", "source.bad_answer", 8),
        ("much", "command.failed", 1),
        ("gone", "command.failed", 1),
    ] {
        let ended = home.run(&["process", profile], "");
        ended.fault(exit, code);
        assert!(!ended.stderr.contains("canary"), "{}", ended.stderr);
    }
    assert!(!home.log().contains("canary"));
}

#[test]
fn a_lock_ends_a_command_and_what_it_has_started() {
    let sandbox = Sandbox::start();
    let home = Home::at(&sandbox);
    let path = home.path().display().to_string();
    let before = fs::read_to_string(home.file("config/config.toml")).expect("config.toml");
    home.write("config/config.toml", &format!("{before}[commands]\nallow = ['{path}/slow']\n"));
    home.write("config/profiles", &format!("[slow]\ncredential_process = {path}/slow\n"));
    home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    script(&home, "slow", "sleep 1000 & echo $$ $! > pids.new; mv pids.new pids; wait\n");
    let mut client = home.command("claviger");
    client.args(["process", "slow", "--wait", "100"]).stdin(Stdio::null()).stderr(Stdio::piped());
    let client = client.spawn().expect("the client");
    while !home.file("pids").exists() {
        std::thread::yield_now();
    }
    let pids = fs::read_to_string(home.file("pids")).expect("pids");
    home.run(&["lock"], "").good();
    let ended = client.wait_with_output().expect("its end");
    assert_eq!(ended.status.code(), Some(3), "vault.locked");
    for pid in pids.split_whitespace() {
        wait_gone(pid.parse().expect("a pid"));
    }
}

/// Answers requests by their method and path, and keeps what it saw.
struct Endpoint {
    address: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Endpoint {
    fn serving(answer: impl Fn(&str) -> Option<String> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let head = serve(stream.expect("a connection"), &answer);
                log.lock().expect("the log").push(head);
            }
        });
        Self { address, seen }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("the log").clone()
    }
}

fn serve(mut stream: TcpStream, answer: &dyn Fn(&str) -> Option<String>) -> String {
    let mut head = String::new();
    let mut reader = BufReader::new(stream.try_clone().expect("a copy"));
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).expect("a line") > 0 {}
    let (status, body) = answer(&head).map_or(("404 Not Found", String::new()), |body| ("200 OK", body));
    let length = body.len();
    let reply = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    stream.write_all(reply.as_bytes()).expect("sent");
    head.lines().next().unwrap_or_default().replace(" HTTP/1.1", "")
}

/// A session that the sandbox knows, as an endpoint gives it.
fn endpoint_session(sandbox: &Sandbox) -> String {
    let other = Home::ready(sandbox, &[]);
    let printed: Value = serde_json::from_str(&other.run(&["process", "dev"], "").good()).expect("JSON");
    let session = json!({
        "Code": "Success",
        "AccessKeyId": printed["AccessKeyId"],
        "SecretAccessKey": printed["SecretAccessKey"],
        "Token": printed["SessionToken"],
        "Expiration": printed["Expiration"],
    });
    session.to_string()
}

#[test]
fn a_container_endpoint_is_the_base_of_a_role() {
    let sandbox = Sandbox::start();
    let session = endpoint_session(&sandbox);
    let endpoint = Endpoint::serving(move |head| {
        let authorised = head.to_ascii_lowercase().contains("\r\nauthorization: the-token\r\n");
        (head.starts_with("GET /v1/credentials HTTP/1.1\r\n") && authorised).then(|| session.clone())
    });
    let profiles = format!("[task]\ncredential_source = EcsContainer\n{ROLE}");
    let token = tempfile::NamedTempFile::new().expect("a file");
    fs::write(token.path(), "the-token\n").expect("a token");
    let config = format!(
        "[sources]\ncontainer_uri = 'http://{}/v1/credentials'\ncontainer_token_file = '{}'\n",
        endpoint.address,
        token.path().display()
    );
    let home = home(&sandbox, &profiles, &config);
    let printed = home.run(&["process", "task"], "").good();
    assert!(printed.contains("\"SessionToken\""), "{printed}");
    home.run(&["process", "task"], "").good();
    assert_eq!(endpoint.seen(), ["GET /v1/credentials"], "once for both");
    let explained = home.run(&["profile", "explain", "task"], "").good();
    assert!(explained.contains("1. EcsContainer for base credentials"), "{explained}");
    // The token is read for each request; a wrong one is refused, and that is told.
    fs::write(token.path(), "another").expect("a token");
    home.run(&["logout", "--all"], "").good();
    home.run(&["process", "task"], "").fault(5, "source.refused");
    drop(token);
    home.run(&["process", "task"], "").fault(2, "source.not_configured");
}

#[test]
fn the_instance_metadata_service_is_the_base_of_a_role() {
    let sandbox = Sandbox::start();
    let session = endpoint_session(&sandbox);
    let endpoint = Endpoint::serving(move |head| {
        let has_token = head.to_ascii_lowercase().contains("\r\nx-aws-ec2-metadata-token: imds-token\r\n");
        match head.split(" HTTP").next() {
            Some("PUT /latest/api/token") => Some("imds-token".to_owned()),
            Some("GET /latest/meta-data/iam/security-credentials/") if has_token => Some("web-role".to_owned()),
            Some("GET /latest/meta-data/iam/security-credentials/web-role") if has_token => Some(session.clone()),
            _ => None,
        }
    });
    let profiles = format!("[web]\ncredential_source = Ec2InstanceMetadata\n{ROLE}");
    let home = home(&sandbox, &profiles, &format!("[sources]\nimds_endpoint = 'http://{}'\n", endpoint.address));
    home.run(&["process", "web"], "").good();
    home.run(&["process", "web"], "").good();
    let role = "GET /latest/meta-data/iam/security-credentials/";
    assert_eq!(endpoint.seen(), ["PUT /latest/api/token", role, &format!("{role}web-role")]);
    // Where nothing listens, the fault says which source.
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let away = crate::sources::home(&sandbox, &profiles, &format!("[sources]\nimds_endpoint = 'http://{closed}'\n"));
    away.run(&["process", "web"], "").fault(8, "source.unreachable");
}

#[test]
fn a_source_that_plain_http_must_not_reach_stops_the_start() {
    let home = Home::new();
    home.write("config/config.toml", "[sources]\ncontainer_uri = 'http://canary.example/x'\n");
    let ended = home.run(&["agent", "start"], "");
    assert!(ended.exit == Some(2) && ended.stderr.contains("[sources]: container_uri is"), "{ended:?}");
    assert!(!ended.stderr.contains("canary"), "{}", ended.stderr);
}
