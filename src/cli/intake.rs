//! Secrets from a terminal, from stdin or from a file descriptor. Never from an argument.

use super::terminal::Terminal;
use crate::model::{AccessKeyId, Label};
use crate::secret::text;
use crate::secret::{Passphrase, SecretAccessKey, SecretText};
use crate::wire::{Code, Fault};
use serde::Deserialize;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use zeroize::Zeroizing;

/// The most bytes taken from stdin or a descriptor: far more than any secret here.
const LIMIT: usize = 64 * 1024;

/// All that stdin holds, as text.
pub(super) fn stdin() -> Result<Zeroizing<String>, Fault> {
    utf8(&read(&mut std::io::stdin().lock(), false)?)
}

/// All that a file holds, as text.
pub(super) fn file(path: &Path) -> Result<Zeroizing<String>, Fault> {
    let mut file = File::open(path).map_err(|error| unreadable(path, &error.kind().to_string()))?;
    utf8(&read(&mut file, false).map_err(|_| unreadable(path, "not a file"))?)
}

/// All that a file holds that is no secret, or stdin where it is `-`.
pub(super) fn public_bytes(path: &Path) -> Result<Vec<u8>, Fault> {
    let bytes = match path.to_str() {
        Some("-") => read(&mut std::io::stdin().lock(), false)?,
        _ => {
            let mut file = File::open(path).map_err(|error| unreadable(path, &error.kind().to_string()))?;
            read(&mut file, false).map_err(|_| unreadable(path, "not a file"))?
        }
    };
    Ok(bytes.to_vec())
}

fn unreadable(path: &Path, why: &str) -> Fault {
    let message = format!("{} cannot be read: {why}", Label(&path.to_string_lossy()));
    Fault::new(Code::Usage, message).hint(look(path))
}

/// What shows the files beside this one; where the folder cannot be typed as it is, the help of the verb.
fn look(path: &Path) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_+=,.@:/%-".contains(c);
    match path.parent().and_then(Path::to_str) {
        Some("") => "ls -l".to_owned(),
        Some(folder) if folder.chars().all(plain) && !folder.starts_with('-') => format!("ls -l {folder}"),
        _ => help(),
    }
}

/// The help of the verb that runs.
pub(super) fn help() -> String {
    let argv: Vec<_> = std::env::args_os().collect();
    format!("{} --help", super::args::verb(&argv))
}

/// Writes a secret to a new file, mode 0600.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Fault> {
    let unsaved = |error: std::io::Error| {
        let file = Label(&path.to_string_lossy()).to_string();
        Fault::new(Code::FileUnsaved, format!("{file} cannot be written: {}", error.kind()))
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(unsaved)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(unsaved)
}

/// A secret from a file descriptor: up to the end or the first newline, which is dropped.
pub(super) fn descriptor(number: u32) -> Result<Zeroizing<String>, Fault> {
    let bytes = match number {
        // Not through std's buffer, which would swallow what follows.
        0 => {
            read(&mut File::from(rustix::io::dup(rustix::stdio::stdin()).map_err(|_| unusable(number, "read"))?), true)
        }
        _ => {
            let mut file = File::open(format!("/dev/fd/{number}")).map_err(|_| unusable(number, "read"))?;
            read(&mut file, true)
        }
    };
    utf8(&bytes.map_err(|_| unusable(number, "read"))?)
}

/// Writes a line with a secret to a file descriptor.
pub(super) fn write_line(number: u32, line: &str) -> Result<(), Fault> {
    let mut file =
        OpenOptions::new().append(true).open(format!("/dev/fd/{number}")).map_err(|_| unusable(number, "written"))?;
    let line = Zeroizing::new(format!("{line}\n"));
    file.write_all(line.as_bytes()).map_err(|_| unusable(number, "written"))
}

fn read(source: &mut impl Read, one_line: bool) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let mut bytes = Zeroizing::new(vec![0; LIMIT]);
    let mut end = 0;
    while end < LIMIT {
        // What stands after the line is not ours: a command that comes after this may read it.
        let most = if one_line { end.saturating_add(1) } else { LIMIT };
        match source.read(bytes.get_mut(end..most).unwrap_or_default()) {
            Ok(0) => break,
            Ok(count) => end += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return Err(Fault::new(Code::Usage, "stdin cannot be read")),
        }
        if one_line && bytes.get(..end).unwrap_or_default().ends_with(b"\n") {
            end = end.saturating_sub(1);
            break;
        }
    }
    bytes.truncate(end);
    Ok(bytes)
}

fn utf8(bytes: &[u8]) -> Result<Zeroizing<String>, Fault> {
    let text = std::str::from_utf8(bytes).map_err(|_| Fault::new(Code::Usage, "the input is not UTF-8"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn unusable(number: u32, what: &str) -> Fault {
    Fault::new(Code::Usage, format!("file descriptor {number} cannot be {what}"))
}

/// A passphrase that is new: from a descriptor, or typed twice.
pub(super) fn new_passphrase(descriptor_number: Option<u32>, flag: &str) -> Result<Passphrase, Fault> {
    if let Some(number) = descriptor_number {
        return descriptor(number).map(|text| Passphrase::from_text(text.to_string()));
    }
    let mut terminal = Terminal::open().ok_or_else(|| no_terminal("the new passphrase", &format!("{flag} N")))?;
    loop {
        let first = Passphrase::from_text(terminal.ask_hidden("New passphrase: ")?);
        if first.expose().is_empty() {
            terminal.show("An empty passphrase protects nothing.\n")?;
            continue;
        }
        let second = Passphrase::from_text(terminal.ask_hidden("The same again: ")?);
        if first.expose() == second.expose() {
            return Ok(first);
        }
        terminal.show("The two differ.\n")?;
    }
}

/// The fault of a question that nobody is there to answer; `option` is what to give instead.
pub(super) fn no_terminal(what: &str, option: &str) -> Fault {
    Fault::new(Code::Usage, format!("there is no terminal to ask for {what}; give {option}")).hint(help())
}

/// The fault of something to be shown where nobody is there to see it; `option` is what asks for it.
pub(super) fn no_screen(what: &str, option: &str) -> Fault {
    Fault::new(Code::Usage, format!("there is no terminal to show {what} on; leave out {option}")).hint(help())
}

/// An access key as people have it: two lines (id, secret), the JSON of `aws iam create-access-key`, or the CSV of the
/// console. With an `id` given, the secret alone will do. `access_key.invalid` names the place, never what stands there.
pub(super) fn access_key(input: &str, id: Option<AccessKeyId>) -> Result<(AccessKeyId, SecretAccessKey), Fault> {
    let input = input.trim_start_matches('\u{feff}').trim();
    let (found, secret) = if input.starts_with('{') {
        from_json(input)?
    } else if input.lines().next().is_some_and(|header| header.contains(',')) {
        from_csv(input)?
    } else {
        from_lines(input, id.is_some())?
    };
    let id = match (id, found) {
        (Some(given), Some(found)) if given != found => {
            return Err(invalid("the access key id that was given is not the one in the input"));
        }
        (Some(id), _) | (None, Some(id)) => id,
        (None, None) => return Err(invalid("the input has no access key id")),
    };
    Ok((id, secret))
}

#[derive(Deserialize)]
struct Created {
    #[serde(rename = "AccessKey")]
    access_key: Pair,
}

#[derive(Deserialize)]
struct Pair {
    #[serde(rename = "AccessKeyId", alias = "access_key_id")]
    access_key_id: AccessKeyId,
    #[serde(rename = "SecretAccessKey", alias = "secret_access_key", with = "text")]
    secret_access_key: SecretAccessKey,
}

type Found = (Option<AccessKeyId>, SecretAccessKey);

fn from_json(input: &str) -> Result<Found, Fault> {
    let pair = serde_json::from_str(input)
        .map(|created: Created| created.access_key)
        .or_else(|error| serde_json::from_str(input).map_err(|_| error))
        .map_err(|error| {
            let (line, column) = (error.line(), error.column());
            invalid(&format!(
                "the JSON has no access key as `aws iam create-access-key` prints it (line {line}, column {column})"
            ))
        })?;
    Ok((Some(pair.access_key_id), secret(pair.secret_access_key.expose(), "the JSON")?))
}

fn from_csv(input: &str) -> Result<Found, Fault> {
    let mut lines = input.lines();
    let header = lines.next().unwrap_or_default();
    let column =
        |title: &str| header.split(',').position(|cell| cell.trim().trim_matches('"').eq_ignore_ascii_case(title));
    let (Some(id), Some(key)) = (column("Access key ID"), column("Secret access key")) else {
        return Err(invalid("line 1 of the CSV does not name the columns Access key ID and Secret access key"));
    };
    let row = lines.next().ok_or_else(|| invalid("the CSV has no line 2"))?;
    if lines.any(|line| !line.trim().is_empty()) {
        return Err(invalid("the CSV has more than one access key"));
    }
    let cell = |index: usize| row.split(',').nth(index).map(|cell| cell.trim().trim_matches('"')).unwrap_or_default();
    Ok((Some(parse_id(cell(id), "line 2 of the CSV")?), secret(cell(key), "line 2 of the CSV")?))
}

fn from_lines(input: &str, id_given: bool) -> Result<Found, Fault> {
    let lines: Vec<&str> = input.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    match lines.as_slice() {
        [only] if id_given => Ok((None, secret(only, "line 1")?)),
        [id, key] => Ok((Some(parse_id(id, "line 1")?), secret(key, "line 2")?)),
        lines => {
            Err(invalid(&format!("the input has {} lines, not two: the access key id and the secret", lines.len())))
        }
    }
}

fn parse_id(text: &str, place: &str) -> Result<AccessKeyId, Fault> {
    text.parse().map_err(|rule| invalid(&format!("{place}: {rule}")))
}

/// Checks the form of a secret access key: AWS's have 40 characters, emulators' fewer.
pub(super) fn secret(text: &str, place: &str) -> Result<SecretAccessKey, Fault> {
    if text.is_empty() || text.len() > 128 || !text.chars().all(|c| c.is_ascii_graphic()) {
        return Err(invalid(&format!("{place}: a secret access key is 1 to 128 characters of ASCII without space")));
    }
    Ok(SecretAccessKey::from_text(text.to_owned()))
}

fn invalid(message: &str) -> Fault {
    Fault::new(Code::AccessKeyInvalid, message)
}

#[cfg(test)]
mod tests {
    use super::access_key;
    use crate::secret::SecretText;

    const ID: &str = "AKIAIOSFODNN7EXAMPLE";
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    fn read(input: &str, id: Option<&str>) -> Result<(String, String), String> {
        match access_key(input, id.map(|id| id.parse().expect("an id"))) {
            Ok((id, secret)) => Ok((id.to_string(), secret.expose().to_owned())),
            Err(fault) => Err(fault.to_string()),
        }
    }

    #[test]
    fn an_access_key_is_taken_as_people_have_it() {
        let good = Ok((ID.to_owned(), SECRET.to_owned()));
        for input in [
            format!("{ID}\n{SECRET}\n"),
            format!("\n {ID} \r\n{SECRET}\r\n\r\n"),
            format!(
                r#"{{"AccessKey": {{"UserName": "ada", "AccessKeyId": "{ID}", "Status": "Active", "SecretAccessKey": "{SECRET}", "CreateDate": "2026-01-01T00:00:00+00:00"}}}}"#
            ),
            format!(r#"{{"access_key_id": "{ID}", "secret_access_key": "{SECRET}"}}"#),
            format!("\u{feff}Access key ID,Secret access key\r\n{ID},{SECRET}\r\n"),
            format!(
                "User name,Password,Access key ID,Secret access key,Console login link\nada,,{ID},{SECRET},https://x\n"
            ),
            format!("\"Access key ID\",\"Secret access key\"\n\"{ID}\",\"{SECRET}\""),
        ] {
            assert_eq!(read(&input, None), good, "{input}");
            assert_eq!(read(&input, Some(ID)), good, "{input}");
            assert!(read(&input, Some("AKIAIOSFODNN7OTHER00")).expect_err("another id").contains("is not the one"));
        }
        assert_eq!(read(SECRET, Some(ID)), good);
    }

    #[test]
    fn what_is_wrong_is_named_by_its_place_and_never_repeated() {
        for (input, place) in [
            ("", "0 lines"),
            (SECRET, "1 lines"),
            (&format!("{SECRET}\n{ID}\n"), "line 1"),
            (&format!("{ID}\n{SECRET} x\n"), "line 2"),
            (&format!("{ID}\n{SECRET}\n{SECRET}"), "3 lines"),
            (&format!("id,secret\n{ID},{SECRET}"), "line 1 of the CSV"),
            ("Access key ID,Secret access key\n", "no line 2"),
            (&format!("Access key ID,Secret access key\n{ID}"), "line 2 of the CSV"),
            (&format!("Access key ID,Secret access key\n{ID},{SECRET}\n{ID},{SECRET}"), "more than one"),
            (&format!(r#"{{"AccessKeyId": "{SECRET}", "SecretAccessKey": "{SECRET}"}}"#), "line 1, column"),
            (&format!(r#"{{"AccessKey": "{SECRET}""#), "line 1, column"),
        ] {
            let fault = read(input, None).expect_err(place);
            assert!(fault.starts_with("access_key.invalid: ") && fault.contains(place), "{place}: {fault}");
            assert!(!fault.contains(SECRET) && !fault.contains("wJalr"), "{fault}");
        }
    }
}
