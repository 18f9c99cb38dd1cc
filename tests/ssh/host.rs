//! sshd on the loopback, as whoever runs the tests, and how clients find it.

use crate::agent::plain;
use crate::stage::Stage;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

/// A host. It ends with the test.
pub(crate) struct Host(Child);

impl Host {
    /// Starts a host of this name, which lets in whom `authorized` says. Its key is in `known_hosts`, and `config` knows
    /// its name.
    pub(crate) fn start(stage: &Stage, name: &str, authorized: &str) -> Self {
        // Where sshd shuts itself in; made at boot where sshd is a service.
        if rustix::process::geteuid().is_root() {
            fs::create_dir_all("/run/sshd").expect("/run/sshd");
        }
        stage.key(&format!("host_{name}"), "ed25519", "256");
        stage.write(&format!("authorized_{name}"), authorized);
        let known = format!("{}{name} {}\n", stage.read("known_hosts"), stage.public(&format!("host_{name}")));
        stage.write("known_hosts", &known);
        // Between a free port and its use another may take it.
        let (child, port) = (0..20).find_map(|_| listen(stage, name)).expect("sshd on a free port");
        let hosts = format!("{}Host {name}\n HostKeyAlias {name}\n Port {port}\n", stage.read("hosts"));
        stage.write("hosts", &hosts);
        let all = format!(
            "Host *\n HostName 127.0.0.1\n User {}\n UserKnownHostsFile {}\n GlobalKnownHostsFile none\n BatchMode yes\n \
             StrictHostKeyChecking yes\n IdentityFile none\n ControlMaster no\n LogLevel ERROR\n",
            user(stage),
            stage.path("known_hosts"),
        );
        stage.write("config", &format!("{hosts}{all}"));
        Self(child)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whoever runs the tests.
pub(crate) fn user(stage: &Stage) -> String {
    stage.run(&["id", "-un"]).good().trim().to_owned()
}

/// What a host tells of how it let someone in: method, key type and key.
pub(crate) const HOW: &str = "cat \"$SSH_USER_AUTH\"";

/// Logs in to a host with these options, and runs a command there.
pub(crate) fn ssh<'a>(stage: &'a Stage, options: &[&'a str], host: &'a str, command: &'a str) -> crate::stage::Ended {
    let config = stage.path("config");
    stage.run(&[&["ssh", "-F", config.as_str()], options, &[host, command]].concat())
}

fn listen(stage: &Stage, name: &str) -> Option<(Child, u16)> {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
    let path = |file: &str| stage.path(&format!("{file}_{name}"));
    let config = format!(
        "ListenAddress 127.0.0.1:{port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\nUsePAM no\n\
         PasswordAuthentication no\nKbdInteractiveAuthentication no\nPubkeyAcceptedAlgorithms +ssh-rsa\n\
         ExposeAuthInfo yes\nPermitUserRC no\nPrintLastLog no\nMaxAuthTries 30\nSubsystem sftp internal-sftp\n",
        path("host"),
        path("authorized"),
    );
    let file = path("sshd");
    // Newer servers let clients that are refused often wait.
    stage.write(&format!("sshd_{name}"), &format!("{config}PerSourcePenalties no\n"));
    if stage.run(&["/usr/sbin/sshd", "-t", "-f", &file]).exit != Some(0) {
        stage.write(&format!("sshd_{name}"), &config);
    }
    let mut command = Command::new("/usr/sbin/sshd");
    plain(&mut command, &stage.file(""));
    command.args(["-D", "-e", "-f", &file]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("sshd");
    let mut said = BufReader::new(child.stderr.take().expect("stderr"));
    let (mut line, mut words) = (String::new(), String::new());
    while said.read_line(&mut line).expect("a line") > 0 {
        if line.contains("Server listening on") {
            let mut log = File::create(path("log")).expect("a log");
            // It must be able to say more.
            std::thread::spawn(move || std::io::copy(&mut said, &mut log));
            return Some((child, port));
        }
        words.push_str(&line);
        line.clear();
    }
    let _ = child.wait();
    assert!(words.contains("Address already in use"), "sshd: {words}");
    None
}
