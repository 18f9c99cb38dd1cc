//! systemd-logind on the system bus (org.freedesktop.login1): when the machine sleeps, and when the screen is locked.
//!
//! Tells, and decides nothing. Only what logind itself sends counts: on the system bus every user may send a signal to
//! any connection. No bus, or no logind on it, is no error: then nothing is told. There is no timer in here.

use crate::world::Clock;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use zbus::message::Type;
use zbus::names::OwnedUniqueName;
use zbus::zvariant::{OwnedFd as SentFd, OwnedObjectPath, OwnedValue};
use zbus::{Connection, Message, MessageStream};

/// The socket of the system bus (D-Bus specification, system message bus). Its variable is not obeyed.
pub const SYSTEM_BUS: &str = "/run/dbus/system_bus_socket";

/// Longest wait for an answer of the bus or of logind.
const ANSWER_MILLIS: u64 = 3_000;
const NAME: &str = "org.freedesktop.login1";
const MANAGER_PATH: &str = "/org/freedesktop/login1";
const MANAGER: &str = "org.freedesktop.login1.Manager";
const SESSION: &str = "org.freedesktop.login1.Session";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const BUS: &str = "org.freedesktop.DBus";

/// What logind tells.
#[derive(Debug)]
pub enum Event {
    /// The machine is awake again.
    Awake,
    /// It goes to sleep, as soon as this is dropped or five seconds have passed.
    Sleep(SleepDelay),
    /// A session of this user is locked, or was asked to lock.
    ScreenLocked(SessionPath),
    /// It is unlocked, or has ended.
    ScreenUnlocked(SessionPath),
}

/// Holds the machine awake for a moment.
#[derive(Debug, Default)]
pub struct SleepDelay {
    _lock: Option<OwnedFd>,
}

/// Names a session of logind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SessionPath(String);

/// What is worth telling. Where it is nothing, there is no need to watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interest {
    /// Sleep; takes a delay inhibitor lock.
    pub suspend: bool,
    /// The screen lock.
    pub screen: bool,
}

/// Why nothing is told, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bus was there and has closed the connection.
    #[error("the system bus has gone")]
    Gone,
    /// There is no bus, or it does not take this connection.
    #[error("there is no system bus")]
    NoBus,
    /// The bus or logind did not do what it was asked.
    #[error("logind failed")]
    Refused(#[from] zbus::Error),
    /// No answer in time.
    #[error("no answer in time")]
    TimedOut,
}

/// logind, for one user.
pub struct Logind {
    socket: PathBuf,
    uid: u32,
    clock: Arc<dyn Clock>,
}

impl Logind {
    /// The logind on the bus at this socket; nothing is connected yet.
    pub fn new(socket: &Path, uid: u32, clock: Arc<dyn Clock>) -> Self {
        Self { socket: socket.to_owned(), uid, clock }
    }

    /// Tells what happens until the bus has gone or the receiver is dropped; first what is already so.
    pub async fn watch(&self, interest: Interest, tell: &mpsc::Sender<Event>) -> Result<(), Error> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|_| Error::NoBus)?;
        let building = async { Ok(zbus::connection::Builder::unix_stream(stream).build().await?) };
        let bus = self.within(building).await.map_err(|_| Error::NoBus)?;
        let mut messages = MessageStream::from(&bus);
        let (owner, delay, locked) = (None, SleepDelay::default(), HashMap::new());
        let mut watch = Watch { logind: self, interest, bus, owner, delay, locked, tell };
        watch.begin().await?;
        while let Some(message) = messages.next().await {
            let Ok(message) = message else { break };
            if tell.is_closed() {
                return Ok(());
            }
            watch.hear(&message).await;
        }
        Err(Error::Gone)
    }

    async fn within<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let deadline = self.clock.boot().plus_millis(ANSWER_MILLIS);
        tokio::select! {
            biased;
            result = work => result,
            () = self.clock.sleep_until(deadline) => Err(Error::TimedOut),
        }
    }
}

/// A connection under watch.
struct Watch<'a> {
    logind: &'a Logind,
    interest: Interest,
    bus: Connection,
    /// The connection that is logind now.
    owner: Option<OwnedUniqueName>,
    delay: SleepDelay,
    /// The sessions of this user that have been told, and whether they are locked.
    locked: HashMap<SessionPath, bool>,
    tell: &'a mpsc::Sender<Event>,
}

impl Watch<'_> {
    async fn begin(&mut self) -> Result<(), Error> {
        let Interest { suspend, screen } = self.interest;
        self.listen(&format!("sender='{BUS}',interface='{BUS}',member='NameOwnerChanged',arg0='{NAME}'")).await?;
        if suspend {
            self.listen(&format!("sender='{NAME}',interface='{MANAGER}',member='PrepareForSleep'")).await?;
        }
        if screen {
            self.listen(&format!("sender='{NAME}',interface='{MANAGER}',member='SessionRemoved'")).await?;
            self.listen(&format!("sender='{NAME}',interface='{SESSION}'")).await?;
            self.listen(&format!("sender='{NAME}',interface='{PROPERTIES}',arg0='{SESSION}'")).await?;
        }
        let owner = self.call::<OwnedUniqueName>(BUS, "/org/freedesktop/DBus", BUS, "GetNameOwner", &NAME).await;
        self.meet(owner.ok()).await;
        Ok(())
    }

    async fn listen(&self, rule: &str) -> Result<(), Error> {
        self.call::<()>(BUS, "/org/freedesktop/DBus", BUS, "AddMatch", &rule).await
    }

    /// logind has come, has been restarted, or has gone.
    async fn meet(&mut self, owner: Option<OwnedUniqueName>) {
        self.owner = owner;
        if self.owner.is_none() {
            return;
        }
        if self.interest.suspend {
            self.delay_sleep().await;
        }
        if self.interest.screen {
            type Listed = (String, u32, String, String, OwnedObjectPath);
            let sessions = self.call::<Vec<Listed>>(NAME, MANAGER_PATH, MANAGER, "ListSessions", &()).await;
            for (_, uid, _, _, path) in sessions.unwrap_or_default() {
                if uid == self.logind.uid {
                    self.look(path.as_str()).await;
                }
            }
        }
    }

    async fn hear(&mut self, message: &Message) {
        if message.message_type() != Type::Signal {
            return;
        }
        let header = message.header();
        let (Some(sender), Some(interface), Some(member)) = (header.sender(), header.interface(), header.member())
        else {
            return;
        };
        let (interface, member) = (interface.as_str(), member.as_str());
        let path = header.path().map(|path| path.as_str().to_owned()).unwrap_or_default();
        if sender.as_str() == BUS && member == "NameOwnerChanged" {
            if let Ok((NAME, _, owner)) = message.body().deserialize::<(&str, &str, &str)>() {
                let owner = OwnedUniqueName::try_from(owner.to_owned()).ok();
                self.meet(owner).await;
            }
        } else if self.owner.as_ref().is_some_and(|owner| owner.as_str() == sender.as_str()) {
            match (interface, member) {
                (MANAGER, "PrepareForSleep") => match message.body().deserialize::<bool>() {
                    Ok(true) => {
                        let delay = std::mem::take(&mut self.delay);
                        self.say(Event::Sleep(delay)).await;
                    }
                    Ok(false) => {
                        self.say(Event::Awake).await;
                        self.delay_sleep().await;
                    }
                    Err(_) => {}
                },
                (MANAGER, "SessionRemoved") => {
                    if let Ok((_, path)) = message.body().deserialize::<(&str, OwnedObjectPath)>() {
                        let session = SessionPath(path.as_str().to_owned());
                        if self.locked.remove(&session) == Some(true) {
                            self.say(Event::ScreenUnlocked(session)).await;
                        }
                    }
                }
                (SESSION, "Lock") if self.is_ours(&path).await => self.tell_lock(path, true).await,
                (SESSION, "Unlock") if self.is_ours(&path).await => self.tell_lock(path, false).await,
                (PROPERTIES, "PropertiesChanged") if names_locked_hint(message) && self.is_ours(&path).await => {
                    self.look(&path).await;
                }
                _ => {}
            }
        }
    }

    /// Whether a session is this user's. One that cannot be asked is: a lock too many is better than one too few.
    async fn is_ours(&self, path: &str) -> bool {
        if self.locked.contains_key(&SessionPath(path.to_owned())) {
            return true;
        }
        let user = self.property(path, "User").await.and_then(|user| <(u32, OwnedObjectPath)>::try_from(user).ok());
        user.is_none_or(|(uid, _)| uid == self.logind.uid)
    }

    /// Tells a session's lock where it has changed.
    async fn look(&mut self, path: &str) {
        let hint = self.property(path, "LockedHint").await.and_then(|hint| bool::try_from(hint).ok());
        let known = self.locked.get(&SessionPath(path.to_owned())).copied();
        if let Some(locked) = hint.filter(|locked| known.unwrap_or(false) != *locked) {
            self.tell_lock(path.to_owned(), locked).await;
        } else if let (Some(locked), None) = (hint, known) {
            self.locked.insert(SessionPath(path.to_owned()), locked);
        }
    }

    async fn tell_lock(&mut self, path: String, locked: bool) {
        let session = SessionPath(path);
        self.locked.insert(session.clone(), locked);
        let event = if locked { Event::ScreenLocked(session) } else { Event::ScreenUnlocked(session) };
        self.say(event).await;
    }

    /// Takes a delay lock (Inhibit of the inhibitor lock documentation), so that there is time to lock the vault.
    async fn delay_sleep(&mut self) {
        let asked = ("sleep", "claviger", "The vault is locked first", "delay");
        match self.call::<SentFd>(NAME, MANAGER_PATH, MANAGER, "Inhibit", &asked).await {
            Ok(lock) => self.delay = SleepDelay { _lock: Some(lock.into()) },
            Err(error) => tracing::info!(%error, "sleep is not delayed until the vault is locked"),
        }
    }

    async fn property(&self, path: &str, name: &str) -> Option<OwnedValue> {
        self.call(NAME, path, PROPERTIES, "Get", &(SESSION, name)).await.ok()
    }

    async fn call<T>(
        &self,
        name: &str,
        path: &str,
        interface: &str,
        method: &str,
        body: &(impl Serialize + zbus::zvariant::DynamicType),
    ) -> Result<T, Error>
    where
        T: for<'d> zbus::zvariant::DynamicDeserialize<'d>,
    {
        let calling = async {
            let answer = self.bus.call_method(Some(name), path, Some(interface), method, body).await?;
            Ok(answer.body().deserialize::<T>()?)
        };
        self.logind.within(calling).await
    }

    async fn say(&self, event: Event) {
        drop(self.tell.send(event).await);
    }
}

/// Whether this change is about the lock: others must not undo a lock that was asked for and is not shown yet.
fn names_locked_hint(message: &Message) -> bool {
    type Changed<'a> = (&'a str, HashMap<&'a str, zbus::zvariant::Value<'a>>, Vec<&'a str>);
    let body = message.body();
    let Ok((_, changed, invalidated)) = body.deserialize::<Changed<'_>>() else { return false };
    changed.contains_key("LockedHint") || invalidated.contains(&"LockedHint")
}
