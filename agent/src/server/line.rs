//! Lines in, at most [`LINE_LIMIT`] bytes each, wiped after use.

use claviger::wire::{ClientLine, Code, Fault, LINE_LIMIT};
use std::io;
use tokio::io::{AsyncBufRead, AsyncBufReadExt};
use zeroize::Zeroizing;

/// What came.
pub(super) enum Line {
    /// A whole line, without its newline.
    Whole(Zeroizing<Vec<u8>>),
    /// More than the limit without a newline.
    TooLong,
    /// The end of the stream; a line without a newline is nothing.
    End,
}

/// Reads one line; holds at most the limit.
pub(super) async fn read(reader: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Line> {
    let mut line = Zeroizing::new(Vec::new());
    loop {
        let chunk = reader.fill_buf().await?;
        if chunk.is_empty() {
            return Ok(Line::End);
        }
        let newline = chunk.iter().position(|byte| *byte == b'\n');
        let (taken, used) = match newline {
            Some(at) => (chunk.get(..at).unwrap_or_default(), at.saturating_add(1)),
            None => (chunk, chunk.len()),
        };
        if line.len().saturating_add(taken.len()) >= LINE_LIMIT {
            return Ok(Line::TooLong);
        }
        line.extend_from_slice(taken);
        reader.consume(used);
        if newline.is_some() {
            return Ok(Line::Whole(line));
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
    use super::{LINE_LIMIT, Line, read};

    async fn first(bytes: &[u8]) -> Line {
        read(&mut tokio::io::BufReader::with_capacity(7, bytes)).await.unwrap()
    }

    #[tokio::test]
    async fn a_line_is_whole_at_the_limit_and_refused_over_it() {
        let longest = [vec![b'x'; LINE_LIMIT - 1], b"\n".to_vec()].concat();
        assert!(matches!(first(&longest).await, Line::Whole(line) if line.len() == LINE_LIMIT - 1));
        assert!(matches!(first(&vec![b'x'; LINE_LIMIT + 1]).await, Line::TooLong));
        assert!(matches!(first(b"no newline").await, Line::End));
        assert!(matches!(first(b"a\nb\n").await, Line::Whole(line) if *line == b"a"));
    }
}
