//! Text from outside, made safe to show in a question, and the words of a question.

use super::limits::{LINES_LIMIT, TEXT_LIMIT};
use super::{Asking, PinQuestion, Question};
use claviger::model::{AuditPeer, Message};
use std::fmt::Write;

/// Bytes from outside as one line of text that shows what it is: a control character, a direction override, a space
/// that is none and all else that prints nothing or joins what stands before is written as an escape, as is a backslash
/// and what is no UTF-8. Cut at 128 characters.
pub fn shown(bytes: &[u8]) -> String {
    let mut shown = String::new();
    // No character takes more than four bytes: what is beyond is cut anyhow.
    let bytes = bytes.get(..TEXT_LIMIT * 4 + 1).unwrap_or(bytes);
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' | '\'' => shown.push(character),
                // Its tables leave what Unicode calls a letter, a mark of its own, a number or a sign.
                _ => shown.extend(character.escape_debug()),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    match shown.char_indices().nth(TEXT_LIMIT) {
        Some((end, _)) => format!("{}…", shown.get(..end).unwrap_or_default()),
        None => shown,
    }
}

/// Who asks, a sentence: the program, those that started it up to the leader of its login session, its terminal and its
/// folder. All of it can be made up by a program of the same user.
pub fn asked_by(peer: &AuditPeer) -> String {
    let exe = peer.exe.as_ref().map_or_else(|| "a program that has ended".to_owned(), |exe| shown(exe.as_bytes()));
    let pid = peer.pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
    let is_leader = |pid: i32| peer.leader == Some(pid);
    let mut parents = Vec::new();
    for parent in peer.chain.iter().take_while(|_| !peer.pid.is_some_and(is_leader)) {
        parents.push(shown(parent.name.as_bytes()));
        if is_leader(parent.pid) {
            break;
        }
    }
    // Without a leader among them nothing says where to end.
    let started = match parents.as_slice() {
        [] => String::new(),
        parents => format!(", started by {}", parents.join(", by ")),
    };
    let tty = peer.tty.as_deref().map(|tty| format!(", on {}", terminal(tty))).unwrap_or_default();
    let folder = peer.cwd.as_ref().map(|cwd| format!(", in {}", shown(cwd.as_bytes()))).unwrap_or_default();
    format!("Asked by {exe}{pid}{started}{tty}{folder}.")
}

/// A terminal by its numbers, as people know it (Linux, devices.txt): `pts/3`, `tty1`.
fn terminal(numbers: &str) -> String {
    let number = |text: &str| text.parse::<u32>().ok();
    let parsed = numbers.split_once(':').and_then(|(major, minor)| Some((number(major)?, number(minor)?)));
    match parsed {
        Some((major @ 136..=143, minor)) => format!("pts/{}", (major - 136) * 256 + minor),
        Some((4, minor @ 0..=63)) => format!("tty{minor}"),
        _ => format!("terminal {}", shown(numbers.as_bytes())),
    }
}

/// A line that whoever shows it may show as it is, whatever its maker let through: no control character and no direction
/// override, and at most 300 characters.
pub(super) fn plain(text: &str) -> String {
    Message(text).to_string()
}

/// A question whose every line is plain.
pub(super) fn plain_question(asking: &Asking) -> Asking {
    match asking {
        Asking::Confirm(question) => {
            let mut lines: Vec<String> = question.lines.iter().take(LINES_LIMIT).map(|line| plain(line)).collect();
            if question.lines.len() > LINES_LIMIT {
                lines.push("…".to_owned());
            }
            Asking::Confirm(Question { title: plain(&question.title), lines })
        }
        Asking::Secret(question) => Asking::Secret(PinQuestion {
            device: plain(&question.device),
            wanted: plain(&question.wanted),
            purpose: plain(&question.purpose),
            asked_by: plain(&question.asked_by),
            problem: question.problem.as_deref().map(plain),
            ..*question
        }),
    }
}

/// A question as a program shows it.
pub(super) struct Words {
    /// What is asked.
    pub(super) title: String,
    /// What one should know.
    pub(super) lines: Vec<String>,
    /// What stands before the field of a secret.
    pub(super) prompt: Option<String>,
    /// Why it is asked again.
    pub(super) problem: Option<String>,
}

impl Words {
    pub(super) fn of(asking: &Asking) -> Self {
        match asking {
            Asking::Confirm(Question { title, lines }) => {
                Self { title: title.clone(), lines: lines.clone(), prompt: None, problem: None }
            }
            Asking::Secret(question) => {
                let PinQuestion { device, wanted, purpose, asked_by, tries_left, problem, .. } = question;
                let mut lines = vec![purpose.clone(), asked_by.clone()];
                lines.extend(tries_left.map(tries));
                Self {
                    title: format!("Enter the {wanted} of {device}"),
                    lines,
                    prompt: Some(format!("{wanted}:")),
                    problem: problem.clone(),
                }
            }
        }
    }
}

/// How many tries are left, a sentence.
fn tries(left: u32) -> String {
    match left {
        1 => "It is the last try.".to_owned(),
        left => format!("{left} tries are left."),
    }
}

#[cfg(test)]
mod tests {
    use super::{asked_by, shown, terminal};
    use claviger::model::{AuditPeer, AuditProcess};

    fn parent(pid: i32, name: &str) -> AuditProcess {
        AuditProcess { pid, name: name.to_owned(), ..AuditProcess::default() }
    }

    #[test]
    fn who_asks_is_told_up_to_the_leader_of_the_session() {
        let mut peer = AuditPeer {
            pid: Some(12),
            exe: Some("/usr/bin/ssh".to_owned()),
            leader: Some(5),
            tty: Some("136:3".to_owned()),
            cwd: Some("/home/ada/w\u{202e}ork".to_owned()),
            chain: vec![parent(11, "git"), parent(5, "zsh"), parent(4, "tmux"), parent(1, "systemd")],
            ..AuditPeer::default()
        };
        let place = "on pts/3, in /home/ada/w\\u{202e}ork.";
        assert_eq!(asked_by(&peer), format!("Asked by /usr/bin/ssh (pid 12), started by git, by zsh, {place}"));
        peer.leader = Some(12);
        assert_eq!(asked_by(&peer), format!("Asked by /usr/bin/ssh (pid 12), {place}"));
        assert_eq!(asked_by(&AuditPeer::default()), "Asked by a program that has ended.");
    }

    #[test]
    fn a_terminal_has_the_name_that_people_know() {
        for (numbers, name) in [
            ("136:3", "pts/3"),
            ("137:1", "pts/257"),
            ("4:1", "tty1"),
            ("5:1", "terminal 5:1"),
            ("x\u{7}", "terminal x\\u{7}"),
        ] {
            assert_eq!(terminal(numbers), name);
        }
    }

    #[test]
    fn what_prints_nothing_is_written_out() {
        assert_eq!(shown(b"ada@host 'a' \"b\" caf\xc3\xa9"), "ada@host 'a' \"b\" café");
        assert_eq!(shown(b"a\x1b[2Jb\r\nc\x7f\0"), "a\\u{1b}[2Jb\\r\\nc\\u{7f}\\0");
        assert_eq!(
            shown("a\u{202e}b\u{2066}c\u{200b}d\u{2028}e\u{feff}".as_bytes()),
            "a\\u{202e}b\\u{2066}c\\u{200b}d\\u{2028}e\\u{feff}"
        );
        // A soft hyphen, a tag, a mark on the letter before, a space that is none, one of private use.
        assert_eq!(
            shown("\u{ad}\u{e0041}a\u{301}\u{a0}\u{e000}".as_bytes()),
            "\\u{ad}\\u{e0041}a\\u{301}\\u{a0}\\u{e000}"
        );
        assert_eq!(shown(b"a\\b\xffc\xe2\x82"), "a\\\\b\\xffc\\xe2\\x82");
        assert_eq!(shown(b""), "");
    }

    #[test]
    fn it_is_cut_and_no_long_text_costs_more() {
        assert_eq!(shown(&[b'x'; 128]), "x".repeat(128));
        assert_eq!(shown(&[b'x'; 129]), format!("{}…", "x".repeat(128)));
        assert_eq!(shown(&[0xff; 1_000_000]).chars().count(), 129);
        assert_eq!(shown("é".repeat(500_000).as_bytes()).chars().count(), 129);
    }
}
