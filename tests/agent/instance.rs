//! The sandbox's instance `web-1`, with a real sshd that lets in whom a pushed key names.

use crate::home::{program, run};
use crate::sandbox::Sandbox;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The id of `web-1`.
pub(crate) const WEB: &str = "i-0a11ce0000000001a";

/// The sshd of an instance, on the loopback: it asks the sandbox whom to let in.
pub(crate) struct Host {
    sshd: Child,
    port: u16,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) user: String,
}

impl Host {
    pub(crate) fn start(sandbox: &Sandbox) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        // Where sshd shuts itself in; made at boot where sshd is a service.
        if rustix::process::geteuid().is_root() {
            fs::create_dir_all("/run/sshd").expect("a folder of sshd");
        }
        let user = run(Command::new("id").arg("-un"), "").good().trim().to_owned();
        for (name, kind) in [("host", "ed25519"), ("other", "ed25519"), ("curve", "ecdsa")] {
            let key = folder.path().join(name);
            run(Command::new("ssh-keygen").args(["-q", "-t", kind, "-N", "", "-f"]).arg(key), "").good();
        }
        let listening = (0..20).find_map(|_| {
            let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).ok()?.port();
            Some((listen(folder.path(), "host", sandbox, &user, port)?, port))
        });
        let (sshd, port) = listening.expect("sshd on a free port");
        Self { sshd, port, folder, user }
    }

    /// The same address with another host key, as a machine in between would have it: `other`, or `curve`, of another
    /// type; `host` is the first one.
    pub(crate) fn replace(&mut self, sandbox: &Sandbox, host_key: &str) {
        let _ = (self.sshd.kill(), self.sshd.wait());
        self.sshd = listen(self.folder.path(), host_key, sandbox, &self.user, self.port).expect("the port is free");
    }

    pub(crate) fn port(&self) -> String {
        self.port.to_string()
    }

    pub(crate) fn at(&self, instance: &str) -> String {
        format!("{}@{instance}", self.user)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = (self.sshd.kill(), self.sshd.wait());
    }
}

/// None where the port is taken.
fn listen(folder: &Path, host_key: &str, sandbox: &Sandbox, user: &str, port: u16) -> Option<Child> {
    // sshd wants the program of the command to be root's, and so are the folders above it: env is, a build may not be.
    // Two tries: who offers more keys than the pushed one is refused.
    let config = format!(
        "ListenAddress 127.0.0.1:{port}\nHostKey {}\nPidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nAuthorizedKeysFile none\nAuthorizedKeysCommandUser {user}\nMaxAuthTries 2\n\
         Subsystem sftp internal-sftp\nAuthorizedKeysCommand /usr/bin/env {} pushed-keys {} {WEB} %u\n",
        folder.join(host_key).display(),
        program("claviger-sandbox").display(),
        sandbox.text("endpoint"),
    );
    let file = folder.join("sshd_config");
    fs::write(&file, config).expect("its file");
    let mut command = Command::new("/usr/sbin/sshd");
    command.args(["-D", "-e", "-f"]).arg(&file).env_clear().env("PATH", "/usr/sbin:/usr/bin:/bin");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("sshd: apt-get install openssh-server");
    let mut said = BufReader::new(child.stderr.take().expect("stderr"));
    let (mut line, mut words) = (String::new(), String::new());
    while said.read_line(&mut line).expect("a line") > 0 {
        if line.contains("Server listening on") {
            std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
            return Some(child);
        }
        words.push_str(&line);
        line.clear();
    }
    let _ = child.wait();
    assert!(words.contains("Address already in use"), "sshd: {words}");
    None
}
