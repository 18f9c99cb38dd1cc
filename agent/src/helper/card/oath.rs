//! The OATH applet (Yubico, YKOATH protocol specification).

use super::link::{Apdu, Link, Status, fields, unexpected};
use crate::device::oath::{Account, Answer, Hash, Kind, NewAccount, Operation, RENAMES_SINCE, Verb, period};
use crate::device::protocol::{Answer as AnyAnswer, Bytes, OathInfo};
use crate::device::{Applet, Error, Thing};
use aws_lc_rs::{hmac, pbkdf2};
use claviger::model::Firmware;
use claviger::secret::{DeviceSecret, Pin, SecretText, TokenCode};
use data_encoding::HEXLOWER;
use std::num::NonZeroU32;
use zeroize::Zeroizing;

const NAME: [u8; 7] = [0xa0, 0x00, 0x00, 0x05, 0x27, 0x21, 0x01];
/// SEND REMAINING: of this applet, not GET RESPONSE.
const MORE: u8 = 0xa5;
/// Bytes of a name.
const NAME_LIMIT: usize = 64;
/// Seeds shorter than this are filled up with zeros, which HMAC does not notice (RFC 2104 section 2).
const SEED_LEAST: usize = 14;
/// Longer seeds are not taken: nobody has one, and HMAC would hash it first.
const SEED_MOST: usize = 64;
/// Bytes of the access key, and the rounds that make it of a password.
const ACCESS_BYTES: usize = 16;
const ACCESS_ROUNDS: NonZeroU32 = NonZeroU32::new(1000).expect("not zero");

/// The applet as it answers its selection.
pub(super) struct Selected {
    pub(super) version: Firmware,
    id: Vec<u8>,
    /// What has to be answered before it does anything.
    challenge: Option<Vec<u8>>,
}

impl Selected {
    pub(super) fn info(&self) -> OathInfo {
        OathInfo { id: Bytes(self.id.clone()), locked: self.challenge.is_some() }
    }
}

/// Selects it; None where the card has none.
pub(super) fn select(link: &mut dyn Link) -> Result<Option<Selected>, Error> {
    let (answer, status) = Apdu::select(&NAME).exchange(link, MORE)?;
    match status {
        Status::OK => {}
        Status::NOT_FOUND | Status::WRONG_DATA | Status::INSTRUCTION | Status::CONDITIONS => return Ok(None),
        other => return Err(unexpected(other)),
    }
    let fields = fields(&answer)?;
    let value = |wanted: u8| fields.iter().find(|(tag, _)| *tag == wanted).map(|(_, value)| value.to_vec());
    match (value(0x79).as_deref(), value(0x71)) {
        (Some([major, minor, patch]), Some(id)) => {
            Ok(Some(Selected { version: Firmware(*major, *minor, *patch), id, challenge: value(0x74) }))
        }
        _ => Err(Error::BadAnswer("no version, or no id".to_owned())),
    }
}

/// How it is told that the card waits to be touched.
pub(super) struct Touches<'a> {
    /// It does.
    pub(super) sure: &'a dyn Fn(),
    /// It may: what counts does not tell.
    pub(super) perhaps: &'a dyn Fn(),
}

/// Does it, in one transaction.
pub(super) fn run(link: &mut dyn Link, operation: Operation, touch: &Touches<'_>) -> Result<AnyAnswer, Error> {
    let selected = select(link)?.ok_or(Error::AppletMissing(Applet::Oath))?;
    let Operation { access, verb } = operation;
    if let Verb::Access(password) = &verb {
        let access = access_key(password, &selected.id);
        validate(link, &selected, &access)?;
        return Ok(AnyAnswer::Oath(Answer::Access(access)));
    }
    match (&selected.challenge, &access) {
        (Some(_), Some(access)) => validate(link, &selected, access)?,
        (Some(_), None) => return Err(Error::PasswordNeeded),
        (None, _) => {}
    }
    match verb {
        Verb::Access(_) => {}
        Verb::Code { name, time } => return code(link, &name.0, time, touch).map(Answer::Code).map(AnyAnswer::Oath),
        Verb::NextCode { name } => return next_code(link, &name.0, touch).map(Answer::Code).map(AnyAnswer::Oath),
        Verb::List {} => return accounts(link).map(Answer::Accounts).map(AnyAnswer::Oath),
        Verb::Delete { name } => done(Apdu::new(0x02, 0, 0).field(0x71, &name.0), link)?,
        Verb::Put(account) => put(link, &account)?,
        Verb::Rename { from, to } => rename(link, selected.version, &from.0, &to.0)?,
        Verb::SetPassword(password) => set_password(link, &selected, password.as_ref())?,
    }
    Ok(AnyAnswer::Nothing {})
}

/// The key that a password gives for this device.
fn access_key(password: &Pin, id: &[u8]) -> DeviceSecret {
    let mut key = Zeroizing::new([0; ACCESS_BYTES]);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA1, ACCESS_ROUNDS, id, password.expose().as_bytes(), &mut *key);
    DeviceSecret::from_text(HEXLOWER.encode(&*key))
}

fn hmac_key(access: &DeviceSecret) -> Result<hmac::Key, Error> {
    let bytes = HEXLOWER.decode(access.expose().as_bytes()).map(Zeroizing::new).map_err(|_| Error::PasswordWrong)?;
    Ok(hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &bytes))
}

/// Proves to the applet that the access key is known, and has it prove the same.
fn validate(link: &mut dyn Link, selected: &Selected, access: &DeviceSecret) -> Result<(), Error> {
    let Some(challenge) = &selected.challenge else { return Ok(()) };
    let key = hmac_key(access)?;
    let own = random()?;
    let response = hmac::sign(&key, challenge);
    let (answer, status) =
        Apdu::new(0xa3, 0, 0).field(0x75, response.as_ref()).field(0x74, &own).exchange(link, MORE)?;
    match status {
        Status::OK => {}
        Status::WRONG_DATA => return Err(Error::PasswordWrong),
        other => return Err(unexpected(other)),
    }
    let fields = fields(&answer)?;
    let proof = fields.iter().find(|(tag, _)| *tag == 0x75).map(|(_, value)| *value).unwrap_or_default();
    hmac::verify(&key, &own, proof).map_err(|_| Error::BadAnswer("a proof that is none".to_owned()))
}

fn random() -> Result<[u8; 8], Error> {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::CardUnusable("no randomness".to_owned()))?;
    Ok(bytes)
}

fn set_password(link: &mut dyn Link, selected: &Selected, password: Option<&Pin>) -> Result<(), Error> {
    let Some(password) = password else { return done(Apdu::new(0x03, 0, 0).field(0x73, &[]), link) };
    let access = access_key(password, &selected.id);
    let challenge = random()?;
    let response = hmac::sign(&hmac_key(&access)?, &challenge);
    // TOTP and SHA-1, as an account has it.
    let mut key = Zeroizing::new(vec![0x21]);
    key.reserve_exact(ACCESS_BYTES);
    key.extend(HEXLOWER.decode(access.expose().as_bytes()).unwrap_or_default());
    done(Apdu::new(0x03, 0, 0).field(0x73, &key).field(0x74, &challenge).field(0x75, response.as_ref()), link)
}

/// The accounts. LIST tells what each is, CALCULATE ALL which of them want a touch.
fn accounts(link: &mut dyn Link) -> Result<Vec<Account>, Error> {
    let (answer, status) = Apdu::new(0xa1, 0, 0).exchange(link, MORE)?;
    if status != Status::OK {
        return Err(unexpected(status));
    }
    let touches = touches(link, 0)?;
    let bad = || Error::BadAnswer("an account of an unknown kind".to_owned());
    let mut accounts = Vec::new();
    for (tag, value) in fields(&answer)? {
        let (0x72, [kind, name @ ..]) = (tag, value) else { return Err(bad()) };
        let hash = match kind & 0x0f {
            1 => Hash::Sha1,
            2 => Hash::Sha256,
            3 => Hash::Sha512,
            _ => return Err(bad()),
        };
        let kind = match kind & 0xf0 {
            0x10 => Kind::Hotp,
            0x20 => Kind::Totp,
            _ => return Err(bad()),
        };
        let touch = touches.iter().find(|(known, _)| known == name).and_then(|(_, touch)| *touch);
        accounts.push(Account { name: Bytes(name.to_vec()), kind, hash, period: period(name), touch });
    }
    Ok(accounts)
}

/// An account's name, and whether it wants a touch.
type Wants = (Vec<u8>, Option<bool>);

/// Each account's name, and whether it wants a touch; None of an HOTP account, whose counter this leaves where it is.
fn touches(link: &mut dyn Link, step: u64) -> Result<Vec<Wants>, Error> {
    let (answer, status) = Apdu::new(0xa4, 0, 1).field(0x74, &step.to_be_bytes()).exchange(link, MORE)?;
    if status != Status::OK {
        return Err(unexpected(status));
    }
    let pairs = fields(&answer)?;
    let mut found = Vec::new();
    for pair in pairs.chunks(2) {
        let [(0x71, name), (kind, _)] = pair else {
            return Err(Error::BadAnswer("an account without a code".to_owned()));
        };
        let touch = match kind {
            0x75 | 0x76 => Some(false),
            0x77 => None,
            0x7c => Some(true),
            _ => return Err(Error::BadAnswer("a code of an unknown kind".to_owned())),
        };
        found.push((name.to_vec(), touch));
    }
    Ok(found)
}

/// Whether this account wants a touch, as [`touches`].
fn wants_touch(link: &mut dyn Link, name: &[u8], step: u64) -> Result<Option<bool>, Error> {
    let touches = touches(link, step)?;
    touches.iter().find(|(known, _)| known == name).map(|(_, touch)| *touch).ok_or(Error::NotThere(Thing::Account))
}

fn code(link: &mut dyn Link, name: &[u8], time: i64, touch: &Touches<'_>) -> Result<TokenCode, Error> {
    let step = u64::try_from(time.div_euclid(i64::from(period(name)))).unwrap_or(0);
    match wants_touch(link, name, step)? {
        Some(true) => (touch.sure)(),
        Some(false) => {}
        None => return Err(Error::AccountCounts),
    }
    calculate(link, name, &step.to_be_bytes())
}

/// Once: whatever becomes of the answer, the counter may have moved.
fn next_code(link: &mut dyn Link, name: &[u8], touch: &Touches<'_>) -> Result<TokenCode, Error> {
    match wants_touch(link, name, 0)? {
        None => (touch.perhaps)(),
        Some(_) => return Err(Error::NotThere(Thing::Account)),
    }
    calculate(link, name, &[])
}

fn calculate(link: &mut dyn Link, name: &[u8], challenge: &[u8]) -> Result<TokenCode, Error> {
    let (answer, status) = Apdu::new(0xa2, 0, 1).field(0x71, name).field(0x74, challenge).exchange(link, MORE)?;
    match status {
        Status::OK => {}
        Status::NO_SUCH_OBJECT => return Err(Error::NotThere(Thing::Account)),
        // The applet is open, so this is the touch.
        Status::AUTHENTICATION_NEEDED => return Err(Error::TouchTimeout),
        other => return Err(unexpected(other)),
    }
    match fields(&answer)?.as_slice() {
        [(0x76, [digits @ 6..=8, number @ ..])] => {
            let number = number.first_chunk::<4>().filter(|_| number.len() == 4);
            let number = number.ok_or_else(|| Error::BadAnswer("a code of another length".to_owned()))?;
            let number = u32::from_be_bytes(*number) & 0x7fff_ffff;
            let width = usize::from(*digits);
            let modulus = 10_u32.saturating_pow(u32::from(*digits));
            Ok(TokenCode::from_text(format!("{:0width$}", number.checked_rem(modulus).unwrap_or(0))))
        }
        _ => Err(Error::BadAnswer("no code".to_owned())),
    }
}

fn put(link: &mut dyn Link, account: &NewAccount) -> Result<(), Error> {
    if account.name.0.is_empty() || account.name.0.len() > NAME_LIMIT || !(6..=8).contains(&account.digits) {
        return Err(Error::TooLarge);
    }
    // The applet would overwrite it.
    if touches(link, 0)?.iter().any(|(name, _)| *name == account.name.0) {
        return Err(Error::AlreadyThere);
    }
    let seed = HEXLOWER.decode(account.seed.expose().as_bytes()).map(Zeroizing::new).map_err(|_| Error::TooLarge)?;
    if seed.len() > SEED_MOST {
        return Err(Error::TooLarge);
    }
    let kind = match account.kind {
        Kind::Hotp => 0x10,
        Kind::Totp => 0x20,
    };
    let hash = match account.hash {
        Hash::Sha1 => 1,
        Hash::Sha256 => 2,
        Hash::Sha512 => 3,
    };
    let mut key = Zeroizing::new(Vec::with_capacity(2 + SEED_MOST));
    key.extend_from_slice(&[kind | hash, account.digits]);
    key.extend_from_slice(&seed);
    let length = key.len().max(2 + SEED_LEAST);
    key.resize(length, 0);
    let mut apdu = Apdu::new(0x01, 0, 0).field(0x71, &account.name.0).field(0x73, &key);
    if account.touch {
        // A tag and one byte, without a length.
        apdu = apdu.bytes(&[0x78, 0x02]);
    }
    if account.kind == Kind::Hotp && account.counter > 0 {
        apdu = apdu.field(0x7a, &account.counter.to_be_bytes());
    }
    done(apdu, link)
}

fn rename(link: &mut dyn Link, version: Firmware, from: &[u8], to: &[u8]) -> Result<(), Error> {
    if version < RENAMES_SINCE {
        return Err(Error::Unsupported(Some(RENAMES_SINCE)));
    }
    if to.is_empty() || to.len() > NAME_LIMIT {
        return Err(Error::TooLarge);
    }
    if touches(link, 0)?.iter().any(|(name, _)| name == to) {
        return Err(Error::AlreadyThere);
    }
    done(Apdu::new(0x05, 0, 0).field(0x71, from).field(0x71, to), link)
}

fn done(apdu: Apdu, link: &mut dyn Link) -> Result<(), Error> {
    match apdu.exchange(link, MORE)?.1 {
        Status::OK => Ok(()),
        Status::NO_SUCH_OBJECT => Err(Error::NotThere(Thing::Account)),
        Status::AUTHENTICATION_NEEDED => Err(Error::PasswordNeeded),
        other => Err(unexpected(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Touches, run};
    use crate::device::oath::{Answer, Operation, Verb};
    use crate::device::protocol::{Answer as AnyAnswer, Bytes};
    use crate::device::{Error, Thing};
    use crate::helper::card::link::script::ScriptedLink;
    use claviger::secret::SecretText;
    use std::cell::RefCell;

    /// SELECT, and CALCULATE ALL: `cnt` counts, `now` goes by time.
    const OPENED: &str = "
        > 00 a4 04 00 07 a0 00 00 05 27 21 01
        < 79 03 05 07 01 71 08 01 02 03 04 05 06 07 08 90 00
        > 00 a4 00 01 0a 74 08 00 00 00 00 00 00 00 00
        < 71 03 63 6e 74 77 01 06 71 03 6e 6f 77 76 05 06 00 00 00 00 90 00";

    fn said(script: &str, verb: Verb) -> (Result<String, Error>, Vec<&'static str>) {
        let told = RefCell::new(Vec::new());
        let (sure, perhaps) = (|| told.borrow_mut().push("sure"), || told.borrow_mut().push("perhaps"));
        let touches = Touches { sure: &sure, perhaps: &perhaps };
        let mut link = ScriptedLink::new(&[OPENED, script].concat());
        let code = match run(&mut link, Operation { access: None, verb }, &touches) {
            Ok(AnyAnswer::Oath(Answer::Code(code))) => Ok(code.expose().to_owned()),
            Ok(_) => panic!("another answer"),
            Err(error) => Err(error),
        };
        (code, told.into_inner())
    }

    #[test]
    fn a_counted_code_is_calculated_once_over_an_empty_challenge() {
        let next = |name: &[u8]| Verb::NextCode { name: Bytes(name.to_vec()) };
        let asked = "\n> 00 a2 00 01 07 71 03 63 6e 74 74 00\n< ";
        // RFC 4226 appendix D, count 0.
        let (code, told) = said(&format!("{asked}76 05 06 4c 93 cf 18 90 00"), next(b"cnt"));
        assert_eq!((code.as_deref(), told), (Ok("755224"), vec!["perhaps"]));
        for (answer, error) in
            [("69 82", Error::TouchTimeout), ("69 84", Error::NotThere(Thing::Account)), ("gone", Error::Gone)]
        {
            assert_eq!(said(&format!("{asked}{answer}"), next(b"cnt")), (Err(error), vec!["perhaps"]));
        }
        // Nothing is sent for one of the other kind.
        assert_eq!(said("", next(b"now")), (Err(Error::NotThere(Thing::Account)), vec![]));
        let by_time = Verb::Code { name: Bytes(b"cnt".to_vec()), time: 0 };
        assert_eq!(said("", by_time), (Err(Error::AccountCounts), vec![]));
    }
}
