//! Which settings decide what credentials a profile has, and claviger's own line.

use crate::aws::profile::is_own_stub;
use std::path::Path;

/// Settings that SDKs, or claviger, take credentials from, or that say how. All others stay where tools look for them.
const DECIDING: &[&str] = &[
    "credential_process",
    "credential_source",
    "duration_seconds",
    "external_id",
    "login_session",
    "mfa_serial",
    "role_arn",
    "role_session_name",
    "session_tags",
    "source_identity",
    "source_profile",
    "transitive_session_tags",
    "web_identity_token_file",
];

/// Whether a key (lower case) decides about credentials, keys in plain text apart.
pub(super) fn decides(key: &str) -> bool {
    DECIDING.contains(&key) || key.starts_with("sso_") || key.starts_with("claviger_")
}

/// Whether a key (lower case) is part of credentials in plain text.
pub(super) fn is_plain(key: &str) -> bool {
    matches!(key, "aws_access_key_id" | "aws_secret_access_key") || is_token(key)
}

/// Whether a key (lower case) is the token of temporary credentials.
pub(super) fn is_token(key: &str) -> bool {
    matches!(key, "aws_session_token" | "aws_security_token")
}

/// claviger's own line for a profile, without indentation: the same command for botocore, which splits it like a
/// shell, and for the SDKs that run it by `sh -c` (SDKs guide, process credential provider). None where no quoting
/// can say it: a program that is not named `claviger`, or has a quote or a comment sign in its path.
pub(super) fn stub(program: &Path, profile: &str) -> Option<String> {
    let program = program.to_str().filter(|program| program.starts_with('/'))?;
    let program = if program.contains(['"', '$', '`', '\\']) {
        (!program.contains('\'')).then(|| format!("'{program}'"))?
    } else {
        format!("\"{program}\"")
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-/.%@:+".contains(c);
    let word = if profile.chars().all(plain) { profile.to_owned() } else { format!("\"{profile}\"") };
    let end_of_options = if profile.starts_with('-') { "-- " } else { "" };
    let line = format!("credential_process = {program} process {end_of_options}{word}");
    let value = line.split_once("= ").map(|(_, value)| value)?;
    let is_one_value = !value.contains([' ', '\t']) || ![" #", " ;", "\t#", "\t;"].iter().any(|c| value.contains(c));
    let understood = is_own_stub(value).as_deref() == Some(profile);
    (understood && is_one_value && !value.chars().any(char::is_control)).then_some(line)
}

/// A section line of the config file, or of claviger's own.
pub(super) fn header(profile: &str, default_with_word: bool) -> String {
    match profile {
        "default" if !default_with_word => "[default]".to_owned(),
        name if name.contains(' ') => format!("[profile \"{name}\"]"),
        name => format!("[profile {name}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::stub;
    use std::path::Path;
    use std::process::Command;

    #[test]
    fn a_shell_and_a_splitter_read_the_same_words() {
        let mut read = 0;
        for program in [
            "/usr/bin/claviger",
            "/home/a b/claviger",
            "/home/$(id)/`id`/claviger",
            "/home/a\\b/claviger",
            "/home/it's/claviger",
            "/home/a\"b/claviger",
        ] {
            for profile in ["prod", "a b", "-x", "ünï", "a%b@c", "default"] {
                let line = stub(Path::new(program), profile).unwrap();
                let command = line.strip_prefix("credential_process = ").unwrap();
                let script = format!("set -- {command}; printf '%s\\n' \"$@\"");
                let words = Command::new("sh").args(["-c", &script]).output().unwrap();
                let said = String::from_utf8(words.stdout).unwrap();
                let split = "import shlex,sys; [print(word) for word in shlex.split(sys.argv[1])]";
                let python = Command::new("python3").args(["-c", split, command]).output().unwrap();
                assert_eq!(said, String::from_utf8(python.stdout).unwrap(), "{command}");
                let wanted: Vec<&str> = said.lines().filter(|word| *word != "--").collect();
                assert_eq!(wanted, [program, "process", profile]);
                read += 1;
            }
        }
        assert_eq!(read, 36);
    }

    #[test]
    fn what_cannot_be_said_is_refused() {
        for program in [
            "claviger",
            "/usr/bin/other",
            "/a'$b/claviger",
            "/a #b/claviger",
            "/a\nb/claviger",
            "/usr/bin/claviger (deleted)",
        ] {
            assert_eq!(stub(Path::new(program), "prod"), None, "{program}");
        }
    }
}
