//! The word that a device waits: to clients, and on a desktop that is played on a private bus.

use super::Desk;
use crate::ask::{Audience, Listener, Notice, Touch, Upcall};
use crate::prompt::{Programs, Prompts};
use crate::testing::FakeClock;
use crate::world::{SessionBus, WallTime};
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use zbus::zvariant::OwnedValue;

fn touch() -> Touch {
    Touch {
        device: "YubiKey (serial 1234)".to_owned(),
        purpose: "To log in as <ada> & co.".to_owned(),
        asked_by: "Asked by /usr/bin/ssh (pid 7).".to_owned(),
    }
}

#[tokio::test]
async fn everyone_who_waits_or_attends_is_told_until_it_is_over() {
    let desk = Desk::new();
    let prompts = desk.prompts(desk.programs());
    let (listener, mut upcalls) = Listener::new(false);
    let audience = Arc::new(Audience::of(listener));
    let mut attending = prompts.touches();
    let first = prompts.touch(&touch(), &audience);
    let news = attending.changed().await;
    let number = news.begun[0].0;
    assert_eq!((news.begun.as_slice(), news.over.len()), ([(number, Arc::new(touch()))].as_slice(), 0));
    assert!(
        matches!(upcalls.try_recv(), Ok(Upcall::Notice(Notice::TouchNeeded { touch: told, .. })) if *told == touch())
    );
    // One who comes late, to either, and a second device.
    let (late, mut late_upcalls) = Listener::new(false);
    audience.join(late);
    assert!(matches!(late_upcalls.try_recv(), Ok(Upcall::Notice(Notice::TouchNeeded { .. }))));
    let mut late = prompts.touches();
    assert_eq!(late.changed().await.begun.len(), 1);
    let second = prompts.touch(&touch(), &Arc::new(Audience::default()));
    assert_eq!(late.changed().await.begun.len(), 1);
    drop(first);
    for watcher in [&mut attending, &mut late] {
        assert_eq!(
            watcher.changed().await.over,
            if watcher.known.contains_key(&number) { vec![] } else { vec![number] }
        );
    }
    let over = |upcall| matches!(upcall, Ok(Upcall::Notice(Notice::TouchOver { number: ended })) if ended == number);
    assert!(over(upcalls.try_recv()) && over(late_upcalls.try_recv()));
    let (later, mut nothing) = Listener::new(false);
    audience.join(later);
    assert!(nothing.try_recv().is_err(), "it is over");
    drop(second);
    assert_eq!(late.changed().await.over.len(), 1);
}

#[test]
fn what_is_shown_is_plain() {
    let desk = Desk::new();
    // Without a runtime nothing goes to a desktop.
    let prompts = desk.prompts(desk.programs());
    prompts.set_desktop(SessionBus::Socket("/nowhere".into()));
    let hostile =
        Touch { device: "Yubi\u{1b}[2JKey".to_owned(), purpose: "x".repeat(1000), asked_by: "\u{202e}".to_owned() };
    let _notice = prompts.touch(&hostile, &Arc::default());
    let shown = prompts.touches.borrow().values().next().unwrap().clone();
    assert_eq!((shown.device.as_str(), shown.asked_by.as_str()), ("Yubi?[2JKey", "?"));
    assert_eq!(shown.purpose.chars().count(), 301);
}

/// A bus of its own.
pub(super) struct Bus {
    daemon: Child,
    pub(super) socket: PathBuf,
}

impl Bus {
    pub(super) fn start(folder: &Path) -> Self {
        let socket = folder.join("bus");
        let config = format!(
            "<busconfig><type>session</type><listen>unix:path={}</listen><auth>EXTERNAL</auth><policy context=\"default\">\
             <allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/><allow own=\"*\"/><allow user=\"*\"/>\
             </policy></busconfig>",
            socket.display()
        );
        let file = folder.join("bus.conf");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new("/usr/bin/dbus-daemon");
        command.arg(format!("--config-file={}", file.display())).args(["--nofork", "--print-address"]);
        let mut daemon = command.env_clear().stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut address).unwrap();
        assert!(address.starts_with("unix:path="), "dbus-daemon did not start: {address}");
        Self { daemon, socket }
    }

    async fn connect(&self) -> zbus::Connection {
        SessionBus::Socket(self.socket.clone()).connect().await.unwrap()
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// What a desktop is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    Shown { summary: String, body: String, urgency: u8 },
    Closed(u32),
}

/// The desktop's notifications, played.
struct Notifications {
    tell: UnboundedSender<Told>,
    last: u32,
}

#[zbus::interface(name = "org.freedesktop.Notifications")]
impl Notifications {
    #[expect(clippy::too_many_arguments, reason = "the specification's own")]
    fn notify(
        &mut self,
        app_name: &str,
        _replaces: u32,
        _icon: &str,
        summary: String,
        body: String,
        actions: Vec<String>,
        hints: HashMap<String, OwnedValue>,
        timeout: i32,
    ) -> u32 {
        assert!(app_name == "claviger" && actions.is_empty() && timeout > 0);
        let urgency = u8::try_from(&hints["urgency"]).unwrap();
        self.tell.send(Told::Shown { summary, body, urgency }).unwrap();
        self.last += 1;
        self.last
    }

    fn close_notification(&self, number: u32) {
        self.tell.send(Told::Closed(number)).unwrap();
    }
}

/// Plays the desktop on a bus.
pub(super) async fn desktop(bus: &Bus) -> (zbus::Connection, UnboundedReceiver<Told>) {
    let (tell, told) = unbounded_channel();
    let connection = bus.connect().await;
    let served = connection.object_server().at("/org/freedesktop/Notifications", Notifications { tell, last: 40 });
    assert!(served.await.unwrap());
    connection.request_name("org.freedesktop.Notifications").await.unwrap();
    (connection, told)
}

fn prompts(bus: &Bus) -> (Arc<Prompts>, Arc<FakeClock>) {
    let clock = FakeClock::at(WallTime(1_800_000_000_000));
    clock.hold();
    let prompts = Prompts::new(clock.clone(), Programs::default());
    prompts.set_desktop(SessionBus::Socket(bus.socket.clone()));
    (prompts, clock)
}

#[tokio::test]
async fn the_desktop_shows_it_for_as_long_as_it_lasts() {
    let folder = tempfile::tempdir().unwrap();
    let bus = Bus::start(folder.path());
    let (_connection, mut told) = desktop(&bus).await;
    let (prompts, _clock) = prompts(&bus);
    let shown = || Told::Shown {
        summary: "Touch your YubiKey (serial 1234)".to_owned(),
        body: "To log in as &lt;ada&gt; &amp; co.\nAsked by /usr/bin/ssh (pid 7).".to_owned(),
        urgency: 2,
    };
    let notice = prompts.touch(&touch(), &Arc::default());
    assert_eq!(told.recv().await.unwrap(), shown());
    drop(notice);
    assert_eq!(told.recv().await.unwrap(), Told::Closed(41));
    // Four keys are shown at a time, and each closes its own.
    let notices: Vec<_> = (0..5).map(|_| prompts.touch(&touch(), &Arc::default())).collect();
    for _ in 0..4 {
        assert_eq!(told.recv().await.unwrap(), shown());
    }
    drop(notices);
    let mut closed = Vec::new();
    for _ in 0..4 {
        closed.push(told.recv().await.unwrap());
    }
    for number in 42..=45 {
        assert!(closed.contains(&Told::Closed(number)), "{closed:?}");
    }
    assert!(told.try_recv().is_err());
}

#[tokio::test]
async fn without_a_bus_or_a_desktop_on_it_nothing_fails() {
    let folder = tempfile::tempdir().unwrap();
    let bus = Bus::start(folder.path());
    let (prompts, _clock) = prompts(&bus);
    // No desktop: the next one shows what comes then.
    drop(prompts.touch(&touch(), &Arc::default()));
    let notice = prompts.touch(&touch(), &Arc::default());
    let (_connection, mut told) = desktop(&bus).await;
    drop(notice);
    let notice = prompts.touch(&touch(), &Arc::default());
    assert!(matches!(told.recv().await.unwrap(), Told::Shown { .. }));
    drop(bus);
    drop(notice);
    drop(prompts.touch(&touch(), &Arc::default()));
    assert_eq!(prompts.touches.borrow().len(), 0);
}
