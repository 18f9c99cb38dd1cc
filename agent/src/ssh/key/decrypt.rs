//! RSA decryption (RSAES-PKCS1-v1_5, RFC 8017 section 7.2.2): how EC2 hands over the password of a Windows instance.

use super::error::{Error, Result};
use super::{PrivateHalf, SoftKey};
use crate::world::on_wiped_stack;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

/// Fewest bytes of padding.
const PADDING: usize = 8;

impl SoftKey {
    /// What was encrypted to this key. By aws-lc, in constant time. [`Error::UnsupportedType`] where it is not RSA,
    /// [`Error::Mismatch`] where it was encrypted to another key.
    pub fn decrypt(&self, input: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        match &self.private {
            PrivateHalf::Rsa(key) => on_wiped_stack(|| key.decrypt(input)),
            _ => Err(Error::UnsupportedType { kind: self.kind().name() }),
        }
    }
}

/// The message in a block that a card has decrypted, in constant time for blocks and messages of one length.
/// [`Error::Mismatch`] where the block is not padded: it was encrypted to another key.
pub fn unpad(block: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let (mut at, mut found) = (0_u32, Choice::from(0));
    for (index, byte) in block.iter().enumerate().skip(2) {
        let zero = byte.ct_eq(&0);
        at.conditional_assign(&u32::try_from(index).unwrap_or(0), zero & !found);
        found |= zero;
    }
    let start = usize::try_from(at).map_err(|_| Error::Mismatch)?;
    let header = block.first().map_or(Choice::from(0), |byte| byte.ct_eq(&0))
        & block.get(1).map_or(Choice::from(0), |byte| byte.ct_eq(&2));
    let is_long = Choice::from(u8::from(start >= PADDING.saturating_add(2)));
    match bool::from(header & found & is_long) {
        true => {
            let message = block.get(start.saturating_add(1)..).ok_or(Error::Mismatch)?;
            Ok(Zeroizing::new(message.to_vec()))
        }
        false => Err(Error::Mismatch),
    }
}

#[cfg(test)]
mod tests {
    use super::unpad;
    use crate::ssh::key::Error;

    #[test]
    fn a_block_is_unpadded_or_refused() {
        let block = |padding: usize, message: &[u8]| [&[0, 2][..], &vec![7; padding], &[0], message].concat();
        assert_eq!(unpad(&block(8, b"word")).unwrap().as_slice(), b"word");
        assert_eq!(unpad(&block(200, b"")).unwrap().as_slice(), b"");
        assert_eq!(unpad(&block(8, b"a\0b")).unwrap().as_slice(), b"a\0b");
        for wrong in [block(7, b"word"), vec![0; 16], vec![], vec![0, 2], [&[0, 2][..], &[7; 30]].concat()] {
            assert_eq!(unpad(&wrong).err(), Some(Error::Mismatch), "{wrong:?}");
        }
        let mut first = block(8, b"word");
        first[0] = 1;
        let mut kind = block(8, b"word");
        kind[1] = 1;
        assert!(unpad(&first).is_err() && unpad(&kind).is_err());
    }
}
