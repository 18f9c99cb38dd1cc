//! Lines in, at most [`LINE_LIMIT`] bytes each, wiped after use.

use claviger::wire::{ClientLine, Code, Fault, LINE_LIMIT};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};
use zeroize::{Zeroize, Zeroizing};

/// What came.
pub(super) enum Line {
    /// A whole line, without its newline.
    Whole(Zeroizing<Vec<u8>>),
    /// More than the limit without a newline.
    TooLong,
    /// The end of the stream; a line without a newline is nothing.
    End,
}

/// The lines of a stream. What it has read and given away is wiped: a connection may stay open for days.
pub(super) struct Lines<R> {
    stream: R,
    buffer: Zeroizing<Vec<u8>>,
    /// Where what is read and not given away begins, and where it ends.
    from: usize,
    to: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Reads so many bytes at once.
    pub(super) fn new(stream: R, capacity: usize) -> Self {
        Self { stream, buffer: Zeroizing::new(vec![0; capacity]), from: 0, to: 0 }
    }

    /// The next line; holds at most the limit.
    pub(super) async fn next(&mut self) -> io::Result<Line> {
        let mut line = Zeroizing::new(Vec::new());
        loop {
            if self.from == self.to {
                (self.from, self.to) = (0, self.stream.read(&mut self.buffer).await?);
            }
            let chunk = self.buffer.get_mut(self.from..self.to).unwrap_or_default();
            if chunk.is_empty() {
                return Ok(Line::End);
            }
            let newline = chunk.iter().position(|byte| *byte == b'\n');
            let (taken, _) = chunk.split_at_mut(newline.unwrap_or(chunk.len()));
            if line.len().saturating_add(taken.len()) >= LINE_LIMIT {
                return Ok(Line::TooLong);
            }
            line.extend_from_slice(taken);
            self.from = self.from.saturating_add(taken.len()).saturating_add(usize::from(newline.is_some()));
            taken.zeroize();
            if newline.is_some() {
                return Ok(Line::Whole(line));
            }
        }
    }
}

/// What a line says. One that is no message is told by length and position, never by content.
pub(super) fn decode(line: &[u8]) -> Result<ClientLine, Fault> {
    serde_json::from_slice(line).map_err(|error| {
        let what = if error.is_data() { "no message of the protocol" } else { "no JSON" };
        Fault::new(Code::WireBadLine, format!("a line of {} bytes is {what} (column {})", line.len(), error.column()))
    })
}

#[cfg(test)]
mod tests {
    use super::{LINE_LIMIT, Line, Lines};

    async fn first(bytes: &[u8]) -> Line {
        Lines::new(bytes, 7).next().await.unwrap()
    }

    #[tokio::test]
    async fn a_line_is_whole_at_the_limit_and_refused_over_it() {
        let longest = [vec![b'x'; LINE_LIMIT - 1], b"\n".to_vec()].concat();
        assert!(matches!(first(&longest).await, Line::Whole(line) if line.len() == LINE_LIMIT - 1));
        assert!(matches!(first(&vec![b'x'; LINE_LIMIT + 1]).await, Line::TooLong));
        assert!(matches!(first(b"no newline").await, Line::End));
        assert!(matches!(first(b"a\nb\n").await, Line::Whole(line) if *line == b"a"));
    }
    #[tokio::test]
    async fn lines_follow_each_other_and_leave_nothing_behind() {
        for capacity in [1, 3, 7, 64] {
            let mut lines = Lines::new(&b"secret\n\nlonger secret\nrest"[..], capacity);
            for wanted in ["secret", "", "longer secret"] {
                assert!(matches!(lines.next().await, Ok(Line::Whole(line)) if *line == wanted.as_bytes()));
            }
            assert!(matches!(lines.next().await, Ok(Line::End)));
            assert!(lines.buffer.iter().all(|byte| [0, b'\n'].contains(byte)), "{capacity}: {:?}", lines.buffer);
        }
    }
}
