//! Certificates that a card holds compressed (gzip, RFC 1952).

use miniz_oxide::inflate::decompress_to_vec_with_limit;

/// Longest certificate: many times what a card has room for, and little memory.
const CERTIFICATE_LIMIT: usize = 16 * 1024;
/// Fields that a header may have (RFC 1952 section 2.3.1).
const HEADER_CHECK: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;

/// What was compressed; None of anything else, of what is longer than a certificate, and of another length than is told.
/// The CRC is not looked at: a certificate is signed.
pub(super) fn gunzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let [0x1f, 0x8b, 8, flags, _, _, _, _, _, _, rest @ ..] = bytes else { return None };
    let mut rest = rest;
    if flags & EXTRA != 0 {
        let [low, high, after @ ..] = rest else { return None };
        rest = after.get(usize::from(u16::from_le_bytes([*low, *high]))..)?;
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            let end = rest.iter().position(|byte| *byte == 0)?;
            rest = rest.get(end..)?.get(1..)?;
        }
    }
    if flags & HEADER_CHECK != 0 {
        rest = rest.get(2..)?;
    }
    let (body, length) = rest.split_last_chunk::<4>()?;
    let (body, _crc) = body.split_last_chunk::<4>()?;
    let whole = decompress_to_vec_with_limit(body, CERTIFICATE_LIMIT).ok()?;
    (usize::try_from(u32::from_le_bytes(*length)) == Ok(whole.len())).then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::{CERTIFICATE_LIMIT, gunzip};
    use data_encoding::HEXLOWER;
    use miniz_oxide::deflate::compress_to_vec;

    /// As gzip(1) writes it, with these flags and what they announce.
    fn gzip(bytes: &[u8], flags: u8, further: &[u8]) -> Vec<u8> {
        let length = u32::try_from(bytes.len()).unwrap().to_le_bytes();
        let header = [0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 3];
        [&header, further, &compress_to_vec(bytes, 6), &[0; 4], &length].concat()
    }

    #[test]
    fn what_gzip_wrote_is_read() {
        // printf 'a certificate' | gzip -n
        let made = "1f8b08000000000000034b54484e2d2ac94ccb4c4e2c49050007f53b8e0d000000";
        assert_eq!(gunzip(&HEXLOWER.decode(made.as_bytes()).unwrap()).unwrap(), b"a certificate");
        let all = b"\x02\x00xx\0name\0comment\0crc".as_slice();
        let further = [&all[..4], &all[5..10], &all[10..18], b"cc"].concat();
        assert_eq!(gunzip(&gzip(b"text", 2 | 4 | 8 | 16, &further)).unwrap(), b"text");
    }

    #[test]
    fn what_is_cut_wrong_or_endless_is_not() {
        let whole = gzip(&[7; 1000], 0, &[]);
        assert!(gunzip(&whole).is_some());
        for end in 0..whole.len() {
            assert_eq!(gunzip(&whole[..end]), None, "{end}");
        }
        for at in [0, 1, 2] {
            let mut other = whole.clone();
            other[at] ^= 1;
            assert_eq!(gunzip(&other), None, "{at}");
        }
        assert!(gunzip(&gzip(&vec![0; CERTIFICATE_LIMIT], 0, &[])).is_some());
        for long in [CERTIFICATE_LIMIT + 1, 100 * 1024 * 1024] {
            assert_eq!(gunzip(&gzip(&vec![0; long], 0, &[])), None, "{long}");
        }
        for flags in [2, 4, 8, 16] {
            assert_eq!(gunzip(&[0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 3, 0xff]), None);
        }
    }
}
