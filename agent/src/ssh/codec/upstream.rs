//! The other side: what another agent is asked, and what it answers (RFC 9987 sections 4 and 6).

use super::fields::{byte, end, put_string, string, uint32};
use crate::ssh::limits;

/// A message to another agent.
#[derive(Debug, Clone, Copy)]
pub enum Upstream<'a> {
    /// EXTENSION (27): `session-bind@openssh.com` with these fields.
    Extension(&'a [u8]),
    /// REQUEST_IDENTITIES (11).
    List,
    /// SIGN_REQUEST (13).
    Sign {
        /// The public key or certificate.
        key: &'a [u8],
        /// What is to be signed.
        data: &'a [u8],
        /// Its flags.
        flags: u32,
    },
}

impl Upstream<'_> {
    /// The message, length word and all.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        match self {
            Self::Extension(fields) => {
                body.push(27);
                put_string(&mut body, b"session-bind@openssh.com");
                body.extend_from_slice(fields);
            }
            Self::List => body.push(11),
            Self::Sign { key, data, flags } => {
                body.push(13);
                put_string(&mut body, key);
                put_string(&mut body, data);
                body.extend_from_slice(&flags.to_be_bytes());
            }
        }
        let mut message = Vec::with_capacity(body.len().saturating_add(4));
        put_string(&mut message, &body);
        message
    }

    /// The identities of an IDENTITIES_ANSWER (12), blob and comment; None for any other message.
    pub fn identities(mut answer: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
        let kind = byte(&mut answer).ok()?;
        let count = usize::try_from(uint32(&mut answer).ok()?).ok()?;
        if kind != 12 || count > limits::IDENTITIES {
            return None;
        }
        let mut identities = Vec::new();
        for _ in 0..count {
            identities.push((string(&mut answer).ok()?.to_vec(), string(&mut answer).ok()?.to_vec()));
        }
        end(answer).ok()?;
        Some(identities)
    }

    /// The signature of a SIGN_RESPONSE (14); None for any other message.
    pub fn signature(mut answer: &[u8]) -> Option<&[u8]> {
        let kind = byte(&mut answer).ok()?;
        let signature = string(&mut answer).ok()?;
        end(answer).ok()?;
        (kind == 14).then_some(signature)
    }
}

#[cfg(test)]
mod tests {
    use super::Upstream;
    use crate::ssh::codec::{ListedIdentity, Reply, Request};

    #[test]
    fn what_one_side_says_the_other_reads() {
        let message = Upstream::Sign { key: b"key", data: b"data", flags: 4 }.encode();
        let Ok(Request::Sign { key, data, flags }) = Request::parse(&message[4..]) else { panic!("a request to sign") };
        assert_eq!((key, data, flags), (&b"key"[..], &b"data"[..], 4));
        assert!(matches!(Request::parse(&Upstream::List.encode()[4..]), Ok(Request::List)));

        let listed = [ListedIdentity { key: b"one", comment: b"a" }, ListedIdentity { key: b"two", comment: b"" }];
        let answer = Reply::Identities(&listed).encode();
        let read = Upstream::identities(&answer[4..]).expect("a list");
        assert_eq!(read, [(b"one".to_vec(), b"a".to_vec()), (b"two".to_vec(), Vec::new())]);
        assert_eq!(Upstream::signature(&Reply::Signature(b"sig").encode()[4..]), Some(&b"sig"[..]));
    }

    #[test]
    fn what_another_agent_says_wrong_is_nothing() {
        let answer = Reply::Identities(&[ListedIdentity { key: b"one", comment: b"a" }]).encode()[4..].to_vec();
        for cut in 0..answer.len() {
            assert!(Upstream::identities(&answer[..cut]).is_none(), "{cut}");
        }
        assert!(Upstream::identities(&[&answer[..], b"x"].concat()).is_none());
        assert!(Upstream::identities(&Reply::Failure.encode()[4..]).is_none());
        assert!(Upstream::identities(b"\x0c\xff\xff\xff\xff").is_none(), "a count that is never read");
        assert!(Upstream::signature(&Reply::Failure.encode()[4..]).is_none());
        assert!(Upstream::signature(b"\x0e\0\0\0\x03si").is_none());
    }
}
