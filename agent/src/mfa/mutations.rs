//! Seeds and exports under a long run of damaged inputs.

use super::migration::tests::uri;
use super::{SeedError, code, export_uri, parse_seed};
use crate::testing::parsers::{Parser, Verdict};
use claviger::secret::{SecretText, TotpSeedText};

fn parse(text: &str, account: Option<&str>) -> Verdict {
    match parse_seed(&TotpSeedText::from_text(text.to_owned()), account) {
        Ok(seed) => {
            assert!((10..=64).contains(&seed.expose().len()), "a seed of {} bytes", seed.expose().len());
            let code = code(&seed, seed.expose().len() as u64);
            assert!(code.expose().len() == 6 && code.expose().bytes().all(|byte| byte.is_ascii_digit()));
            let again = parse_seed(&export_uri(&seed, &"arn:aws:iam::123456789012:mfa/ada".parse().unwrap()), None);
            assert!(again.unwrap().expose() == seed.expose(), "not what was exported");
            Verdict::Accepted
        }
        // Names of accounts are told: they are what a person chooses by.
        Err(error @ (SeedError::AccountUnknown(_) | SeedError::SeveralAccounts(_))) => {
            let said = error.to_string();
            assert!(said.chars().count() < 400 && !said.chars().any(char::is_control), "{said:?}");
            let Verdict::Refused { kind, .. } = Verdict::refused(&error) else { unreachable!() };
            Verdict::none(&kind)
        }
        Err(error) => Verdict::refused(&error),
    }
}

#[test]
fn the_seed_parser_withstands_damage() {
    let parser = Parser {
        name: "otpauth",
        more: Vec::new(),
        tokens: &[
            b"otpauth://",
            b"otpauth-migration://offline?data=",
            b"totp/",
            b"hotp/",
            b"?secret=",
            b"&issuer=",
            b"&algorithm=",
            b"SHA1",
            b"SHA512",
            b"&digits=",
            b"&period=",
            b"GEZDGNBVGY3TQOJQ",
            b"%20",
            b"%",
            b"&",
            b"=",
            b"#",
            b":",
            b"CgA=",
        ],
        taken: 40,
        refusals: &["NotAws", "NotBase32", "NotExport", "NotUri", "OneSeed", "Size"],
        parse: &|input| match std::str::from_utf8(input) {
            // A line after the seed is the account that is asked for.
            Ok(text) => match text.split_once('\n') {
                Some((text, account)) => parse(text, Some(account)),
                None => parse(text, None),
            },
            Err(_) => Verdict::none("not text"),
        },
    };
    parser.withstands_damage();
}

/// The message inside, as no other way of damage would leave its base64 whole.
#[test]
fn the_export_parser_withstands_damage() {
    let parser = Parser {
        name: "otpauth-migration",
        more: Vec::new(),
        tokens: &[
            b"\x0a",
            b"\x0a\x14",
            b"\x12\x03",
            b"\x1a",
            b"\x20\x01",
            b"\x28\x01",
            b"\x30\x02",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x80",
            b"\x0b",
            b"\x0c",
            b"\x0d",
            b"\x09",
            b"12345678901234567890",
        ],
        taken: 30,
        refusals: &["AccountUnknown", "NotAws", "NotExport", "SeveralAccounts", "Size"],
        parse: &|input| parse(&uri(input), [None, Some("1"), Some("ada")][input.len() % 3]),
    };
    parser.withstands_damage();
}
