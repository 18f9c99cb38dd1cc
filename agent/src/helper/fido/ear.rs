//! Whether a device still speaks, told to one who waits for its answer without a limit.
//!
//! A device that computes or waits for a touch says so each 100 ms (CTAP 2.1, section 11.2.9.1.7). The crate that waits for
//! its reports shows nothing of that, and a second reader of the node would take them from it where it is no hidraw. So the
//! system tells of each read instead: inotify's IN_ACCESS, on the node that is open.

use super::node::Node;
use crate::device::Error;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

/// How often it is looked whether the device has spoken. In between nothing is woken by its reports.
const LOOK: Duration = Duration::from_secs(1);
/// A look that is as late counts for nothing: the machine has no time for this process, and had none for what it hears.
const LATE: Duration = Duration::from_millis(1_100);
/// Looks in a row without a report: 2 to 3 s, twenty times what a device may say nothing. One that computes for longer
/// without a word, against its specification, is taken for mute.
const SILENT_LOOKS: u8 = 2;

/// Somebody listens, until this is dropped.
pub(super) struct Ear {
    /// The operation has ended, or the device was given up: what comes first counts.
    over: Arc<AtomicBool>,
    _awaited: mpsc::Sender<()>,
}

impl Ear {
    /// Listens to a device from here on. Where it falls silent, that is told, and the process ends. None where the system
    /// tells of no reads.
    pub(super) fn new(node: &Node, tell: impl Fn(Error) + Send + 'static) -> Option<Self> {
        let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
        inotify::add_watch(&events, node.device()?, WatchFlags::ACCESS).ok()?;
        let over = Arc::new(AtomicBool::new(false));
        let (awaited, end) = mpsc::channel();
        let (ended, node) = (over.clone(), node.clone());
        std::thread::spawn(move || {
            let mut silent = 0;
            while silent < SILENT_LOOKS {
                let begun = now();
                match end.recv_timeout(LOOK) {
                    Err(RecvTimeoutError::Timeout) if was_read(&events) => silent = 0,
                    Err(RecvTimeoutError::Timeout) if now().saturating_sub(begun) > LATE => {}
                    Err(RecvTimeoutError::Timeout) => silent += 1,
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
                }
            }
            if !ended.swap(true, Ordering::AcqRel) {
                tell(if node.is_gone() { Error::Gone } else { Error::TimedOut });
                // Nothing else ends the wait.
                std::process::exit(0)
            }
        });
        Some(Self { over, _awaited: awaited })
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        while self.over.swap(true, Ordering::AcqRel) {
            // It was told already, and the process ends.
            std::thread::park();
        }
    }
}

fn now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::try_from(time).unwrap_or_default()
}

/// Whether the node was read since the last look: equal events are one to the system, and few are left.
fn was_read(events: &OwnedFd) -> bool {
    let mut some = false;
    let mut buffer = [0; 1024];
    while rustix::io::read(events, &mut buffer).is_ok_and(|length| length > 0) {
        some = true;
    }
    some
}
