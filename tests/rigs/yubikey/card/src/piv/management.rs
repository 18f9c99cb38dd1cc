//! The management key: Triple DES or AES, and the three ways to prove that one has it.

use crate::tlv::{field, find, inside};
use crate::{Answer, NOT_ALLOWED, Version, WRONG_DATA};
use cipher::generic_array::GenericArray;
use cipher::{BlockEncrypt, BlockSizeUser, KeyInit};
use claviger_card_link::{Moment, Status};
use rand_core::{OsRng, RngCore};

/// Its slot.
pub(super) const SLOT: u8 = 0x9B;
const TRIPLE_DES: u8 = 0x03;
const AES_192: u8 = 0x0A;
const DEFAULT: [u8; 24] = [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8];

pub(super) struct Management {
    version: Version,
    algorithm: u8,
    key: Vec<u8>,
    touch: bool,
    proved: bool,
    /// What the other side has to send back.
    witness: Option<Vec<u8>>,
    challenge: Option<Vec<u8>>,
}

impl Management {
    pub(super) fn new(version: Version) -> Self {
        let algorithm = if version >= (5, 7, 0) { AES_192 } else { TRIPLE_DES };
        let key = DEFAULT.to_vec();
        Self { version, algorithm, key, touch: false, proved: false, witness: None, challenge: None }
    }

    pub(super) fn forget(&mut self) {
        (self.proved, self.witness, self.challenge) = (false, None, None);
    }

    pub(super) fn allows(&self) -> Result<(), Status> {
        if self.proved { Ok(()) } else { Err(NOT_ALLOWED) }
    }

    pub(super) fn metadata(&self) -> Vec<u8> {
        let touch = if self.touch { 2 } else { 1 };
        let default = u8::from(self.key == DEFAULT);
        [field(1, &[self.algorithm]), field(2, &[0, touch]), field(5, &[default])].concat()
    }

    /// SET MANAGEMENT KEY.
    pub(super) fn replace(&mut self, p1: u8, p2: u8, data: &[u8]) -> Answer {
        let (0xFF, [algorithm, SLOT, length, key @ ..]) = (p1, data) else { return Err(WRONG_DATA) };
        let known = *algorithm == TRIPLE_DES || self.version >= (5, 4, 0);
        if !known || key.len() != usize::from(*length) || crypt(*algorithm, key, None).is_none() {
            return Err(WRONG_DATA);
        }
        (self.algorithm, self.key, self.touch) = (*algorithm, key.to_vec(), p2 == 0xFE);
        Ok(Vec::new())
    }

    /// GENERAL AUTHENTICATE: mutual (witness and challenge), or by the other side alone.
    pub(super) fn authenticate(&mut self, algorithm: u8, data: &[u8], moment: &Moment) -> Answer {
        let meant = if algorithm == 0 { TRIPLE_DES } else { algorithm };
        if meant != self.algorithm {
            return Err(WRONG_DATA);
        }
        let items = inside(data, 0x7C).ok_or(WRONG_DATA)?;
        let encrypt = |block: Option<&[u8]>| crypt(self.algorithm, &self.key, block);
        let mut nonce = vec![0; if self.algorithm == TRIPLE_DES { 8 } else { 16 }];
        OsRng.fill_bytes(&mut nonce);
        match (find(&items, 0x80), find(&items, 0x81), find(&items, 0x82)) {
            (Some([]), None, _) => {
                let sealed = encrypt(Some(&nonce)).ok_or(0x6F00u16)?;
                self.witness = Some(nonce);
                Ok(field(0x7C, &field(0x80, &sealed)))
            }
            (None, Some([]), _) => {
                self.challenge = Some(nonce.clone());
                Ok(field(0x7C, &field(0x81, &nonce)))
            }
            (Some(witness), Some(challenge), _) => {
                let answer = encrypt(Some(challenge)).ok_or(WRONG_DATA)?;
                let right = self.witness.take().as_deref() == Some(witness);
                self.prove(right, moment)?;
                Ok(field(0x7C, &field(0x82, &answer)))
            }
            (None, None, Some(answer)) => {
                let challenge = self.challenge.take().ok_or(0x6985u16)?;
                let right = encrypt(Some(&challenge)).as_deref() == Some(answer);
                self.prove(right, moment)?;
                Ok(Vec::new())
            }
            _ => Err(WRONG_DATA),
        }
    }

    fn prove(&mut self, right: bool, moment: &Moment) -> Result<(), Status> {
        self.proved = right && (!self.touch || moment.touched());
        self.allows()
    }
}

/// A block; zeros if none is given. None if the key or the block has a wrong length, or nobody knows the algorithm.
fn crypt(algorithm: u8, key: &[u8], block: Option<&[u8]>) -> Option<Vec<u8>> {
    fn with<C: KeyInit + BlockEncrypt>(key: &[u8], block: Option<&[u8]>) -> Option<Vec<u8>> {
        let cipher = C::new_from_slice(key).ok()?;
        let size = <C as BlockSizeUser>::block_size();
        let zeros = vec![0; size];
        let block = block.unwrap_or(&zeros);
        let mut block = (block.len() == size).then(|| GenericArray::clone_from_slice(block))?;
        cipher.encrypt_block(&mut block);
        Some(block.to_vec())
    }
    match algorithm {
        TRIPLE_DES => with::<des::TdesEde3>(key, block),
        0x08 => with::<aes::Aes128>(key, block),
        AES_192 => with::<aes::Aes192>(key, block),
        0x0C => with::<aes::Aes256>(key, block),
        _ => None,
    }
}
