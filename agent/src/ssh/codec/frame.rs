//! Messages out of a stream of bytes. Memory follows what has come, never what a length word promises.

use crate::ssh::{Error, limits};
use zeroize::Zeroizing;

/// A message without its length word: wiped, since it may be a private key or a passphrase.
pub type Frame = Zeroizing<Vec<u8>>;

/// The messages of one connection.
#[derive(Default)]
pub struct Frames {
    header: [u8; 4],
    /// How many bytes of the header have come.
    seen: usize,
    body: Frame,
}

impl Frames {
    /// Takes from `input` what belongs to the next message, and gives it once it is whole; `None` when the input is
    /// used up before. Call again while there is input.
    ///
    /// # Errors
    /// [`Error::FrameTooLong`], before anything is kept of it, and [`Error::FrameEmpty`]: the connection must end.
    pub fn take(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, Error> {
        while let Some(place) = self.header.get_mut(self.seen) {
            let Some((first, rest)) = input.split_first() else { return Ok(None) };
            *place = *first;
            self.seen += 1;
            *input = rest;
        }
        let length = usize::try_from(u32::from_be_bytes(self.header)).unwrap_or(usize::MAX);
        if length > limits::MESSAGE {
            return Err(Error::FrameTooLong);
        }
        if length == 0 {
            return Err(Error::FrameEmpty);
        }
        let missing = length.saturating_sub(self.body.len());
        let (taken, rest) = input.split_at(missing.min(input.len()));
        *input = rest;
        self.append(taken, length);
        if self.body.len() < length {
            return Ok(None);
        }
        self.seen = 0;
        Ok(Some(std::mem::take(&mut self.body)))
    }

    /// Grows by doubling, and wipes what it grew out of.
    fn append(&mut self, bytes: &[u8], length: usize) {
        let needed = self.body.len().saturating_add(bytes.len());
        if needed > self.body.capacity() {
            let capacity = needed.max(self.body.capacity().saturating_mul(2)).min(length);
            let mut grown = Zeroizing::new(Vec::with_capacity(capacity));
            grown.extend_from_slice(&self.body);
            self.body = grown;
        }
        self.body.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::{Error, Frames, limits};
    use crate::testing::counting::peak_of;
    use proptest::prelude::{any, proptest};

    fn all(stream: &[u8], chunk: usize) -> (Vec<Vec<u8>>, Option<Error>) {
        let (mut frames, mut found) = (Frames::default(), Vec::new());
        for mut part in stream.chunks(chunk) {
            while !part.is_empty() {
                match frames.take(&mut part) {
                    Ok(Some(frame)) => found.push(frame.to_vec()),
                    Ok(None) => assert!(part.is_empty(), "what is left is not read"),
                    Err(error) => return (found, Some(error)),
                }
            }
        }
        (found, None)
    }

    #[test]
    fn a_length_word_is_refused_over_the_limit_and_at_nought() {
        let stream = |length: u32, body: usize| [&length.to_be_bytes()[..], &vec![11; body]].concat();
        let longest = limits::MESSAGE as u32;
        assert_eq!(all(&stream(longest, limits::MESSAGE), 4096), (vec![vec![11; limits::MESSAGE]], None));
        for (length, wanted) in
            [(longest + 1, Error::FrameTooLong), (u32::MAX, Error::FrameTooLong), (0, Error::FrameEmpty)]
        {
            let (found, error) = all(&stream(length, 8), 4096);
            assert!(found.is_empty() && error == Some(wanted) && wanted.ends_connection(), "{length}: {error:?}");
        }
        assert_eq!(all(&stream(2, 1), 1), (vec![], None), "half a message is none");
    }

    #[test]
    fn what_length_words_promise_costs_nothing() {
        let promise = |length: u32| {
            let ((), peak) = peak_of(|| {
                let mut connections: Vec<Frames> = (0..limits::CONNECTIONS).map(|_| Frames::default()).collect();
                for frames in &mut connections {
                    for part in [&length.to_be_bytes()[..2], &length.to_be_bytes()[2..], &[11; 16]] {
                        let _ = frames.take(&mut &*part);
                    }
                }
            });
            peak
        };
        let (four_gib, longest) = (promise(u32::MAX), promise(limits::MESSAGE as u32));
        assert!(four_gib < 64 * 1024 && longest < 64 * 1024, "{four_gib} {longest}");
        crate::testing::figure("memory of 256 connections that promise 4 GiB each, bytes", four_gib);
        // The control: what is sent is held, so the counter counts.
        let ((), peak) =
            peak_of(|| drop(all(&[&(limits::MESSAGE as u32).to_be_bytes()[..], &vec![0; 200_000]].concat(), 4096)));
        assert!(peak > 200_000, "{peak}");
    }

    proptest! {
        #[test]
        fn frames_come_back_however_they_are_cut(
            bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..600), 0..8),
            chunk in 1..2000_usize,
        ) {
            let mut stream = Vec::new();
            for body in &bodies {
                crate::ssh::codec::fields::put_string(&mut stream, body);
            }
            assert_eq!(all(&stream, chunk), (bodies, None));
        }
    }
}
