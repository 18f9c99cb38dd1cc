//! Endpoints: what they serve, to whom, and how they end.

use crate::attack::{USER, as_user, ordinary};
use crate::home::{Agent, Home, PASSPHRASE, run};
use crate::http::{Answer, get, port, raw, request};
use crate::sandbox::Sandbox;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const PYTHON: &str = "/usr/bin/python3";
pub(crate) const SCRIPT: &str = include_str!("endpoint.py");
const OTHER: u32 = 4322;

pub(crate) fn open(home: &Home, kind: &str) -> Value {
    let opened = home.connect().ask(2, &json!({"endpoint_open": {"profile": "prod", "kind": kind, "wait": 60}}));
    assert!(opened["reply"]["endpoint"].is_object(), "{opened}");
    opened["reply"]["endpoint"].clone()
}

fn with_token(endpoint: &Value) -> Answer {
    get(endpoint, "/credentials", &[("Authorization", endpoint["token"].as_str().expect("a token"))])
}

/// A process that opens an endpoint and holds it.
pub(crate) struct Owner {
    child: Child,
    pub(crate) endpoint: Value,
}

impl Owner {
    pub(crate) fn start(command: &mut Command, home: &Home, linger: u32) -> Self {
        let socket = home.file("run/agent.sock");
        command.args(["-c", SCRIPT, "open"]).arg(socket).args(["prod", "container", &linger.to_string()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("an owner");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("stdout")).read_line(&mut line).expect("a line");
        let said: Value = serde_json::from_str(&line).expect("JSON");
        assert!(said["endpoint"].is_object(), "{said}");
        Self { child, endpoint: said["endpoint"].clone() }
    }

    pub(crate) fn end(&mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("its end");
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn python() -> Command {
    Command::new(PYTHON)
}

fn wait_closed(endpoint: &Value) {
    while TcpStream::connect(("127.0.0.1", port(endpoint))).is_ok() {
        std::thread::yield_now();
    }
}

#[test]
fn a_container_endpoint_serves_its_profile_to_whoever_has_the_token() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    let endpoint = open(&home, "container");
    let (url, token) = (endpoint["url"].as_str().expect("a URL"), endpoint["token"].as_str().expect("a token"));
    assert_eq!(url, format!("http://127.0.0.1:{}/credentials", port(&endpoint)));
    let alphabet = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    assert!(token.len() == 43 && token.chars().all(alphabet), "256 bits in base64url");
    assert_eq!(endpoint["region"], "eu-central-1");
    let file = Path::new(endpoint["token_file"].as_str().expect("a file"));
    assert_eq!(fs::read_to_string(file).expect("the token"), token);
    assert_eq!(fs::metadata(file).expect("a file").permissions().mode() & 0o7777, 0o600);
    let calls = sandbox.state()["calls"].clone();
    for _ in 0..3 {
        let answer = with_token(&endpoint);
        assert_eq!(answer.status, 200);
        let said: Value = serde_json::from_str(&answer.body).expect("JSON");
        let keys: Vec<&str> = said.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(keys, ["AccessKeyId", "AccountId", "Expiration", "RoleArn", "SecretAccessKey", "Token"]);
        assert_eq!(said["RoleArn"], "arn:aws:iam::123456789012:role/prod-admin");
        assert_eq!(said["AccountId"], "123456789012");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
    assert_eq!(sandbox.state()["calls"], calls, "the first credentials were obtained before it opened");
    let status = home.status();
    let row = json!([{"profile": "prod", "kind": "container", "pid": std::process::id()}]);
    assert_eq!(status["endpoints"], row);
    assert!(home.run(&["status"], "").good().contains("\nENDPOINT  KIND"));
    let log = home.log();
    assert!(!log.contains(token) && !log.contains(&format!(":{}", port(&endpoint))), "neither token nor URL is logged");
}

#[test]
fn an_endpoint_of_a_profile_that_gives_nothing_is_a_fault() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    let ask = |request: Value| home.connect().ask(2, &json!({"endpoint_open": request}))["fault"]["code"].clone();
    assert_eq!(ask(json!({"profile": "nope", "kind": "container", "wait": 5})), "profile.not_found");
    assert_eq!(ask(json!({"profile": "prod", "kind": "container", "wait": 5, "linger": 86_401})), "usage");
    home.run(&["lock"], "").good();
    assert_eq!(ask(json!({"profile": "prod", "kind": "imds", "wait": 5})), "vault.locked");
    assert_eq!(home.status()["endpoints"], Value::Null);
    let mut left: Vec<_> =
        fs::read_dir(home.file("run")).expect("a folder").flatten().map(|file| file.file_name()).collect();
    left.retain(|name| !name.as_encoded_bytes().ends_with(b".anchor"));
    left.sort();
    assert_eq!(left, ["agent.sock", "ssh.sock"]);
}

#[test]
fn another_user_is_refused_with_the_right_token_and_so_is_root() {
    let sandbox = Sandbox::start();
    let home = ordinary();
    home.configure(&sandbox);
    for name in ["config/config.toml", "config/profiles"] {
        chown(home.file(name), Some(USER), Some(USER)).expect("chown");
    }
    let mut agent = as_user(&home, USER, &home.file("bin/claviger-agent"));
    let mut agent = Agent::spawn(agent.args(["run", "--detached"]).stderr(Stdio::null()));
    assert_eq!(agent.word(), "ready");
    let client = |arguments: &[&str], stdin: &str| {
        run(as_user(&home, USER, &home.file("bin/claviger")).args(arguments), stdin).good();
    };
    client(&["init", "--passphrase-fd", "0"], PASSPHRASE);
    client(&["access-key", "add", "dev", "--stdin"], &sandbox.access_key());
    let add = ["mfa", "add", "--for", "dev", "--seed-stdin", "--serial", sandbox.text("mfa_serial")];
    client(&add, sandbox.text("mfa_seed"));
    let owner = Owner::start(&mut as_user(&home, USER, PYTHON.as_ref()), &home, 0);
    let (url, token) = (&owner.endpoint["url"], owner.endpoint["token"].as_str().expect("a token"));
    let authorization = format!("Authorization:{token}");
    let get_as = |command: &mut Command| {
        let arguments = ["-c", SCRIPT, "get", url.as_str().expect("a URL"), &authorization];
        serde_json::from_str::<Value>(&run(command.args(arguments), "").good()).expect("JSON")
    };
    let own = get_as(&mut as_user(&home, USER, PYTHON.as_ref()));
    assert_eq!(own[0], 200, "{own}");
    let calls = sandbox.state()["calls"].clone();
    // More often than wrong tokens may come: another user cannot close it.
    for _ in 0..25 {
        let other = get_as(&mut as_user(&home, OTHER, PYTHON.as_ref()));
        assert_eq!(other[0], 403);
        assert!(!other[1].as_str().expect("a body").contains("ASIA"), "{other}");
    }
    let root = get_as(&mut python());
    assert_eq!((&root[0], root[1].as_str().is_some_and(|body| body.contains("endpoint.refused"))), (&json!(403), true));
    assert_eq!(get_as(&mut as_user(&home, USER, PYTHON.as_ref()))[0], 200);
    assert_eq!(sandbox.state()["calls"], calls);
    let token_file = Path::new(owner.endpoint["token_file"].as_str().expect("a file")).to_owned();
    let mut cat = as_user(&home, OTHER, "/bin/cat".as_ref());
    assert!(!cat.arg(&token_file).stderr(Stdio::null()).status().expect("cat").success());
    drop(owner);
    while token_file.exists() {
        std::thread::yield_now();
    }
}

#[test]
fn no_token_and_a_wrong_one_look_alike_and_twenty_close_it() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    let (endpoint, bystander) = (open(&home, "container"), open(&home, "container"));
    let token = endpoint["token"].as_str().expect("a token");
    let mut other = token.to_owned();
    let last = if other.ends_with('A') { 'B' } else { 'A' };
    other.replace_range(other.len() - 1.., &last.to_string());
    let bearer = format!("Bearer {token}");
    let long = "x".repeat(4000);
    let wrong: [&[(&str, &str)]; 7] = [
        &[],
        &[("Authorization", "")],
        &[("Authorization", &other)],
        &[("Authorization", &bearer)],
        &[("Authorization", &long)],
        &[("Authorization", token), ("Authorization", token)],
        &[("Authorization", bystander["token"].as_str().expect("a token"))],
    ];
    let answers: Vec<Answer> = wrong.iter().map(|headers| get(&endpoint, "/credentials", headers)).collect();
    assert!(answers.iter().all(|answer| answer.status == 403 && answer.body == answers[0].body), "all alike");
    assert_eq!(with_token(&endpoint).status, 200, "seven are not twenty");
    for count in 7..20 {
        assert_eq!(get(&endpoint, "/credentials", &[]).status, 403, "{count}");
    }
    wait_closed(&endpoint);
    assert!(!Path::new(endpoint["token_file"].as_str().expect("a file")).exists());
    let status = home.status();
    assert_eq!(status["endpoints"].as_array().map(Vec::len), Some(1));
    let warnings = status["warnings"].to_string();
    assert!(
        warnings.contains("the endpoint of prod") && warnings.contains("20 requests without its token"),
        "{warnings}"
    );
    assert!(home.log().contains("too many wrong tokens") && !home.log().contains(token));
    assert_eq!(with_token(&bystander).status, 200, "one endpoint has nothing to do with another");
}

#[test]
fn who_is_slow_or_silent_stops_nobody() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    let endpoint = open(&home, "container");
    let connect = || TcpStream::connect(("127.0.0.1", port(&endpoint))).expect("a connection");
    let mut held = Vec::new();
    for round in 0..10 {
        for number in 0..50 {
            let mut slow = connect();
            // Silence, or half a head that never ends.
            let _ = std::io::Write::write_all(
                &mut slow,
                if number % 2 == 0 { b"" } else { b"GET /credentials HTTP/1.1\r\nHos" },
            );
            held.push(slow);
        }
        assert_eq!(with_token(&endpoint).status, 200, "round {round}");
    }
    // What is slow comes to its end by itself: nothing but the clock of the agent ends the last of them.
    let last = held.pop().expect("a connection");
    last.set_read_timeout(Some(std::time::Duration::from_secs(60))).expect("a limit");
    let mut said = Vec::new();
    let ended = std::io::Read::read_to_end(&mut &last, &mut said);
    assert!(
        said.is_empty() && ended.map_or_else(|error| error.kind() == std::io::ErrorKind::ConnectionReset, |_| true)
    );
    assert_eq!(with_token(&endpoint).status, 200);
}

#[test]
fn a_crowd_larger_than_the_connections_is_served_whole() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    let endpoint = open(&home, "container");
    let served: Vec<u16> = std::thread::scope(|scope| {
        let ask = || (0..10).map(|_| with_token(&endpoint).status).collect::<Vec<_>>();
        let threads: Vec<_> = (0..100).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("its answers")).collect()
    });
    assert!(served.len() == 1000 && served.iter().all(|status| *status == 200), "{served:?}");
}

#[test]
fn an_endpoint_ends_with_its_process_or_lingers_until_a_lock() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    let mut plain = Owner::start(&mut python(), &home, 0);
    let mut lingering = Owner::start(&mut python(), &home, 3600);
    assert_eq!((with_token(&plain.endpoint).status, with_token(&lingering.endpoint).status), (200, 200));
    assert_eq!(home.status()["endpoints"].as_array().map(Vec::len), Some(2));
    plain.end();
    wait_closed(&plain.endpoint);
    lingering.end();
    let row = loop {
        let rows = home.status()["endpoints"].clone();
        if rows[0]["lingering"].is_u64() {
            break rows[0].clone();
        }
    };
    assert_eq!(row["pid"], lingering.child.id());
    assert!(row["lingering"].as_u64().is_some_and(|left| left > 3000), "{row}");
    assert_eq!(with_token(&lingering.endpoint).status, 200, "its children may go on");
    let alive = open(&home, "container");
    home.run(&["lock"], "").good();
    wait_closed(&lingering.endpoint);
    let locked = with_token(&alive);
    assert!(locked.status == 403 && locked.body.contains("vault.locked"), "{locked:?}");
    assert!(locked.body.contains("claviger unlock"), "{locked:?}");
    home.unlock().good();
    assert_eq!(with_token(&alive).status, 200);
    let file = alive["token_file"].as_str().expect("a file").to_owned();
    home.run(&["agent", "stop"], "").good();
    wait_closed(&alive);
    assert!(!Path::new(&file).exists(), "a stop leaves no token behind");
}

#[test]
fn token_files_of_an_agent_that_was_killed_are_swept() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    let endpoint = open(&home, "container");
    let file = endpoint["token_file"].as_str().expect("a file").to_owned();
    home.kill_agent();
    assert!(Path::new(&file).exists());
    home.write("run/endpoint.txt", "not ours");
    home.run(&["agent", "start"], "").good();
    assert!(!Path::new(&file).exists() && home.file("run/endpoint.txt").exists());
    wait_closed(&endpoint);
}

#[test]
fn imds_speaks_version_2_alone() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    let endpoint = open(&home, "imds");
    assert_eq!(endpoint["url"], format!("http://127.0.0.1:{}/", port(&endpoint)));
    assert!(endpoint["token"].is_null() && endpoint["token_file"].is_null());
    const TTL: &str = "X-aws-ec2-metadata-token-ttl-seconds";
    const TOKEN: &str = "X-aws-ec2-metadata-token";
    let ask = |method: &str, path: &str, headers: &[(&str, &str)]| {
        raw(&endpoint, request(&endpoint, method, path, headers).as_bytes())
    };
    for bad in [&[][..], &[(TTL, "0")], &[(TTL, "21601")], &[(TTL, "x")], &[(TTL, "-1")], &[(TTL, "60"), (TTL, "60")]] {
        assert_eq!(ask("PUT", "/latest/api/token", bad).status, 400, "{bad:?}");
    }
    let relayed = ask("PUT", "/latest/api/token", &[(TTL, "60"), ("X-Forwarded-For", "10.0.0.1")]);
    assert_eq!(relayed.status, 403);
    let put = ask("PUT", "/latest/api/token", &[(TTL, "21600"), ("Content-Length", "0")]);
    assert_eq!((put.status, put.header(&TTL.to_lowercase())), (200, Some("21600")));
    let token = put.body;
    let pages = [
        ("/latest/meta-data/iam/security-credentials/", "prod"),
        ("/latest/meta-data/placement/region", "eu-central-1"),
        ("/latest/meta-data/placement/availability-zone", "eu-central-1a"),
        ("/latest/meta-data/placement/availability-zone/", "eu-central-1a"),
        ("/latest/dynamic/instance-identity/document", r#"{"region":"eu-central-1"}"#),
    ];
    for (path, body) in pages {
        for none in [&[][..], &[(TOKEN, "")], &[(TOKEN, "x")], &[(TOKEN, &token), (TOKEN, &token)]] {
            assert_eq!(ask("GET", path, none).status, 401, "{path}: version 1 is not served");
        }
        let page = ask("GET", path, &[(TOKEN, &token)]);
        assert_eq!((page.status, page.body.as_str()), (200, body), "{path}");
    }
    let role = "/latest/meta-data/iam/security-credentials/prod";
    assert_eq!(ask("GET", role, &[]).status, 401);
    let said: Value = serde_json::from_str(&ask("GET", role, &[(TOKEN, &token)]).body).expect("JSON");
    let keys: Vec<&str> = said.as_object().expect("an object").keys().map(String::as_str).collect();
    let wanted = ["AccessKeyId", "Code", "Expiration", "LastUpdated", "SecretAccessKey", "Token", "Type"];
    assert_eq!((keys, &said["Code"], &said["Type"]), (wanted.to_vec(), &json!("Success"), &json!("AWS-HMAC")));
    for (method, path, status) in [
        ("GET", "/latest/meta-data/iam/security-credentials/plain", 404),
        ("GET", "/latest/meta-data/iam/security-credentials-extended/", 404),
        ("GET", "/latest/meta-data/iam/security-credentials-extended/prod", 404),
        ("GET", "/latest/meta-data/", 404),
        ("GET", "/latest/user-data", 404),
        ("GET", "/2021-03-23/meta-data/placement/region", 404),
        ("GET", "/latest/api/token", 405),
        ("PUT", role, 405),
        ("POST", "/latest/api/token", 405),
        ("DELETE", role, 405),
        ("OPTIONS", role, 405),
    ] {
        assert_eq!(ask(method, path, &[(TOKEN, &token), (TTL, "60")]).status, status, "{method} {path}");
    }
    for _ in 0..64 {
        assert_eq!(ask("PUT", "/latest/api/token", &[(TTL, "60")]).status, 200);
    }
    assert_eq!(ask("GET", role, &[(TOKEN, &token)]).status, 401, "the oldest token made room");
    home.run(&["lock"], "").good();
    let token = ask("PUT", "/latest/api/token", &[(TTL, "60")]).body;
    let locked = ask("GET", role, &[(TOKEN, &token)]);
    assert!(locked.status == 403 && locked.body.contains("vault.locked"), "{locked:?}");
}
