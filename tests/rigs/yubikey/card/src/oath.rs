//! YKOATH: accounts whose codes the key computes (Yubico, "YKOATH Protocol Specification").

use crate::tlv::{Field, field, fields, find};
use crate::{Answer, Identity, NOT_ALLOWED, UNKNOWN, WRONG_DATA};
use claviger_card_link::{Command, Moment, Status};
use hmac::{Hmac, Mac};
use rand_core::{OsRng, RngCore};

/// No such account, or an access key that does not match.
const NO_SUCH: Status = 0x6984;

struct Account {
    name: Vec<u8>,
    /// Type in the upper half, hash in the lower.
    kind: u8,
    digits: u8,
    secret: Vec<u8>,
    touch: bool,
    counter: u32,
}

impl Account {
    fn counts(&self) -> bool {
        self.kind >> 4 == 1
    }

    fn code(&self, challenge: &[u8], truncated: bool) -> Vec<u8> {
        let full = mac(self.kind, &self.secret, challenge);
        if !truncated {
            return field(0x75, &[&[self.digits], full.as_slice()].concat());
        }
        let at = usize::from(full[full.len() - 1] & 0x0F);
        field(0x76, &[self.digits, full[at] & 0x7F, full[at + 1], full[at + 2], full[at + 3]])
    }
}

fn mac(hash: u8, key: &[u8], message: &[u8]) -> Vec<u8> {
    macro_rules! with {
        ($hash:ty) => {{
            let mut mac = Hmac::<$hash>::new_from_slice(key).expect("HMAC takes a key of any length");
            mac.update(message);
            mac.finalize().into_bytes().to_vec()
        }};
    }
    match hash & 0x0F {
        2 => with!(sha2::Sha256),
        3 => with!(sha2::Sha512),
        _ => with!(sha1::Sha1),
    }
}

/// The applet. Accounts stay when it loses power, a validation does not.
pub(crate) struct Oath {
    id: [u8; 8],
    access: Option<(u8, Vec<u8>)>,
    challenge: [u8; 8],
    validated: bool,
    accounts: Vec<Account>,
}

impl Oath {
    pub(crate) fn new() -> Self {
        let mut id = [0; 8];
        OsRng.fill_bytes(&mut id);
        Self { id, access: None, challenge: [0; 8], validated: false, accounts: Vec::new() }
    }

    pub(crate) fn forget(&mut self) {
        self.validated = false;
    }

    /// The answer to SELECT: version, device id, and a challenge if there is an access key.
    pub(crate) fn selected(&mut self, identity: &Identity) -> Vec<u8> {
        let mut answer = [field(0x79, &identity.version()), field(0x71, &self.id)].concat();
        if let Some((hash, _)) = &self.access {
            OsRng.fill_bytes(&mut self.challenge);
            answer.extend([field(0x74, &self.challenge), field(0x7B, &[*hash])].concat());
        }
        answer
    }

    pub(crate) fn obey(&mut self, identity: &Identity, command: &Command, moment: &Moment) -> Answer {
        let data = command.data.as_slice();
        let truncated = command.p2 == 1;
        match command.instruction {
            0x04 if (command.p1, command.p2) == (0xDE, 0xAD) => {
                *self = Self::new();
                return Ok(Vec::new());
            }
            0xA3 => return self.validate(&fields(data).ok_or(WRONG_DATA)?),
            0x01..=0x05 | 0xA1 | 0xA2 | 0xA4 if self.access.is_some() && !self.validated => return Err(NOT_ALLOWED),
            _ => {}
        }
        if command.instruction == 0x01 {
            let most = if identity.version >= (5, 7, 0) { 64 } else { 32 };
            return self.put(data, most);
        }
        let items = fields(data).ok_or(WRONG_DATA)?;
        match command.instruction {
            0x02 => {
                let at = self.place(&items)?;
                self.accounts.remove(at);
                Ok(Vec::new())
            }
            0x03 => self.protect(&items),
            0x05 if identity.version >= (5, 3, 1) => self.rename(&items),
            0xA1 => Ok(self.list()),
            0xA2 => {
                let at = self.place(&items)?;
                let account = &mut self.accounts[at];
                if account.touch && !moment.touched() {
                    return Err(NOT_ALLOWED);
                }
                if !account.counts() {
                    return Ok(account.code(find(&items, 0x74).ok_or(WRONG_DATA)?, truncated));
                }
                let challenge = u64::from(account.counter).to_be_bytes();
                account.counter += 1;
                Ok(account.code(&challenge, truncated))
            }
            0xA4 => Ok(self.all(find(&items, 0x74).ok_or(WRONG_DATA)?, truncated)),
            _ => Err(UNKNOWN),
        }
    }

    fn place(&self, items: &[Field]) -> Result<usize, Status> {
        let name = find(items, 0x71).ok_or(WRONG_DATA)?;
        self.accounts.iter().position(|account| account.name == name).ok_or(NO_SUCH)
    }

    fn list(&self) -> Vec<u8> {
        self.accounts
            .iter()
            .flat_map(|account| field(0x72, &[&[account.kind], account.name.as_slice()].concat()))
            .collect()
    }

    /// CALCULATE ALL: what needs a touch or counts is named without a code.
    fn all(&self, challenge: &[u8], truncated: bool) -> Vec<u8> {
        let code = |account: &Account| match account {
            account if account.counts() => field(0x77, &[account.digits]),
            account if account.touch => field(0x7C, &[account.digits]),
            account => account.code(challenge, truncated),
        };
        self.accounts.iter().flat_map(|account| [field(0x71, &account.name), code(account)].concat()).collect()
    }

    /// PUT. The property is a tag and a byte, without a length.
    fn put(&mut self, mut data: &[u8], most: usize) -> Answer {
        let (mut touch, mut items) = (false, Vec::new());
        while let [tag, second, rest @ ..] = data {
            if *tag == 0x78 {
                touch = second & 2 != 0;
                data = rest;
                continue;
            }
            let (value, rest) = rest.split_at_checked(usize::from(*second)).ok_or(WRONG_DATA)?;
            items.push((u16::from(*tag), value.to_vec()));
            data = rest;
        }
        let name = find(&items, 0x71).filter(|name| (1..=64).contains(&name.len())).ok_or(WRONG_DATA)?.to_vec();
        let Some([kind, digits, secret @ ..]) = find(&items, 0x73) else { return Err(WRONG_DATA) };
        let counter = find(&items, 0x7A).unwrap_or(&[0; 4]).try_into().map_err(|_| WRONG_DATA)?;
        if !data.is_empty() || secret.is_empty() || !matches!(kind & 0x0F, 1..=3) || !matches!(kind >> 4, 1 | 2) {
            return Err(WRONG_DATA);
        }
        let account = Account {
            name,
            kind: *kind,
            digits: *digits,
            secret: secret.to_vec(),
            touch,
            counter: u32::from_be_bytes(counter),
        };
        match self.accounts.iter().position(|known| known.name == account.name) {
            Some(known) => self.accounts[known] = account,
            None if self.accounts.len() >= most => return Err(0x6A84),
            None => self.accounts.push(account),
        }
        Ok(Vec::new())
    }

    fn rename(&mut self, items: &[Field]) -> Answer {
        let [(0x71, _), (0x71, new)] = items else { return Err(WRONG_DATA) };
        let at = self.place(items)?;
        if new.is_empty() || new.len() > 64 || self.accounts.iter().any(|account| account.name == *new) {
            return Err(WRONG_DATA);
        }
        self.accounts[at].name.clone_from(new);
        Ok(Vec::new())
    }

    /// SET CODE: an access key, with proof that the other side has it; an empty one takes it away.
    fn protect(&mut self, items: &[Field]) -> Answer {
        let [hash, key @ ..] = find(items, 0x73).unwrap_or_default() else {
            self.access = None;
            return Ok(Vec::new());
        };
        let (challenge, proof) = (find(items, 0x74).ok_or(WRONG_DATA)?, find(items, 0x75).ok_or(WRONG_DATA)?);
        if mac(*hash, key, challenge) != proof {
            return Err(NO_SUCH);
        }
        self.access = Some((*hash, key.to_vec()));
        self.validated = true;
        Ok(Vec::new())
    }

    /// VALIDATE: both sides prove that they have the access key.
    fn validate(&mut self, items: &[Field]) -> Answer {
        let (hash, key) = self.access.as_ref().ok_or(NO_SUCH)?;
        let challenge = find(items, 0x74).ok_or(WRONG_DATA)?;
        if find(items, 0x75) != Some(&mac(*hash, key, &self.challenge)) {
            return Err(WRONG_DATA);
        }
        self.validated = true;
        Ok(field(0x75, &mac(*hash, key, challenge)))
    }
}
