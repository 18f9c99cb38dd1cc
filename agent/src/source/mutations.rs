//! What sources say, and the commands that profiles name, under a long run of damaged inputs.

use super::answer::{answered, printed};
use super::command::Command;
use super::imds::{InstanceMetadata, Token};
use super::{CredentialSource, Error, Kind, SourceCredentials};
use crate::aws::fake::{Play, ReplayHttp};
use crate::aws::profile::Origin;
use crate::testing::FakeClock;
use crate::testing::parsers::{Parser, Verdict, driven};
use crate::world::WallTime;
use claviger::secret::SecretText;
use std::path::Path;
use std::sync::Arc;

const TOKENS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"null",
    b"true",
    b"1",
    b"\"Version\":1",
    b"\"Version\":",
    b"\"Code\":\"Failed\"",
    b"\"AccessKeyId\":\"ASIAEXAMPLE000000001\"",
    b"\"SessionToken\":\"\"",
    b"\"Token\":\"t\"",
    b"\"Expiration\":\"\"",
    b"\"Expiration\":\"2026-11-22T01:00:00Z\"",
    b"\"AccountId\":\"123456789012\"",
    b"\\n",
    b"\\u0000",
    b"\n\n",
    b"process\n",
];

/// By the rule that was broken: there is one variant for all of them.
fn verdict(given: Result<SourceCredentials, Error>) -> Verdict {
    match given {
        Ok(given) => {
            let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
            assert!(plain(given.secret.expose()) && given.token.is_none_or(|token| plain(token.expose())));
            assert!(!given.principal.chars().any(char::is_control) && given.principal.chars().count() <= 256);
            Verdict::Accepted
        }
        Err(error) => {
            let kind = match &error {
                Error::BadAnswer(_, rule) => (*rule).to_owned(),
                Error::Refused(_, status) => status.to_string(),
                other => format!("{other:?}"),
            };
            Verdict::Refused { kind, said: format!("{error} {error:?}") }
        }
    }
}

#[test]
fn credentials_in_json_withstand_damage() {
    let parser = Parser {
        name: "source-json",
        more: Vec::new(),
        tokens: TOKENS,
        taken: 20,
        refusals: &[
            "it printed nothing",
            "it prints one JSON object with Version, AccessKeyId, SecretAccessKey and, of a session, SessionToken",
            "its Version is not 1",
            "its secret or token is empty or has a space or control character",
            "its Expiration is not RFC 3339",
            "it answers a JSON object with AccessKeyId, SecretAccessKey, Token and Expiration",
            "its Code is not Success",
        ],
        parse: &|input| match input.split_at_checked(b"process\n".len()) {
            Some((b"process\n", printed_by_it)) => verdict(printed(printed_by_it)),
            _ => verdict(answered(Kind::Container, input, "the container's role")),
        },
    };
    parser.withstands_damage();
}

/// The whole talk: token and its life, the list of roles, the credentials, with empty lines between them.
#[test]
fn the_talk_with_instance_metadata_withstands_damage() {
    let talk = |input: &[u8]| {
        let text = String::from_utf8_lossy(input);
        let mut parts = text.splitn(4, "\n\n").map(str::to_owned);
        let [token, life, roles, body] = [(); 4].map(|()| parts.next().unwrap_or_default());
        let plays = [
            Play::answer(200, token).header("x-aws-ec2-metadata-token-ttl-seconds", &life),
            Play::answer(200, roles),
            Play::answer(200, body),
        ];
        let http = ReplayHttp::playing(plays);
        let clock = FakeClock::at(WallTime(0));
        let endpoint = "http://169.254.169.254".parse().unwrap();
        let given = driven(InstanceMetadata::new(clock, http.clone(), endpoint, Arc::<Token>::default()).fetch());
        for seen in http.seen() {
            let path = seen.url.strip_prefix("http://169.254.169.254/latest/").expect("nowhere else");
            assert!(!path.split('/').any(|part| part == "..") && !path.contains(['?', '#', '%']), "{path}");
        }
        verdict(given)
    };
    let parser = Parser {
        name: "imds-talk",
        more: Vec::new(),
        tokens: TOKENS,
        taken: 30,
        refusals: &[
            "its token is no token",
            "the instance has no role",
            "its Code is not Success",
            "it answers a JSON object with AccessKeyId, SecretAccessKey, Token and Expiration",
        ],
        parse: &talk,
    };
    parser.withstands_damage();
}

#[test]
fn commands_of_profiles_withstand_damage() {
    let origin = Origin { file: Path::new("config").into(), line: 2 };
    let parser = Parser {
        name: "process-command",
        more: Vec::new(),
        tokens: &[
            b"'",
            b"\"",
            b"\\",
            b" ",
            b"\\ ",
            b"--",
            b"claviger",
            b"process",
            b"-c",
            b"$(id)",
            b"|",
            b"#",
            b"\t",
            b"\n",
            b"''",
        ],
        taken: 200,
        refusals: &["Malformed", "OwnClient"],
        parse: &|input| match std::str::from_utf8(input).map(|text| Command::parse(text, &origin)) {
            Ok(Ok(command)) => {
                assert!(command.words().first().is_some_and(|word| !word.is_empty()));
                let quoted = shlex::try_join(command.words().iter().map(String::as_str)).expect("no NUL");
                // Quoting makes it longer, and a command of 4 KiB no command.
                if let Ok(again) = Command::parse(&quoted, &origin) {
                    assert_eq!(again.words(), command.words());
                }
                Verdict::Accepted
            }
            Ok(Err(refused)) => Verdict::none(&format!("{refused:?}")),
            Err(_) => Verdict::none("not text"),
        },
    };
    parser.withstands_damage();
}
