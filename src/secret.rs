//! Values that cannot be printed, compared, cloned or serialised.
//!
//! The one way out is `expose`; searching for that word lists every place where a secret leaves its type.

pub mod text;

use zeroize::Zeroize;

/// A value wiped when it is dropped. It has no `Debug`, `Display`, `Clone`, `PartialEq` or `Serialize`,
/// so a `derive(Debug)` on a struct that holds one does not compile.
pub struct Secret<T: Zeroize>(Box<T>);

impl<T: Zeroize> Secret<T> {
    /// Takes ownership of the value; the caller keeps no copy.
    pub fn new(value: T) -> Self {
        Self(Box::new(value))
    }

    /// The value itself. Every call is a place to review.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A secret that is text: how `wire` and `vault` write it down, field by field.
pub trait SecretText: Sized {
    /// Takes ownership of the text.
    fn from_text(text: String) -> Self;
    /// The text itself. Every call is a place to review.
    fn expose(&self) -> &str;
}

macro_rules! secret_text {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        pub struct $name(Secret<String>);

        impl SecretText for $name {
            fn from_text(text: String) -> Self {
                Self(Secret::new(text))
            }

            fn expose(&self) -> &str {
                self.0.expose()
            }
        }
    )*};
}

secret_text! {
    /// A password: a user's for the console, the administrator's of a Windows instance.
    ConsolePassword;
    /// Bytes that a device is given or gives, in base16: an OATH access key or seed, a PIV management key, the output of
    /// hmac-secret.
    DeviceSecret;
    /// What a request to an endpoint must carry: 256 random bits in base64url, one for each `exec`.
    EndpointToken;
    /// What opens a passphrase slot.
    Passphrase;
    /// What a device asks of its owner: a PIN, a PUK, an access password.
    Pin;
    /// What opens a recovery slot: 160 bits in base32, with a check character group.
    RecoveryCode;
    /// The secret half of an access key, long-lived or of a session.
    SecretAccessKey;
    /// The token that goes with a session's access key.
    SessionToken;
    /// The file of an SSH private key, as OpenSSH, PEM and PuTTY write it.
    SshKeyFile;
    /// A TOTP seed as it is written: base32, or a whole `otpauth://` URI.
    TotpSeedText;
    /// One six-digit code, good once.
    TokenCode;
    /// What a person typed in answer to a question.
    TypedAnswer;
}

/// An SSH private key as the vault keeps it: the fields of `SSH_AGENTC_ADD_IDENTITY` (RFC 9987).
pub struct SshPrivateKey(Secret<Vec<u8>>);

impl SshPrivateKey {
    /// Takes ownership of the bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Secret::new(bytes))
    }

    /// The bytes themselves. Every call is a place to review.
    pub fn expose(&self) -> &[u8] {
        self.0.expose()
    }
}

/// A TOTP seed as HMAC takes it (RFC 6238).
pub struct TotpSeed(Secret<Vec<u8>>);

impl TotpSeed {
    /// Takes ownership of the bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Secret::new(bytes))
    }

    /// The bytes themselves. Every call is a place to review.
    pub fn expose(&self) -> &[u8] {
        self.0.expose()
    }
}
