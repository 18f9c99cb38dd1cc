//! The fields of RFC 4251 section 5. They are read in place, so that a secret is not copied before its own type holds
//! it, and written into one wiped buffer that never grows.

use super::error::{Error, Result};
use crate::ssh::codec::fields as codec;
use zeroize::Zeroizing;

/// A `string`.
pub(super) fn string<'a>(input: &mut &'a [u8]) -> Result<&'a [u8]> {
    codec::string(input).map_err(|_| Error::Malformed)
}

/// An `mpint` above zero: its bytes without leading zeros.
pub(super) fn positive<'a>(input: &mut &'a [u8]) -> Result<&'a [u8]> {
    let bytes = string(input)?;
    match bytes.first() {
        Some(first) if first & 0x80 == 0 => magnitude(bytes).ok_or(Error::Malformed),
        _ => Err(Error::Malformed),
    }
}

/// A big-endian number without leading zeros; None for zero.
pub(super) fn magnitude(bytes: &[u8]) -> Option<&[u8]> {
    bytes.get(bytes.iter().position(|byte| *byte != 0)?..)
}

/// What comes before a byte of a line of text, and what after it.
pub(super) fn split_once(line: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let (before, after) = line.split_at_checked(line.iter().position(|byte| *byte == at)?)?;
    Some((before, after.get(1..)?))
}

/// A field to write.
pub(super) enum Field<'a> {
    /// A `string`.
    Text(&'a [u8]),
    /// An `mpint` that is not negative; leading zeros are left out.
    Number(&'a [u8]),
}

/// The fields one after the other.
pub(super) fn write(fields: &[Field<'_>]) -> Zeroizing<Vec<u8>> {
    let most = fields.iter().map(|field| 5 + field.bytes().len()).sum();
    let mut out = Zeroizing::new(Vec::with_capacity(most));
    for field in fields {
        let bytes = field.bytes();
        let sign: &[u8] = if field.needs_sign() { &[0] } else { &[] };
        let length = u32::try_from(bytes.len().saturating_add(sign.len())).unwrap_or(u32::MAX);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(sign);
        out.extend_from_slice(bytes);
    }
    out
}

impl Field<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(bytes) => bytes,
            Self::Number(bytes) => magnitude(bytes).unwrap_or_default(),
        }
    }

    /// A number whose first bit would read as a sign.
    fn needs_sign(&self) -> bool {
        matches!(self, Self::Number(_)) && self.bytes().first().is_some_and(|first| first & 0x80 != 0)
    }
}
