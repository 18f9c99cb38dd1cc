//! What is answered: RFC 9987 sections 4 and 6.

use super::fields::put_string;
use crate::ssh::limits;

/// The extensions that `query` names: as OpenSSH, all but `query` itself.
pub const EXTENSIONS: [&str; 1] = ["session-bind@openssh.com"];

/// An answer.
#[derive(Debug, Clone, Copy)]
pub enum Reply<'a> {
    /// EXTENSION_FAILURE (28): an extension that is known, and was refused.
    ExtensionFailure,
    /// EXTENSION_RESPONSE (29) to `query`.
    Extensions,
    /// FAILURE (5).
    Failure,
    /// IDENTITIES_ANSWER (12).
    Identities(&'a [ListedIdentity<'a>]),
    /// SIGN_RESPONSE (14): a whole signature blob, algorithm name and all.
    Signature(&'a [u8]),
    /// SUCCESS (6): it was done.
    Success,
}

/// One identity of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedIdentity<'a> {
    /// The public key or certificate blob.
    pub key: &'a [u8],
    /// Its comment.
    pub comment: &'a [u8],
}

impl ListedIdentity<'_> {
    /// Bytes that it takes in the answer; all together may be [`Reply::LIST_ROOM`].
    pub fn weight(&self) -> usize {
        self.key.len().saturating_add(self.comment.len()).saturating_add(8)
    }
}

impl Reply<'_> {
    /// Bytes that the identities of a list may take together: a message without type and count.
    pub const LIST_ROOM: usize = limits::MESSAGE - 5;

    /// The message, length word and all. A list ends before the identity that would make it longer than a client
    /// reads, so that the client still gets those before.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        match self {
            Self::Failure => body.push(5),
            Self::Success => body.push(6),
            Self::Identities(identities) => put_identities(&mut body, identities),
            Self::Signature(signature) => {
                body.push(14);
                put_string(&mut body, signature);
            }
            Self::ExtensionFailure => body.push(28),
            Self::Extensions => {
                body.push(29);
                put_string(&mut body, b"query");
                EXTENSIONS.iter().for_each(|name| put_string(&mut body, name.as_bytes()));
            }
        }
        let mut message = Vec::with_capacity(body.len().saturating_add(4));
        put_string(&mut message, &body);
        message
    }
}

fn put_identities(body: &mut Vec<u8>, identities: &[ListedIdentity<'_>]) {
    let mut room = Reply::LIST_ROOM;
    let fitting = identities.iter().take(limits::IDENTITIES).map_while(|identity| {
        room = room.checked_sub(identity.weight())?;
        Some(identity)
    });
    let mut count = 0_u32;
    let mut listed = Vec::new();
    for identity in fitting {
        count = count.saturating_add(1);
        put_string(&mut listed, identity.key);
        put_string(&mut listed, identity.comment);
    }
    body.push(12);
    body.extend_from_slice(&count.to_be_bytes());
    body.append(&mut listed);
}

#[cfg(test)]
mod tests {
    use super::{ListedIdentity, Reply};
    use crate::ssh::limits;

    #[test]
    fn answers_are_as_written_down() {
        let identities =
            [ListedIdentity { key: b"key", comment: b"ada" }, ListedIdentity { key: b"other", comment: b"" }];
        for (reply, wanted) in [
            (Reply::Failure, &b"\0\0\0\x01\x05"[..]),
            (Reply::Success, b"\0\0\0\x01\x06"),
            (Reply::ExtensionFailure, b"\0\0\0\x01\x1c"),
            (Reply::Signature(b"sig"), b"\0\0\0\x08\x0e\0\0\0\x03sig"),
            (Reply::Identities(&[]), b"\0\0\0\x05\x0c\0\0\0\0"),
            (
                Reply::Identities(&identities),
                b"\0\0\0\x20\x0c\0\0\0\x02\0\0\0\x03key\0\0\0\x03ada\0\0\0\x05other\0\0\0\0",
            ),
            (Reply::Extensions, b"\0\0\0\x26\x1d\0\0\0\x05query\0\0\0\x18session-bind@openssh.com"),
        ] {
            assert_eq!(reply.encode().escape_ascii().to_string(), wanted.escape_ascii().to_string());
        }
    }

    #[test]
    fn a_list_ends_where_a_client_would_refuse_it() {
        let key = vec![1; 1000];
        let many = vec![ListedIdentity { key: &key, comment: b"comment" }; 300];
        let message = Reply::Identities(&many).encode();
        assert!(message.len() <= limits::MESSAGE + 4 && message.len() + 1015 > limits::MESSAGE + 4);
        assert_eq!(usize::from(message[8]) + 256 * usize::from(message[7]), (message.len() - 9) / 1015);
        let small = vec![ListedIdentity { key: b"k", comment: b"" }; 3000];
        assert_eq!(Reply::Identities(&small).encode()[5..9], 2048_u32.to_be_bytes());
    }
}
