//! What a client asks for: message numbers and fields of RFC 9987 section 6.

use super::fields::{byte, end, name, string, uint32};
use crate::ssh::{Constraints, Error, limits};
use claviger::secret::Secret;

/// A request. Bodies are borrowed from the frame; none of this prints itself.
pub enum Request<'a> {
    /// ADD_IDENTITY (17) and ADD_ID_CONSTRAINED (25).
    Add(AddIdentity<'a>),
    /// EXTENSION (27).
    Extension(Extension<'a>),
    /// REQUEST_IDENTITIES (11).
    List,
    /// LOCK (22), with a passphrase that is not empty.
    Lock(Secret<Vec<u8>>),
    /// A message about a library of a smart card or security key, whose body is not looked at: always refused.
    Provider(Provider),
    /// REMOVE_IDENTITY (18): the public key blob.
    Remove {
        /// The public key or certificate.
        key: &'a [u8],
    },
    /// REMOVE_ALL_IDENTITIES (19).
    RemoveAll,
    /// SIGN_REQUEST (13).
    Sign {
        /// The public key or certificate to sign with.
        key: &'a [u8],
        /// What is to be signed.
        data: &'a [u8],
        /// SSH_AGENT_RSA_SHA2_256 (2), SSH_AGENT_RSA_SHA2_512 (4); others have no meaning.
        flags: u32,
    },
    /// A type of message that is not known: FAILURE, and the connection stays.
    Unknown(u8),
    /// UNLOCK (23), with a passphrase that is not empty.
    Unlock(Secret<Vec<u8>>),
}

/// An extension request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extension<'a> {
    /// `query` (RFC 9987 section 4.8.1): which extensions there are.
    Query,
    /// `session-bind@openssh.com`: its fields, for [`crate::ssh::Binding::bind`], which must see them whatever they are.
    SessionBind(&'a [u8]),
    /// Another: FAILURE.
    Unknown,
}

/// A request that would have the agent load a library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// ADD_SMARTCARD_KEY (20).
    Add,
    /// ADD_SMARTCARD_KEY_CONSTRAINED (26).
    AddConstrained,
    /// REMOVE_SMARTCARD_KEY (21).
    Remove,
}

/// A private key to be added: its fields are read by who knows keys.
pub struct AddIdentity<'a> {
    fields: &'a [u8],
    constrained: bool,
}

impl<'a> Request<'a> {
    /// Reads a message without its length word.
    ///
    /// # Errors
    /// Fields cut short, bytes after the last one, an empty passphrase: FAILURE, and the connection stays.
    pub fn parse(frame: &'a [u8]) -> Result<Self, Error> {
        let mut from = frame;
        let kind = byte(&mut from)?;
        let request = match kind {
            // Bodies that others read to their end.
            17 | 25 => return Ok(Self::Add(AddIdentity { fields: from, constrained: kind == 25 })),
            20 => return Ok(Self::Provider(Provider::Add)),
            21 => return Ok(Self::Provider(Provider::Remove)),
            26 => return Ok(Self::Provider(Provider::AddConstrained)),
            27 => return Extension::parse(from).map(Self::Extension),
            11 => Self::List,
            13 => Self::Sign { key: string(&mut from)?, data: string(&mut from)?, flags: uint32(&mut from)? },
            18 => Self::Remove { key: string(&mut from)? },
            19 => Self::RemoveAll,
            22 => Self::Lock(passphrase(&mut from)?),
            23 => Self::Unlock(passphrase(&mut from)?),
            _ => return Ok(Self::Unknown(kind)),
        };
        end(from)?;
        Ok(request)
    }
}

impl<'a> Extension<'a> {
    fn parse(mut from: &'a [u8]) -> Result<Self, Error> {
        match string(&mut from)? {
            b"query" => end(from).map(|()| Self::Query),
            b"session-bind@openssh.com" => Ok(Self::SessionBind(from)),
            _ => Ok(Self::Unknown),
        }
    }
}

impl<'a> AddIdentity<'a> {
    /// Reads the key with `key`, which must stop after its last field, then the comment and the constraints.
    ///
    /// # Errors
    /// What `key` refuses; a comment that is cut short, too long or holds a null byte; constraints as
    /// [`Constraints::decode`]; bytes after the end.
    pub fn decode<K, E: From<Error>>(
        &self,
        key: impl FnOnce(&mut &'a [u8]) -> Result<K, E>,
    ) -> Result<(K, &'a [u8], Constraints), E> {
        let mut from = self.fields;
        let key = key(&mut from)?;
        let comment = name(&mut from)?;
        if comment.len() > limits::COMMENT {
            return Err(Error::CommentTooLong.into());
        }
        let constraints = if self.constrained {
            Constraints::decode(from)?
        } else {
            end(from)?;
            Constraints::default()
        };
        Ok((key, comment, constraints))
    }
}

fn passphrase(from: &mut &[u8]) -> Result<Secret<Vec<u8>>, Error> {
    match string(from)? {
        [] => Err(Error::PassphraseEmpty),
        passphrase => Ok(Secret::new(passphrase.to_vec())),
    }
}
