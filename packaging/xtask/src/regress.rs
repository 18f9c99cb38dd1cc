//! OpenSSH's own regress scripts, as Debian's package `openssh-tests` installs them and unmodified, first on the system's
//! ssh-agent and then on ours. What the one passes, the other must; where the one fails, the other must fail no more.

use crate::run::{Failure, Outcome, make_folder, say, timed, write};
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The scripts that start an agent and load no library into it.
const SCRIPTS: [&str; 7] =
    ["agent", "agent-restrict", "agent-subprocess", "agent-timeout", "cert-file", "hostkey-agent", "sshsig"];

/// Where the package puts them.
const SUITE: &str = "/usr/lib/openssh/regress";
/// The control.
const STOCK: &str = "/usr/bin/ssh-agent";
/// Seconds after which a script hangs; the longest takes two minutes and a half.
const PATIENCE: &str = "900";

/// Runs the scripts on both agents, all at the same time: they mostly wait.
pub(crate) fn run(binaries: &Path) -> Outcome {
    let failures: Vec<String> = std::thread::scope(|scope| {
        let running = SCRIPTS.map(|name| scope.spawn(move || both(name, binaries)));
        let ended =
            running.map(|script| script.join().unwrap_or_else(|_| Err(Failure::new("a script's watcher panicked"))));
        ended.into_iter().filter_map(Result::err).map(|failure| failure.to_string()).collect()
    });
    if failures.is_empty() { Ok(()) } else { Err(Failure::new(failures.join("\n"))) }
}

/// One script on both agents.
fn both(name: &str, binaries: &Path) -> Outcome {
    // Without the script's name: it may be a word that the script greps its configuration for.
    let at = SCRIPTS.iter().position(|script| *script == name).unwrap_or_default();
    let folder = std::env::temp_dir().join(format!("claviger-regress-{}-{at}", std::process::id()));
    let ours = binaries.join("claviger-ssh-agent");
    let (stock, own) = std::thread::scope(|scope| {
        let stock = scope.spawn(|| play(name, STOCK.as_ref(), &folder.join("stock")));
        let own = play(name, &ours, &folder.join("own"));
        (stock.join().unwrap_or_else(|_| Err(Failure::new("the control panicked"))), own)
    });
    let verdict = judge(name, &stock?, &own?);
    if verdict.is_ok() {
        let _ = std::fs::remove_dir_all(&folder);
    }
    verdict.map_err(|failure| Failure::new(format!("{failure}\n  its logs are in {}", folder.display())))
}

/// How a script ended.
struct Played {
    passed: bool,
    /// What it says has failed.
    failed: BTreeSet<String>,
    /// Its last words.
    said: String,
    seconds: f64,
}

fn judge(name: &str, stock: &Played, own: &Played) -> Outcome {
    say(&format!("  {name}.sh: stock agent {:.0} s, ours {:.0} s", stock.seconds, own.seconds));
    for line in &stock.failed {
        say(&format!("  the stock agent fails: {line}"));
    }
    let more: Vec<&String> = own.failed.difference(&stock.failed).collect();
    // One that says nothing of what has failed has broken off.
    if own.passed || (more.is_empty() && !own.failed.is_empty()) {
        return Ok(());
    }
    let lines: String = more.iter().map(|line| format!("\n  {line}")).collect();
    Err(Failure::new(format!("{name}.sh fails with our agent, and not so with the stock one:{lines}\n{}", own.said)))
}

/// Plays a script with an agent in a folder made for it.
fn play(name: &str, agent: &Path, folder: &Path) -> Outcome<Played> {
    if !agent.is_file() {
        return Err(Failure::new(format!("{} is not there", agent.display())));
    }
    let prepared = prepare(agent, folder)?;
    let script = format!("{SUITE}/{name}.sh");
    let mut command = Command::new("timeout");
    command.args([PATIENCE, "sh", &format!("{SUITE}/test-exec.sh")]).arg(folder).arg(&script);
    // Nothing of the person's own; the scripts look for hosts and keys in their folder alone.
    command.env_clear().current_dir(folder).envs(prepared).stdin(Stdio::null());
    let (output, time) = timed(|| command.output());
    let output = output.map_err(Failure::from(&script))?;
    end_agents(folder, agent);
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let log = std::fs::read_to_string(folder.join("failed-regress.log")).unwrap_or_default();
    let tail = said.lines().rev().take(20).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n");
    Ok(Played {
        passed: output.status.success(),
        failed: failures(&log, folder),
        said: tail,
        seconds: time.as_secs_f64(),
    })
}

/// The folder, its programs, and the environment of a script.
fn prepare(agent: &Path, folder: &Path) -> Outcome<Vec<(&'static str, String)>> {
    let bin = folder.join("bin");
    make_folder(&bin)?;
    // An agent that is a script is small: some scripts sign their agent's program.
    program(&bin.join("ssh-agent"), &shim(agent, folder))?;
    program(&bin.join("ssh"), SSH)?;
    // What the scripts ask of it is whether there are security keys: these want a library loaded into the agent.
    write(&folder.join("config.h"), "#define HAVE_SO_PEERCRED 1\n")?;
    if Path::new("/proc/self").metadata().is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
        // Where sshd shuts itself in; made at boot where sshd is a service.
        make_folder(Path::new("/run/sshd"))?;
    }
    let path = |path: PathBuf| path.display().to_string();
    Ok(vec![
        ("PATH", format!("{}:/usr/bin:/bin:/usr/sbin:/sbin", bin.display())),
        ("HOME", path(folder.to_owned())),
        ("TMPDIR", path(folder.to_owned())),
        ("CLAVIGER_HOME", path(folder.join("claviger"))),
        ("BUILDDIR", path(folder.to_owned())),
        ("TEST_SHELL", "sh".to_owned()),
        ("TEST_SSH_SSH", path(bin.join("ssh"))),
        ("TEST_SSH_SSHAGENT", path(bin.join("ssh-agent"))),
        ("TEST_SSH_SSHD", "/usr/sbin/sshd".to_owned()),
        ("TEST_SSH_SFTPSERVER", "/usr/lib/openssh/sftp-server".to_owned()),
        ("TEST_SSH_UNSAFE_PERMISSIONS", "1".to_owned()),
    ])
}

/// ssh without the key types that the scripts are not to try: DSA, which OpenSSH itself has dropped since, and security
/// keys, which need a library. Both agents are put to the same scripts.
const SSH: &str = "#!/bin/sh
case \"$*\" in
    *'-Q key-'*) /usr/bin/ssh \"$@\" | grep -Ev '^(ssh-dss|sk-|webauthn-)' ;;
    *) exec /usr/bin/ssh \"$@\" ;;
esac
";

/// The agent; one that goes to the background is written down, for it may outlive a script that fails.
fn shim(agent: &Path, folder: &Path) -> String {
    format!(
        "#!/bin/sh\ncase \" $* \" in\n    *' -s '*) told=$('{agent}' \"$@\") || exit $?\n        printf '%s\\n' \"$told\" \
         | tee -a '{folder}/agents' ;;\n    *) exec '{agent}' \"$@\" ;;\nesac\n",
        agent = agent.display(),
        folder = folder.display()
    )
}

fn program(path: &Path, text: &str) -> Outcome {
    write(path, text)?;
    let done = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755));
    done.map_err(Failure::from(path.display()))
}

/// Ends what a script has left behind: processes that it started, and that still are that agent.
fn end_agents(folder: &Path, agent: &Path) {
    let told = std::fs::read_to_string(folder.join("agents")).unwrap_or_default();
    for pid in told.lines().filter_map(agent_pid) {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let own = agent.file_name().is_some_and(|name| is_running(&stat, &name.to_string_lossy()));
        if own {
            say(&format!("  an agent was left behind: {pid}"));
            let _ = Command::new("kill").arg(pid.to_string()).status();
        }
    }
}

/// Whether this is the `/proc/PID/stat` of a process of this program, of whose name the kernel keeps 15 bytes, that has
/// not ended and merely not been waited for.
fn is_running(stat: &str, program: &str) -> bool {
    let named = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(") "));
    named.is_some_and(|(name, state)| !name.is_empty() && program.starts_with(name) && !state.starts_with('Z'))
}

/// The process in a line that `ssh-agent -s` prints.
fn agent_pid(line: &str) -> Option<u32> {
    line.strip_prefix("SSH_AGENT_PID=")?.split(';').next()?.parse().ok()
}

/// What a script's log says has failed, without its folder.
fn failures(log: &str, folder: &Path) -> BTreeSet<String> {
    let lines = log.lines().filter(|line| line.starts_with("FAIL: ") || line.starts_with("FATAL: "));
    lines.map(|line| line.replace(&folder.display().to_string(), "FOLDER")).collect()
}

#[cfg(test)]
mod tests {
    use super::{Played, agent_pid, failures, is_running, judge};
    use std::path::Path;

    fn played(passed: bool, failed: &[&str]) -> Played {
        let failed = failed.iter().map(|line| (*line).to_owned()).collect();
        Played { passed, failed, said: String::new(), seconds: 1.0 }
    }

    #[test]
    fn ours_must_pass_what_the_stock_agent_passes_and_fail_no_more() {
        let holds = |stock: &Played, own: &Played| judge("x", stock, own).is_ok();
        assert!(holds(&played(true, &[]), &played(true, &[])));
        assert!(!holds(&played(true, &[]), &played(false, &["FAIL: a"])));
        assert!(holds(&played(false, &["FAIL: a"]), &played(true, &[])));
        assert!(holds(&played(false, &["FAIL: a", "FAIL: b"]), &played(false, &["FAIL: a"])));
        assert!(!holds(&played(false, &["FAIL: a"]), &played(false, &["FAIL: a", "FAIL: c"])));
        // It ended otherwise: a hang, a broken script.
        assert!(!holds(&played(true, &[]), &played(false, &[])));
        assert!(!holds(&played(false, &["FAIL: a"]), &played(false, &[])));
    }

    #[test]
    fn a_log_is_read() {
        let log = "trace: x\nFAIL: ssh with /tmp/x/key failed\ndebug\nFATAL: could not start\n";
        let found = failures(log, Path::new("/tmp/x"));
        assert_eq!(
            found.iter().map(String::as_str).collect::<Vec<_>>(),
            ["FAIL: ssh with FOLDER/key failed", "FATAL: could not start"]
        );
        assert_eq!(agent_pid("SSH_AGENT_PID=12; export SSH_AGENT_PID;"), Some(12));
        assert!(is_running("12 (claviger-ssh-ag) S 1 12", "claviger-ssh-agent"));
        assert!(!is_running("12 (claviger-ssh-ag) Z 1 12", "claviger-ssh-agent") && !is_running("", "ssh-agent"));
        assert!(!is_running("12 (bash) S 1 12", "ssh-agent"));
        assert_eq!(agent_pid("SSH_AUTH_SOCK=/tmp/s; export SSH_AUTH_SOCK;"), None);
    }
}
