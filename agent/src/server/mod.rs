//! The doors: the control socket, the endpoints, and what stands behind them.
//!
//! A connection is a task; so is each request on it. [`dispatch`](Server) is the one place that knows every office
//! and job, [`fault`] the one place where a room's error becomes a wire fault.

mod asked;
mod card;
mod control;
mod conversation;
mod desktop;
mod dispatch;
mod endpoint;
mod explain;
mod fault;
mod instance;
mod line;
pub mod listen;
mod lock;
#[cfg(test)]
mod mutations;
mod peer;
mod record;
mod restart;
mod settings;
mod slots;
pub mod ssh;
mod status;
pub mod succession;

pub use endpoint::Endpoints;
pub(crate) use record::RecordAnchor;
pub use settings::Settings;

#[cfg(any(test, feature = "test-seams"))]
pub use fault::seams as fault_seams;

use crate::audit::{Entry, Event, Journal};
use crate::aws::AwsFiles;
use crate::config::Config;
use crate::device::Devices;
use crate::keyring::KeyStore;
use crate::prompt::Prompts;
use crate::session::{Limits, Office};
use crate::vault::Custody;
use crate::world::World;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize};
use succession::Succession;
use tokio::sync::{Notify, watch};

/// Most connections at once. A thousand tools may start together; beyond twice that, something is wrong.
const CONNECTIONS_LIMIT: usize = 2048;
/// Most requests in hand on one connection: a tray and a script want a few.
const REQUESTS_LIMIT: usize = 64;
/// Lines waiting for a client that reads slowly; a request waits for room before it begins, so a stuck client holds
/// only itself, and little memory.
const OUTBOX_LINES: usize = 8;
/// Lines that wait are written together up to about this: an answer follows its greeting in one write.
const WRITE_BYTES: usize = 16 * 1024;
/// A client that has not greeted within this is gone: it would hold a place that another may need.
const GREETING_MILLIS: u64 = 30_000;
/// A client that does not take a line within this is gone.
const WRITE_MILLIS: u64 = 30_000;
/// Profiles in one reply: a row is some 200 bytes, and a line 256 KiB.
const PROFILES_PAGE: usize = 250;
/// Longest `wait` a request may ask for: past an hour nobody is waiting any more.
const WAIT_LIMIT_SECONDS: u64 = 3600;
/// How long a stop or a restart waits for the requests in hand.
const DRAIN_MILLIS: u64 = 5_000;
/// How long an end waits until what has been sent to it is answered.
const CLOSE_MILLIS: u64 = 1_000;

/// Everything a request can reach.
pub struct Server {
    pub(crate) world: World,
    pub(crate) settings: Arc<Settings>,
    pub(crate) files: AwsFiles,
    /// The user's home, where `.ssh` is.
    home: PathBuf,
    pub(crate) custody: Arc<Custody>,
    pub(crate) office: Arc<Office>,
    desktop: desktop::Desktop,
    /// The SSH agent.
    pub(crate) ssh: Arc<ssh::Door>,
    /// What the cards that are plugged in have told of their keys.
    cards: card::KnownCards,
    /// Questions to a person: `prompts.confirm(&Question { … })`.
    pub(crate) prompts: Arc<Prompts>,
    /// The open endpoints.
    pub endpoints: Endpoints,
    /// What happens is recorded here: `journal.note(Entry::new(…))`, or `journal.begin` before an act.
    pub(crate) journal: Arc<Journal>,
    activity: Activity,
    /// Held by whoever makes or rotates key pairs: what one has begun, no other takes for left behind.
    keypairs: tokio::sync::Mutex<()>,
    edits: dispatch::Edits,
    pub(crate) succession: Succession,
    phase: watch::Sender<Phase>,
}

/// What the roof has built for the doors.
pub struct Rooms {
    /// The settings, and the files they come from.
    pub settings: Arc<Settings>,
    /// The AWS files.
    pub files: AwsFiles,
    /// The user's home.
    pub home: PathBuf,
    /// The vault.
    pub custody: Arc<Custody>,
    /// The sessions.
    pub office: Arc<Office>,
    /// The desktop's keyring.
    pub keyring: Arc<dyn KeyStore>,
    /// The audit record.
    pub journal: Arc<Journal>,
    /// Questions to a person.
    pub prompts: Arc<Prompts>,
    /// Folders that may hold sockets and token files, best first.
    pub run_folders: Vec<PathBuf>,
    /// What a restart needs.
    pub succession: Succession,
}

/// Where the agent is on its way to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It takes requests.
    Serving,
    /// A restart: no new request is taken, those in hand are answered.
    Pausing,
    /// A restart: all is on its way to the successor, and what is still in hand is cut off.
    Passing,
    /// Another process serves.
    HandedOver,
    /// It was told to stop.
    Stopping,
    /// Nothing is in hand any more: what a client has sent is answered, and it can send no more.
    Closing,
}

/// What the idle lock and the stop look at.
struct Activity {
    /// Boot clock of the last request, in milliseconds.
    last: AtomicU64,
    /// What the clock said of the machine's sleep when that was last looked at, in milliseconds.
    slept: AtomicI64,
    /// Held while it is locked because that was due.
    locking: tokio::sync::Mutex<()>,
    /// Somebody is at that.
    closing: AtomicBool,
    connections: AtomicUsize,
    requests: AtomicUsize,
    /// Connections to the endpoints.
    answers: AtomicUsize,
    /// The vault was opened or locked, or `[lock] idle` changed: the idle watch begins again.
    wake: Notify,
    /// A request or a connection ended.
    quiet: Notify,
}

impl Server {
    /// A server that nobody can reach yet.
    pub fn new(world: World, rooms: Rooms) -> Arc<Self> {
        let Rooms { settings, files, home, custody, office, keyring, journal, prompts, run_folders, succession } =
            rooms;
        journal.note(Entry::new(Event::AgentStart));
        let activity = Activity {
            last: AtomicU64::new(world.clock.boot().0),
            slept: AtomicI64::new(world.clock.slept_millis()),
            locking: tokio::sync::Mutex::default(),
            closing: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            answers: AtomicUsize::new(0),
            wake: Notify::new(),
            quiet: Notify::new(),
        };
        let phase = watch::Sender::new(Phase::Serving);
        let endpoints = Endpoints::new(world.clone(), run_folders, journal.clone());
        let desktop = desktop::Desktop::new(keyring);
        let edits = dispatch::Edits::default();
        let ssh = ssh::Door::new(world.clone(), home.clone(), prompts.clone(), None);
        Arc::new(Self {
            world,
            settings,
            files,
            home,
            custody,
            office,
            desktop,
            ssh,
            cards: card::KnownCards::default(),
            keypairs: tokio::sync::Mutex::default(),
            prompts,
            endpoints,
            journal,
            activity,
            edits,
            succession,
            phase,
        })
    }

    /// The hardware, which the office has.
    fn devices(&self) -> &Arc<Devices> {
        &self.office.hardware().devices
    }

    /// The settings of the office.
    pub fn limits(config: &Config) -> Limits {
        Limits {
            presence_millis: config.presence_millis,
            session_seconds: config.session_seconds,
            region: config.region.clone(),
        }
    }

    /// What config.toml says; of its security settings only the accepted ones count.
    pub(crate) fn config(&self) -> Arc<Config> {
        self.settings.config()
    }

    /// Follows config.toml where it has changed.
    fn refresh_settings(&self) {
        let Some(config) = self.settings.refresh(&self.world.clock) else { return };
        self.office.set_limits(Self::limits(&config));
        self.files.set_paths(config.aws_config_file.clone(), config.aws_credentials_file.clone());
        self.activity.wake.notify_one();
        self.desktop.settings_changed.notify_one();
        tracing::info!("config.toml was read anew");
    }

    /// Begins the stop: no new request is taken. Comes too late where another process serves already.
    pub fn stop(&self) {
        self.phase.send_if_modified(|phase| {
            let stops = matches!(phase, Phase::Serving | Phase::Pausing | Phase::Passing);
            if stops {
                *phase = Phase::Stopping;
            }
            stops
        });
    }

    /// Whether another process has taken this one's place.
    pub fn is_handed_over(&self) -> bool {
        *self.phase.borrow() == Phase::HandedOver
    }

    /// Whether what this agent holds is on its way to another process, or there.
    fn is_passing(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Passing | Phase::HandedOver)
    }

    /// Goes from one phase to another; false where the first was over already.
    fn enter(&self, from: Phase, to: Phase) -> bool {
        self.phase.send_if_modified(|phase| {
            let there = *phase == from;
            if there {
                *phase = to;
            }
            there
        })
    }

    /// Returns once the agent is in a phase like this.
    async fn until(&self, wanted: impl Fn(Phase) -> bool) {
        let mut phase = self.phase.subscribe();
        drop(phase.wait_for(|phase| wanted(*phase)).await);
    }
}
