//! A login to OpenSSH's sshd on loopback, with a key that never was a file.

use crate::run::{Failure, Job, Outcome, make_folder, say, write};
use crate::stage::{Act, Stage};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const SSHD: &str = "/usr/sbin/sshd";

/// An sshd of the demo's own.
struct Sshd(Child);

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = (self.0.kill(), self.0.wait());
    }
}

/// Plays it. Passed over, in words, where OpenSSH's programs are not installed.
pub(super) fn play(stage: &Stage) -> Outcome {
    let there = ["ssh", "ssh-keygen", SSHD]
        .iter()
        .all(|program| Job::new(["sh", "-c", &format!("command -v {program}")]).succeeds());
    if !there {
        say("(OpenSSH's ssh and sshd are not installed: the login by SSH is left out.)");
        return Ok(());
    }
    let folder = stage.folder().join("ssh");
    make_folder(&folder)?;
    let act = Act::new("ssh-key new demo", "", "");
    say(&format!("$ {}", act.line()));
    let line = String::from_utf8_lossy(&act.play(stage)?.stdout).into_owned();
    say(&format!("  {}", line.trim_end()));
    write(&folder.join("authorized_keys"), &line)?;
    let (_sshd, port) = serve(&folder)?;

    let user = Job::new(["id", "-un"]).stdout()?;
    let target = format!("{}@127.0.0.1", user.trim());
    say("$ eval \"$(claviger ssh-agent env)\"");
    let socket = stage.home().join("run/ssh.sock");
    let words = ["-p", &port.to_string(), &target, "echo the key has let you in"].map(str::to_owned);
    say(&format!("$ ssh -p {port} {target} 'echo the key has let you in'"));
    let mut ssh = stage.command("/usr/bin/env");
    // Once a second, until it listens.
    ssh.arg("ssh").args(["-F", "none", "-o", "ConnectionAttempts=20", "-o", "BatchMode=yes"]);
    ssh.args(["-o", "StrictHostKeyChecking=accept-new", "-o"]);
    ssh.arg(format!("UserKnownHostsFile={}", folder.join("known_hosts").display())).args(words);
    let output = ssh.env("SSH_AUTH_SOCK", socket).stdin(Stdio::null()).output().map_err(Failure::from("ssh"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    say(&format!("  {}", said.trim_end()));
    if said.contains("the key has let you in") {
        return Ok(());
    }
    let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
    Err(Failure::new(format!("ssh did not log in\n{}\n{log}", String::from_utf8_lossy(&output.stderr))))
}

/// Starts an sshd for this user on a free port.
fn serve(folder: &Path) -> Outcome<(Sshd, u16)> {
    let host_key = folder.join("host_key");
    Job::new(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f"]).and([&host_key]).stdout()?;
    // Where sshd keeps its unprivileged child; the system's own start makes it.
    if Job::new(["id", "-u"]).stdout()?.trim() == "0" {
        make_folder(Path::new("/run/sshd"))?;
    }
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let port = free.map_err(Failure::from("no free port"))?.port();
    let lines = format!(
        "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\nStrictModes no\n\
         PasswordAuthentication no\nKbdInteractiveAuthentication no\n",
        host_key.display(),
        folder.join("authorized_keys").display()
    );
    let config = folder.join("sshd_config");
    write(&config, &lines)?;
    let sshd = Command::new(SSHD)
        .args(["-D", "-f"])
        .arg(&config)
        .arg("-E")
        .arg(folder.join("log"))
        .stdin(Stdio::null())
        .spawn()
        .map_err(Failure::from(SSHD))?;
    let sshd = Sshd(sshd);
    Ok((sshd, port))
}
