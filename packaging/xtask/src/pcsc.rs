//! The virtual YubiKey and its reader (tests/rigs/yubikey): built, put where the tests of devices find them, and started
//! for the bench.

use crate::run::{Failure, Job, Outcome, copy_program, make_folder, root, target, write};
use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Who runs pcscd and the card where this runs as root.
const USER: &str = "4321";
/// What pcscd wants to be there, whatever socket it is given.
const RUN: &str = "/run/pcscd";
const SERIAL: &str = "12345678";
const BUNDLE: &str = "drivers/claviger.bundle/Contents";

/// Where the rig's sources are.
fn source() -> PathBuf {
    root().join("tests/rigs/yubikey")
}

/// Builds the cards, and the two libraries for pcscd.
pub(crate) fn build() -> Outcome {
    let (plain, folder) = (target().join("plain"), target().join("yubikey"));
    make_folder(&plain)?;
    let build = Job::cargo("build --quiet --locked --manifest-path").and([source().join("Cargo.toml")]);
    build.and(["--target-dir"]).and([&folder]).run()?;
    for program in ["claviger-virtual-yubikey", "claviger-nitrokey-card"] {
        copy_program(&folder.join("debug").join(program), &plain)?;
    }
    library("bus")?;
    library("reader")
}

fn library(name: &str) -> Outcome {
    let made = target().join("plain").join(format!("lib{name}.so"));
    let compiler = ["cc", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-I/usr/include/PCSC", "-o"];
    Job::new(compiler).and([made]).and([source().join("pcscd").join(format!("{name}.c"))]).run()
}

/// The cards' own tests.
pub(crate) fn test() -> Outcome {
    let test = Job::cargo("test --quiet --locked --manifest-path").and([source().join("Cargo.toml")]);
    test.and(["--target-dir"]).and([target().join("yubikey")]).run()
}

/// Builds a PC/SC client with nothing around it.
fn client() -> Outcome<PathBuf> {
    let made = target().join("plain/claviger-card-client");
    let compiler = ["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-I/usr/include/PCSC", "-o"];
    let source = source().join("pcscd/client.c");
    Job::new(compiler).and([&made]).and([&source]).and(["-lpcsclite"]).run()?;
    Ok(made)
}

/// A pcscd of its own with one virtual YubiKey in it, and the bare client on that, until dropped.
pub(crate) struct Rig {
    folder: PathBuf,
    pcscd: Child,
    card: Child,
    client: Child,
    talk: RefCell<(ChildStdin, BufReader<ChildStdout>)>,
}

impl Rig {
    /// Starts all of it, in a folder that is made for it.
    pub(crate) fn start(folder: &Path) -> Outcome<Self> {
        let (client, plain) = (client()?, target().join("plain"));
        for name in ["bus", "configuration", &format!("{BUNDLE}/Linux")] {
            make_folder(&folder.join(name))?;
        }
        copy_program(&plain.join("libbus.so"), folder)?;
        copy_program(&plain.join("libreader.so"), &folder.join(BUNDLE).join("Linux"))?;
        copy_program(&plain.join("claviger-virtual-yubikey"), folder)?;
        let information = std::fs::read_to_string(source().join("pcscd/Info.plist"));
        write(&folder.join(BUNDLE).join("Info.plist"), &information.map_err(Failure::from("Info.plist"))?)?;
        let is_root = Job::new(["id", "-u"]).stdout()?.trim() == "0";
        if is_root {
            make_folder(Path::new(RUN))?;
            Job::new(["chown", "-R", USER]).and([folder]).run()?;
        }
        let mut pcscd = pcscd(folder, is_root)?;
        let (mut card, mut client) =
            match card(folder, is_root).and_then(|card| Ok((card, connected(folder, &client)?))) {
                Ok(both) => both,
                Err(failure) => {
                    let _ = (pcscd.kill(), pcscd.wait());
                    return Err(failure);
                }
            };
        match (client.stdin.take(), client.stdout.take()) {
            (Some(stdin), Some(stdout)) => {
                let talk = RefCell::new((stdin, BufReader::new(stdout)));
                Ok(Self { folder: folder.to_owned(), pcscd, card, client, talk })
            }
            _ => {
                let _ = (card.kill(), client.kill(), pcscd.kill());
                Err(Failure::new("the bare client has no streams"))
            }
        }
    }

    /// What `PCSCLITE_CSOCK_NAME` has to name.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("pcscd.sock")
    }

    /// The serial number of the card.
    pub(crate) fn serial(&self) -> &'static str {
        SERIAL
    }

    /// A line to the bare client, and the microseconds that it tells.
    pub(crate) fn client(&self, line: &str) -> Outcome<f64> {
        let mut talk = self.talk.borrow_mut();
        let failed = || Failure::from("claviger-card-client");
        talk.0.write_all(format!("{line}\n").as_bytes()).map_err(failed())?;
        let mut told = String::new();
        talk.1.read_line(&mut told).map_err(failed())?;
        told.trim().parse().map_err(|_| Failure::new(format!("claviger-card-client said {told:?}")))
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        for child in [&mut self.client, &mut self.card, &mut self.pcscd] {
            let _ = (child.kill(), child.wait());
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A program as an ordinary user.
fn ordinary(program: &Path, is_root: bool) -> Command {
    if !is_root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", USER, "--regid", USER, "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]);
    command.arg("--no-new-privs").arg(program);
    command
}

fn pcscd(folder: &Path, is_root: bool) -> Outcome<Child> {
    let socket = folder.join("pcscd.sock");
    let listener = UnixListener::bind(&socket).map_err(Failure::from(socket.display()))?;
    let opened = std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o666));
    opened.map_err(Failure::from(socket.display()))?;
    // As systemd would hand it over, under the number of this very process (sd_listen_fds(3)).
    const START: &str =
        "exec 3<&0 0</dev/null >pcscd.log 2>&1; LISTEN_FDS=1 LISTEN_PID=$$ exec pcscd -f --error -c \"$0\"";
    let mut command = ordinary(Path::new("/bin/sh"), is_root);
    command.args(["-c", START]).arg(folder.join("configuration")).current_dir(folder);
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LD_PRELOAD", folder.join("libbus.so"));
    command.env("CLAVIGER_BUS", folder.join("bus")).env("CLAVIGER_DRIVERS", folder.join("drivers"));
    command.stdin(OwnedFd::from(listener)).spawn().map_err(Failure::from("pcscd"))
}

/// The card, once a reader has switched it on.
fn card(folder: &Path, is_root: bool) -> Outcome<Child> {
    let control = folder.join("control");
    let mut command = ordinary(&folder.join("claviger-virtual-yubikey"), is_root);
    command.arg("--bus").arg(folder.join("bus")).arg("--control").arg(&control);
    command.args(["--serial", SERIAL, "--firmware", "5.7.1"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut card = command.spawn().map_err(Failure::from("claviger-virtual-yubikey"))?;
    let mut line = String::new();
    if let Some(stdout) = card.stdout.take() {
        let _ = BufReader::new(stdout).read_line(&mut line);
    }
    let is_read = || {
        let mut stream = UnixStream::connect(&control)?;
        stream.write_all(b"wait reader\n")?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).map(|_| answer.trim() == "ok")
    };
    let told: std::io::Result<bool> = is_read();
    match told {
        Ok(true) => Ok(card),
        _ => {
            let _ = (card.kill(), card.wait());
            Err(Failure::new("no reader has the virtual YubiKey"))
        }
    }
}

fn connected(folder: &Path, client: &Path) -> Outcome<Child> {
    let mut command = Command::new(client);
    command.env("PCSCLITE_CSOCK_NAME", folder.join("pcscd.sock")).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().map_err(Failure::from("claviger-card-client"))
}
