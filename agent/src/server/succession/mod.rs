//! A planned restart: how a running agent passes what it holds to the process that takes its place.
//!
//! The two talk over a socket pair that nobody else has; the successor finds its end as its standard input. One
//! packet is a name, bytes and at most one descriptor ([`Packet`]):
//!
//! ```text
//! predecessor                          successor
//! starts it             ──────────▶    hardens itself, reads its configuration
//!                       ◀── ready      the old agent has served until here
//! takes no more work, ends what is in hand
//! socket lock …  end    ──────────▶    opens the vault
//!                       ◀── prepared
//! go                    ──────────▶    serves
//!                       ◀── serving
//! exits
//! ```
//!
//! Exactly one of them serves at any moment. The predecessor takes up its work again only once it has killed the
//! successor and seen it gone; the successor goes on by itself only once its predecessor's end is closed, which
//! happens with the predecessor's own end. What is passed goes by name, and a name that a version does not know is passed
//! over, so an upgrade and a downgrade work alike.

mod channel;
#[cfg(test)]
mod mutations;
mod predecessor;
mod program;
mod successor;

pub use channel::Packet;
pub use predecessor::Predecessor;
pub use program::Program;
pub(super) use program::Reach;
pub(super) use successor::Successor;

use super::listen::Way;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Successor to predecessor: it protects itself, and its configuration is in order.
const READY: &str = "ready";
/// The listening socket; its bytes are the path it was bound to here, none where systemd keeps it.
pub const SOCKET: &str = "socket";
/// The same of the SSH agent, where there is one.
pub const SSH_SOCKET: &str = "ssh_socket";
/// The lock of the one server.
pub const LOCK: &str = "lock";
/// Nothing more follows.
const END: &str = "end";
/// Successor to predecessor: all is open, and it waits for its turn.
const PREPARED: &str = "prepared";
/// It is the successor's turn.
const GO: &str = "go";
/// Successor to predecessor: it serves.
const SERVING: &str = "serving";
/// Successor to predecessor: a fault, as JSON, in the place of any of its words.
const FAILED: &str = "failed";

/// What an agent needs to be replaced.
pub struct Succession {
    /// Where its successor's program is.
    pub program: Program,
    /// The lock of the one server, by a second descriptor.
    pub lock: File,
    /// Whether it has left its terminal, as the successor will.
    pub detached: bool,
    control: Mutex<Option<Door>>,
    ssh: Mutex<Option<Door>>,
    /// One restart at a time.
    pub(super) turn: tokio::sync::Mutex<()>,
}

/// A listening socket, by a second descriptor.
pub(super) struct Door {
    pub(super) socket: OwnedFd,
    pub(super) bound: Option<PathBuf>,
}

impl Door {
    /// The path that it was bound to here; empty where systemd keeps it.
    pub(super) fn path(&self) -> &[u8] {
        self.bound.as_deref().map(|path| path.as_os_str().as_encoded_bytes()).unwrap_or_default()
    }
}

impl Succession {
    /// For an agent that was started from this program.
    pub fn new(program: Program, lock: File, detached: bool) -> Self {
        Self {
            program,
            lock,
            detached,
            control: Mutex::default(),
            ssh: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// Another program of this installation.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.program.beside(name)
    }

    /// The listening socket of a way, once there is one.
    pub(super) fn door(&self, way: Way) -> MutexGuard<'_, Option<Door>> {
        let door = match way {
            Way::Control => &self.control,
            Way::Ssh => &self.ssh,
        };
        door.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
