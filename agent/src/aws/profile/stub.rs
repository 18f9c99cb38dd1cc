//! claviger's own line in the AWS files.

use std::iter::Peekable;
use std::str::Chars;

/// Options whose value is the next word.
const OPTIONS_WITH_VALUE: [&str; 2] = ["--passphrase-fd", "--wait"];

/// The profile that a `credential_process` value asks claviger for, or `None` if the command is not claviger's.
///
/// Any `claviger process …` counts, whatever folder, quotes and options it has: running it would ask this daemon
/// again. Without a name it means `default`, as the daemon has no `AWS_PROFILE`.
pub fn is_own_stub(value: &str) -> Option<String> {
    let mut words = Words(value.chars().peekable());
    if !is_claviger(&words.next()?) {
        return None;
    }
    if argument(&mut words)? != "process" {
        return None;
    }
    Some(argument(&mut words).unwrap_or_else(|| "default".to_owned()))
}

/// Tells whether a program is claviger, by its file name.
fn is_claviger(program: &str) -> bool {
    let name = program.rsplit(['/', '\\']).next().unwrap_or(program);
    name == "claviger" || name.eq_ignore_ascii_case("claviger.exe")
}

/// The next word that is neither an option nor an option's value.
fn argument(words: &mut Words<'_>) -> Option<String> {
    while let Some(word) = words.next() {
        if word == "--" {
            return words.next();
        }
        if !word.starts_with('-') {
            return Some(word);
        }
        if OPTIONS_WITH_VALUE.contains(&word.as_str()) {
            words.next();
        }
    }
    None
}

/// The words of a command line. A backslash stands for itself, as Windows paths need, except before a space.
struct Words<'a>(Peekable<Chars<'a>>);

impl Iterator for Words<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        while self.0.next_if(|character| character.is_whitespace()).is_some() {}
        self.0.peek()?;
        let mut word = String::new();
        let mut quote = None;
        while let Some(character) = self.0.next_if(|character| quote.is_some() || !character.is_whitespace()) {
            match character {
                _ if quote == Some(character) => quote = None,
                '"' | '\'' if quote.is_none() => quote = Some(character),
                '\\' if quote.is_none() => word.push(self.0.next_if_eq(&' ').unwrap_or('\\')),
                _ => word.push(character),
            }
        }
        Some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::is_own_stub;

    #[test]
    fn our_own_line_is_recognised_however_it_is_written() {
        for (value, name) in [
            ("claviger process prod", "prod"),
            ("/usr/local/bin/claviger process prod", "prod"),
            ("\"/home/a b/claviger\" process prod", "prod"),
            ("'/home/a b/claviger' process \"two words\"", "two words"),
            ("/home/a\\ b/claviger process prod", "prod"),
            ("\"C:\\Program Files\\claviger\\claviger.exe\" process prod", "prod"),
            ("C:\\claviger\\Claviger.EXE process prod", "prod"),
            ("claviger process --wait 30 prod", "prod"),
            ("claviger process --wait=30 prod --verbose", "prod"),
            ("claviger --verbose process prod", "prod"),
            ("claviger --wait 5 process -- -odd", "-odd"),
            ("  claviger\tprocess   prod | cat", "prod"),
            ("claviger\n  process\n  prod", "prod"),
            ("claviger process", "default"),
            ("claviger process --wait 5", "default"),
        ] {
            assert_eq!(is_own_stub(value).as_deref(), Some(name), "{value}");
        }
    }

    #[test]
    fn another_command_is_not_ours() {
        for value in [
            "",
            "  ",
            "aws-vault exec prod --json",
            "claviger",
            "claviger exec prod -- process x",
            "claviger-agent process prod",
            "myclaviger process prod",
            "/opt/claviger/bin/other process prod",
            "env claviger process prod",
            "claviger.sh process prod",
            "\"claviger process prod\"",
        ] {
            assert_eq!(is_own_stub(value), None, "{value}");
        }
    }
}
