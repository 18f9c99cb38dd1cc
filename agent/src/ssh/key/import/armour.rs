//! The lines between BEGIN and END (RFC 7468), read as loosely as people and tools write them: any width, any line end,
//! other blocks before.

use super::super::error::{Error, Result};
use super::super::fields::split_once;
use data_encoding::BASE64;
use zeroize::Zeroizing;

/// A block of a file.
pub(super) struct Armour<'a> {
    /// What comes after BEGIN.
    pub(super) label: &'a [u8],
    /// `DEK-Info` (RFC 1421 section 4.6.1.3): what the content is encrypted with, by OpenSSL of old.
    pub(super) encryption: Option<&'a [u8]>,
    /// Its bytes.
    pub(super) content: Zeroizing<Vec<u8>>,
}

impl<'a> Armour<'a> {
    /// The first block of a file with a private key in it.
    pub(super) fn find(file: &'a [u8]) -> Result<Self> {
        let mut lines = file.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let mut other = Error::NoPrivateKey;
        while let Some(line) = lines.next() {
            match label(line, b"-----BEGIN ") {
                Some(label) if label.ends_with(b"PRIVATE KEY") => return Self::read(label, file.len(), lines),
                Some(label) if label.ends_with(b"PUBLIC KEY") || label.ends_with(b"CERTIFICATE") => {
                    other = Error::PublicKeyOnly;
                }
                _ => {}
            }
        }
        Err(other)
    }

    fn read(label_: &'a [u8], most: usize, lines: impl Iterator<Item = &'a [u8]>) -> Result<Self> {
        let mut base64 = Zeroizing::new(Vec::with_capacity(most));
        let mut encryption = None;
        for line in lines {
            if label(line, b"-----END ") == Some(label_) {
                let mut content = Zeroizing::new(vec![0; base64.len()]);
                let length = BASE64.decode_len(base64.len()).map_err(|_| Error::Malformed)?;
                let room = content.get_mut(..length).ok_or(Error::Malformed)?;
                let length = BASE64.decode_mut(&base64, room).map_err(|_| Error::Malformed)?;
                content.truncate(length);
                return Ok(Self { label: label_, encryption, content });
            }
            match split_once(line, b':') {
                Some((b"DEK-Info", value)) => encryption = Some(value.trim_ascii()),
                Some(_) => {}
                None => base64.extend(line.iter().copied().filter(|byte| !byte.is_ascii_whitespace())),
            }
        }
        Err(Error::Malformed)
    }
}

fn label<'a>(line: &'a [u8], start: &[u8]) -> Option<&'a [u8]> {
    line.strip_prefix(start)?.strip_suffix(b"-----")
}
