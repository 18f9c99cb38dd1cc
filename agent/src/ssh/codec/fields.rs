//! The data types of RFC 4251 section 5, read without a copy.

use crate::ssh::Error;
use ssh_encoding::{Decode, Reader};

/// A `string`.
pub(in crate::ssh) fn string<'a>(from: &mut &'a [u8]) -> Result<&'a [u8], Error> {
    from.read_prefixed(|inner| Ok::<_, ssh_encoding::Error>(*inner)).map_err(|_| Error::Truncated)
}

/// A `string` that is a name: refuses a null byte, at which programs in C would end it.
pub(in crate::ssh) fn name<'a>(from: &mut &'a [u8]) -> Result<&'a [u8], Error> {
    let name = string(from)?;
    if name.contains(&0) { Err(Error::NullByte) } else { Ok(name) }
}

/// A `byte`.
pub(in crate::ssh) fn byte(from: &mut &[u8]) -> Result<u8, Error> {
    u8::decode(from).map_err(|_| Error::Truncated)
}

/// A `uint32`.
pub(in crate::ssh) fn uint32(from: &mut &[u8]) -> Result<u32, Error> {
    u32::decode(from).map_err(|_| Error::Truncated)
}

/// A `string` that later versions may use.
pub(in crate::ssh) fn reserved(from: &mut &[u8]) -> Result<(), Error> {
    if string(from)?.is_empty() { Ok(()) } else { Err(Error::Reserved) }
}

/// Nothing.
pub(in crate::ssh) fn end(from: &[u8]) -> Result<(), Error> {
    if from.is_empty() { Ok(()) } else { Err(Error::Trailing) }
}

/// Writes a `string`.
pub(in crate::ssh) fn put_string(to: &mut Vec<u8>, bytes: &[u8]) {
    // No message comes near 4 GiB.
    to.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    to.extend_from_slice(bytes);
}
