//! The command line: getopt(3) and the flags of ssh-agent(1), those of OpenSSH 10 among them.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// What the command line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Arguments {
    pub(super) mode: Mode,
    pub(super) shell: Shell,
    pub(super) socket: Option<PathBuf>,
    /// Seconds that a key lives by default.
    pub(super) lifetime: Option<u32>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Starts an agent and says where it is.
    Background,
    /// Starts an agent for a command, and becomes that command.
    Command(Vec<OsString>),
    /// Is the agent.
    Foreground {
        /// With a log on stderr.
        debug: bool,
    },
    Help,
    /// Ends the agent of the environment.
    Kill,
    /// Is the agent that another process of this program has started.
    Serve(Child),
    Version,
}

/// How an agent is told what it is for by the process that starts it. Its socket is its standard input.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Child {
    /// Where the socket is bound.
    pub(super) socket: PathBuf,
    /// The folder was made for it, and goes with it.
    pub(super) own_folder: bool,
    /// Ends with this process.
    pub(super) parent: Option<i32>,
}

/// Whose language is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shell {
    Bourne,
    C,
}

/// The first word of the command line of a [`Child`]: no flag of ssh-agent.
const SERVE: &str = "--serve";

impl Arguments {
    /// Reads the words after the program's name. `shell` is `$SHELL`: one that ends in `csh` is spoken to in its
    /// language where no flag says otherwise. An error says which rule is broken.
    pub(super) fn parse(words: Vec<OsString>, shell: &str) -> Result<Self, String> {
        if words.first().is_some_and(|word| word == SERVE) {
            return Self::child(&words);
        }
        let (mut c, mut s, mut debug, mut foreground, mut kill) = (false, false, false, false, false);
        let (mut socket, mut lifetime) = (None, None);
        let mut words = words.into_iter();
        let mut command = Vec::new();
        while let Some(word) = words.next() {
            let Some(flags) = word.as_bytes().strip_prefix(b"-").filter(|flags| !flags.is_empty()) else {
                command.push(word);
                break;
            };
            if flags == b"-" {
                break;
            }
            let mut flags = flags.iter();
            while let Some(flag) = flags.next() {
                let mut value = || {
                    let rest: Vec<u8> = flags.by_ref().copied().collect();
                    let value = if rest.is_empty() { words.next() } else { Some(OsString::from_vec(rest)) };
                    value.ok_or_else(|| format!("option -{} needs a value", char::from(*flag)))
                };
                match flag {
                    b'a' => socket = Some(PathBuf::from(value()?)),
                    b'c' => c = true,
                    b'd' => debug = true,
                    b'D' => foreground = true,
                    b'E' => check_hash(&value()?)?,
                    b'h' => return Ok(Self::only(Mode::Help)),
                    b'k' => kill = true,
                    b'O' => return Err(refused_option(&value()?)),
                    // No provider is loaded, so that any list of allowed ones holds.
                    b'P' => drop(value()?),
                    b's' => s = true,
                    b't' => lifetime = Some(seconds(&value()?).ok_or("invalid lifetime: such as 90, 10m or 1h30m")?),
                    // Where the socket goes in OpenSSH 10 unless this is given.
                    b'T' => {}
                    b'V' => return Ok(Self::only(Mode::Version)),
                    other => return Err(format!("unknown option -{}", other.escape_ascii())),
                }
            }
        }
        command.extend(words);
        let alone = command.is_empty();
        if (c && s) || (!alone && (c || s || kill || debug || foreground)) || (debug && foreground) {
            return Err("these options do not go together".to_owned());
        }
        let shell = if c || (!s && shell.ends_with("csh")) { Shell::C } else { Shell::Bourne };
        let mode = match (kill, debug || foreground, alone) {
            (true, ..) => Mode::Kill,
            (_, true, _) => Mode::Foreground { debug },
            (.., true) => Mode::Background,
            _ => Mode::Command(command),
        };
        // Never: 0 is no limit, as in OpenSSH.
        Ok(Self { mode, shell, socket, lifetime: lifetime.filter(|seconds| *seconds > 0) })
    }

    fn only(mode: Mode) -> Self {
        Self { mode, shell: Shell::Bourne, socket: None, lifetime: None }
    }

    fn child(words: &[OsString]) -> Result<Self, String> {
        let number = |word: &OsString| word.to_str().and_then(|word| word.parse().ok());
        match words {
            [_, socket, own_folder, parent, lifetime] => Ok(Self {
                mode: Mode::Serve(Child {
                    socket: PathBuf::from(socket),
                    own_folder: own_folder == "1",
                    parent: number(parent).filter(|pid| *pid > 0),
                }),
                shell: Shell::Bourne,
                socket: None,
                lifetime: number(lifetime)
                    .and_then(|seconds| u32::try_from(seconds).ok())
                    .filter(|seconds| *seconds > 0),
            }),
            _ => Err(format!("{SERVE} is for the agent itself to use")),
        }
    }

    /// The words for an agent of one's own.
    pub(super) fn for_child(&self, child: &Child) -> Vec<OsString> {
        vec![
            SERVE.into(),
            child.socket.clone().into_os_string(),
            u8::from(child.own_folder).to_string().into(),
            child.parent.unwrap_or(0).to_string().into(),
            self.lifetime.unwrap_or(0).to_string().into(),
        ]
    }
}

fn check_hash(name: &OsString) -> Result<(), String> {
    let known = name.to_str().is_some_and(|name| ["md5", "sha256"].contains(&name.to_ascii_lowercase().as_str()));
    if known { Ok(()) } else { Err("the fingerprint hash is md5 or sha256".to_owned()) }
}

/// What `-O` turns on in OpenSSH: both widen what a far side may do.
fn refused_option(name: &OsString) -> String {
    match name.to_str() {
        Some("no-restrict-websafe") => "no-restrict-websafe is not supported: keys of the web sign nothing else",
        Some("allow-remote-pkcs11") => "allow-remote-pkcs11 is not supported: no provider is ever loaded",
        _ => "unknown -O option",
    }
    .to_owned()
}

/// A time of OpenSSH (sshd_config(5), TIME FORMATS): numbers, each with a unit, added up.
fn seconds(text: &OsString) -> Option<u32> {
    let text = text.to_str().filter(|text| !text.is_empty())?;
    let (mut total, mut number) = (0_u32, None::<u32>);
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' => {
                number = Some(number.unwrap_or(0).checked_mul(10)?.checked_add(u32::from(byte.wrapping_sub(b'0')))?);
            }
            _ => {
                let unit = match byte.to_ascii_lowercase() {
                    b's' => 1,
                    b'm' => 60,
                    b'h' => 3_600,
                    b'd' => 86_400,
                    b'w' => 604_800,
                    _ => return None,
                };
                total = total.checked_add(number.take()?.checked_mul(unit)?)?;
            }
        }
    }
    total.checked_add(number.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::{Arguments, Child, Mode, Shell, seconds};
    use std::ffi::OsString;

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::parse(line.split_whitespace().map(OsString::from).collect(), "/bin/bash")
    }

    #[test]
    fn flags_are_read_as_getopt_reads_them() {
        let socket = Some("/tmp/s".into());
        for (line, mode) in [
            ("", Mode::Background),
            ("-s", Mode::Background),
            ("-d", Mode::Foreground { debug: true }),
            ("-D", Mode::Foreground { debug: false }),
            ("-sk", Mode::Kill),
            ("sh -c -k", Mode::Command(["sh", "-c", "-k"].map(OsString::from).into())),
            ("-- -x", Mode::Command(vec!["-x".into()])),
        ] {
            assert_eq!(parse(line).expect(line).mode, mode, "{line}");
        }
        let both = parse("-da /tmp/s -t1h -P /usr/lib* -E sha256").expect("flags");
        assert_eq!((both.socket, both.lifetime), (socket, Some(3_600)));
        assert_eq!(parse("-t 0").expect("no limit").lifetime, None);
        for line in ["-x", "-a", "-cs", "-dD", "-t", "-t 1y", "-t m", "-E crc", "-O allow-remote-pkcs11", "-k true"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_shell_is_spoken_to_in_its_language() {
        let shell = |line: &str, shell: &str| {
            Arguments::parse(line.split_whitespace().map(OsString::from).collect(), shell).expect(line).shell
        };
        assert_eq!(shell("", "/bin/tcsh"), Shell::C);
        assert_eq!(shell("-s", "/bin/tcsh"), Shell::Bourne);
        assert_eq!(shell("-c", "/bin/sh"), Shell::C);
        assert_eq!(shell("", ""), Shell::Bourne);
    }

    #[test]
    fn an_agent_reads_back_what_it_is_for() {
        for (own_folder, parent) in [(true, None), (false, Some(7))] {
            let child = Child { socket: "/tmp/a b".into(), own_folder, parent };
            let told = Arguments { lifetime: Some(9), ..Arguments::only(Mode::Background) };
            let read = Arguments::parse(told.for_child(&child), "").expect("its own words");
            assert_eq!((read.mode, read.lifetime), (Mode::Serve(child), Some(9)));
        }
        assert!(parse("--serve /tmp/s").is_err());
    }

    #[test]
    fn times_add_up() {
        for (text, wanted) in [
            ("90", Some(90)),
            ("1h30m", Some(5_400)),
            ("2W1d", Some(1_296_000)),
            ("10S5", Some(15)),
            ("4294967295", Some(u32::MAX)),
            ("4294967296", None),
            ("9999999w", None),
            ("m", None),
            ("", None),
            ("-1", None),
        ] {
            assert_eq!(seconds(&text.into()), wanted, "{text}");
        }
    }
}
