//! The six forms: how each shell reads a value that may hold anything.

use super::unwritable;
use crate::cli::environment::Variable;
use crate::client::WipedBuffer;
use crate::wire::{Code, Fault};
use clap::ValueEnum;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use zeroize::Zeroizing;

/// How variables are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Form {
    #[value(alias = "sh")]
    Bash,
    Zsh,
    Fish,
    Powershell,
    Dotenv,
    Json,
}

impl Form {
    /// The form with this name, for the hot parser.
    pub(in crate::cli) fn named(name: &str) -> Option<Self> {
        Self::from_str(name, false).ok()
    }

    /// That of the shell this was started from, else of SHELL, else of every POSIX shell.
    pub(in crate::cli) fn detected() -> Self {
        let parent = rustix::process::getppid().map(|pid| format!("/proc/{}/comm", pid.as_raw_nonzero()));
        let parent = parent.and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
        let shell = std::env::var_os("SHELL").unwrap_or_default();
        Self::of_program(parent.trim_end().as_ref()).or_else(|| Self::of_program(&shell)).unwrap_or(Self::Bash)
    }

    fn of_program(program: &OsStr) -> Option<Self> {
        // A login shell has a dash before its name.
        match Path::new(program).file_name()?.to_str()?.trim_start_matches('-') {
            "bash" | "sh" | "dash" | "ash" | "busybox" | "ksh" | "mksh" => Some(Self::Bash),
            "zsh" => Some(Self::Zsh),
            "fish" => Some(Self::Fish),
            "pwsh" | "powershell" => Some(Self::Powershell),
            _ => None,
        }
    }

    /// The line to type.
    pub(super) fn usage(self) -> &'static str {
        match self {
            Self::Bash | Self::Zsh => "eval \"$(claviger env PROFILE)\"",
            Self::Fish => "claviger env PROFILE | source",
            Self::Powershell => "claviger env PROFILE | Out-String | Invoke-Expression",
            Self::Dotenv => "claviger env PROFILE --shell dotenv > FILE",
            Self::Json => "claviger env PROFILE --shell json | PROGRAM",
        }
    }

    /// Takes away `stale` and sets `variables`. What belongs to a file and not to a shell takes nothing away, except where it
    /// can say so: JSON writes null.
    pub(in crate::cli) fn page(self, variables: &[Variable], stale: &[String]) -> Result<WipedBuffer, Fault> {
        let mut page = WipedBuffer::with_capacity(8192);
        match self {
            Self::Json => {
                // Only where nothing is set: a program that merges the object into its environment wants texts.
                let stale = stale.iter().filter(|_| variables.is_empty()).map(|name| (name.as_str(), None));
                let set = variables.iter().map(|variable| (variable.name, Some(variable.value.as_str())));
                let object: BTreeMap<&str, Option<&str>> = stale.chain(set).collect();
                serde_json::to_writer_pretty(&mut page, &object)
                    .map_err(|_| Fault::new(Code::Internal, "the credentials cannot be written as JSON"))?;
                page.extend(b"\n");
            }
            Self::Dotenv if variables.is_empty() => {
                return Err(
                    Fault::new(Code::Usage, "a dotenv file cannot unset a variable").hint("claviger env --help")
                );
            }
            _ => {
                for name in stale.iter().filter(|_| self != Self::Dotenv) {
                    let _ = writeln!(page, "{}", self.unset(name));
                }
                for Variable { name, value } in variables {
                    self.set(&mut page, name, value)?;
                }
            }
        }
        Ok(page)
    }

    fn unset(self, name: &str) -> String {
        match self {
            Self::Fish => format!("set -e {name};"),
            Self::Powershell => format!("Remove-Item -ErrorAction Ignore Env:{name};"),
            _ => format!("unset {name};"),
        }
    }

    /// A line each, ended by a semicolon where the shell allows: `eval` without quotes joins lines by spaces.
    fn set(self, page: &mut WipedBuffer, name: &str, value: &str) -> Result<(), Fault> {
        if value.contains('\0') {
            return Err(unwritable(name, "of a variable"));
        }
        let (start, quoted, end) = match self {
            Self::Fish => ("set -gx ", within_quotes(value, |c| matches!(c, '\\' | '\'').then_some('\\')), ";\n"),
            // PowerShell takes typographic quotes for plain ones, and a doubled one for itself.
            Self::Powershell => ("$Env:", within_quotes(value, |c| "'‘’‚‛".contains(c).then_some(c)), ";\n"),
            Self::Dotenv => ("", dotenv(value).ok_or_else(|| unwritable(name, "dotenv"))?, "\n"),
            _ => ("export ", Zeroizing::new(format!("'{}'", *posix(value))), ";\n"),
        };
        let between = match self {
            Self::Fish => " ",
            Self::Powershell => " = ",
            _ => "=",
        };
        for part in [start, name, between, &quoted, end] {
            page.extend(part.as_bytes());
        }
        Ok(())
    }
}

/// The value in single quotes, with another character before each that needs one.
fn within_quotes(value: &str, before: impl Fn(char) -> Option<char>) -> Zeroizing<String> {
    let mut quoted = Zeroizing::new(String::with_capacity(value.len().saturating_mul(4).saturating_add(2)));
    quoted.push('\'');
    for character in value.chars() {
        quoted.extend(before(character));
        quoted.push(character);
    }
    quoted.push('\'');
    quoted
}

/// The inside of single quotes, where a single quote is written outside of them.
fn posix(value: &str) -> Zeroizing<String> {
    Zeroizing::new(value.replace('\'', r"'\''"))
}

/// Readers of such files agree on bare words and on plain text in single quotes, and on little else.
fn dotenv(value: &str) -> Option<Zeroizing<String>> {
    let bare = |c: char| c.is_ascii_alphanumeric() || "_-./+=:@,%".contains(c);
    if !value.is_empty() && value.chars().all(bare) {
        return Some(Zeroizing::new(value.to_owned()));
    }
    let plain = !value.chars().any(|c| c.is_control() || "'\\$`".contains(c));
    plain.then(|| within_quotes(value, |_| None))
}

#[cfg(test)]
mod tests {
    use super::Form;
    use crate::cli::environment::Variable;
    use proptest::prelude::{ProptestConfig, prop, proptest};
    use std::ffi::OsStr;
    use std::io::Write;
    use std::process::{Command, Stdio};

    const ALL: [Form; 6] = [Form::Bash, Form::Zsh, Form::Fish, Form::Powershell, Form::Dotenv, Form::Json];

    fn page(form: Form, values: &[(&'static str, &str)], stale: &[&str]) -> String {
        let variables: Vec<Variable> = values.iter().map(|(name, value)| Variable::new(name, *value)).collect();
        let stale: Vec<String> = stale.iter().map(|name| (*name).to_owned()).collect();
        match form.page(&variables, &stale) {
            Ok(page) => String::from_utf8(page.as_slice().to_vec()).expect("text"),
            Err(fault) => format!("{fault}\n"),
        }
    }

    #[test]
    fn the_forms() {
        let shown: Vec<String> = ALL
            .iter()
            .map(|form| {
                let set = page(*form, &[("AWS_REGION", "eu-central-1"), ("CLAVIGER_PROFILE", "a b")], &["AWS_PROFILE"]);
                format!(
                    "{form:?}\n{set}{}{}",
                    page(*form, &[], &["AWS_REGION"]),
                    page(*form, &[("X", "it's ’\\")], &[])
                )
            })
            .collect();
        insta::assert_snapshot!(shown.join("\n"), @r#"
        Bash
        unset AWS_PROFILE;
        export AWS_REGION='eu-central-1';
        export CLAVIGER_PROFILE='a b';
        unset AWS_REGION;
        export X='it'\''s ’\';

        Zsh
        unset AWS_PROFILE;
        export AWS_REGION='eu-central-1';
        export CLAVIGER_PROFILE='a b';
        unset AWS_REGION;
        export X='it'\''s ’\';

        Fish
        set -e AWS_PROFILE;
        set -gx AWS_REGION 'eu-central-1';
        set -gx CLAVIGER_PROFILE 'a b';
        set -e AWS_REGION;
        set -gx X 'it\'s ’\\';

        Powershell
        Remove-Item -ErrorAction Ignore Env:AWS_PROFILE;
        $Env:AWS_REGION = 'eu-central-1';
        $Env:CLAVIGER_PROFILE = 'a b';
        Remove-Item -ErrorAction Ignore Env:AWS_REGION;
        $Env:X = 'it''s ’’\';

        Dotenv
        AWS_REGION=eu-central-1
        CLAVIGER_PROFILE='a b'
        usage: a dotenv file cannot unset a variable (try: claviger env --help)
        usage: the value of X cannot be written in the form dotenv (try: claviger env --help)

        Json
        {
          "AWS_REGION": "eu-central-1",
          "CLAVIGER_PROFILE": "a b"
        }
        {
          "AWS_REGION": null
        }
        {
          "X": "it's ’\\"
        }
        "#);
    }

    #[test]
    fn a_shell_is_known_by_its_name() {
        for (program, form) in [
            ("/usr/bin/bash", Some(Form::Bash)),
            ("-zsh", Some(Form::Zsh)),
            ("dash", Some(Form::Bash)),
            ("/opt/fish/bin/fish", Some(Form::Fish)),
            ("pwsh", Some(Form::Powershell)),
            ("python3", None),
            ("", None),
        ] {
            assert_eq!(Form::of_program(OsStr::new(program)), form, "{program}");
        }
    }

    /// What a shell has in the variable after it has read the page.
    fn read_back(shell: &[&str], page: &str) -> Option<String> {
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).env("X", "of before").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().ok()?;
        child.stdin.take().expect("stdin").write_all(page.as_bytes()).expect("its input");
        let output = child.wait_with_output().expect("its end");
        assert!(output.status.success(), "{shell:?}");
        Some(String::from_utf8(output.stdout).expect("text"))
    }

    const PRINT: &str = "printf '%s' \"$X\"\n";

    fn survives(value: &str) {
        let posix = page(Form::Bash, &[("X", value)], &["X"]);
        for shell in ["bash", "dash", "zsh"] {
            let Some(found) = read_back(&[shell], &format!("{posix}{PRINT}")) else { continue };
            assert_eq!(found, value, "{shell}");
        }
        // Through a variable and eval, as people do, quoted.
        let evaluated = format!("Y=$(cat <<'END'\n{posix}END\n)\neval \"$Y\"\n{PRINT}");
        assert_eq!(read_back(&["bash"], &evaluated).expect("bash is installed"), value);
        let fish = page(Form::Fish, &[("X", value)], &["X"]);
        if let Some(found) = read_back(&["fish", "--no-config"], &format!("{fish}{PRINT}")) {
            assert_eq!(found, value, "fish");
        }
        let powershell = page(Form::Powershell, &[("X", value)], &["X"]);
        let print = "[Console]::OutputEncoding = [Text.Encoding]::UTF8; [Console]::Out.Write($Env:X)\n";
        if let Some(found) = read_back(&["pwsh", "-NoProfile", "-Command", "-"], &format!("{powershell}{print}")) {
            assert_eq!(found, value, "pwsh");
        }
        let json = page(Form::Json, &[("X", value)], &["Y"]);
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(json, serde_json::json!({"X": value}));
        let dotenv = page(Form::Dotenv, &[("X", value)], &["Y"]);
        if !dotenv.starts_with("usage: ") {
            // A shell is a reader of such a file as well.
            assert_eq!(read_back(&["bash"], &format!("{dotenv}{PRINT}")).expect("bash"), value, "dotenv");
        }
    }

    #[test]
    fn every_ascii_character_survives_every_shell() {
        for first in 1..8_u8 {
            let value: String = (first..=127).step_by(7).map(char::from).filter(|c| *c != '\r').collect();
            survives(&value);
        }
        for value in [
            "",
            " ",
            "'",
            "''",
            "\\",
            "\\'",
            "a\\",
            "$(id)",
            "`id`",
            "%USERPROFILE%",
            "!!",
            "-n",
            "é‘’‚‛“”",
            "~",
            "a\nb",
            "*",
        ] {
            survives(value);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn any_value_survives_every_shell(value in prop::string::string_regex("[ -~\n\té’‘🦀'\\\\$`\"]{0,40}").expect("a pattern")) {
            survives(&value);
        }
    }
}
