//! config.toml, and what the vault keeps of it, under a long run of damaged inputs.

use super::{Accepted, Config, NoProxy, proxy_address};
use crate::testing::parsers::{Parser, Verdict};
use std::path::Path;

#[test]
fn config_toml_withstands_damage() {
    let resolve = |text: &str| match Config::resolve(Some(text), Path::new("/home/ada")) {
        Ok(config) => {
            const WEEK: u64 = 7 * 24 * 3_600_000;
            assert!((1800..=129_600).contains(&config.session_seconds), "{}", config.session_seconds);
            assert!((1000..=WEEK).contains(&config.idle_lock_millis) && config.presence_millis <= WEEK);
            assert!((64..=1024).contains(&config.argon2_memory_mib), "{}", config.argon2_memory_mib);
            assert!(config.aws_config_file.is_absolute() && config.aws_credentials_file.is_absolute());
            let network = &config.security.network;
            assert!(network.proxy.as_deref().is_none_or(|proxy| proxy_address(proxy).is_ok()));
            assert!(network.no_proxy.iter().all(|entry| NoProxy::check(entry).is_ok()));
            let accepted = Accepted { security: config.security, ca_bundle: None };
            assert!(Accepted::from_text(&accepted.to_text()) == accepted, "not what was accepted");
            Verdict::Accepted
        }
        Err(error) => {
            assert!((1..=text.bytes().filter(|byte| *byte == b'\n').count() + 1).contains(&error.line));
            // Our own rules by their section; the parser's are all one.
            let kind = if error.rule.starts_with('[') {
                error.rule.split(' ').take(2).collect::<Vec<_>>().join(" ")
            } else {
                "TOML".to_owned()
            };
            Verdict::Refused { kind, said: format!("{error}\n{error:?}") }
        }
    };
    let parser = Parser {
        name: "config-toml",
        more: Vec::new(),
        tokens: &[
            b"[aws]\n",
            b"[mfa]\n",
            b"[lock]\n",
            b"[vault]\n",
            b"[network]\n",
            b"[prompt]\n",
            b"[sources]\n",
            b"[endpoints]\n",
            b"[commands]\n",
            b"[[aws]]\n",
            b"allow = [",
            b"\"",
            b"'",
            b"\"\"\"",
            b"'''",
            b"=",
            b".",
            b",",
            b"]",
            b"{ a = 1 }",
            b"true",
            b"1979-05-27T07:32:00Z",
            b"inf",
            b"nan",
            b"0xff",
            b"1_000",
            b"#",
            b"\\u0041",
            b"\\U00110000",
            b"session = \"8h\"\n",
            b"region = \"x\"\n",
            b"\"1h\"",
            b"a.b.c.d",
        ],
        taken: 20,
        refusals: &[
            "TOML",
            "[mfa] session",
            "[lock] idle",
            "[mfa] presence",
            "[network] proxy",
            "[network] no_proxy",
            "[vault] argon2_memory_mib",
        ],
        parse: &|input| std::str::from_utf8(input).map_or_else(|_| Verdict::none("not text"), resolve),
    };
    parser.withstands_damage();
}

/// What cannot be read allows nothing; so there are no refusals.
#[test]
fn accepted_settings_withstand_damage() {
    let parser = Parser {
        name: "accepted-settings",
        more: Vec::new(),
        tokens: &[
            b"{",
            b"}",
            b"[",
            b"]",
            b"\"",
            b",",
            b":",
            b"null",
            b"\"security\":{}",
            b"\"endpoints.allow\":[]",
            b"\"ca_bundle\":",
        ],
        taken: 10,
        refusals: &["nothing"],
        parse: &|input| {
            let Ok(text) = std::str::from_utf8(input) else { return Verdict::none("not text") };
            let accepted = Accepted::from_text(text);
            assert!(Accepted::from_text(&accepted.to_text()) == accepted, "not what was written");
            drop(accepted.rows());
            if accepted == Accepted::default() { Verdict::none("nothing") } else { Verdict::Accepted }
        },
    };
    parser.withstands_damage();
}
