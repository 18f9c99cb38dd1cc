//! strace(1), attached to every thread of a process: what it calls, and calls that fail or kill.

use rustix::process::Signal;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// strace at work. Dropped, it lets the process go.
pub(crate) struct Strace {
    child: Child,
    told: PathBuf,
}

impl Strace {
    /// Attaches, and returns once every thread is held. `options` say what is traced and injected.
    pub(crate) fn attach(pid: i32, options: &[String], told: &Path) -> Self {
        let mut command = Command::new("strace");
        command.args(["-f", "-p", &pid.to_string(), "-o"]).arg(told).args(options);
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("strace");
        let mut said = BufReader::new(child.stderr.take().expect("stderr"));
        let mut line = String::new();
        said.read_line(&mut line).expect("a line");
        assert!(line.contains(" attached"), "{line}");
        // It must be able to say more.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Self { child, told: told.to_owned() }
    }

    /// Lets the process go: what was called, by name, as often as one thread did.
    pub(crate) fn end(mut self) -> BTreeMap<String, usize> {
        self.detach();
        count(&fs::read_to_string(&self.told).expect("a trace"))
    }

    /// Ends at once, whatever becomes of the process: one that is about to die can hold up an orderly end.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("its end");
    }

    fn detach(&mut self) {
        // It has ended already where the process has.
        if self.child.try_wait().expect("its state").is_none() {
            crate::home::signal_to(self.child.id().cast_signed(), Signal::TERM);
            self.child.wait().expect("its end");
        }
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        self.detach();
    }
}

/// strace counts for each thread, and so does this.
fn count(trace: &str) -> BTreeMap<String, usize> {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for line in trace.lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let Some((name, _)) = call.trim_start().split_once('(') else { continue };
        if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            *counts.entry((name, thread)).or_default() += 1;
        }
    }
    let mut most = BTreeMap::new();
    for ((name, _), count) in counts {
        let found: &mut usize = most.entry(name.to_owned()).or_default();
        *found = count.max(*found);
    }
    most
}

#[test]
fn calls_are_counted_by_thread() {
    let trace = "12 openat(AT_FDCWD, \"/x(\", O_RDONLY) = 3\n12 fsync(3 <unfinished ...>\n13 openat(AT_FDCWD, \"/y\") = 4\n\
                 12 <... fsync resumed>) = 0\n12 openat(AT_FDCWD, \"/z\") = -1 EIO (INJECTED)\n12 +++ killed by SIGKILL +++\n";
    assert_eq!(count(trace), [("fsync".to_owned(), 1), ("openat".to_owned(), 2)].into());
}
