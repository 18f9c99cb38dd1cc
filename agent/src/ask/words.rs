//! What a person is asked and told, in words: strings, and no type of a device. What comes from outside is escaped before
//! it stands here.

use std::sync::Arc;

/// Most characters of a variable that names a display: the path of a file or a socket.
const DISPLAY_LIMIT: usize = 256;

/// A question that is answered by yes or no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What is asked, one line.
    pub title: String,
    /// What one should know to answer it.
    pub lines: Vec<String>,
}

/// A question whose answer is a secret of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinQuestion {
    /// The device: `YubiKey (serial 1234)`.
    pub device: String,
    /// What it wants, in its vendor's words: `PIV PIN`, `OATH password`.
    pub wanted: String,
    /// What for, a sentence.
    pub purpose: String,
    /// Who asks, a sentence.
    pub asked_by: String,
    /// Tries that the device has left, where it tells.
    pub tries_left: Option<u32>,
    /// Why it is asked again, a sentence.
    pub problem: Option<String>,
    /// Fewest bytes of an answer.
    pub least: usize,
    /// Most bytes of an answer.
    pub most: usize,
}

/// What a person should do at a device now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touch {
    /// The device: `YubiKey (serial 1234)`.
    pub device: String,
    /// What for, a sentence.
    pub purpose: String,
    /// Who asks, a sentence.
    pub asked_by: String,
}

/// A question of either kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asking {
    /// Yes or no.
    Confirm(Question),
    /// A secret.
    Secret(PinQuestion),
}

/// What is asked now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its number: an answer names it, so that one that comes late answers nothing else.
    pub number: u64,
    /// The question.
    pub asking: Arc<Asking>,
}

/// The display of a client, by the variables that name it; at least one of the first two.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Display {
    /// `DISPLAY`, of this machine.
    pub x11: Option<String>,
    /// `WAYLAND_DISPLAY`.
    pub wayland: Option<String>,
    /// `XAUTHORITY`, an absolute path.
    pub x11_authority: Option<String>,
    /// `DBUS_SESSION_BUS_ADDRESS`, a local socket.
    pub bus: Option<String>,
}

impl Display {
    /// What a client says of itself. What is no display of this machine does not count; None where nothing is left to show
    /// a question on.
    pub fn of(
        x11: Option<String>,
        wayland: Option<String>,
        x11_authority: Option<String>,
        bus: Option<String>,
    ) -> Option<Self> {
        let plain = |text: &String| {
            !text.is_empty() && text.len() <= DISPLAY_LIMIT && text.bytes().all(|byte| matches!(byte, b'!'..=b'~'))
        };
        let display = Self {
            x11: x11.filter(plain).filter(|name| is_here(name)),
            wayland: wayland.filter(plain).filter(|name| name.starts_with('/') || !name.contains('/')),
            x11_authority: x11_authority.filter(plain).filter(|path| path.starts_with('/')),
            // Other addresses run programs or leave the machine.
            bus: bus.filter(plain).filter(|address| address.starts_with("unix:") && !address.contains(';')),
        };
        (display.x11.is_some() || display.wayland.is_some()).then_some(display)
    }
}

/// `:0`, `unix:0` or, as sshd forwards it, `localhost:10.0` (X(7), display names).
fn is_here(name: &str) -> bool {
    let Some((host, number)) = name.split_once(':') else { return false };
    let digits = |part: &str| !part.is_empty() && part.len() <= 5 && part.bytes().all(|byte| byte.is_ascii_digit());
    let (display, screen) = number.split_once('.').unwrap_or((number, "0"));
    matches!(host, "" | "unix" | "localhost") && digits(display) && digits(screen)
}

#[cfg(test)]
mod tests {
    use super::{Display, is_here};

    #[test]
    fn a_display_is_of_this_machine() {
        for name in [":0", ":10.0", "localhost:10.0", "unix:1"] {
            assert!(is_here(name), "{name}");
        }
        for name in
            ["", ":", "0", "evil.example:0", "tcp/evil:0", ":0:1", ":-1", "localhost:", ":0.x", "::1", ":123456"]
        {
            assert!(!is_here(name), "{name}");
        }
    }

    #[test]
    fn what_is_no_display_does_not_count() {
        let of = |x11: &str, wayland: &str, authority: &str, bus: &str| {
            let some = |text: &str| Some(text.to_owned());
            Display::of(some(x11), some(wayland), some(authority), some(bus))
        };
        assert_eq!(of("far:0", "../wayland-0", "/a", "unix:path=/b"), None);
        let display = of(":0", "a/b", ".Xauthority", "unixexec:path=/bin/sh").unwrap();
        assert_eq!(display, Display { x11: Some(":0".to_owned()), ..Display::default() });
        let display = of("", "wayland-0", "/run/a", "unix:path=/b").unwrap();
        let wanted = |text: &str| Some(text.to_owned());
        let whole = Display {
            x11: None,
            wayland: wanted("wayland-0"),
            x11_authority: wanted("/run/a"),
            bus: wanted("unix:path=/b"),
        };
        assert_eq!(display, whole);
        assert_eq!(of(&format!(":{}", "0".repeat(300)), "a\nb", "/a", "unix:x"), None);
        assert_eq!(of(":0", "", "", "unix:a;unixexec:b").unwrap().bus, None);
    }
}
