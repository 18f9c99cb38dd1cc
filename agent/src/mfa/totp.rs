//! Virtual TOTP devices (RFC 6238 as AWS uses it: SHA-1, six digits, 30 seconds).

use super::STEP_SECONDS;
use super::migration::{self, Accounts};
use claviger::model::MfaSerial;
use claviger::secret::{SecretText, TokenCode, TotpSeed, TotpSeedText};
use data_encoding::{BASE32_NOPAD, Encoding};
use form_urlencoded::byte_serialize;
use totp_rs::{Algorithm, Builder, Totp};
use zeroize::Zeroizing;

/// The fewest bytes of a seed: 80 bits, what the oldest authenticator apps use. AWS makes 320.
const SEED_LEAST: usize = 10;
/// The most bytes of a seed: the block of HMAC-SHA-1; a longer one is hashed first, and nobody issues those.
const SEED_MOST: usize = 64;

/// Why a text is no seed of an AWS device. Never says what the text was, but for the names of accounts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SeedError {
    /// An export without the account that was asked for; those it has.
    #[error("the export holds no such account (it has {0})")]
    AccountUnknown(Accounts),
    /// Not base32 (RFC 4648 section 6).
    #[error("the seed is not base32 (letters A to Z and digits 2 to 7)")]
    NotBase32,
    /// An otpauth URI for something AWS does not do: HOTP, SHA-256, eight digits, 60 seconds.
    #[error("the otpauth URI is not of a TOTP device with SHA-1, 6 digits and 30 seconds, as AWS uses")]
    NotAws,
    /// Not an export of Google Authenticator, though it begins like one.
    #[error("the otpauth-migration URI is not well formed")]
    NotExport,
    /// Not an otpauth URI, though it begins like one.
    #[error("the otpauth URI is not well formed")]
    NotUri,
    /// An account was asked for, and the seed is of one alone.
    #[error("only an export of Google Authenticator has accounts to choose from")]
    OneSeed,
    /// An export with several accounts, none of which was asked for.
    #[error("the export holds several accounts ({0}): choose one with --account")]
    SeveralAccounts(Accounts),
    /// Too short or too long.
    #[error("the seed is not 10 to 64 bytes long")]
    Size,
}

/// Reads a seed as people have it: base32 in any case with spaces, dashes and padding, a whole `otpauth://` URI, or an
/// `otpauth-migration://` URI, from which `account` chooses by name or number.
pub fn parse_seed(text: &TotpSeedText, account: Option<&str>) -> Result<TotpSeed, SeedError> {
    let text = text.expose().trim();
    if migration::is_export(text) {
        return migration::seed(text, account);
    }
    if account.is_some() {
        return Err(SeedError::OneSeed);
    }
    if text.get(..10).is_some_and(|scheme| scheme.eq_ignore_ascii_case("otpauth://")) {
        return from_uri(text);
    }
    let mut letters = Zeroizing::new(String::with_capacity(text.len()));
    letters
        .extend(text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '-' | '=')).map(|c| c.to_ascii_uppercase()));
    // Some issuers leave trailing bits set; what matters is the whole bytes.
    let lenient = lenient_base32().ok_or(SeedError::NotBase32)?;
    sized(lenient.decode(letters.as_bytes()).map_err(|_| SeedError::NotBase32)?)
}

/// The code of a step.
pub fn code(seed: &TotpSeed, step: u64) -> TokenCode {
    let totp = aws_totp(seed);
    let token = totp.generate(step.saturating_mul(STEP_SECONDS.unsigned_abs()));
    TokenCode::from_text(token.to_string())
}

/// The seed as an `otpauth://` URI for another authenticator.
pub fn export_uri(seed: &TotpSeed, serial: &MfaSerial) -> TotpSeedText {
    let letters = Zeroizing::new(BASE32_NOPAD.encode(seed.expose()));
    let account: String = byte_serialize(serial.as_str().as_bytes()).collect();
    let mut uri = String::with_capacity(account.len() + letters.len() + 80);
    uri.push_str("otpauth://totp/Amazon%20Web%20Services:");
    uri.push_str(&account);
    uri.push_str("?issuer=Amazon%20Web%20Services&secret=");
    uri.push_str(&letters);
    TotpSeedText::from_text(uri)
}

fn from_uri(text: &str) -> Result<TotpSeed, SeedError> {
    let totp = Totp::from_url_unchecked(text).map_err(|_| SeedError::NotUri)?;
    if (totp.algorithm(), totp.digits(), totp.step()) != (Algorithm::SHA1, 6, STEP_SECONDS.unsigned_abs()) {
        return Err(SeedError::NotAws);
    }
    sized(totp.secret().as_ref().to_vec())
}

pub(super) fn sized(bytes: Vec<u8>) -> Result<TotpSeed, SeedError> {
    let fits = (SEED_LEAST..=SEED_MOST).contains(&bytes.len());
    let seed = TotpSeed::new(bytes);
    if fits { Ok(seed) } else { Err(SeedError::Size) }
}

fn aws_totp(seed: &TotpSeed) -> Totp {
    Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_digits(6)
        .with_step_duration(STEP_SECONDS.unsigned_abs())
        .with_secret(seed.expose())
        .build_noncompliant()
}

fn lenient_base32() -> Option<Encoding> {
    let mut specification = BASE32_NOPAD.specification();
    specification.check_trailing_bits = false;
    specification.encoding().ok()
}

#[cfg(test)]
mod tests {
    use super::{SeedError, code, export_uri, parse_seed};
    use claviger::secret::{SecretText, TotpSeed, TotpSeedText};

    const RFC_SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    fn seed(text: &str) -> Result<Vec<u8>, SeedError> {
        parse_seed(&TotpSeedText::from_text(text.to_owned()), None).map(|seed| seed.expose().to_vec())
    }

    #[test]
    fn codes_are_those_of_rfc_6238() {
        // Appendix B, SHA-1: the last six of the eight digits.
        let rfc = TotpSeed::new(b"12345678901234567890".to_vec());
        for (time, digits) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000_u64, "353130"),
        ] {
            assert_eq!(code(&rfc, time / 30).expose(), digits);
        }
        // RFC 4226 appendix D.
        for (counter, digits) in
            ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"]
                .iter()
                .enumerate()
        {
            assert_eq!(code(&rfc, counter as u64).expose(), *digits);
        }
    }

    #[test]
    fn seeds_are_read_as_people_have_them() {
        let expected = b"12345678901234567890".to_vec();
        for text in [RFC_SEED, "gezd gnbv gy3t qojq gezd gnbv gy3t qojq", "GEZDGNBVGY3TQOJQ-GEZDGNBVGY3TQOJQ====\n"] {
            assert_eq!(seed(text).unwrap(), expected, "{text}");
        }
        let uri = format!(
            "otpauth://totp/Amazon%20Web%20Services:ada@123456789012?secret={RFC_SEED}&issuer=Amazon%20Web%20Services"
        );
        assert_eq!(seed(&uri).unwrap(), expected);
    }

    #[test]
    fn what_aws_cannot_use_is_refused_by_name() {
        assert_eq!(seed("not base32 at all!").unwrap_err(), SeedError::NotBase32);
        assert_eq!(seed("GEZDG").unwrap_err(), SeedError::Size);
        assert_eq!(seed("").unwrap_err(), SeedError::Size);
        assert_eq!(
            seed(&format!("otpauth://totp/a:b?secret={RFC_SEED}&algorithm=SHA256")).unwrap_err(),
            SeedError::NotAws
        );
        assert_eq!(seed(&format!("otpauth://totp/a:b?secret={RFC_SEED}&digits=8")).unwrap_err(), SeedError::NotAws);
        assert_eq!(seed(&format!("otpauth://totp/a:b?secret={RFC_SEED}&period=60")).unwrap_err(), SeedError::NotAws);
        assert_eq!(seed(&format!("otpauth://hotp/a:b?secret={RFC_SEED}&counter=1")).unwrap_err(), SeedError::NotUri);
        assert_eq!(seed("otpauth://totp/a:b").unwrap_err(), SeedError::NotUri);
    }

    #[test]
    fn an_exported_uri_is_read_back() {
        let original = TotpSeed::new(b"12345678901234567890".to_vec());
        let uri = export_uri(&original, &"arn:aws:iam::123456789012:mfa/ada".parse().unwrap());
        assert_eq!(parse_seed(&uri, None).unwrap().expose(), original.expose());
    }
}
