//! Suspend and screen lock, told by a fake logind on a private bus where the system's would be. The agent runs in a
//! mount namespace of its own: no setting of a release build leads it to another bus.

use crate::bus::Bus;
use crate::home::{Agent, Home, PASSPHRASE, program};
use crate::sandbox::Sandbox;
use serde_json::{Value, json};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use zbus::object_server::SignalEmitter;
use zbus::zvariant::{Fd, ObjectPath, OwnedObjectPath};

const MANAGER: &str = "/org/freedesktop/login1";
const OURS: &str = "/org/freedesktop/login1/session/_31";
const THEIRS: &str = "/org/freedesktop/login1/session/_32";

/// The inhibitor locks that were taken: what they were taken for, and an end that closes with them.
pub(crate) type Locks = Arc<Mutex<Vec<(String, OwnedFd)>>>;

struct Manager(Locks);

#[zbus::interface(name = "org.freedesktop.login1.Manager")]
impl Manager {
    fn inhibit(&self, what: &str, who: &str, _why: &str, mode: &str) -> Fd<'static> {
        let (ours, theirs) = rustix::pipe::pipe().expect("a pipe");
        self.0.lock().expect("a lock").push((format!("{what} {who} {mode}"), ours));
        theirs.into()
    }

    fn list_sessions(&self) -> Vec<(String, u32, String, String, OwnedObjectPath)> {
        let uid = rustix::process::getuid().as_raw();
        let row = |id: &str, uid, path: &str| {
            (id.to_owned(), uid, "ada".to_owned(), "seat0".to_owned(), OwnedObjectPath::try_from(path).expect("a path"))
        };
        vec![row("1", uid, OURS), row("2", uid + 1, THEIRS)]
    }

    #[zbus(signal)]
    async fn prepare_for_sleep(emitter: &SignalEmitter<'_>, start: bool) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn session_removed(emitter: &SignalEmitter<'_>, id: &str, path: ObjectPath<'_>) -> zbus::Result<()>;
}

struct Session {
    uid: u32,
    locked: bool,
}

#[zbus::interface(name = "org.freedesktop.login1.Session")]
impl Session {
    #[zbus(property)]
    fn user(&self) -> (u32, OwnedObjectPath) {
        (self.uid, OwnedObjectPath::try_from("/org/freedesktop/login1/user/_1").expect("a path"))
    }

    #[zbus(property)]
    fn locked_hint(&self) -> bool {
        self.locked
    }

    #[zbus(signal)]
    async fn lock(emitter: &SignalEmitter<'_>) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn unlock(emitter: &SignalEmitter<'_>) -> zbus::Result<()>;
}

/// Plays logind on a bus.
pub(crate) fn serve(system: &Bus) -> Locks {
    let (uid, locks) = (rustix::process::getuid().as_raw(), Locks::default());
    system.block_on(async {
        let objects = system.connection.object_server();
        objects.at(MANAGER, Manager(locks.clone())).await.expect("served");
        objects.at(OURS, Session { uid, locked: false }).await.expect("served");
        objects.at(THEIRS, Session { uid: uid + 1, locked: false }).await.expect("served");
        system.connection.request_name("org.freedesktop.login1").await.expect("the name");
    });
    locks
}

/// A desktop: system bus with logind, session bus, and an agent between them.
struct Desktop {
    home: Home,
    system: Bus,
    locks: Locks,
}

impl Desktop {
    fn new(home: Home) -> Self {
        std::fs::create_dir(home.file("system")).expect("a folder");
        let system = Bus::start(&home.file("system"), "system_bus_socket");
        let locks = serve(&system);
        Self { home, system, locks }
    }

    /// An agent that finds this system bus where every machine has it.
    fn agent(&self) -> Agent {
        let mut command = Command::new("/usr/bin/unshare");
        let inner = "mount -t tmpfs none /run && mkdir /run/dbus && mount --bind \"$0\" /run/dbus && exec \"$@\"";
        command.args(["--mount", "/bin/sh", "-c", inner]).arg(self.home.file("system"));
        let agent = self.home.agent_command();
        command.arg(program("claviger-agent")).args(["run", "--detached"]).env_clear().stderr(Stdio::null());
        command.envs(agent.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let mut agent = Agent::spawn(&mut command);
        assert_eq!(agent.word(), "ready", "the agent in a mount namespace of its own, which only root can make");
        agent
    }

    /// Waits until an inhibitor lock is held, and says which.
    fn inhibitor(&self) -> (String, OwnedFd) {
        loop {
            if let Some(lock) = self.locks.lock().expect("a lock").pop() {
                return lock;
            }
            std::thread::yield_now();
        }
    }

    fn sleep(&self, start: bool) {
        self.emit(MANAGER, |emitter| Box::pin(async move { Manager::prepare_for_sleep(&emitter, start).await }));
    }

    fn emit<'a, W>(&'a self, path: &'static str, signal: impl FnOnce(SignalEmitter<'a>) -> W)
    where
        W: Future<Output = zbus::Result<()>>,
    {
        let emitter = SignalEmitter::new(&self.system.connection, path).expect("an emitter");
        self.system.block_on(signal(emitter)).expect("sent");
    }

    fn set_locked(&self, path: &'static str, locked: bool) {
        self.system.block_on(async {
            let session = self.system.connection.object_server().interface::<_, Session>(path).await.expect("served");
            session.get_mut().await.locked = locked;
            session.get().await.locked_hint_changed(session.signal_emitter()).await.expect("told");
        });
    }

    fn vault(&self) -> (String, Value) {
        let status = self.home.status();
        (status["vault"].as_str().expect("text").to_owned(), status["locked_by"].clone())
    }

    fn wait_locked(&self, by: &str) {
        while self.vault() != ("locked".to_owned(), json!(by)) {
            std::thread::yield_now();
        }
    }
}

/// Waits until the agent has let an inhibitor lock go.
fn wait_released(lock: OwnedFd) {
    let mut byte = [0];
    assert_eq!(std::fs::File::from(lock).read(&mut byte).expect("an end"), 0);
}

#[test]
fn before_sleep_the_vault_is_locked_and_only_then_may_the_machine_sleep() {
    let sandbox = Sandbox::start();
    let home = Home::at(&sandbox);
    let session = Bus::start(home.path(), "bus.sock");
    let _keyring = session.keyring();
    let desktop = Desktop::new(home);
    let _agent = desktop.agent();
    let home = &desktop.home;
    home.run(&["init", "--passphrase-fd", "0", "--keyring"], PASSPHRASE).good();
    home.run(&["access-key", "add", "dev", "--stdin"], &sandbox.access_key()).good();
    let add = ["mfa", "add", "--for", "dev", "--seed-stdin", "--serial", sandbox.text("mfa_serial")];
    home.run(&add, sandbox.text("mfa_seed")).good();
    home.run(&["process", "prod"], "").good();
    for _ in 0..2 {
        let (taken, lock) = desktop.inhibitor();
        assert_eq!(taken, "sleep claviger delay");
        desktop.sleep(true);
        wait_released(lock);
        // Looked at after the release, so it was done before.
        assert_eq!(desktop.vault(), ("locked".to_owned(), json!("suspend")));
        assert_eq!(home.status()["sessions"], json!([]), "wiped from memory");
        home.run(&["process", "prod"], "").fault(3, "vault.locked");
        desktop.sleep(false);
        // The keyring is there again, and the sealed session with it.
        while home.run(&["process", "prod"], "").exit != Some(0) {
            std::thread::yield_now();
        }
    }
    assert_eq!((sandbox.calls("GetSessionToken"), sandbox.calls("AssumeRole")), (1, 1));
    // After a lock by command neither sleep nor waking opens a way for the keyring.
    home.run(&["lock"], "").good();
    let (_, lock) = desktop.inhibitor();
    desktop.sleep(true);
    wait_released(lock);
    desktop.sleep(false);
    desktop.inhibitor();
    assert_eq!(desktop.vault(), ("locked".to_owned(), json!("command")));
    home.run(&["process", "prod"], "").fault(3, "vault.locked");
}

#[test]
fn a_locked_screen_locks_the_vault_and_its_keyring_waits_for_the_screen() {
    let home = Home::new();
    let session = Bus::start(home.path(), "bus.sock");
    let _keyring = session.keyring();
    let desktop = Desktop::new(home);
    let _agent = desktop.agent();
    let (home, list) = (&desktop.home, ["access-key", "list"]);
    home.run(&["init", "--passphrase-fd", "0", "--keyring"], PASSPHRASE).good();
    desktop.inhibitor();
    // Another user's screen, and a signal that is not logind's: nothing. What follows them on the bus is told after.
    desktop.set_locked(THEIRS, true);
    desktop.emit(THEIRS, |emitter| async move { Session::lock(&emitter).await });
    let stranger = desktop.system.stranger();
    desktop.system.block_on(async {
        let emitter = SignalEmitter::new(&stranger, OURS).expect("an emitter");
        Session::lock(&emitter).await.expect("sent");
    });
    for hinted in [true, false] {
        assert_eq!(desktop.vault().0, "unlocked");
        match hinted {
            true => desktop.set_locked(OURS, true),
            false => desktop.emit(OURS, |emitter| async move { Session::lock(&emitter).await }),
        }
        desktop.wait_locked("screen");
        home.run(&list, "").fault_of_person();
        assert_eq!(home.status()["warnings"], json!([]), "the keyring was not asked");
        match hinted {
            true => desktop.set_locked(OURS, false),
            false => desktop.emit(OURS, |emitter| async move { Session::unlock(&emitter).await }),
        }
        while home.run(&list, "").exit != Some(0) {
            std::thread::yield_now();
        }
    }
    // Nor does a restart let it in behind a screen that shows nothing of its lock.
    desktop.emit(OURS, |emitter| async move { Session::lock(&emitter).await });
    desktop.wait_locked("screen");
    home.run(&["agent", "restart"], "").good();
    assert_eq!(desktop.vault(), ("locked".to_owned(), json!("screen")));
    home.run(&list, "").fault_of_person();
    // The successor follows logind once it has looked at the screen; then it delays sleep again.
    desktop.inhibitor();
    desktop.emit(OURS, |emitter| async move { Session::unlock(&emitter).await });
    while home.run(&list, "").exit != Some(0) {
        desktop.emit(OURS, |emitter| async move { Session::unlock(&emitter).await });
    }
    // A session that ends locked does not bar the keyring for ever; nor does one that never tells, once a person came.
    desktop.set_locked(OURS, true);
    desktop.wait_locked("screen");
    home.unlock().good();
    home.kill_agent();
}

#[test]
fn a_screen_that_is_locked_already_bars_the_keyring_and_settings_turn_it_off() {
    for (settings, barred) in [("", true), ("[lock]\nscreen = false\nsuspend = false\n", false)] {
        let home = Home::new();
        let session = Bus::start(home.path(), "bus.sock");
        let _keyring = session.keyring();
        home.run(&["init", "--passphrase-fd", "0", "--keyring"], PASSPHRASE).good();
        home.kill_agent();
        home.write("config/config.toml", &format!("[vault]\nargon2_memory_mib = 64\n{settings}"));
        let desktop = Desktop::new(home);
        desktop.set_locked(OURS, true);
        let _agent = desktop.agent();
        if barred {
            desktop.wait_locked("screen");
            desktop.home.run(&["access-key", "list"], "").fault_of_person();
        } else {
            desktop.home.run(&["access-key", "list"], "").good();
            desktop.sleep(true);
            desktop.home.run(&["access-key", "list"], "").good();
            assert!(desktop.locks.lock().expect("a lock").is_empty());
        }
    }
}
