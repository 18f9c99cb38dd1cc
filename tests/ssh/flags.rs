//! What scripts do with ssh-agent itself.

use crate::agent::{Program, plain};
use crate::stage::{Ended, until};
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

on_both!(it_goes_to_the_background_and_is_killed, it_runs_a_command, a_path_is_taken_once, wrong_words_are_refused);

fn run(program: Program, folder: &TempDir, words: &[&str], variables: &[(&str, &str)]) -> Ended {
    let mut command = Command::new("timeout");
    command.arg("60").arg(program.path()).args(words);
    plain(&mut command, folder.path());
    command.envs(variables.iter().copied()).stdin(Stdio::null()).output().expect("its end").into()
}

fn list(folder: &TempDir, socket: &str) -> Option<i32> {
    let mut command = Command::new("ssh-add");
    plain(&mut command, folder.path());
    command.arg("-l").env("SSH_AUTH_SOCK", socket).output().expect("its end").status.code()
}

/// The word between two others.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no {before}: {text}"));
    rest.split_once(after).unwrap_or_else(|| panic!("no {after}: {text}")).0
}

/// A process that has ended may not have been waited for by whoever that is: then it is a zombie.
fn is_gone(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with('Z'))
}

fn it_goes_to_the_background_and_is_killed(program: Program) {
    for (option, socket, pid) in [
        ("-s", ["SSH_AUTH_SOCK=", "; export SSH_AUTH_SOCK;\n"], ["SSH_AGENT_PID=", "; export SSH_AGENT_PID;\n"]),
        ("-c", ["setenv SSH_AUTH_SOCK ", ";\n"], ["setenv SSH_AGENT_PID ", ";\n"]),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let told = run(program, &folder, &[option], &[]).good();
        let (socket, pid) = (between(&told, socket[0], socket[1]), between(&told, pid[0], pid[1]));
        assert!(told.ends_with(&format!("echo Agent pid {pid};\n")), "{told}");
        assert_eq!(list(&folder, socket), Some(1), "it serves, and has no identities");
        let told = run(program, &folder, &["-k", option], &[("SSH_AGENT_PID", pid), ("SSH_AUTH_SOCK", socket)]).good();
        let unset = if option == "-s" { "unset SSH_AUTH_SOCK;" } else { "unsetenv SSH_AUTH_SOCK;" };
        assert!(told.contains(unset) && told.ends_with(&format!("echo Agent pid {pid} killed;\n")), "{told}");
        until("it is gone", || is_gone(pid) && !Path::new(socket).exists());
        assert_eq!(list(&folder, socket), Some(2));
    }
    let folder = tempfile::tempdir().expect("a folder");
    run(program, &folder, &["-k"], &[]).bad();
}

fn it_runs_a_command(program: Program) {
    let folder = tempfile::tempdir().expect("a folder");
    let words = ["sh", "-c", "echo $SSH_AUTH_SOCK $SSH_AGENT_PID; ssh-add -l >&2; exit $((6 + $?))"];
    let ended = run(program, &folder, &words, &[]);
    assert_eq!(ended.exit, Some(7), "its exit code: {ended:?}");
    let (socket, pid) = ended.stdout.trim().split_once(' ').expect("both");
    // OpenSSH's looks every ten seconds whether its parent is there.
    until("it is gone", || is_gone(pid) && !Path::new(socket).exists());
    assert!(run(program, &folder, &["/no/such/program"], &[]).bad().contains("/no/such/program"));
}

fn a_path_is_taken_once(program: Program) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s").display().to_string();
    let told = run(program, &folder, &["-s", "-a", &path], &[]).good();
    let pid = between(&told, "SSH_AGENT_PID=", ";").to_owned();
    assert_eq!((between(&told, "SSH_AUTH_SOCK=", ";"), list(&folder, &path)), (path.as_str(), Some(1)));
    run(program, &folder, &["-s", "-a", &path], &[]).bad();
    assert_eq!(list(&folder, &path), Some(1), "the first one serves on");
    run(program, &folder, &["-k"], &[("SSH_AGENT_PID", &pid)]).good();
    until("it is gone", || is_gone(&pid));
}

fn wrong_words_are_refused(program: Program) {
    let folder = tempfile::tempdir().expect("a folder");
    for words in [&["-Y"][..], &["-t", "soon"], &["-E", "crc32"], &["-s", "-c"], &["-a"], &["-d", "-D"], &["-O", "x"]] {
        run(program, &folder, words, &[]).bad();
    }
}
