//! The command line as typed, and what is said about one that is not understood.

use super::cmd::Command;
use super::exit::{Failure, Outcome};
use super::{environment, stand_in, ui};
use crate::wire::{Code, Fault};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser};
use std::ffi::OsString;

/// Holds your MFA devices and AWS sessions, so that every tool just works after one code
#[derive(Parser)]
#[command(name = "claviger", version, disable_help_subcommand = true, after_help = EXAMPLES, max_term_width = 120)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

/// The profile that every AWS tool takes where none is named.
const DEFAULT_PROFILE: &str = "default";

const EXAMPLES: &str = "\
First steps:
  claviger init                    make the vault
  claviger access-key add dev      store the access key of an IAM user
  claviger mfa add --for dev       store that user's virtual MFA device
  claviger login prod              one code, and every tool has credentials
  claviger exec prod -- aws s3 ls  such as this one

PROFILE is AWS_PROFILE where it is left out, else default.
Exit codes: 0 ok, 1 fault, 2 usage, 3 locked, 4 needs a person, 5 refused, 6 not found, 7 device, 8 network, 9 partly.";

/// How a person proves that the vault is theirs.
#[derive(Args, Debug, Default, PartialEq, Eq)]
pub(super) struct Proof {
    /// Read the passphrase from file descriptor N instead of the terminal
    #[arg(long, value_name = "N", value_parser = descriptor)]
    pub(super) passphrase_fd: Option<u32>,
    /// Prove with a recovery code instead of the passphrase
    #[arg(long)]
    pub(super) recovery: bool,
    /// Prove with no FIDO2 key or PIV card, also where one is plugged in that opens the vault
    #[arg(long)]
    pub(super) no_device: bool,
}

/// The profile a verb is about.
#[derive(Args)]
pub(super) struct Profile {
    /// The AWS profile [default: AWS_PROFILE, else default]
    profile: Option<String>,
}

impl Profile {
    pub(super) fn name(&self) -> String {
        profile_or_default(self.profile.as_deref())
    }

    /// See [`name_one`].
    pub(super) fn name_one(&self) -> impl Fn(Fault) -> Fault {
        name_one(self.profile.as_deref())
    }
}

/// The profile given, else that of the environment, else `default`. Under `exec` AWS_PROFILE is the name of a stand-in,
/// and CLAVIGER_PROFILE the profile.
pub(super) fn profile_or_default(given: Option<&str>) -> String {
    given.map(str::to_owned).or_else(profile_of_environment).unwrap_or_else(|| DEFAULT_PROFILE.to_owned())
}

/// The fault of a profile that nobody named: that `default` does not exist says little; what to do is to name one.
pub(super) fn name_one(given: Option<&str>) -> impl Fn(Fault) -> Fault {
    let guessed = given.is_none() && profile_of_environment().is_none();
    move |fault| match fault.code {
        Code::ProfileNotFound if guessed => {
            let message = "no profile is given, AWS_PROFILE is not set, and there is no profile default";
            Fault::new(Code::ProfileNotFound, message)
        }
        _ => fault,
    }
}

fn profile_of_environment() -> Option<String> {
    let variable = |name| std::env::var(name).ok().filter(|profile| !profile.is_empty());
    match variable("AWS_PROFILE") {
        Some(profile) if profile == stand_in::PROFILE => variable(environment::PROFILE),
        other => other,
    }
}

/// The number of a file descriptor.
pub(super) fn descriptor(text: &str) -> Result<u32, &'static str> {
    text.parse().map_err(|_| "a file descriptor is a number")
}

/// One thing at a time may come from stdin.
pub(super) fn check_stdin_once(proof: &Proof, stdin: bool, option: &str) -> Result<(), Fault> {
    match proof.passphrase_fd {
        Some(0) if stdin => Err(Fault::new(
            Code::Usage,
            format!("{option} and --passphrase-fd 0 both read stdin; give the passphrase another descriptor"),
        )),
        _ => Ok(()),
    }
}

/// Runs the command line through clap.
pub(super) fn run(argv: Vec<OsString>) -> Outcome {
    match Arguments::try_parse_from(&argv) {
        Ok(arguments) => arguments.command.run(),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ui::data(error.render().to_string().as_bytes()),
            _ => Err(Failure::Fault(usage(&error, &argv))),
        },
    }
}

/// The fault of a command line. Names options, and values only where they are names of ours: what was typed in the wrong place may be a secret.
fn usage(error: &clap::Error, argv: &[OsString]) -> Fault {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => Some(texts.join(", ")),
        _ => None,
    };
    let argument = context(ContextKind::InvalidArg).unwrap_or_default();
    let message = match error.kind() {
        ErrorKind::UnknownArgument if argument.starts_with('-') => {
            format!("there is no option {}", argument.split('=').next().unwrap_or_default())
        }
        ErrorKind::UnknownArgument if argv.get(1).is_some_and(|verb| verb == "exec") => {
            "there is an argument too many; the command follows on --".to_owned()
        }
        ErrorKind::UnknownArgument => "there is an argument too many".to_owned(),
        ErrorKind::InvalidSubcommand => {
            format!("there is no verb {}", context(ContextKind::InvalidSubcommand).unwrap_or_default())
        }
        ErrorKind::MissingRequiredArgument => format!("{argument} is missing"),
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "a verb is missing".to_owned()
        }
        ErrorKind::ArgumentConflict => {
            let other = context(ContextKind::PriorArg).unwrap_or_default();
            if other == argument || other.is_empty() {
                format!("{argument} is given twice")
            } else {
                format!("{argument} and {other} exclude each other")
            }
        }
        ErrorKind::InvalidValue if context(ContextKind::InvalidValue).is_none_or(|value| value.is_empty()) => {
            format!("{argument} has no value")
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let rule = std::error::Error::source(error).map(ToString::to_string);
            let one_of = match error.get(ContextKind::ValidValue) {
                Some(ContextValue::Strings(known)) if !known.is_empty() => Some(format!("one of {}", known.join(", "))),
                _ => None,
            };
            let rule = rule.or(one_of).map(|rule| format!(": {rule}")).unwrap_or_default();
            format!("the value of {argument} is not valid{rule}")
        }
        ErrorKind::InvalidUtf8 => "an argument is not UTF-8".to_owned(),
        _ => "the command line is not understood".to_owned(),
    };
    // A verb that is here, typed behind another; `agent status` is the usual one.
    if error.kind() == ErrorKind::InvalidSubcommand
        && let Some(word) = context(ContextKind::InvalidSubcommand).filter(|word| is_verb(word))
    {
        return Fault::new(Code::Usage, message).hint(format!("claviger {word}"));
    }
    // The nearest one comes last.
    let near = context(ContextKind::SuggestedSubcommand).and_then(|near| near.rsplit(", ").next().map(str::to_owned));
    Fault::new(Code::Usage, message).hint(format!("{} {}", verb(argv), near.as_deref().unwrap_or("--help")))
}

/// Whether it is one of the verbs behind `claviger` that needs no more words.
fn is_verb(word: &str) -> bool {
    use clap::CommandFactory;
    Arguments::command().find_subcommand(word).is_some_and(|verb| !verb.is_subcommand_required_set())
}

/// `claviger` and the verbs at the front of the command line, as far as they are ours.
pub(super) fn verb(argv: &[OsString]) -> String {
    use clap::CommandFactory;
    let mut command = Arguments::command();
    let mut path = "claviger".to_owned();
    for word in argv.iter().skip(1) {
        let Some(inner) = word.to_str().and_then(|word| command.find_subcommand(word)).cloned() else { break };
        path = format!("{path} {}", inner.get_name());
        command = inner;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::{Arguments, usage};
    use clap::{CommandFactory, Parser};
    use std::ffi::OsString;

    #[test]
    fn the_tree_is_sound_and_every_verb_has_an_example() {
        fn check(command: &clap::Command) {
            for inner in command.get_subcommands() {
                let examples = inner.get_after_help().map(ToString::to_string).unwrap_or_default();
                let nested = inner.get_subcommands().next().is_some();
                assert!(nested || examples.contains("claviger "), "{} has no example", inner.get_name());
                assert!(inner.get_about().is_some(), "{} says nothing", inner.get_name());
                check(inner);
            }
        }
        Arguments::command().debug_assert();
        check(&Arguments::command());
    }

    #[test]
    fn the_top_help() {
        insta::assert_snapshot!(Arguments::command().term_width(120).render_help().to_string(), @"
        Holds your MFA devices and AWS sessions, so that every tool just works after one code

        Usage: claviger <COMMAND>

        Commands:
          init        Make the vault: a passphrase to open it, and a recovery code for the day it is forgotten
          unlock      Open the vault
          lock        Wipe keys and sessions from memory
          status      Show what the agent holds: vault, sessions, warnings
          doctor      Say what stands between a profile and its credentials, for every family of AWS tools
          login       Obtain the credentials of a profile now, with you here
          logout      Forget the sessions of a profile, or all
          whoami      Ask AWS who a profile's credentials act as
          process     Print credentials as JSON, for credential_process in ~/.aws/config
          exec        Run a command with the credentials of a profile
          env         Print the credentials of a profile as variables of your shell
          access-key  Access keys of IAM users: add, import, list, rotate, remove, export
          mfa         Authenticators: add, enroll, list, code, rename, resync, remove, deactivate, export
          password    The console password of an IAM user: change
          ssh-key     SSH keys in the vault: new, add, list, public, remove, export
          keypair     EC2 key pairs: list, create, import, rotate, delete, password
          device      YubiKeys and other devices: list
          oath        OATH accounts of YubiKeys: list, code, rename, delete
          piv         PIV cards: list, new, certificate, pin, puk, management-key
          fido        FIDO2 devices: list, new, pin
          profile     Profiles: list, show, explain, adopt, release
          slot        The ways to open the vault: list, add, remove
          ssh         Log in to an EC2 instance with a key that it takes for a minute
          ssh-agent   The SSH agent: how ssh, git and others find it
          backup      Write a backup of the vault, which a recovery code of its own opens
          restore     Put a backup, or a copy of a vault, in the vault's place
          trash       The vault's trash: list, restore, empty
          prompts     Answer the agent's questions in this terminal, until Ctrl-C
          config      Settings: show, check, accept
          audit       The record of hand-outs and changes: log, verify, why
          agent       The agent: start, stop, restart, run
          completion  Print a completion script for your shell

        Options:
          -h, --help     Print help
          -V, --version  Print version

        First steps:
          claviger init                    make the vault
          claviger access-key add dev      store the access key of an IAM user
          claviger mfa add --for dev       store that user's virtual MFA device
          claviger login prod              one code, and every tool has credentials
          claviger exec prod -- aws s3 ls  such as this one

        PROFILE is AWS_PROFILE where it is left out, else default.
        Exit codes: 0 ok, 1 fault, 2 usage, 3 locked, 4 needs a person, 5 refused, 6 not found, 7 device, 8 network, 9 partly.
        ");
    }

    #[test]
    fn a_wrong_command_line_is_named_without_what_may_be_a_secret() {
        let mut page = String::new();
        for words in [
            &[][..],
            &["logn"],
            &["login", "a", "hunter2"],
            &["login", "--passphrase=hunter2"],
            &["login", "--passphrase-fd", "hunter2"],
            &["login", "--passphrase-fd"],
            &["access-key", "add", "dev", "AKIAIOSFODNN7EXAMPLE", "hunter2"],
            &["access-key", "add"],
            &["access-key", "add", "a b"],
            &["access-key"],
            &["mfa", "add", "--seed", "hunter2"],
            &["logout", "prod", "--all"],
            &["process", "--wait", "soon"],
            &["process", "--wait", "1", "--wait", "2"],
            &["process", "a", "b"],
            &["slot", "add", "hunter2"],
            &["slot", "remove", "hunter2"],
            &["exec", "prod", "aws", "s3", "ls"],
            &["agent", "status"],
        ] {
            let argv: Vec<OsString> = std::iter::once(&"claviger").chain(words).map(OsString::from).collect();
            let error = Arguments::try_parse_from(&argv).err().expect("an error");
            page.push_str(&format!("{}\n", usage(&error, &argv)));
        }
        assert!(!page.contains("hunter2"), "{page}");
        insta::assert_snapshot!(page, @"
        usage: a verb is missing (try: claviger --help)
        usage: there is no verb logn (try: claviger login)
        usage: there is an argument too many (try: claviger login --help)
        usage: there is no option --passphrase (try: claviger login --help)
        usage: the value of --passphrase-fd <N> is not valid: a file descriptor is a number (try: claviger login --help)
        usage: --passphrase-fd <N> has no value (try: claviger login --help)
        usage: there is an argument too many (try: claviger access-key add --help)
        usage: <NAME> is missing (try: claviger access-key add --help)
        usage: the value of <NAME> is not valid: a name is 1 to 64 letters, digits and _+=,.@- (try: claviger access-key add --help)
        usage: a verb is missing (try: claviger access-key --help)
        usage: there is no option --seed (try: claviger mfa add --help)
        usage: [PROFILE] and --all exclude each other (try: claviger logout --help)
        usage: the value of --wait <SECONDS> is not valid: a wait is 0 to 86400 seconds (try: claviger process --help)
        usage: --wait <SECONDS> is given twice (try: claviger process --help)
        usage: there is an argument too many (try: claviger process --help)
        usage: the value of <KIND> is not valid: one of fido2, keyring, passphrase, piv, recovery (try: claviger slot add --help)
        usage: the value of <ID> is not valid: an id is a number that slot list shows (try: claviger slot remove --help)
        usage: there is an argument too many; the command follows on -- (try: claviger exec --help)
        usage: there is no verb status (try: claviger status)
        ");
    }
}
