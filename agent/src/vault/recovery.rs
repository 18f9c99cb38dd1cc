//! The recovery code: 160 random bits that a person writes down.

use super::crypto;
use super::error::Result;
use crate::world::World;
use claviger::secret::{RecoveryCode, SecretText};
use data_encoding::BASE32;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The bits of a code.
pub(super) type CodeBits = Zeroizing<[u8; 20]>;

/// Characters in a group.
const GROUP: usize = 4;

/// A code that no slot has yet: show it, and let the person type it back.
pub struct FreshCode {
    bits: Box<CodeBits>,
    code: RecoveryCode,
}

impl FreshCode {
    /// Draws a code.
    pub fn draw(world: &World) -> Result<Self> {
        let bits = Box::new(crypto::random::<20>(world)?);
        let code = RecoveryCode::from_text(write(&bits));
        Ok(Self { bits, code })
    }

    /// The code as a person reads it: base32 in nine groups of four, the last of them a check.
    pub fn code(&self) -> &RecoveryCode {
        &self.code
    }

    /// What was typed back, if it is this code; else the code again, to ask once more.
    pub fn confirm(self, typed: &RecoveryCode) -> std::result::Result<ConfirmedCode, Self> {
        match read(typed) {
            Some(typed) if bool::from(typed.ct_eq(self.bits.as_slice())) => Ok(ConfirmedCode(Box::new(typed))),
            _ => Err(self),
        }
    }
}

/// A code that a person has proved to have: the only thing a recovery slot can be made of.
///
/// In a box: it is handed from thread to thread, and a move leaves bytes behind.
pub struct ConfirmedCode(Box<CodeBits>);

impl ConfirmedCode {
    pub(super) fn bits(&self) -> &CodeBits {
        &self.0
    }

    #[cfg(test)]
    pub(super) fn from_bits(bits: CodeBits) -> Self {
        Self(Box::new(bits))
    }
}

/// Reads a code as typed: case, spaces and dashes do not matter. None where the characters, the length or the check
/// are wrong.
pub(super) fn read(typed: &RecoveryCode) -> Option<CodeBits> {
    let mut letters = Zeroizing::new(String::with_capacity(40));
    for character in typed.expose().chars().filter(|character| !character.is_whitespace() && *character != '-') {
        if letters.len() == 36 || !character.is_ascii() {
            return None;
        }
        letters.push(character.to_ascii_uppercase());
    }
    let (code, check) = letters.split_at_checked(32)?;
    let bytes = Zeroizing::new(BASE32.decode(code.as_bytes()).ok()?);
    let bits = Zeroizing::new(<[u8; 20]>::try_from(bytes.as_slice()).ok()?);
    bool::from(check.as_bytes().ct_eq(check_group(&bits).as_bytes())).then_some(bits)
}

fn write(bits: &CodeBits) -> String {
    let letters = Zeroizing::new(BASE32.encode(bits.as_slice()) + &check_group(bits));
    let mut text = String::with_capacity(44);
    for (index, letter) in letters.chars().enumerate() {
        if index > 0 && index % GROUP == 0 {
            text.push('-');
        }
        text.push(letter);
    }
    text
}

/// The first 20 bits of a digest of the code: finds a typing mistake, and is stored nowhere.
fn check_group(bits: &CodeBits) -> String {
    let digest = Sha256::new_with_prefix(b"claviger/v1/recovery-check").chain_update(bits.as_slice()).finalize();
    BASE32.encode(&digest).chars().take(GROUP).collect()
}
