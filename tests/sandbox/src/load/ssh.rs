//! Load on an SSH agent's socket (RFC 9987): lists, and signatures with a key that it has.

use super::{Load, Outcome, Talk};
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

const LIST: u8 = 11;
const IDENTITIES: u8 = 12;
const SIGN: u8 = 13;
const SIGNATURE: u8 = 14;
/// Signatures with SHA-512, for RSA; others do not look at it.
const RSA_SHA2_512: u32 = 4;

/// What an agent is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Its identities.
    List,
    /// A signature with its first key of this comment.
    Sign(String),
}

/// What to do.
#[derive(Debug, Clone)]
pub struct SshLoad {
    /// The agent's socket.
    pub socket: PathBuf,
    /// What is asked for.
    pub ask: Ask,
    /// Clients at the same time.
    pub clients: usize,
    /// Requests of all of them together.
    pub requests: u64,
}

impl SshLoad {
    /// Asks until all requests are answered. Fails where nobody listens, no key has the comment, or an answer does not
    /// come for a minute.
    pub fn run(&self) -> io::Result<Outcome> {
        let (request, good): (_, fn(&[u8]) -> bool) = match &self.ask {
            Ask::List => (framed(&[LIST])?, |answer| answer.get(4) == Some(&IDENTITIES)),
            Ask::Sign(comment) => (self.signing(comment)?, |answer| answer.get(4) == Some(&SIGNATURE)),
        };
        let (clients, requests) = (self.clients, self.requests);
        let load = Load { socket: self.socket.clone(), profile: String::new(), clients, requests, connect_each: false };
        load.talk(Talk { greeting: "", request, whole, good })
    }

    /// A request to sign, as `ssh-keygen -Y sign` sends it.
    fn signing(&self, comment: &str) -> io::Result<Vec<u8>> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.write_all(&framed(&[LIST])?)?;
        let mut answer = vec![0; 4];
        stream.read_exact(&mut answer)?;
        let length = answer.first_chunk().map_or(0, |length| u32::from_be_bytes(*length) as usize);
        answer.resize(length, 0);
        stream.read_exact(&mut answer)?;
        let key = key_of(answer.get(5..).unwrap_or_default(), comment.as_bytes());
        let key = key.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no key has this comment"))?;
        let mut data = b"SSHSIG".to_vec();
        for field in [&b"file"[..], b"", b"sha512", &[7; 64]] {
            data.extend(framed(field)?);
        }
        framed(&[&[SIGN][..], &framed(key)?, &framed(&data)?, &RSA_SHA2_512.to_be_bytes()].concat())
    }
}

/// The key with this comment, in the identities of a list.
fn key_of<'a>(mut identities: &'a [u8], comment: &[u8]) -> Option<&'a [u8]> {
    loop {
        let key = string(&mut identities)?;
        if string(&mut identities)? == comment {
            return Some(key);
        }
    }
}

/// A `string` of SSH (RFC 4251 section 5).
fn string<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = from.split_first_chunk()?;
    let (string, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    *from = rest;
    Some(string)
}

/// A length and the bytes: a `string`, and a message as it is sent.
fn framed(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    Ok([&length.to_be_bytes()[..], bytes].concat())
}

fn whole(come: &[u8]) -> Option<usize> {
    let length = u32::from_be_bytes(*come.first_chunk()?) as usize + 4;
    (come.len() >= length).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::{framed, key_of, whole};

    #[test]
    fn a_key_is_found_by_its_comment_and_an_answer_by_its_length() {
        let list: Vec<u8> =
            ["one", "a", "two", "b"].iter().flat_map(|field| framed(field.as_bytes()).expect("short")).collect();
        assert_eq!((key_of(&list, b"b"), key_of(&list, b"c")), (Some(&b"two"[..]), None));
        assert_eq!((whole(b"\0\0\0"), whole(b"\0\0\0\x02a"), whole(b"\0\0\0\x02abc")), (None, None, Some(6)));
    }
}
