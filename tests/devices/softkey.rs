//! Software FIDO2 keys, and the bridge that makes each a hidraw node: `tests/rigs/softkey/README.md`.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A program that takes so long hangs, as does an answer of a key.
const PATIENCE: Duration = Duration::from_secs(60);
/// Who keys and clients run as where the test is root: `nobody`, since ssh-keygen wants a user with a name.
const USER: u32 = 65534;
const PRELOAD: &str = "libumockdev-preload.so.0";

/// A program of the rig.
fn program(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_claviger")).ancestors().nth(2).expect("a target folder");
    let path = folder.join("plain").join(name);
    assert!(path.is_file(), "{} is not built; build it first with: cargo xtask test --only softkey", path.display());
    path
}

/// How a run ended.
#[derive(Debug)]
#[must_use]
pub(crate) struct Ended {
    pub(crate) exit: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// Its stdout, once it is sure that all went well.
    pub(crate) fn good(self) -> String {
        assert_eq!(self.exit, Some(0), "{self:?}");
        self.stdout
    }

    /// It ended by itself, not well, and said this.
    pub(crate) fn bad(self, words: &str) {
        let said = self.stderr.contains(words) || self.stdout.contains(words);
        assert!(self.exit.is_some_and(|code| ![0, 124, 137].contains(&code)) && said, "wanted {words:?}: {self:?}");
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { exit: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

/// A testbed of hidraw nodes in a folder of its own. Ends with the test.
pub(crate) struct Bridge {
    child: Child,
    directory: String,
    folder: TempDir,
}

impl Bridge {
    /// Behind each node one queue of reports and one lock, for all who have it open.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// Each who opens a node gets every report, as from the kernel; but a lock keeps nobody out.
    pub(crate) fn with_copies() -> Self {
        Self::with(&["--copies"])
    }

    fn with(options: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("claviger-softkey-").tempdir().expect("a folder");
        if is_root() {
            chown(folder.path(), Some(USER), Some(USER)).expect("chown");
            // Theirs to run, wherever the target folder lies.
            for name in ["claviger-softkey", "claviger-softkey-bridge"] {
                fs::copy(program(name), folder.path().join(name)).expect("a copy");
            }
        }
        let mut command = as_user(&rig(folder.path(), "claviger-softkey-bridge"), folder.path());
        command.arg(folder.path().join("bridge.sock")).args(options).env("LD_PRELOAD", PRELOAD);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the bridge");
        let line = first_line(&mut child);
        let directory = line.strip_prefix("ready ").expect("the bridge is ready").to_owned();
        Self { child, directory, folder }
    }

    /// What makes a program see the nodes of the keys, whenever it starts.
    pub(crate) fn environment(&self) -> [(&'static str, &str); 2] {
        [("LD_PRELOAD", PRELOAD), ("UMOCKDEV_DIR", &self.directory)]
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.file(name).display().to_string()
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).expect("a file")
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.file(name), text).expect("a file");
    }

    /// A program of `/bin/sh`.
    pub(crate) fn script(&self, name: &str, text: &str) {
        self.write(name, &format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(self.file(name), fs::Permissions::from_mode(0o755)).expect("chmod");
    }

    /// A new key with these options, plugged in unless they say otherwise.
    pub(crate) fn key(&self, name: &str, options: &[&str]) -> Softkey {
        let control = self.file(&format!("{name}.control"));
        let mut command = as_user(&rig(self.folder.path(), "claviger-softkey"), self.folder.path());
        command.arg(format!("--bridge={}", self.path("bridge.sock"))).arg(format!("--control={}", control.display()));
        command.arg(format!("--store={}", self.path(&format!("{name}.flash")))).arg(format!("--serial={name}"));
        let mut child =
            command.args(options).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the softkey");
        let line = first_line(&mut child);
        Softkey { child, control, node: format!("/dev/{}", line.strip_prefix("ready ").expect("the key is ready")) }
    }

    /// A program that sees the keys and no terminal, under a watchdog.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        self.command_with(&["setsid", "--wait"], words)
    }

    /// The same after these words.
    pub(crate) fn command_with(&self, before: &[&str], words: &[&str]) -> Command {
        let mut command = as_user(Path::new(before[0]), self.folder.path());
        command.args(&before[1..]).args(["timeout", "--foreground", &PATIENCE.as_secs().to_string()]).args(words);
        command.envs(self.environment()).stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Ended {
        self.command(words).output().expect("its end").into()
    }

    /// Starts it; its output is for whoever waits for it.
    pub(crate) fn spawn(&self, words: &[&str]) -> Child {
        self.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program")
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// A key. Its flash outlives it in the bridge's folder.
pub(crate) struct Softkey {
    child: Child,
    control: PathBuf,
    /// Where it is plugged in: `/dev/hidrawN`; may change when it is plugged in again.
    pub(crate) node: String,
}

impl Softkey {
    /// One line to the control socket, and what follows `ok` in its answer.
    pub(crate) fn tell(&self, line: &str) -> String {
        let answer = self.ask(line);
        let rest = answer.strip_prefix("ok").unwrap_or_else(|| panic!("{line}: {answer:?}"));
        rest.trim_start().to_owned()
    }

    /// One line, and the whole answer.
    pub(crate) fn ask(&self, line: &str) -> String {
        let mut stream = UnixStream::connect(&self.control).expect("the control socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        writeln!(stream, "{line}").expect("a line");
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap_or_else(|error| panic!("{line}: {error}"));
        answer.trim_end().to_owned()
    }

    /// `auto`, `manual`, `never`, `delay MILLISECONDS`.
    pub(crate) fn touch(&self, how: &str) {
        self.tell(&format!("touch {how}"));
    }

    /// Waits until a touch is waited for.
    pub(crate) fn wait_touch(&self) {
        self.tell("wait touch");
    }

    pub(crate) fn press(&self) {
        self.tell("press");
    }

    /// Reports are swallowed, or not.
    pub(crate) fn mute(&self, on: bool) {
        self.tell(if on { "mute on" } else { "mute off" });
    }

    /// `garbage`, `short`, `wrong-channel`, `off`.
    pub(crate) fn answer(&self, how: &str) {
        self.tell(&format!("answer {how}"));
    }

    /// Pulled, without power; the node is gone.
    pub(crate) fn unplug(&self) {
        self.tell("unplug");
    }

    /// Plugged in again; the node is there.
    pub(crate) fn plug(&mut self) {
        self.node = format!("/dev/{}", self.tell("plug"));
    }

    /// Pulled and plugged in again.
    pub(crate) fn cycle(&mut self) {
        self.node = format!("/dev/{}", self.tell("cycle"));
    }

    /// It is pulled when so many more reports arrive; the last of them is lost.
    pub(crate) fn cut(&self, reports: u64) {
        self.tell(&format!("cut {reports}"));
    }

    /// The same with reports that it sends.
    pub(crate) fn cut_answer(&self, reports: u64) {
        self.tell(&format!("cut-answer {reports}"));
    }

    /// Waits until it is out, whoever pulled it.
    pub(crate) fn wait_unplugged(&self) {
        self.tell("wait unplugged");
    }

    /// How many reports have arrived since its start.
    pub(crate) fn reports(&self) -> u64 {
        self.tell("reports").parse().expect("a number")
    }

    /// Waits until so many have.
    pub(crate) fn wait_reports(&self, number: u64) {
        self.tell(&format!("wait reports {number}"));
    }

    /// A figure of `stat`.
    pub(crate) fn figure(&self, name: &str) -> String {
        let line = self.tell("stat");
        let found = line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        found.unwrap_or_else(|| panic!("no {name} in {line}")).to_owned()
    }
}

impl Drop for Softkey {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("stdout")).read_line(&mut line).expect("a line");
    line.trim_end().to_owned()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Where a program of the rig lies for those who run it.
fn rig(folder: &Path, name: &str) -> PathBuf {
    if is_root() { folder.join(name) } else { program(name) }
}

/// A command as an ordinary user, with an environment that holds nothing of the person's own.
fn as_user(program: &Path, folder: &Path) -> Command {
    let mut command;
    if is_root() {
        command = Command::new("/usr/bin/setpriv");
        let id = USER.to_string();
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]);
        command.arg("--no-new-privs").arg(program);
    } else {
        command = Command::new(program);
    }
    command.env_clear().current_dir(folder).env("HOME", folder).env("TMPDIR", folder).env("LC_ALL", "C");
    command.env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
    command
}
