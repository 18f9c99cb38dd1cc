//! The helper's end of the socketpair.

use crate::device::protocol::{Command, Report, frame, frame_length, parse};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use zeroize::Zeroizing;

/// What the agent says.
pub(super) struct Channel {
    stream: UnixStream,
    speaker: Speaker,
}

/// What the agent is told; any thread may.
#[derive(Clone)]
pub(super) struct Speaker(Arc<Mutex<UnixStream>>);

impl Channel {
    /// The socket on stdin; None where it is none.
    pub(super) fn inherited() -> Option<Self> {
        let stdin = std::io::stdin().as_fd().try_clone_to_owned().ok()?;
        rustix::net::sockopt::socket_type(&stdin).ok()?;
        let stream = UnixStream::from(stdin);
        let speaker = Speaker(Arc::new(Mutex::new(stream.try_clone().ok()?)));
        Some(Self { stream, speaker })
    }

    pub(super) fn speaker(&self) -> Speaker {
        self.speaker.clone()
    }

    /// The next command; None at the end, and where it is none.
    pub(super) fn hear(&mut self) -> Option<Command> {
        let mut header = [0; 4];
        self.stream.read_exact(&mut header).ok()?;
        let mut body = Zeroizing::new(vec![0; frame_length(header)?]);
        self.stream.read_exact(&mut body).ok()?;
        parse(&body).ok()
    }
}

impl Speaker {
    /// Tells the agent. Where it cannot be told it has gone, which the reader sees.
    pub(super) fn say(&self, report: &Report) {
        let Some(frame) = frame(report) else { return };
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(&frame));
    }
}
