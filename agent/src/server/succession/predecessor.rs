//! The new agent's side: takes what the old one passes, and waits for its turn. Blocking.

use super::channel::{Channel, Packet};
use super::{END, FAILED, GO, PREPARED, READY, SERVING};
use claviger::wire::Fault;
use std::io;

/// Most packets that are taken: what an agent holds open is bounded far below.
const PACKETS_LIMIT: usize = 8192;

/// The agent that started this one in its place.
pub struct Predecessor(Channel);

impl Predecessor {
    /// Takes the channel from standard input. Refuses one that is not from this process's parent, of the same user.
    pub fn meet() -> io::Result<Self> {
        let end = rustix::stdio::stdin().try_clone_to_owned()?;
        let null = std::fs::File::open("/dev/null")?;
        rustix::stdio::dup2_stdin(&null)?;
        Channel::inherited(end).map(Self)
    }

    /// Says that this process protects itself and could serve, and takes all that is passed.
    pub fn receive(&self) -> io::Result<Vec<Packet>> {
        self.0.send(READY, format!("claviger-agent/{}", claviger::VERSION).as_bytes(), None)?;
        let mut packets = Vec::new();
        loop {
            match self.0.receive(None)? {
                packet if packet.name == END => return Ok(packets),
                _ if packets.len() >= PACKETS_LIMIT => return Err(io::ErrorKind::FileTooLarge.into()),
                packet => packets.push(packet),
            }
        }
    }

    /// Says that all is open, and returns once it is this process's turn: because the predecessor says so, or because it
    /// has ended. One that changes its mind kills this process instead.
    pub fn wait_for_turn(&self) -> io::Result<()> {
        // Also where the predecessor has just ended: then the answer below says so.
        drop(self.0.send(PREPARED, b"", None));
        match self.0.receive(None) {
            Ok(packet) if packet.name == GO => Ok(()),
            Ok(_) => Err(io::ErrorKind::InvalidData.into()),
            // Its descriptors are closed after its last thread has ended, so it serves no more.
            Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Says that this process serves. The predecessor may have ended.
    pub fn serving(self) {
        drop(self.0.send(SERVING, b"", None));
    }

    /// Says why this process does not take over.
    pub fn failed(&self, fault: &Fault) {
        if let Ok(fault) = serde_json::to_vec(fault) {
            drop(self.0.send(FAILED, &fault, None));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{END, GO, PREPARED, Predecessor, READY};
    use crate::server::succession::channel::Channel;

    fn pair() -> (Channel, Predecessor) {
        let (old, new) = Channel::pair(std::time::Duration::from_secs(1)).unwrap();
        // The check of the peer is `Predecessor::meet`'s.
        (old, Predecessor(Channel::unchecked(new)))
    }

    #[test]
    fn its_turn_comes_by_word_or_by_the_end_of_the_old_one_and_by_nothing_else() {
        let (old, new) = pair();
        old.send("one", b"1", None).unwrap();
        old.send(END, b"", None).unwrap();
        assert_eq!(new.receive().unwrap().len(), 1);
        assert_eq!(old.receive(None).unwrap().name, READY);
        old.send(GO, b"", None).unwrap();
        new.wait_for_turn().unwrap();
        assert_eq!(old.receive(None).unwrap().name, PREPARED);
        old.send("wait", b"", None).unwrap();
        assert!(new.wait_for_turn().is_err());
        drop(old);
        new.wait_for_turn().unwrap();
    }

    #[test]
    fn an_old_one_that_ends_while_it_passes_on_has_passed_nothing_on() {
        let (old, new) = pair();
        old.send("one", b"1", None).unwrap();
        drop(old);
        assert!(new.receive().is_err());
    }
}
