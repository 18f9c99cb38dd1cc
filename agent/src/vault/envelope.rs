//! The whole file as bytes: `docs/reference/vault-format.md` is this file in words.

use super::contents::PAYLOAD_LIMIT;
use super::crypto::{self, CHUNK, Key32, TAG};
use super::error::{Error, Result};
use super::header::{FORMAT, Header};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

const MAGIC: &[u8; 4] = b"CLVG";

/// Longest header in bytes.
const HEADER_LIMIT: usize = 64 * 1024;

/// Magic, two versions, the header's length.
const PRELUDE: usize = 12;

/// Longest file that can be a vault.
pub(super) const FILE_LIMIT: u64 = (PRELUDE + HEADER_LIMIT + 64 + PAYLOAD_LIMIT + PAYLOAD_LIMIT / CHUNK * TAG) as u64;

/// A vault file, split and checked as far as that goes without a key.
pub(super) struct Envelope<'a> {
    pub(super) header: Header,
    /// What the header MAC covers: everything before it.
    covered: &'a [u8],
    /// Authenticates the header, names this version of the file, and binds the payload to both.
    pub(super) mac: [u8; 32],
    payload: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Splits the file. [`Error::Newer`] where the file says that it needs a newer reader; [`Error::Damaged`]
    /// where a length, the checksum or the header is not what was written.
    pub(super) fn split(file: &'a [u8]) -> Result<Self> {
        let (magic, rest) = file.split_first_chunk::<4>().ok_or(Error::Damaged)?;
        let (format, rest) = rest.split_first_chunk::<2>().ok_or(Error::Damaged)?;
        let (min_reader, rest) = rest.split_first_chunk::<2>().ok_or(Error::Damaged)?;
        let (length, rest) = rest.split_first_chunk::<4>().ok_or(Error::Damaged)?;
        if magic != MAGIC {
            return Err(Error::Damaged);
        }
        let (format, min_reader) = (u16::from_be_bytes(*format), u16::from_be_bytes(*min_reader));
        if min_reader > FORMAT {
            return Err(Error::Newer);
        }
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length > HEADER_LIMIT {
            return Err(Error::Damaged);
        }
        let (text, rest) = rest.split_at_checked(length).ok_or(Error::Damaged)?;
        let (checksum, rest) = rest.split_first_chunk::<32>().ok_or(Error::Damaged)?;
        let (mac, payload) = rest.split_first_chunk::<32>().ok_or(Error::Damaged)?;
        let (summed, _) = file.split_at_checked(PRELUDE + length).ok_or(Error::Damaged)?;
        if Sha256::digest(summed).as_slice() != checksum.as_slice() {
            return Err(Error::Damaged);
        }
        let header = Header::read(text, format, min_reader)?;
        if u64::try_from(payload.len()).ok() != Some(header.payload_length) {
            return Err(Error::Damaged);
        }
        let (covered, _) = file.split_at_checked(PRELUDE + length + 32).ok_or(Error::Damaged)?;
        Ok(Self { header, covered, mac: *mac, payload })
    }

    /// The payload as written, once header and payload are proven to be what this master key sealed.
    pub(super) fn open(&self, master: &Key32) -> Result<Zeroizing<Vec<u8>>> {
        let keys = Keys::of(master, &self.header.salt);
        if !crypto::mac_holds(&keys.header, self.covered, &self.mac) {
            return Err(Error::Damaged);
        }
        crypto::open_stream(&keys.payload, &self.mac, self.payload)
    }
}

/// The bytes of a file with this header and payload. Sets the payload's length in the header; the salt must be fresh.
/// [`Error::TooLarge`] beyond the limits.
pub(super) fn seal(header: &mut Header, master: &Key32, plain: &[u8]) -> Result<Vec<u8>> {
    let sealed = crypto::stream_length(plain.len());
    header.payload_length = u64::try_from(sealed).unwrap_or(u64::MAX);
    let text = header.write();
    if plain.len() > PAYLOAD_LIMIT || text.len() > HEADER_LIMIT {
        return Err(Error::TooLarge);
    }
    let length = u32::try_from(text.len()).map_err(|_| Error::TooLarge)?;
    let keys = Keys::of(master, &header.salt);
    let mut file = Vec::with_capacity(PRELUDE + text.len() + 64 + sealed);
    file.extend_from_slice(MAGIC);
    file.extend_from_slice(&header.format.to_be_bytes());
    file.extend_from_slice(&header.min_reader.to_be_bytes());
    file.extend_from_slice(&length.to_be_bytes());
    file.extend_from_slice(&text);
    file.extend_from_slice(&Sha256::digest(&file));
    let mac = crypto::mac(&keys.header, &file);
    file.extend_from_slice(&mac);
    file.extend_from_slice(&crypto::seal_stream(&keys.payload, &mac, plain)?);
    Ok(file)
}

/// The two keys of one save.
struct Keys {
    header: Key32,
    payload: Key32,
}

impl Keys {
    fn of(master: &Key32, salt: &[u8; 32]) -> Self {
        Self {
            header: crypto::derive(master.as_slice(), salt, "claviger/v1/header-mac"),
            payload: crypto::derive(master.as_slice(), salt, "claviger/v1/payload"),
        }
    }
}
