//! What other processes get from the agent: nothing. It runs as an ordinary user, its attackers as the same and as
//! another. Only root can set that up.

use crate::home::{Agent, Home, PASSPHRASE, program, run};
use crate::raw::Raw;
use crate::wire::Wire;
use claviger_agent::testing::figure;
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

pub(crate) const USER: u32 = 4321;
const OTHER: u32 = 4322;
const PYTHON: &str = "/usr/bin/python3";
const SCRIPT: &str = include_str!("attack.py");
/// The ways that the script tries.
pub(crate) const WAYS: usize = 21;
/// Those that reading alone allows: Yama may refuse the others to any process that is no parent.
const READING: [&str; 8] = ["auxv", "descriptors", "environ", "exe", "fdinfo", "io", "maps", "smaps"];

/// A command as a user without privileges, in a folder of theirs.
pub(crate) fn as_user(home: &Home, user: u32, program: &Path) -> Command {
    let root = rustix::process::geteuid().is_root();
    assert!(root, "these attacks need two users, and only root can become them: run this test as root, as CI does");
    let mut command = Command::new("/usr/bin/setpriv");
    let id = user.to_string();
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]);
    command.arg("--no-new-privs").arg(program).env_clear();
    command.env("CLAVIGER_HOME", home.path()).env("PATH", "/usr/bin:/bin").current_dir(home.path());
    command
}

/// A home of [`USER`], with programs that they can run.
pub(crate) fn ordinary() -> Home {
    let home = Home::new();
    let bin = home.file("bin");
    fs::create_dir(&bin).expect("a folder");
    for name in ["claviger", "claviger-agent"] {
        fs::copy(program(name), bin.join(name)).expect("a copy");
    }
    for path in [home.path().to_owned(), home.file("config"), home.file("config/config.toml")] {
        chown(path, Some(USER), Some(USER)).expect("chown");
    }
    let who = as_user(&home, USER, "/bin/sh".as_ref())
        .args(["-c", "id -u; grep CapEff /proc/self/status"])
        .output()
        .expect("a shell");
    assert_eq!(String::from_utf8_lossy(&who.stdout), format!("{USER}\nCapEff:\t0000000000000000\n"));
    home
}

/// An agent of [`USER`]; with `without` the one that these defences can be left out of.
pub(crate) fn agent(home: &Home, without: Option<&str>) -> Agent {
    let name = if without.is_some() { weak(home) } else { "bin/claviger-agent" };
    let mut command = as_user(home, USER, &home.file(name));
    command.env("CLAVIGER_WITHOUT", without.unwrap_or_default());
    let mut agent = Agent::spawn(command.args(["run", "--detached"]).stderr(Stdio::null()));
    assert_eq!(agent.word(), "ready");
    agent
}

/// Where the agent is that defences can be left out of.
fn weak(home: &Home) -> &'static str {
    let place = "bin/claviger-agent-weak";
    if !home.file(place).exists() {
        crate::installed::copy(&program("claviger-agent-weak"), &home.file(place), 0o755);
    }
    place
}

pub(crate) fn client(home: &Home, arguments: &[&str], stdin: &str) -> crate::home::Ended {
    run(as_user(home, USER, &home.file("bin/claviger")).args(arguments), stdin)
}

pub(crate) fn attack(home: &Home, user: u32, pid: u32) -> Vec<(String, bool)> {
    let mut command = as_user(home, user, PYTHON.as_ref());
    let ended = run(command.args(["-c", SCRIPT, &pid.to_string()]), "");
    let said: Value = serde_json::from_str(&ended.good()).expect("JSON");
    let ways = said.as_object().expect("ways").iter();
    ways.map(|(way, success)| (way.clone(), success.as_bool().expect("a truth"))).collect()
}

fn helper(home: &Home) -> Child {
    let mut command = as_user(home, USER, PYTHON.as_ref());
    command.args(["-c", SCRIPT, "helper"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut helper = command.spawn().expect("a helper");
    let mut line = String::new();
    BufReader::new(helper.stdout.take().expect("stdout")).read_line(&mut line).expect("a line");
    assert_eq!(line, "ready\n");
    helper
}

#[test]
fn no_process_of_this_user_or_another_reads_the_agent() {
    let home = ordinary();
    let agent = agent(&home, None);
    client(&home, &["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    let mut helper = helper(&home);
    let weak = attack(&home, USER, helper.id());
    assert!(weak.len() == WAYS && weak.iter().all(|(_, success)| *success), "the control: {weak:?}");
    for user in [USER, OTHER] {
        let strong = attack(&home, user, agent.pid().cast_unsigned());
        assert!(strong.iter().all(|(_, success)| !success), "user {user}: {strong:?}");
    }
    drop(helper.stdin.take());
    helper.wait().expect("its end");
    let said = fs::read_to_string(format!("/proc/{}/cmdline", agent.pid())).expect("its arguments");
    assert!(said.ends_with("claviger-agent\0run\0--detached\0"), "{said:?}");
    let status = fs::read_to_string(format!("/proc/{}/status", agent.pid())).expect("its status");
    assert!(status.contains(&format!("Uid:\t{USER}\t{USER}\t{USER}\t{USER}\n")), "the agent is an ordinary user");
}

#[test]
fn without_its_defence_the_agent_is_read() {
    let home = ordinary();
    let agent = agent(&home, Some("not-dumpable"));
    let ways = attack(&home, USER, agent.pid().cast_unsigned());
    let read = |way: &str| ways.iter().any(|(name, success)| name == way && *success);
    assert!(READING.into_iter().all(read), "its own user looks into it: {ways:?}");
    let ways = attack(&home, OTHER, agent.pid().cast_unsigned());
    assert!(ways.iter().all(|(_, success)| !success), "the kernel keeps another user out all the same: {ways:?}");
}

#[test]
fn each_of_two_defences_keeps_it_from_dumping_core() {
    let home = ordinary();
    let line = format!("ulimit -c unlimited; exec {} run --detached", weak(&home));
    for (without, dumps) in [("core-limit,not-dumpable", true), ("core-limit", false), ("not-dumpable", false)] {
        let mut shell = as_user(&home, USER, "/bin/sh".as_ref());
        shell.args(["-c", &line]).env("CLAVIGER_WITHOUT", without).stderr(Stdio::null());
        let mut agent = Agent::spawn(&mut shell);
        assert_eq!(agent.word(), "ready");
        // As a panic of a release build ends it.
        crate::home::signal_to(agent.pid(), Signal::ABORT);
        let end = agent.wait();
        assert_eq!((end.signal(), end.core_dumped()), (Some(Signal::ABORT.as_raw()), dumps), "without {without}");
    }
}

#[test]
fn another_user_reads_none_of_the_files() {
    let home = ordinary();
    let _agent = agent(&home, None);
    client(&home, &["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    let add = ["access-key", "add", "dev", "--stdin", "--no-verify"];
    client(&home, &add, "AKIAIOSFODNN7EXAMPLE\nwJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n").good();
    let script = "import os, sys\nread = 0\nfor path in sys.argv[1:]:\n try:\n  os.open(path, os.O_RDONLY | os.O_NONBLOCK)\n  read += 1\n\x20except OSError:\n  pass\nprint(read)";
    let (mut folders, mut files) = (Vec::new(), Vec::new());
    let mut waiting = vec![home.file("data"), home.file("run")];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").flatten() {
            let kind = entry.file_type().expect("a kind");
            if kind.is_dir() {
                waiting.push(entry.path())
            } else if kind.is_file() {
                files.push(entry.path())
            }
        }
        folders.push(folder);
    }
    let reads = |user: u32| {
        let mut command = as_user(&home, user, PYTHON.as_ref());
        let read = run(command.args(["-c", script]).args(&folders).args(&files), "").good();
        read.trim().parse::<usize>().expect("a number")
    };
    assert!(files.len() >= 6, "lock, log, vault, previous vault, state and record: {files:?}");
    assert_eq!(reads(USER), folders.len() + files.len(), "the control");
    assert_eq!(reads(OTHER), 0);
    // Each file keeps its own door, should somebody open the folders.
    home.set_mode("", 0o755);
    for folder in &folders {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("chmod");
    }
    assert_eq!(reads(OTHER), folders.len(), "the folders alone");
    figure("files and folders of claviger that another user could read", 0);
    figure("files and folders that they tried", folders.len() + files.len());
}

#[test]
fn no_signal_makes_it_dump_core() {
    let home = ordinary();
    for signal in [Signal::SEGV, Signal::ABORT, Signal::QUIT] {
        // A background job of a shell is born deaf to SIGQUIT, and passes that on.
        let shell = || {
            let mut shell = as_user(&home, USER, "/usr/bin/env".as_ref());
            shell.args(["--default-signal", "/bin/sh", "-c"]);
            shell
        };
        let mut weak = shell();
        weak.arg(format!("ulimit -c unlimited; kill -{} $$", signal.as_raw()));
        let weak = weak.status().expect("its end");
        assert!(weak.core_dumped(), "the control dumps core on {signal:?}: {weak:?}");
        let mut strong = shell();
        strong.arg("ulimit -c unlimited; exec bin/claviger-agent run --detached").stderr(Stdio::null());
        let mut strong = Agent::spawn(&mut strong);
        assert_eq!(strong.word(), "ready");
        // More than once: the runtime takes the first SIGSEGV for a full stack of its own, and finds that it is none.
        let end = loop {
            crate::home::signal_to(strong.pid(), signal);
            match strong.ended() {
                Some(end) => break end,
                None => std::thread::yield_now(),
            }
        };
        assert!(end.signal().is_some() && !end.core_dumped(), "{signal:?}: {end:?}");
    }
}

#[test]
fn files_are_private_whatever_the_umask() {
    let home = ordinary();
    let mut shell = as_user(&home, USER, "/bin/sh".as_ref());
    shell.args(["-c", "umask 000; exec bin/claviger-agent run --detached"]).stderr(Stdio::null());
    let mut agent = Agent::spawn(&mut shell);
    assert_eq!(agent.word(), "ready");
    client(&home, &["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    client(
        &home,
        &["access-key", "add", "dev", "--stdin", "--no-verify"],
        "AKIAIOSFODNN7EXAMPLE\nwJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n",
    )
    .good();
    let mut seen = 0;
    let vault = fs::read_dir(home.file("data/audit")).expect("a folder").flatten().next().expect("a vault's record");
    let record = format!("data/audit/{}", vault.file_name().display());
    for folder in ["data", "data/audit", &record, "run"] {
        let mode = |path: &Path| fs::symlink_metadata(path).expect("a file").permissions().mode() & 0o7777;
        assert_eq!(mode(&home.file(folder)), 0o700, "{folder}");
        for entry in fs::read_dir(home.file(folder)).expect("a folder").flatten() {
            assert_eq!(entry.metadata().expect("a file").uid(), USER);
            if entry.path().is_dir() {
                continue;
            }
            assert_eq!(mode(&entry.path()), 0o600, "{:?}", entry.path());
            seen += 1;
        }
    }
    assert!(seen >= 7, "lock, log, vault, previous vault, state, record and socket: {seen}");
    drop(agent);
    let mut shell = as_user(&home, USER, "/bin/sh".as_ref());
    shell.args(["-c", &format!("umask 000; exec {} run --detached", weak(&home))]).env("CLAVIGER_WITHOUT", "umask");
    let mut open = Agent::spawn(shell.stderr(Stdio::null()));
    assert_eq!(open.word(), "ready");
    let socket = fs::symlink_metadata(home.file("run/agent.sock")).expect("a socket").permissions();
    assert_eq!(socket.mode() & 0o777, 0o777, "the control: without a mask of its own it is anybody's");
}

#[test]
fn another_user_is_not_answered_even_where_the_doors_stand_open() {
    let home = ordinary();
    let agent = agent(&home, None);
    let knock = |user: u32| {
        let script = "import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.settimeout(100)\n\
                      try:\n s.connect('run/agent.sock')\nexcept OSError:\n print('no way in'); sys.exit()\n\
                      try:\n s.sendall(b'{\"id\":1,\"hello\":{\"protocol\":1,\"client\":\"x\"}}\\n{\"id\":2,\"request\":{\"status\":{}}}\\n')\n print(len(s.recv(4096)))\n\
                      except OSError:\n print(0)";
        run(as_user(&home, user, PYTHON.as_ref()).args(["-c", script]), "").good()
    };
    assert_ne!(knock(USER), "0\n", "the control is answered");
    assert_eq!(knock(OTHER), "no way in\n");
    home.set_mode("", 0o755);
    home.set_mode("run", 0o711);
    home.set_mode("run/agent.sock", 0o666);
    assert_eq!(knock(OTHER), "0\n");
    let mut root = Wire::silent(&home.file("run/agent.sock"));
    let _ = std::io::Write::write_all(root.0.get_mut(), b"{\"id\":1,\"hello\":{\"protocol\":1,\"client\":\"x\"}}\n");
    root.ended();
    assert_ne!(knock(USER), "0\n", "and its own user still is");
    drop(agent);
    home.set_mode("run", 0o700);
    let _weak = self::agent(&home, Some("peer-check"));
    home.set_mode("run", 0o711);
    home.set_mode("run/agent.sock", 0o666);
    assert!(!["0\n", "no way in\n"].contains(&knock(OTHER).as_str()), "the control: who checks nobody answers all");
}

#[test]
fn another_user_has_no_use_of_the_ssh_agent_even_where_its_door_stands_open() {
    let home = ordinary();
    let _agent = agent(&home, None);
    let knock = |user: u32| {
        let script = "import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.settimeout(100)\n\
                      try:\n s.connect('run/ssh.sock')\nexcept OSError:\n print('no way in'); sys.exit()\n\
                      try:\n s.sendall(b'\\0\\0\\0\\1\\x0b')\n print(len(s.recv(4096)))\n\
                      except OSError:\n print(0)";
        run(as_user(&home, user, PYTHON.as_ref()).args(["-c", script]), "").good()
    };
    // A length and the list of no keys.
    assert_eq!((knock(USER).as_str(), knock(OTHER).as_str()), ("9\n", "no way in\n"), "the control is answered");
    home.set_mode("", 0o755);
    home.set_mode("run", 0o711);
    home.set_mode("run/ssh.sock", 0o666);
    assert_eq!((knock(OTHER).as_str(), knock(USER).as_str()), ("0\n", "9\n"));
    // Root could read the keys anyway, and sudo keeps SSH_AUTH_SOCK.
    assert_eq!(Raw::connect(&home.file("run/ssh.sock")).count(), 0);
}

#[test]
fn the_environment_of_whoever_started_it_steers_nothing() {
    use crate::sandbox::Sandbox;
    let sandbox = Sandbox::start();
    let trap = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    trap.set_nonblocking(true).expect("a listener");
    let proxy = format!("http://{}", trap.local_addr().expect("an address"));
    let home = Home::at(&sandbox);
    let mut command = home.agent_command();
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        command.env(name, &proxy);
    }
    command.env("AWS_ENDPOINT_URL", &proxy).env("AWS_ENDPOINT_URL_STS", &proxy).env("AWS_PROFILE", "canary");
    command.env("AWS_ACCESS_KEY_ID", "AKIACANARYCANARYCAN1").env("AWS_SECRET_ACCESS_KEY", "canary");
    command.env("SSL_CERT_FILE", "/dev/null").env("SSL_CERT_DIR", "/nonexistent");
    command.env("AWS_CONFIG_FILE", "/nonexistent").env("RUST_LOG", "trace").env("TMPDIR", "/nonexistent");
    let mut agent = Agent::spawn(&mut command);
    assert_eq!(agent.word(), "ready");
    home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    home.run(&["access-key", "add", "dev", "--stdin"], &sandbox.access_key()).good();
    home.run(&["mfa", "add", "--for", "dev", "--seed-stdin"], sandbox.text("mfa_seed")).good();
    home.run(&["process", "prod"], "").good();
    assert!(trap.accept().is_err(), "nobody came to the trap");
    let log = home.log();
    assert!(!log.contains("canary") && !log.contains("CANARY") && !log.contains("TRACE"), "{log}");
    for secret in ["secret_access_key", "mfa_seed"] {
        assert!(!log.contains(sandbox.text(secret)), "{secret} is in the log");
    }
}
