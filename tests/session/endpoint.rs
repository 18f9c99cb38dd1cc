//! Endpoints over the office: sessions that end, locks, a network that hangs, and a planned restart. The sockets are
//! real, the clock is held by the test.

use crate::rig::{HOUR, MINUTE, Rig, rig};
use claviger::paths::Paths;
use claviger_agent::audit::Journal;
use claviger_agent::aws::AwsFiles;
use claviger_agent::config::ConfigSource;
use claviger_agent::keyring::{KeyStore, SecretService};
use claviger_agent::prompt::{Programs, Prompts};
use claviger_agent::server::listen::{Socket, Way};
use claviger_agent::server::succession::{Program, Succession};
use claviger_agent::server::{Rooms, Server, Settings};
use claviger_agent::testing;
use claviger_agent::vault::LockedBy;
use claviger_agent::world::SessionBus;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const PROFILES: &str = "\
[prod]
claviger_access_key = ada
role_arn = arn:aws:iam::123456789012:role/prod-admin
region = eu-central-1
";

/// A test that waits longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// An agent in this process.
pub(crate) struct Desk {
    pub(crate) rig: Rig,
    folder: TempDir,
    pub(crate) server: Arc<Server>,
}

impl Desk {
    fn new() -> Self {
        Self::with("")
    }

    /// With this config.toml.
    pub(crate) fn with(config: &str) -> Self {
        Self::beside(None, config)
    }

    /// The same with a keyring.
    pub(crate) fn beside(keyring: Option<Arc<dyn KeyStore>>, config: &str) -> Self {
        let rig = rig();
        rig.clock.hold();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.toml"), config).unwrap();
        std::fs::write(folder.path().join("profiles"), PROFILES).unwrap();
        let server = server(&rig, folder.path(), keyring);
        let paths = paths(folder.path());
        let socket = Socket::bind(Way::Control, &paths, &*testing::world(rig.clock.clone(), 1).disk).unwrap();
        let serving = server.clone();
        tokio::spawn(async move { socket.accept(serving, &paths).await });
        Self { rig, folder, server }
    }

    fn run_folder(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    /// What a request on a connection of its own is answered.
    pub(crate) async fn request(&self, request: Value) -> Value {
        let socket = self.run_folder().join("agent.sock");
        tokio::task::spawn_blocking(move || control(&socket, &request)).await.unwrap()
    }

    pub(crate) async fn open(&self, kind: &str) -> Value {
        let reply = self.request(json!({"endpoint_open": {"profile": "prod", "kind": kind, "wait": 60}})).await;
        assert!(reply["reply"]["endpoint"].is_object(), "{reply}");
        reply["reply"]["endpoint"].clone()
    }

    /// GetSessionToken, AssumeRole, codes.
    fn spent(&self) -> (usize, usize, usize) {
        let count = |action| self.rig.network.seen(action).len();
        (count("GetSessionToken"), count("AssumeRole"), self.rig.network.codes().len())
    }
}

fn paths(folder: &Path) -> Paths {
    Paths { config: folder.to_owned(), data: folder.to_owned(), run: vec![folder.join("run")], home: folder.to_owned() }
}

fn server(rig: &Rig, folder: &Path, keyring: Option<Arc<dyn KeyStore>>) -> Arc<Server> {
    let world = testing::world(rig.clock.clone(), 7);
    let files = AwsFiles::new(world.clone(), folder.join("none"), folder.join("none"), folder.join("profiles"));
    let run = vec![folder.join("run")];
    let source = ConfigSource::new(world.clone(), folder.join("config.toml"), folder.to_owned());
    let settings = Arc::new(Settings::read(source, rig.clock.clone()).unwrap());
    let journal = Journal::new(world.clone(), folder.join("record"), Box::new(|_, _| {}));
    let none = || Arc::new(SecretService::new(SessionBus::find(|_| None, u32::MAX), rig.clock.clone()));
    let keyring = keyring.unwrap_or_else(|| none());
    let lock = std::fs::File::create(folder.join("agent.lock")).unwrap();
    let succession = Succession::new(Program::as_started().unwrap(), lock, false);
    let (custody, office) = (rig.custody.clone(), rig.office.clone());
    let (home, prompts) = (folder.to_owned(), Prompts::new(world.clock.clone(), Programs::default()));
    let run_folders = run;
    let rooms = Rooms { settings, files, home, custody, office, keyring, journal, prompts, run_folders, succession };
    Server::new(world, rooms)
}

fn control(socket: &Path, request: &Value) -> Value {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let hello = json!({"id": 1, "hello": {"protocol": 1, "client": "test/0"}});
    let request = json!({"id": 2, "request": request});
    stream.write_all(format!("{hello}\n{request}\n").as_bytes()).unwrap();
    let lines = BufReader::new(stream).lines();
    let mut lines = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    lines.find(|line| line["id"] == 2 && line["event"].is_null()).expect("an answer")
}

/// Status and body of a request to an endpoint.
async fn ask(url: &str, method: &str, path: &str, header: (&str, &str)) -> (u16, String) {
    let address = url.strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned();
    let (name, value) = header;
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n{name}: {value}\r\n\r\n");
    let said = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        said
    });
    let said = said.await.unwrap();
    let (head, body) = said.split_once("\r\n\r\n").expect("an answer");
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

pub(crate) async fn get(endpoint: &Value) -> (u16, Value) {
    let (url, token) = (endpoint["url"].as_str().unwrap(), endpoint["token"].as_str().unwrap());
    let (status, body) = ask(url, "GET", "/credentials", ("Authorization", token)).await;
    (status, serde_json::from_str(&body).unwrap())
}

async fn key(endpoint: &Value) -> String {
    let (status, body) = get(endpoint).await;
    assert_eq!(status, 200, "{body}");
    body["AccessKeyId"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn it_serves_across_the_ends_of_role_sessions_for_one_code() {
    let desk = Desk::new();
    let endpoint = desk.open("container").await;
    let mut keys = vec![key(&endpoint).await];
    assert_eq!(desk.spent(), (1, 1, 1));
    for hour in 0..4 {
        desk.rig.clock.advance_millis(55 * MINUTE);
        keys.push(key(&endpoint).await);
        assert_eq!(desk.spent(), (1, hour + 2, 1));
    }
    keys.dedup();
    assert_eq!(keys.len(), 5, "each of them new");
}

#[tokio::test]
async fn an_sts_that_hangs_costs_a_second_and_a_half_and_the_last_credentials_serve() {
    let desk = Desk::new();
    let endpoint = desk.open("container").await;
    let first = key(&endpoint).await;
    desk.rig.clock.advance_millis(50 * MINUTE);
    desk.rig.network.close();
    let asked = tokio::spawn(async move { key(&endpoint).await });
    desk.rig.network.arrived(3).await;
    desk.rig.clock.advance_millis(1_500);
    assert_eq!(asked.await.unwrap(), first, "ten minutes are left");
}

#[tokio::test]
async fn credentials_that_have_ended_are_never_served() {
    let desk = Desk::new();
    let endpoint = desk.open("container").await;
    key(&endpoint).await;
    desk.rig.clock.advance_millis(HOUR);
    desk.rig.network.close();
    let again = endpoint.clone();
    let asked = tokio::spawn(async move { get(&again).await });
    desk.rig.network.arrived(3).await;
    desk.rig.clock.advance_millis(1_500);
    let (status, body) = asked.await.unwrap();
    assert_eq!((status, &body["code"]), (503, &json!("request.timed_out")), "{body}");
    desk.rig.network.open();
    key(&endpoint).await;
}

#[tokio::test]
async fn it_serves_on_after_the_idle_lock_and_not_after_the_others() {
    let desk = Desk::new();
    let endpoint = desk.open("container").await;
    let first = key(&endpoint).await;
    desk.rig.lock(LockedBy::Idle);
    assert_eq!(key(&endpoint).await, first);
    desk.rig.clock.advance_millis(55 * MINUTE);
    assert_ne!(key(&endpoint).await, first, "renewed with the session before it");
    assert_eq!(desk.spent(), (1, 2, 1));
    let locked = |(status, body): (u16, Value)| (status, &body["code"]) == (403, &json!("vault.locked"));
    desk.rig.clock.advance_millis(12 * HOUR);
    assert!(locked(get(&endpoint).await), "until that has ended too");
    // As the request does by which a person unlocks: the idle time begins anew.
    desk.request(json!({"access_key_list": {}})).await;
    desk.rig.unlock().unwrap();
    let next = key(&endpoint).await;
    desk.rig.lock(LockedBy::Command);
    assert!(locked(get(&endpoint).await));
    desk.rig.unlock().unwrap();
    assert_eq!(key(&endpoint).await, next);
    assert_eq!(desk.spent(), (2, 3, 2));
}

#[tokio::test]
async fn a_successor_goes_on_with_what_it_is_handed() {
    let desk = Desk::new();
    let (container, imds) = (desk.open("container").await, desk.open("imds").await);
    let first = key(&container).await;
    let url = imds["url"].as_str().unwrap();
    let ttl = ("X-aws-ec2-metadata-token-ttl-seconds", "60");
    let (_, metadata_token) = ask(url, "PUT", "/latest/api/token", ttl).await;
    let token = container["token"].as_str().unwrap();
    let wrong =
        async || ask(container["url"].as_str().unwrap(), "GET", "/credentials", ("Authorization", "no")).await.0;
    for _ in 0..10 {
        assert_eq!(wrong().await, 403);
    }

    let successor = server(&desk.rig, desk.folder.path(), None);
    let given = desk.server.endpoints.hand_over();
    assert_eq!((given.len(), desk.server.endpoints.hand_over().len()), (2, 0));
    for (listener, record) in &given {
        let listener = std::net::TcpListener::from(listener.try_clone().unwrap());
        listener.set_nonblocking(false).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (connection, _) = listener.accept().unwrap();
        assert_eq!(connection.ttl().unwrap(), 1, "no router passes on what it says");
        let record = String::from_utf8(record.to_vec()).unwrap();
        assert!(!record.contains(token) && !record.contains(&metadata_token), "digests alone");
    }
    assert_eq!(successor.endpoints.take_over(&successor, given), 2);
    let leftover = desk.run_folder().join("endpoint-00.token");
    std::fs::write(&leftover, "x").unwrap();
    successor.endpoints.sweep();
    assert!(!leftover.exists());
    let token_file = container["token_file"].as_str().unwrap();
    assert_eq!(std::fs::read_to_string(token_file).unwrap(), token);

    assert_eq!(key(&container).await, first);
    let region = ask(url, "GET", "/latest/meta-data/placement/region", ("X-aws-ec2-metadata-token", &metadata_token));
    assert_eq!(region.await, (200, "eu-central-1".to_owned()));
    for _ in 0..10 {
        assert_eq!(wrong().await, 403);
    }
    assert!(!Path::new(token_file).exists(), "the wrong tokens before and after count together");
    assert_eq!(successor.endpoints.hand_over().len(), 1);
}

#[tokio::test]
async fn what_is_handed_over_in_disorder_is_left_alone() {
    let desk = Desk::new();
    desk.open("container").await;
    let mut given = desk.server.endpoints.hand_over();
    given[0].1.truncate(20);
    assert_eq!(desk.server.endpoints.take_over(&desk.server, given), 0);
    let imds = desk.open("imds").await;
    let mut given = desk.server.endpoints.hand_over();
    let mut record: Value = serde_json::from_slice(&given[0].1).unwrap();
    record["started"] = json!(1);
    *given[0].1 = serde_json::to_vec(&record).unwrap();
    assert_eq!(desk.server.endpoints.take_over(&desk.server, given), 1);
    // Its process has ended: another has the number. Without linger it closes at once.
    let address = imds["url"].as_str().unwrap().trim_start_matches("http://").trim_end_matches('/').to_owned();
    crate::rig::until("closed", || TcpStream::connect(&address).is_err()).await;
}
