//! The doors: the control socket, and what stands behind it.
//!
//! A connection is a task; so is each request on it. [`dispatch`](Server) is the one place that knows every office
//! and job, [`fault`] the one place where a room's error becomes a wire fault.

mod control;
mod conversation;
mod dispatch;
mod explain;
mod fault;
mod line;
pub mod listen;
mod lock;
mod peer;
mod restart;
mod status;
pub mod succession;

#[cfg(any(test, feature = "test-seams"))]
pub use fault::seams as fault_seams;

use crate::aws::AwsFiles;
use crate::config::Config;
use crate::session::Office;
use crate::vault::Custody;
use crate::world::{Stamp, World};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use succession::Succession;
use tokio::sync::{Notify, watch};

/// Most connections at once. A thousand tools may start together; beyond twice that, something is wrong.
const CONNECTIONS_LIMIT: usize = 2048;
/// Most requests in hand on one connection: a tray and a script want a few.
const REQUESTS_LIMIT: usize = 64;
/// Lines waiting for a client that reads slowly; a request waits for room, so a stuck client holds only itself.
const OUTBOX_LINES: usize = 64;
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
    pub(crate) config: Config,
    pub(crate) files: AwsFiles,
    /// config.toml, and which version of it the agent runs by.
    config_file: (PathBuf, Option<Stamp>),
    pub(crate) custody: Arc<Custody>,
    pub(crate) office: Arc<Office>,
    activity: Activity,
    pub(crate) succession: Succession,
    phase: watch::Sender<Phase>,
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
    connections: AtomicUsize,
    requests: AtomicUsize,
    /// The vault was opened: the idle watch begins again.
    unlocked: Notify,
    /// A request or a connection ended.
    quiet: Notify,
}

impl Server {
    /// A server that nobody can reach yet.
    pub fn new(
        world: World,
        (config, config_file): (Config, PathBuf),
        files: AwsFiles,
        custody: Arc<Custody>,
        office: Arc<Office>,
        succession: Succession,
    ) -> Arc<Self> {
        let version = world.disk.stamp(&config_file).ok().flatten();
        let activity = Activity {
            last: AtomicU64::new(world.clock.boot().0),
            connections: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            unlocked: Notify::new(),
            quiet: Notify::new(),
        };
        let (config_file, phase) = ((config_file, version), watch::Sender::new(Phase::Serving));
        Arc::new(Self { world, config, files, config_file, custody, office, activity, succession, phase })
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
