//! A management key that the card keeps behind its PIN, where ykman and yubikey-agent keep theirs: a flag in the object ADMIN
//! DATA, the key in the object PRINTED, which is read with the PIN alone (Yubico, PIV "PIN-protected mode").

use super::super::link::{Apdu, Link, Status, fields, unexpected};
use super::{MORE, select, verify};
use crate::device::{Error, Thing};
use claviger::secret::{DeviceSecret, Pin, SecretText};
use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

/// Yubico's own object.
const ADMIN_DATA: [u8; 3] = [0x5f, 0xff, 0x00];
/// NIST SP 800-73-4 part 1, table 3.
const PRINTED: [u8; 3] = [0x5f, 0xc1, 0x09];
/// Of the flags in ADMIN DATA: the management key is in PRINTED.
const PROTECTED: u8 = 0x02;

/// The key, in base16. A PIN that is given is verified first, so that it was right where the card keeps none.
pub(super) fn key(link: &mut dyn Link, pin: Option<&Pin>) -> Result<DeviceSecret, Error> {
    select(link)?;
    if let Some(pin) = pin {
        verify(link, pin)?;
    }
    let none = || Error::NotThere(Thing::ManagementKey);
    let admin = object(link, &ADMIN_DATA)?.ok_or_else(none)?;
    // 80 { 81 flags, 82 salt, 83 time }.
    let flags = inside(&admin, 0x80, 0x81)?.and_then(|flags| flags.first().copied());
    if flags.is_none_or(|flags| flags & PROTECTED == 0) {
        return Err(none());
    }
    if pin.is_none() {
        return Err(Error::PinNeeded(None));
    }
    let printed = object(link, &PRINTED)?.ok_or_else(none)?;
    // 88 { 89 key }.
    let key = inside(&printed, 0x88, 0x89)?.ok_or_else(none)?;
    Ok(DeviceSecret::from_text(HEXLOWER.encode(key)))
}

/// What an object holds; None where the card has none.
fn object(link: &mut dyn Link, name: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    let (answer, status) = Apdu::new(0xcb, 0x3f, 0xff).field(0x5c, name).exchange(link, MORE)?;
    match status {
        Status::OK => {}
        Status::NOT_FOUND => return Ok(None),
        other => return Err(unexpected(other)),
    }
    let outer = fields(&answer)?;
    let [(0x53, object)] = outer.as_slice() else { return Err(Error::BadAnswer("no object".to_owned())) };
    Ok(Some(Zeroizing::new(object.to_vec())))
}

/// A field in a field of an object.
fn inside(object: &[u8], outer: u8, inner: u8) -> Result<Option<&[u8]>, Error> {
    let outer = find(object, outer)?;
    outer.map_or(Ok(None), |outer| find(outer, inner))
}

fn find(bytes: &[u8], wanted: u8) -> Result<Option<&[u8]>, Error> {
    Ok(fields(bytes)?.into_iter().find(|(tag, _)| *tag == wanted).map(|(_, value)| value))
}

/// What ADMIN DATA is once the key is behind the PIN: the flag, and of what stood there all but the salt of a key that was
/// made of the PIN.
pub(super) fn flagged(admin: &[u8]) -> Result<Vec<u8>, Error> {
    let before = find(admin, 0x80)?.map(fields).transpose()?.unwrap_or_default();
    let flags = before.iter().find(|(tag, _)| *tag == 0x81).and_then(|(_, flags)| flags.first()).copied();
    let mut inner = vec![0x81, 1, flags.unwrap_or_default() | PROTECTED];
    for (tag, value) in before.into_iter().filter(|(tag, _)| !matches!(tag, 0x81 | 0x82)) {
        inner.extend([tag, length(value)?]);
        inner.extend_from_slice(value);
    }
    Ok([&[0x80, length(&inner)?], inner.as_slice()].concat())
}

/// What PRINTED is then.
pub(super) fn printed(key: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let inner = Zeroizing::new([&[0x89, length(key)?], key].concat());
    Ok(Zeroizing::new([&[0x88, length(&inner)?], inner.as_slice()].concat()))
}

/// Of a short field: more is never written here.
fn length(value: &[u8]) -> Result<u8, Error> {
    u8::try_from(value.len()).ok().filter(|length| *length < 0x80).ok_or(Error::TooLarge)
}

/// What ADMIN DATA is, once it is sure that the PIN is right and that PRINTED is free.
pub(super) fn prepare(link: &mut dyn Link, pin: &Pin) -> Result<Vec<u8>, Error> {
    select(link)?;
    let admin = object(link, &ADMIN_DATA)?.map(|admin| admin.to_vec()).unwrap_or_default();
    verify(link, pin)?;
    match object(link, &PRINTED)? {
        Some(printed) if fields(&printed)?.iter().any(|(tag, _)| *tag != 0x88) => Err(Error::ManagementKeyKept),
        _ => Ok(admin),
    }
}

#[cfg(test)]
mod tests {
    use super::{flagged, printed};

    #[test]
    fn what_stood_beside_the_flag_stays_but_for_the_salt() {
        assert_eq!(flagged(&[]).unwrap(), [0x80, 3, 0x81, 1, 2]);
        let before = [0x80, 9, 0x81, 1, 1, 0x82, 1, 7, 0x83, 1, 9];
        assert_eq!(flagged(&before).unwrap(), [0x80, 6, 0x81, 1, 3, 0x83, 1, 9]);
        flagged(&before[..10]).unwrap_err();
        assert_eq!(*printed(&[1, 2]).unwrap(), [0x88, 4, 0x89, 2, 1, 2]);
    }
}
