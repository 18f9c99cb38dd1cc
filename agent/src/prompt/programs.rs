//! The programs that ask, and what each of them gets.

use super::{Asking, Display, Unasked, Word, askpass, pinentry};
use crate::config::{Prompt, PromptProgram};
use crate::world::Running;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// What a program gets of the agent's environment: where it shows itself and how, and nothing that steers AWS.
const PASSED: [&str; 11] = [
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "HOME",
    "LANG",
    "LC_ALL",
    "LOGNAME",
    "PATH",
    "USER",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "XDG_RUNTIME_DIR",
];

/// The programs that ask a person. Pinentry is asked first, the other where it cannot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Programs {
    /// A pinentry (GnuPG), by its absolute path.
    pub pinentry: Option<PathBuf>,
    /// A program as OpenSSH's `SSH_ASKPASS` names it (ssh(1)), by its absolute path.
    pub askpass: Option<PathBuf>,
    /// The whole environment of each.
    pub environment: Vec<(OsString, OsString)>,
}

/// Where gpg-agent finds a pinentry whose path it is not told, on the systems that packages are made for (its
/// `bindir`; on Debian a link of the alternatives). Not along PATH: that is the user's, and what is found there would be run.
const PINENTRIES: [&str; 2] = ["/usr/bin/pinentry", "/usr/local/bin/pinentry"];
/// Where ssh-agent finds its askpass: Debian, Fedora, Arch and SUSE.
const ASKPASSES: [&str; 3] = ["/usr/bin/ssh-askpass", "/usr/libexec/openssh/ssh-askpass", "/usr/lib/ssh/ssh-askpass"];

impl Programs {
    /// Those of the accepted settings; where these name none, the system's own. `variable` reads the agent's environment.
    pub fn of(prompt: &Prompt, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        Self::found(prompt, variable, is_the_systems)
    }

    pub(super) fn found(
        prompt: &Prompt,
        variable: impl Fn(&str) -> Option<OsString>,
        is_the_systems: impl Fn(&Path) -> bool,
    ) -> Self {
        let environment = PASSED.into_iter().filter_map(|name| Some((name.into(), variable(name)?))).collect();
        let (pinentry, askpass) = (prompt.pinentry(), prompt.askpass());
        let named = [&pinentry, &askpass].into_iter().any(|program| matches!(program, PromptProgram::At(_)));
        let chosen = |program: PromptProgram<'_>, places: &[&str]| match program {
            PromptProgram::At(path) => Some(path.to_owned()),
            // Whoever names one wants that one.
            PromptProgram::Default if !named => places.iter().map(PathBuf::from).find(|path| is_the_systems(path)),
            PromptProgram::Default | PromptProgram::Off => None,
        };
        Self { pinentry: chosen(pinentry, &PINENTRIES), askpass: chosen(askpass, &ASKPASSES), environment }
    }

    /// The same, on this display.
    pub(super) fn at(&self, display: &Display) -> Self {
        let Display { x11, wayland, x11_authority, bus } = display;
        let mut programs = self.clone();
        for (name, value) in [
            ("DISPLAY", x11),
            ("WAYLAND_DISPLAY", wayland),
            ("XAUTHORITY", x11_authority),
            ("DBUS_SESSION_BUS_ADDRESS", bus),
        ] {
            // One display, and not half of each; the bus is the user's on all of them.
            if name != "DBUS_SESSION_BUS_ADDRESS" || value.is_some() {
                programs.environment.retain(|(known, _)| known != name);
            }
            programs.environment.extend(value.as_ref().map(|value| (name.into(), value.into())));
        }
        programs
    }

    /// Asks by a program, and says what the person answered. Whoever drops this has ended the program.
    pub(super) async fn ask(&self, asking: &Asking) -> Result<Word, Unasked> {
        let mut unasked = Unasked::Nobody;
        if let Some(program) = &self.pinentry {
            match self.ask_by_pinentry(program, asking).await {
                Err(why) => unasked = why,
                answer => return answer,
            }
        }
        match &self.askpass {
            Some(program) => self.ask_by_askpass(program, asking).await,
            None => Err(unasked),
        }
    }

    /// Pinentry falls back to a terminal where it is told of one.
    async fn ask_by_pinentry(&self, program: &Path, asking: &Asking) -> Result<Word, Unasked> {
        if !self.has_display() && self.variable("GPG_TTY").is_none() {
            return Err(Unasked::NoDisplay);
        }
        pinentry::ask(self.start("pinentry", self.command(program))?, self, asking).await
    }

    /// Where OpenSSH asks: on a display, or where it is told to all the same (readpass.c, `SSH_ASKPASS_REQUIRE`).
    async fn ask_by_askpass(&self, program: &Path, asking: &Asking) -> Result<Word, Unasked> {
        let told = self.variable("SSH_ASKPASS_REQUIRE").is_some_and(|how| how == "force" || how == "prefer");
        if !self.has_display() && !told {
            return Err(Unasked::NoDisplay);
        }
        let mut command = self.command(program);
        command.arg(askpass::text(asking)).stdin(Stdio::null());
        match asking {
            Asking::Confirm(_) => command.env("SSH_ASKPASS_PROMPT", "confirm"),
            // Left to it, that is a secret: it shows what is typed as dots.
            Asking::Secret(_) => command.env_remove("SSH_ASKPASS_PROMPT"),
        };
        askpass::answer(self.start("the askpass program", command)?, asking).await
    }

    fn has_display(&self) -> bool {
        ["DISPLAY", "WAYLAND_DISPLAY"].into_iter().any(|name| self.variable(name).is_some())
    }

    /// What a variable of theirs says, if anything.
    pub(super) fn variable(&self, name: &str) -> Option<&OsStr> {
        let found = self.environment.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_os_str()).filter(|value| !value.is_empty())
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).current_dir("/");
        command
    }

    fn start(&self, name: &'static str, command: Command) -> Result<Running, Unasked> {
        // A name alone would be looked for along PATH, and a relative path from the root.
        if !Path::new(command.get_program()).is_absolute() {
            let source = std::io::Error::new(std::io::ErrorKind::InvalidInput, "not an absolute path");
            return Err(Unasked::NotStarted { program: name, source: Arc::new(source) });
        }
        Running::start(command).map_err(|source| Unasked::NotStarted { program: name, source: Arc::new(source) })
    }
}

/// Whether a program is of the system and of nobody else: root's, and neither it nor a folder on the way to it can be
/// changed by others.
pub(super) fn is_the_systems(path: &Path) -> bool {
    const OTHERS_WRITE: u32 = 0o022;
    let Ok(path) = path.canonicalize() else { return false };
    let is_file = path.metadata().is_ok_and(|file| file.is_file() && file.mode() & 0o111 != 0);
    let is_roots = |path: &Path| path.metadata().is_ok_and(|it| it.uid() == 0 && it.mode() & OTHERS_WRITE == 0);
    is_file && path.ancestors().all(is_roots)
}
