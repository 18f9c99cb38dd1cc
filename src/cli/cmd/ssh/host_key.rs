//! The KnownHostsCommand of `claviger ssh`: a host key that is not the pinned one is refused, whatever its type, and told
//! with what to type.
//!
//! By `StrictHostKeyChecking=accept-new` alone ssh takes a key of another type than the pinned one for that of a new host,
//! and who stands in between has keys of every type.

use crate::cli::exit::Outcome;
use crate::cli::ui;
use crate::model::Label;
use crate::wire::{Code, Fault};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Most bytes that are read of the pins: some 80,000 instances.
const FILE_LIMIT: u64 = 16 * 1024 * 1024;

/// What ssh wants to know, as ssh_config(5) has the tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked<'a> {
    /// `%I`: why it asks.
    reason: &'a str,
    /// `%t`: the type of the host key.
    kind: &'a str,
    /// `%K`: the host key in base64.
    key: &'a str,
    /// `%H`: by which name it looks.
    host: &'a str,
}

/// The value of the option, with the tokens in it.
pub(super) const TOKENS: &str = "%I,%t,%K,%H";

impl<'a> Asked<'a> {
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(4, ',');
        Some(Self { reason: parts.next()?, kind: parts.next()?, key: parts.next()?, host: parts.next()? })
    }

    /// Prints a line that revokes the host key, where another one is pinned. The end is always good: ssh does without
    /// the host otherwise, also where nothing is wrong.
    pub(super) fn answer(&self, pins: &Path) -> Outcome {
        let mut text = String::new();
        let read = File::open(pins).and_then(|file| file.take(FILE_LIMIT).read_to_string(&mut text));
        if read.is_err() || !self.contradicts(&text) {
            return Ok(());
        }
        ui::say(&ui::fault(&changed(self.host, pins)));
        ui::data(format!("@revoked {} {} {}\n", self.host, self.kind, self.key).as_bytes())
    }

    /// Whether keys of the host are pinned, and this is none of them. Asked before the host has shown one, it has none.
    fn contradicts(&self, pins: &str) -> bool {
        if self.reason != "HOSTNAME" {
            return false;
        }
        let mut pinned = pins.lines().filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            (words.next()? == self.host).then_some((words.next()?, words.next()?))
        });
        let is_it = |(kind, key): (&str, &str)| kind == self.kind && key == self.key;
        pinned.next().is_some_and(|first| !is_it(first) && !pinned.any(is_it))
    }
}

fn changed(host: &str, pins: &Path) -> Fault {
    let message = format!(
        "{} shows another host key than at the first login: somebody may stand in between; unpin it only where you know why",
        Label(host)
    );
    let hint = format!("ssh-keygen -R '{}' -f '{}'", Label(host), Label(&pins.to_string_lossy()));
    Fault::new(Code::InstanceHostKeyChanged, message).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::Asked;

    const PINS: &str = "# pins\n\n[i-1]:2222 ssh-ed25519 AAAA\ni-2 ssh-ed25519 BBBB\ni-2 ssh-rsa CCCC comment\ni-3\n";

    fn contradicts(asked: &str) -> bool {
        Asked::read(asked).expect("four parts").contradicts(PINS)
    }

    #[test]
    fn a_key_of_a_pinned_host_is_one_of_its_pins_or_refused() {
        for good in [
            "HOSTNAME,ssh-ed25519,AAAA,[i-1]:2222",
            "HOSTNAME,ssh-rsa,CCCC,i-2",
            "HOSTNAME,ssh-ed25519,BBBB,i-2",
            "HOSTNAME,ssh-ed25519,DDDD,i-1",
            "HOSTNAME,ssh-ed25519,DDDD,i-3",
            "ORDER,NONE,NONE,i-2",
            "ADDRESS,ssh-ed25519,DDDD,i-2",
        ] {
            assert!(!contradicts(good), "{good}");
        }
        for bad in ["HOSTNAME,ssh-ed25519,DDDD,i-2", "HOSTNAME,ecdsa-sha2-nistp256,BBBB,i-2"] {
            assert!(contradicts(bad), "{bad}");
        }
        assert_eq!(Asked::read("HOSTNAME,x,y"), None);
        assert_eq!(Asked::read("a,b,c,d,e").map(|asked| asked.host), Some("d,e"));
    }
}
