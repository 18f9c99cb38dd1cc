//! The hot verbs, recognised before clap is built: building clap's tree costs as much as the rest of a warm `process`.
//!
//! The names, types and limits here are the ones that `cmd` gives to clap. Whatever this parser is not sure of it leaves to
//! clap, which then says what is wrong; a test holds the two together.

use super::args::{Proof, descriptor};
use super::cmd::{env, exec, process};
use std::ffi::OsString;

/// Seconds that `--wait` of `process` stands for when it is not given.
pub(super) const DEFAULT_WAIT: u64 = 15;
/// The same of `exec` and `env`, where a person may have to find a phone.
pub(super) const DEFAULT_PATIENT_WAIT: u64 = 120;
/// The most seconds a wait takes: a day.
const LONGEST_WAIT: u64 = 86_400;
/// The most seconds an endpoint lingers: a day, as the agent has it.
const LONGEST_LINGER: u64 = 86_400;

/// A hot verb, as typed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Hot {
    Env(env::Env),
    Exec(exec::Exec),
    Process(process::Process),
}

/// The value of `--wait`, for both parsers.
pub(super) fn wait_seconds(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(seconds) if seconds <= LONGEST_WAIT => Ok(seconds),
        _ => Err(format!("a wait is 0 to {LONGEST_WAIT} seconds")),
    }
}

/// The value of `--linger`: a whole number with s, m, h or d.
pub(super) fn linger_seconds(text: &str) -> Result<u64, &'static str> {
    let parsed = || {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return None,
        };
        number.parse::<u64>().ok()?.checked_mul(seconds).filter(|seconds| *seconds <= LONGEST_LINGER)
    };
    parsed().ok_or("a duration is a whole number with s, m, h or d, such as 2h, and at most 24h")
}

/// The command line, if it is plainly a hot verb.
pub(super) fn parse(argv: &[OsString]) -> Option<Hot> {
    match argv.get(1)?.to_str()? {
        env::NAME => env(argv).map(Hot::Env),
        exec::NAME => exec(argv).map(Hot::Exec),
        process::NAME => process(argv).map(Hot::Process),
        _ => None,
    }
}

fn process(argv: &[OsString]) -> Option<process::Process> {
    let mut words = Words::read(argv, &[], &["wait"], After::Positional)?;
    let wait = words.value("wait", |text| wait_seconds(text).ok())?.unwrap_or(DEFAULT_WAIT);
    Some(process::Process { profile: words.positional()?, wait })
}

fn exec(argv: &[OsString]) -> Option<exec::Exec> {
    let mut words = Words::read(
        argv,
        &["env", "imds", "recovery", "no-device"],
        &["linger", "wait", "region", "passphrase-fd"],
        After::Command,
    )?;
    let (env, imds) = (words.flag("env"), words.flag("imds"));
    let linger = words.value("linger", |text| linger_seconds(text).ok())?;
    if env && (imds || linger.is_some()) {
        return None;
    }
    Some(exec::Exec {
        env,
        imds,
        linger,
        wait: words.value("wait", |text| wait_seconds(text).ok())?.unwrap_or(DEFAULT_PATIENT_WAIT),
        region: words.value("region", |text| text.parse().ok())?,
        proof: words.proof()?,
        command: words.command.to_vec(),
        profile: words.positional()?,
    })
}

fn env(argv: &[OsString]) -> Option<env::Env> {
    let mut words = Words::read(
        argv,
        &["unset", "recovery", "no-device"],
        &["shell", "wait", "region", "passphrase-fd"],
        After::Positional,
    )?;
    Some(env::Env {
        shell: words.value("shell", env::Form::named)?,
        unset: words.flag("unset"),
        wait: words.value("wait", |text| wait_seconds(text).ok())?.unwrap_or(DEFAULT_PATIENT_WAIT),
        region: words.value("region", |text| text.parse().ok())?,
        proof: words.proof()?,
        profile: words.positional()?,
    })
}

/// What follows `--`.
#[derive(PartialEq, Eq)]
enum After {
    Command,
    Positional,
}

/// A command line taken apart: each option at most once, nothing unknown.
struct Words<'a> {
    options: Vec<(&'static str, Option<&'a str>)>,
    positional: Vec<&'a str>,
    command: &'a [OsString],
}

impl<'a> Words<'a> {
    fn read(argv: &'a [OsString], flags: &[&'static str], valued: &[&'static str], after: After) -> Option<Self> {
        let mut words = Self { options: Vec::new(), positional: Vec::new(), command: &[] };
        let mut rest = argv.get(2..)?;
        let mut options = true;
        while let Some((word, following)) = rest.split_first() {
            rest = following;
            let word = word.to_str()?;
            let Some(option) = word.strip_prefix("--").filter(|_| options) else {
                if options && word.starts_with('-') {
                    return None;
                }
                words.positional.push(word);
                continue;
            };
            if option.is_empty() {
                if after == After::Command {
                    words.command = rest;
                    break;
                }
                options = false;
                continue;
            }
            let (name, attached) = option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
            if let Some(name) = flags.iter().find(|flag| **flag == name) {
                words.options.push((*name, None));
                attached.is_none().then_some(())?;
            } else {
                let name = valued.iter().find(|valued| **valued == name)?;
                let value = match attached {
                    Some(value) => value,
                    None => {
                        let (value, following) = rest.split_first()?;
                        rest = following;
                        value.to_str().filter(|value| !value.starts_with('-'))?
                    }
                };
                words.options.push((*name, Some(value).filter(|value| !value.is_empty())));
                // clap takes an attached empty value for a missing one.
                (!value.is_empty()).then_some(())?;
            }
        }
        let mut names: Vec<&str> = words.options.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names.windows(2).all(|pair| matches!(pair, [a, b] if a != b)).then_some(words)
    }

    fn flag(&self, name: &str) -> bool {
        self.options.iter().any(|(option, _)| *option == name)
    }

    /// The value of an option: none where it is not given, and nothing at all where it is not valid.
    fn value<T>(&mut self, name: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<Option<T>> {
        match self.options.iter().find(|(option, _)| *option == name) {
            Some((_, value)) => read((*value)?).map(Some),
            None => Some(None),
        }
    }

    fn proof(&mut self) -> Option<Proof> {
        let passphrase_fd = self.value("passphrase-fd", |text| descriptor(text).ok())?;
        Some(Proof { passphrase_fd, recovery: self.flag("recovery"), no_device: self.flag("no-device") })
    }

    /// The one argument there may be, the profile.
    fn positional(&self) -> Option<Option<String>> {
        match self.positional.as_slice() {
            [] => Some(None),
            [profile] => Some(Some((*profile).to_owned())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Hot, linger_seconds, parse};
    use crate::cli::args::{Arguments, Proof};
    use crate::cli::cmd::{Command, env, exec, process};
    use clap::Parser as _;
    use claviger_agent::testing::parsers::{Parser, Verdict};
    use proptest::prelude::{ProptestConfig, prop, proptest};
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    fn argv(words: &[&str]) -> Vec<OsString> {
        std::iter::once(&"claviger").chain(words).map(OsString::from).collect()
    }

    fn by_clap(argv: &[OsString]) -> Option<Hot> {
        match Arguments::try_parse_from(argv).ok()?.command {
            Command::Env(verb) => Some(Hot::Env(verb)),
            Command::Exec(verb) => Some(Hot::Exec(verb)),
            Command::Process(verb) => Some(Hot::Process(verb.into())),
            _ => None,
        }
    }

    fn both(words: &[&str], expected: &Hot) {
        assert_eq!(parse(&argv(words)).as_ref(), Some(expected), "{words:?}");
        assert_eq!(by_clap(&argv(words)).as_ref(), Some(expected), "clap: {words:?}");
    }

    #[test]
    fn plain_forms_of_process_are_recognised() {
        for (words, profile, wait) in [
            (&["process"][..], None, 15),
            (&["process", "prod"], Some("prod"), 15),
            (&["process", "prod", "--wait", "3"], Some("prod"), 3),
            (&["process", "--wait=0", "prod"], Some("prod"), 0),
            (&["process", "--", "--wait"], Some("--wait"), 15),
            (&["process", "--wait", "60", "--", "-x"], Some("-x"), 60),
        ] {
            both(words, &Hot::Process(process::Process { profile: profile.map(str::to_owned), wait }));
        }
    }

    #[test]
    fn plain_forms_of_exec_and_env_are_recognised() {
        let exec = |profile: Option<&str>, command: &[&str]| exec::Exec {
            profile: profile.map(str::to_owned),
            env: false,
            imds: false,
            linger: None,
            wait: 120,
            region: None,
            proof: Proof::default(),
            command: command.iter().map(OsString::from).collect(),
        };
        both(&["exec"], &Hot::Exec(exec(None, &[])));
        both(&["exec", "prod", "--"], &Hot::Exec(exec(Some("prod"), &[])));
        both(&["exec", "--", "ls", "--env", "--", "-x"], &Hot::Exec(exec(None, &["ls", "--env", "--", "-x"])));
        let frozen = exec::Exec { env: true, wait: 3, ..exec(Some("prod"), &["a b", ""]) };
        both(&["exec", "--env", "prod", "--wait=3", "--", "a b", ""], &Hot::Exec(frozen));
        let lingering = exec::Exec {
            imds: true,
            linger: Some(7200),
            region: Some("eu-central-1".parse().expect("a region")),
            proof: Proof { passphrase_fd: Some(3), recovery: true, no_device: false },
            ..exec(Some("prod"), &["ls"])
        };
        let words = ["exec", "prod", "--imds", "--linger", "2h", "--region=eu-central-1", "--passphrase-fd", "3"];
        both(&[&words[..], &["--recovery", "--", "ls"]].concat(), &Hot::Exec(lingering));
        let env = env::Env {
            profile: Some("prod".to_owned()),
            shell: Some(env::Form::Fish),
            unset: false,
            wait: 120,
            region: None,
            proof: Proof::default(),
        };
        both(&["env", "prod", "--shell", "fish"], &Hot::Env(env));
        let not_text = [argv(&["exec", "--"]), vec![OsString::from_vec(vec![b'a', 0xff])]].concat();
        let Some(Hot::Exec(verb)) = parse(&not_text) else { panic!("not recognised") };
        assert_eq!(verb.command, not_text[3..]);
        assert_eq!(by_clap(&not_text), Some(Hot::Exec(verb)));
    }

    #[test]
    fn all_else_is_left_to_clap() {
        for words in [
            &[][..],
            &["--help"],
            &["login"],
            &["process", "--help"],
            &["process", "-h"],
            &["process", "--wait"],
            &["process", "--wait="],
            &["process", "--wait=soon"],
            &["process", "--wait", "-1"],
            &["process", "--wait", "86401"],
            &["process", "--wait", "3", "--wait", "3"],
            &["process", "--waits", "3"],
            &["process", "--wai", "3"],
            &["process", "a", "b"],
            &["process", "--unknown"],
            &["process", "-"],
            &["exec", "prod", "ls"],
            &["exec", "--env", "--env"],
            &["exec", "--env", "--imds"],
            &["exec", "--env", "--linger", "1h"],
            &["exec", "--linger", "soon"],
            &["exec", "--help", "--", "ls"],
            &["exec", "--env=yes"],
            &["env", "--shell", "csh"],
            &["--", "process"],
        ] {
            assert_eq!(parse(&argv(words)), None, "{words:?}");
        }
        for verb in ["process", "exec", "env"] {
            let not_text = [argv(&[verb]), vec![OsString::from_vec(vec![0xff])]].concat();
            assert_eq!((parse(&not_text), by_clap(&not_text)), (None, None));
        }
    }

    #[test]
    fn a_linger_has_a_unit_and_an_end() {
        for (text, seconds) in [("90s", 90), ("0s", 0), ("2h", 7200), ("24h", 86_400), ("1d", 86_400)] {
            assert_eq!(linger_seconds(text), Ok(seconds), "{text}");
        }
        for wrong in ["", "2", "h", "25h", "-1h", "1.5h", "2 h", "99999999999999999999d", "9999999999999999d", "1é"] {
            assert!(linger_seconds(wrong).is_err(), "{wrong}");
        }
    }

    /// A word a line; all that it refuses it leaves to clap, which the proptest below compares it with.
    #[test]
    fn command_lines_withstand_damage() {
        let parser = Parser {
            name: "hot-words",
            more: Vec::new(),
            tokens: &[
                b"\nprocess",
                b"\nexec",
                b"\nenv",
                b"\n--wait",
                b"\n--wait=",
                b"\n--",
                b"\n--linger=2h",
                b"\n--region",
                b"\n--shell=fish",
                b"\n--passphrase-fd=3",
                b"\n--recovery",
                b"\n--no-device",
                b"\n--imds",
                b"\n--env",
                b"\n-",
                b"\n",
                b"=",
                b"99999999999999999999",
                b"d",
            ],
            taken: 50,
            refusals: &["left to clap"],
            parse: &|input| {
                let words: Vec<OsString> =
                    input.split(|byte| *byte == b'\n').map(|word| OsString::from_vec(word.to_vec())).collect();
                match parse(&words) {
                    Some(Hot::Process(verb)) => {
                        assert!(verb.wait <= 86_400);
                        Verdict::Accepted
                    }
                    Some(Hot::Exec(verb)) => {
                        assert!(verb.wait <= 86_400 && verb.linger.is_none_or(|linger| linger <= 86_400));
                        assert!(words.ends_with(&verb.command), "the command as it was typed");
                        Verdict::Accepted
                    }
                    Some(Hot::Env(verb)) => {
                        assert!(verb.wait <= 86_400);
                        Verdict::Accepted
                    }
                    None => Verdict::none("left to clap"),
                }
            },
        };
        parser.withstands_damage();
    }

    const WORDS: [&str; 53] = [
        "process",
        "exec",
        "env",
        "prod",
        "--wait",
        "--wait=3",
        "--wait=",
        "3",
        "-3",
        "--",
        "-h",
        "--help",
        "--unknown",
        "-x",
        "",
        "+5",
        "--wait=99999",
        "0",
        "login",
        "-w",
        "a b",
        "--wait==3",
        "--wait 3",
        "help",
        "-V",
        "--version",
        "--env",
        "--imds",
        "--linger",
        "--linger=2h",
        "2h",
        "--region",
        "--region=eu-west-1",
        "eu-west-1",
        "--region=X",
        "--passphrase-fd",
        "--passphrase-fd=3",
        "--recovery",
        "--no-device",
        "--shell",
        "--shell=fish",
        "fish",
        "sh",
        "--shell=csh",
        "--unset",
        "--env=",
        "--unset=true",
        "--shell=",
        "--region=",
        "--linger=-1h",
        "--passphrase-fd=-1",
        "ls",
        "--recovery=false",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// What the hot parser takes, clap takes alike; what clap takes without help, the hot parser takes but for a lone dash.
        #[test]
        fn both_parsers_agree(
            verb in prop::sample::select(vec!["process", "exec", "env"]),
            words in prop::collection::vec(prop::sample::select(WORDS.to_vec()), 0..7),
        ) {
            for argv in [argv(&words), [argv(&[verb]), argv(&words)[1..].to_vec()].concat()] {
                match parse(&argv) {
                    Some(hot) => assert_eq!(by_clap(&argv), Some(hot), "{argv:?}"),
                    None => assert_eq!(by_clap(&argv), None, "{argv:?}"),
                }
            }
        }
    }
}
