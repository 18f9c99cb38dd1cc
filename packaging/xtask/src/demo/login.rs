//! Logins to OpenSSH's sshd on loopback, with keys that never were a file: one that its file of keys names, and one that
//! an EC2 instance takes for a minute.

use crate::run::{Failure, Job, Outcome, make_folder, say, write};
use crate::stage::{Act, Stage};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const SSHD: &str = "/usr/sbin/sshd";
/// The sandbox's instance `web-1`.
const INSTANCE: &str = "i-0a11ce0000000001a";

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
    let keys = format!("AuthorizedKeysFile {}\n", folder.join("authorized_keys").display());
    let (_sshd, port) = serve(&folder, &keys)?;

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
    check(&folder, &said, "the key has let you in", &output.stderr)?;
    enter(stage, user.trim())
}

/// An instance of EC2: its sshd asks the sandbox which keys it takes at this moment.
fn enter(stage: &Stage, user: &str) -> Outcome {
    let folder = stage.folder().join("instance");
    make_folder(&folder)?;
    let url = &stage.cast().url;
    // sshd wants the program to be root's: env is.
    let keys = format!(
        "AuthorizedKeysFile none\nAuthorizedKeysCommandUser {user}\n\
         AuthorizedKeysCommand /usr/bin/env {} pushed-keys {url} {INSTANCE} %u\n",
        stage.program("claviger-sandbox").display()
    );
    let (_sshd, port) = serve(&folder, &keys)?;
    let acts = ["keypair create web --profile prod", "keypair list --profile prod"];
    super::show(stage, acts.iter().map(|words| Act::new(words, "", "")).collect())?;
    let (target, port) = (format!("{user}@web-1"), port.to_string());
    say(&format!("$ claviger ssh --profile prod --port {port} {target} -- echo inside web-1"));
    let words = ["ssh", "--profile", "prod", "--port", &port, &target, "--", "-F", "none", "-o", "BatchMode=yes"];
    let words = [&words[..], &["-o", "ConnectionAttempts=20", "echo", "inside", "web-1"]].concat();
    let output = stage.claviger(&words, "")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    say(&format!("  {}", said.trim_end()));
    check(&folder, &said, "inside web-1", &output.stderr)
}

/// Whether it was said from inside.
fn check(folder: &Path, said: &str, wanted: &str, stderr: &[u8]) -> Outcome {
    if said.contains(wanted) {
        return Ok(());
    }
    let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
    Err(Failure::new(format!("ssh did not log in\n{}\n{log}", String::from_utf8_lossy(stderr))))
}

/// Starts an sshd for this user on a free port, with these lines about keys.
fn serve(folder: &Path, keys: &str) -> Outcome<(Sshd, u16)> {
    let host_key = folder.join("host_key");
    Job::new(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f"]).and([&host_key]).stdout()?;
    // Where sshd keeps its unprivileged child; the system's own start makes it.
    if Job::new(["id", "-u"]).stdout()?.trim() == "0" {
        make_folder(Path::new("/run/sshd"))?;
    }
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let port = free.map_err(Failure::from("no free port"))?.port();
    let lines = format!(
        "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\n{keys}PidFile none\nUsePAM no\nStrictModes no\n\
         PasswordAuthentication no\nKbdInteractiveAuthentication no\n",
        host_key.display(),
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
