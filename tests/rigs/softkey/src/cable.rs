//! The cable to the bridge: a SOCK_SEQPACKET socket, one packet a report. bridge.c has the first words.

use crate::options::Options;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType, connect, recv, send,
    shutdown, socket_with,
};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;

/// Bytes of a report, each way.
pub(crate) const REPORT: usize = 64;

pub(crate) enum Event {
    Report([u8; REPORT]),
    /// The firmware is done: its answer, or the code of a CTAPHID error.
    Answer(Result<Vec<u8>, u8>),
    /// A hand pulls the key.
    Pulled,
    /// The bridge has closed its end.
    Gone,
}

pub(crate) struct Cable {
    socket: Arc<OwnedFd>,
    node: String,
}

impl Cable {
    /// Returns when the bridge has made the node.
    pub(crate) fn plug(options: &Options, events: &Sender<Event>) -> io::Result<Self> {
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        connect(&socket, &SocketAddrUnix::new(&options.bridge)?)?;
        let Options { vendor, product, serial, name, .. } = options;
        send(&socket, format!("{vendor:04x} {product:04x} {serial} {name}").as_bytes(), SendFlags::NOSIGNAL)?;
        let mut answer = [0; REPORT];
        let (size, _) = recv(&socket, &mut answer[..], RecvFlags::empty())?;
        if size == 0 {
            return Err(io::Error::other("the bridge has no room for the key"));
        }
        let node = String::from_utf8_lossy(&answer[..size]).into_owned();
        let socket = Arc::new(socket);
        let (reader, events) = (socket.clone(), events.clone());
        thread::spawn(move || {
            while let Some(report) = report(&reader) {
                if events.send(Event::Report(report)).is_err() {
                    return;
                }
            }
            let _ = events.send(Event::Gone);
        });
        Ok(Self { socket, node })
    }

    /// Its name under /dev.
    pub(crate) fn node(&self) -> &str {
        &self.node
    }

    pub(crate) fn send(&self, report: &[u8; REPORT]) {
        let _ = send(&self.socket, report, SendFlags::NOSIGNAL);
    }

    /// The bridge takes the node away, and then closes its end.
    pub(crate) fn pull(&self) {
        let _ = shutdown(&self.socket, Shutdown::Write);
    }
}

/// The next report as hidraw takes it, without the report number before it.
fn report(socket: &OwnedFd) -> Option<[u8; REPORT]> {
    let mut packet = [0; 1 + REPORT];
    let (size, _) = recv(socket, &mut packet[..], RecvFlags::empty()).ok()?;
    let mut report = [0; REPORT];
    report.copy_from_slice(&packet[1..]);
    (size > 0).then_some(report)
}
