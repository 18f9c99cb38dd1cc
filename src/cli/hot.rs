//! The hot verb, recognised before clap is built: building clap's tree costs as much as the rest of a warm `process`.
//!
//! The names and limits here are the ones that `cmd::process` gives to clap. Whatever this parser is not sure of it leaves to
//! clap, which then says what is wrong; a test holds the two together.

use std::ffi::OsString;

/// The verb.
pub(super) const PROCESS: &str = "process";
/// Its one option, without the dashes.
pub(super) const WAIT: &str = "wait";
/// Seconds that `--wait` stands for when it is not given.
pub(super) const DEFAULT_WAIT: u64 = 15;
/// The most seconds it takes: a day.
const LONGEST_WAIT: u64 = 86_400;

/// `process`, as typed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) profile: Option<String>,
    pub(super) wait: u64,
}

/// The value of `--wait`, for both parsers.
pub(super) fn wait_seconds(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(seconds) if seconds <= LONGEST_WAIT => Ok(seconds),
        _ => Err(format!("a wait is 0 to {LONGEST_WAIT} seconds")),
    }
}

/// The command line, if it is plainly the hot verb.
pub(super) fn parse(argv: &[OsString]) -> Option<Process> {
    let mut arguments = argv.iter().skip(1).map(|argument| argument.to_str());
    if arguments.next()?? != PROCESS {
        return None;
    }
    let (mut profile, mut wait, mut options) = (None, None, true);
    while let Some(argument) = arguments.next() {
        let argument = argument?;
        let option = argument.strip_prefix("--").filter(|_| options);
        let value = match option {
            Some("") => {
                options = false;
                continue;
            }
            Some(WAIT) => Some(arguments.next()??),
            Some(option) => Some(option.strip_prefix(WAIT)?.strip_prefix('=')?),
            None => None,
        };
        match value {
            Some(value) if wait.is_none() => wait = Some(wait_seconds(value).ok()?),
            None if profile.is_none() && !(options && argument.starts_with('-')) => profile = Some(argument.to_owned()),
            _ => return None,
        }
    }
    Some(Process { profile, wait: wait.unwrap_or(DEFAULT_WAIT) })
}

#[cfg(test)]
mod tests {
    use super::{Process, parse};
    use crate::cli::args::Arguments;
    use crate::cli::cmd::Command;
    use clap::Parser;
    use proptest::prelude::{prop, proptest};
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    fn argv(words: &[&str]) -> Vec<OsString> {
        std::iter::once(&"claviger").chain(words).map(OsString::from).collect()
    }

    fn by_clap(argv: &[OsString]) -> Option<Process> {
        match Arguments::try_parse_from(argv).ok()?.command {
            Command::Process(verb) => Some(verb.into()),
            _ => None,
        }
    }

    #[test]
    fn plain_forms_are_recognised() {
        for (words, profile, wait) in [
            (&["process"][..], None, 15),
            (&["process", "prod"], Some("prod"), 15),
            (&["process", "prod", "--wait", "3"], Some("prod"), 3),
            (&["process", "--wait=0", "prod"], Some("prod"), 0),
            (&["process", "--", "--wait"], Some("--wait"), 15),
            (&["process", "--wait", "60", "--", "-x"], Some("-x"), 60),
        ] {
            let expected = Some(Process { profile: profile.map(str::to_owned), wait });
            assert_eq!(parse(&argv(words)), expected, "{words:?}");
            assert_eq!(by_clap(&argv(words)), expected, "clap: {words:?}");
        }
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
            &["--", "process"],
        ] {
            assert_eq!(parse(&argv(words)), None, "{words:?}");
        }
        let not_text = vec![OsString::from("claviger"), OsString::from("process"), OsString::from_vec(vec![0xff])];
        assert_eq!((parse(&not_text), by_clap(&not_text)), (None, None));
    }

    proptest! {
        /// What the hot parser takes, clap takes alike; what clap takes without help, the hot parser takes but for a lone dash.
        #[test]
        fn both_parsers_agree(words in prop::collection::vec(prop::sample::select(vec![
            "process", "prod", "--wait", "--wait=3", "--wait=", "3", "-3", "--", "-h", "--help", "--unknown", "-x", "", "+5",
            "--wait=99999", "0", "login", "-w", "a b", "--wait==3", "--wait 3", "help", "-V", "--version",
        ]), 0..6)) {
            let argv: Vec<OsString> = argv(&words).into_iter().collect();
            let verb = std::iter::once(OsString::from("claviger"))
                .chain([OsString::from("process")])
                .chain(argv.iter().skip(1).cloned())
                .collect::<Vec<_>>();
            for argv in [argv, verb] {
                match parse(&argv) {
                    Some(process) => assert_eq!(by_clap(&argv), Some(process), "{argv:?}"),
                    None => assert_eq!(by_clap(&argv), None, "{argv:?}"),
                }
            }
        }
    }
}
