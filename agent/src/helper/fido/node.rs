//! The hidraw node of a device.

use super::status;
use crate::device::Error;
use ctap_hid_fido2::{Cfg, FidoKeyHid, FidoKeyHidFactory, HidParam};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How often the lock, and then a channel, is tried for: 700 ms and 300 ms where another program has the node, or the
/// device is busy with it. The agent waits little longer.
const TRIES: (usize, usize) = (35, 15);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(20);
/// Bytes of a report (CTAP 2.1, section 11.2.8.1).
const REPORT: usize = 64;
/// The channel on which others are asked for (CTAP 2.1, section 11.2.3).
const BROADCAST: [u8; 4] = [0xff; 4];
/// Most reports that wait for a reader: as many as the kernel keeps for each.
const REPORTS: usize = 64;
/// CTAPHID_CANCEL (CTAP 2.1, section 11.2.9.1.5).
const CANCEL: u8 = 0x91;

/// The node, locked as libfido2 locks it: other programs' answers would be taken for ours.
#[derive(Clone)]
pub(super) struct Node {
    path: String,
    file: Arc<File>,
}

impl Node {
    /// The lock, once nobody else has it. It ends with the value.
    pub(super) fn lock(path: &str) -> Result<Self, Error> {
        let file = open(path)?;
        for _ in 0..TRIES.0 {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { path: path.to_owned(), file: Arc::new(file) }),
                Err(Errno::WOULDBLOCK | Errno::INTR) => std::thread::park_timeout(PAUSE),
                Err(_) => return Err(Error::Gone),
            }
        }
        Err(Error::Held(None))
    }

    /// Lets others have the node, which stays open.
    pub(super) fn unlock(&self) {
        let _ = rustix::fs::flock(&*self.file, FlockOperation::Unlock);
    }

    /// Opens the device, and a channel to it. Who does not lock it may have it for a moment, or be heard instead of it.
    pub(super) fn open(&self) -> Result<([u8; 4], FidoKeyHid), Error> {
        let mut configuration = Cfg::init();
        configuration.enable_keep_alive_msg = false;
        configuration.use_pre_credential_management = false;
        let mut failed = Error::Held(None);
        for _ in 0..TRIES.1 {
            let path = HidParam::Path(self.path.clone());
            let opened = FidoKeyHidFactory::create_by_params(&[path], &configuration);
            match opened.and_then(|key| Ok((key.get_cid()?, key))) {
                Ok(opened) => return Ok(opened),
                Err(_) if self.is_gone() => return Err(Error::Gone),
                Err(error) => failed = status::error(&error),
            }
            std::thread::park_timeout(PAUSE);
        }
        Err(failed)
    }

    /// Whether the device was pulled.
    pub(super) fn is_gone(&self) -> bool {
        let mut ends = [PollFd::new(&*self.file, PollFlags::IN)];
        let hung = poll(&mut ends, Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok()
            && ends.iter().any(|end| end.revents().intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL));
        hung || !Path::new(&self.path).exists()
    }

    /// The node that is open, whatever its path means by now; None where it is no device of the kernel.
    pub(super) fn device(&self) -> Option<String> {
        let is_device = self.file.metadata().is_ok_and(|metadata| metadata.file_type().is_char_device());
        is_device.then(|| format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }

    /// Whether answers on other channels have come since the node was locked: another program, which locks nothing, spoke
    /// to the device at the same time. The crate takes whatever comes for its own.
    pub(super) fn heard_another(&self, channel: [u8; 4]) -> bool {
        let is_own = |report: &[u8; REPORT]| {
            // Or what gave us the channel: a nonce of eight bytes stands before it.
            let given = report.get(15..19).filter(|_| report.first_chunk() == Some(&BROADCAST));
            report.first_chunk() == Some(&channel) || given == Some(&channel)
        };
        !self.waiting_reports().iter().all(is_own)
    }

    /// Takes what has been sent to whoever has the node open, and not been read.
    fn waiting_reports(&self) -> Vec<[u8; REPORT]> {
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut reports = Vec::new();
        while reports.len() < REPORTS {
            let mut ends = [PollFd::new(&*self.file, PollFlags::IN)];
            let is_waiting =
                poll(&mut ends, Some(&now)).is_ok() && ends.iter().all(|end| end.revents() == PollFlags::IN);
            let mut report = [0; REPORT];
            if !is_waiting || (&*self.file).read_exact(&mut report).is_err() {
                break;
            }
            reports.push(report);
        }
        reports
    }

    /// What gives up the command in hand on a channel. The crate's own way waits for the device to say something.
    pub(super) fn cancel(&self, channel: [u8; 4]) -> Cancel {
        Cancel { file: self.file.clone(), channel }
    }
}

/// Gives up a command.
pub(super) struct Cancel {
    file: Arc<File>,
    channel: [u8; 4],
}

impl Cancel {
    pub(super) fn send(&self) {
        let [a, b, c, d] = self.channel;
        let mut report = vec![0, a, b, c, d, CANCEL];
        // A report number, and as many bytes as a report has.
        report.resize(65, 0);
        drop((&*self.file).write_all(&report));
    }
}

fn open(path: &str) -> Result<File, Error> {
    OpenOptions::new().read(true).write(true).open(path).map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => Error::NotPermitted,
        ErrorKind::ResourceBusy => Error::Held(None),
        _ => Error::Gone,
    })
}
