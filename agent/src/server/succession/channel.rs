//! Packets between two agents.

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout, socket_peercred};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;
use zeroize::Zeroizing;

/// Longest packet in bytes. What is passed on is a few hundred bytes each; a thousand would be a mistake already.
const PACKET_LIMIT: usize = 64 * 1024;

/// A named piece of what one agent passes to the next.
pub struct Packet {
    /// What it is. One that is not known is passed over.
    pub name: String,
    /// Its content, wiped after use.
    pub bytes: Zeroizing<Vec<u8>>,
    /// A descriptor that belongs to it.
    pub descriptor: Option<OwnedFd>,
}

impl Packet {
    /// Most bytes that its name and its content may have together.
    pub const LIMIT: usize = PACKET_LIMIT;
}

/// One end of the pair.
pub(super) struct Channel(OwnedFd);

impl Channel {
    /// A pair: this end, and the one for the successor. Sending by this end fails where the other reads nothing for so
    /// long: nobody is served meanwhile.
    pub(super) fn pair(limit: Duration) -> io::Result<(Self, OwnedFd)> {
        let (own, other) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        set_socket_timeout(&own, Timeout::Send, Some(limit))?;
        Ok((Self(own), other))
    }

    /// The end that this process was started with. Refuses anything but a socket whose other end was made by this
    /// process's parent, of the same user.
    pub(super) fn inherited(end: OwnedFd) -> io::Result<Self> {
        let peer = socket_peercred(&end)?;
        let parent = rustix::process::getppid();
        if Some(peer.pid) != parent || peer.uid != rustix::process::geteuid() {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "not a socket from the agent that started this",
            ));
        }
        Ok(Self(end))
    }

    #[cfg(test)]
    pub(super) fn unchecked(end: OwnedFd) -> Self {
        Self(end)
    }

    /// Sends a packet; the other end gets a descriptor of its own.
    pub(super) fn send(&self, name: &str, bytes: &[u8], descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let name = [name.as_bytes(), b"\n"].concat();
        if name.len().saturating_add(bytes.len()) > PACKET_LIMIT {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors: Vec<BorrowedFd<'_>> = descriptor.into_iter().collect();
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let parts = [IoSlice::new(&name), IoSlice::new(bytes)];
        loop {
            match sendmsg(&self.0, &parts, &mut control, SendFlags::NOSIGNAL) {
                Err(Errno::INTR) => {}
                // A packet goes whole or not at all (unix(7)).
                sent => return sent.map(drop).map_err(Into::into),
            }
        }
    }

    /// Waits for a packet: for ever, or so long. `UnexpectedEof` where the other end is closed.
    pub(super) fn receive(&self, limit: Option<Duration>) -> io::Result<Packet> {
        set_socket_timeout(&self.0, Timeout::Recv, limit)?;
        let mut buffer = Zeroizing::new(vec![0; PACKET_LIMIT]);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let mut parts = [IoSliceMut::new(&mut buffer)];
            match recvmsg(&self.0, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(Errno::INTR) => {}
                received => break received?,
            }
        };
        let descriptor = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let packet = buffer.get(..received.bytes).filter(|packet| !packet.is_empty());
        let packet = packet.ok_or(io::ErrorKind::UnexpectedEof)?;
        let end = packet.iter().position(|byte| *byte == b'\n').ok_or(io::ErrorKind::InvalidData)?;
        let (name, bytes) = packet.split_at(end);
        let name = String::from_utf8(name.to_vec()).map_err(|_| io::ErrorKind::InvalidData)?;
        let bytes = Zeroizing::new(bytes.get(1..).unwrap_or_default().to_vec());
        Ok(Packet { name, bytes, descriptor })
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::{Channel, PACKET_LIMIT};
    use std::io::{ErrorKind, Read, Write};
    use std::os::fd::AsFd;
    use std::time::Duration;

    const LIMIT: Duration = Duration::from_millis(1);

    fn pair() -> (Channel, Channel) {
        let (one, other) = Channel::pair(LIMIT).unwrap();
        (one, Channel(other))
    }

    #[test]
    fn packets_arrive_whole_with_their_descriptors() {
        let (one, other) = pair();
        let (mut reader, writer) = std::io::pipe().unwrap();
        one.send("plain", b"", None).unwrap();
        one.send("lines", b"a\nb\n", Some(writer.as_fd())).unwrap();
        drop(writer);
        let plain = other.receive(None).unwrap();
        assert!(plain.name == "plain" && plain.bytes.is_empty() && plain.descriptor.is_none());
        let lines = other.receive(None).unwrap();
        assert_eq!((lines.name.as_str(), lines.bytes.as_slice()), ("lines", &b"a\nb\n"[..]));
        let mut passed = std::fs::File::from(lines.descriptor.unwrap());
        assert!(rustix::io::fcntl_getfd(&passed).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        passed.write_all(b"through").unwrap();
        drop(passed);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
    }

    #[test]
    fn an_end_silence_and_excess_are_errors() {
        let (one, other) = pair();
        let most = vec![7; PACKET_LIMIT - 2];
        one.send("x", &most, None).unwrap();
        assert_eq!(other.receive(None).unwrap().bytes.len(), most.len());
        assert_eq!(one.send("xx", &most, None).unwrap_err().kind(), ErrorKind::FileTooLarge);
        let silent = other.receive(Some(Duration::from_millis(1))).map(|_| ()).unwrap_err();
        assert_eq!(silent.kind(), ErrorKind::WouldBlock);
        rustix::net::send(&one, b"no newline", rustix::net::SendFlags::empty()).unwrap();
        assert_eq!(other.receive(None).map(|_| ()).unwrap_err().kind(), ErrorKind::InvalidData);
        drop(one);
        assert_eq!(other.receive(None).map(|_| ()).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn an_end_that_reads_nothing_holds_nobody_up() {
        let (one, other) = pair();
        let failed = loop {
            if let Err(error) = one.send("x", &[7; 1024], None) {
                break error;
            }
        };
        assert_eq!(failed.kind(), ErrorKind::WouldBlock);
        drop(other);
    }

    #[test]
    fn a_pair_of_another_process_is_refused() {
        let (_, other) = Channel::pair(LIMIT).unwrap();
        // Made by this process, which is not its own parent.
        assert_eq!(Channel::inherited(other).map(|_| ()).unwrap_err().kind(), ErrorKind::PermissionDenied);
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(Channel::inherited(file.into()).is_err());
    }
}
