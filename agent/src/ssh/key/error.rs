//! Why a key was refused.

/// What this room returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a key was refused, or a signature. Nothing of the input is in it; each leaves everything as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The certificate is for another key.
    #[error("the certificate belongs to another key")]
    CertificateOfAnotherKey,
    /// The file asks for so much work, or memory, to turn the passphrase into a key, that it is not even begun.
    #[error("the file's passphrase would take more work than is spent on one")]
    DerivationTooCostly,
    /// The file is under a passphrase by a cipher or a derivation that is not read here.
    #[error("the file is encrypted in a way that is not supported")]
    EncryptionUnsupported,
    /// A signature was asked for with flags that RFC 9987 does not have.
    #[error("the signature was asked for with unknown flags")]
    FlagsUnknown,
    /// The type is one that is read here, and the rest cannot be.
    #[error("the key is malformed")]
    Malformed,
    /// The message that brings the key cannot be read, or asks for what is not supported.
    #[error(transparent)]
    Message(#[from] crate::ssh::Error),
    /// The private half does not belong to the public half.
    #[error("the private key does not belong to its public key")]
    Mismatch,
    /// There was no randomness to be had.
    #[error("no random bytes")]
    NoEntropy,
    /// Nothing that looks like a private key.
    #[error("not a private key")]
    NoPrivateKey,
    /// The private key is on a device, and signs there.
    #[error("the private key is on a device")]
    OnDevice,
    /// The file is under a passphrase and none was given.
    #[error("the private key is encrypted: a passphrase is needed")]
    PassphraseNeeded,
    /// The passphrase does not open the file; or the file is damaged, which cannot always be told apart.
    #[error("the passphrase does not open the private key")]
    PassphraseWrong,
    /// A public key or a certificate, where a private key is asked for.
    #[error("a public key, not a private key")]
    PublicKeyOnly,
    /// More than 8192 bits.
    #[error("an rsa key of {bits} bits: more than 8192 are not supported")]
    RsaTooLarge {
        /// Its size.
        bits: u32,
    },
    /// Fewer than 2048 bits.
    #[error("an rsa key of {bits} bits: fewer than 2048 are not safe")]
    RsaTooSmall {
        /// Its size.
        bits: u32,
    },
    /// An RSA signature over SHA-1 was asked for: flags without SHA-2.
    #[error("rsa signatures over sha-1 are not made with this key")]
    Sha1,
    /// The library could not sign.
    #[error("the signature could not be made")]
    Signing,
    /// A key of a type that is not held here.
    #[error("keys of the type {kind} are not supported")]
    UnsupportedType {
        /// What people call the type; never taken from the input.
        kind: &'static str,
    },
}
