//! A pcscd of one test, and the virtual cards that are plugged into it. `tests/rigs/yubikey/README.md` has the rest.

use rustix::process::geteuid;
use std::fs::{self, Permissions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Who runs pcscd and the cards where the tests run as root.
pub(crate) const USER: u32 = 4321;
/// The reader of a YubiKey that is the only one. The next one ends in `01 00`.
pub(crate) const READER: &str = "Yubico YubiKey OTP+FIDO+CCID 00 00";
/// What pcscd wants to be there, whatever socket it is given.
const RUN: &str = "/run/pcscd";
/// No card answers its control later than this.
const PATIENCE: Duration = Duration::from_secs(90);
const BUNDLE: &str = "drivers/claviger.bundle/Contents";

/// A file of the rigs, which `cargo xtask test --only yubikey` builds.
fn built(name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_claviger")).ancestors().nth(2).expect("a target folder");
    let path = target.join(name);
    assert!(path.exists(), "{} is not there; run: cargo xtask test --only yubikey", path.display());
    path
}

/// A program of the environment that `tests/devices/requirements.txt` describes.
pub(crate) fn python(name: &str) -> PathBuf {
    built("venv-devices/bin").join(name)
}

/// A private pcscd with a bus of its own. It ends with the test.
pub(crate) struct Rig {
    pcscd: Option<Child>,
    folder: TempDir,
}

impl Rig {
    /// Starts a pcscd without readers.
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("claviger-pcsc-").tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        for name in ["bus", "configuration", &format!("{BUNDLE}/Linux")] {
            fs::create_dir_all(at(name)).expect("a folder");
        }
        // Another user may not be able to look into the target folder.
        for (from, to) in [
            ("plain/libbus.so", "libbus.so"),
            ("plain/libreader.so", &format!("{BUNDLE}/Linux/libreader.so")),
            ("plain/claviger-virtual-yubikey", "claviger-virtual-yubikey"),
            ("plain/claviger-nitrokey-card", "claviger-nitrokey-card"),
        ] {
            // In a process of its own: a descriptor to write it that another test's child inherits for a moment would
            // make the program busy.
            let copied = Command::new("install").args(["-m", "755"]).args([built(from), at(to)]).status();
            assert!(copied.expect("install").success(), "{from}");
        }
        fs::write(at(BUNDLE).join("Info.plist"), include_str!("../rigs/yubikey/pcscd/Info.plist")).expect("a file");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("chmod");
        if geteuid().is_root() {
            fs::create_dir_all(RUN).expect(RUN);
            [folder.path(), &at("bus")].iter().for_each(|path| chown(path, Some(USER), Some(USER)).expect("chown"));
        }
        assert!(Path::new(RUN).is_dir(), "pcscd wants {RUN}; make it with: sudo mkdir {RUN}");
        let mut rig = Self { pcscd: None, folder };
        rig.start_pcscd();
        rig
    }

    /// What `PCSCLITE_CSOCK_NAME` has to name.
    pub(crate) fn pcsc_socket(&self) -> PathBuf {
        self.folder.path().join("pcscd.sock")
    }

    /// The folder of the test.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A program that speaks to this pcscd.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("timeout");
        command.arg("120").arg(program.as_ref()).env("PCSCLITE_CSOCK_NAME", self.pcsc_socket());
        command.env("HOME", self.folder.path()).current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    /// A program as an ordinary user.
    fn ordinary(program: impl AsRef<Path>) -> Command {
        if !geteuid().is_root() {
            return Command::new(program.as_ref());
        }
        let (mut command, id) = (Command::new("setpriv"), USER.to_string());
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]);
        command.arg("--no-new-privs").arg(program.as_ref());
        command
    }

    /// Starts pcscd, with every card that is plugged in.
    pub(crate) fn start_pcscd(&mut self) {
        assert!(self.pcscd.is_none(), "one is enough");
        let socket = self.pcsc_socket();
        let _ = fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).expect("a socket");
        fs::set_permissions(&socket, Permissions::from_mode(0o666)).expect("chmod");
        // As systemd would hand it over, under the number of this very process (sd_listen_fds(3)).
        const START: &str =
            "exec 3<&0 0</dev/null 4>&1 >pcscd.log 2>&1; LISTEN_FDS=1 LISTEN_PID=$$ exec pcscd -f --error -c \"$0\"";
        let mut command = Self::ordinary("/bin/sh");
        command
            .args(["-c", START])
            .arg(self.file("configuration"))
            .current_dir(self.folder.path())
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("CLAVIGER_BUS", self.file("bus")).env("CLAVIGER_DRIVERS", self.file("drivers"));
        command.env("LD_PRELOAD", self.file("libbus.so"));
        // It ends when nobody holds the other end of the shell's stdout, which it has as descriptor 4.
        command.stdin(OwnedFd::from(listener)).stdout(Stdio::piped());
        self.pcscd = Some(command.spawn().expect("pcscd"));
        self.each_plugged("wait reader");
    }

    /// Kills pcscd as the kernel would. Its socket refuses then.
    pub(crate) fn kill_pcscd(&mut self) {
        let mut pcscd = self.pcscd.take().expect("a pcscd");
        pcscd.kill().expect("kill");
        pcscd.wait().expect("its end");
        self.each_plugged("wait none");
    }

    /// Its process.
    pub(crate) fn pcscd(&self) -> u32 {
        self.pcscd.as_ref().expect("a pcscd").id()
    }

    fn each_plugged(&self, line: &str) {
        for device in fs::read_dir(self.file("bus")).expect("the bus").flatten() {
            let name = device.file_name().to_string_lossy().into_owned();
            // A control is called as its device; a dot stands before one that is about to be plugged in.
            if !name.starts_with('.') {
                assert_eq!(tell(&self.file(&format!("control-{name}")), line), "ok", "{name}");
            }
        }
    }

    /// A new virtual YubiKey, plugged in.
    pub(crate) fn yubikey(&self, serial: u32, firmware: &str) -> Card {
        let serial = serial.to_string();
        let name = format!("1050-0407-{serial}");
        self.card("claviger-virtual-yubikey", &name, &["--serial", &serial, "--firmware", firmware])
    }

    /// A new card of Nitrokey's PIV applet, plugged in; with the firmware that it tells instead of its own.
    pub(crate) fn nitrokey(&self, firmware: Option<&str>) -> Card {
        let told = firmware.map(|firmware| ["--firmware", firmware]);
        self.card("claviger-nitrokey-card", "20a0-42b2-1", told.as_ref().map_or(&[], |told| told.as_slice()))
    }

    fn card(&self, program: &str, name: &str, options: &[&str]) -> Card {
        let control = self.file(&format!("control-{name}"));
        let mut command = Self::ordinary(self.file(program));
        command.arg("--bus").arg(self.file("bus")).arg("--control").arg(&control).args(options);
        // It ends with its stdin.
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a card");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("stdout")).read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n", "{program}");
        let card = Card { child, control };
        card.wait_for_reader();
        card
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(mut pcscd) = self.pcscd.take() {
            let _ = pcscd.kill();
            let _ = pcscd.wait();
        }
    }
}

/// How a bad card answers; a number is a status word in place of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bad {
    Garbage,
    Short,
    Empty,
    Endless61,
    Status(u16),
}

/// A card process. Its keys, accounts and counters live as long as it does, plugged in or not.
pub(crate) struct Card {
    child: Child,
    control: PathBuf,
}

impl Card {
    /// A line to its control, and the answer.
    pub(crate) fn say(&self, line: &str) -> String {
        tell(&self.control, line)
    }

    fn order(&self, line: &str) {
        assert_eq!(self.say(line), "ok", "{line}");
    }

    /// Every touch that it asks for comes at once.
    pub(crate) fn touch_at_once(&self) {
        self.order("touch auto");
    }

    /// It is touched by [`Card::touch`] alone, and stops to ask after 15 seconds.
    pub(crate) fn touch_by_hand(&self) {
        self.order("touch manual");
    }

    /// Nobody touches it, and its 15 seconds are over at once.
    pub(crate) fn touch_never(&self) {
        self.order("touch never");
    }

    /// Every touch comes so much later.
    pub(crate) fn touch_later(&self, time: Duration) {
        self.order(&format!("touch delay {}", time.as_millis()));
    }

    /// Touches it now; whether it asked for that.
    pub(crate) fn touch(&self) -> bool {
        self.say("touch") == "yes"
    }

    /// Waits until it asks for a touch.
    pub(crate) fn wait_for_touch(&self) {
        assert_eq!(self.say("wait touch"), "waiting");
    }

    /// Waits until so many APDUs have come since its start.
    pub(crate) fn wait_for_apdu(&self, number: u64) {
        self.order(&format!("wait apdu {number}"));
    }

    /// Waits until a reader has switched it on.
    pub(crate) fn wait_for_reader(&self) {
        self.order("wait reader");
    }

    /// Pulls it: the reader goes with it.
    pub(crate) fn unplug(&self) {
        self.order("unplug");
    }

    /// Puts it back.
    pub(crate) fn plug(&self) {
        self.order("plug");
        self.wait_for_reader();
    }

    /// Pulls it and puts it back.
    pub(crate) fn cycle(&self) {
        self.order("cycle");
        self.wait_for_reader();
    }

    /// Takes the card from its reader, which stays.
    pub(crate) fn eject(&self) {
        self.order("eject");
    }

    /// Puts the card into its reader again.
    pub(crate) fn insert(&self) {
        self.order("insert");
    }

    /// It answers nothing, until this is over; then also what it was asked before.
    pub(crate) fn mute(&self, mute: bool) {
        self.order(if mute { "mute on" } else { "mute off" });
    }

    /// It answers nothing from the APDU of this number from now (1 is the next) on.
    pub(crate) fn mute_at(&self, apdu: u64) {
        self.order(&format!("mute {apdu}"));
    }

    /// It is pulled when the APDU of this number from now (1 is the next) comes, before it does anything.
    pub(crate) fn cut_at(&self, apdu: u64) {
        self.order(&format!("cut {apdu}"));
    }

    /// It obeys that APDU and is pulled before it answers.
    pub(crate) fn cut_after(&self, apdu: u64) {
        self.order(&format!("cut {apdu} after"));
    }

    /// It answers badly, or as it should again; to one instruction, or to all.
    pub(crate) fn answer(&self, bad: Option<Bad>, instruction: Option<u8>) {
        let manner = match bad {
            None => "off".to_owned(),
            Some(Bad::Garbage) => "garbage".to_owned(),
            Some(Bad::Short) => "short".to_owned(),
            Some(Bad::Empty) => "empty".to_owned(),
            Some(Bad::Endless61) => "endless61".to_owned(),
            Some(Bad::Status(status)) => format!("{status:04x}"),
        };
        let only = instruction.map(|instruction| format!(" {instruction:02x}")).unwrap_or_default();
        self.order(&format!("answer {manner}{only}"));
    }

    /// APDUs that have come since its start.
    pub(crate) fn apdus(&self) -> u64 {
        self.say("apdus").parse().expect("a number")
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        // Pulled first, so that pcscd has forgotten it; a test that has failed may leave a card that does not answer.
        let _ = ask(&self.control, "quit");
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn tell(control: &Path, line: &str) -> String {
    ask(control, line).expect("an answer of the card's control")
}

fn ask(control: &Path, line: &str) -> io::Result<String> {
    let mut stream = UnixStream::connect(control)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{line}\n").as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    Ok(answer.trim_end().to_owned())
}
