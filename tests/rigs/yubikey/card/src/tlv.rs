//! BER-TLV with tags of one or two bytes and definite lengths (ISO 7816-4 section 5.2.2).

/// A tag and its value.
pub(crate) type Field = (u16, Vec<u8>);

/// One field.
pub(crate) fn field(tag: u16, value: &[u8]) -> Vec<u8> {
    let [high, low] = tag.to_be_bytes();
    let mut bytes = if high == 0 { vec![low] } else { vec![high, low] };
    match value.len() {
        length @ 0..0x80 => bytes.push(length as u8),
        length @ 0x80..0x100 => bytes.extend([0x81, length as u8]),
        length => bytes.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    bytes.extend_from_slice(value);
    bytes
}

/// All fields; none if they are damaged.
pub(crate) fn fields(mut bytes: &[u8]) -> Option<Vec<Field>> {
    let mut found = Vec::new();
    while let [first, rest @ ..] = bytes {
        let (tag, rest) = match (first & 0x1F, rest) {
            (0x1F, [second, rest @ ..]) => (u16::from_be_bytes([*first, *second]), rest),
            (0x1F, []) => return None,
            _ => (u16::from(*first), rest),
        };
        let (length, rest) = match rest {
            [0x81, length, rest @ ..] => (usize::from(*length), rest),
            [0x82, high, low, rest @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), rest),
            [length @ 0..=0x7F, rest @ ..] => (usize::from(*length), rest),
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        found.push((tag, value.to_vec()));
        bytes = rest;
    }
    Some(found)
}

/// The first field of a tag.
pub(crate) fn find(fields: &[Field], tag: u16) -> Option<&[u8]> {
    fields.iter().find(|field| field.0 == tag).map(|field| field.1.as_slice())
}

/// The fields inside the field of this tag.
pub(crate) fn inside(bytes: &[u8], tag: u16) -> Option<Vec<Field>> {
    fields(find(&fields(bytes)?, tag)?)
}
