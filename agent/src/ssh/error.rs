//! Why a message, a binding or a signature is refused. Nothing of the input is in it.

/// A refusal. On the wire all of these are FAILURE (an extension's: EXTENSION_FAILURE), save
/// [`Error::ends_connection`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `associated-certs-v00@openssh.com`: goes with keys of a provider, and none is loaded.
    #[error("the constraint associated-certs-v00@openssh.com is not supported")]
    AssociatedCertificates,
    /// A comment over [`super::limits::COMMENT`].
    #[error("the key's comment is longer than {} bytes", super::limits::COMMENT)]
    CommentTooLong,
    /// The same constraint twice.
    #[error("a constraint is given twice")]
    ConstraintTwice,
    /// A constraint of an unknown type or extension name, or the draft's number of signatures.
    #[error("the key has a constraint that is not supported")]
    ConstraintUnknown,
    /// A hop or constraint whose fields contradict each other, as PROTOCOL.agent forbids.
    #[error("a destination constraint contradicts itself")]
    DestinationInconsistent,
    /// A destination constraint with no destination.
    #[error("a destination constraint names no destination")]
    DestinationMissing,
    /// More than [`super::limits::DESTINATIONS`].
    #[error("the key has more than {} destination constraints", super::limits::DESTINATIONS)]
    DestinationsTooMany,
    /// A message without a type byte.
    #[error("an empty message")]
    FrameEmpty,
    /// A length word over [`super::limits::MESSAGE`].
    #[error("a message is longer than {} bytes", super::limits::MESSAGE)]
    FrameTooLong,
    /// The data names another host key than the connection is bound to.
    #[error("the data is for another host key than the connection is bound to")]
    HostKeyMismatch,
    /// The data names no host key, and the connection comes from a forwarded agent.
    #[error("the data names no host key, which a forwarded connection needs")]
    HostKeyMissing,
    /// A host name over [`super::limits::HOST_NAME`], or none of text.
    #[error("a destination constraint has no proper host name")]
    HostName,
    /// A key blob that is no key of its type, or is longer than [`super::limits::PUBLIC_KEY`].
    #[error("a public key is malformed")]
    KeyMalformed,
    /// A key of a type that cannot be verified here.
    #[error("a public key is of a type that is not supported")]
    KeyUnsupported,
    /// A null byte in a name.
    #[error("a name holds a null byte")]
    NullByte,
    /// A passphrase for lock or unlock without a character.
    #[error("the passphrase is empty")]
    PassphraseEmpty,
    /// No destination constraint permits the way that the connection has come.
    #[error("no destination constraint of the key permits this")]
    Refused,
    /// Fields that a later version may use are in use.
    #[error("a reserved field is in use")]
    Reserved,
    /// The connection was bound to an authentication, which is the end of its way.
    #[error("the connection is bound to an authentication already")]
    SessionBoundAlready,
    /// The session was bound with another host key.
    #[error("the session is bound to another host key already")]
    SessionContradicted,
    /// No session identifier, or one over [`super::limits::SESSION_ID`].
    #[error("a session identifier has no proper length")]
    SessionIdLength,
    /// The data is for another session than the connection is bound to.
    #[error("the data is for another session than the connection is bound to")]
    SessionMismatch,
    /// More than [`super::limits::BINDINGS`].
    #[error("the connection is bound more than {} times", super::limits::BINDINGS)]
    SessionsTooMany,
    /// A signature that the key has not made.
    #[error("a signature does not verify")]
    SignatureInvalid,
    /// `sk-provider@openssh.com`: a library to load, and none is loaded.
    #[error("the constraint sk-provider@openssh.com is not supported")]
    SkProvider,
    /// A binding of the connection has failed before.
    #[error("a binding of this connection has failed")]
    Tainted,
    /// Bytes after the end.
    #[error("a message goes on after its end")]
    Trailing,
    /// Less than the fields say.
    #[error("a message ends before its fields do")]
    Truncated,
    /// A key with destination constraints on a connection that says nothing of where it leads.
    #[error("the key has destination constraints and the connection is not bound")]
    Unbound,
    /// A key with destination constraints, and data that is no request to authenticate with it.
    #[error("the key has destination constraints and the data is no authentication request")]
    Unidentified,
    /// A user pattern over [`super::limits::USER_PATTERN`].
    #[error("a user pattern is longer than {} bytes", super::limits::USER_PATTERN)]
    UserPatternTooLong,
}

impl Error {
    /// Whether nothing that follows on the connection can be read: it is closed without an answer.
    pub fn ends_connection(self) -> bool {
        matches!(self, Self::FrameEmpty | Self::FrameTooLong)
    }
}
