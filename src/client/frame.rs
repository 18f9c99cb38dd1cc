//! Bytes of lines, in memory that is wiped.

use super::gone;
use crate::wire::{Code, Fault, LINE_LIMIT};
use std::io::{self, ErrorKind, Read, Write};
use zeroize::Zeroizing;

/// Bytes that may hold a secret. Growing moves them and wipes the place they leave; so does the end.
pub struct WipedBuffer(Zeroizing<Vec<u8>>);

impl WipedBuffer {
    /// An empty buffer with room for so many bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(capacity)))
    }

    /// Adds bytes at the end.
    pub fn extend(&mut self, bytes: &[u8]) {
        let needed = self.0.len().saturating_add(bytes.len());
        if needed > self.0.capacity() {
            let mut larger = Vec::with_capacity(needed.max(self.0.capacity().saturating_mul(2)));
            larger.extend_from_slice(&self.0);
            self.0 = Zeroizing::new(larger);
        }
        self.0.extend_from_slice(bytes);
    }

    /// What it holds.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl Write for WipedBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What has come in and has not been read yet.
pub(super) struct Inbox {
    bytes: Zeroizing<Vec<u8>>,
    start: usize,
    end: usize,
}

impl Inbox {
    /// The greeting and credentials fit without growing. All of it is wiped at the end, so each page counts.
    const CAPACITY: usize = 4 * 1024;

    pub(super) fn new() -> Self {
        Self { bytes: Zeroizing::new(vec![0; Self::CAPACITY]), start: 0, end: 0 }
    }

    /// The next line, without its newline. `wire.too_long` past the protocol's limit, `agent.not_running` at the end,
    /// `request.timed_out` where the source has a time limit and it passes.
    pub(super) fn line(&mut self, source: &mut impl Read) -> Result<&[u8], Fault> {
        let mut searched = self.start;
        let newline = loop {
            let fresh = self.bytes.get(searched..self.end).unwrap_or_default();
            if let Some(offset) = fresh.iter().position(|&byte| byte == b'\n') {
                break searched.saturating_add(offset);
            }
            if self.end.saturating_sub(self.start) >= LINE_LIMIT {
                return Err(Fault::new(Code::WireTooLong, "the agent sent a line longer than the protocol allows"));
            }
            self.make_room();
            searched = self.end;
            let room = self.bytes.get_mut(self.end..).unwrap_or_default();
            match source.read(room) {
                Ok(0) => return Err(gone()),
                Ok(count) => self.end = self.end.saturating_add(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Err(Fault::new(Code::RequestTimedOut, "the agent did not answer in time"));
                }
                Err(_) => return Err(gone()),
            }
        };
        let line = self.start..newline;
        self.start = newline.saturating_add(1);
        Ok(self.bytes.get(line).unwrap_or_default())
    }

    /// Whether the next line is there already, or can be none.
    pub(super) fn has_line(&self) -> bool {
        let unread = self.bytes.get(self.start..self.end).unwrap_or_default();
        unread.contains(&b'\n') || unread.len() >= LINE_LIMIT
    }

    /// Moves what is unread to the front, and doubles the buffer when even that leaves no room.
    fn make_room(&mut self) {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end = self.end.saturating_sub(self.start);
            self.start = 0;
        }
        if self.end == self.bytes.len() {
            let mut larger = Zeroizing::new(vec![0; self.bytes.len().saturating_mul(2)]);
            for (to, from) in larger.iter_mut().zip(self.bytes.iter()) {
                *to = *from;
            }
            self.bytes = larger;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Inbox, WipedBuffer};
    use crate::wire::{Code, LINE_LIMIT};
    use proptest::prelude::{Strategy, any, prop, proptest};
    use std::io::{self, Read};

    /// A source that gives at most so many bytes a read.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(to.len()).min(self.0.len());
            to[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    proptest! {
        #[test]
        fn lines_come_out_whole_however_they_are_split(
            lines in prop::collection::vec(prop::collection::vec(any::<u8>().prop_filter("no newline", |byte| *byte != b'\n'), 0..3000), 0..12),
            step in 1_usize..5000,
        ) {
            let mut sent = Vec::new();
            for line in &lines {
                sent.extend_from_slice(line);
                sent.push(b'\n');
            }
            let mut source = Drip(&sent, step);
            let mut inbox = Inbox::new();
            for line in &lines {
                assert_eq!(inbox.line(&mut source).expect("a line"), line);
            }
            assert_eq!(inbox.line(&mut source).expect_err("the end").code, Code::AgentNotRunning);
        }
    }

    #[test]
    fn the_longest_line_passes_and_one_byte_more_does_not() {
        let mut line = vec![b'x'; LINE_LIMIT - 1];
        line.push(b'\n');
        assert_eq!(Inbox::new().line(&mut line.as_slice()).expect("a line").len(), LINE_LIMIT - 1);
        let endless = vec![b'x'; LINE_LIMIT + 10];
        let fault = Inbox::new().line(&mut endless.as_slice()).expect_err("too long");
        assert_eq!(fault.code, Code::WireTooLong);
    }

    #[test]
    fn a_buffer_keeps_its_bytes_when_it_grows() {
        let mut buffer = WipedBuffer::with_capacity(2);
        for chunk in [&b"abc"[..], b"", b"defgh"] {
            buffer.extend(chunk);
        }
        assert_eq!(buffer.as_slice(), b"abcdefgh");
    }
}
