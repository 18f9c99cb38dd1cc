//! A helper process and the socketpair to it.

use super::Error;
use super::protocol::{Command, Report, frame, frame_length, parse};
use crate::world::Running;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use zeroize::Zeroizing;

/// A helper that runs; killed when dropped.
pub(super) struct Process {
    stream: UnixStream,
    running: Running,
}

impl Process {
    /// Starts a helper and says its first word to it: with an empty environment, nothing on its streams but our
    /// socket, in a process group of its own.
    pub(super) async fn start(program: &Path, first: &Command) -> Result<Self, Error> {
        let (ours, theirs) = UnixStream::pair().map_err(|_| Error::HelperLost)?;
        let theirs = theirs.into_std().map_err(|_| Error::HelperLost)?;
        theirs.set_nonblocking(false).map_err(|_| Error::HelperLost)?;
        let mut command = std::process::Command::new(program);
        command.env_clear().current_dir("/");
        command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null());
        let running = Running::start(command).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::HelperMissing,
            _ => Error::HelperLost,
        })?;
        let mut process = Self { stream: ours, running };
        process.say(&frame(first).ok_or(Error::TooLarge)?).await?;
        Ok(process)
    }

    /// Ends it: what it remembers and holds is nobody's afterwards.
    pub(super) async fn end(self) {
        self.running.end().await;
    }

    /// Sends a frame.
    pub(super) async fn say(&mut self, frame: &[u8]) -> Result<(), Error> {
        self.stream.write_all(frame).await.map_err(|_| Error::HelperLost)
    }

    /// The next report. Whoever drops this before it is there has lost the process.
    pub(super) async fn hear(&mut self) -> Result<Report, Error> {
        let mut header = [0; 4];
        self.stream.read_exact(&mut header).await.map_err(|_| Error::HelperLost)?;
        let length = frame_length(header).ok_or(Error::HelperSpeech)?;
        let mut body = Zeroizing::new(vec![0; length]);
        self.stream.read_exact(&mut body).await.map_err(|_| Error::HelperLost)?;
        parse(&body)
    }
}
