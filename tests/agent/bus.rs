//! A private D-Bus bus, gnome-keyring on it, and a wire between a client and the bus that can be cut.

use futures_util::StreamExt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use tokio::runtime::Runtime;
use zbus::message::Type;
use zbus::zvariant::{ObjectPath, OwnedObjectPath, Value};
use zbus::{Connection, Message, MessageStream};

const SECRETS: &str = "org.freedesktop.secrets";
const SECRETS_PATH: &str = "/org/freedesktop/secrets";
const LOGIN: &str = "/org/freedesktop/secrets/collection/login";
const KEYRING_PASSWORD: &str = "login password";

/// A bus of its own, and a connection of the test's.
pub(crate) struct Bus {
    daemon: Child,
    folder: PathBuf,
    socket: PathBuf,
    runtime: Runtime,
    pub(crate) connection: Connection,
}

impl Bus {
    /// At this socket in a folder of the test's.
    pub(crate) fn start(folder: &Path, socket: &str) -> Self {
        let socket = folder.join(socket);
        let config = format!(
            "<busconfig><type>session</type><listen>unix:path={}</listen><auth>EXTERNAL</auth><policy context=\"default\">\
             <allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/><allow own=\"*\"/><allow user=\"*\"/>\
             </policy></busconfig>",
            socket.display()
        );
        let file = folder.join("bus.conf");
        std::fs::write(&file, config).expect("a file");
        let mut command = Command::new("/usr/bin/dbus-daemon");
        command.arg(format!("--config-file={}", file.display())).args(["--nofork", "--print-address"]);
        let mut daemon = command.env_clear().stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("dbus-daemon");
        let mut address = String::new();
        BufReader::new(daemon.stdout.take().expect("stdout")).read_line(&mut address).expect("an address");
        assert!(address.starts_with("unix:path="), "dbus-daemon did not start: {address}");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let connection = runtime.block_on(connect(&socket));
        Self { daemon, folder: folder.to_owned(), socket, runtime, connection }
    }

    /// A further connection, as a stranger on the bus.
    pub(crate) fn stranger(&self) -> Connection {
        self.block_on(connect(&self.socket))
    }

    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        drop(self.runtime.spawn(work));
    }

    pub(crate) fn kill(&mut self) {
        self.daemon.kill().expect("kill");
        self.daemon.wait().expect("its end");
    }

    /// Starts gnome-keyring with its login keyring open, and waits until it serves.
    pub(crate) fn keyring(&self) -> Keyring {
        let control = self.folder.join("keyring-control");
        let data = self.folder.join("keyring-data");
        for folder in [&control, &data] {
            std::fs::create_dir_all(folder).expect("a folder");
        }
        let mut command = Command::new("/usr/bin/gnome-keyring-daemon");
        command.args(["--foreground", "--unlock", "--components=secrets", "--control-directory"]).arg(&control);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", &data).env("XDG_DATA_HOME", &data);
        command
            .env("XDG_RUNTIME_DIR", &control)
            .env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", self.socket.display()));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut daemon = command.spawn().expect("gnome-keyring-daemon");
        daemon.stdin.take().expect("stdin").write_all(KEYRING_PASSWORD.as_bytes()).expect("the password");
        let keyring = Keyring(daemon);
        while !self.is_open() {
            std::thread::yield_now();
        }
        keyring
    }

    /// Whether there is a login keyring, and it is open.
    fn is_open(&self) -> bool {
        let asked = ("org.freedesktop.Secret.Collection", "Locked");
        let answer = self.call(SECRETS, LOGIN, "org.freedesktop.DBus.Properties", "Get", &asked);
        answer.is_ok_and(|answer| {
            answer.body().deserialize::<Value<'_>>().is_ok_and(|locked| locked == Value::Bool(false))
        })
    }

    pub(crate) fn lock_keyring(&self) {
        let login = ObjectPath::try_from(LOGIN).expect("a path");
        self.call(SECRETS, SECRETS_PATH, "org.freedesktop.Secret.Service", "Lock", &(vec![login],)).expect("locked");
        assert!(!self.is_open());
    }

    /// Claviger's items.
    pub(crate) fn items(&self) -> Vec<OwnedObjectPath> {
        let ours = std::collections::HashMap::from([("application", "claviger")]);
        let found = self.call(SECRETS, SECRETS_PATH, "org.freedesktop.Secret.Service", "SearchItems", &(ours,));
        type Found = (Vec<OwnedObjectPath>, Vec<OwnedObjectPath>);
        let (open, locked) = found.expect("a search").body().deserialize::<Found>().expect("items");
        [open, locked].concat()
    }

    pub(crate) fn delete_item(&self, item: &OwnedObjectPath) {
        self.call(SECRETS, item.as_str(), "org.freedesktop.Secret.Item", "Delete", &()).expect("deleted");
    }

    /// A session in which secrets go over the bus as they are.
    fn plain_session(&self) -> OwnedObjectPath {
        let opened = self.call(
            SECRETS,
            SECRETS_PATH,
            "org.freedesktop.Secret.Service",
            "OpenSession",
            &("plain", Value::from("")),
        );
        let opened = opened.expect("a session");
        let body = opened.body();
        body.deserialize::<(Value<'_>, OwnedObjectPath)>().expect("a session").1
    }

    /// The secret of an item, as any program on the bus can have it.
    pub(crate) fn read_plainly(&self, item: &OwnedObjectPath) -> Vec<u8> {
        let session = self.plain_session();
        let read = self.call(SECRETS, item.as_str(), "org.freedesktop.Secret.Item", "GetSecret", &(session,));
        type Secret = ((OwnedObjectPath, Vec<u8>, Vec<u8>, String),);
        let read = read.expect("a secret");
        read.body().deserialize::<Secret>().expect("a secret").0.2
    }

    /// Puts another secret where an item has its own.
    pub(crate) fn replace_secret(&self, item: &OwnedObjectPath, secret: &[u8]) {
        let session = self.plain_session();
        let secret = (session, Vec::<u8>::new(), secret.to_vec(), "text/plain");
        self.call(SECRETS, item.as_str(), "org.freedesktop.Secret.Item", "SetSecret", &(secret,)).expect("set");
    }

    /// Stands where the desktop's password dialogue would, and counts who asks for it. It dismisses every question.
    pub(crate) fn prompter(&self) -> Arc<AtomicUsize> {
        let asked = Arc::new(AtomicUsize::new(0));
        let (counter, connection) = (asked.clone(), self.connection.clone());
        let named = self.connection.request_name("org.gnome.keyring.SystemPrompter");
        self.block_on(named).expect("the name");
        let mut messages = MessageStream::from(&connection);
        self.spawn(async move {
            while let Some(Ok(message)) = messages.next().await {
                let header = message.header();
                if message.message_type() == Type::MethodCall
                    && header.interface().is_some_and(|name| name.as_str() == "org.gnome.keyring.internal.Prompter")
                {
                    counter.fetch_add(1, Ordering::SeqCst);
                    let refusal = connection.reply_error(&header, "org.freedesktop.DBus.Error.Failed", &"no");
                    refusal.await.expect("a reply");
                }
            }
        });
        asked
    }

    fn call(
        &self,
        name: &str,
        path: &str,
        interface: &str,
        method: &str,
        body: &(impl serde::Serialize + zbus::zvariant::DynamicType),
    ) -> zbus::Result<Message> {
        self.block_on(self.connection.call_method(Some(name), path, Some(interface), method, body))
    }
}

async fn connect(socket: &Path) -> Connection {
    let stream = tokio::net::UnixStream::connect(socket).await.expect("the bus");
    zbus::connection::Builder::unix_stream(stream).build().await.expect("a connection")
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// gnome-keyring, while it runs.
pub(crate) struct Keyring(Child);

impl Keyring {
    pub(crate) fn kill(mut self) {
        self.0.kill().expect("kill");
        self.0.wait().expect("its end");
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What becomes of a connection once it has carried so many messages to the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// It is closed.
    Cut,
    /// It stays, and nothing comes through any more.
    Silent,
}

/// Listens beside a bus, in place of whoever did before, and lets every connection carry so many messages to it. The
/// receiver is told when one more comes.
pub(crate) fn faulty_wire(bus: &Bus, socket: &str, messages: usize, then: Then) -> (PathBuf, Receiver<()>) {
    let path = bus.folder.join(socket);
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).expect("a socket");
    let (target, (tell, told)) = (bus.socket.clone(), channel());
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(bus) = UnixStream::connect(&target) else { return };
            let (answers, back) = (bus.try_clone().expect("a socket"), client.try_clone().expect("a socket"));
            std::thread::spawn(move || carry(answers, &back, usize::MAX, Then::Cut, &channel().0));
            let tell = tell.clone();
            std::thread::spawn(move || carry(client, &bus, messages, then, &tell));
        }
    });
    (path, told)
}

fn carry(mut from: UnixStream, mut to: &UnixStream, mut messages: usize, then: Then, tell: &Sender<()>) {
    // A message of D-Bus is written at once, and is far shorter.
    let mut buffer = vec![0; 256 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if messages == 0 {
            let _ = tell.send(());
            match then {
                Then::Cut => break,
                Then::Silent => continue,
            }
        }
        messages -= 1;
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
