//! A real sshd behind an instance: it lets in whom a pushed key names, for a minute of the double's clock.

use crate::common::{Rig, demo, signed};
use bytes::Bytes;
use http::Request;
use serde_json::json;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use tokio::net::TcpListener;

const WEB: &str = "i-0a11ce0000000001a";

/// sshd on the loopback, which asks the double whom to let in; ends with the test.
struct Host {
    sshd: Child,
    port: u16,
    folder: PathBuf,
    user: String,
}

impl Host {
    fn start(endpoint: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("claviger-sandbox-{}-login", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        // Where sshd shuts itself in; made at boot where sshd is a service.
        if rustix::process::geteuid().is_root() {
            std::fs::create_dir_all("/run/sshd").unwrap();
        }
        let user = String::from_utf8(plain("id").arg("-un").output().unwrap().stdout).unwrap().trim().to_owned();
        for name in ["host", "own"] {
            let words = ["-q", "-t", "ed25519", "-N", "", "-C", "somebody", "-f"];
            assert!(plain("ssh-keygen").args(words).arg(folder.join(name)).status().unwrap().success());
        }
        // Between a free port and its use another may take it.
        let (sshd, port) = (0..20).find_map(|_| listen(&folder, endpoint, &user)).expect("sshd on a free port");
        Self { sshd, port, folder, user }
    }

    /// A login with the key `own`, and nothing else.
    async fn login(&self) -> Output {
        let mut ssh = plain("timeout");
        ssh.args(["60", "ssh", "-F", "none", "-p", &self.port.to_string(), "-l", &self.user, "-i"])
            .arg(self.folder.join("own"));
        for option in
            ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "IdentitiesOnly=yes", "BatchMode=yes"]
        {
            ssh.args(["-o", option]);
        }
        ssh.args(["-o", "LogLevel=ERROR", "127.0.0.1", "echo inside"]).stdin(Stdio::null());
        tokio::task::spawn_blocking(move || ssh.output().unwrap()).await.unwrap()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = (self.sshd.kill(), self.sshd.wait());
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn plain(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/bin").env("LC_ALL", "C").env("HOME", "/nonexistent");
    command
}

fn listen(folder: &Path, endpoint: &str, user: &str) -> Option<(Child, u16)> {
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).unwrap().port();
    let host_key = folder.join("host");
    // sshd wants the program of the command to be root's, and so are the folders above it: env is, a build may not be.
    let config = format!(
        "ListenAddress 127.0.0.1:{port}\nHostKey {}\nPidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nAuthorizedKeysFile none\nAuthorizedKeysCommandUser {user}\n\
         AuthorizedKeysCommand /usr/bin/env {} pushed-keys {endpoint} {WEB} %u\n",
        host_key.display(),
        env!("CARGO_BIN_EXE_claviger-sandbox"),
    );
    let file = folder.join("sshd_config");
    std::fs::write(&file, config).unwrap();
    let mut command = plain("/usr/sbin/sshd");
    command.args(["-D", "-e", "-f"]).arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("sshd: apt-get install openssh-server");
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let (mut line, mut words) = (String::new(), String::new());
    while said.read_line(&mut line).unwrap() > 0 {
        if line.contains("Server listening on") {
            std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
            return Some((child, port));
        }
        words.push_str(&line);
        line.clear();
    }
    let _ = child.wait();
    assert!(words.contains("Address already in use"), "sshd: {words}");
    None
}

fn push(rig: &Rig, user: &str, line: &str) {
    let body = json!({"InstanceId": WEB, "InstanceOSUser": user, "SSHPublicKey": line}).to_string();
    let request = Request::post("/")
        .header("host", "127.0.0.1:4000")
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", "AWSEC2InstanceConnectService.SendSSHPublicKey")
        .body(Bytes::from(body))
        .unwrap();
    let reply = rig.sandbox.handle(signed(&rig.ada(), "ec2-instance-connect", "us-east-1", rig.now(), request));
    assert_eq!(reply.status().as_u16(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pushed_key_logs_in_for_a_minute() {
    let rig = demo();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(claviger_sandbox::serve(listener, rig.sandbox.clone()));
    let host = Host::start(&endpoint);
    assert!(rig.sandbox.set_ssh_port(WEB, host.port));
    assert_eq!(rig.sandbox.instances()[0].ssh_port, Some(host.port));
    let line = std::fs::read_to_string(host.folder.join("own.pub")).unwrap();
    let inside = |done: &Output| String::from_utf8_lossy(&done.stdout) == "inside\n" && done.status.success();
    let refused = |done: &Output| String::from_utf8_lossy(&done.stderr).contains("Permission denied");

    let done = host.login().await;
    assert!(refused(&done), "{done:?}");
    push(&rig, "somebody-else", &line);
    assert!(refused(&host.login().await));
    push(&rig, &host.user, &line);
    for _ in 0..2 {
        let done = host.login().await;
        assert!(inside(&done), "{done:?}");
    }
    rig.wait(60);
    assert!(refused(&host.login().await));
    push(&rig, &host.user, &line);
    assert!(inside(&host.login().await));
}

#[test]
fn what_sshd_asks_fails_loudly() {
    let ask = |words: &[&str]| plain(env!("CARGO_BIN_EXE_claviger-sandbox")).args(words).output().unwrap();
    for words in [
        &["pushed-keys"][..],
        &["pushed-keys", "127.0.0.1:1", WEB, "ada"],
        &["pushed-keys", "http://127.0.0.1:1", WEB, "ada"],
    ] {
        let done = ask(words);
        assert_eq!((done.status.code(), done.stdout.len()), (Some(2), 0), "{words:?}");
        assert!(String::from_utf8_lossy(&done.stderr).starts_with("claviger-sandbox: "), "{words:?}");
    }
}
