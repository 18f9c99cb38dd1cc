//! The export of Google Authenticator: `otpauth-migration://offline?data=…`, a protobuf message in base64 with every
//! account that was chosen there. Its form is published by nobody and read by many: `MigrationPayload`, whose field 1 is
//! the accounts. Pure.

use super::totp::{SeedError, sized};
use claviger::model::Label;
use claviger::secret::TotpSeed;
use data_encoding::BASE64_NOPAD;
use std::fmt;
use zeroize::Zeroizing;

/// How an export begins.
const BEGINNING: &str = "otpauth-migration://offline?";
/// The longest export in bytes: the app puts ten accounts in one QR code, and that ends at 3 KiB.
const LENGTH_LIMIT: usize = 16 * 1024;
/// The most accounts that a message lists: it is one line.
const LISTED_LIMIT: usize = 6;
/// The most characters of a name in that list: an AWS user and an account id.
const NAME_LIMIT: usize = 24;
/// What AWS puts before the name of every account.
const AWS: &str = "Amazon Web Services:";

/// The accounts of an export that AWS could use, as a message lists them. Names are no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accounts(pub Vec<String>);

impl fmt::Display for Accounts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, name) in (1..).zip(self.0.iter().take(LISTED_LIMIT)) {
            let comma = if number > 1 { ", " } else { "" };
            let name: String = Label(name).to_string().chars().take(NAME_LIMIT).collect();
            write!(out, "{comma}{number} {name}")?;
        }
        match self.0.len().saturating_sub(LISTED_LIMIT) {
            0 => Ok(()),
            more => write!(out, " and {more} more"),
        }
    }
}

/// An account.
#[derive(Default)]
struct Account {
    secret: Zeroizing<Vec<u8>>,
    name: String,
    issuer: String,
    algorithm: u64,
    digits: u64,
    kind: u64,
}

impl Account {
    /// SHA-1, six digits, by time; each is also what 0, unspecified, means.
    fn is_for_aws(&self) -> bool {
        matches!((self.algorithm, self.digits, self.kind), (0 | 1, 0 | 1, 0 | 2))
    }

    fn label(&self) -> String {
        let name = self.name.strip_prefix(AWS).unwrap_or(&self.name);
        if self.issuer.is_empty() || AWS.trim_end_matches(':') == self.issuer || name.starts_with(&self.issuer) {
            return name.to_owned();
        }
        format!("{}:{name}", self.issuer)
    }
}

/// Whether a text is an export, by how it begins.
pub(super) fn is_export(text: &str) -> bool {
    text.get(..BEGINNING.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(BEGINNING))
}

/// The seed of the account that is wanted, by its number or its name in the list; of the only one, without.
pub(super) fn seed(text: &str, wanted: Option<&str>) -> Result<TotpSeed, SeedError> {
    let mut accounts = read(text)?;
    accounts.retain(Account::is_for_aws);
    if accounts.is_empty() {
        return Err(SeedError::NotAws);
    }
    let labels: Vec<String> = accounts.iter().map(Account::label).collect();
    let place = match wanted {
        None if labels.len() == 1 => 0,
        None => return Err(SeedError::SeveralAccounts(Accounts(labels))),
        Some(wanted) => match place(&labels, wanted.trim()) {
            Some(place) => place,
            None => return Err(SeedError::AccountUnknown(Accounts(labels))),
        },
    };
    sized(std::mem::take(&mut *accounts.swap_remove(place).secret))
}

fn place(labels: &[String], wanted: &str) -> Option<usize> {
    let mut named = labels.iter().enumerate().filter(|(_, label)| *label == wanted).map(|(place, _)| place);
    if let (Some(place), None) = (named.next(), named.next()) {
        return Some(place);
    }
    wanted.parse::<usize>().ok()?.checked_sub(1).filter(|place| *place < labels.len())
}

fn read(text: &str) -> Result<Vec<Account>, SeedError> {
    let query = text.get(BEGINNING.len()..).filter(|query| query.len() <= LENGTH_LIMIT).ok_or(SeedError::NotExport)?;
    let data = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "data");
    let (_, data) = data.ok_or(SeedError::NotExport)?;
    // A plus sign that nobody encoded reads as a space.
    let letters = data.bytes().filter(|byte| *byte != b'=').map(|byte| if byte == b' ' { b'+' } else { byte });
    let letters = Zeroizing::new(letters.collect::<Vec<u8>>());
    let message = Zeroizing::new(BASE64_NOPAD.decode(&letters).map_err(|_| SeedError::NotExport)?);
    let mut accounts = Vec::new();
    for field in Fields(&message) {
        if let (1, Value::Bytes(account)) = field? {
            accounts.push(account_of(account)?);
        }
    }
    if accounts.is_empty() { Err(SeedError::NotExport) } else { Ok(accounts) }
}

fn account_of(message: &[u8]) -> Result<Account, SeedError> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| SeedError::NotExport);
    let mut account = Account::default();
    for field in Fields(message) {
        match field? {
            (1, Value::Bytes(secret)) => account.secret = Zeroizing::new(secret.to_vec()),
            (2, Value::Bytes(name)) => account.name = text(name)?,
            (3, Value::Bytes(issuer)) => account.issuer = text(issuer)?,
            (4, Value::Number(algorithm)) => account.algorithm = algorithm,
            (5, Value::Number(digits)) => account.digits = digits,
            (6, Value::Number(kind)) => account.kind = kind,
            // A counter, and what is newer.
            _ => {}
        }
    }
    Ok(account)
}

/// The fields of a protobuf message (protobuf.dev, encoding): a number and a value each. Nothing is nested here but by
/// whoever looks into the bytes of a field.
struct Fields<'a>(&'a [u8]);

enum Value<'a> {
    Bytes(&'a [u8]),
    Number(u64),
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), SeedError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or(SeedError::NotExport))
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let tag = self.number()?;
        let value = match tag & 7 {
            0 => Value::Number(self.number()?),
            1 => Value::Bytes(self.bytes(8)?),
            2 => {
                let length = usize::try_from(self.number()?).ok()?;
                Value::Bytes(self.bytes(length)?)
            }
            5 => Value::Bytes(self.bytes(4)?),
            _ => return None,
        };
        Some((tag >> 3, value))
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit.
            number |= bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits)?;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::{SeedError, parse_seed};
    use claviger::secret::{SecretText, TotpSeedText};
    use data_encoding::BASE64;

    const SEED: &[u8] = b"12345678901234567890";

    /// One account as the app writes it: secret, name, issuer; algorithm, digits and type where they are not 0.
    fn account(secret: &[u8], name: &str, issuer: &str, numbers: [u8; 3]) -> Vec<u8> {
        let mut message = Vec::new();
        for (tag, bytes) in [(0x0a, secret), (0x12, name.as_bytes()), (0x1a, issuer.as_bytes())] {
            message.extend([tag, bytes.len() as u8]);
            message.extend(bytes);
        }
        for (tag, number) in [0x20, 0x28, 0x30].into_iter().zip(numbers) {
            message.extend([tag, number]);
        }
        [&[0x0a, message.len() as u8], message.as_slice()].concat()
    }

    /// The URI of a message, as a QR code has it.
    pub(in crate::mfa) fn uri(message: &[u8]) -> String {
        let data: String = form_urlencoded::byte_serialize(BASE64.encode(message).as_bytes()).collect();
        format!("otpauth-migration://offline?data={data}")
    }

    fn parse(text: &str, wanted: Option<&str>) -> Result<Vec<u8>, SeedError> {
        parse_seed(&TotpSeedText::from_text(text.to_owned()), wanted).map(|seed| seed.expose().to_vec())
    }

    /// Version 1, the first of one.
    const END: [u8; 8] = [0x10, 1, 0x18, 1, 0x20, 0, 0x28, 0];

    fn two() -> String {
        let one = account(SEED, "Amazon Web Services:ada@123456789012", "Amazon Web Services", [1, 1, 2]);
        let other = account(b"abcdefghijklmnopqrst", "ada", "GitHub", [1, 1, 2]);
        uri(&[one, other, END.to_vec()].concat())
    }

    #[test]
    fn the_only_account_is_taken_and_of_several_the_one_that_is_named() {
        let one = account(SEED, "ada", "", [1, 1, 2]);
        assert_eq!(parse(&uri(&[one.clone(), END.to_vec()].concat()), None).unwrap(), SEED);
        assert_eq!(parse(&format!(" {}\n", uri(&one)), Some("ada")).unwrap(), SEED);
        for wanted in ["1", "ada@123456789012"] {
            assert_eq!(parse(&two(), Some(wanted)).unwrap(), SEED, "{wanted}");
        }
        for wanted in ["2", "GitHub:ada", " 2 "] {
            assert_eq!(parse(&two(), Some(wanted)).unwrap(), b"abcdefghijklmnopqrst", "{wanted}");
        }
        let listed = "1 ada@123456789012, 2 GitHub:ada";
        let said = parse(&two(), None).unwrap_err().to_string();
        assert_eq!(said, format!("the export holds several accounts ({listed}): choose one with --account"));
        for wanted in ["0", "3", "ADA", "", "99999999999999999999999"] {
            let said = parse(&two(), Some(wanted)).unwrap_err().to_string();
            assert_eq!(said, format!("the export holds no such account (it has {listed})"), "{wanted}");
        }
    }

    #[test]
    fn an_account_that_aws_cannot_use_is_none() {
        let numbers = [[2, 1, 2], [4, 1, 2], [1, 2, 2], [1, 1, 1], [255, 1, 2]];
        for numbers in numbers {
            let numbers = numbers.map(|number: u8| number.min(127));
            let message = account(SEED, "ada", "", numbers);
            assert_eq!(parse(&uri(&message), None).unwrap_err(), SeedError::NotAws, "{numbers:?}");
            let with = [message, account(SEED, "", "", [0, 0, 0])].concat();
            assert_eq!(parse(&uri(&with), None).unwrap(), SEED, "the other one is the only one");
        }
        assert_eq!(parse(&uri(&account(b"short", "ada", "", [1, 1, 2])), None).unwrap_err(), SeedError::Size);
    }

    #[test]
    fn what_was_exported_by_another_hand_is_read_and_what_is_no_export_refused() {
        let good = account(&[0xfb; 20], "ada", "", [1, 1, 2]);
        let raw = BASE64.encode(&good);
        assert!(raw.contains('+'), "or it shows nothing");
        for data in [raw.clone(), raw.replace('=', ""), raw.replace('+', "%2b")] {
            let uri = format!("OTPAUTH-MIGRATION://offline?data={data}");
            assert_eq!(parse(&uri, None).unwrap(), [0xfb; 20], "{data}");
        }
        let newer = [&[0x3a, 1, 7, 0x41, 1, 2, 3, 4, 5, 6, 7, 8, 0x4d, 1, 2, 3, 4], good.as_slice()].concat();
        assert_eq!(parse(&uri(&newer), None).unwrap(), [0xfb; 20], "fields of a newer app");
        let long = [good.clone(), vec![0x10; 20_000]].concat();
        for message in [
            &b""[..],
            &END,
            &good[..good.len() - 1],
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            &[0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
            &[0x0b, 0x0c],
            &[0x0a, 3, 0x12, 1, 0xff],
            &long,
        ] {
            assert_eq!(parse(&uri(message), None).unwrap_err(), SeedError::NotExport, "{message:?}");
        }
        for text in
            ["otpauth-migration://offline?", "otpauth-migration://offline?data=%%%", "otpauth-migration://offline?x=y"]
        {
            assert_eq!(parse(text, None).unwrap_err(), SeedError::NotExport, "{text}");
        }
        assert_eq!(parse("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", Some("1")).unwrap_err(), SeedError::OneSeed);
        assert_eq!(parse("otpauth://totp/a?secret=GEZDGNBVGY3TQOJQ", Some("1")).unwrap_err(), SeedError::OneSeed);
    }
}
