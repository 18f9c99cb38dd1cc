//! What is to be signed: an authentication request (RFC 4252 section 7), a signature of data (PROTOCOL.sshsig), or
//! anything else. For the rules of keys, and for the record.

use super::codec::fields::{byte, end, name, string};
use super::{Error, host_key};

/// What is to be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload<'a> {
    /// Anything else. What looks like one of the others and contradicts itself or the key is this.
    Raw,
    /// `ssh-keygen -Y sign`, git, and what else makes SSHSIG signatures.
    Signature(SignatureRequest<'a>),
    /// A login.
    Userauth(UserauthRequest<'a>),
}

/// A `SSH_MSG_USERAUTH_REQUEST` for service `ssh-connection`, by `publickey` or
/// `publickey-hostbound-v00@openssh.com`, with the key that is to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserauthRequest<'a> {
    /// The signature algorithm.
    pub algorithm: &'a str,
    /// The host key's blob, where the client binds the request to one. Of any type: hosts may have newer ones.
    pub host_key: Option<&'a [u8]>,
    /// The session that it is good for.
    pub session_id: &'a [u8],
    /// The user on the host. Bytes of someone else: escape before showing.
    pub user: &'a [u8],
}

/// What SSHSIG signs. There is no version in it: that is in the signature's envelope only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignatureRequest<'a> {
    /// `sha256` or `sha512`.
    pub hash: &'a str,
    /// The message's hash.
    pub digest: &'a [u8],
    /// What the signature is good for, such as `git` or `file`; not empty. Text of someone else: escape before showing.
    pub namespace: &'a str,
}

impl<'a> Payload<'a> {
    /// Reads the data of a request to sign with the key of this blob.
    pub fn parse(data: &'a [u8], key: &[u8]) -> Self {
        match data.strip_prefix(b"SSHSIG") {
            Some(rest) => signature(rest).map_or(Self::Raw, Self::Signature),
            None => userauth(data, key).map_or(Self::Raw, Self::Userauth),
        }
    }
}

fn userauth<'a>(mut from: &'a [u8], key: &[u8]) -> Result<UserauthRequest<'a>, Error> {
    let unlike = Err(Error::Unidentified);
    let session_id = string(&mut from)?;
    let kind = byte(&mut from)?;
    let user = name(&mut from)?;
    let service = name(&mut from)?;
    let method = name(&mut from)?;
    let signed = byte(&mut from)?;
    let algorithm = text(name(&mut from)?)?;
    if session_id.is_empty() || kind != 50 || service != b"ssh-connection" || signed != 1 {
        return unlike;
    }
    if string(&mut from)? != key || !belongs(algorithm, key)? {
        return unlike;
    }
    let host_key = match method {
        b"publickey" => None,
        b"publickey-hostbound-v00@openssh.com" => Some(string(&mut from)?),
        _ => return unlike,
    };
    end(from)?;
    host_key.map_or(Ok(()), host_key::check)?;
    Ok(UserauthRequest { algorithm, host_key, session_id, user })
}

/// Whether an algorithm is one of the key's type: its name, or for RSA one with a hash.
fn belongs(algorithm: &str, mut key: &[u8]) -> Result<bool, Error> {
    let kind = text(string(&mut key)?)?;
    Ok(match kind {
        "ssh-rsa" => ["ssh-rsa", "rsa-sha2-256", "rsa-sha2-512"].contains(&algorithm),
        "ssh-rsa-cert-v01@openssh.com" => {
            ["ssh-rsa-cert-v01@openssh.com", "rsa-sha2-256-cert-v01@openssh.com", "rsa-sha2-512-cert-v01@openssh.com"]
                .contains(&algorithm)
        }
        _ => kind == algorithm,
    })
}

fn signature(mut from: &[u8]) -> Result<SignatureRequest<'_>, Error> {
    let namespace = text(name(&mut from)?)?;
    // Whatever it holds is to be ignored.
    string(&mut from)?;
    let hash = text(name(&mut from)?)?;
    let digest = string(&mut from)?;
    end(from)?;
    match (hash, digest.len()) {
        ("sha256", 32) | ("sha512", 64) if !namespace.is_empty() => Ok(SignatureRequest { hash, digest, namespace }),
        _ => Err(Error::Unidentified),
    }
}

fn text(bytes: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(bytes).map_err(|_| Error::Unidentified)
}
